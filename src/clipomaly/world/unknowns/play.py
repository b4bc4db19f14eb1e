"""Sports gear, toys, music, garden and food: what people carry on roof racks and lose."""

from __future__ import annotations

import numpy as np

from clipomaly.world.implicit import Bone, skin
from clipomaly.world.mesh import (
    Mesh,
    ball,
    box,
    cylinder,
    flat,
    join,
    lathe,
    loft,
    rounded_box,
    superellipse,
    torus,
    tube,
)
from clipomaly.world.things import Part, Thing, thing
from clipomaly.world.unknowns.common import (
    BLACK,
    BRIGHT,
    LEATHER,
    STEEL,
    WOODS,
    Builder,
    bars,
    blocks,
    lying,
    pick,
    sphere,
    turned,
)


def _board(name: str, length: float, width: float, thick: float, rocker: float, wheels: bool) -> Builder:
    """Surfboards, snowboards, skateboards, sledges: a plank with round ends."""

    def build(rng: np.random.Generator) -> Thing:
        n, ring = length * rng.uniform(0.88, 1.12), superellipse(1, 1, 2.5, 20)
        rows = []
        for t in np.linspace(-1, 1, 30):
            w = width * (1 - abs(t) ** (2.6 if not wheels else 8)) ** 0.6 + 0.01
            lift = rocker * max(abs(t) - 0.55, 0) ** 2 * 5
            rows.append(
                np.stack(
                    [np.full(20, t * n / 2), ring[:, 0] * w, ring[:, 1] * thick * (1 - t**6 * 0.6) + lift], 1
                )
            )
        body = loft(np.array(rows)[:, ::-1], pick(rng, BRIGHT))
        stripe = np.where(
            (np.abs(body.vertices[:, 1]) < width * 0.1)[:, None], pick(rng, BRIGHT), body.colors
        )
        parts = [Part(Mesh(body.vertices, body.faces, stripe), "paint")]
        if wheels:
            wheel = cylinder(0.028, 0.03, BRIGHT[7], 16).turned(roll=np.pi / 2)
            parts.append(
                Part(
                    join(
                        [
                            wheel.moved((s * n * 0.3, b * width * 0.32 + 0.015, -0.05))
                            for s in (-1, 1)
                            for b in (-1, 1)
                        ]
                    ),
                    "satin",
                )
            )
        t = Thing(name, tuple(parts)).grounded()
        return t.turned(roll=np.pi).grounded() if rng.uniform() < 0.3 else t

    return build


def _boat(name: str, length: float, width: float, depth: float, open_: bool) -> Builder:
    """Kayaks, canoes and rowing boats."""

    def build(rng: np.random.Generator) -> Thing:
        n, c, rows, inner = length * rng.uniform(0.9, 1.1), pick(rng, BRIGHT), [], []
        half = np.linspace(0, np.pi, 16)
        for t in np.linspace(-1, 1, 30):
            w, lift = width / 2 * (1 - abs(t) ** 2.4) + 0.01, depth * 0.5 * abs(t) ** 3
            arc = np.stack(
                [np.full(16, t * n / 2), w * np.cos(half), depth - depth * np.sin(half) ** 0.8 + lift], 1
            )
            deck = np.array(
                [
                    [t * n / 2, -w * 0.5, depth + lift + (0.0 if open_ else 0.06)],
                    [t * n / 2, w * 0.5, depth + lift + (0.0 if open_ else 0.06)],
                ]
            )
            if open_:
                well = arc[::-1] * [0.97, 0.9, 1] + [0, 0, 0.03]
                well[:, 2] = np.minimum(well[:, 2], arc[0, 2])
                rows.append(np.concatenate([arc, well]))
            else:
                rows.append(np.concatenate([arc, deck]))
        hull = loft(np.array(rows), c)
        parts = [Part(hull, "paint")]
        if open_:
            inner = [
                box((0.2, width * 0.75, 0.03), (x, 0, depth * 0.75), WOODS[0])
                for x in (-n * 0.25, 0.0, n * 0.22)
            ]
            parts.append(Part(join(inner), "satin", "wood"))
        else:
            parts.append(
                Part(
                    torus(0.3, 0.03, BLACK, 26, 8).scaled((1.3, 0.7, 1)).moved((0, 0, depth + 0.06)), "satin"
                )
            )
        t = Thing(name, tuple(parts)).grounded()
        return t if rng.uniform() < 0.6 else t.turned(roll=np.pi).grounded()

    return build


