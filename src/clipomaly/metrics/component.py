"""Component metrics of SegmentMeIfYouCan: how well whole objects are found, whatever their size.

Chan et al., "SegmentMeIfYouCan: A Benchmark for Anomaly Segmentation", NeurIPS 2021.
Components are 8-connected. With P the union of the predicted components that touch the true component k,
and A the pixels of P inside other true components:

    sIoU(k) = |k ∩ P| / (|k ∪ P| − |A|)          PPV(p) = the part of the predicted component p on truth
    TP(t) = #{k: sIoU ≥ t}   FN(t) = #{k: sIoU < t}   FP(t) = #{p: PPV < t}      t = 0.25, 0.30 … 0.75
    F1(t) = 2·TP / (2·TP + FN + FP), counts summed over the data set;   F1* = mean over t

This follows the published evaluation code down to its edges (the paper writes sIoU > t and PPV ≤ t; the code,
and so the leader board, has ≥ and <). What the code does, in its order:

- the prediction is cut out of ignored pixels (255) first, then split into components;
- predicted components below the minimum size are dropped, one of exactly that size stays;
- true components below their minimum become ignored: their pixels leave every count, so a predicted
  component may lose pixels there, or vanish, after its size was judged;
- where all but a few pixels of a frame are anomalous, fewer than that minimum, those few are ignored too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float, Integer, Shaped

from clipomaly.errors import MetricError

__all__ = [
    "ANOMALY_TRACK",
    "OBSTACLE_TRACK",
    "SIOU_THRESHOLDS",
    "ComponentCounts",
    "ComponentMatch",
    "ComponentMetrics",
    "MinimumSizes",
    "component_row",
    "f1_star_of",
    "match_components",
    "ppv_of",
    "siou_of",
]

SIOU_THRESHOLDS: Final = np.linspace(0.25, 0.75, 11)
SIOU_THRESHOLDS.flags.writeable = False
_T: Final = SIOU_THRESHOLDS.size
_STRIP: Final = 1 << 16  # pixels counted at once


@dataclass(frozen=True)
class MinimumSizes:
    """Pixels below which a predicted component is dropped, and a true one is ignored."""

    predicted: int
    true: int


ANOMALY_TRACK: Final = MinimumSizes(predicted=500, true=100)
OBSTACLE_TRACK: Final = MinimumSizes(predicted=50, true=10)


@dataclass(frozen=True)
class ComponentMatch:
    """One frame: sIoU of each true component, PPV of each predicted one."""

    siou: Float[np.ndarray, " true"]
    ppv: Float[np.ndarray, " predicted"]


@dataclass(frozen=True)
class ComponentMetrics:
    """Figures over a data set; `tp`, `fp`, `fn` and `f1` have one entry for each threshold."""

    siou: float
    ppv: float | None  # None where nothing was predicted
    f1_star: float
    thresholds: tuple[float, ...]
    f1: tuple[float, ...]
    tp: tuple[int, ...]
    fp: tuple[int, ...]
    fn: tuple[int, ...]
    n_true: int
    n_predicted: int


def match_components(
    predicted: Shaped[np.ndarray, "h w"],
    labels: Integer[np.ndarray, "..."],
    minimum: MinimumSizes = ANOMALY_TRACK,
) -> ComponentMatch:
    """Compare a binary prediction with labels (0 known, 1 anomaly, 255 ignored).

    >>> labels = np.zeros((40, 40), np.uint8)
    >>> labels[10:30, 10:30] = 1
    >>> match_components(np.roll(labels == 1, 5, axis=1), labels, MinimumSizes(50, 10)).siou
    array([0.6])
    """
    if predicted.shape != labels.shape or predicted.ndim != 2:
        raise MetricError(f"prediction {predicted.shape} and labels {labels.shape} differ: make both [h, w]")
    if predicted.dtype != np.bool_:
        raise MetricError(
            f"the prediction is {predicted.dtype}, not bool: compare scores with a threshold first"
        )
    truth = labels == 1
    where = _around(truth)
    n_true, true_map = _components(truth[where])
    n_predicted, predicted_map = _components(predicted & (labels != 255))
    true_size, predicted_size = _areas(true_map, n_true), _areas(predicted_map, n_predicted)
    true_size[0] += labels.size - true_map.size  # beyond the box there is no truth
    k, p, shared = _pairs(true_map, predicted_map[where], n_true, n_predicted)
    keep_predicted = predicted_size >= minimum.predicted
    keep_true = true_size >= minimum.true
    keep_predicted[0] = keep_true[0] = False  # the background
    background_ignored = int(true_size[0]) < minimum.true

    on_truth = k > 0
    k, p, shared = k[on_truth], p[on_truth], shared[on_truth]
    on_kept = keep_true[k]
    if background_ignored:
        predicted_size = _sum(p[on_kept], shared[on_kept], n_predicted)
    else:
        predicted_size -= _sum(p[~on_kept], shared[~on_kept], n_predicted)
    use = on_kept & keep_predicted[p]
    k, p, shared = k[use], p[use], shared[use]

    inside = _sum(p, shared, n_predicted)  # on truth, of each predicted component
    hit = _sum(k, shared, n_true)  # of each true component
    # |P| − |A| = Σ over touching predicted components of (size − pixels on other true components).
    reach = _sum(k, predicted_size[p] - inside[p] + shared, n_true)
    siou = (hit / np.maximum(reach + true_size - hit, 1))[keep_true]
    counted = keep_predicted & (predicted_size > 0)
    ppv = inside[counted] / predicted_size[counted]
    return ComponentMatch(siou, ppv)


def _around(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that hold all of a mask."""
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    return slice(y, y + height), slice(x, x + width)


