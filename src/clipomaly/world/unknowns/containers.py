"""Boxes, bags, cases and everything else that holds something and falls off something."""

from __future__ import annotations

import numpy as np

from clipomaly.world.mesh import ball, box, cylinder, flat, join, lathe, loft, rounded_box, torus, tube
from clipomaly.world.things import Part, Thing, thing
from clipomaly.world.unknowns.common import (
    BLACK,
    BRIGHT,
    CLEAR,
    LEATHER,
    STEEL,
    WOODS,
    Builder,
    bag,
    bars,
    blocks,
    lying,
    pick,
    turned,
)


def cardboard_box(rng: np.random.Generator) -> Thing:
    """A carton, closed or with its flaps open."""
    x, y, z = rng.uniform(0.3, 0.8, 3)
    card = np.array([0.40, 0.27, 0.15]) * rng.uniform(0.85, 1.15)
    t = 0.008
    walls = [box((x, t, z), (0, s * y / 2, z / 2), card) for s in (-1, 1)]
    walls += [box((t, y, z), (s * x / 2, 0, z / 2), card) for s in (-1, 1)]
    walls.append(box((x, y, t), (0, 0, t / 2 + 0.002), card * 0.8))
    if rng.uniform() < 0.5:
        for s in (-1, 1):
            flap = box((x, y / 2, t), (0, s * y / 4, 0), card * 1.05).turned(roll=s * rng.uniform(0.4, 2.3))
            walls.append(flap.moved((0, s * y / 2, z)))
    else:
        walls.append(box((x, y, t), (0, 0, z), card * 1.03))
        walls.append(box((x + 0.004, 0.06, t + 0.003), (0, 0, z + 0.001), (0.50, 0.38, 0.20)))
    walls.append(box((0.12, t, 0.08), (x * 0.2, -y / 2 - 0.002, z * 0.6), (0.65, 0.65, 0.6)))
    return thing("cardboard box", (join(walls), "matte"))


def wooden_crate(rng: np.random.Generator) -> Thing:
    """Slats on corner posts."""
    x, y, z = rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.7), rng.uniform(0.35, 0.7)
    wood = pick(rng, WOODS)
    n = int(rng.integers(3, 6))
    signs = [(a, b) for a in (-1, 1) for b in (-1, 1)]
    parts = [
        box((0.06, 0.06, z), (a * (x / 2 - 0.04), b * (y / 2 - 0.04), z / 2), wood * 0.8) for a, b in signs
    ]
    for k in range(n):
        h, c = z / n * 0.78, (k + 0.5) * z / n
        parts += [box((x, 0.02, h), (0, s * y / 2, c), wood * rng.uniform(0.8, 1.15)) for s in (-1, 1)]
        parts += [box((0.02, y, h), (s * x / 2, 0, c), wood * rng.uniform(0.8, 1.15)) for s in (-1, 1)]
    parts.append(box((x, y, 0.02), (0, 0, 0.02), wood * 0.7))
    return thing("wooden crate", (join(parts), "matte", "wood"))


def pallet(rng: np.random.Generator) -> Thing:
    """A euro pallet, sometimes a small stack."""
    wood = pick(rng, WOODS)
    one = []
    for y in (-0.35, 0, 0.35):
        one += [box((0.1 if x else 0.14, 0.1, 0.078), (x, y, 0.061), wood * 0.85) for x in (-0.5, 0, 0.5)]
        one.append(box((1.2, 0.1, 0.022), (0, y, 0.011), wood * 0.9))
    one += [
        box((1.2, 0.125, 0.022), (0, -0.34 + k * 0.17, 0.133), wood * rng.uniform(0.8, 1.15))
        for k in range(5)
    ]
    one += [box((0.12, 0.8, 0.022), (x, 0, 0.111), wood) for x in (-0.5, 0, 0.5)]
    count = int(rng.integers(1, 4))
    stack = [join(one).turned(yaw=rng.normal(0, 0.04)).moved((0, 0, 0.145 * k)) for k in range(count)]
    return thing("pallet", (join(stack), "matte", "wood"))