def racket(rng: np.random.Generator) -> Thing:
    """A tennis racket."""
    c = pick(rng, BRIGHT)
    rim = torus(0.13, 0.01, c, 36, 8).scaled((1.25, 1, 1)).moved((0, 0, 0.012))
    ends = np.linspace(-0.8, 0.8, 9)
    strings = [
        ((-0.16 * np.sqrt(1 - v * v), 0.13 * v, 0.012), (0.16 * np.sqrt(1 - v * v), 0.13 * v, 0.012))
        for v in ends
    ]
    strings += [
        ((0.16 * v, -0.13 * np.sqrt(1 - v * v), 0.012), (0.16 * v, 0.13 * np.sqrt(1 - v * v), 0.012))
        for v in ends
    ]
    grip = tube([(0.16, 0, 0.012), (0.3, 0, 0.015), (0.5, 0, 0.015)], [0.008, 0.012, 0.016], BLACK, 10)
    return thing(
        "tennis racket", (join([rim, bars(strings, 0.0015, (0.7, 0.7, 0.65), 4)]), "satin"), (grip, "matte")
    )


def dumbbell(rng: np.random.Generator) -> Thing:
    """A bar with plates."""
    n, r = rng.uniform(0.3, 1.4), rng.uniform(0.08, 0.2)
    plates = [
        cylinder(r * f, 0.03, BLACK, 32).moved((0, 0, s * n * 0.42 + o))
        for s in (-1, 1)
        for f, o in ((1, 0), (0.8, 0.035 * s))
    ]
    bar = cylinder(0.014, n, STEEL, 12).moved((0, 0, -n / 2))
    return thing("barbell", (join(plates), "satin"), (bar, "metal")).turned(pitch=np.pi / 2).grounded()


def golf_bag(rng: np.random.Generator) -> Thing:
    """A bag with its clubs, lying."""
    c = pick(rng, BRIGHT)
    body = lathe([(0, 0), (0.13, 0), (0.14, 0.4), (0.13, 0.85), (0.145, 0.87), (0, 0.86)], c, 28)
    clubs = [
        tube([(x, y, 0.5), (x * 1.4, y * 1.4, 1.05 + 0.15 * rng.uniform())], 0.006, STEEL, 6)
        for x, y in rng.uniform(-0.08, 0.08, (8, 2))
    ]
    heads = [rounded_box((0.09, 0.04, 0.05), 0.015, tuple(m.vertices[-1]), BLACK) for m in clubs]
    return (
        thing(
            "golf bag",
            (join([body, rounded_box((0.1, 0.2, 0.4), 0.04, (0.12, 0, 0.4), c * 0.7)]), "satin"),
            (join(clubs), "metal"),
            (join(heads), "satin"),
        )
        .turned(roll=np.pi / 2)
        .grounded()
    )


def tent(rng: np.random.Generator) -> Thing:
    """A ridge tent that has blown here."""
    c, n, w, h = pick(rng, BRIGHT), rng.uniform(1.6, 2.4), rng.uniform(1.2, 1.8), rng.uniform(0.9, 1.3)
    rows = [
        [(x, -w / 2, 0), (x, w / 2, 0), (x, 0.03, h - s), (x, -0.03, h - s)]
        for x, s in ((-n / 2, 0.1), (-n / 4, 0.02), (0, 0.08), (n / 4, 0.02), (n / 2, 0.1))
    ]
    return (
        thing("tent", (flat(loft(np.array(rows)[:, ::-1], c)), "satin", "cloth"))
        .turned(roll=rng.choice([0, 0.3]))
        .grounded()
    )


def _plush(name: str, scale: float, colors: list, ears: str) -> Builder:
    """Stuffed animals, sitting."""

    def build(rng: np.random.Generator) -> Thing:
        c = pick(rng, colors)
        bones = [
            Bone((0, 0, 0.2), (0, 0, 0.3), 0.17, 0.14, c),
            Bone((0.01, 0, 0.5), (0.03, 0, 0.52), 0.14, 0.14, c),
            Bone((0.13, 0, 0.48), (0.16, 0, 0.47), 0.06, 0.05, c * 1.3),
        ]
        for s in (-1, 1):
            bones += [
                Bone((0.05, s * 0.1, 0.1), (0.3, s * 0.16, 0.08), 0.08, 0.07, c),
                Bone((0.02, s * 0.12, 0.34), (0.14, s * 0.26, 0.22), 0.06, 0.05, c),
            ]
            top = (0, s * 0.1, 0.62 if ears == "round" else 0.85)
            bones.append(Bone((0, s * 0.09, 0.6), top, 0.05, 0.045, c * 0.9))
        eyes = join(
            [ball(0.018, (0.15, s * 0.05, 0.55), BLACK, 10) for s in (-1, 1)]
            + [ball(0.022, (0.215, 0, 0.49), BLACK, 10)]
        )
        t = (
            thing(name, (skin(bones, 0.02, 0.02), "matte", "fur"), (eyes, "glass"))
            .scaled(scale * rng.uniform(0.7, 1.5))
            .grounded()
        )
        return t if rng.uniform() < 0.6 else lying(t, rng)

    return build


