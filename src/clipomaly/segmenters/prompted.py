"""Open-vocabulary segmentation by a model of its own that reads the picture and the names' words.

The model (CLIPSeg, SAM 3, a cost aggregation: `encoders/openvocab/`) gives a logit a name and place:

    S(p, n) = logit,   probabilities softmax(S / τ),   τ = 1 unless the model says otherwise

A known class is asked for by its name alone, not by its synonyms: these models cost a pass a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.records import DenseFeatures
from clipomaly.segmenters.seam import NameBank, NameScores

__all__ = ["PromptedModel", "PromptedSegmenter"]


@runtime_checkable
class PromptedModel(Protocol):
    """What is needed of a model; its maps cover the picture exactly."""

    name: str
    temperature: float

    def scores(self, image: UInt8[np.ndarray, "H W 3"], names: Sequence[str]) -> Float[np.ndarray, "h w n"]:
        """One logit a place and name."""


class PromptedSegmenter:
    """A `Segmenter` around such a model."""

    def __init__(self, model: PromptedModel) -> None:
        self.model = model
        self.name = model.name

    def segment(self, image: UInt8[np.ndarray, "H W 3"], dense: DenseFeatures, names: NameBank) -> NameScores:
        """The model's maps; the dense features are not used."""
        scores = self.model.scores(image, names.names)
        return NameScores(scores, (float(scores.shape[0]), float(scores.shape[1])), self.model.temperature)
