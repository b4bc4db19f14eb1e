"""The groups export and import: results to other tools, and their corrections back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clipomaly.cli.options import Out
from clipomaly.export.annotations.table import FORMATS

__all__ = ["add_commands"]

export_app = typer.Typer(help="Write results in the formats of other tools.", no_args_is_help=True)
import_app = typer.Typer(help="Read corrections back from other tools.", no_args_is_help=True)

Pictures = Annotated[str, typer.Option(help="What stands before the pictures' names in the other tool.")]


def add_commands(app: typer.Typer) -> None:
    """Register them."""
    app.add_typer(export_app, name="export")
    app.add_typer(import_app, name="import")


@export_app.command("smiyc")
def export_smiyc(
    scores: Annotated[
        Path, typer.Argument(help="Folder of score maps, or of a run of segment --scores npz.")
    ],
    split: Annotated[str, typer.Option(help="The benchmark's split: AnomalyTrack-all, ObstacleTrack-all …")],
    method: Annotated[str, typer.Option(help="What the benchmark shall call the method.")] = "Clipomaly",
    out: Out = Path("outputs"),
) -> None:
    """Write score maps as the public benchmark SegmentMeIfYouCan reads them.

    Example: clipomaly export smiyc results/ --split AnomalyTrack-all --out outputs
    """
    from clipomaly.commands.export_smiyc import run_export_smiyc

    run_export_smiyc(scores, out, method, split)


def _add_format(name: str) -> None:
    """One command a format, each way."""
    form = FORMATS[name]

    def export_format(
        results: Annotated[Path, typer.Argument(help="Folder that `clipomaly segment` wrote.")],
        out: Out = Path("clipomaly-export"),
        pictures: Pictures = "",
        overwrite: Annotated[
            bool, typer.Option("--overwrite", help="Write into a folder that holds something.")
        ] = False,
    ) -> None:
        from clipomaly.commands.export import run_export

        run_export(name, results, out, pictures=pictures, overwrite=overwrite)

    def import_format(
        file: Annotated[Path, typer.Argument(help="The file that the other tool gave back, or the folder.")],
        results: Annotated[Path, typer.Option(help="Folder of results that was exported.")],
        out: Annotated[Path, typer.Option(help="File to write: one change a line.")] = Path("changes.jsonl"),
        pictures: Pictures = "",
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
        store: Annotated[
            str | None, typer.Option(help="Keep the changes as decisions about this store too.")
        ] = None,
        run: Annotated[str | None, typer.Option(help="The store's run; default: the latest.")] = None,
        who: Annotated[str | None, typer.Option(help="Who corrected; default: your user name.")] = None,
        decisions: Annotated[str | None, typer.Option(help="Database of the store's decisions.")] = None,
    ) -> None:
        from clipomaly.commands.export import run_import

        run_import(name, file, results, out, pictures=pictures, overwrite=overwrite)
        if store is not None:
            from clipomaly.commands.stores import import_decisions

            import_decisions(store, decisions, run, out, who, {"format": name, "file": str(file)})

    given = name if form.file == "folder" else f"{name}/{form.file.split()[0]}"
    export_format.__doc__ = (
        f"Write findings as {form.title}.\n\nExample: clipomaly export {name} results/ --out {name}"
    )
    import_format.__doc__ = (
        f"Read corrections of {form.title}.\n\n"
        f"Example: clipomaly import {name} {given} --results results/ --out changes.jsonl"
    )
    export_app.command(name)(export_format)
    import_app.command(name)(import_format)


for _name in FORMATS:
    _add_format(_name)
