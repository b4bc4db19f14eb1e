"""The figures by their stable keys: which per-frame rows each is computed from, and how.

A row is what one frame adds. A figure is a function of the summed row, so the same line serves its interval
over frames, and the paired difference of two methods.

    pixels   [2, bins]   known and anomalous pixels by score           (metrics.sketch)
    oracle   [37]        components at the best-F1 threshold            (metrics.component)
    locked   [37]        components of the method's own mask
    mask     [2, 2]      confusion of known and anomaly, own mask      (metrics.openworld)
    classes  [k+1, k+1]  confusion of the known classes and the unknown
    naming   [8]         named regions                                 (metrics.names)
    operational [7]      hazards, false clears, false alarms           (metrics.operational)
    corridor [2]         clear ground in the corridor, and flagged ground there, in pixels
    image    [2, bins]   good and defective images by score            (sets of defects)
    regions  [2, bins]   good pixels; shares of defect regions, by score
    cost     [2, k+1, k+1]  `classes` with names, and without          (--naming-cost)
    seconds  [2]         wall time, 1
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from clipomaly.errors import MetricError
from clipomaly.metrics.bootstrap import Interval, interval_from, mean_of, replicates, share_interval
from clipomaly.metrics.component import f1_star_of, ppv_of, siou_of
from clipomaly.metrics.industrial import aupro_of
from clipomaly.metrics.names import NAMING_ROW, naming_share_of
from clipomaly.metrics.openworld import known_miou_of, miou_2class_of, miou_of, unknown_iou_of
from clipomaly.metrics.sketch import FROM_FALLING, ap_of, auroc_of, f1_best_of, falling, fpr95_of

__all__ = ["FIGURES", "Figure", "Rows", "intervals_of", "lookup", "replicates_of"]

Rows = Mapping[str, np.ndarray]
"""Per-frame rows by name, the first axis over frames."""


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    key: str
    """Place in `metrics.json`; a dot enters a sub-table."""
    title: str
    rows: str
    of: Callable[[Any], Any]
    better: int = 1
    """1: higher is better, −1: lower is, 0: neither."""
    percent: bool = True
    about: str = ""
    unit: str = ""
    """What it is in, where not in percent."""


def _ratio(part: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """part / (part + rest); NaN where both are 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / (part + rest))


def _recall(rows: np.ndarray) -> np.ndarray:
    return _ratio(rows[..., 1, 1], rows[..., 1, 0])


def _precision(rows: np.ndarray) -> np.ndarray:
    return _ratio(rows[..., 1, 1], rows[..., 0, 1])


def _fpr(rows: np.ndarray) -> np.ndarray:
    return _ratio(rows[..., 0, 1], rows[..., 0, 0])


def _mask_f1(rows: np.ndarray) -> np.ndarray:
    return _ratio(2 * rows[..., 1, 1], rows[..., 0, 1] + rows[..., 1, 0])


