"""The unknowns: things that belong on no road and on no apron, each by name, each in many builds.

`UNKNOWNS` maps a name to a builder `rng → Thing`, in metres, standing on z = 0, in the pose in which such a
thing would lie there. Families share a shape and differ in proportion, material and colour.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clipomaly.world import creatures
from clipomaly.world.implicit import Bone, skin
from clipomaly.world.mesh import (
    Mesh,
    ball,
    box,
    cylinder,
    flat,
    grid_faces,
    join,
    lathe,
    loft,
    make,
    rounded_box,
    superellipse,
    torus,
    tube,
)
from clipomaly.world.things import Part, Thing, thing

Builder = Callable[[np.random.Generator], Thing]
Color = tuple[float, float, float]

BRIGHT: list[Color] = [
    (0.50, 0.03, 0.03), (0.03, 0.10, 0.40), (0.55, 0.42, 0.03), (0.03, 0.25, 0.08), (0.55, 0.20, 0.02),
    (0.30, 0.05, 0.25), (0.05, 0.30, 0.32), (0.60, 0.60, 0.58), (0.03, 0.03, 0.035), (0.55, 0.25, 0.32),
]  # fmt: skip
WOODS: list[Color] = [(0.33, 0.21, 0.11), (0.42, 0.30, 0.17), (0.20, 0.12, 0.06), (0.48, 0.38, 0.25)]
STEEL: Color = (0.42, 0.42, 0.43)
RUST: Color = (0.22, 0.09, 0.04)
BLACK: Color = (0.015, 0.015, 0.016)


def _pick(rng: np.random.Generator, colors: list[Color]) -> np.ndarray:
    return np.clip(np.array(colors[rng.integers(len(colors))]) * rng.uniform(0.8, 1.2, 3), 0.01, 0.9)


def _lying(t: Thing, rng: np.random.Generator) -> Thing:
    """Fallen on its side."""
    return t.turned(roll=np.pi / 2 * rng.choice([-1, 1])).grounded()


# ---- boxes and bags ----------------------------------------------------------------------------------------


def cardboard_box(rng: np.random.Generator) -> Thing:
    """A carton, closed or with its flaps open."""
    x, y, z = rng.uniform(0.3, 0.8, 3)
    card = np.array([0.40, 0.27, 0.15]) * rng.uniform(0.85, 1.15)
    t = 0.008
    walls = [box((x, t, z), (0, s * y / 2, z / 2), card) for s in (-1, 1)] + [
        box((t, y, z), (s * x / 2, 0, z / 2), card) for s in (-1, 1)
    ]
    walls.append(box((x, y, t), (0, 0, t / 2 + 0.002), card * 0.8))
    if rng.uniform() < 0.5:
        for s in (-1, 1):
            walls.append(box((x, y / 2, t), (0, y / 4, 0), card * 1.05).turned(roll=rng.uniform(0.5, 2.4)).moved((0, y / 2, z)) if s > 0
                         else box((x, y / 2, t), (0, -y / 4, 0), card).turned(roll=-rng.uniform(0.3, 2.0)).moved((0, -y / 2, z)))  # fmt: skip
    else:
        walls.append(box((x, y, t), (0, 0, z), card * 1.03))
        walls.append(box((x + 0.004, 0.06, t + 0.003), (0, 0, z + 0.001), (0.50, 0.38, 0.20)))
    walls.append(box((0.12, t, 0.08), (x * 0.2, -y / 2 - 0.002, z * 0.6), (0.65, 0.65, 0.6)))
    return thing("cardboard box", (join(walls), "matte", "plain"))


def wooden_crate(rng: np.random.Generator) -> Thing:
    """Slats on corner posts."""
    x, y, z = rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.7), rng.uniform(0.35, 0.7)
    wood = _pick(rng, WOODS)
    n = int(rng.integers(3, 6))
    parts = [
        box((0.06, 0.06, z), (sx * (x / 2 - 0.04), sy * (y / 2 - 0.04), z / 2), wood * 0.8)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    for k in range(n):
        h = z / n * 0.78
        c = (k + 0.5) * z / n
        parts += [box((x, 0.02, h), (0, s * y / 2, c), wood * rng.uniform(0.8, 1.15)) for s in (-1, 1)]
        parts += [box((0.02, y, h), (s * x / 2, 0, c), wood * rng.uniform(0.8, 1.15)) for s in (-1, 1)]
    parts.append(box((x, y, 0.02), (0, 0, 0.02), wood * 0.7))
    return thing("wooden crate", (join(parts), "matte", "wood"))


def pallet(rng: np.random.Generator) -> Thing:
    """A euro pallet, sometimes a small stack or standing askew."""
    wood = _pick(rng, WOODS)
    one: list[Mesh] = []
    for y in (-0.35, 0, 0.35):
        one += [box((0.1 if x else 0.14, 0.1, 0.078), (x, y, 0.061), wood * 0.85) for x in (-0.5, 0, 0.5)]
        one.append(box((1.2, 0.1, 0.022), (0, y, 0.011), wood * 0.9))
    for k in range(5):
        one.append(box((1.2, 0.125, 0.022), (0, -0.34 + k * 0.17, 0.133), wood * rng.uniform(0.8, 1.15)))
    one += [box((0.12, 0.8, 0.022), (x, 0, 0.111), wood) for x in (-0.5, 0, 0.5)]
    stack = [
        join(one).turned(yaw=rng.normal(0, 0.04)).moved((0, 0, 0.145 * k))
        for k in range(int(rng.integers(1, 4)))
    ]
    return thing("pallet", (join(stack), "matte", "wood"))


def suitcase(rng: np.random.Generator) -> Thing:
    """A trolley case, standing or fallen."""
    w, d, h = rng.uniform(0.38, 0.5), rng.uniform(0.22, 0.32), rng.uniform(0.5, 0.78)
    color = _pick(rng, BRIGHT)
    parts: list[Part] = [Part(rounded_box((d, w, h), 0.05, (0, 0, h / 2 + 0.05), color, 4), "satin", "plain")]
    if rng.uniform() < 0.6:
        ribs = [
            box((d + 0.012, 0.012, h * 0.82), (0, y, h / 2 + 0.05), color * 0.8)
            for y in np.linspace(-w * 0.36, w * 0.36, 7)
        ]
        parts.append(Part(join(ribs), "satin"))
    belt = [
        rounded_box((0.02, w + 0.012, h + 0.01), 0.009, (0, 0, h / 2 + 0.05), color * 0.35),
        box((0.03, 0.14, 0.025), (0, 0, h + 0.075), BLACK),
    ]
    belt += [
        cylinder(0.03, 0.03, BLACK, 14)
        .turned(roll=np.pi / 2)
        .moved((sx * d * 0.32, sy * w * 0.36 + 0.015, 0.03))
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    parts.append(Part(join(belt), "satin"))
    if rng.uniform() < 0.5:
        rods = [tube([(-d * 0.4, y, h), (-d * 0.4, y, h + 0.4)], 0.009, STEEL, 8) for y in (-0.1, 0.1)]
        parts.append(Part(join([*rods, box((0.03, 0.24, 0.03), (-d * 0.4, 0, h + 0.41), BLACK)]), "metal"))
    t = Thing("suitcase", tuple(parts))
    return t if rng.uniform() < 0.45 else t.turned(pitch=np.pi / 2 * rng.choice([-1, 1])).grounded()


def _bag(
    name: str,
    size: tuple[float, float, float],
    colors: list[Color],
    straps: bool,
    grain: str = "cloth",
    surface: str = "matte",
) -> Builder:
    """A soft body with dents, with or without straps."""

    def build(rng: np.random.Generator) -> Thing:
        x, y, z = np.array(size) * rng.uniform(0.8, 1.2, 3)
        color = _pick(rng, colors)
        seed = rng.uniform(0, 20, 6)
        bones = [Bone((sx * x * 0.26, sy * y * 0.2, z * h), (-sx * x * 0.2, sy * y * 0.22, z * h), min(y, z) * 0.3, min(y, z) * 0.28, color * t)
                 for sx, sy in ((1, 1), (1, -1)) for h, t in ((0.32, 0.95), (0.62, 1.05))]  # fmt: skip
        wave = 9 / max(size)
        body = skin(
            bones,
            max(size) * 0.028,
            min(size) * 0.22,
            lambda p: (
                0.035
                * max(size)
                * (np.sin(p * wave * 2.1 + seed[:3]).prod(1) + 0.5 * np.sin(p * wave * 5 + seed[3:]).prod(1))
            ),
        )
        low, high = body.bounds
        body = body.moved((0, 0, -low[2])).scaled(
            (x / (high[0] - low[0]), y / (high[1] - low[1]), z / (high[2] - low[2]))
        )
        parts = [Part(body, surface, grain)]
        if straps:
            a = np.linspace(0, np.pi, 14)
            for s in (-1, 1):
                arc = np.stack(
                    [x * 0.28 * np.cos(a), np.full(14, s * y * 0.22), z * 0.88 + 0.34 * z * np.sin(a)], 1
                )
                parts.append(Part(tube(arc, 0.014, color * 0.5, 8), "matte", "cloth"))
        return Thing(name, tuple(parts)).grounded()

    return build


# ---- furniture ---------------------------------------------------------------------------------------------

FABRICS: list[Color] = [
    (0.30, 0.10, 0.07),
    (0.12, 0.14, 0.18),
    (0.35, 0.30, 0.22),
    (0.08, 0.16, 0.10),
    (0.40, 0.36, 0.32),
    (0.20, 0.13, 0.08),
]


def _sofa(name: str, seats: int) -> Builder:
    def build(rng: np.random.Generator) -> Thing:
        c = _pick(rng, FABRICS)
        w, d = 0.62 * seats + 0.1, rng.uniform(0.8, 0.95)
        parts = [
            rounded_box((d, w, 0.3), 0.05, (0, 0, 0.22), c),
            rounded_box((0.24, w, rng.uniform(0.5, 0.62)), 0.09, (-d / 2 + 0.12, 0, 0.58), c * 0.95, 4),
        ]
        parts += [
            rounded_box((d, 0.2, 0.36), 0.08, (0, s * (w / 2 + 0.06), 0.42), c * 0.92, 4) for s in (-1, 1)
        ]
        for k in range(seats):
            y = (k - (seats - 1) / 2) * 0.62
            parts.append(
                rounded_box((d * 0.72, 0.6, 0.17), 0.06, (0.08, y, 0.44), c * rng.uniform(0.98, 1.12), 4)
            )
            parts.append(
                rounded_box((0.17, 0.58, 0.4), 0.07, (0, 0, 0), c * rng.uniform(0.95, 1.1), 4)
                .turned(pitch=-0.2)
                .moved((-d / 2 + 0.3, y, 0.68))
            )
        feet = [
            cylinder(0.025, 0.09, WOODS[2], 10).moved((sx * d * 0.4, sy * w * 0.45, 0))
            for sx in (-1, 1)
            for sy in (-1, 1)
        ]
        return thing(name, (join(parts), "matte", "cloth"), (join(feet), "satin"))

    return build


def chair(rng: np.random.Generator) -> Thing:
    """A kitchen chair, upright or fallen."""
    wood = _pick(rng, WOODS + BRIGHT[:2])
    legs = [
        tube([(sx * 0.2, sy * 0.2, 0), (sx * 0.18, sy * 0.18, 0.45)], 0.02, wood, 8)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    back = [tube([(-0.18, s * 0.18, 0.45), (-0.26, s * 0.18, 0.92)], 0.018, wood, 8) for s in (-1, 1)]
    slats = [
        rounded_box((0.025, 0.4, 0.07), 0.012, (-0.2 - 0.08 * k / 3, 0, 0.6 + 0.11 * k), wood)
        for k in range(3)
    ]
    rungs = [tube([(s * 0.19, -0.19, 0.2), (s * 0.19, 0.19, 0.2)], 0.011, wood, 6) for s in (-1, 1)]
    t = thing(
        "chair",
        (
            join([*legs, *back, *slats, *rungs, rounded_box((0.44, 0.44, 0.035), 0.015, (0, 0, 0.46), wood)]),
            "satin",
            "wood",
        ),
    )
    return t if rng.uniform() < 0.35 else _lying(t, rng)


def table(rng: np.random.Generator) -> Thing:
    """A table, upright or on its side."""
    wood = _pick(rng, WOODS)
    x, y = rng.uniform(1.0, 1.6), rng.uniform(0.6, 0.9)
    legs = [
        box((0.06, 0.06, 0.7), (sx * (x / 2 - 0.07), sy * (y / 2 - 0.07), 0.35), wood * 0.9)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    t = thing(
        "table",
        (
            join(
                [
                    *legs,
                    rounded_box((x, y, 0.04), 0.012, (0, 0, 0.72), wood),
                    box((x - 0.2, y - 0.2, 0.08), (0, 0, 0.66), wood * 0.85),
                ]
            ),
            "satin",
            "wood",
        ),
    )
    return t if rng.uniform() < 0.4 else _lying(t, rng)


def mattress(rng: np.random.Generator) -> Thing:
    """A mattress, flat on the ground or bent."""
    c = np.array([0.55, 0.53, 0.48]) * rng.uniform(0.8, 1.1)
    m = rounded_box((2.0, rng.uniform(0.9, 1.6), 0.22), 0.07, (0, 0, 0.11), c, 4)
    piping = [
        rounded_box((2.01, m.bounds[1, 1] * 2 + 0.01, 0.02), 0.009, (0, 0, z), c * 0.5) for z in (0.05, 0.17)
    ]
    t = thing("mattress", (m, "matte", "cloth"), (join(piping), "matte"))
    return t if rng.uniform() < 0.6 else t.turned(pitch=rng.uniform(0.1, 0.3)).grounded()


def refrigerator(rng: np.random.Generator) -> Thing:
    """A fridge, mostly fallen."""
    h = rng.uniform(1.2, 1.8)
    c = np.array([(0.75, 0.75, 0.73), (0.35, 0.36, 0.37), (0.6, 0.58, 0.5)][rng.integers(3)])
    t = thing("refrigerator", (rounded_box((0.6, 0.6, h), 0.02, (0, 0, h / 2), c), "paint"), (join([box((0.012, 0.6, 0.012), (0.301, 0, h * 0.66), BLACK), box((0.02, 0.025, 0.3), (0.33, 0.24, h * 0.45), STEEL), box((0.02, 0.025, 0.2), (0.33, 0.24, h * 0.78), STEEL)]), "metal"))  # fmt: skip
    return t if rng.uniform() < 0.4 else t.turned(pitch=np.pi / 2 * rng.choice([-1, 1])).grounded()


def washing_machine(rng: np.random.Generator) -> Thing:
    """A front loader."""
    c = np.array([0.74, 0.74, 0.73]) * rng.uniform(0.8, 1.05)
    door = cylinder(0.19, 0.04, (0.5, 0.5, 0.5), 32).turned(pitch=np.pi / 2).moved((0.29, 0, 0.45))
    glass = ball((0.06, 0.15, 0.15), (0.31, 0, 0.45), (0.02, 0.02, 0.025), 24)
    return thing(
        "washing machine",
        (rounded_box((0.58, 0.6, 0.85), 0.02, (0, 0, 0.425), c), "paint"),
        (door, "metal"),
        (glass, "glass"),
        (box((0.01, 0.56, 0.1), (0.292, 0, 0.78), (0.12, 0.12, 0.13)), "satin"),
    )


# ---- wheels, tools, building stuff -----------------------------------------------------------------------


def tyre(rng: np.random.Generator) -> Thing:
    """A tyre, flat, leaning, or a small stack."""
    r, w = rng.uniform(0.28, 0.5), rng.uniform(0.18, 0.3)
    profile = np.array(
        [
            (0.62, -0.42),
            (0.75, -0.5),
            (0.94, -0.46),
            (1.0, -0.32),
            (1.0, 0.32),
            (0.94, 0.46),
            (0.75, 0.5),
            (0.62, 0.42),
            (0.66, 0.0),
            (0.62, -0.42),
        ]
    )
    body = lathe([(float(a) * r, float(b) * w) for a, b in profile], (0.022, 0.022, 0.024), 56)
    treads = [
        box((0.012, w * 0.26, 0.018), (r, s * w * 0.2, 0), (0.03, 0.03, 0.03))
        .turned(roll=0.0)
        .turned(roll=np.pi / 2)
        .turned(yaw=a)
        for a in np.arange(44) * 2 * np.pi / 44
        for s in (-1, 1)
    ]
    one = join([body, *treads])
    if rng.uniform() < 0.3:
        rim = cylinder(r * 0.64, w * 0.5, RUST if rng.uniform() < 0.4 else STEEL, 32).moved((0, 0, -w * 0.3))
        one_parts = [Part(one, "matte", "dirty"), Part(rim, "metal", "dirty")]
    else:
        one_parts = [Part(one, "matte", "dirty")]
    t = Thing("tyre", tuple(one_parts)).grounded()
    pose = rng.uniform()
    if pose < 0.25:
        return t.turned(roll=np.pi / 2 + rng.uniform(-0.12, 0.12)).grounded()
    if pose < 0.45:
        return Thing(
            "tyre", t.parts + t.moved((rng.normal(0, 0.05), rng.normal(0, 0.05), w)).parts
        ).grounded()
    return t


def ladder(rng: np.random.Generator) -> Thing:
    """A fallen aluminium or wooden ladder."""
    length = rng.uniform(2.2, 4.0)
    c = STEEL if rng.uniform() < 0.7 else WOODS[1]
    rails = [rounded_box((length, 0.03, 0.07), 0.008, (0, s * 0.2, 0.05), c) for s in (-1, 1)]
    rungs = [
        tube([(x, -0.2, 0.05), (x, 0.2, 0.05)], 0.016, c, 10)
        for x in np.arange(-length / 2 + 0.2, length / 2 - 0.1, 0.28)
    ]
    t = thing("ladder", (join([*rails, *rungs]), "metal" if c == STEEL else "matte"))
    return t.turned(roll=rng.uniform(0.0, 0.4) * rng.integers(0, 2)).grounded()


def rock(rng: np.random.Generator) -> Thing:
    """A boulder with cleft faces."""
    size = rng.uniform(0.15, 0.6)
    planes = rng.normal(size=(14, 3))
    planes /= np.linalg.norm(planes, axis=1, keepdims=True)
    cut = rng.uniform(0.55, 0.95, 14) * size
    seed = rng.uniform(0, 30, 3)
    from clipomaly.world.implicit import surface_nets

    def distance(p: np.ndarray) -> np.ndarray:
        d = (p @ planes.T - cut).max(1)
        return (
            d
            + 0.05 * size * np.sin(p * (7 / size) + seed).prod(1)
            + 0.02 * size * np.sin(p * (23 / size) + seed).prod(1)
        )

    span = np.full(3, size * 1.9)
    mesh = surface_nets(distance, -span, span, size / 16)
    color = np.array(
        [(0.24, 0.22, 0.20), (0.32, 0.29, 0.25), (0.16, 0.16, 0.16), (0.30, 0.24, 0.18)][rng.integers(4)]
    )
    return thing(
        "rock", (mesh.painted(color).scaled((1.2, 1.0, rng.uniform(0.6, 0.9))), "matte", "rough")
    ).grounded()


def rubble(rng: np.random.Generator) -> Thing:
    """Bricks and lumps of concrete in a heap."""
    parts = []
    for _ in range(int(rng.integers(14, 30))):
        r = rng.exponential(0.28)
        c = np.array(BRICKS[rng.integers(3)])
        b = box(rng.uniform(0.07, 0.22, 3), (0, 0, 0), c).turned(*rng.uniform(-3, 3, 3))
        a = rng.uniform(0, 2 * np.pi)
        parts.append(b.moved((r * np.cos(a), r * np.sin(a), max(0.05, 0.32 - r * 0.5) * rng.uniform(0.3, 1))))
    return thing("rubble", (join(parts), "matte", "rough")).grounded()


BRICKS: list[Color] = [(0.32, 0.11, 0.07), (0.36, 0.34, 0.31), (0.25, 0.09, 0.06)]


def barrel(rng: np.random.Generator) -> Thing:
    """An oil drum, upright or rolled over."""
    c = _pick(rng, BRIGHT[:5])
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
    t = thing("barrel", (lathe(profile, c, 40), "satin", "dirty"))
    return t if rng.uniform() < 0.5 else _lying(t, rng)


def gas_cylinder(rng: np.random.Generator) -> Thing:
    """A gas bottle."""
    c, h = _pick(rng, BRIGHT[:5]), rng.uniform(0.6, 1.3)
    a = np.linspace(0, np.pi / 2, 7)
    dome = [(0.14 * float(np.cos(t)) + 0.02, h + 0.12 * float(np.sin(t))) for t in a]
    body = lathe([(0, 0.0), (0.14, 0.0), (0.16, 0.04), *dome, (0.0, h + 0.12)], c, 32)
    neck = join(
        [
            cylinder(0.03, 0.12, STEEL, 12).moved((0, 0, h + 0.1)),
            torus(0.09, 0.012, STEEL, 20, 8).moved((0, 0, h + 0.22)),
        ]
    )
    t = thing("gas cylinder", (body, "paint"), (neck, "metal"))
    return t if rng.uniform() < 0.35 else _lying(t, rng)


def tool_box(rng: np.random.Generator) -> Thing:
    """A steel or plastic tool box with a handle."""
    c = _pick(rng, BRIGHT[:5])
    x = rng.uniform(0.4, 0.6)
    y, z = x * 0.42, x * 0.45
    parts = [
        rounded_box((x, y, z), 0.02, (0, 0, z / 2), c),
        rounded_box((x + 0.01, y + 0.01, 0.03), 0.01, (0, 0, z * 0.62), c * 0.4),
    ]
    dark = [tube([(-0.1, 0, z), (-0.1, 0, z + 0.07), (0.1, 0, z + 0.07), (0.1, 0, z)], 0.012, BLACK, 8)]
    dark += [box((0.04, 0.02, 0.07), (s * x * 0.3, -y / 2 - 0.005, z * 0.6), STEEL) for s in (-1, 1)]
    return thing("tool box", (join(parts), "paint"), (join(dark), "metal"))


def wrench(rng: np.random.Generator) -> Thing:
    """An open spanner left on the ground."""
    n = rng.uniform(0.22, 0.4)
    head = lambda x, s: torus(0.028 * s, 0.012 * s, STEEL, 24, 8).moved((x, 0, 0.012))  # noqa: E731
    return thing(
        "wrench",
        (
            join(
                [
                    rounded_box((n, 0.028, 0.012), 0.005, (0, 0, 0.012), STEEL),
                    head(n / 2, 1.1),
                    head(-n / 2, 1.0),
                ]
            ),
            "metal",
        ),
    )


def hammer(rng: np.random.Generator) -> Thing:
    """A claw hammer lying flat."""
    handle = tube([(0, 0, 0.02), (0.32, 0, 0.02)], [0.014, 0.017], _pick(rng, WOODS + BRIGHT[:2]), 10)
    head = join(
        [
            box((0.03, 0.11, 0.03), (0, 0, 0.02), (0.12, 0.12, 0.12)),
            cylinder(0.018, 0.03, (0.15,) * 3, 16).turned(roll=np.pi / 2).moved((0, -0.05, 0.02)),
        ]
    )
    return thing("hammer", (handle, "satin"), (head, "metal"))


def bolt(rng: np.random.Generator) -> Thing:
    """A hexagon bolt, a few centimetres long."""
    d = rng.uniform(0.01, 0.02)
    shank = cylinder(d * 0.6, d * 5, STEEL, 16)
    ridges = [torus(d * 0.6, d * 0.09, STEEL, 16, 6).moved((0, 0, z)) for z in np.arange(d, d * 4.6, d * 0.3)]
    t = thing(
        "bolt",
        (join([shank, *ridges, flat(cylinder(d * 1.15, d * 0.8, STEEL, 6)).moved((0, 0, d * 5))]), "metal"),
    )
    return _lying(t, rng)


# ---- sheets, straps and litter ----------------------------------------------------------------------------


def _sheet(name: str, size: float, colors: list[Color], crumple: float, surface: str = "satin") -> Builder:
    """A thin sheet, crumpled by folds along random lines; two-sided, a hand's breadth high."""

    def build(rng: np.random.Generator) -> Thing:
        n = 46
        s = size * rng.uniform(0.7, 1.3)
        u, v = np.meshgrid(np.linspace(-0.5, 0.5, n), np.linspace(-0.5, 0.5, n), indexing="ij")
        x, y, z = u.copy(), v.copy() * rng.uniform(0.5, 1.0), np.zeros_like(u)
        for _ in range(16):
            a = rng.uniform(0, 2 * np.pi)
            along = u * np.cos(a) + v * np.sin(a) - rng.uniform(-0.45, 0.45)
            sharp = rng.uniform(8, 26)
            z += (
                rng.uniform(0.3, 1.0)
                * crumple
                * np.exp(-np.abs(along) * sharp)
                * (0.4 + np.sin((u * np.sin(a) - v * np.cos(a)) * rng.uniform(3, 9) + rng.uniform(0, 6)) ** 2)
            )
            x -= 0.02 * crumple * 4 * np.tanh(along * sharp) * np.cos(a)
            y -= 0.02 * crumple * 4 * np.tanh(along * sharp) * np.sin(a)
        edge = np.minimum(1, 7 * (0.5 - np.maximum(np.abs(u), np.abs(v))))
        z = z * (0.35 + 0.65 * edge)
        top = np.stack([x, y, z - z.min() + 0.004], -1) * s
        vertices = np.concatenate([top.reshape(-1, 3), (top - [0, 0, 0.003]).reshape(-1, 3)])
        faces = grid_faces(n, n)[:, ::-1]
        rim = np.concatenate(
            [
                np.arange(n),
                np.arange(n, n * n, n) + n - 1,
                np.arange(n * n - 2, n * n - n - 1, -1),
                np.arange(n * n - 2 * n, 0, -n),
            ]
        )
        nxt = np.roll(rim, -1)
        wall = np.concatenate(
            [np.stack([rim, nxt, nxt + n * n], 1), np.stack([rim, nxt + n * n, rim + n * n], 1)]
        )
        c = _pick(rng, colors)
        mesh = make(vertices, np.concatenate([faces, faces[:, ::-1] + n * n, wall]), c)
        return thing(name, (mesh, surface, "plain")).grounded()

    return build


