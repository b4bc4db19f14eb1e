"""What each frame adds to the pixel metrics, in a few kilobytes: the rows behind their intervals.

The figure itself is exact (`pixel`). Only its *interval* over frames comes from these rows: per frame, the
numbers of known and of anomalous pixels in bins that all frames share, [2, bins]. Bins follow quantiles of
the pooled scores of both classes, so that they are fine wherever the curves move, whatever the scores' scale;
scores of one bin count as tied. With 2048 bins the AP of summed rows differs from the exact one by well under
0.001, far less than the width of an interval over 10 to 100 frames.

A frame is first counted by 2²⁰ equal steps of its order-preserving keys, from its lowest to its highest: at
least 8192 steps an octave, and every float apart where scores lie close together. After `settle` frames the
shared bins are fixed from what was seen, and each frame is 2 · bins numbers from then on. Until then a frame
is its pixels' keys in order, or their numbers by step, whichever is quicker to make: 4 MB a class at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num, Shaped, UInt32

from clipomaly.errors import MetricError
from clipomaly.metrics.keys import keys_of, scores_of

__all__ = ["FROM_FALLING", "FrameSketches", "ap_of", "auroc_of", "f1_best_of", "falling", "fpr95_of"]

_BITS = 20
_STRIP = 1 << 16  # pixels counted at once
_FEW = 8  # steps a pixel from which sorting the pixels is quicker than counting the steps


class FrameSketches:
    """Collects one row a frame.

    >>> sketches = FrameSketches(bins=16)
    >>> for shift in (0.0, 0.5):
    ...     sketches.add(np.linspace(0, 1, 50, dtype=np.float32) + np.float32(shift), np.arange(50) // 25)
    >>> sketches.rows().shape, round(float(auroc_of(sketches.rows().sum(axis=0))), 2)
    ((2, 2, 16), 0.88)
    """

    def __init__(self, bins: int = 2048, settle: int = 32) -> None:
        if bins < 4 or bins % 2:
            raise MetricError(f"{bins} bins were asked for: choose an even number from 4 on")
        self.bins, self.settle = bins, settle
        self._fine: list[tuple[_Steps, _Steps]] = []
        self._rows: list[np.ndarray] = []
        self._cuts: np.ndarray | None = None  # the lowest key of each bin but the first

    def add(self, scores: Shaped[np.ndarray, "*shape"], labels: Shaped[np.ndarray, "..."]) -> None:
        """Count one frame; labels are 0, 1 and 255 (left out)."""
        labels, scores = np.asarray(labels).reshape(-1), np.asarray(scores).reshape(-1)
        self.add_keys(*(_keys(scores[labels == side]) for side in (0, 1)))

    def add_keys(self, negative: UInt32[np.ndarray, " n"], positive: UInt32[np.ndarray, " p"]) -> None:
        """Count one frame by the keys of its scores (`pixel.class_keys` of float32)."""
        frame = (_Steps(negative), _Steps(positive))
        if self._cuts is not None:
            self._rows.append(self._row(frame))
            return
        self._fine.append(frame)
        if len(self._fine) >= self.settle:
            self._settle()

    def merge(self, other: FrameSketches) -> None:
        """Append the frames of another collection, as long as neither has fixed its bins."""
        if self._cuts is not None or other._cuts is not None or other.bins != self.bins:
            raise MetricError(
                "sketches with fixed bins cannot be joined: give each `settle` above its number of frames"
            )
        self._fine += other._fine
        if len(self._fine) >= self.settle:
            self._settle()

    def rows(self) -> Int[np.ndarray, "frames 2 bins"]:
        """Known and anomalous pixels by frame and bin, bins from low scores to high."""
        if self._cuts is None:
            if not self._fine:
                raise MetricError("no frame was added: an interval over frames needs frames")
            self._settle()
        return np.stack(self._rows)

    def starts(self) -> Float[np.ndarray, " bins"]:
        """The lowest score of each bin; of the first and of empty ones at the end, −∞ and ∞."""
        self.rows()
        assert self._cuts is not None
        out = np.full(self.bins, np.inf)
        out[0] = -np.inf
        out[1 : 1 + self._cuts.size] = scores_of(self._cuts.astype(np.uint32), np.dtype(np.float32))
        return out

    def _settle(self) -> None:
        """Fix the bins at quantiles of both classes, half of them each, and move the frames into them."""
        cuts = [np.empty(0, np.int64)]
        for side in (0, 1):
            frames = [frame[side] for frame in self._fine if frame[side].size]
            if not frames:
                continue
            total = sum(frame.size for frame in frames)
            cuts.append(_reached(frames, np.arange(1, self.bins // 2) * (total / (self.bins // 2))))
        self._cuts = np.unique(np.concatenate(cuts))
        self._rows += [self._row(frame) for frame in self._fine]
        self._fine = []

    def _row(self, frame: tuple[_Steps, _Steps]) -> np.ndarray:
        """Pixels by bin."""
        assert self._cuts is not None
        row = np.zeros((2, self.bins), np.int64)
        for side, steps in enumerate(frame):
            edges = steps.up_to(self._cuts - 1)
            row[side, : edges.size + 1] = np.diff(edges, prepend=0, append=steps.size)
        return row


def _keys(scores: np.ndarray) -> np.ndarray:
    return keys_of(scores.astype(np.float32, copy=False), np.dtype(np.float32))


class _Steps:
    """One frame's pixels of a class by steps of their keys, each called by its lowest key.

    Steps are as wide as 2²⁰ of them between the lowest and the highest key must be: one key where scores lie
    close together.
    """

    def __init__(self, keys: UInt32[np.ndarray, " n"]) -> None:
        self.size = keys.size
        self.lowest = int(keys.min()) if keys.size else 0
        self.highest = int(keys.max()) if keys.size else 0
        self.shift = max(0, (self.highest - self.lowest).bit_length() - _BITS)
        self._last = (self.highest - self.lowest) >> self.shift
        self._ordered: np.ndarray | None = None
        if keys.size * _FEW <= self._last:
            self._ordered = np.sort(keys)
            return
        table = np.zeros(self._last + 1, np.int32)
        for start in range(0, keys.size, _STRIP):
            steps = (keys[start : start + _STRIP] - np.uint32(self.lowest)) >> np.uint32(self.shift)
            np.add.at(table, steps.astype(np.intp), np.int32(1))
        self._cumulated = np.cumsum(table, dtype=np.int32, out=table)

    def up_to(self, keys: Int[np.ndarray, " k"]) -> Int[np.ndarray, " k"]:
        """How many pixels lie in steps that are called by these keys or lower ones."""
        step = (keys - self.lowest) >> self.shift  # below the lowest key: negative
        if self._ordered is None:
            return np.where(step < 0, 0, self._cumulated[np.clip(step, 0, self._last)])
        ends = self.lowest + ((np.clip(step, -1, self._last) + 1) << self.shift)
        return np.searchsorted(self._ordered, np.minimum(ends, 0xFFFFFFFF).astype(np.uint32))


def _reached(frames: list[_Steps], wanted: Float[np.ndarray, " k"]) -> Int[np.ndarray, " k"]:
    """The lowest step up to which all frames together have as many pixels as wanted: by bisection."""
    lowest, highest = min(frame.lowest for frame in frames), max(frame.highest for frame in frames)
    grid = np.unique(
        np.linspace(lowest, highest, 2 * wanted.size).astype(np.int64)
    )  # half of the rounds at once
    at = np.searchsorted(sum(frame.up_to(grid) for frame in frames), wanted)
    low, high = np.append(lowest, grid[:-1] + 1)[at], grid[at]
    while (low < high).any():
        middle = (low + high) // 2
        enough = sum(frame.up_to(middle) for frame in frames) >= wanted
        low, high = np.where(enough, low, middle + 1), np.where(enough, middle, high)
    return low


# --- figures of summed rows [*b, 2, bins]; NaN where a class is missing ---


def falling(rows: Num[np.ndarray, "*b 2 bins"]) -> Float[np.ndarray, "*b 2 bins"]:
    """fp and tp from the highest bin down; they add up as rows do, so that resamples need no cumulating."""
    return np.cumsum(rows[..., ::-1], axis=-1, dtype=np.float64)


def ap_of(rows: Num[np.ndarray, "*b 2 bins"]) -> Float[np.ndarray, "*b"]:
    """Average precision."""
    return _ap(falling(rows))


def auroc_of(rows: Num[np.ndarray, "*b 2 bins"]) -> Float[np.ndarray, "*b"]:
    """Area under the ROC curve."""
    return _auroc(falling(rows))


def fpr95_of(rows: Num[np.ndarray, "*b 2 bins"]) -> Float[np.ndarray, "*b"]:
    """FPR at the first bin with a true-positive rate ≥ 0.95."""
    return _fpr95(falling(rows))


def f1_best_of(rows: Num[np.ndarray, "*b 2 bins"]) -> Float[np.ndarray, "*b"]:
    """The best F1 over the bins."""
    return _f1_best(falling(rows))


def _ap(curve: np.ndarray) -> np.ndarray:
    fp, tp = curve[..., 0, :], curve[..., 1, :]
    flagged = tp + fp
    flagged += flagged == 0  # where nothing is flagged, tp is 0
    precision = np.divide(tp, flagged, out=flagged)
    with np.errstate(invalid="ignore"):
        return np.asarray(_weighed(_steps(tp), precision) / tp[..., -1])


def _auroc(curve: np.ndarray) -> np.ndarray:
    fp, tp = curve[..., 0, :], curve[..., 1, :]
    half = fp - _steps(fp) / 2  # ties count half
    n_pos, n_neg = tp[..., -1], fp[..., -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(_weighed(_steps(tp), n_neg[..., None] - half) / (n_pos * n_neg))


def _fpr95(curve: np.ndarray) -> np.ndarray:
    fp, tp = curve[..., 0, :], curve[..., 1, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        first = np.argmax(tp / tp[..., -1:] >= 0.95, axis=-1)[..., None]
        figure = np.take_along_axis(fp, first, axis=-1)[..., 0] / fp[..., -1]
    return np.where(tp[..., -1] > 0, figure, np.nan)


def _f1_best(curve: np.ndarray) -> np.ndarray:
    fp, tp = curve[..., 0, :], curve[..., 1, :]
    whole = tp + fp
    whole += tp[..., -1:]
    with np.errstate(invalid="ignore"):
        return np.where(tp[..., -1] > 0, 2 * np.divide(tp, whole, out=whole).max(axis=-1), np.nan)


def _steps(falls: np.ndarray) -> np.ndarray:
    """What each bin adds."""
    out = falls.copy()
    out[..., 1:] -= falls[..., :-1]
    return out


def _weighed(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("...i,...i->...", one, two))


#: The same figures from `falling` rows.
FROM_FALLING: dict[Callable[..., Any], Callable[..., Any]] = {
    ap_of: _ap,
    auroc_of: _auroc,
    fpr95_of: _fpr95,
    f1_best_of: _f1_best,
}