def _part(part: int, whole: int) -> Callable[[np.ndarray], np.ndarray]:
    """One entry of a row as a share of another."""

    def of(rows: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(rows[..., part] / rows[..., whole])

    return of


def _naming_cost(rows: np.ndarray) -> np.ndarray:
    """How many points of known mIoU are lost to the names that entered."""
    return known_miou_of(rows[..., 1, :, :]) - known_miou_of(rows[..., 0, :, :])


def _similarity(rows: np.ndarray) -> np.ndarray:
    return mean_of(rows[..., NAMING_ROW.index("similarity") :])


_PIXEL = "pixels pooled over the set"
_OWN = "the method's own mask"

FIGURES: tuple[Figure, ...] = (
    Figure("ap", "AP", "pixels", ap_of, about=_PIXEL),
    Figure("auroc", "AUROC", "pixels", auroc_of, about=_PIXEL),
    Figure("fpr95", "FPR95", "pixels", fpr95_of, -1, about=_PIXEL),
    Figure("f1_best", "best F1", "pixels", f1_best_of, about=f"{_PIXEL}; oracle threshold"),
    Figure("oracle.siou", "sIoU (oracle)", "oracle", siou_of, about="components; oracle threshold"),
    Figure("oracle.ppv", "PPV (oracle)", "oracle", ppv_of, about="components; oracle threshold"),
    Figure("oracle.f1_star", "F1* (oracle)", "oracle", f1_star_of, about="components; oracle threshold"),
    Figure("locked.siou", "sIoU (own mask)", "locked", siou_of, about=f"components; {_OWN}"),
    Figure("locked.ppv", "PPV (own mask)", "locked", ppv_of, about=f"components; {_OWN}"),
    Figure("locked.f1_star", "F1* (own mask)", "locked", f1_star_of, about=f"components; {_OWN}"),
    Figure("locked.recall", "recall (own mask)", "mask", _recall, about=_OWN),
    Figure("locked.precision", "precision (own mask)", "mask", _precision, about=_OWN),
    Figure("locked.fpr", "FPR (own mask)", "mask", _fpr, -1, about=_OWN),
    Figure("locked.f1", "F1 (own mask)", "mask", _mask_f1, about=_OWN),
    Figure("known_miou", "known mIoU", "classes", known_miou_of, about="known classes"),
    Figure("miou", "mIoU, known ∪ unknown", "classes", miou_of, about="known classes and the unknown"),
    Figure("unknown_iou", "unknown IoU", "mask", unknown_iou_of, about=_OWN),
    Figure("miou_2class", "2-class mIoU", "mask", miou_2class_of, about=_OWN),
    *(
        Figure(
            f"naming_{share}", title, "naming", partial(naming_share_of, figure=share), better, about=about
        )
        for share, title, better, about in (
            ("top1", "name, top 1", 1, "exact"),
            ("top5", "name, top 5", 1, "exact"),
            ("top1_synonym", "name, top 1, synonyms", 1, "published synonym table"),
            ("top5_synonym", "name, top 5, synonyms", 1, "published synonym table"),
            ("unnamed", "left unnamed", -1, "regions without a name"),
        )
    ),
    Figure(
        "naming_similarity",
        "text similarity",
        "naming",
        _similarity,
        percent=False,
        about="name to truth",
        unit="cosine",
    ),
    Figure(
        "naming_cost", "known mIoU lost to names", "cost", _naming_cost, -1, about="without names minus with"
    ),
    Figure("image_auroc", "image AUROC", "image", auroc_of, about="largest score of each image"),
    Figure("image_ap", "image AP", "image", ap_of, about="largest score of each image"),
    Figure("aupro", "AUPRO", "regions", aupro_of, about="overlap a region, up to FPR 0.3"),
    Figure(
        "operational.false_clear_rate",
        "false clears",
        "operational",
        _part(2, 1),
        -1,
        about="frames with a hazard in the corridor, and nothing flagged there",
    ),
    Figure(
        "operational.hazard_recall",
        "hazards found",
        "operational",
        _part(4, 3),
        about="pieces of hazard in the corridor that a flagged region touches, however large it is",
    ),
    Figure(
        "operational.false_alarms_per_frame",
        "false alarms a frame",
        "operational",
        _part(5, 0),
        -1,
        percent=False,
        about="flagged regions in the corridor that touch no hazard",
        unit="count",
    ),
    Figure(
        "operational.corridor_fpr",
        "clear corridor flagged",
        "corridor",
        _part(1, 0),
        -1,
        about="share of the corridor's known pixels that are flagged",
    ),
    Figure(
        "seconds_per_frame",
        "seconds a frame",
        "seconds",
        mean_of,
        -1,
        percent=False,
        about="wall time",
        unit="s",
    ),
)

#: Shares of events, which may be 0: Wilson's interval. Place of the events, and of the trials, in the row.
_EVENTS = {"operational.false_clear_rate": (2, 1), "operational.hazard_recall": (4, 3)}


def intervals_of(
    figures: Sequence[Figure], rows: Rows, *, resamples: int = 1000
) -> dict[str, Interval | None]:
    """The 95 % intervals of figures over frames, by key; None where a figure is undefined.

    Shares of named regions have Wilson's interval where no frame has several, and where they are 0 or 1: a
    bootstrap of 0 of n says [0, 0]. A single frame has no other to be drawn instead: no interval.
    """
    out: dict[str, Interval | None] = dict.fromkeys(f.key for f in figures)
    drawn = [f for f in figures if f.rows in rows and _several(f, rows) and not _is_share(f, rows)]
    for figure in figures:
        if figure.rows in rows and _is_share(figure, rows):
            out[figure.key] = _share(figure, rows)
    for figure, values in zip(drawn, replicates_of(drawn, rows, resamples=resamples), strict=True):
        with contextlib.suppress(MetricError):  # undefined in every resample
            out[figure.key] = interval_from(values)
    return out


def replicates_of(figures: Sequence[Figure], rows: Rows, *, resamples: int = 1000) -> list[np.ndarray]:
    """The figures of resampled frames; what is computed from the same rows shares their sums."""
    out: dict[str, np.ndarray] = {}
    for kind in dict.fromkeys(f.rows for f in figures):
        here = [f for f in figures if f.rows == kind]
        statistics = [f.of for f in here]
        data = rows[kind]
        if all(of in FROM_FALLING for of in statistics):
            data, statistics = falling(data), [FROM_FALLING[of] for of in statistics]
        values = replicates(data, statistics, resamples=resamples)
        out |= {figure.key: line for figure, line in zip(here, values, strict=True)}
    return [out[figure.key] for figure in figures]


def _several(figure: Figure, rows: Rows) -> bool:
    """Whether there is more than one frame to draw; the first one's seconds do not count."""
    counted = rows["seconds"][:, 1].sum() if figure.rows == "seconds" else len(rows[figure.rows])
    return bool(counted > 1)


def _is_share(figure: Figure, rows: Rows) -> bool:
    """Whether it is a share of events, which may be 0 of n."""
    if figure.rows != "naming" or not figure.percent:
        return figure.key in _EVENTS
    total = rows["naming"].sum(axis=0)
    return bool(rows["naming"][:, 0].max() <= 1) or float(figure.of(total)) in (0.0, 1.0)


def _share(figure: Figure, rows: Rows) -> Interval | None:
    total = rows[figure.rows].sum(axis=0)
    if figure.key in _EVENTS:
        part, whole = (int(total[at]) for at in _EVENTS[figure.key])
    else:
        whole = int(total[0])
        part = round(float(figure.of(total)) * whole) if whole else 0
    return share_interval(part, whole) if whole else None


def lookup(metrics: Mapping[str, Any], key: str) -> Any:
    """The value at a key such as "locked.siou"; None where there is none.

    A method that named nothing at all has no figures of names to show: it was not wrong, it was not asked.

    >>> lookup({"locked": {"siou": 0.5}}, "locked.siou"), lookup({}, "ap")
    (0.5, None)
    >>> lookup({"naming_top1": 0.0, "naming_unnamed": 1.0}, "naming_top1")
    """
    if key.startswith("naming_") and key != "naming_cost" and metrics.get("naming_unnamed") == 1.0:
        return None
    value: Any = metrics
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
