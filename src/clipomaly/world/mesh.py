"""Triangle meshes and the primitives that everything in the proving ground is built from.

A `Mesh` has a colour per vertex (linear RGB reflectance). Hard edges are vertices that are not shared; smooth
surfaces share them. Axes: x forwards, y left, z up; metres.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

Vec = Sequence[float] | np.ndarray


@dataclasses.dataclass(frozen=True)
class Mesh:
    """Triangles with a colour per vertex; faces turn counter-clockwise seen from outside."""

    vertices: Float[np.ndarray, "n 3"]
    faces: Int[np.ndarray, "m 3"]
    colors: Float[np.ndarray, "n 3"]

    def __post_init__(self) -> None:
        if len(self.vertices) != len(self.colors):
            raise ValueError(f"{len(self.vertices)} vertices but {len(self.colors)} colours")

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Lowest and highest corner."""
        return np.stack([self.vertices.min(0), self.vertices.max(0)])

    def moved(self, offset: Vec) -> Mesh:
        """Translated."""
        return dataclasses.replace(self, vertices=self.vertices + np.asarray(offset))

    def turned(self, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Mesh:
        """Rotated about the origin by roll (x), then pitch (y), then yaw (z), in radians."""
        return dataclasses.replace(self, vertices=self.vertices @ rotation(yaw, pitch, roll).T)

    def scaled(self, factor: float | Vec) -> Mesh:
        """Stretched about the origin (positive factors only: a mirror would turn the faces inside out)."""
        return dataclasses.replace(self, vertices=self.vertices * np.asarray(factor))

    def painted(self, color: Vec) -> Mesh:
        """All in one colour."""
        return dataclasses.replace(
            self, colors=np.broadcast_to(np.asarray(color, float), self.vertices.shape)
        )


def rotation(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Float[np.ndarray, "3 3"]:
    """The matrix R = Rz(yaw) Ry(pitch) Rx(roll)."""
    cy, sy, cp, sp, cr, sr = *_cs(yaw), *_cs(pitch), *_cs(roll)
    rz = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    ry = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    rx = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return rz @ ry @ rx


def _cs(angle: float) -> tuple[float, float]:
    return float(np.cos(angle)), float(np.sin(angle))


def make(
    vertices: np.ndarray, faces: np.ndarray | Sequence[Sequence[int]], color: Vec = (0.5, 0.5, 0.5)
) -> Mesh:
    """A mesh in one colour."""
    vertices = np.asarray(vertices, float).reshape(-1, 3)
    colors = np.broadcast_to(np.asarray(color, float), vertices.shape)
    return Mesh(vertices, np.asarray(faces, np.int64).reshape(-1, 3), colors)


def join(meshes: Sequence[Mesh]) -> Mesh:
    """Several meshes as one."""
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=False)]),
        np.concatenate([m.colors for m in meshes]),
    )


def grid_faces(rows: int, cols: int, wrap: bool = False) -> Int[np.ndarray, "m 3"]:
    """Two triangles a cell of a rows × cols vertex grid; `wrap` closes the columns into a tube."""
    i = np.arange(rows - 1)[:, None] * cols
    j = np.arange(cols if wrap else cols - 1)[None, :]
    k = (j + 1) % cols
    a, b, c, d = (i + j).ravel(), (i + k).ravel(), (i + cols + k).ravel(), (i + cols + j).ravel()
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def box(size: Vec, center: Vec = (0, 0, 0), color: Vec = (0.5, 0.5, 0.5)) -> Mesh:
    """A box with hard edges.

    >>> box((2, 1, 1)).bounds.tolist()
    [[-1.0, -0.5, -0.5], [1.0, 0.5, 0.5]]
    """
    corners: list[np.ndarray] = []
    faces: list[list[int]] = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for sign in (-1.0, 1.0):
            quad = np.zeros((4, 3))
            quad[:, axis] = sign
            quad[:, u] = [-1, 1, 1, -1]
            quad[:, v] = [-1, -1, 1, 1]
            n = len(corners) * 4
            turn = [[0, 1, 2], [0, 2, 3]] if sign > 0 else [[0, 2, 1], [0, 3, 2]]
            faces += [[n + t for t in tri] for tri in turn]
            corners.append(quad)
    vertices = np.concatenate(corners) * np.asarray(size, float) / 2 + np.asarray(center, float)
    return make(vertices, np.array(faces), color)


