"""People on foot and on bicycles: skeletons of round cones under one skin, in a pose."""

from __future__ import annotations

import numpy as np

from clipomaly.world.implicit import Bone, skin
from clipomaly.world.mesh import Mesh, Vec, cylinder, join, rounded_box, torus, tube
from clipomaly.world.things import Part, Thing, thing

SKINS = [(0.50, 0.31, 0.22), (0.35, 0.20, 0.13), (0.60, 0.40, 0.30), (0.14, 0.075, 0.045), (0.55, 0.36, 0.26)]


CLOTHES = [
    (0.02, 0.025, 0.04),
    (0.03, 0.05, 0.14),
    (0.25, 0.25, 0.26),
    (0.30, 0.03, 0.03),
    (0.55, 0.53, 0.48),
    (0.08, 0.12, 0.06),
    (0.40, 0.30, 0.18),
    (0.05, 0.05, 0.05),
    (0.10, 0.20, 0.30),
    (0.45, 0.36, 0.04),
]


def person(
    rng: np.random.Generator, walking: bool = True, vest: bool = False, sitting: bool = False
) -> Thing:
    """A person facing +x; `vest` dresses them for an apron."""
    tall = rng.uniform(1.62, 1.86)
    s = tall / 1.75
    face = SKINS[rng.integers(len(SKINS))]
    hair = [(0.02, 0.015, 0.01), (0.08, 0.05, 0.03), (0.25, 0.17, 0.08), (0.3, 0.3, 0.3)][rng.integers(4)]
    coat = np.array(CLOTHES[rng.integers(len(CLOTHES))])
    legs = np.array(CLOTHES[rng.integers(6)]) * 0.8
    if vest:
        coat = np.array([(0.62, 0.75, 0.03), (0.85, 0.25, 0.02)][rng.integers(2)])
        legs = np.array([(0.02, 0.03, 0.08), (0.04, 0.04, 0.04)][rng.integers(2)])
    swing = rng.uniform(0.15, 0.32) if walking else 0.03
    shoe = (0.03, 0.03, 0.03)
    hip, knee, ankle = 0.92, 0.5, 0.09
    bones = []
    for side, k in ((0.09, 1), (-0.09, -1)):
        fore = swing * k
        if sitting:
            kx, kz, ax, az = 0.42, 0.86, 0.30 + 0.1 * k, 0.42 + 0.08 * k
        else:
            kx, kz = fore * 0.55 + 0.03, knee
            ax, az = fore - (0.10 if k < 0 and walking else 0.0), ankle + (0.06 if k < 0 and walking else 0.0)
        bones += [
            Bone((0, side, hip), (kx, side, kz), 0.092, 0.066, legs),
            Bone((kx, side, kz), (ax, side, az), 0.066, 0.046, legs),
            Bone((ax - 0.03, side, az - 0.035), (ax + 0.15, side, az - 0.05), 0.045, 0.036, shoe),
        ]
        arm = -fore
        elbow = (arm * 0.4 - 0.02, side * 2.6, 1.12) if not sitting else (0.16, side * 2.5, 1.15)
        hand = (arm * 0.9 + 0.1, side * 2.6, 0.90) if not sitting else (0.42, side * 2.2, 1.06)
        bones += [
            Bone((0, side * 2.0, 1.42), elbow, 0.058, 0.045, coat),
            Bone(elbow, hand, 0.045, 0.034, coat),
            Bone(hand, (hand[0] + 0.05, hand[1], hand[2] - 0.07), 0.036, 0.028, face),
        ]
    bones += [
        Bone((0, -0.05, 0.95), (0, 0.05, 0.95), 0.115, 0.115, legs),
        Bone((0, -0.04, 1.05), (0, 0.04, 1.05), 0.115, 0.115, coat),
        Bone((0.0, -0.09, 1.33), (0.0, 0.09, 1.33), 0.118, 0.118, coat),
        Bone((0, -0.14, 1.43), (0, 0.14, 1.43), 0.062, 0.062, coat),
        Bone((0, 0, 1.45), (0.015, 0, 1.54), 0.055, 0.05, face),
        Bone((0.02, 0, 1.60), (0.03, 0, 1.66), 0.086, 0.092, face),
    ]
    if vest:
        helmet = [(0.75, 0.75, 0.72), (0.7, 0.45, 0.02), hair][rng.integers(3)]
        bones.append(Bone((0.005, 0, 1.69), (0.005, 0, 1.71), 0.098, 0.09, helmet))
        bones += [
            Bone((0.11, y * 0.09, 1.40), (0.11, y * 0.09, 1.10), 0.03, 0.03, (0.8, 0.8, 0.75))
            for y in (-1, 1)
        ]
        bones += [Bone((-0.1, -0.1, 1.12), (-0.1, 0.1, 1.12), 0.03, 0.03, (0.8, 0.8, 0.75))]
    else:
        bones.append(Bone((-0.015, 0, 1.64), (0.0, 0, 1.70), 0.093, 0.085, hair))
    body = skin(bones, 0.026, 0.014)
    parts = [Part(body, "matte", "cloth")]
    if not vest and not sitting and rng.uniform() < 0.3:
        parts.append(
            Part(
                rounded_box((0.18, 0.3, 0.42), 0.08, (-0.19, 0, 1.28), CLOTHES[rng.integers(len(CLOTHES))]),
                "matte",
                "cloth",
            )
        )
    return Thing("person", tuple(parts)).scaled(s)


