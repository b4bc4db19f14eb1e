"""Exact pixel metrics over a whole data set, in bounded memory.

With tp(v), fp(v) the positives and negatives whose score is ≥ v, and v running over the distinct scores
from high to low (equal scores share one threshold):

    AP     = Σ_v (R(v) − R(v⁺)) · P(v)        R = tp / n₊,  P = tp / (tp + fp),  v⁺ the next higher score
    AUROC  = Σ_v p(v) · (negatives below v + ½ · negatives at v) / (n₊ · n₋)      p = positives at v
    FPR95  = fp(v) / n₋  at the highest v with R(v) ≥ 0.95
    F1     = max_v 2·tp / (tp + fp + n₊)

All four need a sum only over scores that occur among the *positives*, and there only the number of
negatives above and at each of them. Nothing is binned:

`pages` keeps each class in order, at 2 bytes a pixel, and the sweep goes through its pages from high to low,
carrying tp and fp from one to the next. A page of negatives beside which no positive lies is never read.

float16 and 8- and 16-bit integer scores are exact in float32. Scores in float64 are refused unless float32
holds them exactly, or kept exactly (8 bytes a pixel) by `PixelCounts(np.float64)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Float, Int, Shaped

from clipomaly.errors import MetricError
from clipomaly.metrics.keys import keys_of, next_above
from clipomaly.metrics.pages import OrderedScores, spans

__all__ = [
    "IGNORE",
    "OperatingPoint",
    "PixelCounts",
    "PixelCurve",
    "PixelMetrics",
    "class_keys",
    "pixel_metrics",
]

IGNORE: Final = 255
MEMORY: Final = 512 << 20  # bytes kept in memory before pages go to disk


@dataclass(frozen=True)
class PixelMetrics:
    """Exact figures over all pixels; `score >= threshold` is what a threshold means here."""

    ap: float
    auroc: float
    fpr95: float
    f1_best: float
    threshold_f1: float
    threshold_fpr95: float
    n_positive: int
    n_negative: int

    @property
    def prevalence(self) -> float:
        """The share of positives: the AP of a score that knows nothing."""
        return self.n_positive / (self.n_positive + self.n_negative)


@dataclass(frozen=True)
class PixelCurve:
    """True points of the precision-recall and ROC curves, thinned for a plot; thresholds fall."""

    threshold: Float[np.ndarray, " k"]
    recall: Float[np.ndarray, " k"]
    precision: Float[np.ndarray, " k"]
    fpr: Float[np.ndarray, " k"]


@dataclass(frozen=True)
class OperatingPoint:
    """What `score >= threshold` yields over all pixels."""

    threshold: float
    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def precision(self) -> float:
        """1 where nothing is flagged, as a precision-recall curve starts."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 1.0

    @property
    def recall(self) -> float:
        """The share of positives that is flagged."""
        return _share(self.tp, self.tp + self.fn, "recall", "positive")

    @property
    def fpr(self) -> float:
        """The share of negatives that is flagged."""
        return _share(self.fp, self.fp + self.tn, "the false-positive rate", "negative")

    @property
    def f1(self) -> float:
        """2·tp / (2·tp + fp + fn)."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn, "F1", "positive")

    @property
    def iou(self) -> float:
        """tp / (tp + fp + fn)."""
        return _share(self.tp, self.tp + self.fp + self.fn, "IoU", "positive")


def _share(part: int, whole: int, figure: str, kind: str) -> float:
    if whole == 0:
        raise MetricError(f"{figure} is undefined: the set has no {kind} pixels")
    return part / whole


def class_keys(
    scores: Shaped[np.ndarray, "*shape"], labels: Shaped[np.ndarray, "..."], dtype: Any = np.float32
) -> tuple[Shaped[np.ndarray, " n"], Shaped[np.ndarray, " p"]]:
    """Order-preserving keys of the known and of the anomalous pixels: made once, counted by several.

    >>> [keys.size for keys in class_keys(np.array([0.9, 0.1, 0.3], np.float32), np.array([1, 0, 255]))]
    [1, 1]
    """
    scores, labels, dtype = np.asarray(scores), np.asarray(labels), np.dtype(dtype)
    if scores.shape != labels.shape:
        raise MetricError(
            f"scores {scores.shape} and labels {labels.shape} differ in shape: resize one of them"
        )
    scores, labels = scores.reshape(-1), labels.reshape(-1)
    positive, negative = labels == 1, labels == 0
    n_positive, n_negative = int(np.count_nonzero(positive)), int(np.count_nonzero(negative))
    if n_positive + n_negative + int(np.count_nonzero(labels == IGNORE)) != labels.size:
        odd = np.setdiff1d(np.unique(labels), [0, 1, IGNORE])
        raise MetricError(
            f"labels hold {odd[:5].tolist()}: map them to 0 (known), 1 (anomaly) or 255 (left out)"
        )
    key_positive = keys_of(np.compress(positive, scores), dtype)  # quicker than scores[positive]
    known = np.compress(negative, scores) if n_negative < labels.size else scores
    return keys_of(known, dtype), key_positive


class PixelCounts:
    """Collects scores and labels frame by frame; exact metrics at the end.

    Labels are 0 (known), 1 (anomaly) and 255 (left out). Two collections are pooled by `merge`; one can be
    pickled, and so be filled in another process.

    >>> counts = PixelCounts()
    >>> counts.add(np.array([0.9, 0.8, 0.3], np.float32), np.array([1, 0, 255], np.uint8))
    >>> counts.add(np.array([0.7, 0.1], np.float32), np.array([1, 0], np.uint8))
    >>> round(counts.result().ap, 4), counts.result().auroc
    (0.8333, 0.75)
    """

    def __init__(self, dtype: Any = np.float32, memory: int = MEMORY, spill_dir: str | None = None) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise MetricError(
                f"scores are counted as float32 or float64, not {self.dtype}: choose one of them"
            )
        self.memory = memory
        self.spill_dir = spill_dir
        self._positive = OrderedScores(self.dtype)
        self._negative = OrderedScores(self.dtype)
        self._swept: dict[int, tuple[PixelMetrics, PixelCurve]] = {}

    @property
    def n_positive(self) -> int:
        """Anomalous pixels so far."""
        return self._positive.size

    @property
    def n_negative(self) -> int:
        """Known pixels so far."""
        return self._negative.size

    def add(self, scores: Shaped[np.ndarray, "*shape"], labels: Shaped[np.ndarray, "..."]) -> None:
        """Count one frame, or any array of pixels. A refused frame leaves the counts as they were."""
        self.add_keys(*class_keys(scores, labels, self.dtype))

    def add_keys(self, negative: Shaped[np.ndarray, " n"], positive: Shaped[np.ndarray, " p"]) -> None:
        """Count pixels by the keys of their scores (`class_keys`)."""
        self._swept.clear()
        self._positive.push(positive)
        self._negative.push(negative)
        self._limit()

    def merge(self, other: PixelCounts) -> None:
        """Pool another collection into this one; the other stays as it was."""
        if other.dtype != self.dtype:
            raise MetricError(
                f"counts of {other.dtype} and {self.dtype} cannot be pooled: make both the same"
            )
        self._swept.clear()
        for mine, theirs in ((self._positive, other._positive), (self._negative, other._negative)):
            for _ in mine.merge(theirs):
                self._limit()

    def result(self) -> PixelMetrics:
        """The exact metrics; MetricError where the set has no positives or no negatives."""
        return self._sweep(512)[0]

    def curve(self, points: int = 512) -> PixelCurve:
        """Points of the curves, at most about four times `points`, spread over recall and over FPR."""
        return self._sweep(points)[1]

    def at(self, threshold: float) -> OperatingPoint:
        """What a threshold fixed beforehand yields: positive where `score >= threshold`."""
        tp, fp = (side.count_from(threshold) for side in (self._positive, self._negative))
        return OperatingPoint(float(threshold), tp, fp, self.n_positive - tp, self.n_negative - fp)

    def threshold_at_fpr(self, fpr: float) -> float:
        """The lowest threshold whose false-positive rate is ≤ `fpr`; needs only known pixels.

        >>> counts = PixelCounts()
        >>> counts.add(np.arange(10, dtype=np.float32), np.zeros(10, np.uint8))
        >>> counts.at(counts.threshold_at_fpr(0.2)).fp
        2
        """
        if self.n_negative == 0:
            raise MetricError("a false-positive rate is undefined: the set has no negative pixels")
        if not 0 <= fpr < 1:
            raise MetricError(f"a false-positive rate of {fpr} was asked for: choose one in [0, 1)")
        # The (k+1)-th highest negative must stay below the threshold, so the next number above is the lowest.
        k = int(np.floor(fpr * self.n_negative * (1 + 1e-12)))
        score = self._negative.ranked(k)
        return float(next_above(np.array([score], self.dtype))[0])

    def histogram(
        self, edges: Float[np.ndarray, " e"]
    ) -> tuple[Int[np.ndarray, " b"], Int[np.ndarray, " b"]]:
        """Numbers of known and of anomalous pixels between the edges; the last bin holds its upper edge."""
        return self._negative.histogram(edges), self._positive.histogram(edges)

    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest score so far."""
        sides = [side for side in (self._positive, self._negative) if side.size]
        if not sides:
            raise MetricError("no pixels were counted: add a frame first")
        return min(side.ranked(side.size - 1) for side in sides), max(side.ranked(0) for side in sides)

    def _limit(self) -> None:
        if self._positive.bytes + self._negative.bytes > self.memory:
            self._positive.spill(self.spill_dir)
            self._negative.spill(self.spill_dir)

    def _sweep(self, points: int) -> tuple[PixelMetrics, PixelCurve]:
        if points not in self._swept:
            self._swept[points] = _sweep(self._positive, self._negative, points)
        return self._swept[points]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_swept": {}}


