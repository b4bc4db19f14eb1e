"""`clipomaly world`: rendered scenes with exact truth, and a look at them."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from clipomaly.commands.listing import print_rows
from clipomaly.errors import ConfigError, DataError
from clipomaly.world.pack import PackSettings, frames_of, render_pack
from clipomaly.world.portraits import render_portraits
from clipomaly.world.sheet import ROWS, contact_sheet, pack_table, picture_sheet

__all__ = ["parse_size", "run_portraits", "run_render", "run_sheet"]


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from `1280x720`.

    >>> parse_size("512x288")
    (512, 288)
    """
    width, _, height = text.lower().replace("×", "x").partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"--size {text} is no size: write width and height as in 1280x720")
    return int(width), int(height)


def run_render(settings: PackSettings, frames: int, out: Path, jobs: int | None) -> None:
    """Render what the folder lacks, with a bar."""
    console = Console(stderr=True)
    with _bar("frames", console) as progress:
        task = progress.add_task("", total=frames)
        made = render_pack(settings, frames, out, jobs, report=lambda _: progress.advance(task))
    console.print(f"{made} frame{'' if made == 1 else 's'} rendered, {frames} in {out}", highlight=False)


def run_portraits(settings: PackSettings, scenes: int, views: int, out: Path, jobs: int | None) -> None:
    """Shoot what the folder lacks, with a bar."""
    console = Console(stderr=True)
    with _bar("scenes", console) as progress:
        task = progress.add_task("", total=scenes)
        made = render_portraits(settings, scenes, views, out, jobs, report=lambda _: progress.advance(task))
    names = [p for p in (out / "images").glob("*") if p.is_dir()]
    console.print(f"{made} portraits made; {out} shows {len(names)} names", highlight=False)


def _bar(what: str, console: Console) -> Progress:
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_interactive)


def run_sheet(pack: Path, pictures: bool = False) -> None:
    """Write the sheet and print the table."""
    if not (pack / "pack.json").is_file():
        raise DataError(f"{pack} is no pack: render one with `clipomaly world render --out {pack}`")
    sheet = picture_sheet(pack) if pictures else contact_sheet(pack)
    rows = [(kind, value, str(n)) for kind, counts in pack_table(pack).items() for value, n in counts.items()]
    print_rows(("", "value", "count"), rows)
    frames = len(frames_of(pack))
    part = (
        "" if pictures or frames <= ROWS else f" (the first {ROWS} of {frames} frames; --pictures shows all)"
    )
    Console().print(f"look at {sheet}{part}", highlight=False, soft_wrap=True)