def strap(rng: np.random.Generator) -> Thing:
    """A lashing strap in loose loops."""
    c = _pick(rng, BRIGHT[:5])
    t = np.linspace(0, 1, 120)
    turns = rng.uniform(1.5, 4)
    r = rng.uniform(0.15, 0.35) * (0.5 + t)
    x, y = (
        r * np.cos(t * turns * 6.28) + 0.5 * t**2 * rng.choice([-1, 1]),
        r * np.sin(t * turns * 6.28) * rng.uniform(0.5, 1),
    )
    z = 0.006 + 0.012 * t + 0.01 * np.sin(t * 21) ** 2
    path = np.stack([x, y, z], 1)
    step = np.gradient(path, axis=0)
    side = np.cross(step, [0, 0, 1.0])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    w = 0.024
    section = np.stack(
        [path + side * w, path + side * w + [0, 0, 0.003], path - side * w + [0, 0, 0.003], path - side * w],
        1,
    )
    ribbon = loft(section[:, ::-1], c)
    return thing(
        "strap",
        (ribbon, "matte", "cloth"),
        (box((0.09, 0.06, 0.03), tuple(path[0] + [0, 0, 0.015]), STEEL), "metal"),
    ).grounded()


def branch(rng: np.random.Generator) -> Thing:
    """A broken branch with some leaves."""
    from clipomaly.world.nature import BARK, GREENS, leaves

    length = rng.uniform(1.2, 3.5)
    bark = BARK[rng.integers(len(BARK))]
    bend = rng.normal(0, 0.12, (6, 2)).cumsum(0)
    path = np.stack(
        [np.linspace(-length / 2, length / 2, 6), bend[:, 0] * length * 0.3, 0.08 + np.abs(bend[:, 1]) * 0.2],
        1,
    )
    parts = [Part(tube(path, np.linspace(0.055, 0.012, 6) * length / 2, bark, 9), "matte", "rough")]
    tips = []
    for k in range(int(rng.integers(7, 13))):
        t = rng.uniform(0.25, 1.0)
        root = path[int(t * 5)]
        tip = (
            root
            + np.array(
                [
                    rng.uniform(0.1, 0.4),
                    rng.choice([-1, 1]) * rng.uniform(0.15, 0.5),
                    rng.uniform(-0.05, 0.35),
                ]
            )
            * length
            * 0.5
        )
        tip[2] = max(tip[2], 0.02)
        parts.append(
            Part(
                tube([root, (root + tip) / 2 + [0, 0, 0.04], tip], [0.014, 0.009, 0.003], bark, 6),
                "matte",
                "rough",
            )
        )
        tips += [root * (1 - u) + tip * u for u in rng.uniform(0.3, 1.1, 60)]
    if rng.uniform() < 0.75:
        p = np.array(tips) + rng.normal(0, 0.06, (len(tips), 3))
        p[:, 2] = np.maximum(p[:, 2], 0.01)
        parts.append(
            Part(
                leaves(
                    p,
                    rng.uniform(0.02, 0.05, len(p)),
                    np.array(GREENS[rng.integers(6)]) * rng.uniform(0.6, 1.3, (len(p), 1)),
                    rng,
                ),
                "matte",
            )
        )
    return Thing("branch", tuple(parts)).grounded()


