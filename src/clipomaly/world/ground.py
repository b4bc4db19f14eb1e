"""The ground: a sheet about the camera whose texture is computed where it is seen.

The sheet is a polar grid with rings that widen with distance, so that a texel is about as large as a pixel
everywhere. What the ground looks like, what class it is and how high it lies are functions of (x, y).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt16

from clipomaly.world.camera import Camera, Pose, border_rays
from clipomaly.world.controls import Traces
from clipomaly.world.mesh import Mesh, grid_faces, make

Field = Float[np.ndarray, "h w"]
Shade = Callable[[Field, Field, Field, Traces], tuple[Float[np.ndarray, "h w 3"], Field]]

_NEAR, _MIDDLE, _FAR = 0.8, 90.0, 4000.0
_VIEW = np.deg2rad(65)
# How much wider a texel is where nothing looks; how much higher than the wheels the ground may lie near by;
# and a margin aside, in radians.
_COARSE, _RISE, _ASIDE = 8, 0.5, 0.02


def place(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Texture coordinates in 0 … 1 to metres: most of the texture lies ahead of the camera."""
    edge = 0.06
    phi = np.where(
        u < edge, -np.pi + (np.pi - _VIEW) * u / edge,
        np.where(u > 1 - edge, np.pi - (np.pi - _VIEW) * (1 - u) / edge, (u - 0.5) / (0.5 - edge) * _VIEW),
    )  # fmt: skip
    share = 0.85
    radius = np.where(
        v < share,
        _NEAR * (_MIDDLE / _NEAR) ** (v / share),
        _MIDDLE * (_FAR / _MIDDLE) ** ((v - share) / (1 - share)),
    )
    return radius * np.cos(phi), radius * np.sin(phi)


def unplace(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `place`: metres to texture coordinates.

    >>> u, v = unplace(*place(np.array([0.03, 0.4, 0.9]), np.array([0.2, 0.5, 0.95])))
    >>> u.round(6).tolist(), v.round(6).tolist()
    ([0.03, 0.4, 0.9], [0.2, 0.5, 0.95])
    """
    edge, share = 0.06, 0.85
    phi, radius = np.arctan2(y, x), np.maximum(np.hypot(x, y), 1e-6)
    aside = edge * (np.pi - np.abs(phi)) / (np.pi - _VIEW)
    u = np.where(np.abs(phi) <= _VIEW, 0.5 + phi / _VIEW * (0.5 - edge), np.where(phi < 0, aside, 1 - aside))
    near = share * np.log(radius / _NEAR) / np.log(_MIDDLE / _NEAR)
    far = share + (1 - share) * np.log(radius / _MIDDLE) / np.log(_FAR / _MIDDLE)
    return u, np.clip(np.where(radius < _MIDDLE, near, far), 0, 1)


@dataclasses.dataclass(frozen=True)
class Ground:
    """`shade` gives colour and roughness at (x, y) seen in samples of a width, and marks the controls there.

    `label` gives the known class, `height` the terrain.
    """

    shade: Shade
    label: Callable[[np.ndarray, np.ndarray], Int[np.ndarray, "..."]]
    height: Callable[[np.ndarray, np.ndarray], Float[np.ndarray, "..."]]

    def mesh(self, pose: Pose, rings: int = 260, spokes: int = 360) -> tuple[Mesh, Float[np.ndarray, "n 2"]]:
        """The sheet about a pose, and its texture coordinates."""
        v, u = np.meshgrid(np.linspace(0, 1, rings), np.linspace(0, 1, spokes), indexing="ij")
        x, y = pose.world(*place(u, v))
        z = self.height(x, y)
        centre = np.array([[pose.x, pose.y, float(z[0].mean())]])
        vertices = np.concatenate([np.stack([x, y, z], -1).reshape(-1, 3), centre])
        j = np.arange(spokes - 1)
        fan = np.stack([np.full(spokes - 1, rings * spokes), j, j + 1], 1)
        faces = np.concatenate([grid_faces(rings, spokes)[:, ::-1], fan])
        uv = np.concatenate([np.stack([u, v], -1).reshape(-1, 2), [[0.5, 0.0]]])
        return make(vertices, faces), uv

    def texture(
        self, pose: Pose, texels: int, seen: Window | None = None
    ) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"], UInt16[np.ndarray, "h w"]]:
        """Colour, roughness and the bits of the controls over the sheet about a pose.

        Outside the window that is seen an eighth of the texels will do: they only throw light.
        """
        if seen is None:
            return self._shaded(pose, texels, (slice(0, texels), slice(0, texels)))
        rows, cols = (
            slice(max(int(a * texels) - 1, 0), min(int(np.ceil(b * texels)) + 1, texels))
            for a, b in (seen.v, seen.u)
        )
        few = slice(0, texels // _COARSE)
        coarse = self._shaded(pose, texels // _COARSE, (few, few))
        modes = cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_NEAREST
        full = [cv2.resize(a, (texels, texels), interpolation=m) for a, m in zip(coarse, modes, strict=True)]
        for total, part in zip(full, self._shaded(pose, texels, (rows, cols)), strict=True):
            total[rows, cols] = part
        color, rough, bits = full
        return color, rough, bits

    def _shaded(
        self, pose: Pose, texels: int, where: tuple[slice, slice]
    ) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"], UInt16[np.ndarray, "h w"]]:
        t = (np.arange(texels) + 0.5) / texels
        v, u = np.meshgrid(t[where[0]], t[where[1]], indexing="ij")
        x, y = place(u, v)
        footprint = np.hypot(x, y) * (2 * _VIEW / 0.88) / texels
        x, y = pose.world(x, y)
        traces = Traces(x.shape)
        x, y, footprint = (a.astype(np.float32) for a in (x, y, footprint))
        color, rough = self.shade(x, y, footprint, traces)
        return color.clip(0.005, 0.95).astype(np.float32), rough.clip(0.02, 1).astype(np.float32), traces.bits


@dataclasses.dataclass(frozen=True)
class Window:
    """The part of the texture that is seen: from where to where, of 0 … 1, across (u) and outwards (v)."""

    u: tuple[float, float]
    v: tuple[float, float]


def window(cameras: Sequence[Camera]) -> Window:
    """Where the ground that some cameras see lies in the texture, with a margin for its hills.

    >>> from clipomaly.world.camera import lens
    >>> seen = window([lens(1.0, 64, 36, mount_height=1.5)])
    >>> 0.25 < seen.u[0] < 0.31, 0.69 < seen.u[1] < 0.75, 0.2 < seen.v[0] < 0.3
    (True, True, True)
    """
    ends, near = [], []
    for camera in cameras:
        way = border_rays(camera) @ camera.rotation.T
        # Beyond the horizon's rays, and where each meets ground that lies higher than the wheels.
        down = np.maximum(-way[:, 2], 1e-3)[:, None]
        high = max(camera.mount_height - _RISE, 0.3)
        met = camera.position[:2] + way[:, :2] * (high / down)
        for x, y in (met.T, way[:, :2].T):
            ends.append(np.stack([np.arctan2(y, x).min(), np.arctan2(y, x).max()]))
        near.append(float(np.hypot(*met[way[:, 2] < 0].T).min()) if (way[:, 2] < 0).any() else 0.0)
    low, high = np.min(ends) - _ASIDE, np.max(ends) + _ASIDE
    turned = unplace(np.cos([low, high]), np.sin([low, high]))[0]
    first = unplace(np.array([max(min(near), _NEAR)]), np.array([0.0]))[1]
    return Window((float(turned[0]), float(turned[1])), (float(first[0]), 1.0))
