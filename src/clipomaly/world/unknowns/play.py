"""Toys, music, clothing, garden figures and food: what people carry on roof racks and lose."""

from __future__ import annotations

import numpy as np

from clipomaly.world.implicit import Bone, skin
from clipomaly.world.mesh import (
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
from clipomaly.world.things import Thing, thing
from clipomaly.world.unknowns.common import (
    BLACK,
    BRIGHT,
    LEATHER,
    STEEL,
    WOODS,
    Builder,
    blocks,
    lying,
    pick,
    sphere,
    turned,
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