def log(rng: np.random.Generator) -> Thing:
    """A tree trunk, sawn off."""
    n, r = rng.uniform(0.8, 3.0), rng.uniform(0.1, 0.28)
    x = np.linspace(-n / 2, n / 2, 12)
    path = np.stack([x, 0.04 * np.sin(x * 2), np.full(12, r)], 1)
    bark = tube(path, r * rng.uniform(0.94, 1.04, 12), (0.13, 0.10, 0.07), 18)
    ends = [
        cylinder(r * 0.93, 0.02, (0.45, 0.33, 0.19), 18)
        .turned(pitch=np.pi / 2)
        .moved((s * n / 2 - 0.01 + s * 0.006, 0.04 * np.sin(s * n), r))
        for s in (-1, 1)
    ]
    return thing("log", (bark, "matte", "rough"), (join(ends), "matte", "wood")).grounded()


def plank(rng: np.random.Generator) -> Thing:
    """A few boards, thrown about."""
    wood = _pick(rng, WOODS)
    boards = [
        box((rng.uniform(1.2, 2.6), 0.14, 0.025), (0, 0, 0.014 + 0.026 * k), wood * rng.uniform(0.8, 1.2))
        .turned(yaw=rng.normal(0, 0.5))
        .moved((rng.normal(0, 0.2), rng.normal(0, 0.15), 0))
        for k in range(int(rng.integers(1, 5)))
    ]
    return thing("plank", (join(boards), "matte", "wood")).grounded()


