"""A run's findings as a table in the terminal."""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipomaly.export.palette import UNNAMED_COLOR, entered_color
from clipomaly.export.results import read_results
from clipomaly.records import UNNAMED, names_are_guesses, shown_name

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_findings"]


def print_findings(results: str | Path, *, limit: int | None = None, console: Console | None = None) -> None:
    """Print the findings in a `results.jsonl`, frame by frame; `limit` is the number of rows at most."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = console or Console()
    rows = read_results(results)
    first = list(islice(rows, 1))
    guessed = any(names_are_guesses(row["provenance"]) for row in first)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("frame", overflow="fold")
    table.add_column("finding", overflow="fold", min_width=16)
    # A narrow terminal keeps what people look at first: frame names and findings whole.
    wide = console.width >= 100
    # A percentage beside a guess would be believed.
    sure = () if guessed else ("confidence",)
    for heading in (*sure, *(("score",) if wide or guessed else ()), "area"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("nearest known", overflow="ellipsis", no_wrap=True)
    if console.width >= 110:
        table.add_column("runners-up", overflow="ellipsis", no_wrap=True, style="dim")
    shown = total = 0
    for row in chain(first, rows):
        pixels = row["width"] * row["height"]
        findings = sorted(row["findings"], key=lambda f: -(f["score"] or 0))
        total += len(findings)
        for i, f in enumerate(findings or [None]):
            if limit is not None and shown >= limit:
                break
            shown += f is not None
            frame = escape(row["frame"]) if i == 0 else ""
            cells = _cells(f, pixels, wide, guessed) if f is not None else ("[dim]nothing unknown[/]",)
            table.add_row(frame, *cells[: len(table.columns) - 1])
    console.print(table)
    if shown < total:
        more = f"{total - shown} more finding{'' if total - shown == 1 else 's'}"
        console.print(f"[dim]… and {more} in {escape(str(results))}[/]")
    if guessed and shown:
        console.print("names with a question mark are guesses of the model: look at the pictures")


def _cells(finding: dict[str, Any], pixels: int, wide: bool, guessed: bool) -> tuple[str, ...]:
    from rich.markup import escape

    name = finding["name"]
    red, green, blue = UNNAMED_COLOR if name is None else entered_color(name)
    others = [shown_name(c["name"], guessed) for c in finding["candidates"] if c["name"] != name][:3]
    called = f"[italic]{UNNAMED}[/]" if name is None else escape(shown_name(name, guessed))
    return (
        f"[rgb({red},{green},{blue})]■[/] {called}",
        *([] if guessed else [_percent(finding["confidence"])]),
        *(["–" if finding["score"] is None else f"{finding['score']:.2f}"] if wide or guessed else []),
        f"{100 * finding['area'] / pixels:.2f} %",
        escape(finding["nearest_known"] or "–"),
        escape(", ".join(others)),
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"
