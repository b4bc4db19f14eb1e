"""95 % intervals over frames: resample frames with replacement, recompute the figure, take percentiles.

Everything a frame adds is a *row* (counts or sums). A resampled set is then weights · rows, and a figure is a
function of the summed row, so that a thousand resamples are one matrix product:

    w_b ~ Multinomial(n, 1/n)      θ_b = statistic(Σ_i w_bi · row_i)      interval = percentiles of θ_b

Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. Resamples in which the figure is
undefined (no positive pixel was drawn) are left out and counted. Two methods on the same frames are compared
with the same weights (`paired_difference`). Shares of few events, where a bootstrap would return [0, 0],
have Wilson's interval (`share_interval`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Num

from clipomaly.errors import MetricError

__all__ = [
    "Interval",
    "bootstrap_interval",
    "interval_from",
    "mean_of",
    "paired_difference",
    "replicates",
    "share_interval",
]

_KEPT = 1 << 21  # draws that are kept from one figure to the next: 16 MB

Statistic = Callable[[np.ndarray], np.ndarray]  # summed rows [b, …] to figures [b]


@dataclass(frozen=True)
class Interval:
    """`low` to `high` at `level`; `undefined` resamples had no answer and were left out."""

    low: float
    high: float
    level: float = 0.95
    undefined: int = 0

    def contains(self, value: float) -> bool:
        """Whether a value lies inside, ends included."""
        return bool(self.low <= value <= self.high)


def bootstrap_interval(
    rows: Num[np.ndarray, "frames ..."],
    statistic: Statistic,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The percentile interval of a figure over frames.

    >>> hits = np.array([[1, 4], [3, 4], [2, 4], [4, 4]])  # a row: hits, trials
    >>> interval = bootstrap_interval(hits, lambda total: total[..., 0] / total[..., 1])
    >>> 0.25 <= interval.low < 0.625 < interval.high <= 1.0
    True
    """
    [figures] = replicates(rows, [statistic], resamples=resamples, seed=seed)
    return interval_from(figures, level)


def paired_difference(
    rows: Num[np.ndarray, "frames ..."],
    other: Num[np.ndarray, "_ ..."],
    statistic: Statistic,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The interval of figure(rows) − figure(other), both computed on the same resampled frames."""
    if len(rows) != len(other):
        raise MetricError(
            f"{len(rows)} and {len(other)} frames cannot be paired: compare the same frames in order"
        )
    [mine], [theirs] = (replicates(r, [statistic], resamples=resamples, seed=seed) for r in (rows, other))
    return interval_from(mine - theirs, level)


def share_interval(part: int, whole: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a share: also for 0 of n, where a bootstrap says [0, 0].

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.

    >>> interval = share_interval(0, 30)
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.0, 0.114)
    """
    if not 0 <= part <= whole or whole == 0:
        raise MetricError(
            f"{part} of {whole} is no share: count at least one trial, and no more hits than trials"
        )
    z = NormalDist().inv_cdf(0.5 + level / 2)
    p, scale = part / whole, 1 + z * z / whole
    middle = (p + z * z / (2 * whole)) / scale
    half = z / scale * (p * (1 - p) / whole + z * z / (4 * whole * whole)) ** 0.5
    return Interval(
        max(0.0, middle - half) if part else 0.0, min(1.0, middle + half) if part < whole else 1.0, level
    )


def mean_of(rows: Num[np.ndarray, "*b 2"]) -> Float[np.ndarray, "*b"]:
    """The mean of rows (sum, number); NaN where the number is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(rows[..., 0] / rows[..., 1])


def replicates(
    rows: Num[np.ndarray, "frames ..."],
    statistics: Sequence[Statistic],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Float[np.ndarray, "statistics resamples"]:
    """Figures of resampled sets: several from the same sums, and the same resamples for the same seed."""
    n = len(rows)
    if n == 0:
        raise MetricError("an interval over frames needs frames: none were given")
    flat = np.asarray(rows, np.float64).reshape(n, -1)
    figures = np.empty((len(statistics), resamples))
    step = max(1, (1 << 18) // max(1, flat.shape[1]))  # 2 MB of summed rows at once: they stay in the cache
    start = 0
    for weights in _draws(n, resamples, seed, step):
        stop = start + len(weights)
        summed = (weights @ flat).reshape(-1, *rows.shape[1:])
        for out, statistic in zip(figures, statistics, strict=True):
            out[start:stop] = statistic(summed)
        start = stop
    return figures


def _draws(n: int, resamples: int, seed: int, step: int) -> Iterator[Float[np.ndarray, "b n"]]:
    """How often each frame is drawn, `step` resamples at once; the same whatever the step is."""
    kept = _kept_draws(n, resamples, seed) if n * resamples <= _KEPT else None
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        yield kept[start:stop] if kept is not None else _drawn(rng, n, stop - start)


@lru_cache(maxsize=2)  # figures of one table are resampled one kind of row after the other
def _kept_draws(n: int, resamples: int, seed: int) -> Float[np.ndarray, "b n"]:
    return _drawn(np.random.default_rng(seed), n, resamples)


def _drawn(rng: np.random.Generator, n: int, resamples: int) -> Float[np.ndarray, "b n"]:
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)


def interval_from(figures: Float[np.ndarray, " resamples"], level: float = 0.95) -> Interval:
    """The percentile interval of a figure's replicates."""
    if not 0 < level < 1:
        raise MetricError(f"an interval at level {level} was asked for: choose one in (0, 1), such as 0.95")
    defined = figures[np.isfinite(figures)]
    if defined.size == 0:
        raise MetricError(
            "the figure is undefined in every resample: check that the frames hold what it needs"
        )
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, figures.size - defined.size)
