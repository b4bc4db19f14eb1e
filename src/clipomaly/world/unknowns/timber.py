"""Wood, stone, leaves and hay."""

from __future__ import annotations

import numpy as np

from clipomaly.world.implicit import surface_nets
from clipomaly.world.mesh import (
    ball,
    box,
    cylinder,
    join,
    lathe,
    rounded_box,
    tube,
)
from clipomaly.world.nature import BARK, GREENS, leaves
from clipomaly.world.things import Part, Thing, thing
from clipomaly.world.unknowns.common import (
    BLACK,
    BRICKS,
    GREYS,
    WOODS,
    Builder,
    lying,
    pick,
)


def rock(rng: np.random.Generator) -> Thing:
    """A boulder with cleft faces."""
    size = rng.uniform(0.15, 0.6)
    planes = rng.normal(size=(14, 3))
    planes /= np.linalg.norm(planes, axis=1, keepdims=True)
    cut, seed = rng.uniform(0.55, 0.95, 14) * size, rng.uniform(0, 30, 3)

    def distance(p: np.ndarray) -> np.ndarray:
        rough = 0.05 * np.sin(p * (7 / size) + seed).prod(1) + 0.02 * np.sin(p * (23 / size) + seed).prod(1)
        return (p @ planes.T - cut).max(1) + size * rough

    span = np.full(3, size * 1.9)
    mesh = surface_nets(distance, -span, span, size / 16)
    c = pick(rng, [(0.20, 0.19, 0.18), (0.27, 0.25, 0.22), (0.14, 0.14, 0.14), (0.25, 0.20, 0.16)])
    return thing(
        "rock", (mesh.painted(c).scaled((1.2, 1.0, rng.uniform(0.6, 0.9))), "matte", "rough")
    ).grounded()


def _heap(
    name: str,
    count: tuple[int, int],
    size: tuple[float, float],
    colors: list,
    round_: bool = False,
    wide: float = 0.28,
) -> Builder:
    """Lumps in a heap."""

    def build(rng: np.random.Generator) -> Thing:
        lumps = []
        for _ in range(int(rng.integers(*count))):
            r, a = rng.exponential(wide), rng.uniform(0, 2 * np.pi)
            s = rng.uniform(*size, 3)
            piece = (
                ball(s * 0.6, (0, 0, 0), pick(rng, colors), 10)
                if round_
                else box(s, (0, 0, 0), pick(rng, colors))
            )
            z = max(size[0] * 0.5, wide * 1.1 - r * 0.5) * rng.uniform(0.3, 1)
            lumps.append(piece.turned(*rng.uniform(-3, 3, 3)).moved((r * np.cos(a), r * np.sin(a), z)))
        return thing(name, (join(lumps), "matte", "rough")).grounded()

    return build


def branch(rng: np.random.Generator) -> Thing:
    """A broken branch with some leaves."""
    n, bark = rng.uniform(1.2, 3.5), BARK[rng.integers(len(BARK))]
    bend = rng.normal(0, 0.12, (6, 2)).cumsum(0)
    path = np.stack([np.linspace(-n / 2, n / 2, 6), bend[:, 0] * n * 0.3, 0.08 + np.abs(bend[:, 1]) * 0.2], 1)
    parts = [Part(tube(path, np.linspace(0.055, 0.012, 6) * n / 2, bark, 9), "matte", "rough")]
    tips: list[np.ndarray] = []
    for _ in range(int(rng.integers(7, 13))):
        root = path[int(rng.uniform(0.25, 1.0) * 5)]
        way = np.array(
            [rng.uniform(0.1, 0.4), rng.choice([-1, 1]) * rng.uniform(0.15, 0.5), rng.uniform(-0.05, 0.35)]
        )
        tip = root + way * n * 0.5
        tip[2] = max(tip[2], 0.02)
        twig = tube([root, (root + tip) / 2 + [0, 0, 0.04], tip], [0.014, 0.009, 0.003], bark, 6)
        parts.append(Part(twig, "matte", "rough"))
        tips += [root * (1 - u) + tip * u for u in rng.uniform(0.3, 1.1, 60)]
    if rng.uniform() < 0.75:
        p = np.array(tips) + rng.normal(0, 0.06, (len(tips), 3))
        p[:, 2] = np.maximum(p[:, 2], 0.01)
        green = np.array(GREENS[rng.integers(6)]) * rng.uniform(0.6, 1.3, (len(p), 1))
        parts.append(Part(leaves(p, rng.uniform(0.02, 0.05, len(p)), green, rng), "matte"))
    return Thing("branch", tuple(parts)).grounded()


