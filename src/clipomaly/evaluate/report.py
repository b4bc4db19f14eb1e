"""`report.html`, self-contained, and `report.md`: what an evaluation found, to look through and to quote.

Everything in it is computed elsewhere; here it is put in order. Figures whose threshold was picked on the
very frames they are computed on bear the mark *oracle*.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from clipomaly.evaluate.compare import Difference
from clipomaly.evaluate.figures import FIGURES, Figure, lookup
from clipomaly.evaluate.html import section, table
from clipomaly.evaluate.plots import curves_svg, histogram_svg, intervals_svg, plots_available
from clipomaly.evaluate.result import Evaluation
from clipomaly.evaluate.shown import NAMES_HEAD, Picture, frames_html, names_html, names_rows
from clipomaly.evaluate.slices import MEAN, SLICED
from clipomaly.export.files import write_whole

__all__ = ["HTML", "MARKDOWN", "write_comparison", "write_report"]

HTML, MARKDOWN = "report.html", "report.md"
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
    slices = [table(head, rows) for head, rows in _slices(m)]
    if slices:
        parts.append(section("Slices", _SLICE_NOTE + "".join(slices)))
    things = [table(head, rows) for head, rows in _things(m)]
    if things:
        parts.append(section("Things found", _THING_NOTE + "".join(things)))
    parts += [frames_html(evaluation, picture), names_html(evaluation)]
    parts += [_frame_table(evaluation), _settings(m)]
    _write_html(out, title, parts)
    lines = [f"# {title}", "", f"{m['n_frames']} frames. In percent, with 95 % intervals over frames."]
    lines += ["", *_operating(m), "", *_figures_markdown([evaluation])]
    for title, tables in (("Slices", _slices(m)), ("Things found", _things(m))):
        lines += ["", f"## {title}"] if tables else []
        for head, rows in tables:
            lines += ["", *_markdown_table(head, rows)]
    if reliable := _reliability(evaluation):
        lines += ["", "## Reliability", "", *_markdown_table(*reliable)]
    if named := names_rows(evaluation):
        lines += ["", "## Names", "", *_markdown_table(NAMES_HEAD, named)]
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
    notes += [f'<p class="warn">{_code(text)}</p>' for text in metrics.get("notices") or ()]
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


_SLICE_NOTE = (
    '<p class="soft">A frame counts in every value that it has. –: not defined there. Slices of few '
    "frames say little.</p>"
)
_THING_NOTE = (
    '<p class="soft">A thing is found when a flagged region touches it. Smallest: the size in metres from '
    "which on at least 95 % of the things in that range were found. Each thing stands in things.csv.</p>"
)
Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


def _slices(metrics: Mapping[str, Any]) -> list[Table]:
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


def _things(metrics: Mapping[str, Any]) -> list[Table]:
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
                *extra(e),
            )
            for e in entries
        ]
        head = (title, "things", "found", "95 %", *(("smallest, m",) if key == "by_range" else ()))
        out.append((head, rows))
    return out


def _reliability(evaluation: Evaluation) -> Table | None:
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


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return lines + ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows]


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
