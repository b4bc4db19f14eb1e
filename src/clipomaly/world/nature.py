"""Trees, bushes, hedges and grass, from many small leaves: a canopy lets light through as real ones do."""

from __future__ import annotations

import numpy as np

from clipomaly.world.mesh import Mesh, make, tube
from clipomaly.world.things import Part, Thing

GREENS = [
    (0.10, 0.17, 0.035),
    (0.07, 0.13, 0.03),
    (0.14, 0.19, 0.05),
    (0.08, 0.12, 0.05),
    (0.20, 0.17, 0.04),
    (0.26, 0.13, 0.03),
]
BARK = [(0.10, 0.075, 0.055), (0.16, 0.13, 0.10), (0.07, 0.06, 0.05)]


def leaves(centers: np.ndarray, size: np.ndarray, colors: np.ndarray, rng: np.random.Generator) -> Mesh:
    """A bent quad at each centre, in a random direction."""
    n = len(centers)
    a = rng.normal(size=(n, 3))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b = np.cross(a, rng.normal(size=(n, 3)))
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    s = size[:, None]
    corners = np.stack([centers - s * a, centers + 0.55 * s * b, centers + s * a, centers - 0.55 * s * b], 1)
    index = np.arange(n)[:, None] * 4
    faces = np.concatenate([index + [0, 1, 2], index + [0, 2, 3]])
    return Mesh(corners.reshape(-1, 3), faces, np.repeat(colors, 4, axis=0))


