"""Labelled road frames as training crops: scaled, cut, flipped, relit; equal for equal step and seed."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from clipomaly.data.datasets import IGNORE, Sample
from clipomaly.encoders.dense import fit
from clipomaly.encoders.seam import EncoderSpec

__all__ = ["Crops", "class_weights", "relight", "window"]

Batch = tuple[UInt8[np.ndarray, "b H W 3"], UInt8[np.ndarray, "b H W"]]


class Crops:
    """Random crops of labelled frames, at the scale that the encoder will see them at."""

    def __init__(
        self, samples: Sequence[Sample], spec: EncoderSpec, size: tuple[int, int], seed: int
    ) -> None:
        self.samples = list(samples)
        self.spec = spec
        self.seed = seed
        self.size = tuple(max(1, round(side / spec.patch)) * spec.patch for side in size)

    def batch(self, step: int, count: int) -> Batch:
        """Pictures and labels (255 left out) of one step."""
        rng = np.random.default_rng([self.seed, step])
        chosen = rng.choice(len(self.samples), count, replace=count > len(self.samples))
        crops = [self._crop(self.samples[int(i)], rng) for i in chosen]
        return np.stack([image for image, _ in crops]), np.stack([label for _, label in crops])

    def _crop(self, sample: Sample, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        image, label = sample.image(), sample.label()
        assert label is not None
        where = fit(image.shape[:2], self.spec.working_long_side, self.spec.patch, self.spec.least_side)
        scale = where.size[0] / image.shape[0] * float(np.exp(rng.uniform(np.log(0.8), np.log(1.6))))
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, (width, height), interpolation=method)
        label = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)
        top, left = (
            int(rng.integers(0, max(1, have - want + 1)))
            for have, want in zip((height, width), self.size, strict=True)
        )
        image = image[top : top + self.size[0], left : left + self.size[1]]
        label = label[top : top + self.size[0], left : left + self.size[1]]
        below, right = (want - have for have, want in zip(label.shape, self.size, strict=True))
        image = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
        label = np.pad(label, ((0, below), (0, right)), constant_values=IGNORE)
        if rng.random() < 0.5:
            image, label = image[:, ::-1], label[:, ::-1]
        return relight(image, rng), np.ascontiguousarray(label)


def window(
    grid: Sequence[int], cells: tuple[int, int], picture: Sequence[int], rng: np.random.Generator
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """A random part of a patch grid, at most `cells` large, and the pixels of the picture that it shows.

    >>> places, pixels = window((30, 40), (10, 60), (300, 400), np.random.default_rng(0))
    >>> places[0].stop - places[0].start, places[1], pixels[0].start == 10 * places[0].start, pixels[1]
    (10, slice(0, 40, None), True, slice(0, 400, None))
    """
    places = []
    for have, want in zip(grid, cells, strict=True):
        first = int(rng.integers(0, max(1, have - want + 1)))
        places.append(slice(first, min(have, first + want)))
    pixels = [
        slice(round(place.start * side / have), round(place.stop * side / have))
        for place, side, have in zip(places, picture, grid, strict=True)
    ]
    return (places[0], places[1]), (pixels[0], pixels[1])


def relight(image: UInt8[np.ndarray, "H W 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "H W 3"]:
    """Brightness, contrast, saturation and a colour cast.

    >>> relight(np.full((2, 2, 3), 99, np.uint8), np.random.default_rng(0)).shape
    (2, 2, 3)
    """
    x = image.astype(np.float32)
    x = x * rng.uniform(0.7, 1.3) * rng.uniform(0.92, 1.08, 3).astype(np.float32)
    mean = x.mean()
    x = mean + (x - mean) * rng.uniform(0.75, 1.25)
    grey = x.mean(axis=2, keepdims=True)
    x = grey + (x - grey) * rng.uniform(0.6, 1.4)
    return np.clip(x, 0, 255).astype(np.uint8)


def class_weights(samples: Sequence[Sample], classes: int, exponent: float) -> np.ndarray:
    """One weight a class, ∝ frequency^−exponent, mean 1 over a random pixel; from at most 200 frames."""
    counts = np.zeros(classes, np.int64)
    for i in np.unique(np.linspace(0, len(samples) - 1, 200).astype(int)):
        label = samples[i].label()
        assert label is not None
        counts += np.bincount(label[label < classes].ravel()[::7], minlength=classes)[:classes]
    share = np.maximum(counts / max(1, counts.sum()), 1e-4)
    weight = share**-exponent
    return (weight / (weight * share).sum()).astype(np.float32)
