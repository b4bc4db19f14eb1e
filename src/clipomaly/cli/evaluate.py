"""Commands that fix a threshold and measure: calibrate, fit, evaluate, metrics."""

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
    app.command("calibrate", epilog=SETTINGS_PAGE)(with_settings(calibrate))
    app.command("fit", epilog=SETTINGS_PAGE)(with_settings(fit))
    app.command("evaluate", epilog=SETTINGS_PAGE)(with_settings(evaluate))
    app.command("metrics")(metrics)


def calibrate(
    settings: Settings,
    frames: Annotated[list[str], typer.Option(help="Known-only pictures: files, folders or globs.")],
    fpr: Annotated[float, typer.Option(help="Share of known pixels that may score above.")] = 0.01,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("thresholds.json"),
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="JPEG with the places that score highest, to look at; default: OUT's name with .highest.jpg."
        ),
    ] = None,
    no_sheet: Annotated[bool, typer.Option("--no-sheet", help="Write no such sheet.")] = False,
) -> None:
    """Fix the threshold on frames without unknowns, before any test is seen.

    Also writes a sheet of the places that score highest: if one shows an unknown thing, take its frame out.

    Example: clipomaly calibrate --frames my-ordinary-frames/ --fpr 0.01 --out thresholds.json
    """
    from clipomaly.commands.calibrate import run_calibrate

    if sheet is not None and no_sheet:
        raise ConfigError("--sheet and --no-sheet contradict each other: choose one")
    if sheet is None and not no_sheet:
        sheet = out.with_name(f"{out.stem}.highest.jpg")
    run_calibrate(settings, frames, fpr, out, sheet=sheet)


def fit(
    settings: Settings,
    frames: Annotated[list[str], typer.Option(help="Known-only pictures: files, folders or globs.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("fit.npz"),
) -> None:
    """Fit the baselines mahalanobis and knn on frames without unknowns.

    Example: clipomaly fit --method knn --frames my-ordinary-frames/ --out fit.npz
    """
    from clipomaly.commands.fit import run_fit

    run_fit(settings, frames, out)


def evaluate(
    settings: Settings,
    dataset: Annotated[
        str,
        typer.Argument(help="Data set, such as proving-ground, road-anomaly; docs/evaluation.md lists all."),
    ],
    root: Annotated[
        Path | None, typer.Option(help="Folder of the data set; proving-ground comes with the package.")
    ] = None,
    out: Out = Path("clipomaly-evaluation"),
    methods: Annotated[
        str | None, typer.Option(help="Several methods for one table: clipomaly,centre,my_module:Mine.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of the data set, where it has several.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first frames, to try it.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an evaluation that was stopped.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the folder holds.")] = False,
    keep_maps: Annotated[
        bool, typer.Option("--keep-maps", help="Keep the score maps, five bytes a pixel.")
    ] = False,
    values: Annotated[
        str | None,
        typer.Option(help="Value in the masks = 0 (known), 1 (anomaly) or 255 (left out): 0=0,2=1,255=255."),
    ] = None,
    naming_cost: Annotated[
        bool,
        typer.Option("--naming-cost", help="Run frames without names too: what names cost known classes."),
    ] = False,
) -> None:
    """Measure methods on a data set: exact figures with intervals, and a report.

    Example: clipomaly evaluate road-anomaly --root RoadAnomaly --methods clipomaly,centre --out results
    """
    from clipomaly.commands.evaluate import Request, run_evaluate

    if resume and overwrite:
        raise ConfigError("--resume and --overwrite contradict each other: choose one")
    existing = "resume" if resume else "replace" if overwrite else "refuse"
    several = tuple(m.strip() for m in methods.split(",")) if methods is not None else ()
    request = Request(dataset, root, out, several, split, limit, existing, keep_maps, values, naming_cost)
    run_evaluate(settings, request)


def metrics(
    scores: Annotated[Path, typer.Option(help="Folder of score maps: npy, npz, png, tif, hdf5.")],
    labels: Annotated[Path, typer.Option(help="Folder of label pictures, or the root of --dataset.")],
    out: Annotated[Path | None, typer.Option(help="Folder for metrics.json and the report.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set that --labels is the root of.")] = None,
    values: Annotated[
        str, typer.Option(help="Value in the labels = 0 (known), 1 (anomaly) or 255 (left out).")
    ] = "0=0,1=1,255=255",
    threshold: Annotated[
        float | None, typer.Option(help="Threshold fixed beforehand: locked figures.")
    ] = None,
    components: Annotated[
        Literal["anomaly", "obstacle"], typer.Option(help="Smallest components that count, by track.")
    ] = "anomaly",
    name: Annotated[str, typer.Option(help="What to call it in the report.")] = "scores",
    subset: Annotated[
        bool, typer.Option("--subset", help="Leave out frames that lack scores or labels.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what --out holds.")] = False,
) -> None:
    """Compute the same figures for anybody's score maps, without any model.

    Example: clipomaly metrics --scores my-maps/ --labels labels_masks/ --out figures
    """
    from clipomaly.commands.metrics import MapsRequest, run_metrics

    request = MapsRequest(scores, labels, out, dataset, values, subset, overwrite)
    run_metrics(request, name=name, threshold=threshold, components=components)