def bicycle(rng: np.random.Generator, name: str = "bicycle") -> Thing:
    """A bicycle along x, upright."""
    paint = np.array(
        [(0.4, 0.02, 0.02), (0.02, 0.02, 0.02), (0.02, 0.12, 0.3), (0.5, 0.5, 0.5), (0.03, 0.25, 0.15)][
            rng.integers(5)
        ]
    )
    r, black = 0.34, (0.015, 0.015, 0.015)
    parts = []
    for x in (-0.52, 0.52):
        tyre = torus(r - 0.018, 0.018, black, 40, 8).turned(roll=np.pi / 2).moved((x, 0, r))
        spokes = [
            tube(
                [(x, 0, r), (x + (r - 0.02) * np.cos(a), 0, r + (r - 0.02) * np.sin(a))],
                0.0025,
                (0.5,) * 3,
                4,
            )
            for a in np.arange(14) * 2 * np.pi / 14
        ]
        parts += [Part(tyre, "matte"), Part(join(spokes), "metal")]

    def bar(a: Vec, b: Vec, w: float = 0.016) -> Mesh:
        return tube([a, b], w, paint, 8)

    crank, seat, head = (-0.08, 0, 0.29), (-0.22, 0, 0.82), (0.36, 0, 0.80)
    frame = [
        bar(crank, seat),
        bar(crank, (0.40, 0, 0.68)),
        bar((-0.19, 0, 0.74), head),
        bar(head, (0.40, 0, 0.66), 0.02),
        bar((0.40, 0, 0.66), (0.52, 0, r), 0.013),
        bar(crank, (-0.52, 0, r), 0.01),
        bar((-0.2, 0, 0.74), (-0.52, 0, r), 0.01),
        bar(head, (0.34, 0, 0.98), 0.013),
        bar((0.34, -0.27, 1.0), (0.34, 0.27, 1.0), 0.013),
    ]
    parts += [
        Part(join(frame), "paint"),
        Part(rounded_box((0.26, 0.14, 0.06), 0.025, (-0.24, 0, 0.88), black), "satin"),
        Part(
            cylinder(0.09, 0.012, (0.3, 0.3, 0.3), 20)
            .turned(roll=np.pi / 2)
            .moved((crank[0], 0.03, crank[2])),
            "metal",
        ),
    ]
    return Thing(name, tuple(parts))


def rider(rng: np.random.Generator) -> Thing:
    """A person seated on a bicycle: the rider alone, to be placed with the bicycle."""
    body = person(rng, walking=False, sitting=True)
    return thing("rider", *body.parts).moved((-0.22, 0, 0.02))
