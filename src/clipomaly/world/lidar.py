"""A LiDAR's sweep over a scene: a stated pattern, stated noise, and the class and instance of every return.

Pattern: beams evenly spaced in elevation, columns evenly spaced over the full turn, all at one instant.
Noise: the range has a Gaussian error; a return is lost by chance, and more often the flatter the ray grazes.
Points are in the sensor's axes (x forwards, y left, z up).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, UInt32

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
    return Sweep(
        points.astype(np.float32), (known | (np.maximum(hits.instance, 0).astype(np.uint32) << 16))[kept]
    )
