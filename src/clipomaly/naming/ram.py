"""Names from RAM or RAM++ (the paper's tagger), or from any model that gives every word a probability.

Its authors publish several thresholds; ours is a named choice (`--tagger-threshold`):

- `code`     0.68, the published code's argument, one for all tags (the default)
- `paper`    0.86
- `demo`     0.65
- `per-tag`  the authors' file, one threshold a tag; what their scripts in fact use
- a number
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.errors import ConfigError
from clipomaly.naming.tags import Tag
from clipomaly.records import DenseFeatures

__all__ = ["TAGGER_THRESHOLDS", "RamTagger", "TagModel", "tag_threshold"]

TAGGER_THRESHOLDS = {"code": 0.68, "paper": 0.86, "demo": 0.65}


@runtime_checkable
class TagModel(Protocol):
    """What `RamTagger` asks of a model."""

    words: tuple[str, ...]
    source: str

    def probabilities(self, image: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, " n"]:
        """The probability of every word."""

    def thresholds(self) -> Float[np.ndarray, " n"]:
        """The authors' threshold for every word."""


class RamTagger:
    """The words of a `TagModel` whose probability is above their threshold, best first."""

    def __init__(self, model: TagModel, threshold: str = "code", *, at_most: int = 32) -> None:
        self.model, self.source, self.words, self.at_most = model, model.source, model.words, at_most
        self.thresholds = (
            model.thresholds()
            if threshold == "per-tag"
            else np.full(len(model.words), tag_threshold(threshold), np.float32)
        )

    def tag(self, image: UInt8[np.ndarray, "H W 3"], features: DenseFeatures) -> list[Tag]:
        """Words for this picture; the encoder's features are not needed."""
        p = self.model.probabilities(image)
        best = np.argsort(-p, kind="stable")
        return [Tag(self.model.words[i], float(p[i])) for i in best if p[i] > self.thresholds[i]][
            : self.at_most
        ]


def tag_threshold(text: str) -> float:
    """A named threshold, or the number itself.

    >>> tag_threshold("paper"), tag_threshold("0.4")
    (0.86, 0.4)
    """
    if text in TAGGER_THRESHOLDS:
        return TAGGER_THRESHOLDS[text]
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        names = ", ".join(TAGGER_THRESHOLDS)
        raise ConfigError(f"--tagger-threshold {text}: use {names}, per-tag or a number from 0 to 1")
    return value
