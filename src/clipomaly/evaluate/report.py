"""`report.html`, self-contained, and `report.md`: what an evaluation found, to look through and to quote.

Everything in it is computed elsewhere; here it is put in order. Figures whose threshold was picked on the
very frames they are computed on bear the mark *oracle*.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly.evaluate.compare import Difference
from clipomaly.evaluate.figures import FIGURES, Figure, lookup
from clipomaly.evaluate.html import section, table
from clipomaly.evaluate.plots import curves_svg, histogram_svg, intervals_svg, plots_available
from clipomaly.evaluate.result import CONDITION, Evaluation
from clipomaly.evaluate.shown import Picture, frames_html, names_html
from clipomaly.export.files import write_whole
from clipomaly.metrics.sketch import ap_of, auroc_of, fpr95_of

__all__ = ["HTML", "MARKDOWN", "write_comparison", "write_report"]

HTML, MARKDOWN = "report.html", "report.md"
_SLICES = ((0.0, 0.005, "below 0.5 %"), (0.005, 0.05, "0.5 % to 5 %"), (0.05, 1.01, "5 % and more"))
_ORACLE = "The threshold was picked on these very frames: an oracle, as the published evaluation does it."
_FACTS = (
    ("dataset", "Data set"), ("split", "Split"), ("limit", "First frames only"), ("n_frames", "Frames"),
    ("method", "Method"), ("model", "Model"), ("model_hash", "Model hash"), ("vocabulary", "Vocabulary"),
    ("vocabulary_hash", "Vocabulary hash"), ("data_hash", "Data hash"), ("run", "Run"),
    ("version", "Clipomaly"), ("created", "Made"),
)  # fmt: skip


def write_report(
    out: Path,
    evaluation: Evaluation,
    *,
    picture: Picture | None = None,
) -> None:
    """One method's report; `picture` shows a frame by its index."""
    m = evaluation.metrics
    title = f"{evaluation.method} on {m['dataset']}" if m.get("dataset") else evaluation.method
    parts = [
        _head(title, f"{m['n_frames']} frames; figures in percent, with 95 % intervals over frames"),
        _facts(m),
        _notes(m),
        section("Figures", _figures_html([evaluation])),
        _plots([evaluation]),
    ]
    slices = [table((title, "frames", "AP", "AUROC", "FPR95"), rows) for title, rows in _slices(evaluation)]
    if slices:
        parts.append(section("Slices", "".join(slices)))
    parts += [frames_html(evaluation, picture), names_html(evaluation)]
    parts += [_frame_table(evaluation), _settings(m)]
    _write_html(out, title, parts)
    lines = [f"# {title}", "", f"{m['n_frames']} frames. In percent, with 95 % intervals over frames."]
    lines += ["", *_operating(m), "", *_figures_markdown([evaluation])]
    lines += ["", *(f"- {name}: {value}" for name, value in _fact_rows(m))]
    write_whole(out / MARKDOWN, ("\n".join(lines) + "\n").encode())


def write_comparison(out: Path, evaluations: Sequence[Evaluation], differences: Sequence[Difference]) -> None:
    """Several methods side by side, and how sure their order is."""
    first = evaluations[0]
    m = first.metrics
    title = f"{len(evaluations)} methods on {m['dataset']}"
    by_rule: dict[str, list[str]] = {}
    for e in evaluations:
        for text in _operating(e.metrics):
            by_rule.setdefault(text, []).append(e.method)
    rules = "".join(
        f"<p><b>{escape(', '.join(names))}</b>: {_code(text)}</p>" for text, names in by_rule.items()
    )
    links = " · ".join(f'<a href="{escape(e.method)}/{HTML}">{escape(e.method)}</a>' for e in evaluations)
    shared = {k: v for k, v in m.items() if all(e.metrics.get(k) == v for e in evaluations)}
    parts = [
        _head(title, f"{m['n_frames']} frames; figures in percent, with 95 % intervals over frames"),
        _facts({**shared, "n_frames": m["n_frames"]}),
        f"<section><p>Each method's own report: {links}</p>{rules}</section>",
        section("Figures", _figures_html(evaluations)),
        _plots(evaluations),
        _differences_html(first.method, differences),
    ]
    _write_html(out, title, parts)
    lines = [f"# {title}", "", f"{m['n_frames']} frames. In percent, with 95 % intervals over frames.", ""]
    lines += _figures_markdown(evaluations)
    if differences:
        lines += ["", f"Paired differences to {first.method} (bold: the interval leaves out 0):", ""]
        lines += ["| method | figure | difference |", "|---|---|---:|"]
        for d in differences:
            text = _difference_text(d)
            lines.append(f"| {d.method} | {d.figure.title} | {f'**{text}**' if d.decided else text} |")
    write_whole(out / MARKDOWN, ("\n".join(lines) + "\n").encode())