def _turned(
    name: str,
    profile: list[tuple[float, float]],
    colors: list[Color],
    surface: str = "satin",
    lying: float = 0.5,
    spread: float = 0.2,
) -> Builder:
    """Anything turned about an axis: bottles, buckets, vases, bins, pots."""

    def build(rng: np.random.Generator) -> Thing:
        k, f = rng.uniform(1 - spread, 1 + spread), rng.uniform(0.85, 1.15)
        t = thing(
            name, (lathe([(r * k * f, z * k) for r, z in profile], _pick(rng, colors), 36), surface, "plain")
        )
        return _lying(t, rng) if rng.uniform() < lying else t

    return build


def _sphere(
    name: str, radius: float, colors: list[Color], second: list[Color] | None = None, surface: str = "satin"
) -> Builder:
    """A ball; with `second`, in panels of two colours."""

    def build(rng: np.random.Generator) -> Thing:
        r = radius * rng.uniform(0.85, 1.15)
        mesh = ball(r, (0, 0, r), _pick(rng, colors), 40)
        if second is not None:
            p = (mesh.vertices - [0, 0, r]) / r
            hubs = rng.normal(size=(12, 3))
            golden = np.arange(12) + 0.5
            z = 1 - 2 * golden / 12
            a = np.pi * (1 + 5**0.5) * golden
            hubs = np.stack([np.sqrt(1 - z * z) * np.cos(a), np.sqrt(1 - z * z) * np.sin(a), z], 1)
            mesh = Mesh(
                mesh.vertices,
                mesh.faces,
                np.where(((p @ hubs.T).max(1) > 0.93)[:, None], _pick(rng, second), mesh.colors),
            )
        return thing(name, (mesh, surface)).turned(*rng.uniform(-3, 3, 3)).grounded()

    return build