def rounded_box(
    size: Vec, radius: float, center: Vec = (0, 0, 0), color: Vec = (0.5, 0.5, 0.5), n: int = 3
) -> Mesh:
    """A box whose edges are rounded: a cube's grid pushed onto an inner box plus a sphere of `radius`."""
    half = np.asarray(size, float) / 2
    radius = float(min(radius, half.min() * 0.999))
    edge = np.tan(
        np.linspace(-np.pi / 4, np.pi / 4, 2 * n)
    )  # an even number, so that the middle strip is flat
    pieces = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for sign in (-1.0, 1.0):
            a, b = np.meshgrid(edge, edge, indexing="ij")
            p = np.zeros((*a.shape, 3))
            p[..., axis], p[..., u], p[..., v] = sign, a, b
            inner = half - radius
            core = np.zeros_like(p)
            core[..., axis] = sign * inner[axis]
            core[..., u] = np.where(a < 0, -1, 1) * inner[u]
            core[..., v] = np.where(b < 0, -1, 1) * inner[v]
            ball = p / np.linalg.norm(p, axis=-1, keepdims=True)
            faces = grid_faces(2 * n, 2 * n)
            if sign > 0:
                faces = faces[:, ::-1]
            pieces.append(make((core + radius * ball).reshape(-1, 3), faces))
    return weld(join(pieces)).moved(center).painted(color)


def weld(mesh: Mesh, digits: int = 6) -> Mesh:
    """Shares vertices that lie at one place, and drops faces that thereby vanish."""
    _, first, inverse = np.unique(
        np.round(mesh.vertices, digits), axis=0, return_index=True, return_inverse=True
    )
    faces = inverse.reshape(-1)[mesh.faces]
    alive = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    return Mesh(mesh.vertices[first], faces[alive], mesh.colors[first])


def lathe(profile: Sequence[tuple[float, float]], color: Vec = (0.5, 0.5, 0.5), n: int = 32) -> Mesh:
    """A profile of (radius, height) turned about z; radius 0 at an end closes it.

    >>> lathe([(0, 0), (1, 0), (1, 2), (0, 2)]).bounds[1].round(3).tolist()
    [1.0, 1.0, 2.0]
    """
    angle = np.arange(n) * 2 * np.pi / n
    r, z = np.array(profile, float).T
    rings = np.stack(
        [r[:, None] * np.cos(angle), r[:, None] * np.sin(angle), np.repeat(z[:, None], n, 1)], -1
    )
    return outward(weld(make(rings.reshape(-1, 3), grid_faces(len(r), n, wrap=True), color)))


def cylinder(
    radius: float, height: float, color: Vec = (0.5, 0.5, 0.5), n: int = 24, bevel: float = 0.0
) -> Mesh:
    """Stands on z = 0, with caps."""
    b = min(bevel, radius * 0.5, height * 0.5)
    profile = [
        (0.0, 0.0),
        (radius - b, 0.0),
        (radius, b),
        (radius, height - b),
        (radius - b, height),
        (0.0, height),
    ]
    return lathe(profile if b else [profile[0], (radius, 0.0), (radius, height), profile[-1]], color, n)


def outward(mesh: Mesh) -> Mesh:
    """A closed mesh with its faces turned outwards, whichever way they were."""
    return mesh if volume(mesh) >= 0 else dataclasses.replace(mesh, faces=mesh.faces[:, ::-1])