def toy_car(rng: np.random.Generator) -> Thing:
    """A ride-on car for a child."""
    c = pick(rng, BRIGHT)
    body = [
        rounded_box((0.7, 0.32, 0.2), 0.08, (0, 0, 0.22), c, 4),
        rounded_box((0.25, 0.28, 0.2), 0.06, (-0.1, 0, 0.36), c * 0.8, 4),
    ]
    wheels = [
        cylinder(0.1, 0.07, BLACK, 24).turned(roll=np.pi / 2).moved((x, s * 0.17 + 0.035, 0.1))
        for x in (-0.22, 0.22)
        for s in (-1, 1)
    ]
    return thing(
        "toy car",
        (join(body), "paint"),
        (join([*wheels, torus(0.07, 0.012, BLACK, 20, 8).turned(pitch=0.6).moved((0.05, 0, 0.42))]), "satin"),
    )


def tricycle(rng: np.random.Generator) -> Thing:
    """A child's tricycle."""
    c = pick(rng, BRIGHT)
    frame = [
        tube([(-0.25, 0, 0.2), (0.0, 0, 0.26), (0.25, 0, 0.42)], 0.02, c, 10),
        tube([(0.3, 0, 0.15), (0.24, 0, 0.55)], 0.016, c, 10),
    ]
    frame += [
        tube([(0.22, -0.18, 0.58), (0.24, 0, 0.55), (0.22, 0.18, 0.58)], 0.012, STEEL, 8),
        tube([(-0.25, -0.18, 0.1), (-0.25, 0.18, 0.1)], 0.014, STEEL, 8),
    ]
    wheels = [
        torus(r - 0.02, 0.022, BLACK, 28, 8).turned(roll=np.pi / 2).moved((x, y, r))
        for x, y, r in ((0.3, 0, 0.16), (-0.25, 0.19, 0.1), (-0.25, -0.19, 0.1))
    ]
    t = thing(
        "tricycle",
        (join([*frame, rounded_box((0.22, 0.18, 0.05), 0.02, (-0.12, 0, 0.33), BLACK)]), "paint"),
        (join(wheels), "matte"),
    )
    return t if rng.uniform() < 0.6 else lying(t, rng)


def kick_scooter(rng: np.random.Generator) -> Thing:
    """A kick or electric scooter, mostly fallen."""
    c = pick(rng, [BLACK, STEEL, *BRIGHT[:4]])
    parts = [
        rounded_box((0.6, 0.14, 0.05), 0.02, (-0.05, 0, 0.12), c),
        tube([(0.25, 0, 0.12), (0.42, 0, 0.2), (0.34, 0, 1.05)], 0.022, c, 10),
        tube([(0.34, -0.22, 1.05), (0.34, 0.22, 1.05)], 0.014, BLACK, 8),
    ]
    wheels = [
        torus(0.085, 0.022, BLACK, 28, 8).turned(roll=np.pi / 2).moved((x, 0, 0.11)) for x in (0.44, -0.42)
    ]
    t = thing("scooter", (join(parts), "satin"), (join(wheels), "matte"))
    return t if rng.uniform() < 0.35 else lying(t, rng)


def guitar(rng: np.random.Generator) -> Thing:
    """A guitar on its back."""
    wood = pick(rng, [*WOODS, BRIGHT[0]])
    s = np.linspace(0, 1, 34)
    w = 0.2 * np.exp(-(((s - 0.3) / 0.24) ** 2)) + 0.14 * np.exp(-(((s - 0.8) / 0.17) ** 2))
    w[[0, -1]] *= 0.3
    rows = [
        [(0.48 * t, k, 0), (0.48 * t, k, 0.1), (0.48 * t, -k, 0.1), (0.48 * t, -k, 0)]
        for t, k in zip(s, w, strict=True)
    ]
    neck = [
        box((0.4, 0.05, 0.025), (0.66, 0, 0.105), WOODS[2]),
        box((0.15, 0.08, 0.02), (0.92, 0, 0.1), WOODS[2]),
        cylinder(0.045, 0.003, BLACK, 24).moved((0.3, 0, 0.1)),
        box((0.03, 0.14, 0.012), (0.12, 0, 0.105), WOODS[2]),
    ]
    return thing("guitar", (loft(np.array(rows), wood), "paint"), (join(neck), "satin")).grounded()


