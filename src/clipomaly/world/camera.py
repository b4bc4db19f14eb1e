"""The camera: a pinhole with radial distortion (Brown–Conrady k1, k2), fixed to the ego vehicle.

Ego axes: x forwards, y left, z up, origin on the ground below the camera. Camera axes: x right, y down, z
forwards. A normalised point (x, y) with r² = x² + y² is seen at (x, y)·(1 + k1 r² + k2 r⁴), and then at pixel
(fx·x + cx, fy·y + cy); the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from clipomaly.world.mesh import rotation

# Camera axes in an upright camera that looks along the ego's x.
AXES = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])

#: Metres between the eyes of the stereo pair.
BASELINE = 0.54


@dataclasses.dataclass(frozen=True)
class Pose:
    """Where the ego vehicle is in the scene: place in metres and heading in radians."""

    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0

    def world(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ego axes to the scene's.

        >>> [round(float(v), 3) for v in Pose(1.0, 2.0, np.pi / 2).world(np.array(3.0), np.array(0.0))]
        [1.0, 5.0]
        """
        c, s = float(np.cos(self.yaw)), float(np.sin(self.yaw))
        return self.x + x * c - y * s, self.y + x * s + y * c

    @property
    def matrix(self) -> Float[np.ndarray, "4 4"]:
        """Ego axes to the scene's, as a rigid transform."""
        m = np.eye(4)
        m[:3, :3] = rotation(self.yaw)
        m[:2, 3] = self.x, self.y
        return m


@dataclasses.dataclass(frozen=True)
class Camera:
    """Size in pixels, lens, and mounting: height and sideways offset in metres, angles in radians."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    k1: float = 0.0
    k2: float = 0.0
    mount_height: float = 1.5
    offset: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    yaw: float = 0.0

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """The intrinsic matrix."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    @property
    def rotation(self) -> Float[np.ndarray, "3 3"]:
        """Camera axes to ego axes."""
        return rotation(self.yaw, self.pitch, self.roll) @ AXES

    @property
    def position(self) -> Float[np.ndarray, " 3"]:
        """The optical centre in ego axes."""
        return np.array([0.0, self.offset, self.mount_height])

    @property
    def optics(self) -> Camera:
        """The same lens and sensor without a mounting."""
        return Camera(self.width, self.height, self.fx, self.fy, self.cx, self.cy, self.k1, self.k2)

    def shifted(self, right: float) -> Camera:
        """The same camera, moved to its own right: the other eye of a stereo pair."""
        offset = self.position + self.rotation @ np.array([right, 0.0, 0.0])
        if abs(offset[0]) > 1e-9 or abs(offset[2] - self.mount_height) > 1e-9:
            raise ValueError("a stereo camera must not be rolled or turned")
        return dataclasses.replace(self, offset=float(offset[1]))


def lens(camera_fov: float, width: int, height: int, **mount: float) -> Camera:
    """A camera from its horizontal field of view in radians.

    >>> round(lens(np.pi / 2, 1280, 720).fx, 3)
    640.0
    """
    f = float(width / 2 / np.tan(camera_fov / 2))
    return Camera(width, height, f, f, (width - 1) / 2, (height - 1) / 2, **mount)


def distort(points: Float[np.ndarray, "*n 2"], k1: float, k2: float) -> Float[np.ndarray, "*n 2"]:
    """Normalised ideal points to where the lens puts them."""
    r2 = (points**2).sum(-1, keepdims=True)
    return points * (1 + k1 * r2 + k2 * r2 * r2)


def widest(k1: float, k2: float) -> float:
    """The squared radius up to which distortion is one to one: beyond, the polynomial turns back.

    >>> widest(0.0, 0.0), round(widest(-0.1, 0.0), 3)
    (inf, 3.333)
    """
    roots = np.roots([5 * k2, 3 * k1, 1.0]) if k1 or k2 else np.array([])
    real = [float(r.real) for r in np.atleast_1d(roots) if abs(r.imag) < 1e-12 and r.real > 0]
    return min(real, default=float("inf"))


def undistort(points: Float[np.ndarray, "*n 2"], k1: float, k2: float) -> Float[np.ndarray, "*n 2"]:
    """The inverse of `distort`, by Newton's method on the radius.

    >>> p = np.array([[0.3, -0.4]])
    >>> bool(np.allclose(undistort(distort(p, -0.2, 0.03), -0.2, 0.03), p))
    True
    """
    target = np.linalg.norm(points, axis=-1, keepdims=True)
    r = target.copy()
    for _ in range(12):
        r2 = r * r
        r = r - (r * (1 + k1 * r2 + k2 * r2 * r2) - target) / (1 + 3 * k1 * r2 + 5 * k2 * r2 * r2)
    return points * (r / np.maximum(target, 1e-12))


def rays(camera: Camera) -> Float[np.ndarray, "h w 3"]:
    """The direction through every pixel's centre, in camera axes, with z = 1."""
    return _through(camera, *np.meshgrid(np.arange(camera.width), np.arange(camera.height)))


def border_rays(camera: Camera) -> Float[np.ndarray, "n 3"]:
    """Those of `rays` along the picture's border."""
    u, v = np.arange(camera.width), np.arange(camera.height)
    sides = ((u, 0 * u), (u, 0 * u + v[-1]), (0 * v, v), (0 * v + u[-1], v))
    return np.concatenate([_through(camera, *side) for side in sides])


def _through(camera: Camera, u: np.ndarray, v: np.ndarray) -> Float[np.ndarray, "*n 3"]:
    seen = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy], -1)
    return np.concatenate([undistort(seen, camera.k1, camera.k2), np.ones((*u.shape, 1))], -1)


def project(
    camera: Camera, points: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    """Points in ego axes to pixels and depths (z in camera axes; not positive behind the camera).

    Points behind the camera, or so far aside that the lens model folds them back, go to (−10⁶, −10⁶).

    >>> uv, z = project(lens(np.pi / 2, 640, 480, mount_height=1.5), np.array([[10.0, 0.0, 1.5]]))
    >>> uv.tolist(), z.tolist()
    ([[319.5, 239.5]], [10.0])
    """
    local = (points - camera.position) @ camera.rotation
    z = local[:, 2]
    ideal = local[:, :2] / np.where(z > 1e-6, z, 1.0)[:, None]
    sharp = (z > 1e-6) & ((ideal**2).sum(1) < widest(camera.k1, camera.k2))
    uv = distort(np.where(sharp[:, None], ideal, 0.0), camera.k1, camera.k2)
    uv = uv * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    return np.where((sharp & (np.abs(uv) < 1e6).all(1))[:, None], uv, -1e6), z
