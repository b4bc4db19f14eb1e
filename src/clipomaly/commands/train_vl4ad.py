"""`clipomaly train vl4ad`: a mask decoder over a frozen encoder, from options to a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from clipomaly.commands.train_known import labelled
from clipomaly.data.datasets import DATASETS
from clipomaly.encoders.load import load_encoder
from clipomaly.vocabulary import load_vocabulary

__all__ = ["run_train_vl4ad"]


def run_train_vl4ad(
    model: str,
    root: Path,
    out: Path,
    *,
    dataset: str,
    vocabulary: str | None,
    decoder: Path | None,
    resume: bool,
    given: Mapping[str, Any],
) -> None:
    """Train, and say what to run next."""
    from clipomaly.training.vl4ad.run import VL4ADRecipe, train_vl4ad

    recipe = dataclasses.replace(VL4ADRecipe(), **{k: v for k, v in given.items() if v is not None})
    train, val = labelled(dataset, root)
    names = load_vocabulary(vocabulary or DATASETS[dataset].vocabulary or dataset)
    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    encoder = load_encoder(model)
    train_vl4ad(encoder, names, train, val, recipe, out, decoder=decoder, resume=resume, say=say)
    say(f"clipomaly segment FRAMES --method vl4ad --model {model} --mask-decoder {out}")
    print(out)
