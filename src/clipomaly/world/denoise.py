"""Noise is filtered out of the light, not out of the picture: texture stays as sharp as it was rendered."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float


def denoise(
    light: Float[np.ndarray, "h w 3"],
    albedo: Float[np.ndarray, "h w 3"],
    normal: Float[np.ndarray, "h w 3"],
    depth: Float[np.ndarray, "h w"],
    lit: Float[np.ndarray, "h w"],
    strength: float = 1.0,
) -> Float[np.ndarray, "h w 3"]:
    """Edge-avoiding à-trous filter (Dammertz et al. 2010) on light divided by reflectance.

    Texture stays as sharp as it was: it is divided out first and multiplied in again. What is smoothed is
    illumination, and only between neighbours of like normal, depth and brightness, and as much in the sun
    (`lit`, 0 to 1): a shadow's edge stays where it is.
    """
    base = np.maximum(albedo, 0.02).astype(np.float32)
    value = light.astype(np.float32) / base
    # Single samples that found a lamp by chance stand out from all their neighbours: they are cut down.
    value = np.minimum(value, 1.6 * cv2.medianBlur(np.ascontiguousarray(value), 3) + 0.1)
    value = np.ascontiguousarray(value.transpose(2, 0, 1))
    guides = np.concatenate([normal.transpose(2, 0, 1), depth[None], lit[None]]).astype(np.float32)
    for step in (1, 2, 4):
        # Neighbours are compared by their smoothed brightness: a single sample says too little.
        tone = cv2.GaussianBlur(np.log1p(value.mean(0)), (0, 0), 1.2 * strength)
        total, weight = value.copy(), np.ones(depth.shape, np.float32)
        # A pair of neighbours weighs the same either way: four directions serve all eight.
        for dx, dy in ((step, 0), (0, step), (step, step), (step, -step)):
            a, b = _overlap(depth.shape, dx, dy)
            gap = guides[(slice(None), *b)] - guides[(slice(None), *a)]
            cost = (gap[0] ** 2 + gap[1] ** 2 + gap[2] ** 2) * 12
            cost += np.abs(gap[3]) * (25.0 / step)
            cost += gap[4] ** 2 * 16
            cost += (tone[b] - tone[a]) ** 2 * (30.0 / strength)
            w = np.exp(-cost) * np.float32(0.5 if dx and dy else 0.75)
            total[(slice(None), *a)] += w * value[(slice(None), *b)]
            total[(slice(None), *b)] += w * value[(slice(None), *a)]
            weight[a] += w
            weight[b] += w
        value = total / weight
    return value.transpose(1, 2, 0) * base


def _overlap(shape: tuple[int, ...], dx: int, dy: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a picture and the same picture moved by (dx, dy) both are."""
    h, w = shape
    rows = (slice(0, h - dy), slice(dy, h)) if dy >= 0 else (slice(-dy, h), slice(0, h + dy))
    return (rows[0], slice(0, w - dx)), (rows[1], slice(dx, w))
