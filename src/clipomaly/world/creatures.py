"""Animals on four legs: skeletons of round cones under one skin, in a pose."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from clipomaly.world.implicit import Bone, skin
from clipomaly.world.mesh import Mesh, ball, join, tube
from clipomaly.world.things import Part, Thing


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
