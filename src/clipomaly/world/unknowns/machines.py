"""Odd vehicles and machines: what has wheels, wings or an engine and yet does not belong here."""

from __future__ import annotations

import numpy as np

from clipomaly.world import vehicles
from clipomaly.world.mesh import ball, box, cylinder, flat, join, loft, rounded_box, superellipse, torus, tube
from clipomaly.world.things import Part, Thing, thing
from clipomaly.world.unknowns.common import BLACK, BRIGHT, STEEL, WOODS, Builder, bars, blocks, pick


def _tyres(
    places: list[tuple[float, float]], r: float, rng: np.random.Generator, width: float = 0.2
) -> list[Part]:
    return [p for x, y in places for p in vehicles.wheel(r, width, rng).moved((x, y, r)).parts]


def drone(rng: np.random.Generator) -> Thing:
    """A quadrocopter, on the ground or hovering low."""
    c = np.array([(0.6, 0.6, 0.6), (0.03, 0.03, 0.03), (0.12, 0.12, 0.13)][rng.integers(3)])
    parts = [rounded_box((0.22, 0.12, 0.08), 0.03, (0, 0, 0.11), c), ball(0.028, (0.11, 0, 0.08), BLACK, 14)]
    for a in (-1, 1):
        for b in (-1, 1):
            x, y = a * 0.17, b * 0.18
            parts += [
                tube([(a * 0.07, b * 0.04, 0.12), (x, y, 0.13)], 0.012, c, 8),
                tube([(x, y, 0.13), (x, y, 0.0)], 0.007, c, 6),
            ]
            parts.append(cylinder(0.02, 0.045, c * 0.6, 14).moved((x, y, 0.12)))
            parts.append(
                box((0.24, 0.022, 0.003), (0, 0, 0), BLACK).turned(yaw=rng.uniform(0, 3)).moved((x, y, 0.17))
            )
    t = thing("drone", (join(parts), "satin")).scaled(rng.uniform(0.8, 2.0))
    return t if rng.uniform() < 0.5 else t.moved((0, 0, rng.uniform(0.5, 1.8)))


def farm_tractor(rng: np.random.Generator) -> Thing:
    """A tractor from the fields."""
    c = pick(rng, [BRIGHT[3], BRIGHT[0], BRIGHT[1]])
    body = [
        rounded_box((1.9, 0.8, 0.75), 0.1, (0.75, 0, 1.15), c),
        box((2.6, 0.5, 0.35), (0.3, 0, 0.75), BLACK),
    ]
    cab = [
        rounded_box((1.35, 1.35, 0.1), 0.04, (-0.7, 0, 2.65), c),
        rounded_box((1.3, 1.3, 0.7), 0.1, (-0.7, 0, 1.3), c),
    ]
    cab += [box((0.07, 0.07, 1.1), (-0.7 + a * 0.6, b * 0.6, 2.1), BLACK) for a in (-1, 1) for b in (-1, 1)]
    glass = box((1.15, 1.15, 0.95), (-0.7, 0, 2.1), (0.02, 0.024, 0.026))
    guards = [rounded_box((1.5, 0.45, 0.12), 0.05, (-0.8, s * 0.9, 1.62), c) for s in (-1, 1)]
    wheels = _tyres([(-0.8, 0.9), (-0.8, -0.9)], 0.8, rng, 0.45) + _tyres(
        [(1.3, 0.75), (1.3, -0.75)], 0.48, rng, 0.3
    )
    pipe = tube([(1.0, 0.25, 1.5), (1.0, 0.25, 2.5)], 0.04, BLACK, 10)
    return thing(
        "tractor",
        (join([*body, *cab, *guards]), "paint", "dirty"),
        (glass, "glass"),
        (pipe, "metal"),
        *wheels,
    )


def trailer(rng: np.random.Generator) -> Thing:
    """A one-axle box trailer that has come loose."""
    c, n = pick(rng, [STEEL, *BRIGHT[:4]]), rng.uniform(1.6, 2.6)
    box_ = (
        [box((n, 1.3, 0.05), (0, 0, 0.5), c)]
        + [box((n, 0.04, 0.4), (0, s * 0.65, 0.7), c) for s in (-1, 1)]
        + [box((0.04, 1.3, 0.4), (s * n / 2, 0, 0.7), c) for s in (-1, 1)]
    )
    bar = [tube([(n / 2, s * 0.4, 0.45), (n / 2 + 0.7, 0, 0.42)], 0.03, BLACK, 8) for s in (-1, 1)] + [
        tube([(n / 2 + 0.7, 0, 0.42), (n / 2 + 1.1, 0, 0.1)], 0.03, BLACK, 8)
    ]
    load = [
        rounded_box(rng.uniform(0.3, 0.6, 3), 0.03, (x, rng.uniform(-0.3, 0.3), 0.75), pick(rng, BRIGHT))
        for x in np.linspace(-n / 3, n / 3, 3)
    ]
    return thing(
        "trailer",
        (join(box_), "metal", "dirty"),
        (join(bar), "satin"),
        (join(load), "matte"),
        *_tyres([(-0.1, 0.75), (-0.1, -0.75)], 0.29, rng),
    )


