"""From an unknown mask to regions: connected components, close ones one, small ones dropped.

Two pixels belong together if a chain of unknown pixels leads from one to the other in steps of at most
`merge` pixels (the larger of the steps across and down; 8-connectivity is `merge` = 1). Found by widening
the mask with a square of that side and labelling what is connected; only the mask's own pixels are kept.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float

from clipomaly.config import RegionSettings
from clipomaly.records import Region

__all__ = ["limits", "split"]


def limits(settings: RegionSettings, size: tuple[int, int]) -> dict[str, int]:
    """A frame's limits in pixels, as keywords of `split`.

    >>> limits(RegionSettings(min_area=0.001, merge=0.01), size=(100, 200))
    {'min_area': 20, 'merge': 2, 'max_regions': 24}
    """
    height, width = size
    area = settings.min_area if settings.min_area >= 1 else settings.min_area * height * width
    return {
        "min_area": max(1, round(area)),
        "merge": round(settings.merge * max(height, width)),
        "max_regions": settings.max_regions,
    }


def split(
    unknown: Bool[np.ndarray, "H W"],
    score: Float[np.ndarray, "H W"],
    *,
    min_area: int = 1,
    merge: int = 1,
    max_regions: int = 24,
) -> list[Region]:
    """Regions of the mask, most score × area first (ties: topmost, then leftmost).

    >>> mask = np.array([[1, 0, 0, 1, 1]], bool)
    >>> [r.box for r in split(mask, np.ones((1, 5), np.float32))]
    [(3, 0, 2, 1), (0, 0, 1, 1)]
    >>> [r.area for r in split(mask, np.ones((1, 5), np.float32), merge=3)]
    [3]
    """
    if unknown.shape != score.shape:
        raise ValueError(f"mask {unknown.shape} and score {score.shape} differ in size")
    mask = np.ascontiguousarray(unknown)
    joined = mask.view(np.uint8)
    if merge > 1:
        # A square of side k widens a pixel so that two pixels k apart touch, for odd and even k.
        square = np.ones((merge, merge), np.uint8)
        joined = cv2.dilate(joined, square, borderType=cv2.BORDER_CONSTANT, borderValue=(0,)).astype(
            np.uint8, copy=False
        )
    count, labels = cv2.connectedComponents(joined, connectivity=8, ltype=cv2.CV_32S)
    start, length = _runs(mask)
    if not start.size:
        return []
    owner = labels.ravel()[start]
    row, column = np.divmod(start, mask.shape[1])
    ends = np.stack([start, start + length], axis=1).ravel()
    sums = np.add.reduceat(np.append(score, np.float32(0)), ends, dtype=np.float64)[::2]
    area = np.bincount(owner, weights=length, minlength=count)
    total = np.bincount(owner, weights=sums, minlength=count)
    left, right = np.full(count, mask.shape[1]), np.zeros(count, np.intp)
    np.minimum.at(left, owner, column)
    np.maximum.at(right, owner, column + length)
    # Runs come row by row, so of repeated assignments the last one leaves each region's last row.
    top, bottom = np.zeros(count, np.intp), np.zeros(count, np.intp)
    top[owner[::-1]] = row[::-1]
    bottom[owner] = row + 1
    kept = np.flatnonzero(area >= max(1, min_area))
    order = np.lexsort((left[kept], top[kept], -total[kept]))[:max_regions]
    regions = []
    for i in kept[order]:
        box = np.s_[top[i] : bottom[i], left[i] : right[i]]
        regions.append(
            Region(
                box=(int(left[i]), int(top[i]), int(right[i] - left[i]), int(bottom[i] - top[i])),
                mask=(labels[box] == i) & mask[box],
                score=float(total[i] / area[i]),
                image_size=(mask.shape[0], mask.shape[1]),
            )
        )
    return regions


def _runs(mask: Bool[np.ndarray, "H W"]) -> tuple[np.ndarray, np.ndarray]:
    """Flat start and length of every stretch of set pixels within a row."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 1), bool)
    padded[:, :-1] = mask
    flat = padded.ravel()
    change = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat[:1].any():
        change = np.concatenate([[0], change])
    begin, length = change[::2], change[1::2] - change[::2]
    # Back from rows that are one pixel longer.
    return begin - begin // (mask.shape[1] + 1), length
