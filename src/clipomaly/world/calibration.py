"""How the sensors stand to one another: as KITTI's text and as plain JSON.

KITTI's form knows no distortion, so `P2` and `P3` hold for pictures undistorted with `k1`, `k2` of the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from clipomaly.world.camera import AXES, BASELINE, Camera, Pose
from clipomaly.world.lidar import Scanner


def lidar_to_camera(camera: Camera, scanner: Scanner) -> Float[np.ndarray, "3 4"]:
    """The rigid transform from the scanner's axes to the left camera's.

    >>> from clipomaly.world.camera import lens
    >>> m = lidar_to_camera(lens(1.0, 64, 48, mount_height=1.5), Scanner(mount_height=1.9))
    >>> (m @ [10, 0, 0, 1]).round(3).tolist()
    [0.0, -0.4, 10.0]
    """
    turn = camera.rotation.T
    return np.concatenate([turn, (turn @ (scanner.position - camera.position))[:, None]], 1)


def kitti_text(camera: Camera, scanner: Scanner) -> str:
    """P0–P3, R0_rect and Tr_velo_to_cam, as KITTI's object set writes them."""
    left = np.concatenate([camera.matrix, np.zeros((3, 1))], 1)
    right = left.copy()
    right[0, 3] = -camera.fx * BASELINE
    rows = {
        "P0": left,
        "P1": right,
        "P2": left,
        "P3": right,
        "R0_rect": np.eye(3),
        "Tr_velo_to_cam": lidar_to_camera(camera, scanner),
    }
    return "".join(f"{name}: {' '.join(f'{v:.12e}' for v in m.ravel())}\n" for name, m in rows.items())


def as_json(camera: Camera, scanner: Scanner, pose: Pose) -> dict[str, Any]:
    """Intrinsics, distortion, extrinsics and ego pose; matrices are row by row."""
    to_ego = np.eye(4)
    to_ego[:3, :3], to_ego[:3, 3] = camera.rotation, camera.position
    lidar = np.eye(4)
    lidar[:3, 3] = scanner.position
    return {
        "size": [camera.width, camera.height],
        "intrinsics": camera.matrix.tolist(),
        "distortion": {"model": "brown-conrady", "k1": camera.k1, "k2": camera.k2},
        "camera_to_ego": to_ego.tolist(),
        "stereo_baseline_m": BASELINE,
        "lidar_to_ego": lidar.tolist(),
        "ego_to_scene": pose.matrix.tolist(),
    }


def camera_of(about: Mapping[str, Any]) -> Camera:
    """The left camera of a frame, from the `calibration` of its JSON.

    >>> from clipomaly.world.camera import lens
    >>> camera = lens(1.0, 64, 48, mount_height=1.5, pitch=0.04, k1=-0.05)
    >>> again = camera_of(as_json(camera, Scanner(), Pose()))
    >>> again.fx == camera.fx and abs(again.pitch - camera.pitch) < 1e-12
    True
    """
    (fx, _, cx), (_, fy, cy), _ = about["intrinsics"]
    to_ego = np.array(about["camera_to_ego"])
    turn = to_ego[:3, :3] @ AXES.T
    width, height = about["size"]
    lens = about["distortion"]
    return Camera(
        width, height, fx, fy, cx, cy, lens["k1"], lens["k2"],
        mount_height=float(to_ego[2, 3]), offset=float(to_ego[1, 3]),
        pitch=float(np.arcsin(-turn[2, 0])),
    )  # fmt: skip
