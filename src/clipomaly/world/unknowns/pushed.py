"""What people push: trolleys, barrows, prams, wheelchairs, hand trucks."""

from __future__ import annotations

import numpy as np

from clipomaly.world.implicit import Bone, skin
from clipomaly.world.mesh import box, cylinder, flat, join, loft, rounded_box, torus, tube
from clipomaly.world.things import Thing, thing
from clipomaly.world.unknowns.common import BLACK, BRIGHT, STEEL, Builder, bars, lying, pick


def shopping_trolley(rng: np.random.Generator) -> Thing:
    """A wire trolley, upright or fallen."""
    x0, x1, z0, z1 = -0.42, 0.45, 0.42, 0.95
    wires = []
    for z in np.linspace(z0, z1, 8):
        f = (z - z0) / (z1 - z0)
        a, b, y0, y1 = x0 - 0.04 * f, x1 + 0.06 * f, 0.25 + 0.02 * f, 0.18 + 0.04 * f
        wires.append(tube([(a, -y0, z), (b, -y1, z), (b, y1, z), (a, y0, z), (a, -y0, z)], 0.006, STEEL, 5))
    for y in np.linspace(-1, 1, 9):
        path = [(x0 - 0.04, y * 0.27, z1), (x0, y * 0.25, z0), (x1, y * 0.18, z0), (x1 + 0.06, y * 0.22, z1)]
        wires.append(tube(path, 0.005, STEEL, 5))
    pairs = []
    for x in np.linspace(0.05, 0.95, 13):
        low, high = x0 + (x1 - x0) * x, x0 + (x1 - x0) * x * 1.05
        pairs += [((low, s * (0.25 - 0.07 * x), z0), (high, s * (0.27 - 0.05 * x), z1)) for s in (-1, 1)]
    wires.append(bars(pairs, 0.005, STEEL, 5))
    wires += [
        tube([(x0 - 0.05, s * 0.27, z1), (x0 - 0.06, s * 0.26, 0.14), (x1, s * 0.2, 0.14)], 0.014, STEEL, 8)
        for s in (-1, 1)
    ]
    handle = tube([(x0 - 0.14, -0.27, 1.0), (x0 - 0.14, 0.27, 1.0)], 0.02, pick(rng, BRIGHT[:4]), 10)
    castor = cylinder(0.06, 0.03, BLACK, 18).turned(roll=np.pi / 2)
    castors = [castor.moved((x, s * 0.22 + 0.015, 0.06)) for x in (x0 - 0.02, x1 - 0.05) for s in (-1, 1)]
    t = thing("shopping trolley", (join(wires), "metal"), (join([handle, *castors]), "satin"))
    return t if rng.uniform() < 0.6 else lying(t, rng)


def wheelbarrow(rng: np.random.Generator) -> Thing:
    """A barrow, standing or tipped over."""
    c = pick(rng, [BRIGHT[3], BRIGHT[0], (0.3, 0.3, 0.3)])
    rim = [
        [(-d, -w, z), (d * 1.3, -w * 0.8, z), (d * 1.3, w * 0.8, z), (-d, w, z)]
        for w, d, z in ((0.16, 0.2, 0.32), (0.32, 0.42, 0.6))
    ]
    frame = [
        tube([(0.6, s * 0.03, 0.18), (-0.1, s * 0.2, 0.33), (-0.9, s * 0.3, 0.58)], 0.018, STEEL, 8)
        for s in (-1, 1)
    ]
    frame += [tube([(-0.25, s * 0.2, 0.36), (-0.35, s * 0.2, 0.0)], 0.016, STEEL, 8) for s in (-1, 1)]
    wheel = torus(0.16, 0.045, BLACK, 30, 12).turned(roll=np.pi / 2).moved((0.62, 0, 0.2))
    t = thing(
        "wheelbarrow",
        (flat(loft(np.array(rim), c)), "satin", "dirty"),
        (join(frame), "metal"),
        (wheel, "matte"),
    )
    return t if rng.uniform() < 0.7 else lying(t, rng)


