"""`clipomaly train known`: options and a recipe in, a folder that inference opens out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from clipomaly.data.datasets import DATASETS, Sample, open_dataset
from clipomaly.encoders.load import MINI_FOLDER
from clipomaly.errors import ConfigError
from clipomaly.vocabulary import load_vocabulary

__all__ = ["KnownRequest", "run_train_known"]


@dataclass(frozen=True)
class KnownRequest:
    """What to train on which data, and where to write it."""

    model: str
    root: Path
    out: Path
    dataset: str = "camvid"
    vocabulary: str | None = None
    photos: Path | None = None
    recipe: Path | None = None
    variant: str | None = None
    resume: bool = False


def run_train_known(request: KnownRequest, given: Mapping[str, Any]) -> None:
    """Train, and say what it cost and what it bought."""
    from clipomaly.training.known.photos import open_photos
    from clipomaly.training.known.recipe import read_recipe
    from clipomaly.training.known.run import KnownData, train_known

    recipe = read_recipe(request.recipe, given)
    train, val = labelled(request.dataset, request.root)
    vocabulary = load_vocabulary(
        request.vocabulary or DATASETS[request.dataset].vocabulary or request.dataset
    )
    photos = None if request.photos is None else open_photos(request.photos)
    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    if photos is None:
        say("no --photos: the open vocabulary is held by the frames alone, and not measured")
    model = MINI_FOLDER if request.model == "mini" else request.model
    data = KnownData(vocabulary, train, val, photos)
    if recipe.decoder == "costagg":
        from clipomaly.training.known.costagg import train_costagg

        train_costagg(
            model, data, recipe, request.out, variant=request.variant, resume=request.resume, say=say
        )
    else:
        train_known(model, data, recipe, request.out, variant=request.variant, resume=request.resume, say=say)
    print(request.out)


def labelled(dataset: str, root: Path) -> tuple[list[Sample], list[Sample]]:
    """Frames with classes to train on, and others to measure on."""
    usable = [name for name, d in DATASETS.items() if d.kind == "classes"]
    if dataset not in usable:
        raise ConfigError(f"data set {dataset!r} has no known classes to train on: use {', '.join(usable)}")
    train, val = ("training", "validation") if dataset == "mapillary" else ("train", "val")
    return open_dataset(dataset, root, train), open_dataset(dataset, root, val)
