"""Birds: skeletons of round cones under one skin, in a pose."""

from __future__ import annotations

import dataclasses

import numpy as np

from clipomaly.world.implicit import Bone, skin
from clipomaly.world.mesh import ball, join, make, tube
from clipomaly.world.things import Part, Thing


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