# --- parts of the page --------------------------------------------------------------------------------------


def _write_html(out: Path, title: str, parts: Iterable[str]) -> None:
    template = (resources.files("clipomaly.evaluate") / HTML).read_text("utf-8")
    before, after = template.replace("<!--TITLE-->", escape(title)).split("<!--BODY-->")
    body = "\n".join(part for part in parts if part)
    write_whole(out / HTML, (before + body + after).encode("utf-8", "replace"))


def _head(title: str, about: str) -> str:
    return f"<header><h1>{escape(title)}</h1><p>{escape(about)}</p></header>"


def _fact_rows(metrics: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, metrics[key]) for key, name in _FACTS if metrics.get(key) is not None]


def _facts(metrics: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>"
        for name, value in _fact_rows(metrics)
    )
    return f"<section><dl>{rows}</dl></section>"


def _operating(metrics: Mapping[str, Any]) -> list[str]:
    """How the own mask's threshold came about, in a sentence."""
    own = metrics["locked"]
    if own["rule"] == "calibrated":
        return [
            f"Locked threshold {own['threshold']:.6g}, from a file made on {own['thresholds_created']} "
            f"(hash {own['thresholds_hash']}): {own['thresholds_fpr']:.2%} of known pixels above, on "
            f"{own['thresholds_frames']} frames without anomalies."
        ]
    if own["rule"] == "number":
        return [f"Locked threshold {own['threshold']:.6g}, given beforehand as a number."]
    if own["rule"] == "none":
        return ["No threshold was fixed beforehand, so there are no locked figures."]
    return [
        f"No threshold was fixed beforehand: the method's own mask follows each frame's {own['rule']} rule. "
        "It used no labels, but it is no calibrated operating point; `clipomaly calibrate` makes one."
    ]