def pixel_metrics(scores: Shaped[np.ndarray, "*shape"], labels: Shaped[np.ndarray, "..."]) -> PixelMetrics:
    """The exact metrics of arrays that are already at hand (float64 is kept as it is).

    >>> pixel_metrics(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])).auroc
    0.75
    """
    counts = PixelCounts(np.float64 if np.asarray(scores).dtype == np.float64 else np.float32)
    counts.add(scores, labels)
    return counts.result()


def _sweep(positive: OrderedScores, negative: OrderedScores, points: int) -> tuple[PixelMetrics, PixelCurve]:
    """All figures in one pass from the highest score to the lowest."""
    n_pos, n_neg = positive.size, negative.size
    for size, kind in ((n_pos, "positive"), (n_neg, "negative")):
        if size == 0:
            raise MetricError(
                f"pixel metrics are undefined: the set has no {kind} pixels (check the label mapping)"
            )
    tp0 = 0
    ap, twice_wins = 0.0, 0
    fpr95, threshold_fpr95, reached = 1.0, 0.0, False
    f1_best, threshold_f1 = -1.0, 0.0
    kept = _Kept(points, n_pos, n_neg)
    for score, number, fp, ties in _chunks(positive, negative):
        tp = tp0 + np.cumsum(number)
        ap += float(np.sum(number * (tp / (tp + fp))))
        if int(number.sum()) * n_neg < 1 << 61:  # exact in integers
            twice_wins += int(np.sum(number * (2 * (n_neg - fp) + ties)))
        else:
            twice_wins += int(np.sum(number * (2.0 * (n_neg - fp) + ties)))
        if not reached and tp[-1] / n_pos >= 0.95:
            first, reached = int(np.argmax(tp / n_pos >= 0.95)), True
            fpr95 = float(fp[first] / n_neg)
            threshold_fpr95 = float(score[first])
        f1 = 2 * tp / (tp + fp + n_pos)
        best = int(np.argmax(f1))
        if f1[best] > f1_best:
            f1_best, threshold_f1 = float(f1[best]), float(score[best])
        kept.offer(score, tp, number, fp, ties)
        tp0 = int(tp[-1])
    metrics = PixelMetrics(
        ap=ap / n_pos,
        auroc=twice_wins / (2 * n_pos * n_neg),
        fpr95=fpr95,
        f1_best=f1_best,
        threshold_f1=threshold_f1,
        threshold_fpr95=threshold_fpr95,
        n_positive=n_pos,
        n_negative=n_neg,
    )
    return metrics, kept.curve()