def caravan(rng: np.random.Generator) -> Thing:
    """A caravan that has come loose."""
    c = pick(rng, [(0.72, 0.72, 0.69), (0.65, 0.6, 0.5)])
    n = rng.uniform(3.6, 5.0)
    rows = []
    for x, f in ((-n / 2, 0.75), (-n / 2 + 0.4, 1.0), (n / 2 - 0.7, 1.0), (n / 2, 0.6)):
        ring = superellipse(2.1, 1.95 * f, 6, 36)
        rows.append([(x, y, 0.5 + 0.98 * f + z) for y, z in ring])
    windows = [box((n * 0.22, 2.12, 0.5), (x, 0, 1.75), (0.02, 0.022, 0.025)) for x in (-n * 0.25, n * 0.2)]
    stripe = box((n * 0.94, 2.13, 0.1), (0, 0, 1.15), pick(rng, BRIGHT))
    bar = [tube([(n / 2 - 0.1, s * 0.5, 0.5), (n / 2 + 1.1, 0, 0.45)], 0.035, BLACK, 8) for s in (-1, 1)] + [
        cylinder(0.04, 0.5, STEEL, 12).moved((n / 2 + 0.9, 0, 0))
    ]
    return thing(
        "caravan",
        (loft(np.array(rows)[:, ::-1], c), "paint"),
        (join(windows), "glass"),
        (stripe, "paint"),
        (join(bar), "satin"),
        *_tyres([(-0.1, 0.95), (-0.1, -0.95)], 0.32, rng),
    )


def golf_cart(rng: np.random.Generator) -> Thing:
    """An electric golf cart."""
    c = pick(rng, [(0.7, 0.7, 0.68), *BRIGHT[:4]])
    body = [
        rounded_box((2.2, 1.1, 0.3), 0.1, (0, 0, 0.5), c),
        rounded_box((0.5, 1.1, 0.45), 0.12, (0.85, 0, 0.75), c),
        rounded_box((2.0, 1.15, 0.07), 0.03, (-0.15, 0, 1.85), c),
    ]
    poles = bars(
        [((x, s * 0.52, 0.6), (x * 0.9, s * 0.52, 1.85)) for x in (0.75, -0.95) for s in (-1, 1)],
        0.022,
        BLACK,
    )
    seats = [
        rounded_box((0.5, 1.0, 0.15), 0.05, (-0.2, 0, 0.78), (0.4, 0.33, 0.22)),
        rounded_box((0.12, 1.0, 0.45), 0.05, (-0.5, 0, 1.05), (0.4, 0.33, 0.22)),
    ]
    wheel = [torus(0.17, 0.014, BLACK, 24, 8).turned(pitch=0.7).moved((0.45, 0.25, 1.05))]
    return thing(
        "golf cart",
        (join(body), "paint"),
        (join([poles, *seats, *wheel]), "satin"),
        *_tyres([(x, s * 0.48) for x in (-0.75, 0.75) for s in (-1, 1)], 0.23, rng, 0.18),
    )


def cart(rng: np.random.Generator) -> Thing:
    """A wooden hand cart with two spoked wheels."""
    wood = pick(rng, WOODS)
    bed = [
        box((1.5, 0.9, 0.06), (0, 0, 0.62), wood),
        *(box((1.5, 0.04, 0.3), (0, s * 0.45, 0.8), wood * 0.9) for s in (-1, 1)),
    ]
    shafts = bars([((0.6, s * 0.35, 0.62), (1.9, s * 0.3, 0.5)) for s in (-1, 1)], 0.03, wood)
    wheels = [
        torus(0.46, 0.03, wood * 0.7, 40, 8).turned(roll=np.pi / 2).moved((-0.1, s * 0.56, 0.5))
        for s in (-1, 1)
    ]
    spokes = bars(
        [
            ((-0.1, s * 0.56, 0.5), (-0.1 + 0.45 * np.cos(a), s * 0.56, 0.5 + 0.45 * np.sin(a)))
            for s in (-1, 1)
            for a in np.arange(10) * np.pi / 5
        ],
        0.018,
        wood * 0.8,
        6,
    )
    return thing("hand cart", (join([*bed, shafts, *wheels, spokes]), "matte", "wood"))


