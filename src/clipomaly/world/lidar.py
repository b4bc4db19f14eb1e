"""A LiDAR's sweep over a scene: a stated pattern, stated noise, and the class and instance of every return.

Pattern: beams evenly spaced in elevation, columns evenly spaced over the full turn, all at one instant.
Noise: the range has a Gaussian error; a return is lost by chance, and more often the flatter the ray grazes.
Points are in the sensor's axes (x forwards, y left, z up).
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt32

from clipomaly.world.render import Stage
from clipomaly.world.truth import labels


@dataclasses.dataclass(frozen=True)
class Scanner:
    """The scan pattern (degrees, metres) and its noise."""

    beams: int = 32
    columns: int = 900
    lowest: float = -25.0
    highest: float = 10.0
    reach: float = 120.0
    range_sigma: float = 0.02
    loss: float = 0.02
    mount_height: float = 1.9

    @property
    def position(self) -> Float[np.ndarray, " 3"]:
        """Where it sits, in the ego's axes."""
        return np.array([0.0, 0.0, self.mount_height])

    def directions(self) -> Float[np.ndarray, "n 3"]:
        """Unit vectors, beam by beam.

        >>> Scanner(beams=2, columns=4).directions().shape
        (8, 3)
        """
        elevation = np.deg2rad(np.linspace(self.lowest, self.highest, self.beams))[:, None]
        azimuth = np.linspace(np.pi, -np.pi, self.columns, endpoint=False)[None]
        x, y = np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth)
        return np.stack([x, y, np.broadcast_to(np.sin(elevation), x.shape)], -1).reshape(-1, 3)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Points (x, y, z, intensity), and for each the class (lower 16 bits) and instance (upper 16 bits)."""

    points: Float[np.ndarray, "n 4"]
    labels: UInt32[np.ndarray, " n"]
    rays: Int[np.ndarray, " n"]
    """Which ray each point came back on: beam · columns + column."""


def sweep(stage: Stage, scanner: Scanner, rng: np.random.Generator) -> Sweep:
    """One turn of the scanner."""
    way = scanner.directions()
    hits = stage.trace(scanner.position, way)
    kept = (hits.distance < scanner.reach) & (
        rng.uniform(size=len(way)) > scanner.loss + 0.3 * (1 - hits.slant) ** 8
    )
    distance = np.where(kept, hits.distance, 0) + rng.normal(0, scanner.range_sigma, len(way))
    intensity = hits.slant * np.exp(-distance / 80)
    points = np.concatenate([way * distance[:, None], intensity[:, None]], 1)[kept]
    known = labels(stage.scene, hits).astype(np.uint32)
    owner = known | (np.maximum(hits.instance, 0).astype(np.uint32) << 16)
    return Sweep(points.astype(np.float32), owner[kept], np.flatnonzero(kept))


#: Metres in a step of the ranges of a packed sweep.
STEP = 0.002


def packed(turn: Sweep, scanner: Scanner) -> bytes:
    """A sweep as a small NPZ: pictures of beams × columns, whose range 0 means that nothing came back.

    range       16 bit, in steps of 2 mm
    intensity   8 bit, 255 for 1
    label       8 bit: class
    instance    16 bit
    """
    shape = scanner.beams * scanner.columns
    layers: dict[str, np.ndarray] = {
        "range": np.zeros(shape, np.uint16),
        "intensity": np.zeros(shape, np.uint8),
        "label": np.full(shape, 255, np.uint8),
        "instance": np.zeros(shape, np.uint16),
    }
    layers["range"][turn.rays] = np.round(np.linalg.norm(turn.points[:, :3], axis=1) / STEP)
    layers["intensity"][turn.rays] = np.round(turn.points[:, 3].clip(0, 1) * 255)
    layers["label"][turn.rays] = turn.labels & 0xFFFF
    layers["instance"][turn.rays] = turn.labels >> 16
    file = io.BytesIO()
    pictures = {k: v.reshape(scanner.beams, scanner.columns) for k, v in layers.items()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, picture in pictures.items():
            # Written by hand: NumPy's own writer puts the time of day into the file.
            data = io.BytesIO()
            np.lib.format.write_array(data, picture, allow_pickle=False)
            about = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            about.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(about, data.getvalue())
    return file.getvalue()


def read_sweep(folder: Path, name: str, scanner: Scanner | None = None) -> Sweep:
    """The sweep of a frame, however its pack keeps it."""
    path, scanner = folder / "lidar" / f"{name}.npz", scanner or Scanner()
    if not path.exists():
        points = np.fromfile(folder / "lidar" / f"{name}.bin", np.float32).reshape(-1, 4)
        owner = np.fromfile(folder / "lidar_labels" / f"{name}.label", np.uint32)
        return Sweep(points, owner, _rays(points, scanner))
    with np.load(path) as layers:
        rays = np.flatnonzero(layers["range"])
        distance = layers["range"].ravel()[rays] * STEP
        points = np.concatenate(
            [
                scanner.directions()[rays] * distance[:, None],
                layers["intensity"].ravel()[rays, None] / 255,
            ],
            1,
        )
        owner = layers["label"].ravel()[rays].astype(np.uint32)
        owner |= layers["instance"].ravel()[rays].astype(np.uint32) << 16
    return Sweep(points.astype(np.float32), owner, rays)


def _rays(points: Float[np.ndarray, "n 4"], scanner: Scanner) -> Int[np.ndarray, " n"]:
    """The ray of each point, by its direction."""
    x, y, z = points[:, :3].astype(float).T
    steps = (np.degrees(np.arctan2(z, np.hypot(x, y))) - scanner.lowest) / (scanner.highest - scanner.lowest)
    beam = np.round(steps * (scanner.beams - 1)).astype(int)
    column = np.round((np.pi - np.arctan2(y, x)) / (2 * np.pi) * scanner.columns).astype(int)
    return beam * scanner.columns + column % scanner.columns