def suitcase(rng: np.random.Generator) -> Thing:
    """A trolley case, standing or fallen."""
    w, d, h = rng.uniform(0.38, 0.5), rng.uniform(0.22, 0.32), rng.uniform(0.5, 0.78)
    c = pick(rng, BRIGHT)
    parts = [Part(rounded_box((d, w, h), 0.05, (0, 0, h / 2 + 0.05), c, 4), "satin")]
    if rng.uniform() < 0.6:
        places = np.linspace(-w * 0.36, w * 0.36, 7)
        ribs = [box((d + 0.012, 0.012, h * 0.82), (0, y, h / 2 + 0.05), c * 0.8) for y in places]
        parts.append(Part(join(ribs), "satin"))
    trim = [rounded_box((0.02, w + 0.012, h + 0.01), 0.009, (0, 0, h / 2 + 0.05), c * 0.35)]
    trim.append(box((0.03, 0.14, 0.025), (0, 0, h + 0.075), BLACK))
    castor = cylinder(0.03, 0.03, BLACK, 14).turned(roll=np.pi / 2)
    trim += [castor.moved((a * d * 0.32, b * w * 0.36 + 0.015, 0.03)) for a in (-1, 1) for b in (-1, 1)]
    parts.append(Part(join(trim), "satin"))
    if rng.uniform() < 0.5:
        rods = bars([((-d * 0.4, y, h), (-d * 0.4, y, h + 0.4)) for y in (-0.1, 0.1)], 0.009, STEEL)
        parts.append(Part(join([rods, box((0.03, 0.24, 0.03), (-d * 0.4, 0, h + 0.41), BLACK)]), "metal"))
    t = Thing("suitcase", tuple(parts))
    return t if rng.uniform() < 0.45 else t.turned(pitch=np.pi / 2 * rng.choice([-1, 1])).grounded()


def briefcase(rng: np.random.Generator) -> Thing:
    """A hard case for papers, flat or upright."""
    c = pick(rng, [*LEATHER, (0.4, 0.4, 0.42)])
    body = join(
        [
            rounded_box((0.46, 0.11, 0.34), 0.015, (0, 0, 0.17), c),
            box((0.465, 0.006, 0.345), (0, 0, 0.17), STEEL),
        ]
    )
    grip = tube([(-0.06, 0, 0.34), (-0.06, 0, 0.38), (0.06, 0, 0.38), (0.06, 0, 0.34)], 0.01, BLACK, 8)
    t = thing("briefcase", (body, "satin"), (grip, "satin"))
    return t if rng.uniform() < 0.4 else lying(t, rng)


def guitar_case(rng: np.random.Generator) -> Thing:
    """A hard case in the shape of what it holds."""
    c = pick(rng, [BLACK, LEATHER[0], BRIGHT[0]])
    s = np.linspace(0, 1, 30)
    width = 0.21 * np.exp(-(((s - 0.17) / 0.17) ** 2)) + 0.16 * np.exp(-(((s - 0.47) / 0.12) ** 2)) + 0.06
    width[[0, -1]] *= 0.5
    rows = [
        [(x * 1.1, w, 0), (x * 1.1, w, 0.12), (x * 1.1, -w, 0.12), (x * 1.1, -w, 0)]
        for x, w in zip(s, width, strict=True)
    ]
    return thing("guitar case", (flat(loft(np.array(rows), c)), "satin")).grounded()


def barrel(rng: np.random.Generator) -> Thing:
    """An oil drum, upright or rolled over."""
    profile = [
        (0.0, 0.02),
        (0.28, 0.02),
        (0.29, 0.0),
        (0.29, 0.28),
        (0.3, 0.3),
        (0.29, 0.32),
        (0.29, 0.56),
        (0.3, 0.58),
        (0.29, 0.6),
        (0.29, 0.88),
        (0.28, 0.86),
        (0.0, 0.86),
    ]
    t = thing("barrel", (lathe(profile, pick(rng, BRIGHT[:5]), 40), "satin", "dirty"))
    return t if rng.uniform() < 0.5 else lying(t, rng)