def _code(text: str) -> str:
    """Text with `code` in it."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _notes(metrics: Mapping[str, Any]) -> str:
    notes = [f"<p>{_code(text)}</p>" for text in _operating(metrics)]
    if metrics.get("undefined"):
        notes.append(f'<p class="warn">{escape(metrics["undefined"])}</p>')
    notes.append(f"<p>Figures marked <b>oracle</b>: {escape(_ORACLE.lower()[0] + _ORACLE[1:])}</p>")
    if metrics.get("limit"):
        notes.append(f'<p class="warn">Only the first {metrics["limit"]} frames: not the set\'s figures.</p>')
    if metrics.get("unknown_classes"):
        names = ", ".join(metrics["unknown_classes"])
        notes.append(f"<p>Classes that the vocabulary lacks count as the unknown: {escape(names)}.</p>")
    if not plots_available():
        notes.append('<p class="warn">Plots need matplotlib: pip install "clipomaly[report]"</p>')
    return f"<section>{''.join(notes)}</section>"


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


def _figures_html(evaluations: Sequence[Evaluation]) -> str:
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
    """The methods with the best value, ties included; none where there is nothing to compare."""
    values = {e.method: lookup(e.metrics, figure.key) for e in evaluations}
    there = {name: v * figure.better for name, v in values.items() if v is not None}
    if not figure.better or len(there) < 2:
        return set()
    return {name for name, v in there.items() if v == max(there.values())}


def _figures_markdown(evaluations: Sequence[Evaluation]) -> list[str]:
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


def _plots(evaluations: Sequence[Evaluation]) -> str:
    if not plots_available():
        return ""
    parts = []
    curves = curves_svg(evaluations)
    if curves:
        dots = '<p class="soft">Dots: the methods\' own masks.</p>'
        parts.append(section("Curves", f'<div class="plot">{curves}</div>{dots}'))
    histogram = histogram_svg(evaluations[0]) if len(evaluations) == 1 else None
    if histogram:
        parts.append(section("Scores", f'<div class="plot">{histogram}</div>'))
    return "\n".join(parts)


def _slices(evaluation: Evaluation) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Pooled pixel figures by the share that the anomaly covers, and by each condition that varies."""
    if "pixels" not in evaluation.rows or evaluation.curve is None:
        return []
    rows = evaluation.rows["pixels"].astype(np.float64)
    known, anomaly = rows.sum(axis=-1).T
    share = anomaly / np.maximum(known + anomaly, 1)
    sizes = [(name, (share >= low) & (share < high) & (anomaly > 0)) for low, high, name in _SLICES]
    groups = [("Anomaly covers", sizes)]
    for column in dict.fromkeys(k for line in evaluation.frames for k in line if k.startswith(CONDITION)):
        values = [str(line.get(column) or "–") for line in evaluation.frames]
        if 1 < len(set(values)) <= 12:
            members = [(v, np.array([other == v for other in values])) for v in sorted(set(values))]
            groups.append((column.removeprefix(CONDITION).capitalize(), members))
    return [
        (title, [_slice(rows, name, here) for name, here in members if here.any()])
        for title, members in groups
    ]


def _slice(rows: np.ndarray, name: str, here: np.ndarray) -> tuple[str, ...]:
    total = rows[here].sum(axis=0)
    figures = (float(of(total)) for of in (ap_of, auroc_of, fpr95_of))
    return (name, str(int(here.sum())), *("–" if np.isnan(v) else f"{100 * v:.1f}" for v in figures))


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _frame_table(evaluation: Evaluation) -> str:
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
    every = table(("frame", *(titles[c] for c in used), "seconds"), rows)
    note = '<p class="soft">All columns are in frames.csv.</p>'
    return f"<section>{_folded('Every frame', note + every)}</section>"


def _settings(metrics: Mapping[str, Any]) -> str:
    if not metrics.get("settings"):
        return ""
    text = escape(json.dumps(metrics["settings"], indent=1, ensure_ascii=False))
    return f"<section>{_folded('Settings', f'<pre>{text}</pre>')}</section>"


def _differences_html(first: str, differences: Sequence[Difference]) -> str:
    if not differences:
        return ""
    shown = [
        d for d in differences if d.figure.key in ("ap", "fpr95", "oracle.f1_star", "naming_top1_synonym")
    ]
    plot = ""
    if shown and plots_available():
        bars = [
            (f"{d.method}: {d.figure.title}", 100 * d.value, (100 * d.interval.low, 100 * d.interval.high))
            for d in shown
        ]
        plot = f'<div class="plot">{intervals_svg(bars, f"points more than {first}")}</div>'
    rows = [
        (d.method, d.figure.title, _difference_text(d), "differs" if d.decided else "undecided")
        for d in differences
    ]
    about = (
        '<p class="soft">Both figures are computed on the same resampled frames. “Differs”: the interval '
        "leaves out 0.</p>"
    )
    all_of_them = table(("method", "figure", f"minus {first}", ""), rows, numbers=(2,))
    return section(f"Paired differences to {first}", about + plot + _folded("Every figure", all_of_them))


def _difference_text(d: Difference) -> str:
    scale, digits = (100, 1) if d.figure.percent else (1, 3)
    value, low, high = (
        f"{scale * v:+.{digits}f}".replace("-", "−") for v in (d.value, d.interval.low, d.interval.high)
    )
    return f"{value} [{low}, {high}]"