def pram(rng: np.random.Generator) -> Thing:
    """A push chair for a small child."""
    c = pick(rng, BRIGHT)
    bones = [
        Bone((-0.2, 0, 0.62), (0.25, 0, 0.6), 0.2, 0.17, c),
        Bone((-0.25, 0, 0.75), (-0.1, 0, 0.88), 0.2, 0.16, c * 0.9),
    ]
    frame = [
        tube([(0.36, s * 0.22, 0.13), (0, s * 0.22, 0.5), (-0.55, s * 0.2, 1.02)], 0.014, STEEL, 8)
        for s in (-1, 1)
    ]
    frame += [tube([(-0.36, s * 0.24, 0.15), (0, s * 0.22, 0.5)], 0.014, STEEL, 8) for s in (-1, 1)]
    frame.append(tube([(-0.55, -0.2, 1.02), (-0.55, 0.2, 1.02)], 0.018, BLACK, 8))
    tyre = torus(0.13, 0.022, BLACK, 26, 8).turned(roll=np.pi / 2)
    tyres = [tyre.moved((x, s * 0.26, 0.15)) for x in (-0.36, 0.36) for s in (-1, 1)]
    return thing(
        "pram", (skin(bones, 0.025, 0.04), "matte", "cloth"), (join(frame), "metal"), (join(tyres), "matte")
    )


def wheelchair(rng: np.random.Generator) -> Thing:
    """An empty wheelchair."""
    c = pick(rng, [BLACK, *BRIGHT[:3]])
    big = torus(0.29, 0.02, BLACK, 36, 8).turned(roll=np.pi / 2)
    wheels = [big.moved((-0.1, s * 0.3, 0.31)) for s in (-1, 1)]
    wheels += [
        torus(0.07, 0.02, BLACK, 22, 8).turned(roll=np.pi / 2).moved((0.36, s * 0.24, 0.09)) for s in (-1, 1)
    ]
    spokes = bars(
        [
            ((-0.1, s * 0.3, 0.31), (-0.1 + 0.28 * np.cos(a), s * 0.3, 0.31 + 0.28 * np.sin(a)))
            for s in (-1, 1)
            for a in np.arange(12) * np.pi / 6
        ],
        0.002,
        STEEL,
        4,
    )
    frame = [
        tube(
            [
                (-0.35, s * 0.24, 0.95),
                (-0.25, s * 0.24, 0.9),
                (-0.22, s * 0.24, 0.5),
                (0.3, s * 0.24, 0.5),
                (0.4, s * 0.22, 0.12),
            ],
            0.013,
            STEEL,
            8,
        )
        for s in (-1, 1)
    ]
    seat = [
        rounded_box((0.46, 0.46, 0.05), 0.02, (0.03, 0, 0.5), c),
        rounded_box((0.05, 0.46, 0.42), 0.02, (-0.23, 0, 0.72), c),
    ]
    t = thing(
        "wheelchair",
        (join(wheels), "matte"),
        (join([spokes, *frame]), "metal"),
        (join(seat), "matte", "cloth"),
    )
    return t if rng.uniform() < 0.7 else lying(t, rng)


def hand_truck(rng: np.random.Generator) -> Thing:
    """A sack barrow."""
    c = pick(rng, BRIGHT[:5])
    pairs = [((0, s * 0.2, 0.1), (0, s * 0.2, 1.2)) for s in (-1, 1)] + [
        ((0, -0.2, z), (0, 0.2, z)) for z in (0.3, 0.6, 0.9, 1.2)
    ]
    plate = box((0.25, 0.42, 0.012), (0.12, 0, 0.02), c)
    wheels = [
        torus(0.11, 0.03, BLACK, 26, 8).turned(roll=np.pi / 2).moved((-0.1, s * 0.25, 0.14)) for s in (-1, 1)
    ]
    t = thing("hand truck", (join([bars(pairs, 0.015, c), plate]), "satin"), (join(wheels), "matte"))
    return t if rng.uniform() < 0.4 else t.turned(pitch=-np.pi / 2).grounded()


BUILDERS: dict[str, Builder] = {
    "shopping trolley": shopping_trolley,
    "wheelbarrow": wheelbarrow,
    "pram": pram,
    "wheelchair": wheelchair,
    "hand truck": hand_truck,
}
