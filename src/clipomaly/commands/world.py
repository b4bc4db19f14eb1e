"""`clipomaly world`: rendered scenes with exact truth, and a look at them."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from clipomaly.commands.listing import print_rows
from clipomaly.errors import DataError
from clipomaly.world.pack import PackSettings, render_pack
from clipomaly.world.sheet import contact_sheet, pack_table

__all__ = ["run_render", "run_sheet"]


def run_render(settings: PackSettings, frames: int, out: Path, jobs: int | None) -> None:
    """Render what the folder lacks, with a bar."""
    console = Console(stderr=True)
    columns = (TextColumn("frames"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=frames)
        made = render_pack(settings, frames, out, jobs, report=lambda _: progress.advance(task))
    console.print(f"{made} frames rendered, {frames} in {out}", highlight=False)


def run_sheet(pack: Path) -> None:
    """Write the sheet and print the table."""
    if not (pack / "pack.json").is_file():
        raise DataError(f"{pack} is no pack: render one with `clipomaly world render --out {pack}`")
    sheet = contact_sheet(pack)
    rows = [(kind, value, str(n)) for kind, counts in pack_table(pack).items() for value, n in counts.items()]
    print_rows(("", "value", "count"), rows)
    Console().print(f"look at {sheet}", highlight=False)
