"""Where a score map is cut: a pixel is unknown if its score is *above* the threshold.

calibrated   the smallest threshold at which at most a stated share of known-only pixels is called
             unknown: it needs frames without anomalies, and no anomaly
otsu         the cut that separates a frame's scores best (largest between-class variance)
percentile   a frame's percentile: a fixed share of every frame is unknown, anomaly or not
a number     that number
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from clipomaly.errors import ConfigError

__all__ = ["calibrate", "otsu", "percentile", "threshold_for"]

Scores = Float[np.ndarray, "*grid"]

#: Bins of `calibrate`: over [0, 1] their width is 2.4e-7, and the counts take 32 MiB, however many frames.
_BINS = 1 << 22


def otsu(scores: Scores, bins: int = 1024) -> float:
    """Otsu's threshold (1979) on a histogram; of a constant map that constant, so that nothing lies above.

    >>> 0.2 < otsu(np.array([0.1, 0.2, 0.8, 0.9], np.float32)) < 0.8
    True
    """
    flat = np.asarray(scores, np.float32).ravel()
    low, high = _range(flat)
    # A float32 map as narrow as a few ulps has no histogram.
    if not high - low > abs(high) * 1e-6:
        return high
    counts, edges = np.histogram(flat, bins=bins, range=(low, high))
    share = counts / flat.size
    middle = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(share)[:-1]
    mean_below = np.cumsum(share * middle)[:-1]
    mean = float((share * middle).sum())
    spread = np.zeros_like(below)
    inside = (below > 0) & (below < 1)
    spread[inside] = (mean * below - mean_below)[inside] ** 2 / (below * (1 - below))[inside]
    # Every cut inside a gap between two groups is as good as the next: take the middle of that plateau.
    best = np.flatnonzero(spread >= spread.max() * (1 - 1e-9))
    run = best[: int(np.argmax(np.diff(best, append=best[-1] + 2) > 1)) + 1]
    return float((edges[run[0] + 1] + edges[run[-1] + 1]) / 2)


def percentile(scores: Scores, q: float) -> float:
    """The smallest score that at most (100 − q) % of the scores lie above.

    >>> percentile(np.arange(10, dtype=np.float32), 90.0)
    8.0
    """
    if not 0 <= q <= 100:
        raise ValueError(f"a percentile lies between 0 and 100, not at {q}")
    flat = np.asarray(scores, np.float32).ravel()
    _range(flat)
    return _largest_kept(flat, _allowed(flat.size, 1 - q / 100))


def calibrate(known_only: Iterable[Scores], fpr: float, *, low: float = 0.0, high: float = 1.0) -> float:
    """The smallest threshold above which at most `fpr` of all pixels of known-only frames lie.

    One pass, in bounded memory: scores are counted in 2²² bins between `low` and `high`, each rounded *up*
    to the edge of its bin, so the threshold is that quantile rounded up to an edge. Equal scores stay
    together, and the stated rate is never exceeded on these frames.

    >>> frames = [np.linspace(0, 1, 101, dtype=np.float32)] * 3
    >>> round(calibrate(frames, fpr=0.05), 4)
    0.95
    """
    if not 0 <= fpr < 1:
        raise ConfigError(f"a false-positive rate is at least 0 and below 1, not {fpr}")
    step = (float(high) - float(low)) / _BINS
    counts = np.zeros(_BINS + 1, np.int64)
    for scores in known_only:
        flat = np.asarray(scores, np.float32).ravel()
        if not flat.size:
            continue
        least, most = _range(flat)
        if least < low or most > high:
            raise ConfigError(
                f"scores from {least:.4g} to {most:.4g} cannot be calibrated between {low} and {high}: "
                "give the bounds of this score"
            )
        place = np.ceil((flat.astype(np.float64) - low) / step).astype(np.int64)
        np.add.at(counts, place, 1)
    total = int(counts.sum())
    if not total:
        raise ConfigError("no known-only pixel to calibrate on: give frames without anomalies")
    edge = int(np.searchsorted(np.cumsum(counts, out=counts), total - _allowed(total, fpr)))
    # Between odd bounds an edge may fall an ulp below scores that were rounded up to it.
    threshold = np.float32(low + edge * step)
    return float(threshold if (low, high) == (0.0, 1.0) else np.nextafter(threshold, np.float32(np.inf)))


def threshold_for(
    policy: str, scores: Scores, *, percent: float = 98.0, calibrated: float | None = None
) -> float:
    """The threshold of one frame under a policy of `config.UnknownSettings.threshold`.

    >>> threshold_for("0.5", np.zeros((2, 2), np.float32))
    0.5
    """
    if policy == "otsu":
        return otsu(scores)
    if policy == "percentile":
        return percentile(scores, percent)
    if policy == "calibrated":
        if calibrated is None:
            raise ConfigError(
                "no calibrated threshold for this model, score and vocabulary: run `clipomaly calibrate` on "
                "known-only frames, or use --threshold otsu, percentile or a number"
            )
        return float(calibrated)
    try:
        return float(policy)
    except ValueError as error:
        raise ConfigError(
            f"threshold {policy!r} is not valid: use calibrated, otsu, percentile or a number"
        ) from error


def _range(flat: np.ndarray) -> tuple[float, float]:
    if not flat.size:
        raise ValueError("no scores to find a threshold in")
    low, high = float(flat.min()), float(flat.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("scores must be finite")
    return low, high


def _allowed(total: int, share: float) -> int:
    """How many of `total` may lie above; 1 − q/100 carries rounding, and 5 of 100 are 5, not 4."""
    return int(np.floor(total * share + 1e-9 * max(1, total)))


def _largest_kept(flat: np.ndarray, allowed: int) -> float:
    if allowed >= flat.size:
        # Everything may lie above: the next smaller number than all of them.
        return float(np.nextafter(flat.min(), np.float32(-np.inf)))
    place = flat.size - 1 - allowed
    return float(np.partition(flat, place)[place])
