"""An evaluation's tables, for the page and for Markdown: figures with intervals, slices, things, frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from clipomaly.evaluate.figures import FIGURES, Figure, lookup
from clipomaly.evaluate.result import Evaluation
from clipomaly.evaluate.slices import MEAN, SLICED

__all__ = [
    "CONTROL",
    "Table",
    "best_note",
    "figures_html",
    "figures_markdown",
    "frames_table",
    "markdown_table",
    "reliability_table",
    "slice_tables",
    "thing_tables",
]

CONTROL = "centre"
"""The method that looks at no picture: it stands beside the others and takes no part in the comparison."""
Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Heads, and rows of cells."""


_ONE_SIDED = {
    *("locked.recall", "locked.precision", "locked.fpr", "operational.false_clear_rate"),
    *("operational.hazard_recall", "operational.false_alarms_per_frame", "operational.corridor_fpr"),
}


def _used(evaluations: Sequence[Evaluation]) -> list[Figure]:
    """Figures that any of the methods has."""
    return [f for f in FIGURES if any(lookup(e.metrics, f.key) is not None for e in evaluations)]


def _number(value: float | None, figure: Figure) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f}" if figure.percent else f"{value:.3f}"


def _value(metrics: Mapping[str, Any], figure: Figure) -> tuple[str, str]:
    """A figure and its interval, as text."""
    interval = lookup(metrics, f"{figure.key}_ci")
    low_high = "" if interval is None else f"{_number(interval[0], figure)} – {_number(interval[1], figure)}"
    return _number(lookup(metrics, figure.key), figure), low_high


def _is_oracle(figure: Figure) -> bool:
    return figure.key == "f1_best" or figure.key.startswith("oracle.")


