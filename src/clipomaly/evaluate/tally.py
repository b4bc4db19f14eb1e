"""One method's answers over a set, frame by frame: exact pixel counts, and a short row for the rest.

Memory does not grow with pixels (`metrics.pixel` keeps them in order, past a limit on disk). One thing needs
a second look at the scores, components at the best-F1 threshold: that is known only at the end. The
caller keeps the score maps on disk for that, one frame in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Shaped

from clipomaly.errors import MetricError
from clipomaly.evaluate.figures import FIGURES, Rows, intervals_of
from clipomaly.evaluate.names import answer_of, judged_finding
from clipomaly.evaluate.truth import LEFT_OUT, Named, Truth
from clipomaly.metrics.component import MinimumSizes, component_row, match_components
from clipomaly.metrics.industrial import ProCounts, image_metrics, region_row
from clipomaly.metrics.names import NamingCounts, Synonyms
from clipomaly.metrics.openworld import confusion_of
from clipomaly.metrics.operational import frame_row
from clipomaly.metrics.pixel import PixelCounts, PixelCurve, PixelMetrics, class_keys
from clipomaly.metrics.sketch import FrameSketches, ap_of, auroc_of, f1_best_of, fpr95_of
from clipomaly.records import Finding, Prediction

__all__ = ["LEFT_OUT_HINT", "Histogram", "Tally", "frame_table", "mask_rows", "prediction_rows", "summarise"]

_BINS = 100
_EXACT = ("pixels", "image", "regions")
"""Rows that serve intervals only: the figures themselves are counted exactly."""


LEFT_OUT_HINT = "; pixels of 255 were left out: if 255 is the anomaly here, say --values 0=0,255=1"
"""Masks of 0 and 255 are as common as those of 0 and 1."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """Known and anomalous pixels by score."""

    edges: np.ndarray
    known: np.ndarray
    anomaly: np.ndarray


def mask_rows(
    mask: Shaped[np.ndarray, "H W"], anomaly: Shaped[np.ndarray, "H W"], minimum: MinimumSizes
) -> dict[str, np.ndarray]:
    """What one frame's binary mask adds: components and the 2×2 confusion."""
    return {
        "locked": component_row(match_components(mask, anomaly, minimum)),
        "mask": _two_by_two(mask, anomaly),
    }


def _two_by_two(mask: np.ndarray, anomaly: np.ndarray) -> np.ndarray:
    """`confusion_of` for two classes, by counting alone."""
    true = anomaly == 1
    counted, flagged = int(np.count_nonzero(anomaly != 255)), int(np.count_nonzero(mask & (anomaly != 255)))
    positive, hit = int(np.count_nonzero(true)), int(np.count_nonzero(mask & true))
    return np.array([[counted - positive - (flagged - hit), flagged - hit], [positive - hit, hit]])


@dataclass(frozen=True)
class Judge:
    """What predictions are judged by."""

    minimum: MinimumSizes
    synonyms: Synonyms
    similarity: Callable[[str, str], float] | None = None
    """How alike two names are, where the method can tell."""
    images: bool = False
    """Whether whole images are judged too, and defect regions (AUPRO)."""


def prediction_rows(
    prediction: Prediction, truth: Truth, judge: Judge, plain: Prediction | None = None
) -> dict[str, np.ndarray]:
    """What one frame's prediction adds, by figure; `plain` is the same method's without names."""
    rows: dict[str, np.ndarray] = {}
    if truth.anomaly is not None:
        rows |= mask_rows(prediction.unknown, truth.anomaly, judge.minimum)
        if judge.images:
            counted = prediction.score[truth.anomaly != 255]
            best = float(counted.max()) if counted.size else float(prediction.score.max())
            rows["image_score"] = np.array([best, (truth.anomaly == 1).any()])
        if truth.corridor is not None:
            rows["operational"] = frame_row(prediction.unknown, truth.anomaly, truth.corridor)
            clear = truth.corridor & (truth.anomaly == 0)
            rows["corridor"] = np.array(
                [np.count_nonzero(clear), np.count_nonzero(clear & prediction.unknown)], np.int64
            )
    if truth.classes is not None:
        rows["classes"] = _confusion(prediction, truth.classes)
        if plain is not None:
            rows["cost"] = np.stack([rows["classes"], _confusion(plain, truth.classes)])
    if truth.named:
        rows["naming"] = sum(_naming_row(prediction.findings, named, judge) for named in truth.named)  # type: ignore[assignment]
    return rows


def _confusion(prediction: Prediction, classes: np.ndarray) -> np.ndarray:
    """Known classes; the own mask, and every pixel that bears an entered name, is the unknown."""
    n_known = prediction.n_known
    outside = prediction.unknown | (prediction.labels >= n_known)
    mapped = np.where(outside, n_known, prediction.labels).astype(np.int16)
    return confusion_of(mapped, classes, n_known, LEFT_OUT)