# ---- wheeled things and toys ------------------------------------------------------------------------------


def shopping_trolley(rng: np.random.Generator) -> Thing:
    """A wire trolley, upright or fallen."""
    wires = []
    x0, x1, z0, z1 = -0.42, 0.45, 0.42, 0.95
    for z in np.linspace(z0, z1, 8):
        f = (z - z0) / (z1 - z0)
        a, b, y0, y1 = x0 - 0.04 * f, x1 + 0.06 * f, 0.25 + 0.02 * f, 0.18 + 0.04 * f
        wires.append(tube([(a, -y0, z), (b, -y1, z), (b, y1, z), (a, y0, z), (a, -y0, z)], 0.006, STEEL, 5))
    for y in np.linspace(-1, 1, 9):
        wires.append(
            tube(
                [
                    (x0 - 0.04, y * 0.27, z1),
                    (x0, y * 0.25, z0),
                    (x1, y * 0.18, z0),
                    (x1 + 0.06, y * 0.22, z1),
                ],
                0.005,
                STEEL,
                5,
            )
        )
    for x in np.linspace(0.05, 0.95, 13):
        wires += [
            tube(
                [
                    (x0 + (x1 - x0) * x, s * (0.25 - 0.07 * x), z0),
                    (x0 + (x1 - x0) * x * 1.05, s * (0.27 - 0.05 * x), z1),
                ],
                0.005,
                STEEL,
                5,
            )
            for s in (-1, 1)
        ]
    frame = [
        tube([(x0 - 0.05, s * 0.27, z1), (x0 - 0.06, s * 0.26, 0.14), (x1, s * 0.2, 0.14)], 0.014, STEEL, 8)
        for s in (-1, 1)
    ]
    handle = tube([(x0 - 0.14, -0.27, 1.0), (x0 - 0.14, 0.27, 1.0)], 0.02, _pick(rng, BRIGHT[:4]), 10)
    wheels = [
        cylinder(0.06, 0.03, BLACK, 18).turned(roll=np.pi / 2).moved((x, s * 0.22 + 0.015, 0.06))
        for x in (x0 - 0.02, x1 - 0.05)
        for s in (-1, 1)
    ]
    t = thing("shopping trolley", (join([*wires, *frame]), "metal"), (join([handle, *wheels]), "satin"))
    return t if rng.uniform() < 0.6 else _lying(t, rng)


