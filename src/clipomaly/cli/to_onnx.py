"""Commands that turn published weights into ONNX graphs: export-encoder, -anomalyclip, -tagger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clipomaly.cli.options import Out

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Register them."""
    app.command("export-encoder")(export_encoder)
    app.command("export-anomalyclip")(export_anomalyclip)
    app.command("export-tagger")(export_tagger)


def export_encoder(
    model: Annotated[str, typer.Argument(help="mini, a transformers folder or a hub id.")],
    out: Out,
    variant: Annotated[
        str, typer.Option(help="Last-block variant; `vanilla` is the model as trained.")
    ] = "vanilla",
    revision: Annotated[str | None, typer.Option(help="Revision of a hub model.")] = None,
    half: Annotated[
        bool | None, typer.Option(help="Store weights in 16 bits (half the size); default: as they are.")
    ] = None,
    operators: Annotated[
        Literal["onnxruntime", "standard"],
        typer.Option(help="Use an operator of ONNX Runtime for attention, or standard ones alone."),
    ] = "onnxruntime",
) -> None:
    """Turn a CLIP-type checkpoint into the ONNX folder that the default runtime opens (extra `torch`).

    Example: clipomaly export-encoder openai/clip-vit-base-patch16 --out clip-b16 --variant sclip
    """
    from clipomaly.encoders.export import export_encoder as export
    from clipomaly.encoders.load import MINI_FOLDER

    fused = operators == "onnxruntime"
    source = MINI_FOLDER if model == "mini" else model
    typer.echo(export(source, out, variant=variant, revision=revision, half=half, fused=fused))


def export_anomalyclip(
    model: Annotated[str, typer.Argument(help="mini, a transformers folder or a hub id of a CLIP.")],
    out: Out,
    prompts: Annotated[
        str,
        typer.Option(help="The authors' checkpoint (.pth), a folder of `train anomalyclip`, or words."),
    ] = "words",
    revision: Annotated[str | None, typer.Option(help="Revision of a hub model.")] = None,
    side: Annotated[int | None, typer.Option(min=16, help="Side at which pictures are read.")] = None,
    aspect: Annotated[
        Literal["square", "keep"], typer.Option(help="Squeeze pictures into a square, or keep their shape.")
    ] = "square",
    sigma: Annotated[float, typer.Option(min=0, help="Blur of the map in pixels of the read picture.")] = 4.0,
    operators: Annotated[
        Literal["onnxruntime", "standard"],
        typer.Option(help="Use an operator of ONNX Runtime for attention, or standard ones alone."),
    ] = "onnxruntime",
) -> None:
    """Turn a CLIP and prompts of AnomalyCLIP into one ONNX graph. Needs the extra `torch`.

    The graph reads a picture and gives the map and the image score.

    Example: clipomaly export-anomalyclip clip-l14-336 --prompts epoch_15.pth --out anomalyclip
    """
    from clipomaly.commands.train_anomalyclip import ExportRequest, run_export_anomalyclip

    request = ExportRequest(model, prompts, out, revision, side, aspect, sigma, operators)
    run_export_anomalyclip(request)


def export_tagger(
    folder: Annotated[
        Path, typer.Argument(help="Folder with RAM's or RAM++'s published weights and tag list.")
    ],
    out: Out,
    tags: Annotated[Path | None, typer.Option(help="Other tags, one a line.")] = None,
    extend: Annotated[
        bool, typer.Option(help="Add --tags to the built-in list; else they replace it.")
    ] = False,
    text_model: Annotated[
        str | None, typer.Option(help="CLIP ViT-B/16, for tags that the list does not hold.")
    ] = None,
) -> None:
    """Turn RAM or RAM++ into one ONNX graph, with its own tags or with yours. Needs the extra `torch`.

    Example: clipomaly export-tagger ram-plus --tags airside.txt --extend --text-model clip-b16 --out tagger
    """
    from clipomaly.commands.export_tagger import run_export_tagger

    run_export_tagger(folder, out, tags=tags, extend=extend, text_model=text_model)
