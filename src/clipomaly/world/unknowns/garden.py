"""What stands in gardens: plants, barbecues, scarecrows, snowmen."""

from __future__ import annotations

import numpy as np

from clipomaly.world.implicit import Bone, skin
from clipomaly.world.mesh import (
    Mesh,
    ball,
    cylinder,
    join,
    lathe,
    loft,
    torus,
    tube,
)
from clipomaly.world.nature import leaves
from clipomaly.world.things import Thing, thing
from clipomaly.world.unknowns.common import (
    BLACK,
    BRIGHT,
    STEEL,
    WOODS,
    Builder,
    bars,
    lying,
    pick,
)


def pumpkin(rng: np.random.Generator) -> Thing:
    """A ribbed pumpkin."""
    r = rng.uniform(0.12, 0.3)
    body = ball(1.0, (0, 0, 0), pick(rng, [(0.5, 0.18, 0.02), (0.45, 0.3, 0.08)]), 60)
    v = body.vertices
    rib = 1 - 0.10 * np.abs(np.sin(np.arctan2(v[:, 1], v[:, 0]) * 5))[:, None] * [1, 1, 0]
    mesh = Mesh(v * rib * [r, r, r * 0.75], body.faces, body.colors)
    stem = tube(
        [(0, 0, r * 0.68), (0.01, 0, r * 0.85), (0.04, 0, r)],
        [r * 0.13, r * 0.1, r * 0.09],
        (0.15, 0.16, 0.05),
        8,
    )
    return thing("pumpkin", (mesh, "satin"), (stem, "matte")).grounded()


def christmas_tree(rng: np.random.Generator) -> Thing:
    """A cut fir, thrown away on its side."""
    h, count = rng.uniform(1.2, 2.2), 5000
    t, a = rng.uniform(0, 1, count), rng.uniform(0, 2 * np.pi, count)
    r = h * 0.28 * (1 - np.floor(t * 12) / 12) * rng.uniform(0.1, 1, count) ** 0.5 + 0.02
    p = np.stack([r * np.cos(a), r * np.sin(a), h * (0.12 + 0.88 * t) - 0.15 * r], 1)
    needles = leaves(
        p,
        rng.uniform(0.03, 0.07, count),
        np.array([0.04, 0.09, 0.035]) * rng.uniform(0.6, 1.4, (count, 1)),
        rng,
    )
    trunk = tube([(0, 0, -0.15), (0, 0, h)], [0.05, 0.01], (0.14, 0.1, 0.06), 8)
    return (
        thing("fir tree", (needles, "matte"), (trunk, "matte", "rough"))
        .turned(roll=np.pi / 2 * 0.97)
        .grounded()
    )


def potted_plant(rng: np.random.Generator) -> Thing:
    """A palm or a bush in its pot."""
    pot = lathe(
        [(0, 0), (0.14, 0), (0.2, 0.3), (0.22, 0.3), (0.22, 0.34), (0, 0.32)],
        pick(rng, [(0.4, 0.16, 0.09), *BRIGHT[:3]]),
        30,
    )
    fronds = []
    for a in rng.uniform(0, 2 * np.pi, 16):
        reach, top, t = rng.uniform(0.3, 0.7), rng.uniform(0.5, 1.1), np.linspace(0, 1, 8)
        x, z = reach * t, 0.32 + top * (t - 0.55 * t**2)
        w = 0.06 * np.sin(np.pi * np.clip(t, 0.06, 0.96))
        rows = [
            [(xx, -ww, zz), (xx, ww, zz), (xx, ww, zz + 0.003), (xx, -ww, zz + 0.003)]
            for xx, ww, zz in zip(x, w, z, strict=True)
        ]
        fronds.append(
            loft(np.array(rows)[:, ::-1], np.array([0.07, 0.16, 0.04]) * rng.uniform(0.7, 1.3)).turned(yaw=a)
        )
    t_ = thing("potted plant", (pot, "matte"), (join(fronds), "satin"))
    return t_ if rng.uniform() < 0.6 else lying(t_, rng)


def barbecue(rng: np.random.Generator) -> Thing:
    """A kettle grill on three legs."""
    c = pick(rng, [BLACK, BRIGHT[0]])
    kettle = ball((0.28, 0.28, 0.24), (0, 0, 0.75), c, 36)
    legs = bars(
        [
            ((0.15 * np.cos(a), 0.15 * np.sin(a), 0.62), (0.32 * np.cos(a), 0.32 * np.sin(a), 0.0))
            for a in (0.3, 2.4, 4.5)
        ],
        0.013,
        STEEL,
    )
    t = thing(
        "barbecue",
        (kettle, "paint"),
        (join([legs, torus(0.285, 0.012, STEEL, 36, 8).moved((0, 0, 0.76))]), "metal"),
    )
    return t if rng.uniform() < 0.6 else lying(t, rng)


def scarecrow(rng: np.random.Generator) -> Thing:
    """A figure of rags on a pole."""
    c = [pick(rng, BRIGHT) for _ in range(3)]
    straw = (0.45, 0.36, 0.15)
    bones = [
        Bone((0, 0, 0.9), (0, 0, 1.35), 0.16, 0.18, c[0]),
        Bone((0, -0.75, 1.42), (0, 0.75, 1.42), 0.07, 0.07, c[0]),
        Bone((0, 0, 1.6), (0, 0, 1.68), 0.11, 0.11, straw),
    ]
    bones += [Bone((0, s * 0.09, 0.9), (0, s * 0.14, 0.35), 0.1, 0.08, c[1]) for s in (-1, 1)] + [
        Bone((0, s * 0.78, 1.42), (0, s * 0.9, 1.4), 0.05, 0.03, straw) for s in (-1, 1)
    ]
    t = thing(
        "scarecrow",
        (skin(bones, 0.03, 0.03), "matte", "cloth"),
        (
            join(
                [
                    cylinder(0.03, 1.5, WOODS[0], 10),
                    lathe(
                        [(0.25, 1.72), (0.1, 1.74), (0.06, 1.95), (0, 1.96), (0, 1.72), (0.25, 1.72)],
                        c[2],
                        24,
                    ),
                ]
            ),
            "matte",
        ),
    )
    return t if rng.uniform() < 0.6 else lying(t, rng)


def snowman(rng: np.random.Generator) -> Thing:
    """Three balls of snow."""
    k = rng.uniform(0.6, 1.1)
    snow = [ball(r, (0, 0, z), (0.78, 0.79, 0.82), 30) for r, z in ((0.4, 0.36), (0.29, 0.92), (0.2, 1.33))]
    bits = [tube([(0.18, 0, 1.35), (0.36, 0, 1.33)], [0.03, 0.004], (0.6, 0.2, 0.02), 10)] + [
        ball(0.022, (0.18, s * 0.07, 1.41), BLACK, 8) for s in (-1, 1)
    ]
    return thing("snowman", (join(snow), "matte"), (join(bits), "matte")).scaled(k).grounded()


BUILDERS: dict[str, Builder] = {
    "pumpkin": pumpkin,
    "fir tree": christmas_tree,
    "potted plant": potted_plant,
    "barbecue": barbecue,
    "scarecrow": scarecrow,
    "snowman": snowman,
}
