"""Noise is taken out of the light, not out of the picture: texture stays as sharp as it was rendered."""

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
    base = np.maximum(albedo, 0.02)
    value = light / base
    # Single samples that found a lamp by chance stand out from all their neighbours: they are cut down.
    middle = cv2.medianBlur(np.ascontiguousarray(value, dtype=np.float32), 3)
    value = np.minimum(value, 1.6 * middle + 0.1)
    for step in (1, 2, 4):
        # Neighbours are compared by their smoothed brightness: a single sample says too little.
        tone = cv2.GaussianBlur(np.log1p(value.mean(-1)), (0, 0), 1.2 * strength)
        total = value.copy()
        weight = np.ones(depth.shape, np.float32)
        for dx, dy in ((i, j) for j in (-step, 0, step) for i in (-step, 0, step) if i or j):
            w = np.exp(
                -((_moved(normal, dx, dy) - normal) ** 2).sum(-1) * 12
                - np.abs(_moved(depth, dx, dy) - depth) * (25.0 / step)
                - (_moved(tone, dx, dy) - tone) ** 2 * (30.0 / strength)
                - (_moved(lit, dx, dy) - lit) ** 2 * 16
            )
            w *= 0.5 if dx and dy else 0.75
            total += w[..., None] * _moved(value, dx, dy)
            weight += w
        value = total / weight[..., None]
    return value * base


def _moved(image: np.ndarray, dx: int, dy: int) -> np.ndarray:
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(image, shift, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