def _canopy(
    blobs: np.ndarray, radii: np.ndarray, count: int, leaf: float, green: np.ndarray, rng: np.random.Generator
) -> Mesh:
    """Leaves in a shell about each blob, darker towards the inside and below."""
    which = rng.choice(len(blobs), count, p=radii**2 / (radii**2).sum())
    way = rng.normal(size=(count, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    r = rng.uniform(0.35, 1.0, count) ** 0.6 * rng.uniform(0.8, 1.12, count)
    p = blobs[which] + way * (radii[which] * r)[:, None] * [1, 1, 0.85]
    tone = (0.55 + 0.45 * r + 0.15 * way[:, 2]) * rng.uniform(0.7, 1.3, count)
    colors = np.clip(green * tone[:, None] * (1 + rng.normal(0, 0.10, (count, 3))), 0.005, 0.6)
    return leaves(p, leaf * rng.uniform(0.6, 1.3, count), colors, rng)


def tree(rng: np.random.Generator, detail: float = 1.0) -> Thing:
    """A broad-leaved tree or a conifer; `detail` scales the number of leaves (and shrinks them when more)."""
    # A generator of its own: the number of leaves must not change what comes after.
    rng = np.random.default_rng(rng.integers(1 << 60))
    green = np.array(GREENS[rng.choice(len(GREENS), p=[0.32, 0.24, 0.2, 0.14, 0.06, 0.04])])
    bark = BARK[rng.integers(len(BARK))]
    height = rng.uniform(6, 13)
    if rng.uniform() < 0.22:
        return _conifer(rng, height, detail, bark)
    trunk = height * rng.uniform(0.22, 0.36)
    lean = rng.normal(0, 0.03, 2)
    path = [(lean[0] * t * trunk, lean[1] * t * trunk, t * trunk * 1.5) for t in np.linspace(0, 1, 7)]
    r0 = height * 0.018 + 0.04
    parts = [Part(tube(path, np.linspace(r0 * 1.25, r0 * 0.6, 7), bark, 12), "matte", "rough")]
    blobs, radii = [], []
    spread = height * rng.uniform(0.20, 0.30)
    for k in range(int(rng.integers(14, 24))):
        t = rng.uniform(0, 1)
        ring = spread * np.sqrt(max(0.05, 1 - (2 * t - 0.85) ** 2)) * rng.uniform(0.35, 1.0)
        a = k * 2.4 + rng.uniform(-0.4, 0.4)
        c = np.array([ring * np.cos(a), ring * np.sin(a), trunk + (height - trunk) * (0.06 + 0.86 * t)])
        blobs.append(c)
        radii.append(height * rng.uniform(0.075, 0.15))
        start = np.array([lean[0] * trunk, lean[1] * trunk, trunk * rng.uniform(0.8, 1.45)])
        mid = (start + c) / 2 + [0, 0, -0.1 * ring]
        parts.append(Part(tube([start, mid, c], [r0 * 0.4, r0 * 0.25, 0.015], bark, 6), "matte", "rough"))
    count = int(9000 * detail)
    leaf = 0.16 / np.sqrt(max(detail, 0.05)) * (height / 9)
    parts.append(Part(_canopy(np.array(blobs), np.array(radii), count, leaf, green, rng), "matte"))
    return Thing("tree", tuple(parts))


def _conifer(
    rng: np.random.Generator, height: float, detail: float, bark: tuple[float, float, float]
) -> Thing:
    count = int(8000 * detail)
    t = rng.uniform(0.0, 1.0, count) ** 1.3
    tier = np.floor(t * 16) / 16
    radius = height * 0.19 * (1 - tier) * rng.uniform(0.1, 1.0, count) ** 0.5 + 0.05
    a = rng.uniform(0, 2 * np.pi, count)
    z = height * (0.12 + 0.88 * t) - radius * 0.28
    p = np.stack([radius * np.cos(a), radius * np.sin(a), z], 1)
    tone = rng.uniform(0.5, 1.1, count) * (0.5 + 0.5 * radius / radius.max())
    colors = np.array([0.045, 0.085, 0.035]) * tone[:, None]
    needles = leaves(p, 0.15 / np.sqrt(max(detail, 0.05)) * rng.uniform(0.7, 1.4, count), colors, rng)
    trunk = tube([(0, 0, 0), (0, 0, height * 0.95)], [height * 0.018 + 0.04, 0.03], bark, 10)
    return Thing("tree", (Part(trunk, "matte", "rough"), Part(needles, "matte")))


def bush(rng: np.random.Generator, detail: float = 1.0) -> Thing:
    """A bush of one to two metres."""
    # A generator of its own: the number of leaves must not change what comes after.
    rng = np.random.default_rng(rng.integers(1 << 60))
    size = rng.uniform(0.5, 1.1)
    n = int(rng.integers(4, 8))
    blobs = np.stack(
        [rng.normal(0, size * 0.5, n), rng.normal(0, size * 0.5, n), rng.uniform(0.3, 0.9, n) * size], 1
    )
    green = np.array(GREENS[rng.integers(4)])
    radii = rng.uniform(0.4, 0.6, n) * size
    return Thing(
        "bush",
        (
            Part(
                _canopy(blobs, radii, int(2600 * detail), 0.07 * size / np.sqrt(detail), green, rng), "matte"
            ),
        ),
    )


def hedge(length: float, rng: np.random.Generator, height: float = 1.4) -> Thing:
    """A clipped hedge along x."""
    count = int(1700 * length)
    p = rng.uniform(-0.5, 0.5, (count, 3)) * [length, 0.9, height]
    face = rng.integers(0, 4, count)
    p[face == 0, 1], p[face == 1, 1], p[face == 2, 2] = 0.45, -0.45, height / 2
    p += rng.normal(0, 0.05, p.shape) + [0, 0, height / 2]
    tone = rng.uniform(0.5, 1.3, count) * (0.6 + 0.4 * p[:, 2] / height)
    colors = np.array(GREENS[rng.integers(3)]) * tone[:, None]
    return Thing("hedge", (Part(leaves(p, rng.uniform(0.04, 0.09, count), colors, rng), "matte"),))


def grass(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, rng: np.random.Generator, height: float = 0.16
) -> Thing:
    """Single blades at the given places."""
    n = len(x)
    root = np.stack([x, y, z], 1)
    a = rng.uniform(0, 2 * np.pi, n)
    lean = rng.uniform(0.1, 0.8, n)
    h = height * rng.uniform(0.4, 1.4, n)
    side = (
        np.stack([-np.sin(a), np.cos(a), np.zeros(n)], 1)
        * rng.uniform(0.004, 0.009, n)[:, None]
        * (1 + np.hypot(x, y)[:, None] / 12)
    )
    tip = root + np.stack([np.cos(a) * lean * h, np.sin(a) * lean * h, h], 1)
    vertices = np.stack([root - side, root + side, tip], 1).reshape(-1, 3)
    dry = rng.uniform(0, 1, n)[:, None] ** 3
    colors = (np.array([0.11, 0.17, 0.045]) * (1 - dry) + np.array([0.32, 0.27, 0.12]) * dry) * rng.uniform(
        0.7, 1.3, n
    )[:, None]
    return Thing("grass", (Part(make_colored(vertices, colors), "matte"),))


def make_colored(vertices: np.ndarray, colors: np.ndarray) -> Mesh:
    """Loose triangles, one colour each."""
    faces = np.arange(len(vertices)).reshape(-1, 3)
    return Mesh(make(vertices, faces).vertices, faces, np.repeat(colors, 3, axis=0))