def _components(mask: np.ndarray) -> tuple[int, np.ndarray]:
    """Without OpenCV's statistics, which take eight times as long."""
    if not mask.size:
        return 1, np.zeros(mask.shape, np.int32)
    return cv2.connectedComponents(np.ascontiguousarray(mask).view(np.uint8), connectivity=8)


def _areas(parts: np.ndarray, n: int) -> np.ndarray:
    """Pixels of each component, the background first."""
    return _count(n, lambda part: parts.reshape(-1)[part], parts.size)


def _pairs(
    true_map: np.ndarray, predicted_map: np.ndarray, n_true: int, n_predicted: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many pixels each pair of components shares, backgrounds among them: true, predicted, pixels."""
    true_map, predicted_map = true_map.reshape(-1), predicted_map.reshape(-1)
    n_pairs = n_true * n_predicted
    if n_pairs <= 1 << 20:  # counted while the table is small, else sorted
        wide = np.int32(n_predicted)
        table = _count(n_pairs, lambda part: true_map[part] * wide + predicted_map[part], true_map.size)
        distinct = np.flatnonzero(table)
        shared = table[distinct]
    else:
        codes = true_map.astype(np.int64) * n_predicted + predicted_map
        distinct, shared = np.unique(codes, return_counts=True)
    k, p = np.divmod(distinct, n_predicted)
    return k, p, shared


def _count(n: int, codes: Callable[[slice], np.ndarray], size: int) -> np.ndarray:
    """How often each code from 0 to n − 1 occurs; in strips that stay in the cache, for a small table."""
    table = np.zeros(n, np.int64)
    step = _STRIP if n <= _STRIP // 8 else max(1, size)
    for start in range(0, size, step):
        table += np.bincount(codes(slice(start, start + step)), minlength=n)
    return table


def _sum(at: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Integer sums of `values` by index; float64 holds pixel counts exactly."""
    return np.bincount(at, weights=values, minlength=size).astype(np.int64)


# --- rows: what one frame adds, so that sums, pools and resampled sets are all one addition ---


def component_row(match: ComponentMatch) -> Float[np.ndarray, " row"]:
    """TP, FN and FP per threshold, then Σ sIoU, its number, Σ PPV, its number."""
    found = (match.siou[:, None] >= SIOU_THRESHOLDS).sum(axis=0)
    wrong = (match.ppv[:, None] < SIOU_THRESHOLDS).sum(axis=0)
    tail = [match.siou.sum(), match.siou.size, match.ppv.sum(), match.ppv.size]
    return np.concatenate([found, match.siou.size - found, wrong, tail]).astype(np.float64)


def f1_star_of(rows: Float[np.ndarray, "*b row"]) -> Float[np.ndarray, "*b"]:
    """F1* of summed rows; NaN where there is nothing to find and nothing found."""
    tp, fn, fp = rows[..., :_T], rows[..., _T : 2 * _T], rows[..., 2 * _T : 3 * _T]
    with np.errstate(invalid="ignore"):
        return np.asarray((2 * tp / (2 * tp + fn + fp)).mean(axis=-1))


def siou_of(rows: Float[np.ndarray, "*b row"]) -> Float[np.ndarray, "*b"]:
    """Mean sIoU of summed rows."""
    with np.errstate(invalid="ignore"):
        return np.asarray(rows[..., -4] / rows[..., -3])


def ppv_of(rows: Float[np.ndarray, "*b row"]) -> Float[np.ndarray, "*b"]:
    """Mean PPV of summed rows."""
    with np.errstate(invalid="ignore"):
        return np.asarray(rows[..., -2] / rows[..., -1])


class ComponentCounts:
    """Component metrics over frames: one short row is all that is kept.

    >>> counts = ComponentCounts(MinimumSizes(1, 1))
    >>> labels = np.array([[1, 1, 0, 0, 0, 1]], np.uint8)
    >>> row = counts.add(np.array([[True, True, False, True, False, False]]), labels)
    >>> counts.result().siou, counts.result().ppv, counts.result().f1_star
    (0.5, 0.5, 0.5)
    """

    def __init__(self, minimum: MinimumSizes = ANOMALY_TRACK) -> None:
        self.minimum = minimum
        self.total = np.zeros(3 * _T + 4)

    def add(
        self, predicted: Shaped[np.ndarray, "h w"], labels: Integer[np.ndarray, "..."]
    ) -> Float[np.ndarray, " row"]:
        """Count one frame; returns its row, for intervals over frames."""
        row = component_row(match_components(predicted, labels, self.minimum))
        self.total += row
        return row

    def merge(self, other: ComponentCounts) -> None:
        """Pool the counts of other frames into these."""
        if other.minimum != self.minimum:
            raise MetricError(
                f"counts with {other.minimum} and {self.minimum} cannot be pooled: use the same sizes"
            )
        self.total += other.total

    def result(self) -> ComponentMetrics:
        """The figures; MetricError where the set has no true component."""
        tp, fn, fp = (self.total[i * _T : (i + 1) * _T].astype(np.int64) for i in range(3))
        n_true, n_predicted = int(self.total[-3]), int(self.total[-1])
        if n_true == 0:
            raise MetricError(
                f"component metrics are undefined: no true component has {self.minimum.true} pixels"
            )
        f1 = 2 * tp / (2 * tp + fn + fp)
        return ComponentMetrics(
            siou=float(siou_of(self.total)),
            ppv=float(ppv_of(self.total)) if n_predicted else None,
            f1_star=float(f1.mean()),
            thresholds=tuple(SIOU_THRESHOLDS.tolist()),
            f1=tuple(f1.tolist()),
            tp=tuple(tp.tolist()),
            fp=tuple(fp.tolist()),
            fn=tuple(fn.tolist()),
            n_true=n_true,
            n_predicted=n_predicted,
        )
