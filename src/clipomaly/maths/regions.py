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
    mask = np.ascontiguousarray(unknown).view(np.uint8)
    joined = mask
    if merge > 1:
        # A square of side k moves a pixel's reach so that two pixels k apart touch, for odd and even k.
        joined = cv2.dilate(
            mask, np.ones((merge, merge), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
        )
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8, ltype=cv2.CV_32S)
    if count < 2:
        return []
    own = np.flatnonzero(mask)
    owner = labels.ravel()[own]
    area = np.bincount(owner, minlength=count)
    total = np.bincount(owner, weights=score.ravel()[own], minlength=count)
    kept = np.flatnonzero(area >= max(1, min_area))
    kept = kept[kept > 0]
    left, top = stats[kept, cv2.CC_STAT_LEFT], stats[kept, cv2.CC_STAT_TOP]
    order = np.lexsort((kept, left, top, -total[kept]))[:max_regions]
    return [_region(int(i), labels, mask, stats[i], float(total[i] / area[i])) for i in kept[order]]


def _region(label: int, labels: np.ndarray, mask: np.ndarray, stat: np.ndarray, score: float) -> Region:
    """Cut one component out; the widened box shrinks to the mask's own pixels."""
    x, y, w, h = (int(v) for v in stat[:4])
    inside = (labels[y : y + h, x : x + w] == label) & (mask[y : y + h, x : x + w] != 0)
    rows = np.flatnonzero(inside.any(axis=1))
    columns = np.flatnonzero(inside.any(axis=0))
    r0, r1, c0, c1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return Region(
        box=(x + c0, y + r0, c1 - c0, r1 - r0),
        mask=np.ascontiguousarray(inside[r0:r1, c0:c1]),
        score=score,
        image_size=(labels.shape[0], labels.shape[1]),
    )