def ball(radius: float | Vec, center: Vec = (0, 0, 0), color: Vec = (0.5, 0.5, 0.5), n: int = 20) -> Mesh:
    """A sphere, or an ellipsoid with three radii."""
    t = np.linspace(-np.pi / 2, np.pi / 2, n // 2 + 1)
    profile = [(float(np.cos(a)) if abs(a) < 1.57 else 0.0, float(np.sin(a))) for a in t]
    return lathe(profile, color, n).scaled(radius).moved(center)


def torus(major: float, minor: float, color: Vec = (0.5, 0.5, 0.5), n: int = 36, m: int = 16) -> Mesh:
    """A ring about z."""
    a = (np.arange(n) * 2 * np.pi / n)[:, None]
    b = (np.arange(m) * 2 * np.pi / m)[None, :]
    r = major + minor * np.cos(b)
    v = np.stack([r * np.cos(a), r * np.sin(a), np.broadcast_to(minor * np.sin(b), (n, m))], -1)
    closed = np.concatenate([v, v[:1]])
    return weld(make(closed.reshape(-1, 3), grid_faces(n + 1, m, wrap=True)[:, ::-1], color)).painted(color)


def loft(sections: Float[np.ndarray, "s k 3"], color: Vec = (0.5, 0.5, 0.5), caps: bool = True) -> Mesh:
    """A skin through closed sections of k points each, the first and last filled."""
    s, k = sections.shape[:2]
    vertices = [sections.reshape(-1, 3)]
    faces = [grid_faces(s, k, wrap=True)]
    if caps:
        for row, flip in ((0, True), (s - 1, False)):
            middle = s * k + (0 if row == 0 else 1)
            vertices.append(sections[row].mean(0, keepdims=True))
            j = np.arange(k)
            fan = np.stack([np.full(k, middle), row * k + j, row * k + (j + 1) % k], 1)
            faces.append(fan[:, ::-1] if flip else fan)
    mesh = make(np.concatenate(vertices), np.concatenate(faces), color)
    return outward(mesh) if caps else mesh


def tube(
    points: Sequence[Vec] | np.ndarray,
    radius: float | Sequence[float] | np.ndarray,
    color: Vec = (0.5, 0.5, 0.5),
    n: int = 10,
) -> Mesh:
    """A round skin about a path of points; `radius` may change along it."""
    path = np.asarray(points, float)
    radii = np.broadcast_to(np.asarray(radius, float), (len(path),))
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-12
    side = np.cross(tangent[0], [0.0, 0.0, 1.0])
    if np.linalg.norm(side) < 1e-3:
        side = np.cross(tangent[0], [0.0, 1.0, 0.0])
    rings = []
    angle = np.arange(n) * 2 * np.pi / n
    for p, t, r in zip(path, tangent, radii, strict=True):
        # The frame is carried along the path, so that the skin does not twist.
        side = side - t * (side @ t)
        side /= np.linalg.norm(side)
        up = np.cross(t, side)
        rings.append(p + r * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * up))
    return loft(np.array(rings), color)


def superellipse(width: float, height: float, power: float = 4.0, n: int = 28) -> Float[np.ndarray, "n 2"]:
    """A closed curve between an ellipse (power 2) and a rectangle (large power), counter-clockwise."""
    a = np.arange(n) * 2 * np.pi / n
    c, s = np.cos(a), np.sin(a)
    x = np.sign(c) * np.abs(c) ** (2 / power) * width / 2
    y = np.sign(s) * np.abs(s) ** (2 / power) * height / 2
    return np.stack([x, y], 1)


def flat(mesh: Mesh) -> Mesh:
    """The same surface with hard edges everywhere: no vertex is shared."""
    index = mesh.faces.reshape(-1)
    return Mesh(mesh.vertices[index], np.arange(len(index)).reshape(-1, 3), mesh.colors[index])


def normals(mesh: Mesh) -> Float[np.ndarray, "n 3"]:
    """Unit normals per vertex, weighted by area: smooth where vertices are shared, else flat."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    total = np.zeros_like(mesh.vertices)
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(mesh.faces[:, k], face[:, axis], len(total))
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 1e-12, total / np.maximum(length, 1e-12), [0.0, 0.0, 1.0])


def volume(mesh: Mesh) -> float:
    """The signed volume of a closed mesh: positive when its faces turn outwards.

    >>> round(volume(box((2, 3, 4))), 6), round(volume(rounded_box((2, 3, 4), 0.01)), 1)
    (24.0, 24.0)
    """
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
