"""What a frame's labels mean beside a vocabulary: where the anomalies are, and which known class is where.

anomaly sets   0 known, 1 anomaly, 255 left out; no classes
class sets     the set's classes are found in the vocabulary by name (synonyms count); a class that the
               vocabulary does not know *is* the unknown. With the whole vocabulary there is none, and
               leaving a class out of it makes that class the anomaly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int16, UInt8

from clipomaly.data.datasets import DATASETS, Sample
from clipomaly.errors import ConfigError
from clipomaly.vocabulary import Vocabulary, load_vocabulary

__all__ = ["LEFT_OUT", "ClassMap", "Truth", "class_map", "truth_of"]

LEFT_OUT = -1
"""Class of pixels that do not count (the vocabulary may have 255 classes)."""


@dataclass(frozen=True, eq=False)
class Truth:
    """One frame's labels, each where the set gives it."""

    anomaly: UInt8[np.ndarray, "H W"] | None = None
    classes: Int16[np.ndarray, "H W"] | None = None
    """Index of the known class, the number of known classes for the unknown, −1 left out."""
    names: tuple[str, ...] = ()
    """What the anomalies are called."""


@dataclass(frozen=True)
class ClassMap:
    """How a set's class numbers become those of a vocabulary."""

    table: tuple[int, ...]
    unknown: tuple[str, ...]
    """The set's classes that the vocabulary does not know."""
    n_known: int


def class_map(dataset: str, vocabulary: Vocabulary) -> ClassMap | None:
    """The class map of a set with class labels; None for other sets.

    >>> class_map("camvid", load_vocabulary("camvid")).unknown
    ()
    """
    described = DATASETS[dataset]
    if described.kind != "classes" or described.vocabulary is None:
        return None
    own = load_vocabulary(described.vocabulary)
    places = [vocabulary.index(known.name) for known in own.known]
    if all(place is None for place in places):
        raise ConfigError(
            f"vocabulary {vocabulary.name} knows none of the classes of {dataset}: "
            f"use --vocabulary {described.vocabulary}"
        )
    n_known = len(vocabulary.known)
    missing = tuple(k.name for k, place in zip(own.known, places, strict=True) if place is None)
    return ClassMap(tuple(n_known if p is None else p for p in places), missing, n_known)


def truth_of(sample: Sample, label: UInt8[np.ndarray, "H W"] | None, classes: ClassMap | None) -> Truth:
    """The truth of one frame from its labels."""
    if label is None:
        return Truth(names=sample.names)
    if classes is None:
        return Truth(label, names=sample.names)
    table = np.full(256, LEFT_OUT, np.int16)
    table[: len(classes.table)] = classes.table
    known = table[label]
    anomaly = np.where(known == LEFT_OUT, 255, known == classes.n_known).astype(np.uint8)
    return Truth(anomaly, known, sample.names)
