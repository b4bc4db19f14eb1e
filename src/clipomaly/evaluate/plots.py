"""The report's plots, as SVG inside the page.

Colours are those of Okabe and Ito, told apart with any colour vision; lines differ in their dashes too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clipomaly.evaluate.result import Evaluation
from clipomaly.evaluate.svg import Axes, Key, document

__all__ = ["curves_svg", "histogram_svg", "intervals_svg"]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
_DASHES = (
    "",
    "5.5 2.4",
    "9.6 2.4 1.5 2.4",
    "1.5 2.5",
    "7.5 1.5 1.5 1.5 1.5 1.5",
    "12 3",
    "4.5 1.5",
    "1.5 1.5",
)
_GREY = "#777777"
_ANCHOR = Key("", _GREY, "1 3", 1)
_WIDTH = 756.0
_LEFT, _GAP, _RIGHT, _TOP = 46.0, 58.0, 10.0, 26.0


def _pair(height: float) -> tuple[tuple[float, float, float, float], ...]:
    """Two boxes side by side."""
    width = (_WIDTH - _LEFT - _GAP - _RIGHT) / 2
    return tuple((left, _TOP, width, height) for left in (_LEFT, _LEFT + width + _GAP))


def _key(i: int, label: str) -> Key:
    """The look of the i-th method's line: no two among 64 are the same."""
    return Key(label, _COLOURS[i % 8], _DASHES[(i + i // 8) % 8])


def curves_svg(evaluations: Sequence[Evaluation]) -> str | None:
    """Precision over recall, and ROC; the own mask's operating point as a dot."""
    drawn = [e for e in evaluations if e.curve is not None]
    if not drawn:
        return None
    left, right = _pair(240)
    pr = Axes(left, (0, 1), (0, 1.02), "Precision and recall", "recall", "precision")
    roc = Axes(right, (0, 1), (0, 1.02), "ROC", "false-positive rate", "recall")
    share = drawn[0].metrics["prevalence"]
    chance = Key(f"knows nothing {100 * share:.1f}", _GREY, "1 3", 1)
    pr.line([0, 1], [share, share], chance)
    roc.line([0, 1], [0, 1], _ANCHOR)
    roc.line([0, 1], [0.95, 0.95], Key("", _GREY, "4 4", 0.8))
    roc.note(0.85, 0.95, "recall 95 %")
    for i, e in enumerate(drawn):
        curve = e.curve
        assert curve is not None
        name = f"{e.method} " if len(drawn) > 1 else ""
        some = curve.recall > 0
        pr.keys.append(_key(i, f"{name}AP {100 * e.metrics['ap']:.1f}"))
        pr.line(curve.recall[some], curve.precision[some], pr.keys[-1], steps=True)
        roc.keys.append(_key(i, f"{name}AUROC {100 * e.metrics['auroc']:.1f}"))
        fpr, recall = (np.concatenate([[0.0], side]) for side in (curve.fpr, curve.recall))
        roc.line(fpr, recall, roc.keys[-1])
    for i, e in enumerate(drawn):
        own = e.metrics["locked"]
        if own.get("recall") is not None:
            if own.get("precision") is not None:
                pr.dot(own["recall"], own["precision"], _COLOURS[i % 8])
            roc.dot(own["fpr"], own["recall"], _COLOURS[i % 8])
    pr.keys.append(chance)
    return document((pr, roc), _WIDTH, "Precision over recall, and recall over the false-positive rate")


def histogram_svg(evaluation: Evaluation) -> str | None:
    """Scores of known and of anomalous pixels, and what share of the pixels at a score is anomalous."""
    h = evaluation.histogram
    if h is None:
        return None
    width = np.diff(h.edges)
    shares = [counts / max(1, counts.sum()) / width for counts in (h.known, h.anomaly)]
    reach, high = (float(h.edges[0]), float(h.edges[-1])), max(float(share.max()) for share in shares)
    total = h.known + h.anomaly
    enough = total >= max(50, 1e-5 * total.sum())
    share = np.divide(h.anomaly, total, out=np.zeros(total.size), where=total > 0)
    prevalence = evaluation.metrics["prevalence"]
    top = min(1.02, max(1.15 * float(share[enough].max(initial=0)), 2 * prevalence, 0.02))
    boxes = _pair(212)
    left = Axes(boxes[0], reach, (0, 1.05 * high), "Scores of known and anomalous pixels", "score", "density")
    right = Axes(boxes[1], reach, (0, top), "Reliability", "score", "share anomalous")
    left.keys = [
        Key("known", _COLOURS[0], fill=f"{_COLOURS[0]}40"),
        Key("anomaly", _COLOURS[1], fill="url(#hatched)"),
    ]
    left.parts.append(_HATCHED)
    for side, key in zip(shares, left.keys, strict=True):
        left.area(h.edges, side, key)
    marks = [Key("best F1 (oracle)", "#333333", "4 2", 1)]
    values = [evaluation.metrics["f1_best_threshold"]]
    own = evaluation.metrics["locked"].get("threshold")
    if own is not None and evaluation.method != "clipomaly":  # which thresholds its first stage, before names
        marks.append(Key("fixed beforehand", "#333333", "1.5 2.5", 1.6))
        values.append(own)
    for value, key in zip(values, marks, strict=True):
        if reach[0] <= value <= reach[1]:
            left.line([value, value], [0, 1.05 * high], key)
            left.keys.append(key)
    centre = (h.edges[1:] + h.edges[:-1]) / 2
    right.line(reach, [prevalence, prevalence], _ANCHOR)
    if enough.any():
        right.line(centre[enough], share[enough], Key("", _COLOURS[2]))
    for x, y in zip(centre[enough].tolist(), share[enough].tolist(), strict=True):
        right.dot(x, y, _COLOURS[2], radius=1.4)
    right.keys = [Key("share of the pixels at a score", _COLOURS[2]), Key("on average", _GREY, "1 3", 1)]
    return document((left, right), _WIDTH, "Scores of known and anomalous pixels, and reliability")


_HATCHED = (
    '<defs><pattern id="hatched" width="6" height="6" patternUnits="userSpaceOnUse">'
    f'<rect width="6" height="6" fill="{_COLOURS[1]}" fill-opacity="0.25"/>'
    f'<path d="M-1 7L7 -1" stroke="{_COLOURS[1]}" stroke-width="1.6"/></pattern></defs>'
)


def intervals_svg(rows: Sequence[tuple[str, float, tuple[float, float]]], title: str) -> str:
    """Differences with their intervals; 0 is marked."""
    left = 16 + 5.6 * max(len(name) for name, *_ in rows)
    low, high = (f(0.0, *(edge for _, value, ends in rows for edge in (value, *ends))) for f in (min, max))
    margin = 0.04 * max(high - low, 1e-9)
    reach = (low - margin, high + margin)
    box = (left, 8.0, _WIDTH - left - _RIGHT, 22.0 * len(rows))
    axes = Axes(box, reach, (len(rows) - 0.5, -0.5), x_label=title, names=[name for name, *_ in rows])
    axes.line([0, 0], [len(rows) - 0.5, -0.5], Key("", "#333333", "", 1))
    for i, (_, value, (start, end)) in enumerate(rows):
        axes.line([start, end], [i, i], Key("", _COLOURS[0], "", 2))
        axes.dot(value, i, _COLOURS[0], radius=3.5, hollow=not (start > 0 or end < 0))
    return document((axes,), _WIDTH, f"Differences with their intervals: {title}")
