"""Commands that take pictures and show what is in them: segment, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clipomaly.cli.options import Out
from clipomaly.cli.settings import SETTINGS_PAGE, with_settings
from clipomaly.config import Settings
from clipomaly.errors import ConfigError

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Register them."""
    app.command("segment", epilog=SETTINGS_PAGE)(with_settings(segment))
    app.command("demo")(demo)


def segment(
    settings: Settings,
    source: Annotated[
        list[str],
        typer.Argument(help="Pictures, folders, globs, videos, http(s) addresses, or - for a list on stdin."),
    ],
    out: Out = Path("clipomaly-out"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped; finished frames stay.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results that the folder holds.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Frames under way at once.")] = 1,
    every: Annotated[int, typer.Option(min=1, help="Take every n-th frame of a video.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first frames, to try it.")] = None,
    scores: Annotated[
        Literal["png", "npz"], typer.Option(help="Score maps as 16-bit png or exact npz.")
    ] = "png",
    profile: Annotated[
        bool, typer.Option("--profile", help="Print the time of each stage at the end.")
    ] = False,
) -> None:
    """Find and name unknown things in pictures or videos.

    Example: clipomaly segment photos/ --out results --vocabulary airside
    """
    from clipomaly.commands.segment import Output, print_profile, run_segment

    if resume and overwrite:
        raise ConfigError("--resume and --overwrite contradict each other: choose one")
    existing = "resume" if resume else "replace" if overwrite else "refuse"
    outcome = run_segment(
        settings, source, Output(out, existing, scores), jobs=jobs, every=every, limit=limit
    )
    if profile:
        print_profile(outcome)
    if outcome.failures:
        raise typer.Exit(1)


def demo(out: Out = Path("clipomaly-demo")) -> None:
    """Run the whole on the scenes that come with the package, and show what was found.

    Example: clipomaly demo --out /tmp/demo
    """
    from clipomaly.commands.demo import run_demo

    run_demo(out)