def gas_cylinder(rng: np.random.Generator) -> Thing:
    """A gas bottle."""
    c, h = pick(rng, BRIGHT[:5]), rng.uniform(0.6, 1.3)
    a = np.linspace(0, np.pi / 2, 7)
    dome = [(0.14 * float(np.cos(t)) + 0.02, h + 0.12 * float(np.sin(t))) for t in a]
    body = lathe([(0, 0.0), (0.14, 0.0), (0.16, 0.04), *dome, (0.0, h + 0.12)], c, 32)
    collar = torus(0.09, 0.012, STEEL, 20, 8).moved((0, 0, h + 0.22))
    neck = join([cylinder(0.03, 0.12, STEEL, 12).moved((0, 0, h + 0.1)), collar])
    t = thing("gas cylinder", (body, "paint"), (neck, "metal"))
    return t if rng.uniform() < 0.35 else lying(t, rng)


def jerrycan(rng: np.random.Generator) -> Thing:
    """A fuel can with three handles."""
    c = pick(rng, [BRIGHT[0], (0.08, 0.11, 0.05), BRIGHT[2]])
    body = [
        rounded_box((0.34, 0.16, 0.42), 0.03, (0, 0, 0.21), c),
        box((0.2, 0.17, 0.02), (0, 0, 0.2), c * 0.8),
    ]
    body += [
        tube([(-0.12, y, 0.42), (-0.1, y, 0.47), (0.06, y, 0.47), (0.08, y, 0.42)], 0.01, c, 8)
        for y in (-0.05, 0, 0.05)
    ]
    spout = cylinder(0.03, 0.05, BLACK, 16).moved((0.13, 0, 0.42))
    t = thing("jerrycan", (join([*body, spout]), "satin", "dirty"))
    return t if rng.uniform() < 0.5 else lying(t, rng)


def tool_box(rng: np.random.Generator) -> Thing:
    """A steel or plastic tool box with a handle."""
    c, x = pick(rng, BRIGHT[:5]), rng.uniform(0.4, 0.6)
    y, z = x * 0.42, x * 0.45
    body = [
        rounded_box((x, y, z), 0.02, (0, 0, z / 2), c),
        rounded_box((x + 0.01, y + 0.01, 0.03), 0.01, (0, 0, z * 0.62), c * 0.4),
    ]
    dark = [tube([(-0.1, 0, z), (-0.1, 0, z + 0.07), (0.1, 0, z + 0.07), (0.1, 0, z)], 0.012, BLACK, 8)]
    dark += [box((0.04, 0.02, 0.07), (s * x * 0.3, -y / 2 - 0.005, z * 0.6), STEEL) for s in (-1, 1)]
    return thing("tool box", (join(body), "paint"), (join(dark), "metal"))


def basket(rng: np.random.Generator) -> Thing:
    """A woven basket with a handle."""
    c = np.array([0.36, 0.25, 0.12]) * rng.uniform(0.8, 1.2)
    rings = [
        torus(0.2 + 0.08 * f, 0.016, c * rng.uniform(0.8, 1.2), 30, 8).moved((0, 0, 0.02 + 0.22 * f))
        for f in np.linspace(0, 1, 9)
    ]
    arc = np.array([(0, 0.28 * np.cos(t), 0.24 + 0.25 * np.sin(t)) for t in np.linspace(0, np.pi, 14)])
    return thing("basket", (join([*rings, tube(arc, 0.014, c, 8), cylinder(0.2, 0.02, c)]), "matte", "cloth"))