def wheelbarrow(rng: np.random.Generator) -> Thing:
    """A barrow, standing."""
    c = _pick(rng, [BRIGHT[3], BRIGHT[0], (0.3, 0.3, 0.3)])
    rim = lambda w, d, z: np.array([[-d, -w, z], [d * 1.3, -w * 0.8, z], [d * 1.3, w * 0.8, z], [-d, w, z]])  # noqa: E731
    tub = loft(np.array([rim(0.16, 0.2, 0.32), rim(0.32, 0.42, 0.6)]), c)
    bars = [
        tube([(0.6, s * 0.03, 0.18), (-0.1, s * 0.2, 0.33), (-0.9, s * 0.3, 0.58)], 0.018, STEEL, 8)
        for s in (-1, 1)
    ]
    legs = [tube([(-0.25, s * 0.2, 0.36), (-0.35, s * 0.2, 0.0)], 0.016, STEEL, 8) for s in (-1, 1)]
    wheel = torus(0.16, 0.045, BLACK, 30, 12).turned(roll=np.pi / 2).moved((0.62, 0, 0.2))
    return thing(
        "wheelbarrow", (flat(tub), "satin", "dirty"), (join([*bars, *legs]), "metal"), (wheel, "matte")
    )


def pram(rng: np.random.Generator) -> Thing:
    """A push chair for a small child."""
    c = _pick(rng, BRIGHT)
    bones = [
        Bone((-0.2, 0, 0.62), (0.25, 0, 0.6), 0.2, 0.17, c),
        Bone((-0.25, 0, 0.75), (-0.1, 0, 0.88), 0.2, 0.16, c * 0.9),
    ]
    tub = skin(bones, 0.025, 0.04)
    frame = [
        tube([(0.36, s * 0.22, 0.13), (0, s * 0.22, 0.5), (-0.55, s * 0.2, 1.02)], 0.014, STEEL, 8)
        for s in (-1, 1)
    ]
    frame += [tube([(-0.36, s * 0.24, 0.15), (0, s * 0.22, 0.5)], 0.014, STEEL, 8) for s in (-1, 1)] + [
        tube([(-0.55, -0.2, 1.02), (-0.55, 0.2, 1.02)], 0.018, BLACK, 8)
    ]
    wheels = [
        torus(0.13, 0.022, BLACK, 26, 8).turned(roll=np.pi / 2).moved((x, s * 0.26, 0.15))
        for x in (-0.36, 0.36)
        for s in (-1, 1)
    ]
    return thing("pram", (tub, "matte", "cloth"), (join(frame), "metal"), (join(wheels), "matte"))