def drum(rng: np.random.Generator) -> Thing:
    """A drum, standing or rolled over."""
    r, h, c = rng.uniform(0.16, 0.32), rng.uniform(0.15, 0.4), pick(rng, BRIGHT)
    rings = join([torus(r, 0.012, STEEL, 36, 8).moved((0, 0, z)) for z in (0.01, h)])
    t = thing(
        "drum",
        (cylinder(r, h, c, 36), "paint"),
        (cylinder(r * 0.99, 0.004, (0.7, 0.69, 0.64), 36).moved((0, 0, h)), "satin"),
        (rings, "metal"),
    )
    return t.grounded() if rng.uniform() < 0.5 else lying(t, rng)


def bicycle_trailer(rng: np.random.Generator) -> Thing:
    """A trailer for children, drawn by a bicycle."""
    c = pick(rng, BRIGHT)
    rows = [
        [(x, -w, z0), (x, w, z0), (x, w * 0.8, z1), (x, -w * 0.8, z1)]
        for x, w, z0, z1 in (
            (-0.45, 0.34, 0.25, 0.6),
            (-0.2, 0.36, 0.2, 0.9),
            (0.2, 0.36, 0.2, 0.85),
            (0.45, 0.3, 0.25, 0.4),
        )
    ]
    wheels = [
        torus(0.23, 0.022, BLACK, 30, 8).turned(roll=np.pi / 2).moved((-0.1, s * 0.42, 0.25)) for s in (-1, 1)
    ]
    bar = tube([(0.4, -0.3, 0.25), (0.8, -0.32, 0.25), (1.1, -0.3, 0.4)], 0.015, STEEL, 8)
    return thing(
        "bicycle trailer",
        (flat(loft(np.array(rows)[:, ::-1], c)), "satin", "cloth"),
        (join(wheels), "matte"),
        (bar, "metal"),
    )


def shoe(rng: np.random.Generator) -> Thing:
    """A lost shoe or boot."""
    c, tall = pick(rng, [*BRIGHT, *LEATHER]), rng.uniform() < 0.4
    bones = [
        Bone((-0.08, 0, 0.045), (0.06, 0, 0.04), 0.042, 0.042, c),
        Bone((0.06, 0, 0.04), (0.13, 0, 0.03), 0.042, 0.03, c),
        Bone((-0.09, 0, 0.06), (-0.09, 0, 0.22 if tall else 0.09), 0.04, 0.045, c),
    ]
    sole = loft(
        np.array(
            [
                [(x * 0.125 + 0.02, y * 0.048, z) for x, y in superellipse(2, 2, 2.6, 24)]
                for z in (-0.012, 0.012)
            ]
        ),
        (0.6, 0.6, 0.57) if rng.uniform() < 0.5 else BLACK,
    )
    t = (
        thing("shoe", (skin(bones, 0.008, 0.01), "satin"), (sole, "matte"))
        .scaled(rng.uniform(0.8, 1.2))
        .grounded()
    )
    return t if rng.uniform() < 0.5 else lying(t, rng)


def hat(rng: np.random.Generator) -> Thing:
    """A hat with a brim."""
    c = pick(rng, [*BRIGHT, *LEATHER, (0.5, 0.4, 0.2)])
    body = lathe(
        [
            (0.1, 0.0),
            (0.19, 0.01),
            (0.192, 0.018),
            (0.11, 0.015),
            (0.095, 0.11),
            (0.07, 0.13),
            (0, 0.12),
            (0, 0.11),
            (0.06, 0.11),
            (0.09, 0.0),
            (0.1, 0.0),
        ],
        c,
        36,
    )
    band = lathe([(0.108, 0.02), (0.112, 0.02), (0.106, 0.045), (0.102, 0.045), (0.108, 0.02)], BLACK, 36)
    return thing("hat", (join([body, band]), "matte", "cloth")).turned(roll=rng.choice([0, np.pi])).grounded()


