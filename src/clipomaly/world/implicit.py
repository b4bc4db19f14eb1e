"""Organic shapes: round cones blended into one skin (animals, people, bags, rocks).

A bone is a round cone between two balls; its distance is that to the axis minus the radius there. Bones are
blended by the exponential smooth minimum d = −(1/k) log Σ exp(−k dᵢ), and the zero surface is extracted by
naive surface nets (Gibson 1998): one vertex in each cell the surface crosses, at the mean of the crossings of
its edges; one quad for each lattice edge that crosses. The result is closed by construction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from clipomaly.world.mesh import Mesh, Vec, make


@dataclasses.dataclass(frozen=True)
class Bone:
    """A round cone from a (radius ra) to b (radius rb), in one colour."""

    a: Vec
    b: Vec
    ra: float
    rb: float
    color: Vec = (0.5, 0.5, 0.5)


def bone_distances(points: Float[np.ndarray, "n 3"], bones: Sequence[Bone]) -> Float[np.ndarray, "k n"]:
    """The distance of every point to every bone (negative inside)."""
    rows = []
    for bone in bones:
        a, b = np.asarray(bone.a, np.float32), np.asarray(bone.b, np.float32)
        axis = b - a
        t = np.clip((points - a) @ axis / max(float(axis @ axis), 1e-9), 0, 1)
        away = points - a - t[:, None] * axis
        rows.append(np.sqrt(np.einsum("ij,ij->i", away, away)) - (bone.ra + t * (bone.rb - bone.ra)))
    return np.array(rows)


def skin(
    bones: Sequence[Bone],
    resolution: float,
    blend: float = 0.03,
    warp: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Mesh:
    """The blended surface of bones, sampled every `resolution` metres; `warp` adds to the distance.

    >>> ball = skin([Bone((0, 0, 0), (0, 0, 0.01), 0.5, 0.5)], 0.1)
    >>> bool(abs(np.linalg.norm(ball.vertices, axis=1).mean() - 0.5) < 0.02)
    True
    """
    low = np.min([np.minimum(np.asarray(b.a) - b.ra, np.asarray(b.b) - b.rb) for b in bones], axis=0)
    high = np.max([np.maximum(np.asarray(b.a) + b.ra, np.asarray(b.b) + b.rb) for b in bones], axis=0)
    pad = 3 * resolution + blend

    def distance(points: np.ndarray) -> np.ndarray:
        d = bone_distances(points, bones)
        nearest = d.min(0)
        smooth = nearest - blend * np.log(np.exp(-(d - nearest) / blend).sum(0))
        return smooth if warp is None else smooth + warp(points)

    mesh = surface_nets(distance, low - pad, high + pad, resolution)
    d = bone_distances(mesh.vertices, bones)
    weight = np.exp(-(d - d.min(0)) / (0.4 * blend))
    colors = (weight / weight.sum(0)).T @ np.array([b.color for b in bones], float)
    return dataclasses.replace(mesh, colors=colors)


def surface_nets(
    distance: Callable[[np.ndarray], np.ndarray], low: Vec, high: Vec, resolution: float
) -> Mesh:
    """The zero surface of `distance` ([n, 3] → [n], negative inside) within a block of space."""
    low = np.asarray(low, float)
    shape = np.maximum(np.ceil((np.asarray(high) - low) / resolution).astype(int) + 1, 3)
    axes = [low[k] + resolution * np.arange(shape[k]) for k in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)
    value = distance(points).reshape(shape)
    inside = value < 0
    cells = shape - 1
    total = np.zeros((*cells, 3))
    count = np.zeros(cells)

    def corner(i: int, j: int, k: int) -> np.ndarray:
        return value[i : i + cells[0], j : j + cells[1], k : k + cells[2]]

    for axis in range(3):
        for u in (0, 1):
            for v in (0, 1):
                start = [0, 0, 0]
                start[(axis + 1) % 3], start[(axis + 2) % 3] = u, v
                end = list(start)
                end[axis] = 1
                a, b = corner(*start), corner(*end)
                crosses = (a < 0) != (b < 0)
                t = np.where(crosses, a / np.where(crosses, a - b, 1), 0)
                place = np.broadcast_to(np.array(start, float), (*cells, 3)).copy()
                place[..., axis] += t
                total += np.where(crosses[..., None], place, 0)
                count += crosses
    active = count > 0
    index = np.full(cells, -1)
    index[active] = np.arange(active.sum())
    where = np.argwhere(active)
    vertices = low + resolution * (where + total[active] / count[active][:, None])
    faces = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        a = np.moveaxis(inside, axis, 0)
        change = a[:-1] != a[1:]
        first = np.moveaxis(change, 0, axis)
        edge = np.argwhere(first)
        keep = (edge[:, u] > 0) & (edge[:, v] > 0) & (edge[:, u] < cells[u]) & (edge[:, v] < cells[v])
        edge = edge[keep]
        if not len(edge):
            continue
        solid = inside[tuple(edge.T)]
        quad = []
        for du, dv in ((-1, -1), (0, -1), (0, 0), (-1, 0)):
            cell = edge.copy()
            cell[:, u] += du
            cell[:, v] += dv
            quad.append(index[tuple(cell.T)])
        q = np.stack(quad, 1)
        q[~solid] = q[~solid][:, ::-1]
        faces += [q[:, [0, 1, 2]], q[:, [0, 2, 3]]]
    if not faces:
        raise ValueError("the surface does not cross the block: check resolution and radii")
    return make(vertices, np.concatenate(faces))