def surfboard(rng: np.random.Generator) -> Thing:
    """Lost from a roof rack."""
    n = rng.uniform(1.8, 2.5)
    s = np.linspace(-1, 1, 30)
    ring = superellipse(1, 1, 2.5, 20)
    rows = []
    for t in s:
        w = 0.54 * (1 - abs(t) ** 2.6) ** 0.6 + 0.01
        rows.append(
            np.stack(
                [
                    np.full(20, t * n / 2),
                    ring[:, 0] * w,
                    ring[:, 1] * 0.07 * (1 - t**6) + 0.06 + 0.12 * max(t, 0) ** 4,
                ],
                1,
            )
        )
    body = loft(np.array(rows)[:, ::-1], _pick(rng, BRIGHT))
    stripe = np.where((np.abs(body.vertices[:, 1]) < 0.05)[:, None], _pick(rng, BRIGHT), body.colors)
    return thing("surfboard", (Mesh(body.vertices, body.faces, stripe), "paint")).grounded()


def drone(rng: np.random.Generator) -> Thing:
    """A quadrocopter on the ground."""
    c = np.array([(0.6, 0.6, 0.6), (0.03, 0.03, 0.03), (0.12, 0.12, 0.13)][rng.integers(3)])
    k = rng.uniform(0.8, 2.0)
    parts = [rounded_box((0.22, 0.12, 0.08), 0.03, (0, 0, 0.11), c)]
    for sx in (-1, 1):
        for sy in (-1, 1):
            tip = (sx * 0.17, sy * 0.18, 0.13)
            parts += [
                tube([(sx * 0.07, sy * 0.04, 0.12), tip], 0.012, c, 8),
                cylinder(0.02, 0.045, c * 0.6, 14).moved((tip[0], tip[1], 0.12)),
                tube([tip, (tip[0], tip[1], 0.0)], 0.007, c, 6),
            ]
            parts.append(
                box((0.24, 0.022, 0.003), (0, 0, 0), BLACK)
                .turned(yaw=rng.uniform(0, 3))
                .moved((tip[0], tip[1], 0.17))
            )
    parts.append(ball(0.028, (0.11, 0, 0.08), BLACK, 14))
    return thing("drone", (join(parts), "satin")).scaled(k)