def _chunks(
    positive: OrderedScores, negative: OrderedScores
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """From high to low: scores of positives, how many each, negatives ≥ each, negatives = each."""
    few, many = positive.unordered(), negative.unordered()
    if few is not None and many is not None:  # a frame or two: plain sorting is quicker than pages
        values, number = np.unique(few, return_counts=True)
        many = np.sort(many)
        left, right = np.searchsorted(many, values, "left"), np.searchsorted(many, values, "right")
        yield positive.score(values)[::-1], number[::-1], (many.size - left)[::-1], (right - left)[::-1]
        return
    pos, neg = positive.index(), negative.index()
    above = negative.size - np.cumsum(neg.per_page)  # negatives on higher pages
    for first, last in reversed(spans(pos.occupied, pos.per_page + neg.per_page)):
        keys, number = pos.read(first, last).tally()
        here, ties = neg.read(first, last).rank(keys)
        scores, fp = positive.score(keys), above[last] + here
        yield scores[::-1], number[::-1], fp[::-1], ties[::-1]


class _Kept:
    """Curve points, kept where recall or FPR enters a new cell of a grid of `points` cells."""

    def __init__(self, points: int, n_pos: int, n_neg: int) -> None:
        self._points, self._n_pos, self._n_neg = points, n_pos, n_neg
        self._cells = (-1, -1)
        self._rows: list[np.ndarray] = []

    def offer(
        self, score: np.ndarray, tp: np.ndarray, number: np.ndarray, fp: np.ndarray, ties: np.ndarray
    ) -> None:
        recall_cell = (tp / self._n_pos * self._points).astype(np.int64)
        fpr_cell = (fp / self._n_neg * self._points).astype(np.int64)
        new = (np.diff(recall_cell, prepend=self._cells[0]) != 0) | (
            np.diff(fpr_cell, prepend=self._cells[1]) != 0
        )
        self._cells = (int(recall_cell[-1]), int(fpr_cell[-1]))
        i = np.flatnonzero(new)
        if i.size:
            at = score[i]
            # Two true points a value, just above it (score > v) and at it (score ≥ v): steps stay steps.
            above = np.stack([next_above(at), tp[i] - number[i], fp[i] - ties[i]], axis=1)
            both = np.stack([above, np.stack([at, tp[i], fp[i]], axis=1)], axis=1)
            self._rows.append(both.reshape(-1, 3).astype(np.float64))

    def curve(self) -> PixelCurve:
        end = np.array([[-np.inf, self._n_pos, self._n_neg]], np.float64)  # where everything is flagged
        threshold, tp, fp = np.concatenate([*self._rows, end]).T
        flagged = tp + fp
        precision = np.divide(tp, flagged, out=np.ones_like(tp), where=flagged > 0)
        return PixelCurve(threshold, tp / self._n_pos, precision, fp / self._n_neg)
