"""Smooth random fields over the plane: the grain of every surface.

A field is a tile of random numbers, read with bilinear interpolation and wrapped at its edges; `fbm` adds
octaves, each at twice the frequency and half the height, and leaves out those finer than the place where
they are looked at can show (their mean is zero, so leaving them out is what an eye far away does too).
"""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
from jaxtyping import Float

from clipomaly.world.seeds import tile_of

_SIDE = 512


@functools.lru_cache(maxsize=16)
def _tile(seed: int) -> np.ndarray:
    """One padded tile: the last row and column repeat the first, so that reading between them is seamless."""
    tile = np.random.default_rng([seed, 77]).uniform(-1, 1, (_SIDE, _SIDE)).astype(np.float32)
    return np.pad(tile, ((0, 1), (0, 1)), mode="wrap")


def field(
    x: Float[np.ndarray, "h w"], y: Float[np.ndarray, "h w"], seed: int = 0
) -> Float[np.ndarray, "h w"]:
    """Values in −1 … 1 that change over one unit of x and y.

    >>> x, y = np.meshgrid(np.arange(4.0), np.arange(3.0))
    >>> field(x, y).shape, bool((field(x + 512, y) == field(x, y)).all())
    ((3, 4), True)
    """
    shift = np.random.default_rng([seed, 11]).uniform(0, _SIDE, 2)
    u, v = (_wrap(np.asarray(c, np.float32) + np.float32(int(d))) for c, d in zip((x, y), shift, strict=True))
    return cv2.remap(_tile(tile_of(seed)), u, v, cv2.INTER_LINEAR)


def _wrap(values: np.ndarray) -> np.ndarray:
    """Modulo the tile's side; a good deal faster than np.mod."""
    return values - np.float32(_SIDE) * np.floor(values * np.float32(1 / _SIDE))


def fbm(
    x: Float[np.ndarray, "h w"],
    y: Float[np.ndarray, "h w"],
    frequency: float,
    octaves: int = 4,
    seed: int = 0,
    footprint: Float[np.ndarray, "h w"] | float = 0.0,
) -> Float[np.ndarray, "h w"]:
    """Octaves of `field` from `frequency` (per metre) upwards; `footprint` is a sample's size in metres."""
    total = np.zeros_like(x, dtype=np.float32)
    for k in range(octaves):
        f = frequency * 2**k
        # Octaves are turned against each other, so that the lattice does not show.
        c, s = math.cos(0.7 * k + 0.3), math.sin(0.7 * k + 0.3)
        value = field((x * c - y * s) * f, (x * s + y * c) * f, seed + 31 * k)
        weight = np.clip(1.5 - 2.0 * np.asarray(footprint) * f, 0, 1) if np.any(footprint) else 1.0
        total += (0.5**k * weight * value).astype(np.float32)
    return total
