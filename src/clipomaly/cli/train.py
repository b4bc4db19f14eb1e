"""The group train: one command a model that can be made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clipomaly.cli.options import Out

__all__ = ["add_commands"]

train_app = typer.Typer(help="Train models; needs the extra `torch`.", no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    """Register them."""
    app.add_typer(train_app, name="train")


@train_app.command("anomalyclip")
def train_anomalyclip(
    model: Annotated[str, typer.Argument(help="mini, a transformers folder or a hub id of a CLIP.")],
    data: Annotated[str, typer.Option(help="Folder of inspection pictures with masks, or synthetic:COUNT.")],
    out: Out,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the pictures.")] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate of Adam.")] = None,
    length: Annotated[int | None, typer.Option(min=1, help="Learned tokens of a prompt (E).")] = None,
    side: Annotated[int | None, typer.Option(min=16, help="Side at which pictures are read.")] = None,
    windows: Annotated[
        int | None, typer.Option(min=0, help="Windows cut from each picture, for sets without good pictures.")
    ] = None,
    defects: Annotated[
        str | None, typer.Option(help="Mask values that count, such as 1,2; pictures with others stay out.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same prompts.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last epoch.")] = False,
) -> None:
    """Learn words for normal and abnormal on inspection pictures, and write the graph that finds anomalies.

    Example: clipomaly train anomalyclip mini --data synthetic:400 --out prompts
    """
    from clipomaly.commands.train_anomalyclip import run_train_anomalyclip

    given = {"epochs": epochs, "rate": rate, "length": length, "side": side, "windows": windows}
    run_train_anomalyclip(model, data, out, {**given, "defects": defects, "seed": seed}, resume=resume)


@train_app.command("mini")
def train_mini(
    recipe: Annotated[Path, typer.Option(help="Recipe file; recipes/mini-cpu.toml is the shipped model's.")],
    data: Annotated[Path, typer.Option(help="Folder with data/train, models and text (docs/training.md).")],
    out: Out,
    stage: Annotated[
        Literal["all", "pack", "trunk", "text", "joint", "tune"],
        typer.Option(help="One stage alone; finished ones are skipped, stopped ones go on."),
    ] = "all",
) -> None:
    """Train the embedded model from nothing; a stopped run goes on with the same line.

    The recipe names folders made before: `scenes` by `clipomaly world render --split train`, `portraits` by
    `clipomaly world portraits`, `roads` by `python -m clipomaly.training.mini.roads`. docs/training.md has
    all commands in order.

    Example: clipomaly train mini --recipe recipes/mini-cpu.toml --data shared --out mini-run
    """
    from clipomaly.commands.train_mini import run_train_mini

    run_train_mini(recipe, data, out, stage)


@train_app.command("known")
def train_known(
    model: Annotated[str, typer.Argument(help="mini, a transformers folder or a hub id.")],
    root: Annotated[Path, typer.Option(help="Folder of the labelled frames.")],
    out: Out,
    dataset: Annotated[
        str, typer.Option(help="How that folder is laid out: camvid or cityscapes.")
    ] = "camvid",
    vocabulary: Annotated[
        str | None, typer.Option(help="Its classes in the labels' order; default: the data set's own.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="Named photographs that hold and measure the open vocabulary.")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Recipe file; docs/training.md lists its keys.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.")] = None,
    parts: Annotated[
        Literal["vision", "attention", "last-block", "none"] | None,
        typer.Option(help="What of the vision tower moves."),
    ] = None,
    decoder: Annotated[
        Literal["none", "costagg"] | None, typer.Option(help="Train a decoder on top.")
    ] = None,
    alpha: Annotated[
        str | None, typer.Option(help="Share of the tuned weights, 0 to 1, or auto: chosen on --photos.")
    ] = None,
    variant: Annotated[str | None, typer.Option(help="Last-block variant to tune.")] = None,
    measure_frames: Annotated[
        int | None, typer.Option(min=1, help="Measure on so many validation frames; default: all.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
) -> None:
    """Tune any CLIP for segmentation on a known vocabulary, and keep its open one.

    Example: clipomaly train known mini --root camvid --photos photos/ --out mini-camvid
    """
    from clipomaly.commands.train_known import KnownRequest, run_train_known

    request = KnownRequest(model, root, out, dataset, vocabulary, photos, recipe, variant, resume)
    given = {"steps": steps, "train": parts, "decoder": decoder, "alpha": alpha}
    run_train_known(request, {**given, "measure_frames": measure_frames})


@train_app.command("flowclas")
def train_flowclas(
    frames: Annotated[list[str], typer.Option(help="Ordinary frames: files, folders or globs.")],
    out: Out,
    outliers: Annotated[
        Path | None, typer.Option(help="Folder or .tar of pictures of things to paste; none: the flow alone.")
    ] = None,
    validation: Annotated[
        list[str] | None, typer.Option(help="Frames held apart; default: every tenth of --frames.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="Encoder: mini, a CLIP type, DINOv2 or DINOv3; a folder or hub id.")
    ] = "mini",
    segmenter: Annotated[
        str | None, typer.Option(help="A closed-set segmenter's ONNX file instead: its feature outputs.")
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Layers to read, such as 6,12,18,24; default: four, or all features.")
    ] = None,
    long_side: Annotated[
        int | None, typer.Option(min=64, help="Read frames at this longer side, at most.")
    ] = None,
    flow_steps: Annotated[int, typer.Option(help="Steps of each layer's flow.")] = 16,
    alpha: Annotated[float, typer.Option(help="Weight of the likelihood, summed over a frame.")] = 1e-6,
    temperature: Annotated[float, typer.Option(help="Temperature of the contrast.")] = 0.13,
    steps: Annotated[int, typer.Option(help="Steps of training.")] = 1000,
    batch: Annotated[int, typer.Option(help="Frames a step.")] = 4,
    rate: Annotated[float, typer.Option(help="Learning rate at its highest.")] = 5e-4,
    versions: Annotated[int, typer.Option(help="Versions of each frame, with other things pasted.")] = 2,
    crop: Annotated[float, typer.Option(help="Share of a frame's sides that a step sees.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Same seed, same pastes and order.")] = 0,
) -> None:
    """Train the method flowclas on frozen features; a stopped run goes on with the same line.

    Example: clipomaly train flowclas --frames ordinary/ --outliers things/ --model mini --out flow
    """
    from clipomaly.commands.train_flowclas import run_train_flowclas

    run_train_flowclas(
        frames, out, outliers=outliers, validation=validation or (), layers=layers, model=model,
        segmenter=segmenter, long_side=long_side, flow_steps=flow_steps, alpha=alpha, temperature=temperature,
        steps=steps, batch=batch, rate=rate, versions=versions, crop=crop, seed=seed,
    )  # fmt: skip


@train_app.command("vl4ad")
def train_vl4ad(
    model: Annotated[str, typer.Argument(help="The frozen encoder: mini, a folder or a hub id.")],
    root: Annotated[Path, typer.Option(help="Folder of the labelled frames.")],
    out: Out,
    dataset: Annotated[str, typer.Option(help="Its layout: camvid or cityscapes.")] = "camvid",
    vocabulary: Annotated[
        str | None, typer.Option(help="Its classes in the labels' order; default: the data set's own.")
    ] = None,
    decoder: Annotated[
        Path | None,
        typer.Option(help="A Mask2Former, OneFormer or EoMT folder; default: a new one on the encoder."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Frames a step.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Train on so many frames; default: all.")] = None,
    measure_frames: Annotated[
        int | None, typer.Option(min=1, help="Measure on so many frames; default: all.")
    ] = None,
    measure_every: Annotated[int | None, typer.Option(min=1, help="Steps between measurements.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
) -> None:
    """Train a mask decoder with a text class head for the method vl4ad, its encoder frozen.

    Example: clipomaly train vl4ad mini --root camvid --out mini-masks
    """
    from clipomaly.commands.train_vl4ad import run_train_vl4ad

    given = {"steps": steps, "batch": batch, "frames": frames, "measure_frames": measure_frames}
    run_train_vl4ad(
        model,
        root,
        out,
        dataset=dataset,
        vocabulary=vocabulary,
        decoder=decoder,
        resume=resume,
        given={**given, "measure_every": measure_every},
    )