def shopping_bag(rng: np.random.Generator) -> Thing:
    """A paper bag with handles."""
    c = pick(rng, [(0.42, 0.30, 0.18), (0.7, 0.7, 0.68), BRIGHT[0], BRIGHT[6]])
    body = flat(
        loft(
            np.array(
                [
                    [(-0.15, -0.08, 0), (0.15, -0.08, 0), (0.15, 0.08, 0), (-0.15, 0.08, 0)],
                    [(-0.16, -0.09, 0.4), (0.16, -0.09, 0.4), (0.16, 0.09, 0.4), (-0.16, 0.09, 0.4)],
                ]
            ),
            c,
        )
    )
    loops = [
        tube([(-0.07, y, 0.4), (-0.05, y, 0.5), (0.05, y, 0.5), (0.07, y, 0.4)], 0.006, c * 0.5, 6)
        for y in (-0.08, 0.08)
    ]
    t = thing("shopping bag", (body, "matte"), (join(loops), "matte"))
    return t if rng.uniform() < 0.5 else lying(t, rng)


def cool_box(rng: np.random.Generator) -> Thing:
    """A picnic box with a white lid."""
    c = pick(rng, BRIGHT[:4])
    grip = tube([(-0.3, 0, 0.3), (-0.3, 0, 0.44), (0.3, 0, 0.44), (0.3, 0, 0.3)], 0.012, (0.7, 0.7, 0.7), 8)
    lid = rounded_box((0.56, 0.36, 0.08), 0.02, (0, 0, 0.36), (0.72, 0.72, 0.7))
    return thing(
        "cool box",
        (rounded_box((0.54, 0.34, 0.34), 0.03, (0, 0, 0.17), c), "satin"),
        (join([lid, grip]), "satin"),
    )


def egg_like(rng: np.random.Generator) -> Thing:
    """A party balloon, lying or on a string."""
    c = pick(rng, BRIGHT)
    up = rng.uniform(0.0, 1.2)
    r = rng.uniform(0.12, 0.18)
    body = ball((r, r, r * 1.2), (0, 0, up + r * 1.2), c, 32)
    parts = [
        Part(join([body, lathe([(0, -0.02), (0.02, -0.02), (0, 0.0)], c, 12).moved((0, 0, up))]), "paint")
    ]
    if up > 0.2:
        parts.append(
            Part(
                tube([(0.1, 0.05, 0.0), (0.03, 0, up * 0.5), (0, 0, up)], 0.003, (0.6, 0.6, 0.6), 5), "matte"
            )
        )
    return Thing("balloon", tuple(parts))