def log(rng: np.random.Generator) -> Thing:
    """A tree trunk, sawn off."""
    n, r = rng.uniform(0.8, 3.0), rng.uniform(0.1, 0.28)
    x = np.linspace(-n / 2, n / 2, 12)
    path = np.stack([x, 0.04 * np.sin(x * 2), np.full(12, r)], 1)
    bark = tube(path, r * rng.uniform(0.94, 1.04, 12), (0.13, 0.10, 0.07), 18)
    face = cylinder(r * 0.93, 0.02, (0.45, 0.33, 0.19), 18).turned(pitch=np.pi / 2)
    ends = [face.moved((s * n / 2 - 0.01 + s * 0.006, 0.04 * np.sin(s * n), r)) for s in (-1, 1)]
    return thing("log", (bark, "matte", "rough"), (join(ends), "matte", "wood")).grounded()


def tree_stump(rng: np.random.Generator) -> Thing:
    """A stump with its roots in the air."""
    r = rng.uniform(0.18, 0.35)
    trunk = lathe(
        [(0, 0), (r * 1.3, 0), (r, r * 0.8), (r * 0.92, r * 1.6), (0, r * 1.6)], (0.14, 0.10, 0.07), 20
    )
    roots = []
    for a in np.arange(7) * 0.9:
        c, s = np.cos(a), np.sin(a)
        roots.append(
            tube(
                [
                    (r * c, r * s, 0.1),
                    (r * 1.8 * c, r * 1.8 * s, 0.12 * rng.uniform()),
                    (r * 2.6 * c, r * 2.5 * s, rng.uniform(-0.1, 0.2)),
                ],
                [r * 0.3, r * 0.18, 0.01],
                (0.12, 0.08, 0.055),
                8,
            )
        )
    t = thing(
        "tree stump",
        (join([trunk, *roots]), "matte", "rough"),
        (cylinder(r * 0.9, 0.015, (0.42, 0.31, 0.18), 20).moved((0, 0, r * 1.6)), "matte", "wood"),
    )
    return t.grounded() if rng.uniform() < 0.5 else t.turned(roll=1.3).grounded()


def plank(rng: np.random.Generator) -> Thing:
    """A few boards, thrown about."""
    wood, boards = pick(rng, WOODS), []
    for k in range(int(rng.integers(1, 5))):
        board = box(
            (rng.uniform(1.2, 2.6), 0.14, 0.025), (0, 0, 0.014 + 0.026 * k), wood * rng.uniform(0.8, 1.2)
        )
        boards.append(
            board.turned(yaw=rng.normal(0, 0.5)).moved((rng.normal(0, 0.2), rng.normal(0, 0.15), 0))
        )
    return thing("plank", (join(boards), "matte", "wood")).grounded()


def hay_bale(rng: np.random.Generator) -> Thing:
    """A round or a square bale."""
    c = np.array([0.42, 0.34, 0.15]) * rng.uniform(0.85, 1.15)
    if rng.uniform() < 0.5:
        return lying(
            thing("hay bale", (cylinder(rng.uniform(0.5, 0.75), 1.2, c, 40, 0.06), "matte", "fur")), rng
        )
    return thing("hay bale", (rounded_box((1.0, 0.5, 0.45), 0.04, (0, 0, 0.22), c, 4), "matte", "fur"))


def leaf_pile(rng: np.random.Generator) -> Thing:
    """A heap of dead leaves and clippings."""
    n = 1400
    r, a = np.abs(rng.normal(0, 0.3, n)), rng.uniform(0, 2 * np.pi, n)
    z = np.maximum(0.3 - r * 0.45, 0.005) * rng.uniform(0, 1, n) + 0.01
    c = np.array([(0.22, 0.12, 0.04), (0.30, 0.17, 0.05), (0.14, 0.08, 0.04)])[
        rng.integers(0, 3, n)
    ] * rng.uniform(0.6, 1.3, (n, 1))
    core = ball((0.3, 0.3, 0.12), (0, 0, 0.02), (0.1, 0.06, 0.03), 20)
    heap = leaves(np.stack([r * np.cos(a), r * np.sin(a), z], 1), rng.uniform(0.02, 0.05, n), c, rng)
    return thing("pile of leaves", (heap, "matte"), (core, "matte")).grounded()


BUILDERS: dict[str, Builder] = {
    "rock": rock,
    "rubble": _heap("rubble", (14, 30), (0.07, 0.22), BRICKS),
    "gravel heap": _heap("gravel heap", (90, 160), (0.03, 0.08), GREYS, wide=0.22),
    "coal": _heap("coal", (40, 80), (0.05, 0.12), [BLACK]),
    "potatoes": _heap("potatoes", (25, 60), (0.06, 0.12), [(0.35, 0.26, 0.14)], True),
    "branch": branch,
    "log": log,
    "tree stump": tree_stump,
    "plank": plank,
    "pile of leaves": leaf_pile,
    "hay bale": hay_bale,
}
