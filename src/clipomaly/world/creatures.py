"""People and animals: skeletons of round cones under one skin, in a pose."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from clipomaly.world.implicit import Bone, skin
from clipomaly.world.mesh import Mesh, Vec, ball, cylinder, join, make, rounded_box, torus, tube
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


@dataclasses.dataclass(frozen=True)
class Beast:
    """Proportions of a four-legged animal, in metres at the withers of `height`."""

    height: float
    length: float
    girth: float
    neck: float
    neck_angle: float
    head: float
    leg: float
    tail: float
    coat: Sequence[tuple[float, float, float]]
    belly: tuple[float, float, float] | None = None
    ears: float = 0.08
    extra: str = ""


BEASTS: dict[str, Beast] = {
    "deer": Beast(
        0.95,
        0.95,
        0.20,
        0.45,
        55,
        0.24,
        0.035,
        0.12,
        [(0.26, 0.15, 0.07), (0.20, 0.12, 0.06)],
        (0.40, 0.30, 0.2),
        0.14,
        "antlers",
    ),
    "roe deer": Beast(
        0.70, 0.70, 0.15, 0.34, 60, 0.19, 0.026, 0.05, [(0.30, 0.16, 0.07)], (0.42, 0.32, 0.22), 0.12
    ),
    "moose": Beast(1.75, 1.7, 0.40, 0.50, 25, 0.52, 0.062, 0.08, [(0.07, 0.045, 0.03)], None, 0.2, "palms"),
    "cow": Beast(
        1.35,
        1.55,
        0.36,
        0.45,
        15,
        0.42,
        0.065,
        0.7,
        [(0.65, 0.62, 0.56), (0.20, 0.09, 0.04), (0.03, 0.025, 0.025)],
        None,
        0.13,
        "patches",
    ),
    "horse": Beast(
        1.50,
        1.55,
        0.30,
        0.75,
        50,
        0.45,
        0.055,
        0.75,
        [(0.16, 0.07, 0.03), (0.05, 0.03, 0.02), (0.4, 0.38, 0.35)],
        None,
        0.1,
        "mane",
    ),
    "zebra": Beast(1.30, 1.35, 0.28, 0.60, 50, 0.38, 0.05, 0.5, [(0.62, 0.60, 0.56)], None, 0.11, "stripes"),
    "sheep": Beast(0.70, 0.85, 0.27, 0.22, 30, 0.20, 0.032, 0.12, [(0.58, 0.53, 0.44)], None, 0.09, "wool"),
    "goat": Beast(
        0.70,
        0.75,
        0.18,
        0.28,
        50,
        0.20,
        0.03,
        0.1,
        [(0.50, 0.46, 0.4), (0.12, 0.08, 0.05)],
        None,
        0.1,
        "horns",
    ),
    "pig": Beast(0.70, 1.05, 0.28, 0.12, 0, 0.28, 0.05, 0.1, [(0.60, 0.36, 0.30)], None, 0.1),
    "wild boar": Beast(0.75, 0.95, 0.25, 0.14, -5, 0.34, 0.04, 0.15, [(0.06, 0.045, 0.035)], None, 0.1),
    "dog": Beast(
        0.55,
        0.55,
        0.12,
        0.18,
        45,
        0.18,
        0.026,
        0.32,
        [(0.28, 0.17, 0.07), (0.03, 0.025, 0.02), (0.5, 0.42, 0.3)],
        None,
        0.09,
        "tail up",
    ),
    "wolf": Beast(
        0.75, 0.75, 0.16, 0.24, 30, 0.24, 0.032, 0.38, [(0.25, 0.23, 0.20)], (0.45, 0.42, 0.36), 0.1
    ),
    "fox": Beast(
        0.38, 0.42, 0.08, 0.12, 30, 0.13, 0.017, 0.34, [(0.42, 0.16, 0.04)], (0.55, 0.5, 0.42), 0.08, "bushy"
    ),
    "cat": Beast(
        0.26,
        0.30,
        0.065,
        0.06,
        35,
        0.09,
        0.016,
        0.26,
        [(0.05, 0.045, 0.04), (0.36, 0.22, 0.10), (0.3, 0.3, 0.3)],
        None,
        0.045,
        "tail up",
    ),
    "hare": Beast(
        0.28, 0.32, 0.09, 0.07, 50, 0.09, 0.018, 0.05, [(0.28, 0.20, 0.12)], (0.5, 0.45, 0.38), 0.13
    ),
    "badger": Beast(0.30, 0.50, 0.13, 0.08, 0, 0.15, 0.026, 0.12, [(0.18, 0.17, 0.16)], None, 0.03),
    "elephant": Beast(2.7, 2.4, 0.75, 0.3, 10, 0.75, 0.19, 0.9, [(0.19, 0.175, 0.16)], None, 0.6, "trunk"),
    "camel": Beast(1.85, 1.5, 0.38, 0.95, 40, 0.36, 0.065, 0.4, [(0.42, 0.29, 0.16)], None, 0.07, "hump"),
    "kangaroo": Beast(0.9, 0.6, 0.2, 0.26, 55, 0.17, 0.05, 0.7, [(0.30, 0.20, 0.13)], None, 0.13),
    "bear": Beast(1.0, 1.25, 0.34, 0.2, 5, 0.32, 0.085, 0.05, [(0.08, 0.05, 0.03)], None, 0.07),
    "donkey": Beast(
        1.1, 1.1, 0.24, 0.48, 40, 0.36, 0.042, 0.4, [(0.25, 0.22, 0.20)], (0.5, 0.47, 0.42), 0.2, "mane"
    ),
    "raccoon": Beast(
        0.28, 0.40, 0.11, 0.06, 10, 0.12, 0.022, 0.25, [(0.22, 0.20, 0.18)], None, 0.04, "bushy"
    ),
}


def beast(name: str, rng: np.random.Generator) -> Thing:
    """One animal of `BEASTS`, facing +x, walking or standing."""
    b = BEASTS[name]
    k = rng.uniform(0.88, 1.12)
    coat = np.array(b.coat[int(rng.integers(len(b.coat)))]) * rng.uniform(0.85, 1.15)
    belly = coat if b.belly is None else np.array(b.belly)
    dark = coat * 0.45
    h, length, g = b.height, b.length, b.girth
    z = h - g * 0.95
    front, rear = length / 2, -length / 2
    step = rng.uniform(0.05, 0.22) * h * rng.choice([0.2, 1.0])
    bones = [
        Bone((rear + g * 0.6, 0, z), (0, 0, z - g * 0.06), g * 0.92, g * 0.95, coat),
        Bone((0, 0, z - g * 0.06), (front - g * 0.6, 0, z), g * 0.95, g * 0.98, coat),
        Bone((rear * 0.5, 0, z - g * 0.32), (front * 0.6, 0, z - g * 0.34), g * 0.68, g * 0.68, belly),
    ]
    for x, sign in ((front - g * 0.75, 1), (rear + g * 0.6, -1)):
        for side, phase in ((1, 1), (-1, -1)):
            y = side * g * 0.55
            fore = step * phase * sign
            hip = (x, y * 0.85, z - g * 0.1)
            knee = (x + fore * 0.5 + (0.03 if sign > 0 else -0.10) * h, y, h * 0.30)
            foot = (x + fore, y, b.leg * 0.7)
            bones += [
                Bone(hip, knee, max(g * (0.42 if sign > 0 else 0.52), b.leg * 1.3), b.leg * 1.15, coat),
                Bone(knee, foot, b.leg * 1.1, b.leg * 0.8, coat * 0.8),
                Bone(foot, (foot[0] + b.leg * 0.9, y, b.leg * 0.6), b.leg * 0.95, b.leg * 0.85, dark),
            ]
    bow = np.deg2rad(b.neck_angle + rng.uniform(-12, 12))
    grazing = b.extra not in ("trunk", "hump") and rng.uniform() < 0.15 and b.neck > 0.3
    if grazing:
        bow = np.deg2rad(-40)
    turn = rng.uniform(-0.5, 0.5)
    base = np.array([front - g * 0.35, 0, z + g * 0.35])
    way = np.array([np.cos(bow) * np.cos(turn * 0.5), np.sin(turn) * 0.5, np.sin(bow)])
    top = base + b.neck * way
    nose_way = np.array([np.cos(turn), np.sin(turn), -0.45 if not grazing else -0.8])
    nose_way /= np.linalg.norm(nose_way)
    hr = b.head * 0.30
    nose = top + nose_way * b.head * 0.9
    bones += [
        Bone(base, top, g * 0.62, hr * 1.05, coat),
        Bone(top, top + nose_way * b.head * 0.3, hr * 1.1, hr, coat),
        Bone(top + nose_way * b.head * 0.3, nose, hr * 0.85, hr * 0.52, coat * 0.9),
        Bone(nose, nose + nose_way * hr * 0.2, hr * 0.5, hr * 0.42, dark),
    ]
    across = np.array([-np.sin(turn), np.cos(turn), 0])
    for s in (-1, 1):
        root = top + s * across * hr * 0.8 + np.array([0, 0, hr * 0.6])
        if b.extra == "trunk":
            for t in np.linspace(-0.5, 0.5, 5):
                bones.append(
                    Bone(
                        root,
                        root + s * across * b.ears * 0.6 + np.array([-0.25, 0, t * b.ears * 1.5]),
                        0.06,
                        0.04,
                        coat,
                    )
                )
        else:
            tip = root + s * across * b.ears * 0.6 + np.array([-0.02, 0, b.ears * 0.8])
            bones.append(Bone(root, tip, hr * 0.28, hr * 0.10, coat * 0.9))
    tail_root = np.array([rear - g * 0.2, 0, z + g * 0.35])
    tail_way = (
        np.array([-0.35, 0.05, -1.0])
        if b.extra not in ("tail up", "bushy")
        else np.array([-0.9, 0.15, 0.35 if b.extra == "tail up" else -0.25])
    )
    tail_way /= np.linalg.norm(tail_way)
    thick = hr * (0.75 if b.extra == "bushy" else 0.22)
    bones.append(Bone(tail_root, tail_root + tail_way * b.tail, hr * 0.25 + 0.004, thick, coat * 0.85))
    hard: list[Part] = []
    horn = (0.22, 0.17, 0.11)
    if b.extra == "antlers" and rng.uniform() < 0.6:
        for s in (-1, 1):
            root = top + s * across * hr * 0.5 + [0, 0, hr]
            beam = [
                root,
                root + s * across * 0.18 + [-0.06, 0, 0.2],
                root + s * across * 0.28 + [0.0, 0, 0.42],
                root + s * across * 0.24 + [0.12, 0, 0.6],
            ]
            hard.append(Part(tube(beam, [0.022, 0.018, 0.014, 0.006], horn, 8), "matte"))
            hard += [
                Part(
                    tube([beam[i], beam[i] + np.array([0.16, s * 0.03, 0.12])], [0.014, 0.004], horn, 6),
                    "matte",
                )
                for i in (1, 2)
            ]
    if b.extra in ("palms", "horns"):
        for s in (-1, 1):
            root = top + s * across * hr * 0.5 + [0, 0, hr * 0.9]
            if b.extra == "horns":
                hard.append(
                    Part(
                        tube(
                            [
                                root,
                                root + np.array([-0.05, s * 0.03, 0.12]),
                                root + np.array([-0.14, s * 0.05, 0.2]),
                            ],
                            [0.022, 0.016, 0.005],
                            horn,
                            8,
                        ),
                        "matte",
                    )
                )
            else:
                bones += [
                    Bone(root, root + s * across * 0.45 + [0, 0, 0.12], 0.03, 0.04, horn),
                    Bone(
                        root + s * across * 0.4 + [0.1, 0, 0.12],
                        root + s * across * 0.6 + [-0.25, 0, 0.32],
                        0.05,
                        0.04,
                        horn,
                    ),
                ]
    if b.extra == "hump":
        bones.append(Bone((0, 0, z + g * 0.8), (0.0, 0, z + g * 1.35), g * 0.55, g * 0.3, coat))
    if b.extra == "trunk":
        points = [nose, nose + [0.15, 0, -0.5], nose + [0.18, 0, -1.0], nose + [0.35, 0, -1.3]]
        bones += [
            Bone(p, q, r, s, coat)
            for p, q, r, s in zip(points, points[1:], (0.17, 0.14, 0.10), (0.14, 0.10, 0.07), strict=False)
        ]
        for s in (-1, 1):
            hard.append(
                Part(
                    tube(
                        [
                            nose + [0, s * 0.2, -0.1],
                            nose + [0.35, s * 0.28, -0.4],
                            nose + [0.75, s * 0.25, -0.35],
                        ],
                        [0.06, 0.05, 0.015],
                        (0.7, 0.66, 0.55),
                        10,
                    ),
                    "satin",
                )
            )
    if b.extra == "mane":
        bones += [
            Bone(
                base * (1 - t) + top * t + [-g * 0.25, 0, hr * 0.5],
                base * (1 - t) + top * t + [-g * 0.4, 0, hr * 0.7],
                hr * 0.4,
                hr * 0.3,
                dark,
            )
            for t in (0.2, 0.5, 0.8, 1.0)
        ]
    resolution = min(max(g * 0.085, 0.008), 0.05)
    seed = rng.uniform(0, 100, 3)
    warp = (lambda p: 0.12 * g * (np.sin((p + seed) * 26).prod(1))) if b.extra == "wool" else None
    body = skin(bones, resolution, g * 0.16, warp)
    if b.extra in ("patches", "stripes"):
        p = body.vertices
        if b.extra == "patches":
            n = np.sin(p[:, 0] * 4.1 + seed[0]) * np.sin(p[:, 2] * 4.7 + seed[1]) + 0.7 * np.sin(
                p[:, 1] * 5 + p[:, 0] * 7 + seed[2]
            )
            mask = n > rng.uniform(0.0, 0.5)
        else:
            mask = np.sin(p[:, 0] * 52 / h + 2.2 * np.sin(p[:, 2] * 6 / h) + seed[0]) > 0.05
        color = np.where(mask[:, None], [0.025, 0.02, 0.02], body.colors)
        body = Mesh(body.vertices, body.faces, color)
    eyes = join(
        [
            ball(
                hr * 0.16,
                tuple(top + nose_way * b.head * 0.28 + s * across * hr * 0.88 + [0, 0, hr * 0.25]),
                (0.01, 0.008, 0.006),
                10,
            )
            for s in (-1, 1)
        ]
    )
    return Thing(name, (Part(body, "matte", "fur"), Part(eyes, "glass"), *hard)).scaled(k).grounded()


@dataclasses.dataclass(frozen=True)
class Fowl:
    """Proportions of a bird: body length, colours of body, wing and head, and how long legs and neck are."""

    length: float
    body: tuple[float, float, float]
    wing: tuple[float, float, float]
    head: tuple[float, float, float]
    beak: tuple[float, float, float]
    legs: float
    neck: float
    upright: float = 0.3


BIRDS: dict[str, Fowl] = {
    "crow": Fowl(0.34, (0.012, 0.012, 0.014), (0.01, 0.01, 0.012), (0.012,) * 3, (0.02,) * 3, 0.08, 0.04),
    "seagull": Fowl(
        0.38, (0.75, 0.75, 0.73), (0.35, 0.37, 0.40), (0.78, 0.78, 0.76), (0.7, 0.5, 0.05), 0.09, 0.06
    ),
    "pigeon": Fowl(
        0.24, (0.18, 0.20, 0.24), (0.24, 0.26, 0.30), (0.08, 0.13, 0.12), (0.1, 0.1, 0.1), 0.05, 0.05
    ),
    "goose": Fowl(0.60, (0.24, 0.20, 0.16), (0.18, 0.15, 0.12), (0.02, 0.02, 0.02), (0.03,) * 3, 0.13, 0.32),
    "swan": Fowl(
        0.85, (0.78, 0.77, 0.73), (0.76, 0.75, 0.71), (0.78, 0.77, 0.73), (0.6, 0.2, 0.02), 0.12, 0.60
    ),
    "duck": Fowl(
        0.40, (0.22, 0.19, 0.15), (0.14, 0.12, 0.1), (0.02, 0.12, 0.05), (0.5, 0.4, 0.05), 0.06, 0.12
    ),
    "chicken": Fowl(
        0.36, (0.35, 0.16, 0.06), (0.28, 0.12, 0.05), (0.45, 0.2, 0.08), (0.5, 0.35, 0.1), 0.10, 0.12, 0.5
    ),
    "turkey": Fowl(
        0.70, (0.05, 0.04, 0.035), (0.08, 0.06, 0.045), (0.35, 0.08, 0.07), (0.4, 0.3, 0.2), 0.22, 0.25, 0.5
    ),
    "peacock": Fowl(
        0.60, (0.01, 0.06, 0.18), (0.14, 0.11, 0.07), (0.01, 0.07, 0.22), (0.2, 0.2, 0.2), 0.20, 0.30, 0.5
    ),
    "heron": Fowl(
        0.55, (0.32, 0.34, 0.37), (0.25, 0.27, 0.30), (0.6, 0.6, 0.6), (0.6, 0.4, 0.05), 0.38, 0.45, 0.6
    ),
    "ostrich": Fowl(
        1.10, (0.02, 0.02, 0.02), (0.025, 0.025, 0.025), (0.45, 0.33, 0.27), (0.4, 0.3, 0.2), 1.05, 0.95, 0.2
    ),
    "owl": Fowl(
        0.34, (0.30, 0.23, 0.14), (0.22, 0.16, 0.10), (0.34, 0.27, 0.18), (0.15, 0.13, 0.1), 0.05, 0.01, 1.2
    ),
}


def bird(name: str, rng: np.random.Generator) -> Thing:
    """One bird of `BIRDS`, standing, facing +x."""
    f = BIRDS[name]
    n = f.length * rng.uniform(0.88, 1.12)
    r = n * 0.24
    tilt = f.upright * rng.uniform(0.7, 1.3)
    way = np.array([np.cos(tilt), 0, np.sin(tilt)])
    mid = np.array([0, 0, f.legs + r * 1.15])
    chest, rump = mid + way * n * 0.22, mid - way * n * 0.22
    turn = rng.uniform(-0.7, 0.7)
    head = chest + way * r * 0.6 + np.array([0.25 * f.neck, 0.1 * turn * f.neck, f.neck + r * 0.5])
    look = np.array([np.cos(turn), np.sin(turn), -0.12])
    hr = r * (0.42 if f.neck > 0.2 else 0.6) * (1.5 if name == "owl" else 1.0)
    body, wing = np.array(f.body) * rng.uniform(0.85, 1.15), np.array(f.wing)
    bend = (chest + head) / 2 + np.array([0.15 * f.neck, 0, -0.1 * f.neck])
    bones = [
        Bone(chest, rump, r, r * 0.72, body),
        Bone(rump, rump - way * n * 0.28, r * 0.6, r * 0.12, wing),
        Bone(chest + way * r * 0.3, bend, r * 0.6, hr * 0.7, f.head if f.neck > 0.2 else body),
        Bone(bend, head, hr * 0.7, hr * 0.8, f.head),
        Bone(head, head + look * hr * 0.4, hr, hr * 0.8, f.head),
    ]
    for s in (-1, 1):
        bones += [
            Bone(
                chest + [0, s * r * 0.75, r * 0.15],
                rump - way * n * 0.18 + [0, s * r * 0.45, r * 0.15],
                r * 0.42,
                r * 0.10,
                wing,
            )
        ]
    hard = []
    for s in (-1, 1):
        hip = mid + [-r * 0.1, s * r * 0.45, -r * 0.6]
        foot = np.array([hip[0] + 0.05 * f.legs, hip[1], 0.012])
        hard.append(
            tube(
                [hip, (hip + foot) / 2 + [-0.1 * f.legs, 0, 0], foot],
                [r * 0.13, r * 0.07, r * 0.06],
                f.beak,
                7,
            )
        )
        hard += [
            tube(
                [foot, foot + np.array([np.cos(a), np.sin(a), 0]) * r * 0.45], [r * 0.06, r * 0.03], f.beak, 5
            )
            for a in (-0.5, 0, 0.5, np.pi)
        ]
    beak = tube(
        [head + look * hr * 0.9, head + look * hr * (1.9 if f.neck < 0.3 else 2.6)],
        [hr * 0.32, hr * 0.06],
        f.beak,
        8,
    )
    eyes = join(
        [
            ball(
                hr * 0.15,
                tuple(
                    head
                    + look * hr * 0.45
                    + np.array([-np.sin(turn), np.cos(turn), 0.3]) * s_ * hr * 0.86 * [1, 1, s_]
                ),
                (0.01, 0.01, 0.01),
                8,
            )
            for s_ in (-1, 1)
        ]
    )
    parts = [
        Part(skin(bones, max(r * 0.09, 0.006), r * 0.13), "matte", "fur"),
        Part(join([*hard, beak]), "satin"),
        Part(eyes, "glass"),
    ]
    if name == "peacock":
        fan = np.array([[0, 0, 0], [-1.2, -0.35, -0.12], [-1.35, 0, -0.1], [-1.2, 0.35, -0.12]]) + rump
        parts.append(
            Part(
                make(
                    np.concatenate([fan, fan - [0, 0, 0.01]]),
                    [[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6]],
                    (0.02, 0.12, 0.07),
                ),
                "satin",
            )
        )
    return Thing(name, tuple(parts)).grounded()


def rider(rng: np.random.Generator) -> Thing:
    """A person seated on a bicycle: the rider alone, to be placed with the bicycle."""
    body = person(rng, walking=False, sitting=True)
    return thing("rider", *body.parts).moved((-0.22, 0, 0.02))
