"""`clipomaly demo`: the whole, once through, on the scenes that come with the package."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from rich.console import Console

from clipomaly.commands.segment import Output, run_segment
from clipomaly.config import load_settings
from clipomaly.errors import OutputError
from clipomaly.export.table import print_findings

__all__ = ["run_demo"]

#: Scenes of each kind lie in their own folder and are seen with their own vocabulary.
SCENES = {"road": "cityscapes", "apron": "airside"}
_MARK = ".clipomaly-demo"


def run_demo(out: Path) -> None:
    """Process the sample scenes, print what was found, and say where to look."""
    _make_room(out)
    console = Console()
    with _samples() as samples:
        for kind, vocabulary in SCENES.items():
            console.print(f"\n[bold]{kind} scenes, vocabulary {vocabulary}[/]")
            settings = load_settings(overrides={"vocabulary": vocabulary})
            run_segment(settings, [str(samples / kind)], Output(out / kind))
            print_findings(out / kind / "results.jsonl")
    console.print("\nOpen in a browser:")
    for kind in SCENES:
        console.print(f"  {(out / kind / 'report.html').resolve()}", highlight=False, soft_wrap=True)


@contextmanager
def _samples() -> Iterator[Path]:
    with resources.as_file(resources.files("clipomaly") / "samples") as folder:
        yield folder


def _make_room(out: Path) -> None:
    """An earlier demo is replaced; anything else in the way is left alone."""
    if out.exists() and any(out.iterdir()):
        if not (out / _MARK).is_file():
            raise OutputError(f"{out} holds something else than a demo: choose another --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / _MARK).touch()
