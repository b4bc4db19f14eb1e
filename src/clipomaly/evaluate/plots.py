"""The report's plots, as SVG inside the page; they need matplotlib (extra [report]).

Colours are those of Okabe and Ito, told apart with any colour vision; lines differ in their dashes too.
Legends stand below the axes, where no curve runs.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any

import numpy as np

from clipomaly.errors import MissingExtra
from clipomaly.evaluate.result import Evaluation

__all__ = ["curves_svg", "histogram_svg", "intervals_svg", "plots_available"]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1)), (0, (1, 1)))
_CHANCE: dict[str, Any] = {"color": "#777777", "lw": 1, "ls": (0, (1, 3))}
_WIDTH, _ROW = 10.5, 0.19  # inches: of a figure, of a legend's line
_BELOW, _ABOVE, _RIGHT, _GAP = 0.55, 0.35, 0.15, 0.75


def plots_available() -> bool:
    """Whether matplotlib is installed."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


@contextmanager
def _figure(
    columns: int, height: float, left: float = 0.6, legend: int = 0
) -> Iterator[tuple[Any, Callable[[], str]]]:
    """Axes side by side, `height` inches and `legend` lines below them, and a function that yields the SVG.

    No window, no global state left changed. Margins are fixed: a layout engine would draw everything three
    times to find them.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "report", "drawing plots") from error
    style: dict[Any, Any] = {
        "svg.fonttype": "none",  # words stay words: to search for, and quicker than outlines
        "svg.hashsalt": "clipomaly",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "axes.titley": 1.0,  # not looked for among the ticks
    }
    with matplotlib.rc_context(style):
        bottom = _BELOW + _ROW * legend
        whole = _ABOVE + height + bottom
        figure = Figure(figsize=(_WIDTH, whole))
        FigureCanvasSVG(figure)
        margins = {"left": left / _WIDTH, "right": 1 - _RIGHT / _WIDTH, "bottom": bottom / whole}
        margins |= {
            "top": 1 - _ABOVE / whole,
            "wspace": _GAP * columns / (_WIDTH - left - _RIGHT - _GAP),
        }
        axes = figure.subplots(1, columns, squeeze=False, gridspec_kw=margins)[0]

        def svg() -> str:
            for one in axes if legend else ():
                one.legend(
                    loc="upper left", bbox_to_anchor=(0, -_BELOW / height), ncols=2, fontsize=8,
                    frameon=False, borderaxespad=0, borderpad=0, handlelength=3.5,
                )  # fmt: skip
            text = io.StringIO()
            figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
            drawn = text.getvalue()
            return drawn[drawn.index("<svg") :]

        yield axes, svg


def _look(i: int) -> dict[str, Any]:
    """Of the i-th method's line: no two among 64 are the same."""
    return {"color": _COLOURS[i % 8], "ls": _DASHES[(i + i // 8) % 8]}


def curves_svg(evaluations: Sequence[Evaluation]) -> str | None:
    """Precision over recall, and ROC; the own mask's operating point as a dot."""
    drawn = [e for e in evaluations if e.curve is not None]
    if not drawn:
        return None
    with _figure(2, 3.3, legend=ceil((len(drawn) + 1) / 2)) as ((pr, roc), svg):
        for i, e in enumerate(drawn):
            curve, look = e.curve, _look(i)
            assert curve is not None
            name = f"{e.method} " if len(drawn) > 1 else ""
            some = curve.recall > 0
            label = f"{name}AP {100 * e.metrics['ap']:.1f}"
            pr.step(curve.recall[some], curve.precision[some], where="pre", label=label, **look)
            fpr, recall = (np.concatenate([[0.0], side]) for side in (curve.fpr, curve.recall))
            roc.plot(fpr, recall, label=f"{name}AUROC {100 * e.metrics['auroc']:.1f}", **look)
            own = e.metrics["locked"]
            if own.get("recall") is not None:
                if own.get("precision") is not None:
                    pr.plot(own["recall"], own["precision"], "o", color=look["color"], ms=6)
                roc.plot(own["fpr"], own["recall"], "o", color=look["color"], ms=6)
        share = drawn[0].metrics["prevalence"]
        pr.axhline(share, label=f"knows nothing {100 * share:.1f}", **_CHANCE)
        pr.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="Precision and recall")
        roc.plot([0, 1], [0, 1], **_CHANCE)
        roc.axhline(0.95, color="#777777", lw=0.8, ls=(0, (4, 4)))
        # Below its line and away from the left, where curves run.
        roc.text(0.99, 0.94, "recall 95 %", ha="right", va="top", fontsize=8, color="#555555")
        roc.set(xlabel="false-positive rate", ylabel="recall", xlim=(0, 1), ylim=(0, 1.02), title="ROC")
        return svg()


def histogram_svg(evaluation: Evaluation) -> str | None:
    """Scores of known and of anomalous pixels, and what share of the pixels at a score is anomalous."""
    h = evaluation.histogram
    if h is None:
        return None
    with _figure(2, 2.9, legend=2) as ((left, right), svg):
        width = np.diff(h.edges)
        for counts, colour, hatch, name in (
            (h.known, _COLOURS[0], None, "known"),
            (h.anomaly, _COLOURS[1], "///", "anomaly"),
        ):
            share = counts / max(1, counts.sum()) / width
            left.stairs(share, h.edges, color=colour, fill=True, alpha=0.25)
            left.stairs(share, h.edges, color=colour, lw=1.6, label=name, hatch=hatch)
        best = evaluation.metrics["f1_best_threshold"]
        left.axvline(best, color="#333333", ls="--", lw=1, label="best F1 (oracle)")
        locked = evaluation.metrics["locked"]
        own = locked.get("threshold")
        if own is not None and locked.get("of_score", True):
            left.axvline(own, color="#333333", ls=":", lw=1.6, label="fixed beforehand")
        left.set(xlabel="score", ylabel="density", title="Scores of known and anomalous pixels")
        total = h.known + h.anomaly
        enough = total >= max(50, 1e-5 * total.sum())
        centre = (h.edges[1:] + h.edges[:-1]) / 2
        share = np.divide(h.anomaly, total, out=np.zeros(total.size), where=total > 0)
        label = "share of the pixels at a score"
        right.plot(centre[enough], share[enough], "o-", ms=3, color=_COLOURS[2], label=label)
        prevalence = evaluation.metrics["prevalence"]
        right.axhline(prevalence, label="on average", **_CHANCE)
        top = max(1.15 * float(share[enough].max(initial=0)), 2 * prevalence, 0.02)
        right.set(xlabel="score", ylabel="share anomalous", ylim=(0, min(1.02, top)), title="Reliability")
        return svg()


def intervals_svg(rows: Sequence[tuple[str, float, tuple[float, float]]], title: str) -> str:
    """Differences with their intervals; 0 is marked."""
    left = 0.3 + 0.075 * max(len(name) for name, *_ in rows)  # inches a letter
    with _figure(1, 0.34 * len(rows), left) as ((axes,), svg):
        for i, (_, value, (low, high)) in enumerate(rows):
            decided = low > 0 or high < 0
            axes.plot([low, high], [i, i], color=_COLOURS[0], lw=2, solid_capstyle="butt")
            axes.plot(value, i, "o", color=_COLOURS[0], mfc=_COLOURS[0] if decided else "white", ms=7)
        axes.axvline(0, color="#333333", lw=1)
        axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
        axes.set(xlabel=title, ylim=(len(rows) - 0.5, -0.5))
        return svg()
