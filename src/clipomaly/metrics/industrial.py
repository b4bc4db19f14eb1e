"""Industrial inspection: image-level AUROC and AP, and AUPRO, exactly.

Bergmann et al., "Uninformed Students", CVPR 2020. With K true regions (8-connected) over the data set, the
per-region overlap and the area under it up to the false-positive rate L = 0.3:

    PRO(t) = (1/K) Σ_k |{score ≥ t} ∩ k| / |k|        AUPRO = (1/L) ∫_0^L PRO d FPR      ∈ [0, 1]

The curve runs straight between its points at the distinct scores and is cut, not extended, at FPR = L. Both
are sums over region pixels: one of score v in a region of n pixels enters PRO with weight 1/(K·n) while the
FPR rises from a = FPR(score > v) to b = FPR(score ≥ v), and so adds to the integral

    weight · (L − (a + b)/2)  if b ≤ L,      weight · (L − a)² / (2·(b − a))  if a < L < b,      else 0.

Negatives are kept by `pages` (2 bytes a pixel, bounded); of region pixels, scores and summed weights
(12 bytes a distinct score). Ignored pixels (255) are no negatives and belong to no region.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Integer, Num, Shaped

from clipomaly.errors import MetricError
from clipomaly.metrics.keys import keys_of
from clipomaly.metrics.pages import OrderedScores, spans
from clipomaly.metrics.pixel import MEMORY, PixelMetrics, pixel_metrics

__all__ = ["ProCounts", "aupro", "aupro_of", "image_metrics", "region_row"]

_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True)
class _Weighted:
    """Distinct keys of region pixels, ascending, and the sum of their weights."""

    keys: np.ndarray
    weights: np.ndarray


class ProCounts:
    """Collects score maps for AUPRO.

    >>> scores = np.array([[0.9, 0.2, 0.1, 0.3], [0.8, 0.1, 0.0, 0.7]], np.float32)
    >>> labels = np.array([[1, 0, 0, 0], [1, 0, 0, 1]], np.uint8)
    >>> counts = ProCounts()
    >>> counts.add(scores, labels)
    >>> counts.result(), counts.n_regions
    (1.0, 2)
    """

    def __init__(self, memory: int = MEMORY, spill_dir: str | None = None) -> None:
        self.memory, self.spill_dir = memory, spill_dir
        self.n_regions = 0
        self._negative = OrderedScores(_FLOAT32)
        self._parts: list[_Weighted] = []

    def add(self, scores: Shaped[np.ndarray, "h w"], labels: Integer[np.ndarray, "..."]) -> None:
        """Count one image: labels 0 (good), 1 (defect), 255 (left out)."""
        if scores.shape != labels.shape or scores.ndim != 2:
            raise MetricError(f"scores {scores.shape} and labels {labels.shape} differ: make both [h, w]")
        if not np.isin(np.unique(labels), [0, 1, 255]).all():
            raise MetricError(
                "labels hold other values than 0 (good), 1 (defect) and 255 (left out): map them first"
            )
        defect = labels == 1
        negative = keys_of(scores[labels == 0], _FLOAT32)
        keys = keys_of(scores[defect], _FLOAT32)
        n, regions, stats, _ = cv2.connectedComponentsWithStats(defect.view(np.uint8), connectivity=8)
        weights = 1 / stats[regions[defect], cv2.CC_STAT_AREA]
        self.n_regions += n - 1
        self._push(_Weighted(keys, weights))
        self._negative.push(negative)
        self._limit()

    def merge(self, other: ProCounts) -> None:
        """Pool the counts of other images into these."""
        self.n_regions += other.n_regions
        for part in other._parts:
            self._push(part)
        for _ in self._negative.merge(other._negative):
            self._limit()

    def result(self, limit: float = 0.3) -> float:
        """AUPRO up to the false-positive rate `limit`; MetricError without regions or without negatives."""
        if not 0 < limit <= 1:
            raise MetricError(
                f"AUPRO up to a false-positive rate of {limit} was asked for: choose one in (0, 1]"
            )
        n = self._negative.size
        if self.n_regions == 0 or n == 0:
            missing = "defect region" if self.n_regions == 0 else "good pixel"
            raise MetricError(f"AUPRO is undefined: the set has no {missing} (check the label mapping)")
        self._merge_parts()
        index = self._negative.index()
        above = n - np.cumsum(index.per_page)
        keys, weights = self._parts[0].keys, self._parts[0].weights
        page = (keys >> np.uint32(16)).astype(np.int64)
        area = 0.0
        for first, last in spans(np.unique(page), index.per_page):
            if above[last] > limit * n:  # all of this span comes in beyond the limit
                continue
            here = slice(*np.searchsorted(page, [first, last + 1]))
            from_here, ties = index.read(first, last).rank(keys[here])
            b = (above[last] + from_here) / n
            a = (above[last] + from_here - ties) / n
            with np.errstate(invalid="ignore", divide="ignore"):
                cut = np.where(a < limit, (limit - a) ** 2 / (2 * (b - a)), 0.0)
            area += float(np.sum(weights[here] * np.where(b <= limit, limit - (a + b) / 2, cut)))
        return min(1.0, area / (limit * self.n_regions))  # rounding only: the integral itself is ≤ limit

    def _push(self, part: _Weighted) -> None:
        if part.keys.size:
            self._parts.append(part)
        if sum(p.keys.size for p in self._parts[1:]) > 1 << 21:
            self._merge_parts()

    def _merge_parts(self) -> None:
        """One part: equal scores joined."""
        keys = np.concatenate([p.keys for p in self._parts])
        weights = np.concatenate([p.weights for p in self._parts])
        order = np.argsort(keys, kind="stable")
        keys, weights = keys[order], weights[order]
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        self._parts = [_Weighted(keys[first], np.add.reduceat(weights, first))]

    def _limit(self) -> None:
        if self._negative.bytes > self.memory:
            self._negative.spill(self.spill_dir)


def aupro(
    scores: Shaped[np.ndarray, "n h w"], labels: Integer[np.ndarray, "n h w"], limit: float = 0.3
) -> float:
    """AUPRO of a stack of images that is already at hand."""
    counts = ProCounts()
    for score, label in zip(scores, labels, strict=True):
        counts.add(score, label)
    return counts.result(limit)


def image_metrics(scores: Shaped[np.ndarray, " n"], defective: Shaped[np.ndarray, " n"]) -> PixelMetrics:
    """AUROC, AP and best F1 of one score an image, exactly as for pixels.

    >>> image_metrics(np.array([0.9, 0.4, 0.6]), np.array([True, False, True])).auroc
    1.0
    """
    return pixel_metrics(np.asarray(scores), np.asarray(defective).astype(np.uint8))


# --- rows: what one image adds, for intervals and slices; scores of one bin count as tied ---


def region_row(
    scores: Shaped[np.ndarray, "h w"], labels: Integer[np.ndarray, "..."], edges: Num[np.ndarray, " cuts"]
) -> Float[np.ndarray, "2 bins"]:
    """Good pixels, and Σ over defect regions of the share of their pixels, by score; bins rise.

    >>> labels = np.array([[1, 1, 0, 0]], np.uint8)
    >>> region_row(np.array([[0.9, 0.1, 0.2, 0.6]]), labels, np.array([0.5])).tolist()
    [[1.0, 1.0], [0.5, 0.5]]
    """
    defect = labels == 1
    at = np.searchsorted(edges, scores, "right")
    _, regions, stats, _ = cv2.connectedComponentsWithStats(defect.view(np.uint8), connectivity=8)
    weights = 1 / stats[regions[defect], cv2.CC_STAT_AREA]
    n = edges.size + 1
    good = np.bincount(at[labels == 0], minlength=n).astype(np.float64)
    return np.stack([good, np.bincount(at[defect], weights=weights, minlength=n)])


def aupro_of(rows: Num[np.ndarray, "*b 2 bins"], limit: float = 0.3) -> Float[np.ndarray, "*b"]:
    """AUPRO of summed rows, up to FPR `limit`; NaN without regions or without good pixels."""
    fp, pro = np.moveaxis(np.cumsum(rows[..., ::-1], axis=-1, dtype=np.float64), -2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        fpr, pro = fp / fp[..., -1:], pro / pro[..., -1:]
        zero = np.zeros_like(fpr[..., :1])
        x0, y0 = np.concatenate([zero, fpr[..., :-1]], -1), np.concatenate([zero, pro[..., :-1]], -1)
        width = np.clip(limit - x0, 0, None)
        step = fpr - x0
        part = np.where(step > width, width / np.where(step > 0, step, 1), 1.0)
        area = np.minimum(step, width) * (y0 + part * (pro - y0) / 2)
        return np.asarray(area.sum(axis=-1) / limit) + 0 * pro[..., -1] + 0 * fpr[..., -1]