def _naming_row(findings: Sequence[Finding], named: Named, judge: Judge) -> np.ndarray:
    answer = answer_of(judged_finding(findings, named))
    alike = judge.similarity(answer[0], named.name) if answer and judge.similarity is not None else None
    return NamingCounts(judge.synonyms).add(named.name, answer, alike)


@dataclass
class Tally:
    """Collects frames; `close` once all are in."""

    dtype: Any = np.float32
    images: bool = False
    rows: dict[str, list[np.ndarray | None]] = field(default_factory=dict)
    frames: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = PixelCounts(self.dtype)
        self.regions = ProCounts() if self.images and self.dtype == np.float32 else None
        self._sketches = FrameSketches()
        self._sketched: list[int] = []
        self.left_out = 0

    def add(
        self,
        name: str,
        score: Shaped[np.ndarray, "H W"],
        anomaly: Shaped[np.ndarray, "H W"] | None,
        rows: Mapping[str, np.ndarray],
    ) -> None:
        """Count one frame: its scores where there are labels, and what else it adds."""
        if anomaly is not None:
            try:
                keys = class_keys(score, anomaly, self.dtype)
                self.counts.add_keys(*keys)
                if self.dtype == np.float32:
                    self._sketches.add_keys(*keys)
                else:
                    self._sketches.add(score, anomaly)
                if self.regions is not None:
                    self.regions.add(score, anomaly)
            except MetricError as error:
                raise MetricError(f"frame {name}: {error}") from error
            self.left_out += int(np.count_nonzero(anomaly == 255))
            self._sketched.append(len(self.frames))
        for kind, row in rows.items():
            self.put(kind, len(self.frames), row)
        self.frames.append(name)

    def put(self, kind: str, at: int, row: np.ndarray) -> None:
        """Set one frame's row of a kind."""
        column = self.rows.setdefault(kind, [])
        column += [None] * (at + 1 - len(column))
        column[at] = row

    def finished_rows(self) -> dict[str, np.ndarray]:
        """Rows by kind, [frames, …]; a frame that adds nothing has zeros."""
        out = {}
        for kind, column in self.rows.items():
            like = next(row for row in column if row is not None)
            full = [np.zeros_like(like) if row is None else row for row in column]
            full += [np.zeros_like(like)] * (len(self.frames) - len(column))
            out[kind] = np.stack(full)
        if self._sketched:
            sketches = self._sketches.rows()
            out["pixels"] = np.zeros((len(self.frames), *sketches.shape[1:]), np.int64)
            out["pixels"][self._sketched] = sketches
        if "image_score" in out:
            out["image"] = _image_rows(out["image_score"])
        return out

    def exact(self, pixels: PixelMetrics | None) -> dict[str, float]:
        """Figures that are not computed from rows."""
        out: dict[str, float] = {}
        if pixels is not None:
            out |= {k: getattr(pixels, k) for k in ("ap", "auroc", "fpr95", "f1_best")}
        if self.regions is not None and self.regions.n_regions and self.counts.n_negative:
            out["aupro"] = self.regions.result()
        kept = [row for row in self.rows.get("image_score", []) if row is not None]
        if kept:
            score, defective = np.stack(kept).T
            if 0 < defective.sum() < defective.size:
                images = image_metrics(score, defective > 0)
                out |= {"image_auroc": images.auroc, "image_ap": images.ap}
        return out

    def pixels(self) -> tuple[PixelMetrics, PixelCurve, Histogram] | None:
        """Exact figures, curve and histogram; None where the set lacks anomalies or known pixels."""
        if not self.counts.n_positive or not self.counts.n_negative:
            return None
        low, high = self.counts.bounds()
        edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
        return self.counts.result(), self.counts.curve(), self._histogram(edges)

    def _histogram(self, edges: np.ndarray) -> Histogram:
        """For the plot: the shared bins of the sketch, each put where it begins; much cheaper than exact."""
        starts = np.clip(self._sketches.starts(), edges[0], edges[-1])
        known, anomaly = self._sketches.rows().sum(axis=0)
        counts = (np.histogram(starts, edges, weights=side)[0].astype(np.int64) for side in (known, anomaly))
        return Histogram(edges, *counts)


def _image_rows(scores: np.ndarray) -> np.ndarray:
    """Good and defective images by score, [frames, 2, bins]: one bin a score, or 512 quantiles of them."""
    score, defective = scores[:, 0], scores[:, 1] > 0
    cuts = np.unique(score)
    if cuts.size > 512:
        cuts = np.unique(np.quantile(score, np.linspace(0, 1, 513), method="inverted_cdf"))
    out = np.zeros((len(scores), 2, cuts.size), np.int32)
    at = np.maximum(np.searchsorted(cuts, score, "right") - 1, 0)
    out[np.arange(len(scores)), defective.astype(int), at] = 1
    return out


