"""Outlines that people drew, as masks: a pixel belongs to a polygon that its centre lies in (even-odd rule).

Corners are in pixels, (0, 0) the top left corner of the picture, so an outline along the edges of pixels
gives back exactly those pixels.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float

from clipomaly.errors import DataError

__all__ = ["fill_polygon", "fill_polygons"]


def fill_polygon(points: Float[np.ndarray, "n 2"], size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """The pixels whose centres lie in one closed outline.

    >>> fill_polygon(np.array([[1, 0], [3, 0], [3, 1], [1, 1]], float), (2, 4)).astype(int).tolist()
    [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    height, width = size
    flips = np.zeros((height, width + 1), np.int32)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        low, high = (y1, y2) if y1 < y2 else (y2, y1)
        rows = np.arange(max(0, int(np.ceil(low - 0.5))), min(height, int(np.ceil(high - 0.5))))
        crossing = x1 + (rows + 0.5 - y1) * ((x2 - x1) / (y2 - y1))
        flips[rows, np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)] += 1
    return (np.cumsum(flips[:, :-1], axis=1) % 2).astype(bool)


def fill_polygons(
    polygons: Iterable[Iterable[float]], size: tuple[int, int], where: str
) -> Bool[np.ndarray, "H W"]:
    """The pixels of several outlines [x1, y1, x2, y2, …] together."""
    out = np.zeros(size, bool)
    for polygon in polygons:
        try:
            points = np.array([float(v) for v in polygon], np.float64).reshape(-1, 2)
        except (TypeError, ValueError) as error:
            raise DataError(f"{where}: an outline is not a list of x and y") from error
        if not np.isfinite(points).all() or np.abs(points).max(initial=0) > 1e7:
            raise DataError(f"{where}: an outline lies far beyond the picture")
        if len(points) >= 3:
            out |= fill_polygon(points, size)
    return out
