"""Commands about stores: run, search, mine, taxonomy, stores. As thin as those in `cli.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clipomaly.cli_options import with_settings
from clipomaly.config import Settings

__all__ = ["add_store_commands"]

Store = Annotated[str, typer.Option(help="The store: a folder, or an object-store address such as s3://…")]


def add_store_commands(app: typer.Typer) -> None:
    """Register them."""
    app.command("run")(with_settings(run))


def run(
    settings: Settings,
    source: Annotated[
        list[str],
        typer.Argument(help="Pictures, folders, globs, videos, http(s) addresses, or - for a list on stdin."),
    ],
    store: Store,
    jobs: Annotated[int, typer.Option(min=1, help="Frames under way at once.")] = 1,
    every: Annotated[int, typer.Option(min=1, help="Take every n-th frame of a video.")] = 1,
    frames_table: Annotated[
        Path | None,
        typer.Option(help="CSV with a column `frame`, and time, camera, lat, lon, sequence, conditions."),
    ] = None,
    score_maps: Annotated[bool, typer.Option(help="Keep a small score map of each frame.")] = True,
) -> None:
    """Find and name unknown things, and keep them in a store for review. Stopped, the same line goes on.

    Example: clipomaly run photos/ --store findings
    """
    from clipomaly.commands.run import Intake, run_into_store

    outcome = run_into_store(settings, source, store, Intake(jobs, every, frames_table, score_maps))
    if outcome.failures:
        raise typer.Exit(1)
