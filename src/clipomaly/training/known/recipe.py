"""The settings of `clipomaly train known`, from a TOML file and options; each is written once, here."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipomaly.errors import ConfigError

__all__ = ["PARTS", "KnownRecipe", "read_recipe"]

#: What of the vision tower may move.
PARTS = {
    "vision": "the whole vision tower",
    "attention": "its queries and values alone, as CAT-Seg does (arXiv 2303.11797)",
    "last-block": "its last block, final norm and projection",
    "none": "nothing: a decoder is trained on frozen features",
}


@dataclass(frozen=True)
class KnownRecipe:
    """How a CLIP is tuned for segmentation on a known vocabulary."""

    steps: int = 300
    batch: int = 4
    crop: tuple[int, int] = (320, 448)
    """Height and width in pixels; brought to whole patches."""
    train: str = "vision"
    """A key of `PARTS`."""
    rate: float = 1e-4
    """Peak learning rate of what moves in the encoder."""
    rate_decoder: float = 3e-4
    decay: float = 0.01
    keep: float = 1.0
    """Weight of the loss that holds the old meaning of pictures."""
    keep_batch: int = 8
    """Photographs a step for that loss."""
    words: int = 512
    """Dictionary words that it compares."""
    alpha: str = "auto"
    """Share of the tuned weights in the result, 0 to 1; auto: chosen on photographs, see `give_up`."""
    give_up: float = 1.0
    """Points of open-vocabulary accuracy that `auto` may lose on the photographs it chooses by."""
    decoder: str = "none"
    """`costagg` trains a cost-aggregation decoder too."""
    classes: int = 0
    """With a decoder: names a step at most, so that it meets lists of many lengths; 0: all."""
    balance: float = 0.3
    """Exponent that lifts rare classes: weight ∝ frequency^−balance."""
    seed: int = 0
    measure_every: int = 0
    """Steps between two looks at the validation frames; 0: before and after only."""
    measure_frames: int = 0
    """Validation frames that are measured, spread evenly; 0: all."""
    measure_photos: int = 1000
    """Photographs that are measured, spread evenly; half as many choose α."""
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.train not in PARTS:
            raise ConfigError(f"train {self.train!r} is not valid: use one of {', '.join(PARTS)}")
        if self.decoder not in ("none", "costagg"):
            raise ConfigError(f"decoder {self.decoder!r} is not valid: use none or costagg")
        if self.train == "none" and self.decoder == "none":
            raise ConfigError("nothing would be trained: choose --parts or a --decoder")
        if self.alpha != "auto":
            try:
                sound = 0 <= float(self.alpha) <= 1
            except ValueError:
                sound = False
            if not sound:
                raise ConfigError(f"alpha {self.alpha!r} is not valid: use auto or a number from 0 to 1")
        if self.steps < 1 or self.batch < 1 or min(self.crop) < 1:
            raise ConfigError("steps, batch and crop are at least 1")


def read_recipe(path: Path | None, given: Mapping[str, Any]) -> KnownRecipe:
    """A recipe file, with options laid over it.

    >>> read_recipe(None, {"steps": 7}).steps
    7
    >>> read_recipe(None, {"stepz": 7})
    Traceback (most recent call last):
    clipomaly.errors.ConfigError: the recipe has no setting stepz; it has alpha, balance, ...
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"cannot read recipe {path}: {error}") from error
    values |= {k: v for k, v in given.items() if v is not None}
    names = sorted(f.name for f in dataclasses.fields(KnownRecipe))
    for key in values:
        if key not in names:
            raise ConfigError(f"the recipe has no setting {key}; it has {', '.join(names)}")
    if "crop" in values:
        values["crop"] = tuple(values["crop"])
    if "alpha" in values:
        values["alpha"] = str(values["alpha"])
    return KnownRecipe(**values)
