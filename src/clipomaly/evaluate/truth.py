"""What a frame's labels mean beside a vocabulary: where the anomalies are, and which known class is where.

open sets      masks of anomalies, and known classes beside them
anomaly sets   0 known, 1 anomaly, 255 left out; no classes
class sets     the set's classes are found in the vocabulary by name (synonyms count); a class that the
               vocabulary does not know *is* the unknown. With the whole vocabulary there is none, and
               leaving a class out of it makes that class the anomaly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Int16, UInt8, UInt16

from clipomaly.data.datasets import DATASETS, Sample
from clipomaly.errors import ConfigError
from clipomaly.vocabulary import Vocabulary, load_vocabulary

__all__ = ["LEFT_OUT", "ClassMap", "Named", "Truth", "class_map", "set_vocabulary", "truth_of"]

_DRIVEN, _BESIDE = ("flat", "ground", "marking"), ("sidewalk", "pavement", "grass", "terrain")
LEFT_OUT = -1
"""Class of pixels that do not count (the vocabulary may have 255 classes)."""


@dataclass(frozen=True, eq=False)
class Named:
    """An anomaly that has a name; where it is, if that is known."""

    name: str
    mask: Bool[np.ndarray, "H W"] | None = None
    number: int = 0
    """Of the thing in the instance picture."""


@dataclass(frozen=True, eq=False)
class Truth:
    """One frame's labels, each where the set gives it."""

    anomaly: UInt8[np.ndarray, "H W"] | None = None
    classes: Int16[np.ndarray, "H W"] | None = None
    """Index of the known class, the number of known classes for the unknown, −1 left out."""
    named: tuple[Named, ...] = ()
    """The anomalies whose names are known."""
    corridor: Bool[np.ndarray, "H W"] | None = None
    """Where one drives, and the things that stand there; where it is known."""
    numbers: UInt16[np.ndarray, "H W"] | None = None
    """Numbers of things, where the set has them."""


@dataclass(frozen=True)
class ClassMap:
    """How a set's class numbers become those of a vocabulary."""

    table: tuple[int, ...]
    unknown: tuple[str, ...]
    """The set's classes that the vocabulary does not know."""
    n_known: int
    driven: tuple[int, ...] = ()
    """Classes of the vocabulary that one drives on."""


def set_vocabulary(dataset: str, samples: Sequence[Sample]) -> str | None:
    """The shipped vocabulary that a set's classes index; None where it has no classes."""
    own = {sample.vocabulary for sample in samples if sample.vocabulary is not None}
    return own.pop() if len(own) == 1 else DATASETS[dataset].vocabulary


def class_map(own: str | None, vocabulary: Vocabulary) -> ClassMap | None:
    """How classes of the vocabulary `own` become those of another; None where a set has no classes.

    >>> class_map("camvid", load_vocabulary("camvid")).unknown
    ()
    """
    if own is None:
        return None
    known = load_vocabulary(own).known
    places = [vocabulary.index(k.name) for k in known]
    if all(place is None for place in places):
        raise ConfigError(
            f"vocabulary {vocabulary.name} knows none of the set's classes: use --vocabulary {own}"
        )
    n_known = len(vocabulary.known)
    missing = tuple(k.name for k, place in zip(known, places, strict=True) if place is None)
    driven = tuple(i for i, k in enumerate(vocabulary.known) if k.group in _DRIVEN and k.name not in _BESIDE)
    return ClassMap(tuple(n_known if p is None else p for p in places), missing, n_known, driven)


def truth_of(sample: Sample, label: UInt8[np.ndarray, "H W"] | None, classes: ClassMap | None) -> Truth:
    """The truth of one frame from its labels."""
    if label is None or classes is None:
        return Truth(label, named=_named(sample, label, sample.instances()))
    table = np.full(256, LEFT_OUT, np.int16)
    table[: len(classes.table)] = classes.table
    own = sample.classes()
    source = label if own is None else own
    known = cv2.LUT(source, table)
    if own is not None:  # the masks say what is unknown; the class picture says nothing about it
        np.copyto(known, classes.n_known, where=label == 1)
        np.copyto(known, LEFT_OUT, where=label == 255)
    anomaly = (known == classes.n_known).view(np.uint8)
    np.copyto(anomaly, 255, where=known == LEFT_OUT)
    numbers = sample.instances()
    corridor = None
    if numbers is not None and (sample.measures or sample.things):
        driven = cv2.LUT(source, np.isin(table, classes.driven).view(np.uint8)).view(bool)
        corridor = _corridor(driven & (anomaly == 0), anomaly == 1, numbers)
    return Truth(anomaly, known, _named(sample, anomaly, numbers), corridor, numbers)


def _corridor(
    driven: Bool[np.ndarray, "H W"], anomaly: Bool[np.ndarray, "H W"], numbers: UInt16[np.ndarray, "H W"]
) -> Bool[np.ndarray, "H W"]:
    """What one drives on, and every thing whose foot stands on it: mostly such ground right around it."""
    out = driven.copy()
    for number in np.unique(numbers[anomaly]):
        thing = numbers == number
        x, y, width, height = cv2.boundingRect(thing.view(np.uint8))
        last = y + height - 1
        box = np.s_[max(0, last - 3) : last + 5, max(0, x - 3) : x + width + 4]
        around = cv2.dilate(thing[box].view(np.uint8), np.ones((7, 7), np.uint8)).astype(bool) & ~thing[box]
        if around.any() and driven[box][around].mean() > 0.3:
            out |= thing
    return out


def _named(
    sample: Sample, anomaly: UInt8[np.ndarray, "H W"] | None, numbers: UInt16[np.ndarray, "H W"] | None
) -> tuple[Named, ...]:
    if numbers is not None:
        return tuple(Named(name, numbers == number, number) for number, name in sample.things.items())
    if len(sample.names) != 1:  # with several, which region bears which name is not said
        return ()
    return (Named(sample.names[0], None if anomaly is None else anomaly == 1),)
