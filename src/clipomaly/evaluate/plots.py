"""The report's plots, as SVG inside the page: the only file that needs matplotlib (extra [report]).

Colours are those of Okabe and Ito, told apart with any colour vision; lines differ in their dashes too.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from clipomaly.errors import MissingExtra
from clipomaly.evaluate.result import Evaluation

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["curves_svg", "histogram_svg", "intervals_svg", "plots_available"]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1)), (0, (1, 1)))
_KNOWN, _ANOMALY = _COLOURS[0], _COLOURS[1]


def plots_available() -> bool:
    """Whether matplotlib is installed."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


@contextmanager
def _figure(
    columns: int, size: tuple[float, float], left: float = 0.6
) -> Iterator[tuple[Any, Any, Callable[[], str]]]:
    """Axes side by side, and a function that yields the SVG; no window, no global state left changed.

    Margins are fixed, in inches: a layout engine would draw everything three times to find them.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "report", "drawing plots") from error
    style: dict[Any, Any] = {
        "svg.fonttype": "path",
        "svg.hashsalt": "clipomaly",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "axes.titley": 1.0,  # not looked for among the ticks
        "legend.framealpha": 0.9,  # readable over curves
        "legend.edgecolor": "none",
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=size)
        FigureCanvasSVG(figure)
        (width, height), gap = size, 0.75
        margins = {"left": left / width, "right": 1 - 0.15 / width, "bottom": 0.55 / height}
        margins |= {"top": 1 - 0.35 / height, "wspace": gap * columns / (width - left - 0.15 - gap)}
        axes = figure.subplots(1, columns, squeeze=False, gridspec_kw=margins)[0]

        def svg() -> str:
            text = io.StringIO()
            figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
            whole = text.getvalue()
            return whole[whole.index("<svg") :]

        yield figure, axes, svg


def curves_svg(evaluations: Sequence[Evaluation]) -> str | None:
    """Precision over recall, and ROC; the own mask's operating point as a dot."""
    drawn = [e for e in evaluations if e.curve is not None]
    if not drawn:
        return None
    with _figure(2, (10.5, 4.2)) as (_, (pr, roc), svg):
        for i, e in enumerate(drawn):
            curve, colour, dash = e.curve, _COLOURS[i % 8], _DASHES[i % 8]
            assert curve is not None
            name = e.method if len(drawn) > 1 else None
            some = curve.recall > 0
            label = f"{name or ''} AP {100 * e.metrics['ap']:.1f}".strip()
            pr.step(
                curve.recall[some], curve.precision[some], where="pre", color=colour, ls=dash, label=label
            )
            label = f"{name or ''} AUROC {100 * e.metrics['auroc']:.1f}".strip()
            fpr = np.concatenate([[0.0], curve.fpr])
            roc.plot(fpr, np.concatenate([[0.0], curve.recall]), color=colour, ls=dash, label=label)
            own = e.metrics["locked"]
            if own.get("recall") is not None:
                if own.get("precision") is not None:
                    pr.plot(own["recall"], own["precision"], "o", color=colour, ms=6)
                roc.plot(own["fpr"], own["recall"], "o", color=colour, ms=6)
        share = drawn[0].metrics["prevalence"]
        pr.axhline(share, color="#777777", lw=1, ls=(0, (1, 3)), label=f"knows nothing {100 * share:.1f}")
        pr.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="Precision and recall")
        roc.plot([0, 1], [0, 1], color="#777777", lw=1, ls=(0, (1, 3)))
        roc.axhline(0.95, color="#777777", lw=0.8, ls=(0, (4, 4)))
        roc.text(0.01, 0.955, "recall 95 %", ha="left", va="bottom", fontsize=8, color="#555555")
        roc.set(xlabel="false-positive rate", ylabel="recall", xlim=(0, 1), ylim=(0, 1.02), title="ROC")
        pr.legend(loc="upper right", fontsize=8)
        roc.legend(loc="lower right", fontsize=8)
        return str(svg())


def histogram_svg(evaluation: Evaluation) -> str | None:
    """Scores of known and of anomalous pixels, and what share of the pixels at a score is anomalous."""
    h = evaluation.histogram
    if h is None:
        return None
    with _figure(2, (10.5, 3.8)) as (_, (left, right), svg):
        width = np.diff(h.edges)
        for counts, colour, hatch, name in (
            (h.known, _KNOWN, None, "known"),
            (h.anomaly, _ANOMALY, "///", "anomaly"),
        ):
            share = counts / max(1, counts.sum()) / width
            left.stairs(share, h.edges, color=colour, fill=True, alpha=0.25)
            left.stairs(share, h.edges, color=colour, lw=1.6, label=name, hatch=hatch)
        best = evaluation.metrics["f1_best_threshold"]
        left.axvline(best, color="#333333", ls="--", lw=1, label="best F1 (oracle)")
        own = evaluation.metrics["locked"].get("threshold")
        if (
            own is not None and evaluation.method != "clipomaly"
        ):  # which thresholds its first stage, before names
            left.axvline(own, color="#333333", ls=":", lw=1.6, label="fixed beforehand")
        left.set(xlabel="score", ylabel="density", title="Scores of known and anomalous pixels")
        left.legend(loc="upper right", fontsize=8)
        total = h.known + h.anomaly
        enough = total >= max(50, 1e-5 * total.sum())
        centre = (h.edges[1:] + h.edges[:-1]) / 2
        share = np.divide(h.anomaly, total, out=np.zeros(total.size), where=total > 0)
        right.plot(centre[enough], share[enough], "o-", ms=3, color=_COLOURS[2])
        right.axhline(
            evaluation.metrics["prevalence"], color="#777777", lw=1, ls=(0, (1, 3)), label="on average"
        )
        top = max(1.15 * float(share[enough].max(initial=0)), 2 * evaluation.metrics["prevalence"], 0.02)
        right.set(xlabel="score", ylabel="share anomalous", ylim=(0, min(1.02, top)), title="Reliability")
        right.legend(loc="upper left", fontsize=8)
        return str(svg())


def intervals_svg(rows: Sequence[tuple[str, float, tuple[float, float]]], title: str) -> str:
    """Differences with their intervals; 0 is marked."""
    left = 0.3 + 0.075 * max(len(name) for name, *_ in rows)  # inches a letter
    with _figure(1, (10.5, 0.9 + 0.34 * len(rows)), left) as (_, (axes,), svg):
        for i, (_, value, (low, high)) in enumerate(rows):
            decided = low > 0 or high < 0
            axes.plot([low, high], [i, i], color=_COLOURS[0], lw=2, solid_capstyle="butt")
            axes.plot(value, i, "o", color=_COLOURS[0], mfc=_COLOURS[0] if decided else "white", ms=7)
        axes.axvline(0, color="#333333", lw=1)
        axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
        axes.set(xlabel=title, ylim=(len(rows) - 0.5, -0.5))
        return str(svg())
