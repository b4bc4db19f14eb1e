"""Textures with defects, made from nothing: an auxiliary set of our own for learning "normal" and "abnormal".

Ordinary surfaces: brushed, cloudy, woven, grained, speckled, tiled. Half of them get one to three defects:
scratch, crack, stain, pit, patch of another surface, smear. Every picture follows from (seed, index) alone.
No photograph is used, so what is learned here owes nothing to the sets it is tested on.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

__all__ = ["DEFECTS", "SURFACES", "synthetic_picture", "synthetic_pictures"]

SURFACES = ("brushed", "cloudy", "woven", "grained", "speckled", "tiled")
DEFECTS = ("scratch", "crack", "stain", "pit", "patch", "smear")
Plane = Float[np.ndarray, "H W"]


def synthetic_pictures(
    count: int, seed: int = 0, side: int = 256
) -> Iterator[tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]]:
    """`count` pictures with masks (1: defect), every second one without any."""
    for index in range(count):
        yield synthetic_picture(seed, index, side)


def synthetic_picture(
    seed: int, index: int, side: int = 256
) -> tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]:
    """One picture and its mask.

    >>> image, mask = synthetic_picture(0, 1, 64)
    >>> image.shape, bool(mask.any()), bool(synthetic_picture(0, 2, 64)[1].any())
    ((64, 64, 3), True, False)
    """
    rng = np.random.default_rng((seed, index))
    plane = _surface(rng, str(rng.choice(SURFACES)), side)
    mask = np.zeros((side, side), bool)
    if index % 2:
        for _ in range(int(rng.integers(1, 4))):
            plane, where = _defect(rng, str(rng.choice(DEFECTS)), plane)
            mask |= where
    tint = rng.uniform(0.75, 1.0, 3) if rng.random() < 0.6 else np.ones(3)
    low, high = sorted(rng.uniform(25, 235, 2))
    if high - low < 70:
        low, high = max(10.0, low - 35), min(245.0, high + 35)
    light = 1 + rng.uniform(-0.25, 0.25) * np.linspace(-1, 1, side)[None, :]
    picture = (low + (high - low) * plane * light)[:, :, None] * tint + rng.normal(0, 3, (side, side, 1))
    return np.clip(picture, 0, 255).astype(np.uint8), mask.astype(np.uint8)


def _noise(rng: np.random.Generator, side: int, sigma: float, sigma_y: float | None = None) -> Plane:
    """Smooth noise in 0…1."""
    field = rng.standard_normal((side, side)).astype(np.float32)
    smooth = cv2.GaussianBlur(field, (0, 0), sigmaX=sigma, sigmaY=sigma if sigma_y is None else sigma_y)
    smooth -= smooth.min()
    return smooth / max(float(smooth.max()), 1e-6)


def _surface(rng: np.random.Generator, kind: str, side: int) -> Plane:
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    strength = rng.uniform(0.15, 0.6)
    if kind == "brushed":
        field = _noise(rng, side, rng.uniform(8, 30), 0.6)
    elif kind == "cloudy":
        field = 0.6 * _noise(rng, side, rng.uniform(8, 24)) + 0.4 * _noise(rng, side, rng.uniform(1, 3))
    elif kind == "woven":
        n = rng.uniform(10, 32)
        bend = 0.02 * _noise(rng, side, 20)
        field = 0.25 * (2 + np.sin(2 * np.pi * n * (x + bend)) + np.sin(2 * np.pi * n * (y + bend)))
    elif kind == "grained":
        rings = rng.uniform(4, 12) * (x + rng.uniform(0.1, 0.5) * _noise(rng, side, 40, 12))
        field = 0.5 + 0.5 * np.sin(2 * np.pi * rings)
        field = 0.7 * field + 0.3 * _noise(rng, side, 0.6, 6)
    elif kind == "speckled":
        field = (_noise(rng, side, rng.uniform(0.8, 2)) > rng.uniform(0.5, 0.7)).astype(np.float32)
        field = cv2.GaussianBlur(field, (0, 0), 0.7)
    else:
        n = int(rng.integers(3, 7))
        edge = np.minimum((x * n) % 1, (y * n) % 1)
        field = 0.7 * (edge > 0.06) + 0.3 * _noise(rng, side, 3)
    if rng.random() < 0.5:
        field = np.rot90(field).copy()
    field = (1 - strength) * 0.5 + strength * field
    return (0.9 * field + 0.1 * _noise(rng, side, 1.0)).astype(np.float32)


def _defect(rng: np.random.Generator, kind: str, plane: Plane) -> tuple[Plane, Bool[np.ndarray, "H W"]]:
    """The surface with one defect, and where it is."""
    side = plane.shape[0]
    alpha = np.zeros_like(plane)
    change = float(rng.choice([-1, 1]) * rng.uniform(0.25, 0.6))
    value: Plane = plane + change
    if kind in ("scratch", "crack"):
        width = int(rng.integers(1, 4)) * max(1, side // 200)
        steps = int(rng.integers(4, 8)) if kind == "scratch" else int(rng.integers(8, 16))
        turn = 0.15 if kind == "scratch" else 0.8
        angle = rng.uniform(0, 2 * np.pi)
        point = rng.uniform(0.15, 0.85, 2) * side
        points = [point]
        for _ in range(steps):
            angle += rng.normal(0, turn)
            points.append(
                points[-1] + rng.uniform(0.03, 0.09) * side * np.array([np.cos(angle), np.sin(angle)])
            )
        cv2.polylines(alpha, [np.array(points).astype(np.int32)], False, 1.0, width, cv2.LINE_AA)
        shown = cv2.dilate(alpha, np.ones((3, 3), np.uint8))
    else:
        alpha = _blob(rng, side, rng.uniform(0.03, 0.13))
        shown = alpha
        if kind == "stain":
            alpha = cv2.GaussianBlur(alpha, (0, 0), side / 80)
            shown = alpha
        elif kind == "pit":
            value = plane + change * cv2.GaussianBlur(alpha, (0, 0), side / 60)
            rim = cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
            value = value - change * rim
        elif kind == "patch":
            value = _surface(rng, str(rng.choice(SURFACES)), side) + 0.4 * change
        else:
            value = cv2.GaussianBlur(plane, (0, 0), side / 30) + 0.3 * change
    out = plane * (1 - alpha) + value * alpha
    return np.clip(out, 0, 1.2).astype(np.float32), shown > 0.4


def _blob(rng: np.random.Generator, side: int, radius: float) -> Plane:
    """A soft-edged irregular shape."""
    centre = rng.uniform(0.15, 0.85, 2)
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    stretch = rng.uniform(0.6, 1.7)
    far = np.hypot((x - centre[0]) * stretch, (y - centre[1]) / stretch)
    wobble = 0.7 + 0.6 * _noise(rng, side, side * radius / 2)
    return cv2.GaussianBlur((far < radius * wobble).astype(np.float32), (0, 0), 0.8)
