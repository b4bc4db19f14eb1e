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

from clipomaly.errors import install_hint
from clipomaly.evaluate.compare import Difference
from clipomaly.evaluate.figures import lookup
from clipomaly.evaluate.html import section, table
from clipomaly.evaluate.plots import curves_svg, histogram_svg, intervals_svg, plots_available
from clipomaly.evaluate.result import Evaluation, frames_text, reading_notes
from clipomaly.evaluate.shown import NAMES_HEAD, Picture, frames_html, names_html, names_rows
from clipomaly.evaluate.tables import (
    best_note,
    figures_html,
    figures_markdown,
    frames_table,
    markdown_table,
    reliability_table,
    slice_tables,
    thing_tables,
)
from clipomaly.export.files import write_whole

__all__ = ["HTML", "MARKDOWN", "write_comparison", "write_report"]

HTML, MARKDOWN = "report.html", "report.md"
_ORACLE = "the threshold was picked on these very frames: an oracle, as the published evaluation does it."
_FACTS = (
    ("dataset", "Data set"), ("split", "Split"), ("limit", "First frames only"), ("n_frames", "Frames"),
    ("method", "Method"), ("factory", "Opened by"), ("method_hash", "Method hash"), ("model", "Model"),
    ("model_hash", "Model hash"), ("vocabulary", "Vocabulary"), ("vocabulary_hash", "Vocabulary hash"),
    ("data_hash", "Data hash"), ("run", "Run"), ("version", "Clipomaly"), ("created", "Made"),
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
    warned = [(text, "") for text in _warnings(m)]
    about = f"{frames_text(m['n_frames'])}; figures in percent, with 95 % intervals over frames"
    parts = [
        _head(title, about),
        _warnings_html(warned),
        _facts(m),
        _notes(m),
        section("Figures", figures_html([evaluation])),
        _plots([evaluation]),
    ]
    slices = [table(head, rows) for head, rows in slice_tables(m)]
    if slices:
        parts.append(section("Slices", _SLICE_NOTE + "".join(slices)))
    things = [table(head, rows) for head, rows in thing_tables(m)]
    if things:
        parts.append(section("Things found", _THING_NOTE + "".join(things)))
    parts += [frames_html(evaluation, picture), names_html(evaluation)]
    note = '<p class="soft">All columns are in frames.csv.</p>'
    parts.append(f"<section>{_folded('Every frame', note + table(*frames_table(evaluation)))}</section>")
    parts.append(_settings(m))
    _write_html(out, title, parts)
    lines = [
        f"# {title}",
        "",
        f"{frames_text(m['n_frames'])}. In percent, with 95 % intervals over frames.",
        *_warnings_markdown(warned),
    ]
    oracle = [f"Oracle: {_ORACLE}", ""] if m.get("f1_best") is not None else []
    lines += ["", *_operating(m), "", *oracle, *figures_markdown([evaluation])]
    for title, tables in (("Slices", slice_tables(m)), ("Things found", thing_tables(m))):
        lines += ["", f"## {title}"] if tables else []
        for head, rows in tables:
            lines += ["", *markdown_table(head, rows)]
    if reliable := reliability_table(evaluation):
        lines += ["", "## Reliability", "", *markdown_table(*reliable)]
    if named := names_rows(evaluation):
        lines += ["", "## Names", "", *markdown_table(NAMES_HEAD, named)]
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
    warned = _warnings_of(evaluations)
    about = f"{frames_text(m['n_frames'])}; figures in percent, with 95 % intervals over frames"
    parts = [
        _head(title, about),
        _warnings_html(warned),
        _facts({**shared, "n_frames": m["n_frames"]}),
        f"<section><p>Each method's own report: {links}</p>{rules}</section>",
        section("Figures", figures_html(evaluations) + best_note(evaluations)),
        _plots(evaluations),
        _differences_html(first.method, differences),
    ]
    _write_html(out, title, parts)
    lines = [
        f"# {title}",
        "",
        f"{frames_text(m['n_frames'])}. In percent, with 95 % intervals over frames.",
        *_warnings_markdown(warned),
        "",
    ]
    lines += [*(f"- {', '.join(names)}: {text}" for text, names in by_rule.items()), ""]
    lines += figures_markdown(evaluations)
    if differences:
        lines += [
            "",
            f"Paired differences to {first.method} (bold: the interval leaves out 0; {_TIMED}):",
            "",
        ]
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
    facts = [(name, metrics[key]) for key, name in _FACTS if metrics.get(key) is not None]
    # The time as people read it, with room to break the line.
    return [(n, str(v).replace("T", " ").replace("+00:00", " UTC") if n == "Made" else v) for n, v in facts]


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
        made = f" made on {own['thresholds_created']}" if own["thresholds_created"] else ""
        source = f" ({own['thresholds_source']})" if own.get("thresholds_source") else ""
        return [
            f"Locked threshold {own['threshold']:.6g}, from a file{made} "
            f"(hash {own['thresholds_hash']}): {own['thresholds_fpr']:.2%} of known pixels above, on "
            f"{own['thresholds_frames']} frames without anomalies{source}."
        ]
    if own["rule"] == "number":
        return [f"Locked threshold {own['threshold']:.6g}, given beforehand as a number."]
    if own["rule"] == "none":
        return ["No threshold was fixed beforehand, so there are no locked figures."]
    if own["rule"] == "own":
        return [
            "The method's own mask follows a rule of its own; nothing shows that it was fixed beforehand."
        ]
    return [
        f"No threshold was fixed beforehand: the method's own mask follows each frame's {own['rule']} rule. "
        "It used no labels, but it is no calibrated operating point; `clipomaly calibrate` makes one."
    ]


def _code(text: str) -> str:
    """Text with `code` in it."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _warnings(metrics: Mapping[str, Any]) -> list[str]:
    """What to know before any figure is quoted."""
    texts = []
    if limit := metrics.get("limit"):
        first = "frame" if limit == 1 else f"{limit} frames"
        texts.append(f"Only the first {first}: not the set's figures.")
    return [*texts, *reading_notes(metrics), *(metrics.get("notices") or ())]


def _warnings_of(evaluations: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """The same of several methods: each text once, and whom it concerns unless that is all, or it says so."""
    by_text: dict[str, list[str]] = {}
    for e in evaluations:
        for text in _warnings(e.metrics):
            by_text.setdefault(text, []).append(e.method)
    out = []
    for text, names in by_text.items():
        told = len(names) == len(evaluations) or all(f"method {name}" in text for name in names)
        out.append((text, "" if told else ", ".join(names)))
    return out


def _warnings_html(warned: Sequence[tuple[str, str]]) -> str:
    if not warned:
        return ""
    lines = (f"{escape(whose)}: {_code(text)}" if whose else _code(text) for text, whose in warned)
    paragraphs = "".join(f'<p class="warn">{line}</p>' for line in lines)
    return f"<section>{paragraphs}</section>"


def _warnings_markdown(warned: Sequence[tuple[str, str]]) -> list[str]:
    lines = [f"- **Note** ({whose}): {text}" if whose else f"- **Note**: {text}" for text, whose in warned]
    return ["", *lines] if lines else []


def _notes(metrics: Mapping[str, Any]) -> str:
    notes = [f"<p>{_code(text)}</p>" for text in _operating(metrics)]
    if metrics.get("f1_best") is not None:
        notes.append(f"<p>Figures marked <b>oracle</b>: {escape(_ORACLE)}</p>")
    return f"<section>{''.join(notes)}</section>"


def _plots(evaluations: Sequence[Evaluation]) -> str:
    if not plots_available():
        return (
            f'<section><p class="soft">Plots need matplotlib: {_code(install_hint("report"))}</p></section>'
        )
    parts = []
    curves = curves_svg(evaluations)
    if curves:
        masks = any(lookup(e.metrics, "locked.recall") is not None for e in evaluations)
        dots = '<p class="soft">Dots: the methods\' own masks.</p>' if masks else ""
        parts.append(section("Curves", f'<div class="plot">{curves}</div>{dots}'))
    histogram = histogram_svg(evaluations[0]) if len(evaluations) == 1 else None
    if histogram:
        parts.append(section("Scores", f'<div class="plot">{histogram}</div>'))
    return "\n".join(parts)


_TIMED = (
    "wall times are not judged: methods run one after the other, on a machine whose load is in no interval"
)
_SLICE_NOTE = (
    '<p class="soft">A frame counts in every value that it has. –: not defined there. Slices of few '
    "frames say little.</p>"
)
_THING_NOTE = (
    '<p class="soft">A thing is found when a flagged region touches it, be it by one pixel; half flagged: at '
    "least half of its pixels are. Smallest: the size in metres from which on at least 95 % of the things in "
    "that range were found. Each thing stands in things.csv. <i>Hazards found</i> above counts something "
    "else: pieces of hazard in the corridor; a thing that shows in two pieces counts twice there, one "
    "outside the corridor not at all.</p>"
)


def _folded(title: str, content: str, *, shown: bool = False) -> str:
    opened = " open" if shown else ""
    return f"<details{opened}><summary>{escape(title)}</summary>{content}</details>"


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
            (
                f"{d.method}: {d.figure.title} {'↑' if d.figure.better > 0 else '↓'}",
                100 * d.value,
                (100 * d.interval.low, 100 * d.interval.high),
            )
            for d in shown
        ]
        plot = f'<div class="plot">{intervals_svg(bars, f"points more than {first}")}</div>'
        plot += '<p class="soft">Filled: differs; hollow: undecided. ↑ more is better, ↓ less is.</p>'
    rows = [(d.method, d.figure.title, _difference_text(d), _verdict(d)) for d in differences]
    about = (
        '<p class="soft">Both figures are computed on the same resampled frames. “Differs”: the interval '
        f"leaves out 0; {_TIMED}.</p>"
    )
    all_of_them = table(("method", "figure", f"minus {first}", ""), rows, numbers=(2,))
    return section(
        f"Paired differences to {first}", about + plot + _folded("Every figure", all_of_them, shown=not plot)
    )


def _verdict(d: Difference) -> str:
    if d.timed:
        return "not judged"
    return "differs" if d.decided else "undecided"


def _difference_text(d: Difference) -> str:
    scale, digits = (100, 1) if d.figure.percent else (1, 3)
    value, low, high = (
        f"{scale * v:+.{digits}f}".replace("-", "−") for v in (d.value, d.interval.low, d.interval.high)
    )
    return f"{value} [{low}, {high}]"
