"""What baselines read off a picture: from the dense encoder, or from a closed-set segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.encoders.prompts import bank_of_vocabulary
from clipomaly.encoders.seam import Encoder
from clipomaly.errors import ConfigError, ModelError
from clipomaly.segmenters.closed import ClosedSegmenter
from clipomaly.vocabulary import Vocabulary

__all__ = ["Backbone", "EncoderBackbone", "Reading", "SegmenterBackbone", "class_order"]

Image = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True, eq=False)
class Reading:
    """What a backbone says about one picture, before any score."""

    size: tuple[int, int]
    known: Float[np.ndarray, "h w C"]
    """Cosines or logits of the vocabulary's classes, in its order."""
    extent: tuple[float, float]
    features: Float[np.ndarray, "i j d"]
    feature_extent: tuple[float, float]
    temperature: float | None
    """τ of cosines; None: `known` are unbounded logits."""


@runtime_checkable
class Backbone(Protocol):
    """What baselines run on."""

    name: str
    fingerprint: str
    provenance: dict[str, str]
    """What results say about where they came from."""

    def read(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Reading]:
        """One reading a picture, in order."""


class EncoderBackbone:
    """The dense encoder: cosines with the known names, patch vectors as features."""

    def __init__(self, encoder: Encoder, temperature: float | None = None, synonyms: str = "max") -> None:
        self.name = encoder.spec.name
        self.fingerprint = encoder.spec.fingerprint
        self.provenance = {"model": self.name, "model_hash": self.fingerprint}
        self.encoder = encoder
        self.temperature = temperature or encoder.spec.temperature
        self._synonyms = synonyms

    def read(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Reading]:
        """Encode, and compare with the vocabulary."""
        bank = bank_of_vocabulary(self.encoder, vocabulary, self._synonyms)
        return [
            Reading(
                size=dense.image_size,
                known=bank.similarity(dense.patches),
                extent=dense.extent,
                features=dense.patches,
                feature_extent=dense.extent,
                temperature=self.temperature,
            )
            for dense in self.encoder.encode_images(images)
        ]


class SegmenterBackbone:
    """A closed-set segmenter: its logits, and its feature outputs (the logits where it has none)."""

    def __init__(self, segmenter: ClosedSegmenter) -> None:
        self.name = segmenter.name
        self.fingerprint = segmenter.fingerprint
        self.provenance = {"model": self.name, "model_hash": self.fingerprint}
        self.segmenter = segmenter

    def read(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Reading]:
        """Run the network on each picture; its classes are brought into the vocabulary's order."""
        out = []
        for image in images:
            result = self.segmenter.run(image)
            order = class_order(self.segmenter, result.logits.shape[2], vocabulary)
            features = result.logits if result.features is None else result.features
            out.append(
                Reading(
                    size=(image.shape[0], image.shape[1]),
                    known=result.logits if order is None else result.logits[:, :, order],
                    extent=(float(result.logits.shape[0]), float(result.logits.shape[1])),
                    features=features,
                    feature_extent=(float(features.shape[0]), float(features.shape[1])),
                    temperature=None,
                )
            )
        return out


def class_order(segmenter: ClosedSegmenter, classes: int, vocabulary: Vocabulary) -> list[int] | None:
    """Which logit belongs to each class of the vocabulary; None: they are in its order."""
    names = vocabulary.names
    if segmenter.names is not None:
        if len(segmenter.names) != classes:
            raise ModelError(
                f"segmenter {segmenter.name} has {classes} outputs, but {len(segmenter.names)} names"
            )
        own = {vocabulary.index(name): i for i, name in enumerate(segmenter.names)}
        missing = [name for c, name in enumerate(names) if c not in own]
        if missing:
            raise ConfigError(
                f"segmenter {segmenter.name} does not know {missing[0]!r} of vocabulary {vocabulary.name}: "
                "use a vocabulary of its own classes"
            )
        return [own[c] for c in range(len(names))]
    if classes != len(names):
        raise ConfigError(
            f"segmenter {segmenter.name} has {classes} classes, vocabulary {vocabulary.name} {len(names)}: "
            "use the vocabulary that it was trained on, or name its classes in a JSON file beside it"
        )
    ids = [-1 if c.id is None else c.id for c in vocabulary.known]
    return ids if sorted(ids) == list(range(classes)) else None
