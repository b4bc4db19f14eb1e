"""Debris: tools and hardware, parts lost from vehicles, building stuff, litter, wood and stone."""

from __future__ import annotations

import numpy as np

from clipomaly.world.mesh import (
    box,
    cylinder,
    flat,
    join,
    lathe,
    loft,
    make,
    rounded_box,
    superellipse,
    tube,
)
from clipomaly.world.things import Part, Thing, thing
from clipomaly.world.unknowns.common import (
    BLACK,
    BRICKS,
    BRIGHT,
    CLEAR,
    GREYS,
    RUST,
    STEEL,
    WOODS,
    Builder,
    bars,
    blocks,
    pick,
    sheet,
    turned,
)


def tyre(rng: np.random.Generator) -> Thing:
    """A tyre, flat, on its tread, or two in a stack; sometimes with its rim."""
    r, w = rng.uniform(0.28, 0.5), rng.uniform(0.18, 0.3)
    profile = [
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
    body = lathe([(a * r, b * w) for a, b in profile], (0.022, 0.022, 0.024), 56)
    lug = box((0.012, 0.018, w * 0.26), (0, 0, 0), (0.03, 0.03, 0.03))
    turn = np.arange(44) * 2 * np.pi / 44
    lugs = [lug.moved((r, 0, s * w * 0.2)).turned(yaw=a) for a in turn for s in (-1, 1)]
    parts = [Part(join([body, *lugs]), "matte", "dirty")]
    if rng.uniform() < 0.3:
        rim = cylinder(r * 0.64, w * 0.5, RUST if rng.uniform() < 0.4 else STEEL, 32).moved((0, 0, -w * 0.3))
        parts.append(Part(rim, "metal", "dirty"))
    t = Thing("tyre", tuple(parts)).grounded()
    pose = rng.uniform()
    if pose < 0.25:
        return t.turned(roll=np.pi / 2 + rng.uniform(-0.12, 0.12)).grounded()
    if pose < 0.45:
        return Thing("tyre", t.parts + t.moved((*rng.normal(0, 0.05, 2), w)).parts).grounded()
    return t


def tyre_tread(rng: np.random.Generator) -> Thing:
    """A strip torn from a lorry's retread."""
    t = np.linspace(0, 1, 40)
    n = rng.uniform(0.6, 1.6)
    curl = rng.uniform(0.1, 0.5)
    path = np.stack(
        [n * (t - 0.5), 0.12 * np.sin(t * 5 + rng.uniform(0, 6)), 0.03 + curl * (2 * t - 1) ** 4], 1
    )
    w = 0.11 * (0.7 + 0.3 * np.sin(t * 37 + rng.uniform(0, 6)))
    rows = [
        [(x, y - k, z), (x, y + k, z), (x, y + k, z + 0.022), (x, y - k, z + 0.022)]
        for (x, y, z), k in zip(path, w, strict=True)
    ]
    return thing(
        "tyre tread", (loft(np.array(rows)[:, ::-1], (0.02, 0.02, 0.021)), "matte", "rough")
    ).grounded()


def ladder(rng: np.random.Generator) -> Thing:
    """A fallen aluminium or wooden ladder."""
    n, metal = rng.uniform(2.2, 4.0), rng.uniform() < 0.7
    c = STEEL if metal else WOODS[1]
    rails = [rounded_box((n, 0.03, 0.07), 0.008, (0, s * 0.2, 0.05), c) for s in (-1, 1)]
    rungs = bars(
        [((x, -0.2, 0.05), (x, 0.2, 0.05)) for x in np.arange(-n / 2 + 0.2, n / 2 - 0.1, 0.28)], 0.016, c, 10
    )
    t = thing("ladder", (join([*rails, rungs]), "metal" if metal else "matte"))
    return t.turned(roll=rng.uniform(0.0, 0.4) * rng.integers(0, 2)).grounded()


def bumper(rng: np.random.Generator) -> Thing:
    """A car's torn-off bumper."""
    c = pick(rng, [BLACK, GREYS[1], BRIGHT[0], (0.7, 0.7, 0.7)])
    a = np.linspace(-1, 1, 26)
    path = np.stack([0.32 * (1 - a**2) - 0.25 * np.abs(a) ** 6, 0.85 * a, np.full(26, 0.1)], 1)
    outline = np.array(
        [
            (0.0, -0.1),
            (0.035, -0.08),
            (0.045, 0.0),
            (0.03, 0.1),
            (0.02, 0.1),
            (0.03, 0.0),
            (0.02, -0.08),
            (-0.005, -0.09),
        ]
    )
    rows = [[(p[0] + x, p[1], p[2] + z) for x, z in outline] for p in path]
    return thing("bumper", (loft(np.array(rows), c), "paint")).turned(pitch=rng.choice([0, -1.4])).grounded()


def muffler(rng: np.random.Generator) -> Thing:
    """A silencer with its pipes."""
    c = RUST if rng.uniform() < 0.6 else STEEL
    n = rng.uniform(0.4, 0.7)
    can = loft(
        np.array(
            [
                [(x, y * f, z * f) for y, z in superellipse(0.26, 0.17, 3)]
                for x, f in ((-n / 2, 0.8), (-n / 2 + 0.03, 1), (n / 2 - 0.03, 1), (n / 2, 0.8))
            ]
        )[:, ::-1],
        c,
    )
    ends = [
        tube([(-n / 2, 0.05, 0), (-n / 2 - 0.3, 0.05, 0.03), (-n / 2 - 0.7, 0.12, 0.05)], 0.025, c, 12),
        tube([(n / 2, -0.05, 0), (n / 2 + 0.25, -0.05, -0.02)], 0.025, c, 12),
    ]
    return thing("muffler", (join([can, *ends]), "metal", "dirty")).grounded()


def glove(rng: np.random.Generator) -> Thing:
    """A work glove."""
    from clipomaly.world.implicit import Bone, skin

    c = pick(rng, [*BRIGHT[:5], (0.4, 0.33, 0.22)])
    fingers = [
        Bone(
            (0.04, y, 0.02),
            (0.1 + 0.02 * (k in (1, 2)), y * 1.5, 0.018 + 0.02 * rng.uniform()),
            0.013,
            0.011,
            c,
        )
        for k, y in enumerate((-0.034, -0.011, 0.012, 0.034))
    ]
    palm = [
        Bone((-0.06, 0, 0.022), (0.03, 0, 0.022), 0.03, 0.034, c),
        Bone((-0.02, 0.03, 0.02), (0.04, 0.075, 0.018), 0.015, 0.013, c),
        Bone((-0.1, 0, 0.022), (-0.07, 0, 0.022), 0.032, 0.03, c * 0.5),
    ]
    return thing("glove", (skin([*fingers, *palm], 0.005, 0.006), "matte", "cloth")).grounded()


def luggage_tag(rng: np.random.Generator) -> Thing:
    """A paper strip with its loop."""
    strip = box((0.16, 0.05, 0.0015), (0, 0, 0.003), (0.7, 0.7, 0.68))
    marks = [
        box((0.004 + 0.004 * (k % 3), 0.03, 0.0018), (-0.05 + 0.011 * k, 0, 0.0035), BLACK) for k in range(9)
    ]
    loop = tube(
        [(0.08, 0, 0.004), (0.12, 0.02, 0.02), (0.15, 0, 0.01), (0.12, -0.02, 0.004), (0.08, 0, 0.004)],
        0.002,
        (0.65, 0.6, 0.5),
        6,
    )
    return (
        thing("luggage tag", (join([strip, *marks, loop]), "satin")).scaled(rng.uniform(0.9, 1.5)).grounded()
    )


def red_streamer(rng: np.random.Generator) -> Thing:
    """A 'remove before flight' ribbon."""
    t = np.linspace(0, 1, 40)
    x, y = 0.5 * t, 0.06 * np.sin(t * rng.uniform(4, 9) + rng.uniform(0, 6))
    z = 0.004 + 0.03 * np.sin(t * 9) ** 2 * t
    rows = [
        [(a, b - 0.03, c), (a, b + 0.03, c), (a, b + 0.03, c + 0.002), (a, b - 0.03, c + 0.002)]
        for a, b, c in zip(x, y, z, strict=True)
    ]
    pin = tube([(0, 0, 0.006), (-0.08, 0, 0.006)], 0.004, STEEL, 8)
    return thing(
        "streamer", (loft(np.array(rows)[:, ::-1], (0.55, 0.02, 0.02)), "matte", "cloth"), (pin, "metal")
    ).grounded()


def fallen_sign(rng: np.random.Generator) -> Thing:
    """A hoarding or an A-board blown over."""
    c, w, h = pick(rng, BRIGHT), rng.uniform(0.6, 1.6), rng.uniform(0.8, 1.2)
    board = [
        box((h, w, 0.02), (0, 0, 0.05), (0.7, 0.7, 0.68)),
        box((h * 0.35, w * 0.8, 0.022), (0.1, 0, 0.051), c),
    ]
    board += [
        box((0.04, w * rng.uniform(0.3, 0.7), 0.022), (-0.12 - 0.1 * k, 0, 0.051), BLACK) for k in range(2)
    ]
    legs = bars(
        [((h * 0.5, s * w * 0.4, 0.04), (h * 0.5 + 0.4, s * w * 0.4, 0.02)) for s in (-1, 1)], 0.015, STEEL
    )
    return (
        thing("signboard", (join(board), "satin"), (legs, "metal"))
        .turned(pitch=rng.uniform(-0.25, 0.0))
        .grounded()
    )


def glass_shards(rng: np.random.Generator) -> Thing:
    """Splinters of glass."""
    pieces = []
    for _ in range(40):
        r, a = rng.exponential(0.15), rng.uniform(0, 2 * np.pi)
        k = rng.uniform(0.01, 0.06, 3)
        low = np.array([(k[0], 0, 0), (-k[1] / 2, k[1], 0), (-k[2] / 2, -k[2], 0)])
        prism = np.concatenate([low, low + [0, 0, 0.005]])
        faces = [[0, 2, 1], [3, 4, 5], [0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4], [2, 0, 3], [2, 3, 5]]
        shard = flat(make(prism, np.array(faces), (0.12, 0.17, 0.15)))
        pieces.append(
            shard.turned(rng.uniform(0, 6), *rng.normal(0, 0.2, 2)).moved(
                (r * np.cos(a), r * np.sin(a), 0.012)
            )
        )
    return thing("glass shards", (join(pieces), "glass")).grounded()


BUILDERS: dict[str, Builder] = {
    "tyre": tyre,
    "tyre tread": tyre_tread,
    "wheel rim": turned(
        "wheel rim",
        [
            (0.05, 0.1),
            (0.19, 0.12),
            (0.2, 0.0),
            (0.22, 0.0),
            (0.205, 0.1),
            (0.22, 0.2),
            (0.2, 0.2),
            (0.19, 0.14),
            (0.05, 0.13),
            (0.05, 0.1),
        ],
        [STEEL, GREYS[2], RUST],
        "metal",
        0.3,
    ),
    "hubcap": turned(
        "hubcap",
        [(0, 0.03), (0.08, 0.04), (0.17, 0.02), (0.2, 0.0), (0.195, -0.006), (0.16, 0.01), (0, 0.02)],
        [STEEL],
        "metal",
        0.0,
    ),
    "bumper": bumper,
    "muffler": muffler,
    "car battery": blocks(
        "car battery",
        [
            ((0.26, 0.17, 0.18), (0, 0, 0.09)),
            ((0.27, 0.18, 0.02), (0, 0, 0.17)),
            ((0.02, 0.02, 0.03), (0.09, 0.05, 0.195)),
            ((0.02, 0.02, 0.03), (-0.09, 0.05, 0.195)),
        ],
        [BLACK, GREYS[1]],
    ),
    "ladder": ladder,
    "brick": blocks("brick", [((0.22, 0.1, 0.07), (0, 0, 0.035))], BRICKS, "matte", "rough"),
    "concrete block": blocks(
        "concrete block",
        [
            ((0.4, 0.03, 0.2), (0, 0.085, 0.1)),
            ((0.4, 0.03, 0.2), (0, -0.085, 0.1)),
            ((0.03, 0.2, 0.2), (0.185, 0, 0.1)),
            ((0.03, 0.2, 0.2), (-0.185, 0, 0.1)),
            ((0.03, 0.2, 0.2), (0, 0, 0.1)),
        ],
        [BRICKS[1]],
        "matte",
        "rough",
        0.5,
    ),
    "torch": turned(
        "torch",
        [(0, 0), (0.018, 0), (0.018, 0.13), (0.03, 0.16), (0.03, 0.19), (0, 0.188)],
        [BLACK, *BRIGHT[:3]],
        "satin",
        1.0,
    ),
    "glove": glove,
    "luggage tag": luggage_tag,
    "streamer": red_streamer,
    "plastic wrap": sheet("plastic wrap", 1.0, CLEAR, 0.34, "wet"),
    "plastic bag": sheet("plastic bag", 0.45, [(0.7, 0.7, 0.7), *BRIGHT[:4]], 0.5, "wet"),
    "tarpaulin": sheet("tarpaulin", 2.0, [(0.03, 0.12, 0.35), (0.05, 0.2, 0.1)], 0.18),
    "newspaper": sheet("newspaper", 0.5, [(0.55, 0.54, 0.5)], 0.16, "matte"),
    "metal sheet": sheet("metal sheet", 1.2, [STEEL, RUST], 0.08, "metal"),
    "fishing net": sheet("fishing net", 1.4, [(0.05, 0.18, 0.14), (0.3, 0.25, 0.1)], 0.14, "matte"),
    "signboard": fallen_sign,
    "glass shards": glass_shards,
}