def _creature(name: str) -> Builder:
    return lambda rng: creatures.beast(name, rng)


def _fowl(name: str) -> Builder:
    return lambda rng: creatures.bird(name, rng)


LEATHER: list[Color] = [(0.20, 0.10, 0.05), (0.03, 0.03, 0.03), (0.10, 0.06, 0.04)]
CLEAR: list[Color] = [(0.60, 0.62, 0.62), (0.5, 0.52, 0.53)]

UNKNOWNS: dict[str, Builder] = {
    **{name: _creature(name) for name in creatures.BEASTS},
    **{name: _fowl(name) for name in creatures.BIRDS},
    "cardboard box": cardboard_box,
    "wooden crate": wooden_crate,
    "pallet": pallet,
    "suitcase": suitcase,
    "duffel bag": _bag("duffel bag", (0.65, 0.32, 0.32), BRIGHT, True),
    "backpack": _bag("backpack", (0.34, 0.26, 0.48), BRIGHT, True),
    "rubbish bag": _bag("rubbish bag", (0.6, 0.55, 0.55), [(0.012, 0.012, 0.014), (0.02, 0.05, 0.12)], False, "plain", "wet"),
    "sandbag": _bag("sandbag", (0.55, 0.35, 0.18), [(0.40, 0.33, 0.22)], False),
    "mail sack": _bag("mail sack", (0.7, 0.5, 0.5), [(0.5, 0.47, 0.4), (0.1, 0.15, 0.3)], False),
    "handbag": _bag("handbag", (0.34, 0.15, 0.26), LEATHER, True, "plain", "satin"),
    "pillow": _bag("pillow", (0.6, 0.4, 0.16), [(0.65, 0.64, 0.6)], False),
    "sofa": _sofa("sofa", 3),
    "armchair": _sofa("armchair", 1),
    "chair": chair,
    "table": table,
    "mattress": mattress,
    "refrigerator": refrigerator,
    "washing machine": washing_machine,
    "tyre": tyre,
    "ladder": ladder,
    "rock": rock,
    "rubble": rubble,
    "barrel": barrel,
    "gas cylinder": gas_cylinder,
    "tool box": tool_box,
    "wrench": wrench,
    "hammer": hammer,
    "bolt": bolt,
    "plastic wrap": _sheet("plastic wrap", 1.0, CLEAR, 0.22, "wet"),
    "tarpaulin": _sheet("tarpaulin", 2.0, [(0.03, 0.12, 0.35), (0.05, 0.2, 0.1)], 0.14),
    "newspaper": _sheet("newspaper", 0.5, [(0.55, 0.54, 0.5)], 0.12, "matte"),
    "blanket": _sheet("blanket", 1.5, FABRICS, 0.16, "matte"),
    "strap": strap,
    "branch": branch,
    "log": log,
    "plank": plank,
    "bucket": _turned("bucket", [(0, 0.01), (0.11, 0.0), (0.15, 0.3), (0.16, 0.3), (0.155, 0.31), (0.14, 0.3), (0.105, 0.02), (0, 0.02)], BRIGHT),
    "flower pot": _turned("flower pot", [(0, 0), (0.13, 0), (0.19, 0.3), (0.21, 0.3), (0.21, 0.35), (0.185, 0.35), (0.17, 0.29), (0, 0.27)], [(0.42, 0.17, 0.09)], "matte", 0.4),
    "bottle": _turned("bottle", [(0, 0), (0.036, 0), (0.038, 0.17), (0.015, 0.22), (0.014, 0.28), (0, 0.28)], [(0.02, 0.09, 0.03), (0.15, 0.07, 0.02)], "glass", 0.7),
    "rubbish bin": _turned("rubbish bin", [(0, 0), (0.2, 0), (0.25, 0.75), (0.27, 0.76), (0.25, 0.84), (0.1, 0.92), (0, 0.93)], [(0.05, 0.12, 0.06), (0.1, 0.1, 0.1), (0.3, 0.3, 0.3)], "satin", 0.6),
    "vase": _turned("vase", [(0, 0), (0.08, 0), (0.15, 0.16), (0.13, 0.3), (0.06, 0.38), (0.08, 0.45), (0.06, 0.45), (0.04, 0.38), (0, 0.3)], BRIGHT, "paint", 0.3),
    "football": _sphere("football", 0.11, [(0.7, 0.7, 0.7)], [(0.02, 0.02, 0.02)]),
    "basketball": _sphere("basketball", 0.12, [(0.5, 0.17, 0.04)], [(0.4, 0.13, 0.03)]),
    "beach ball": _sphere("beach ball", 0.22, [(0.7, 0.7, 0.68)], BRIGHT),
    "exercise ball": _sphere("exercise ball", 0.34, BRIGHT),
    "shopping trolley": shopping_trolley,
    "wheelbarrow": wheelbarrow,
    "pram": pram,
    "surfboard": surfboard,
    "drone": drone,
}  # fmt: skip


def build(name: str, rng: np.random.Generator) -> Thing:
    """One build of a named unknown.

    >>> build("football", np.random.default_rng(0)).name
    'football'
    """
    if name not in UNKNOWNS:
        raise ValueError(f"no unknown is called {name!r}")
    return UNKNOWNS[name](rng)
