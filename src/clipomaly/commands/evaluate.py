"""`clipomaly evaluate`: methods over a data set; all figures, with intervals, in one table and one report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from clipomaly.config import Settings
from clipomaly.data.samples import parse_values
from clipomaly.errors import ConfigError
from clipomaly.evaluate.compare import differences, save_comparison
from clipomaly.evaluate.figures import FIGURES, Figure, lookup
from clipomaly.evaluate.folder import RunFolder
from clipomaly.evaluate.report import HTML, write_comparison, write_report
from clipomaly.evaluate.result import Evaluation, frames_text, reading_notes
from clipomaly.evaluate.run import advice_on, check_folder, evaluate, open_methods, open_plain, open_subject
from clipomaly.evaluate.shown import pictures_of_run
from clipomaly.export.files import check_writable
from clipomaly.methods.table import unread

__all__ = ["Request", "print_figures", "progress_bar", "run_evaluate"]


@dataclass(frozen=True)
class Request:
    """What is evaluated, and where results go."""

    dataset: str
    root: Path | None
    out: Path
    methods: tuple[str, ...] = ()
    """Several at once, each in a folder of its own below `out`; none: the one of the settings."""
    split: str | None = None
    limit: int | None = None
    existing: str = "refuse"
    keep_maps: bool = False
    values: str | None = None
    """What the values in label files mean."""
    naming_cost: bool = False
    """Run every frame without names too, for what they cost the known classes."""


def run_evaluate(settings: Settings, request: Request) -> list[Evaluation]:
    """Evaluate, print the table, write the report."""
    console = Console(stderr=True)
    values = None if request.values is None else parse_values(request.values)
    subject = open_subject(request.dataset, request.root, request.split, request.limit, values)
    if len(subject.samples) < subject.total:
        console.print(
            Text(f"first {len(subject.samples)} of {subject.total} frames: not the set's figures", "yellow")
        )
    methods = request.methods or (settings.method,)
    if not all(methods):
        raise ConfigError("--methods is a list such as clipomaly,centre: one of its names is empty")
    if request.methods:
        RunFolder.check_comparison(request.out, request.existing)
    check_writable(request.out)
    pipelines = open_methods(settings, methods, subject)
    jobs = [
        (
            pipeline,
            request.out / pipeline.provenance["method"] if request.methods else request.out,
            open_plain(pipeline) if request.naming_cost else None,
        )
        for pipeline in pipelines
    ]
    for pipeline, out, plain in jobs:
        check_folder(pipeline, subject, out, request.existing, plain)
    advice = [note for p in pipelines if (note := advice_on(subject, p)) is not None]
    if len(pipelines) == 1:  # of several, another one may read what this one does not
        advice += unread(pipelines[0].settings)
    for notice in dict.fromkeys([*advice, *(n for p in pipelines for n in p.notices)]):
        console.print(Text(f"note: {notice}", style="yellow"), soft_wrap=True)
    evaluations = []
    with progress_bar(console, len(subject.samples) * len(pipelines)) as step:
        for pipeline, out, plain in jobs:
            evaluation, folder = evaluate(
                pipeline, subject, out, existing=request.existing, step=step, plain=plain
            )
            if text := _resumed(request, folder, len(subject.samples), pipeline.provenance["method"]):
                console.print(text, highlight=False)
            evaluations.append(evaluation)
            if not (folder.finished and (out / HTML).is_file()):  # its pictures would be lost
                write_report(out, evaluation, picture=pictures_of_run(subject, folder))
            if not request.keep_maps:
                folder.remove_maps()
    if request.methods:
        compared = differences(evaluations)
        save_comparison(request.out, evaluations, compared)
        write_comparison(request.out, evaluations, compared)
    print_figures(evaluations)
    for text in dict.fromkeys(note for e in evaluations for note in reading_notes(e.metrics)):
        console.print(Text(f"note: {text}", style="yellow"), soft_wrap=True)
    console.print(Text(f"look at {request.out / HTML}", style="bold"))
    return evaluations


def _resumed(request: Request, folder: RunFolder, frames: int, method: str) -> str:
    """What a resumed evaluation found there."""
    if request.existing != "resume":
        return ""
    if folder.finished or folder.resumed == frames:
        were = "the frame was" if frames == 1 else f"all {frames} frames were"
        return f"{method}: {were} there already"
    return f"{method}: went on after {folder.resumed} of {frames_text(frames)}" if folder.resumed else ""


def print_figures(evaluations: Sequence[Evaluation]) -> None:
    """The table: figures that any of the methods has, a column a method; no cell breaks over two lines.

    Intervals stand where all methods have room with theirs; where they have none without, tables follow
    each other.
    """
    console = Console()
    intervals = _fits(console, _figures_table(evaluations, True))
    told = "in brackets 95 % intervals" if intervals else "a wider terminal shows 95 % intervals too"
    console.print(Text(f"figures in percent unless noted; {told}", style="dim"), soft_wrap=True)
    left = list(evaluations)
    while left:
        n = len(left)
        while n > 1 and not _fits(console, _figures_table(left[:n], intervals)):
            n -= 1
        console.print(_figures_table(left[:n], intervals))
        left = left[n:]
        if left:
            console.print()


def _figures_table(evaluations: Sequence[Evaluation], intervals: bool) -> Table:
    table = Table("figure", box=None, header_style="bold", pad_edge=False)
    for e in evaluations:
        table.add_column(e.method, no_wrap=True)
    for figure in FIGURES:
        values = [lookup(e.metrics, figure.key) for e in evaluations]
        if any(v is not None for v in values):
            cells = [_cell(e.metrics, figure, intervals) for e in evaluations]
            table.add_row(figure.title if figure.percent else f"{figure.title} ({figure.unit})", *cells)
    return table


def _fits(console: Console, table: Table) -> bool:
    """Whether the terminal is wide enough for every cell on one line."""
    unbounded = console.options.update(width=10_000)
    return console.measure(table, options=unbounded).maximum <= console.width


def _cell(metrics: dict[str, Any], figure: Figure, with_interval: bool) -> str:
    value = lookup(metrics, figure.key)
    interval = lookup(metrics, f"{figure.key}_ci") if with_interval else None
    if value is None:
        return "–"

    def show(v: float) -> str:
        return f"{100 * v:.1f}" if figure.percent else f"{v:.3f}"

    return show(value) if interval is None else f"{show(value)} [{show(interval[0])}, {show(interval[1])}]"


@contextmanager
def progress_bar(console: Console, total: int) -> Iterator[Any]:
    """A bar over frames."""
    columns = (TextColumn("frames"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Where nothing moves, in a file or a pipe, the bar would leave an empty line.
    hidden = not console.is_interactive
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