def lawn_mower(rng: np.random.Generator) -> Thing:
    """A push mower."""
    c = pick(rng, BRIGHT[:5])
    body = [
        rounded_box((0.6, 0.46, 0.16), 0.07, (0, 0, 0.16), c),
        cylinder(0.12, 0.14, BLACK, 24, 0.02).moved((0, 0, 0.22)),
        rounded_box((0.4, 0.4, 0.3), 0.08, (-0.5, 0, 0.3), BLACK),
    ]
    handle = [tube([(-0.25, s * 0.2, 0.2), (-1.0, s * 0.2, 0.95)], 0.012, STEEL, 8) for s in (-1, 1)] + [
        tube([(-1.0, -0.2, 0.95), (-1.0, 0.2, 0.95)], 0.016, BLACK, 8)
    ]
    wheels = [
        cylinder(0.1, 0.05, BLACK, 22).turned(roll=np.pi / 2).moved((x, s * 0.27 + 0.025, 0.1))
        for x in (-0.22, 0.22)
        for s in (-1, 1)
    ]
    return thing("lawn mower", (join(body), "paint"), (join(handle), "metal"), (join(wheels), "matte"))


def generator(rng: np.random.Generator) -> Thing:
    """A portable generator in its frame."""
    c = pick(rng, BRIGHT[:5])
    corners = [(a * 0.32, b * 0.22) for a in (-1, 1) for b in (-1, 1)]
    pairs = [((x, y, 0.02), (x, y, 0.5)) for x, y in corners] + [
        ((-0.32, s * 0.22, z), (0.32, s * 0.22, z)) for s in (-1, 1) for z in (0.02, 0.5)
    ]
    pairs += [((s * 0.32, -0.22, z), (s * 0.32, 0.22, z)) for s in (-1, 1) for z in (0.02, 0.5)]
    inner = [
        rounded_box((0.54, 0.36, 0.12), 0.03, (0, 0, 0.42), c),
        box((0.5, 0.34, 0.3), (0, 0, 0.2), BLACK),
    ]
    return thing("generator", (bars(pairs, 0.015, BLACK), "satin"), (join(inner), "satin"))


def excavator(rng: np.random.Generator) -> Thing:
    """A small excavator on tracks."""
    c = pick(rng, [BRIGHT[2], BRIGHT[4]])
    tracks = [rounded_box((2.2, 0.35, 0.5), 0.22, (0, s * 0.7, 0.27), BLACK, 5) for s in (-1, 1)]
    upper = [
        rounded_box((1.5, 1.4, 0.6), 0.12, (-0.3, 0, 0.95), c),
        rounded_box((0.9, 0.75, 1.3), 0.1, (0.05, 0.3, 1.7), c),
    ]
    glass = rounded_box((0.92, 0.65, 0.85), 0.06, (0.06, 0.3, 1.85), (0.02, 0.022, 0.024))
    arm = [
        tube([(0.4, -0.3, 1.1), (1.3, -0.3, 2.4), (2.0, -0.3, 2.2)], 0.11, c, 8),
        tube([(2.0, -0.3, 2.25), (2.5, -0.3, 1.0)], 0.09, c, 8),
    ]
    bucket = flat(
        loft(
            np.array(
                [[(2.3, y, 0.9), (2.75, y, 0.95), (2.7, y, 0.5), (2.3, y, 0.45)] for y in (-0.55, -0.05)]
            ),
            (0.08, 0.08, 0.08),
        )
    )
    return thing(
        "excavator",
        (join(tracks), "matte", "dirty"),
        (join([*upper, *arm]), "paint", "dirty"),
        (glass, "glass"),
        (bucket, "metal"),
    )


def cement_mixer(rng: np.random.Generator) -> Thing:
    """A small mixer on two wheels."""
    c = pick(rng, BRIGHT[:5])
    from clipomaly.world.mesh import lathe

    drum = (
        lathe(
            [
                (0, -0.4),
                (0.25, -0.38),
                (0.36, -0.1),
                (0.36, 0.1),
                (0.2, 0.42),
                (0.17, 0.42),
                (0.32, 0.1),
                (0, -0.3),
            ],
            c,
            36,
        )
        .turned(pitch=0.7)
        .moved((0.05, 0, 0.85))
    )
    frame = bars(
        [((0.35, s * 0.3, 0.1), (0.0, s * 0.4, 0.85)) for s in (-1, 1)]
        + [((-0.4, s * 0.3, 0.0), (0.0, s * 0.4, 0.85)) for s in (-1, 1)]
        + [((0, -0.42, 0.85), (0, 0.42, 0.85))],
        0.022,
        c * 0.6,
    )
    wheels = [
        torus(0.12, 0.035, BLACK, 26, 8).turned(roll=np.pi / 2).moved((0.35, s * 0.36, 0.155))
        for s in (-1, 1)
    ]
    return thing("cement mixer", (drum, "satin", "dirty"), (frame, "satin"), (join(wheels), "matte"))


