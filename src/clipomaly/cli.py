"""The command line. Commands are thin: they read options, call the library, and print.

Nothing heavy is imported until a command runs, so `clipomaly --help` stays quick.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from clipomaly.cli_options import SETTINGS_PAGE, with_settings
from clipomaly.cli_store import add_store_commands
from clipomaly.config import Settings
from clipomaly.errors import ClipomalyError, ConfigError, MissingExtra
from clipomaly.export.annotations.table import FORMATS

__all__ = ["app", "main"]

app = typer.Typer(
    name="clipomaly",
    help="Find what your classes do not explain in driving pictures, and name it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

export_app = typer.Typer(help="Write results in the formats of other tools.", no_args_is_help=True)
app.add_typer(export_app, name="export")
import_app = typer.Typer(help="Read corrections back from other tools.", no_args_is_help=True)
app.add_typer(import_app, name="import")

world_app = typer.Typer(help="The proving ground: rendered scenes with exact truth.", no_args_is_help=True)
app.add_typer(world_app, name="world")

train_app = typer.Typer(help="Train models; needs the extra `torch`.", no_args_is_help=True)
app.add_typer(train_app, name="train")

Out = Annotated[Path, typer.Option(help="Folder for the results; made if missing.")]

_OF_STORES = ("lancedb", "pyarrow", "sqlalchemy")
"""Packages that modules of stores import at once."""


def main() -> None:
    """Run the command line; mistakes are one line on stderr and exit code 1."""
    if sys.argv[1:] in ([], ["--help"]):
        _without_options(app)
    try:
        app()
    except ClipomalyError as error:
        sys.exit(f"clipomaly: {error}")
    except ModuleNotFoundError as error:
        if error.name not in _OF_STORES:
            raise
        sys.exit(f"clipomaly: {MissingExtra(error.name, 'store', 'keeping results in a store')}")
    except BrokenPipeError:
        sys.exit(141)
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as ended:
        if ended.code == 130:  # what typer makes of Ctrl+C, without a word
            _stopped()
        raise


def _stopped() -> NoReturn:
    resumable = sys.argv[1:2] in (["segment"], ["evaluate"])
    how = "; finished frames are written, --resume goes on from here" if resumable else ""
    print(f"clipomaly: stopped{how}", file=sys.stderr)
    sys.exit(130)


def _without_options(group: typer.Typer) -> None:
    """The list of commands shows none of their options: do without building hundreds of them."""
    for info in group.registered_commands:
        doc = info.callback.__doc__ if info.callback else None
        name = info.name or (info.callback.__name__.replace("_", "-") if info.callback else None)
        info.name, info.callback = name, lambda: None
        info.callback.__doc__ = doc
    for sub in group.registered_groups:
        if sub.typer_instance is not None:
            _without_options(sub.typer_instance)


def _version(show: bool) -> None:
    if show:
        from clipomaly._version import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    """Find what your classes do not explain in driving pictures, and name it."""
    _ = version


@app.command(epilog=SETTINGS_PAGE)
@with_settings
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


@app.command()
def demo(out: Out = Path("clipomaly-demo")) -> None:
    """Run the whole on the scenes that come with the package, and show what was found.

    Example: clipomaly demo --out /tmp/demo
    """
    from clipomaly.commands.demo import run_demo

    run_demo(out)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="Show what one model's folder says.")] = None,
) -> None:
    """List the models at hand, or show one.

    Example: clipomaly models mini
    """
    from clipomaly.commands.listing import print_model, print_rows
    from clipomaly.encoders.load import list_models

    if name is None:
        print_rows(("model", "what it is"), list(list_models().items()))
    else:
        print_model(name)


@app.command()
def methods() -> None:
    """List the methods.

    Example: clipomaly methods
    """
    from clipomaly.commands.listing import print_rows
    from clipomaly.methods.table import METHODS

    print_rows(("method", "what it is"), [(name, title) for name, (title, _) in METHODS.items()])


@app.command()
def vocabularies(name: Annotated[str | None, typer.Argument(help="Show one vocabulary.")] = None) -> None:
    """List the shipped vocabularies, or show the classes of one (yours too).

    Example: clipomaly vocabularies airside
    """
    from clipomaly.commands.listing import print_rows, print_vocabulary
    from clipomaly.vocabulary import list_vocabularies, load_vocabulary

    if name is None:
        rows = [(n, str(len(load_vocabulary(n).known)), title) for n, title in list_vocabularies().items()]
        print_rows(("vocabulary", "classes", "what it is"), rows)
    else:
        print_vocabulary(load_vocabulary(name))


@app.command(epilog=SETTINGS_PAGE)
@with_settings
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


@app.command(epilog=SETTINGS_PAGE)
@with_settings
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


@app.command(epilog=SETTINGS_PAGE)
@with_settings
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
        str | None, typer.Option(help="Several methods for one table: clipomaly,msp,centre.")
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


@app.command()
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


Pictures = Annotated[str, typer.Option(help="What stands before the pictures' names in the other tool.")]


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


@app.command("export-encoder")
def export_encoder(
    model: Annotated[str, typer.Argument(help="A transformers folder or hub id.")],
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

    fused = operators == "onnxruntime"
    typer.echo(export(model, out, variant=variant, revision=revision, half=half, fused=fused))


@app.command("export-anomalyclip")
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


@app.command("export-tagger")
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
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
) -> None:
    """Tune any CLIP for segmentation on a known vocabulary, and keep its open one.

    Example: clipomaly train known mini --root camvid --photos photos/ --out mini-camvid
    """
    from clipomaly.commands.train_known import KnownRequest, run_train_known

    request = KnownRequest(model, root, out, dataset, vocabulary, photos, recipe, variant, resume)
    run_train_known(request, {"steps": steps, "train": parts, "decoder": decoder, "alpha": alpha})


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


@app.command()
def review(
    store: Annotated[str, typer.Option(help="The store that `clipomaly run` filled.")],
    decisions: Annotated[
        str | None, typer.Option(help="Where decisions are kept; default: a file in the store.")
    ] = None,
    vocabulary: Annotated[
        str | None, typer.Option(help="What promoted names are added to; default: that of the first run.")
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="TOML file with what a promotion needs.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback a token is asked for.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8470,
    token: Annotated[str | None, typer.Option(help="Token to ask for; default: made, and printed.")] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name by which browsers reach this machine; repeatable.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="Certificate for https (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the browser.")] = False,
) -> None:
    """Review findings in the browser: confirm, rename, reject, promote names. Needs the extra `review`.

    Example: clipomaly review --store findings
    """
    from clipomaly.commands.review import run_review
    from clipomaly.review.serve import ReviewOptions

    options = ReviewOptions(
        store, decisions, vocabulary, rules, host, port, token, tuple(allow_host or ()), certificate, key
    )
    run_review(options, open_browser=open_browser)


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
    jobs: Annotated[int | None, typer.Option(help="Processes; default: one a core.")] = None,
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
    jobs: Annotated[int | None, typer.Option(help="Processes; default: one a core.")] = None,
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


add_store_commands(app)


if __name__ == "__main__":
    main()
