"""The seam of stage 3: a picture and names in, scores of every name at every place out.

A segmenter may read the picture, the dense features that stage 1 kept, or both. Names come as a `TextBank`:
their words, and their vectors in the encoder's space. Probabilities are softmax(scores / temperature), so a
segmenter that gives logits says temperature 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.encoders.prompts import TextBank
from clipomaly.records import DenseFeatures

__all__ = ["NameScores", "Segmenter"]


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

    def segment(self, image: UInt8[np.ndarray, "H W 3"], dense: DenseFeatures, names: TextBank) -> NameScores:
        """One score a name and place, higher = more likely that name."""
