"""The seam of stage 3: a picture and names in, scores of every name at every place out.

A segmenter may read the picture, the dense features that stage 1 kept, or both. Names come as a `NameBank`
(an `encoders.prompts.TextBank` is one): their words, and their vectors in the encoder's space. Probabilities
are softmax(scores / temperature), so a segmenter that gives logits says temperature 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, UInt8

from clipomaly.records import DenseFeatures

__all__ = ["NameBank", "NameScores", "Segmenter"]


@runtime_checkable
class NameBank(Protocol):
    """What a segmenter may know of names."""

    @property
    def names(self) -> tuple[str, ...]:
        """The words."""

    @property
    def vectors(self) -> Float[np.ndarray, "p d"]:
        """Unit text vectors; a name may own several."""

    @property
    def owner(self) -> Int[np.ndarray, " p"]:
        """Index of the name that each vector belongs to."""

    def similarity(self, patches: Float[np.ndarray, "*grid d"]) -> Float[np.ndarray, "*grid n"]:
        """Cosine of unit vectors with every name: the best of the name's vectors."""


@dataclass(frozen=True, eq=False)
class NameScores:
    """Scores of names on a grid of the segmenter's own."""

    scores: Float[np.ndarray, "h w n"]
    extent: tuple[float, float]
    """Rows and columns of the grid that the picture covers, as in `records.DenseFeatures`."""
    temperature: float


@runtime_checkable
class Segmenter(Protocol):
    """Anything that scores names everywhere in a picture."""

    name: str

    def segment(self, image: UInt8[np.ndarray, "H W 3"], dense: DenseFeatures, names: NameBank) -> NameScores:
        """One score a name and place, higher = more likely that name."""