def satellite_dish(rng: np.random.Generator) -> Thing:
    """A satellite dish on its mount."""
    c = pick(rng, [(0.6, 0.6, 0.6), (0.7, 0.7, 0.68)])
    from clipomaly.world.mesh import lathe

    r = rng.uniform(0.35, 0.7)
    f = np.linspace(0, 1, 8)
    profile = [(r * x, 0.35 * r * x * x) for x in f] + [(r * x, 0.35 * r * x * x - 0.02) for x in f[::-1]]
    dish = lathe([(float(a), float(b)) for a, b in profile], c, 40)
    arm = tube([(0, -r * 0.9, 0.3 * r), (0, -r * 0.3, 0.8 * r), (0, 0, 0.75 * r)], 0.014, STEEL, 8)
    return (
        thing(
            "satellite dish", (dish, "satin"), (join([arm, ball(0.05, (0, 0, 0.75 * r), BLACK, 14)]), "satin")
        )
        .turned(roll=rng.uniform(0.5, 1.3))
        .grounded()
    )


BUILDERS: dict[str, Builder] = {
    "drone": drone,
    "tractor": farm_tractor,
    "trailer": trailer,
    "caravan": caravan,
    "golf cart": golf_cart,
    "hand cart": cart,
    "lawn mower": lawn_mower,
    "generator": generator,
    "excavator": excavator,
    "cement mixer": cement_mixer,
    "satellite dish": satellite_dish,
    "anvil": blocks(
        "anvil",
        [
            ((0.16, 0.2, 0.1), (0, 0, 0.05)),
            ((0.1, 0.12, 0.1), (0, 0, 0.14)),
            ((0.45, 0.12, 0.1), (0.03, 0, 0.23)),
            ((0.15, 0.06, 0.06), (0.32, 0, 0.24)),
        ],
        [BLACK],
        "metal",
    ),
    "vending machine": blocks(
        "vending machine",
        [
            ((0.8, 0.9, 1.8), (0, 0, 0.9)),
            ((0.02, 0.6, 1.2), (0.405, 0.1, 1.05)),
            ((0.02, 0.5, 0.15), (0.405, 0.1, 0.25)),
            ((0.03, 0.12, 0.3), (0.41, -0.34, 1.1)),
        ],
        BRIGHT[:4],
        "paint",
        fallen=0.5,
    ),
    "letter box": blocks(
        "letter box",
        [
            ((0.4, 0.45, 0.9), (0, 0, 0.85)),
            ((0.1, 0.1, 0.5), (0, 0, 0.25)),
            ((0.02, 0.3, 0.04), (0.21, 0, 1.15)),
            ((0.44, 0.49, 0.06), (0, 0, 1.3)),
        ],
        [BRIGHT[2], BRIGHT[0], BRIGHT[1]],
        "paint",
        fallen=0.5,
    ),
    "safe": blocks(
        "safe",
        [
            ((0.5, 0.5, 0.6), (0, 0, 0.3)),
            ((0.03, 0.42, 0.52), (0.255, 0, 0.3)),
            ((0.05, 0.08, 0.08), (0.28, -0.1, 0.32)),
            ((0.06, 0.16, 0.02), (0.28, 0.06, 0.32)),
        ],
        [(0.12, 0.13, 0.13), (0.06, 0.09, 0.07)],
        fallen=0.3,
    ),
    "laptop": blocks(
        "laptop",
        [
            ((0.24, 0.34, 0.015), (0, 0, 0.008)),
            ((0.008, 0.34, 0.23), (-0.12, 0, 0.12)),
            ((0.1, 0.28, 0.003), (-0.03, 0, 0.017)),
        ],
        [STEEL, BLACK],
    ),
    "smartphone": blocks(
        "smartphone",
        [((0.15, 0.075, 0.008), (0, 0, 0.004)), ((0.14, 0.07, 0.002), (0, 0, 0.009))],
        [BLACK, BRIGHT[1]],
        "glass",
    ),
}