def helmet(rng: np.random.Generator) -> Thing:
    """A hard hat or a crash helmet."""
    c = pick(rng, BRIGHT)
    a = np.linspace(0, np.pi / 2, 10)
    outer = [(0.135 * float(np.cos(t)), 0.15 * float(np.sin(t))) for t in a]
    shell = lathe([(0.15, -0.01), *outer, (0.0, 0.15), (0, 0.13), (0.12, 0.0), (0.15, -0.01)], c, 36).scaled(
        (1.2, 1, 1)
    )
    return (
        thing("helmet", (shell, "paint"), (box((0.06, 0.2, 0.01), (0.19, 0, 0.0), c * 0.8), "satin"))
        .turned(roll=rng.choice([0, 2.6]))
        .grounded()
    )


BUILDERS: dict[str, Builder] = {
    "football": sphere("football", 0.11, [(0.7, 0.7, 0.7)], [(0.02, 0.02, 0.02)]),
    "basketball": sphere("basketball", 0.12, [(0.5, 0.17, 0.04)], [(0.4, 0.13, 0.03)]),
    "beach ball": sphere("beach ball", 0.22, [(0.7, 0.7, 0.68)], BRIGHT),
    "exercise ball": sphere("exercise ball", 0.34, BRIGHT),
    "tennis ball": sphere("tennis ball", 0.034, [(0.5, 0.6, 0.05)], surface="matte"),
    "rugby ball": sphere("rugby ball", 0.095, [(0.35, 0.15, 0.07), (0.7, 0.7, 0.68)], stretch=1.5),
    "bowling pin": turned(
        "bowling pin",
        [(0, 0), (0.03, 0), (0.06, 0.12), (0.025, 0.25), (0.033, 0.34), (0.02, 0.38), (0, 0.385)],
        [(0.74, 0.73, 0.7)],
        "paint",
        0.7,
    ),
    "surfboard": _board("surfboard", 2.2, 0.5, 0.06, 0.16, False),
    "snowboard": _board("snowboard", 1.55, 0.27, 0.012, 0.12, False),
    "ski": _board("ski", 1.7, 0.08, 0.014, 0.14, False),
    "skateboard": _board("skateboard", 0.8, 0.2, 0.014, 0.1, True),
    "kayak": _boat("kayak", 3.2, 0.6, 0.28, False),
    "rowing boat": _boat("rowing boat", 3.4, 1.3, 0.5, True),
    "tennis racket": racket,
    "barbell": dumbbell,
    "golf bag": golf_bag,
    "tent": tent,
    "teddy bear": _plush("teddy bear", 0.7, [(0.30, 0.18, 0.08), (0.45, 0.35, 0.22)], "round"),
    "toy rabbit": _plush("toy rabbit", 0.6, [(0.6, 0.4, 0.42), (0.6, 0.58, 0.54)], "long"),
    "toy car": toy_car,
    "tricycle": tricycle,
    "scooter": kick_scooter,
    "guitar": guitar,
    "drum": drum,
    "bicycle trailer": bicycle_trailer,
    "shoe": shoe,
    "hat": hat,
    "helmet": helmet,
    "watermelon": sphere("watermelon", 0.14, [(0.06, 0.16, 0.04)], [(0.12, 0.25, 0.08)], stretch=1.25),
    "garden gnome": turned(
        "garden gnome",
        [(0, 0), (0.12, 0), (0.13, 0.15), (0.09, 0.24), (0.08, 0.3), (0.085, 0.32), (0.0, 0.52)],
        [(0.5, 0.04, 0.03), (0.05, 0.15, 0.4)],
        "paint",
        0.4,
    ),
    "statue": turned(
        "statue",
        [
            (0, 0),
            (0.3, 0),
            (0.3, 0.15),
            (0.2, 0.2),
            (0.16, 0.6),
            (0.24, 1.0),
            (0.1, 1.12),
            (0.13, 1.3),
            (0.08, 1.42),
            (0, 1.43),
        ],
        [(0.5, 0.49, 0.46), (0.15, 0.2, 0.16)],
        "matte",
        0.4,
    ),
    "chess board": blocks(
        "chess board",
        [
            ((0.5, 0.5, 0.02), (0, 0, 0.01)),
            ((0.42, 0.42, 0.006), (0, 0, 0.022)),
            ((0.05, 0.42, 0.008), (0.1, 0, 0.023)),
            ((0.05, 0.42, 0.008), (-0.1, 0, 0.023)),
        ],
        WOODS,
    ),
}
