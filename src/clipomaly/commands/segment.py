"""`clipomaly segment`: sources in; overlays, maps, findings and a report out."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from clipomaly.config import Settings
from clipomaly.data.sources import SourceItem, list_sources, read_frames
from clipomaly.export.frames import FrameWriter
from clipomaly.export.report import build_report
from clipomaly.export.results import read_results
from clipomaly.methods.table import unread
from clipomaly.pipeline import Failure, Pipeline
from clipomaly.records import names_are_guesses

__all__ = ["Outcome", "Output", "print_profile", "run_segment", "why_nothing_found"]


@dataclass(frozen=True)
class Output:
    """Where results go and how."""

    folder: Path
    existing: str = "refuse"
    """What to do with results already there: `refuse`, `resume`, `replace`."""
    score_format: str = "png"


@dataclass
class Outcome:
    """What a run came to."""

    frames: int = 0
    findings: int = 0
    named: int = 0
    failures: list[Failure] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def run_segment(
    settings: Settings,
    sources: Sequence[str],
    output: Output,
    *,
    jobs: int = 1,
    every: int = 1,
    limit: int | None = None,
) -> Outcome:
    """Process everything that the sources lead to; frames that fail are reported and the others go on.

    `limit` takes only the first frames.
    """
    console = Console(stderr=True)
    items = list_sources(sources, exclude=output.folder)
    threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None
    pipeline = Pipeline(settings, threads=threads)
    for notice in (*pipeline.notices, *unread(settings)):
        console.print(Text(f"note: {notice}", style="yellow"), soft_wrap=True)
    outcome = Outcome()
    writer = FrameWriter(
        output.folder,
        settings,
        pipeline.vocabulary,
        {**pipeline.provenance, "notice": "; ".join(pipeline.notices)},
        score_format=output.score_format,
        existing=output.existing,  # type: ignore[arg-type]
    )
    started = time.perf_counter()
    with writer:
        done = len(writer.finished)
        frames = read_frames(items, every=every, skip=writer.finished.__contains__, limit=limit)
        with _progress(console, items, done, limit) as step:
            for result in pipeline.run(frames, jobs=jobs):
                if isinstance(result, Failure):
                    writer.fail(result.name, result.source, result.reason)
                    outcome.failures.append(result)
                    console.print(Text(f"failed: {result.reason}", style="red"), soft_wrap=True)
                else:
                    row = writer.write(result)
                    for stage, seconds in row["seconds"].items():
                        outcome.seconds[stage] += seconds or 0.0
                step()
        outcome.frames = writer.counts["frames"]
        outcome.findings = writer.counts["findings"]
        outcome.named = writer.counts["named"]
    if output.existing == "resume" and done:
        missing = outcome.frames - done
        went = (
            f"went on after {done} frame{'' if done == 1 else 's'}"
            if missing or outcome.failures
            else f"all {done} frames were there"
        )
        console.print(went if missing or outcome.failures else f"{went} already", highlight=False)
    report = build_report(output.folder)
    guesses = names_are_guesses(pipeline.provenance)
    named = settings.method == "clipomaly" or outcome.named > 0
    _say(console, outcome, report, time.perf_counter() - started, guesses=guesses, names=named)
    if outcome.frames and not outcome.findings:
        console.print(why_nothing_found(output.folder), highlight=False, soft_wrap=True)
    return outcome


def print_profile(outcome: Outcome) -> None:
    """Seconds a stage, and its share."""
    total = sum(outcome.seconds.values()) or 1.0
    table = Table("stage", "seconds", "share", box=None, header_style="bold", pad_edge=False)
    for stage, seconds in outcome.seconds.items():
        table.add_row(stage, f"{seconds:.2f}", f"{seconds / total:.0%}")
    Console(stderr=True).print(table)


@contextmanager
def _progress(
    console: Console, items: Sequence[SourceItem], done: int, limit: int | None
) -> Iterator[Callable[[], None]]:
    """A bar where the number of frames is known, a counter where videos hide it."""
    known = all(item.kind != "video" for item in items)
    columns = (TextColumn("frames"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_interactive) as progress:
        task = progress.add_task("", total=len(items[:limit]) if known else None, completed=done)
        yield lambda: progress.advance(task)


def why_nothing_found(folder: Path) -> str:
    """The threshold that a run without findings used, and the highest score that it met."""
    rows = list(read_results(folder))
    used = sorted({row["threshold"] for row in rows if row["threshold"] is not None})
    highest = max((row["score_max"] for row in rows if row["score_max"] is not None), default=None)
    if not used or highest is None:
        return "nothing was found"
    threshold = f"{used[0]:.3f}" if len(used) == 1 else f"{used[0]:.3f} to {used[-1]:.3f}, by frame"
    text = f"nothing was found: the threshold was {threshold}, the highest score seen {highest:.3f}"
    if any((row["score_max"] or 0.0) > (row["threshold"] or 0.0) for row in rows):
        return f"{text}; what lay above the threshold was too small for a region (--min-area)"
    return text


def _say(
    console: Console, outcome: Outcome, report: Path, seconds: float, *, guesses: bool, names: bool
) -> None:
    failed = f", {len(outcome.failures)} failed" if outcome.failures else ""
    frames = f"{outcome.frames} frame{'' if outcome.frames == 1 else 's'}"
    findings = f"{outcome.findings} finding{'' if outcome.findings == 1 else 's'}"
    named = f", {outcome.named} of them named" if outcome.findings and names else ""
    if guesses:  # a count of guesses says nothing
        named = "; its name is a guess" if outcome.findings == 1 else "; their names are guesses"
        named = named if outcome.named else ""
    console.print(
        f"{frames}, {findings}{named}{failed}; {seconds:.1f} s",
        highlight=False,
    )
    console.print(Text(f"look at {report}", style="bold"), soft_wrap=True)