def figures_html(evaluations: Sequence[Evaluation]) -> str:
    """One method: interval and explanation beside each figure; several: intervals below the figures."""
    used = _used(evaluations)
    several = len(evaluations) > 1
    best = {f.key: _best(evaluations, f) for f in used} if several else {}
    arrows = {1: "↑", -1: "↓", 0: ""}
    rows = []
    for figure in used:
        name = escape(figure.title.replace(" (oracle)", ""))
        cells = []
        for e in evaluations:
            value, interval = _value(e.metrics, figure)
            value = f"<b>{value}</b>" if e.method in best.get(figure.key, ()) else value
            between = "<br>" if several else '</td><td class="num">'
            cells.append(f'<td class="num">{value}{between}<span class="interval">{interval}</span></td>')
        about = "" if several else f'<td class="about">{escape(figure.about)}</td>'
        tag = _tag(figure, evaluations)
        rows.append(f"<tr><td>{name} {arrows[figure.better]}{tag}</td>{''.join(cells)}{about}</tr>")
    last = "" if several else '<th class="num" scope="col">95 %</th><th scope="col"></th>'
    heads = "".join(f'<th class="num" scope="col">{escape(e.method)}</th>' for e in evaluations)
    return (
        f'<table><thead><tr><th scope="col">figure</th>{heads}{last}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _tag(figure: Figure, evaluations: Sequence[Evaluation]) -> str:
    """Oracle, or locked where every method's threshold was fixed beforehand."""
    if _is_oracle(figure):
        return '<span class="tag warn">oracle</span>'
    own = figure.rows in ("locked", "mask")
    locked = own and all(e.metrics["locked"]["fixed"] for e in evaluations)
    return '<span class="tag">locked</span>' if locked else ""


def _best(evaluations: Sequence[Evaluation], figure: Figure) -> set[str]:
    """The methods with the best value as it is shown, ties included; none where there is nothing to compare.

    The control takes no part: it would be without false alarms. Nor is a value best that all of the others
    have too, nor a wall time (methods run one after the other, and the machine's load differs), nor one side
    of a trade-off: what flags everything has the best recall.
    """
    if figure.rows == "seconds" or figure.key in _ONE_SIDED:
        return set()
    scale, digits = (100, 1) if figure.percent else (1, 3)
    values = {e.method: lookup(e.metrics, figure.key) for e in evaluations if e.method != CONTROL}
    there = {name: round(scale * v, digits) * figure.better for name, v in values.items() if v is not None}
    if not figure.better or len(set(there.values())) < 2:
        return set()
    return {name for name, v in there.items() if v == max(there.values())}


def best_note(evaluations: Sequence[Evaluation]) -> str:
    """What bold means in a table of several methods."""
    if sum(e.method != CONTROL for e in evaluations) < 2:
        return ""
    out = f"; the control, {CONTROL}, is left out" if any(e.method == CONTROL for e in evaluations) else ""
    return (
        f'<p class="soft">Bold: the best value, where the methods differ{out}; maybe by chance: see the '
        "paired differences. Not compared: wall times, and what is one side of a trade-off (recall, "
        "precision, FPR, hazards, alarms).</p>"
    )


def figures_markdown(evaluations: Sequence[Evaluation]) -> list[str]:
    """The same as lines of Markdown."""
    lines = ["| figure | " + " | ".join(e.method for e in evaluations) + " |"]
    lines.append("|---|" + "---:|" * len(evaluations))
    for figure in _used(evaluations):
        cells = []
        for e in evaluations:
            value, interval = _value(e.metrics, figure)
            cells.append(f"{value} ({interval})" if interval else value)
        mark = " (oracle)" if _is_oracle(figure) and "oracle" not in figure.title else ""
        lines.append(f"| {figure.title}{mark} | " + " | ".join(cells) + " |")
    return lines


def slice_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """A table a slice: the figures that any of its values has."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for entry in metrics.get("slices") or ():
        groups.setdefault(entry["slice"], []).append(entry)
    out: list[Table] = []
    for title, entries in groups.items():
        used = [f for f in SLICED if any(f.key in e for e in entries)]
        entries = sorted(entries, key=lambda e: e["value"] == MEAN)
        rows = [
            (str(e["value"]), str(e["n_frames"]), *(_number(e.get(f.key), f) for f in used)) for e in entries
        ]
        out.append(((title.capitalize(), "frames", *(f.title for f in used)), rows))
    return out


def thing_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """Things found by range, size, place, and whether their names may occur in training."""
    summary = metrics.get("things") or {}
    out: list[Table] = []
    for key, title in (
        ("by_range", "Range"),
        ("by_size_m", "Size"),
        ("by_place", "Place"),
        ("by_name_in_training", "Name in training"),
    ):
        entries = summary.get(key)
        if not entries:
            continue
        extra: Callable[[Mapping[str, Any]], tuple[str, ...]] = (
            (lambda e: ("–" if e["smallest_m"] is None else f"{e['smallest_m']:.2f}",))
            if key == "by_range"
            else (lambda e: ())
        )
        rows = [
            (
                str(e.get("range") or e.get("value")),
                str(e["things"]),
                f"{100 * e['found']:.1f}",
                "{:.1f} – {:.1f}".format(*(100 * v for v in e["found_ci"])),
                "–" if e.get("half_flagged") is None else f"{100 * e['half_flagged']:.1f}",
                *extra(e),
            )
            for e in entries
        ]
        head = (
            title,
            "things",
            "found",
            "95 %",
            "half flagged",
            *(("smallest, m",) if key == "by_range" else ()),
        )
        out.append((head, rows))
    return out


def reliability_table(evaluation: Evaluation) -> Table | None:
    """Of the pixels with such a score, how many are anomalous: ten parts of the range."""
    h = evaluation.histogram
    if h is None:
        return None
    rows: list[tuple[str, ...]] = []
    for k in range(0, h.known.size, h.known.size // 10):
        part = slice(k, k + h.known.size // 10)
        known, anomaly = int(h.known[part].sum()), int(h.anomaly[part].sum())
        if known + anomaly:
            low, high = h.edges[k], h.edges[min(k + h.known.size // 10, h.edges.size - 1)]
            share = f"{100 * anomaly / (known + anomaly):.1f}"
            rows.append((f"{low:.3g} to {high:.3g}", str(known + anomaly), share))
    return ("score", "pixels", "share anomalous"), rows


def frames_table(evaluation: Evaluation) -> Table:
    """A line a frame, with the figures that are looked at first."""
    columns = ("ap", "auroc", "fpr95", "oracle.siou", "locked.siou", "locked.recall", "locked.fpr")
    used = [c for c in columns if any(line.get(c) is not None for line in evaluation.frames)]
    titles = {f.key: f.title for f in FIGURES}
    rows = [
        (
            str(line["frame"]),
            *("–" if line.get(c) is None else f"{100 * line[c]:.1f}" for c in used),
            f"{line['seconds_per_frame']:.2f}" if line.get("seconds_per_frame") is not None else "–",
        )
        for line in evaluation.frames
    ]
    return ("frame", *(titles[c] for c in used), "seconds"), rows


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table as lines of Markdown; columns after the first hold numbers."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return lines + ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows]