#: What says nothing on a set without anomalous pixels; what is flagged there all the same is `locked.fpr`.
_OF_ANOMALIES = {
    *("locked.siou", "locked.ppv", "locked.f1_star", "locked.recall", "locked.precision", "locked.f1"),
    *("unknown_iou", "miou", "miou_2class"),
}


def summarise(
    tally: Tally,
    maps: Iterable[tuple[int, np.ndarray, np.ndarray]],
    minimum: MinimumSizes,
) -> tuple[dict[str, Any], dict[str, np.ndarray], PixelCurve | None, Histogram | None]:
    """All figures with intervals, and the rows behind them.

    `maps` gives (index, score, anomaly) of the labelled frames again, for the best-F1 threshold.
    """
    metrics: dict[str, Any] = {"n_frames": len(tally.frames)}
    pixels = tally.pixels()
    curve = histogram = None
    if pixels is not None:
        result, curve, histogram = pixels
        edges = np.unique(curve.threshold[np.isfinite(curve.threshold)])
        for at, score, anomaly in maps:
            row = component_row(match_components(score >= result.threshold_f1, anomaly, minimum))
            tally.put("oracle", at, row)
            if tally.regions is not None:
                tally.put("regions", at, region_row(score, anomaly, edges))
        metrics |= {"prevalence": result.prevalence, "f1_best_threshold": result.threshold_f1}
    elif tally.counts.n_negative or tally.counts.n_positive:
        kind = "anomalous" if tally.counts.n_negative else "known"
        metrics["undefined"] = f"pixel and oracle figures are undefined: the set has no {kind} pixels"
    exact = tally.exact(None if pixels is None else pixels[0])
    rows = tally.finished_rows()
    values = dict(exact)
    for figure in FIGURES:
        if figure.key not in exact and figure.rows in rows and figure.rows not in _EXACT:
            values[figure.key] = float(figure.of(rows[figure.rows].astype(np.float64).sum(axis=0)))
    if not tally.counts.n_positive:
        values = {key: value for key, value in values.items() if key not in _OF_ANOMALIES}
    intervals = intervals_of([f for f in FIGURES if f.key in values], rows)
    for figure in FIGURES:
        _place(metrics, figure.key, values.get(figure.key), intervals.get(figure.key))
    if pixels is not None:
        metrics["oracle"]["threshold"] = result.threshold_f1
    for kind, column in (("n_positive", 1), ("n_negative", 0)):
        metrics[kind] = int(rows["pixels"][:, column].sum()) if "pixels" in rows else 0
    # The published evaluation's component figures are those of the oracle threshold.
    for key in ("siou", "ppv", "f1_star"):
        metrics[key], metrics[f"{key}_ci"] = metrics["oracle"][key], metrics["oracle"][f"{key}_ci"]
    return metrics, rows, curve, histogram


def _place(metrics: dict[str, Any], key: str, value: float | None, interval: Any) -> None:
    """Set a figure and its interval; what is not finite is null.

    Intervals of pixel figures come from shared bins, and may lie a hair beside the exact figure: they are
    widened to hold it.
    """
    table, name = metrics, key
    if "." in key:
        group, name = key.split(".")
        table = metrics.setdefault(group, {})
    known = value is not None and bool(np.isfinite(value))
    table[name] = value if known else None
    inside = None
    if known and value is not None and interval is not None:
        inside = [min(interval.low, value), max(interval.high, value)]
    table[f"{name}_ci"] = inside


def frame_table(rows: Rows, frames: Sequence[str]) -> list[dict[str, Any]]:
    """A line a frame: its own figures, where it has them (pixel figures from the 2048 shared bins)."""
    out: list[dict[str, Any]] = [{"frame": name} for name in frames]
    single = {"ap": ap_of, "auroc": auroc_of, "fpr95": fpr95_of, "f1_best": f1_best_of}
    for key, of in single.items() if "pixels" in rows else ():
        for line, value in zip(out, of(rows["pixels"].astype(np.float64)), strict=True):
            line[key] = _number(value)
    if "pixels" in rows:
        known, anomaly = rows["pixels"].sum(axis=-1).T
        for line, k, a in zip(out, known, anomaly, strict=True):
            line["anomaly_share"] = _number(a / (k + a)) if k + a else None
    for figure in FIGURES:
        if figure.rows not in ("pixels", "image", "regions", "cost") and figure.rows in rows:
            for line, value in zip(out, figure.of(rows[figure.rows].astype(np.float64)), strict=True):
                line[figure.key] = _number(value)
    return out


def _number(value: Any) -> float | None:
    return float(f"{float(value):.6g}") if np.isfinite(value) else None
