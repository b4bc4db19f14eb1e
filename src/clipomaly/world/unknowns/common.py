"""What the builders of unknown things share: colours, poses, and families that differ only in proportion."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from clipomaly.world.implicit import Bone, skin
from clipomaly.world.mesh import Mesh, ball, box, grid_faces, join, lathe, make, tube
from clipomaly.world.things import Part, Thing, thing

Builder = Callable[[np.random.Generator], Thing]
Color = tuple[float, float, float]
Point = tuple[float, float, float]

BRIGHT: list[Color] = [
    (0.50, 0.03, 0.03), (0.03, 0.10, 0.40), (0.55, 0.42, 0.03), (0.03, 0.25, 0.08), (0.55, 0.20, 0.02),
    (0.30, 0.05, 0.25), (0.05, 0.30, 0.32), (0.60, 0.60, 0.58), (0.03, 0.03, 0.035), (0.55, 0.25, 0.32),
]  # fmt: skip
WOODS: list[Color] = [(0.33, 0.21, 0.11), (0.42, 0.30, 0.17), (0.20, 0.12, 0.06), (0.48, 0.38, 0.25)]
FABRICS: list[Color] = [
    (0.30, 0.10, 0.07), (0.12, 0.14, 0.18), (0.35, 0.30, 0.22), (0.08, 0.16, 0.10), (0.40, 0.36, 0.32),
    (0.20, 0.13, 0.08),
]  # fmt: skip
LEATHER: list[Color] = [(0.20, 0.10, 0.05), (0.03, 0.03, 0.03), (0.10, 0.06, 0.04)]
CLEAR: list[Color] = [(0.60, 0.62, 0.62), (0.5, 0.52, 0.53)]
GREYS: list[Color] = [(0.25, 0.25, 0.25), (0.4, 0.4, 0.4), (0.12, 0.12, 0.12)]
BRICKS: list[Color] = [(0.32, 0.11, 0.07), (0.36, 0.34, 0.31), (0.25, 0.09, 0.06)]
STEEL: Color = (0.42, 0.42, 0.43)
RUST: Color = (0.22, 0.09, 0.04)
BLACK: Color = (0.015, 0.015, 0.016)

#: The four corners, as signs.
FOUR = [(a, b) for a in (-1, 1) for b in (-1, 1)]


def pick(rng: np.random.Generator, colors: Sequence[Color]) -> np.ndarray:
    """One of the colours, a little off."""
    return np.clip(np.array(colors[int(rng.integers(len(colors)))]) * rng.uniform(0.8, 1.2, 3), 0.01, 0.9)


def lying(t: Thing, rng: np.random.Generator) -> Thing:
    """Fallen on its side."""
    return t.turned(roll=np.pi / 2 * rng.choice([-1, 1])).grounded()


def bars(pairs: Sequence[tuple[Point, Point]], radius: float, color: Color | np.ndarray, n: int = 8) -> Mesh:
    """Straight rods between pairs of points."""
    return join([tube([a, b], radius, color, n) for a, b in pairs])


def both(points: Sequence[Point]) -> list[list[Point]]:
    """The points, and their mirror image across y = 0."""
    return [list(points), [(x, -y, z) for x, y, z in points]]


def blocks(name: str, pieces: Sequence[tuple[Point, Point]], colors: Sequence[Color], surface: str = "satin",
           grain: str = "plain", fallen: float = 0.0, spread: float = 0.15) -> Builder:  # fmt: skip
    """Boxes, given as (size, centre); stretched a little differently in every build."""

    def build(rng: np.random.Generator) -> Thing:
        c = pick(rng, colors)
        k = rng.uniform(1 - spread, 1 + spread, 3)
        shades = rng.uniform(0.8, 1.15, len(pieces))
        mesh = join([box(size, centre, c * f) for (size, centre), f in zip(pieces, shades, strict=True)])
        t = thing(name, (mesh, surface, grain)).scaled(k).grounded()
        return lying(t, rng) if rng.uniform() < fallen else t

    return build


def turned(name: str, profile: Sequence[tuple[float, float]], colors: Sequence[Color], surface: str = "satin",
           fallen: float = 0.5, spread: float = 0.2) -> Builder:  # fmt: skip
    """Anything turned about an axis: bottles, buckets, vases, bins, pots."""

    def build(rng: np.random.Generator) -> Thing:
        k, f = rng.uniform(1 - spread, 1 + spread), rng.uniform(0.85, 1.15)
        mesh = lathe([(r * k * f, z * k) for r, z in profile], pick(rng, colors), 36)
        t = thing(name, (mesh, surface)).grounded()
        return lying(t, rng) if rng.uniform() < fallen else t

    return build


def sphere(name: str, radius: float, colors: Sequence[Color], second: Sequence[Color] | None = None,
           surface: str = "satin", stretch: float = 1.0) -> Builder:  # fmt: skip
    """A ball; with `second`, in panels of two colours; `stretch` makes it long."""

    def build(rng: np.random.Generator) -> Thing:
        r = radius * rng.uniform(0.85, 1.15)
        mesh = ball(r, (0, 0, 0), pick(rng, colors), 40)
        if second is not None:
            k = np.arange(12) + 0.5
            z, a = 1 - 2 * k / 12, np.pi * (1 + 5**0.5) * k
            hubs = np.stack([np.sqrt(1 - z * z) * np.cos(a), np.sqrt(1 - z * z) * np.sin(a), z], 1)
            panel = ((mesh.vertices / r @ hubs.T).max(1) > 0.93)[:, None]
            mesh = Mesh(mesh.vertices, mesh.faces, np.where(panel, pick(rng, second), mesh.colors))
        t = thing(name, (mesh.scaled((stretch, 1, 1)), surface))
        return (t.turned(*rng.uniform(-3, 3, 3)) if stretch == 1 else t).grounded()

    return build


def bag(name: str, size: Point, colors: Sequence[Color], straps: bool, grain: str = "cloth",
        surface: str = "matte") -> Builder:  # fmt: skip
    """A soft body with folds, with or without straps."""

    def build(rng: np.random.Generator) -> Thing:
        x, y, z = np.array(size) * rng.uniform(0.8, 1.2, 3)
        c, seed = pick(rng, colors), rng.uniform(0, 20, 6)
        r = min(y, z) * 0.3
        bones = [
            Bone(
                (sx * x * 0.26, sy * y * 0.2, z * h),
                (-sx * x * 0.2, sy * y * 0.22, z * h),
                r,
                r * 0.93,
                c * t,
            )
            for sx, sy in ((1, 1), (1, -1))
            for h, t in ((0.32, 0.95), (0.62, 1.05))
        ]
        wave = 9 / max(size)

        def folds(p: np.ndarray) -> np.ndarray:
            slow, quick = np.sin(p * wave * 1.3 + seed[:3]).prod(1), np.sin(p * wave * 3 + seed[3:]).prod(1)
            return 0.035 * max(size) * (slow + 0.25 * quick)

        body = skin(bones, max(size) * 0.026, min(size) * 0.22, folds)
        low, high = body.bounds
        body = body.moved((0, 0, -low[2])).scaled(np.array([x, y, z]) / (high - low))
        parts = [Part(body, surface, grain)]
        a = np.linspace(0, np.pi, 14)
        for s in (-1, 1) if straps else ():
            arc = np.stack(
                [x * 0.28 * np.cos(a), np.full(14, s * y * 0.22), z * (0.88 + 0.34 * np.sin(a))], 1
            )
            parts.append(Part(tube(arc, 0.014, c * 0.5, 8), "matte", "cloth"))
        return Thing(name, tuple(parts)).grounded()

    return build


def sheet(name: str, size: float, colors: Sequence[Color], crumple: float, surface: str = "satin") -> Builder:
    """A thin sheet that is crumpled: soft folds along random lines, a hand's breadth high."""

    def build(rng: np.random.Generator) -> Thing:
        n = 44
        s = size * rng.uniform(0.7, 1.3)
        u, v = np.meshgrid(np.linspace(-0.5, 0.5, n), np.linspace(-0.5, 0.5, n), indexing="ij")
        x, y, z = u.copy(), v * rng.uniform(0.5, 1.0), np.zeros_like(u)
        for _ in range(12):
            a = rng.uniform(0, 2 * np.pi)
            across = u * np.cos(a) + v * np.sin(a) - rng.uniform(-0.45, 0.45)
            along = u * np.sin(a) - v * np.cos(a)
            sharp = rng.uniform(7, 16)
            ridge = np.exp(-np.sqrt(across**2 + 0.0006) * sharp)
            z += rng.uniform(0.1, 0.5) * crumple * ridge * (0.5 + 0.5 * np.sin(along * rng.uniform(2, 6) + a))
            x -= 0.05 * crumple * np.tanh(across * sharp) * np.cos(a)
            y -= 0.05 * crumple * np.tanh(across * sharp) * np.sin(a)
        top = np.stack([x, y, z - z.min() + 0.004], -1) * s
        vertices = np.concatenate([top.reshape(-1, 3), (top - [0, 0, 0.003]).reshape(-1, 3)])
        faces = grid_faces(n, n)[:, ::-1]
        index = np.arange(n * n).reshape(n, n)
        rim = np.concatenate([index[0, :-1], index[:-1, -1], index[-1, :0:-1], index[:0:-1, 0]])
        nxt, low = np.roll(rim, -1), n * n
        wall = [np.stack([rim, nxt, nxt + low], 1), np.stack([rim, nxt + low, rim + low], 1)]
        mesh = make(vertices, np.concatenate([faces, faces[:, ::-1] + low, *wall]), pick(rng, colors))
        return thing(name, (mesh, surface)).grounded()

    return build
