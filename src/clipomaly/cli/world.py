"""The group world: rendered scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clipomaly.cli.options import Out

__all__ = ["add_commands"]

world_app = typer.Typer(help="The proving ground: rendered scenes with exact truth.", no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    """Register them."""
    app.add_typer(world_app, name="world")


@world_app.command("render")
def world_render(
    domain: Annotated[Literal["road", "apron"], typer.Option(help="What kind of scenes.")],
    frames: Annotated[int, typer.Option(min=1, help="How many frames.")],
    out: Out,
    split: Annotated[Literal["train", "test"], typer.Option(help="The splits share no build.")] = "train",
    seed: Annotated[int, typer.Option(help="Same seed, same scenes.")] = 0,
    look: Annotated[Literal["photo", "fast"], typer.Option(help="How much light is traced.")] = "photo",
    drive: Annotated[int, typer.Option(min=1, help="Frames that follow each other in one scene.")] = 1,
    stereo: Annotated[bool, typer.Option(help="Render the right camera too.")] = True,
    size: Annotated[str, typer.Option(help="Width and height in pixels.")] = "1280x720",
    control: Annotated[
        list[str] | None,
        typer.Option(help="Switch a negative control: puddles=on, rain=off …; docs/world.md lists them."),
    ] = None,
    tour: Annotated[
        bool, typer.Option("--tour", help="Each scene another control; every fifth without unknowns.")
    ] = False,
    compact: Annotated[bool, typer.Option("--compact", help="LiDAR as small NPZ files.")] = False,
    unknowns: Annotated[
        Literal["all", "far", "small"],
        typer.Option(help="All unknowns, only large ones far ahead, or only those of a few centimetres."),
    ] = "all",
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")] = None,
) -> None:
    """Render scenes with exact truth; a stopped run goes on with the same line. Needs the extra `world`.

    Example: clipomaly world render --domain apron --frames 40 --split test --seed 7 --out apron-test
    """
    from clipomaly.commands.world import parse_size, run_render
    from clipomaly.world.controls import parse_switches
    from clipomaly.world.pack import PackSettings

    settings = PackSettings(
        domain,
        split,
        seed,
        look,
        drive,
        stereo,
        parse_size(size),
        parse_switches(control or ()),
        tour,
        compact,
        unknowns,
    )
    run_render(settings, frames, out, jobs)


@world_app.command("portraits")
def world_portraits(
    domain: Annotated[Literal["road", "apron"], typer.Option(help="What kind of scenes.")],
    scenes: Annotated[int, typer.Option(min=1, help="How many scenes.")],
    out: Out,
    split: Annotated[Literal["train", "test"], typer.Option(help="The splits share no build.")] = "train",
    seed: Annotated[int, typer.Option(help="Same seed, same portraits.")] = 0,
    views: Annotated[int, typer.Option(min=1, help="From how many sides each thing is tried.")] = 10,
    side: Annotated[int, typer.Option(min=16, help="Width and height in pixels.")] = 128,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")] = None,
) -> None:
    """Render close views of unknown things where they lie, a folder a name, with their outlines.

    They teach names: `train mini` takes them by its recipe's `portraits`, `train known` by `--photos
    OUT/images`. A stopped run goes on with the same line. Needs the extra `world`.

    Example: clipomaly world portraits --domain road --scenes 200 --seed 9 --out portraits/road
    """
    from clipomaly.commands.world import run_portraits
    from clipomaly.world.pack import PackSettings

    settings = PackSettings(domain, split, seed, look="fast", stereo=False, size=(side, side))
    run_portraits(settings, scenes, views, out, jobs)


@world_app.command("sheet")
def world_sheet(
    pack: Annotated[Path, typer.Argument(help="Folder that `world render` wrote.")],
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Pictures alone, four a row, with their controls.")
    ] = False,
) -> None:
    """Make a contact sheet (picture, classes, depth) of a pack, and count what it shows.

    Example: clipomaly world sheet apron-test
    """
    from clipomaly.commands.world import run_sheet

    run_sheet(pack, pictures)
