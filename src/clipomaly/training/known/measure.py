"""What a tuned encoder is worth: known mIoU on validation frames, naming of photographs it never saw.

mIoU     over the known classes, through text alone: label = argmax_c max over wordings of cos(E, t)
top-1    share of photographs whose summary vector lies nearest to the text vector of their own name
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from clipomaly.data.datasets import Sample
from clipomaly.encoders.dense import Run, encode_pictures
from clipomaly.encoders.prompts import TextBank
from clipomaly.encoders.seam import EncoderSpec
from clipomaly.maths.grids import upsample_argmax
from clipomaly.training.known.photos import Photo

__all__ = ["Figures", "confusion", "iou", "known_miou", "naming"]


@dataclass(frozen=True)
class Figures:
    """All in per cent."""

    miou: float
    iou: tuple[float, ...]
    top1: float
    top5: float

    def __str__(self) -> str:
        """What was measured.

        >>> print(Figures(50.1, (), 13.0, 32.8))
        known mIoU 50.1, photographs top-1 13.0, top-5 32.8
        >>> print(Figures(50.1, (), float("nan"), float("nan")))
        known mIoU 50.1
        """
        known = f"known mIoU {self.miou:.1f}"
        if np.isnan(self.top1):  # without photographs
            return known
        return f"{known}, photographs top-1 {self.top1:.1f}, top-5 {self.top5:.1f}"


def confusion(labels: np.ndarray, truth: np.ndarray, classes: int) -> Int[np.ndarray, "C C"]:
    """Pixels by true class (rows) and label; what is left out in the truth does not count."""
    ok = truth < classes
    cells = truth[ok].astype(np.int64) * classes + np.minimum(labels[ok], classes - 1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def iou(table: Int[np.ndarray, "C C"]) -> np.ndarray:
    """Intersection over union a class in per cent; NaN for a class that neither stands in truth nor labels.

    >>> iou(np.array([[3, 1], [0, 0]])).round(1).tolist()
    [75.0, 0.0]
    """
    union = table.sum(0) + table.sum(1) - np.diag(table)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 100 * np.diag(table) / union


def known_miou(run: Run, spec: EncoderSpec, bank: TextBank, samples: Sequence[Sample]) -> np.ndarray:
    """IoU of each known class over frames, labels upsampled to their own size."""
    table = np.zeros((len(bank), len(bank)), np.int64)
    for sample in samples:
        truth = sample.label()
        assert truth is not None
        [dense] = encode_pictures(
            [sample.image()],
            run,
            patch=spec.patch,
            long_side=spec.working_long_side,
            trained_side=spec.least_side,
        )
        labels = upsample_argmax(
            bank.similarity(dense.patches), dense.extent, (truth.shape[0], truth.shape[1])
        )
        table += confusion(labels, truth, len(bank))
    return iou(table)


def naming(run: Run, spec: EncoderSpec, bank: TextBank, photos: Sequence[Photo]) -> tuple[float, float]:
    """Top-1 and top-5 in per cent over photographs; NaN without any."""
    if not photos:
        return float("nan"), float("nan")
    hits = np.zeros(2)
    index = {name: i for i, name in enumerate(bank.names)}
    for first in range(0, len(photos), 32):
        some = photos[first : first + 32]
        dense = encode_pictures(
            [p.read() for p in some],
            run,
            patch=spec.patch,
            long_side=max(spec.image_size),
            trained_side=spec.least_side,
        )
        scores = bank.similarity(np.stack([d.summary for d in dense]))
        for row, photo in zip(scores, some, strict=True):
            rank = int((row > row[index[photo.name]]).sum())
            hits += [rank < 1, rank < 5]
    top1, top5 = 100 * hits / len(photos)
    return float(top1), float(top5)