BUILDERS: dict[str, Builder] = {
    "cardboard box": cardboard_box,
    "wooden crate": wooden_crate,
    "pallet": pallet,
    "suitcase": suitcase,
    "briefcase": briefcase,
    "guitar case": guitar_case,
    "barrel": barrel,
    "gas cylinder": gas_cylinder,
    "jerrycan": jerrycan,
    "tool box": tool_box,
    "basket": basket,
    "shopping bag": shopping_bag,
    "cool box": cool_box,
    "balloon": egg_like,
    "duffel bag": bag("duffel bag", (0.65, 0.32, 0.32), BRIGHT, True),
    "backpack": bag("backpack", (0.34, 0.26, 0.48), BRIGHT, True),
    "rubbish bag": bag(
        "rubbish bag", (0.6, 0.55, 0.55), [(0.012, 0.012, 0.014), (0.02, 0.05, 0.12)], False, "plain", "wet"
    ),
    "sandbag": bag("sandbag", (0.55, 0.35, 0.18), [(0.40, 0.33, 0.22)], False),
    "mail sack": bag("mail sack", (0.7, 0.5, 0.5), [(0.5, 0.47, 0.4), (0.1, 0.15, 0.3)], False),
    "handbag": bag("handbag", (0.34, 0.15, 0.26), LEATHER, True, "plain", "satin"),
    "sleeping bag": bag("sleeping bag", (0.45, 0.28, 0.28), BRIGHT, False),
    "plastic crate": blocks(
        "plastic crate",
        [
            ((0.6, 0.4, 0.02), (0, 0, 0.01)),
            ((0.6, 0.02, 0.3), (0, 0.19, 0.15)),
            ((0.6, 0.02, 0.3), (0, -0.19, 0.15)),
            ((0.02, 0.4, 0.3), (0.29, 0, 0.15)),
            ((0.02, 0.4, 0.3), (-0.29, 0, 0.15)),
            ((0.63, 0.43, 0.02), (0, 0, 0.02)),
        ],
        BRIGHT,
        fallen=0.2,
    ),
    "bucket": turned(
        "bucket",
        [
            (0, 0.01),
            (0.11, 0.0),
            (0.15, 0.3),
            (0.16, 0.3),
            (0.155, 0.31),
            (0.14, 0.3),
            (0.105, 0.02),
            (0, 0.02),
        ],
        BRIGHT,
    ),
    "paint can": turned(
        "paint can",
        [(0, 0), (0.085, 0), (0.085, 0.19), (0.092, 0.2), (0.08, 0.205), (0, 0.2)],
        [STEEL, *BRIGHT[:4]],
    ),
    "flower pot": turned(
        "flower pot",
        [(0, 0), (0.13, 0), (0.19, 0.3), (0.21, 0.3), (0.21, 0.35), (0.185, 0.35), (0.17, 0.29), (0, 0.27)],
        [(0.42, 0.17, 0.09)],
        "matte",
        0.4,
    ),
    "bottle": turned(
        "bottle",
        [(0, 0), (0.036, 0), (0.038, 0.17), (0.015, 0.22), (0.014, 0.28), (0, 0.28)],
        [(0.02, 0.09, 0.03), (0.15, 0.07, 0.02)],
        "glass",
        0.7,
    ),
    "plastic bottle": turned(
        "plastic bottle",
        [
            (0, 0),
            (0.04, 0.0),
            (0.045, 0.02),
            (0.04, 0.1),
            (0.045, 0.18),
            (0.015, 0.25),
            (0.016, 0.28),
            (0, 0.28),
        ],
        CLEAR,
        "wet",
        0.8,
    ),
    "drink can": turned(
        "drink can",
        [(0, 0.004), (0.025, 0), (0.033, 0.01), (0.033, 0.108), (0.027, 0.12), (0, 0.117)],
        BRIGHT,
        "metal",
        0.8,
    ),
    "paper cup": turned(
        "paper cup",
        [(0, 0), (0.03, 0), (0.042, 0.11), (0.045, 0.112), (0.04, 0.112), (0.028, 0.005), (0, 0.005)],
        [(0.7, 0.7, 0.68), (0.4, 0.28, 0.16)],
        "matte",
        0.8,
    ),
    "vase": turned(
        "vase",
        [
            (0, 0),
            (0.08, 0),
            (0.15, 0.16),
            (0.13, 0.3),
            (0.06, 0.38),
            (0.08, 0.45),
            (0.06, 0.45),
            (0.04, 0.38),
            (0, 0.3),
        ],
        BRIGHT,
        "paint",
        0.3,
    ),
    "rubbish bin": turned(
        "rubbish bin",
        [(0, 0), (0.2, 0), (0.25, 0.75), (0.27, 0.76), (0.25, 0.84), (0.1, 0.92), (0, 0.93)],
        [(0.05, 0.12, 0.06), (0.1, 0.1, 0.1), (0.3, 0.3, 0.3)],
        "satin",
        0.6,
    ),
    "milk churn": turned(
        "milk churn",
        [(0, 0), (0.17, 0), (0.17, 0.42), (0.1, 0.55), (0.1, 0.62), (0.13, 0.64), (0.12, 0.68), (0, 0.69)],
        [STEEL],
        "metal",
        0.5,
    ),
}
