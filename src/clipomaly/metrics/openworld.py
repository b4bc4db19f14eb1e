"""Open-world segmentation: how well the known classes are kept apart, and from the unknown.

From one confusion matrix C over all pixels of the data set (truth × prediction; the K known classes and,
last, `unknown`), pixels of the ignored label left out:

    IoU(c)        = C[c, c] / (Σ_j C[c, j] + Σ_i C[i, c] − C[c, c])
    known mIoU    = mean of IoU over the known classes that occur in truth or prediction
    unknown IoU   = IoU(unknown)
    mIoU (V ∪ {unknown}) = mean over known classes and unknown
    2-class mIoU  = mean of the IoUs of "known" and "unknown" after all known classes are joined

Never a mean of per-image values. A class that occurs in neither truth nor prediction has no IoU and does not
enter a mean (as in the Cityscapes evaluation); one that is only predicted has IoU 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Integer, Num

from clipomaly.errors import MetricError

__all__ = [
    "OpenWorldCounts",
    "OpenWorldMetrics",
    "confusion_of",
    "iou_of",
    "known_miou_of",
    "miou_2class_of",
    "miou_of",
    "unknown_iou_of",
]


@dataclass(frozen=True)
class OpenWorldMetrics:
    """Figures of the pooled confusion matrix; None where a class occurs nowhere."""

    known_miou: float | None
    unknown_iou: float | None
    miou: float | None
    miou_2class: float | None
    iou: tuple[float | None, ...]  # by class, `unknown` last
    support: tuple[int, ...]  # true pixels by class
    n_pixels: int


def confusion_of(
    predicted: Integer[np.ndarray, "*shape"],
    truth: Integer[np.ndarray, "..."],
    n_known: int,
    ignore: int = 255,
) -> Int[np.ndarray, "k k"]:
    """The confusion matrix of one frame, truth by row; class `n_known` is the unknown.

    >>> confusion_of(np.array([0, 1, 2, 2]), np.array([0, 0, 2, 255]), n_known=2)
    array([[1, 1, 0],
           [0, 0, 0],
           [0, 0, 1]])
    """
    if predicted.shape != truth.shape:
        raise MetricError(
            f"prediction {predicted.shape} and truth {truth.shape} differ in shape: resize one of them"
        )
    k = n_known + 1
    left_out = truth == ignore
    # What is left out is counted as 0 and taken off again: a third of the time that picking pixels takes.
    truth, predicted = (np.where(left_out, values.dtype.type(0), values) for values in (truth, predicted))
    for values, kind in ((truth, "truth"), (predicted, "prediction")):
        if values.size and (values.min() < 0 or values.max() > n_known):
            odd = np.unique(values[(values < 0) | (values > n_known)])[:5].tolist()
            raise MetricError(
                f"the {kind} holds {odd}: known classes are 0…{n_known - 1}, unknown is {n_known}"
            )
    codes = truth.reshape(-1).astype(np.int64) * k + predicted.reshape(-1)
    matrix = np.bincount(codes, minlength=k * k).reshape(k, k)
    matrix[0, 0] -= np.count_nonzero(left_out)
    return matrix


# --- figures of summed matrices [*b, k, k]; NaN where undefined ---


def iou_of(confusion: Num[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b k"]:
    """IoU by class."""
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    union = confusion.sum(axis=-1) + confusion.sum(axis=-2) - hit
    with np.errstate(invalid="ignore", divide="ignore"):
        return hit / union


def known_miou_of(confusion: Num[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b"]:
    """Mean IoU of the known classes."""
    return _mean(iou_of(confusion)[..., :-1])


def unknown_iou_of(confusion: Num[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b"]:
    """IoU of the unknown."""
    return np.asarray(iou_of(confusion)[..., -1])


def miou_of(confusion: Num[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b"]:
    """Mean IoU over the known classes and the unknown."""
    return _mean(iou_of(confusion))


def miou_2class_of(confusion: Num[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b"]:
    """Mean IoU of known and unknown, the known classes joined."""
    known = confusion[..., :-1, :-1].sum(axis=(-1, -2))
    joined = np.stack(
        [
            np.stack([known, confusion[..., :-1, -1].sum(axis=-1)], axis=-1),
            np.stack([confusion[..., -1, :-1].sum(axis=-1), confusion[..., -1, -1]], axis=-1),
        ],
        axis=-2,
    )
    return _mean(iou_of(joined))


def _mean(iou: np.ndarray) -> np.ndarray:
    """The mean over the last axis of what is defined; NaN where nothing is."""
    defined = np.isfinite(iou)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, iou, 0).sum(axis=-1) / defined.sum(axis=-1))


class OpenWorldCounts:
    """Pools confusion matrices over frames.

    >>> counts = OpenWorldCounts(n_known=2)
    >>> matrix = counts.add(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 0]))
    >>> counts.result().known_miou, counts.result().unknown_iou
    (0.75, 0.5)
    """

    def __init__(self, n_known: int, ignore: int = 255) -> None:
        if n_known < 1 or 0 <= ignore <= n_known:
            raise MetricError(
                f"{n_known} known classes and the ignored label {ignore} do not go together:"
                " choose at least one class, and an ignored label outside them"
            )
        self.n_known, self.ignore = n_known, ignore
        self.confusion = np.zeros((n_known + 1, n_known + 1), np.int64)

    def add(
        self, predicted: Integer[np.ndarray, "*shape"], truth: Integer[np.ndarray, "..."]
    ) -> Int[np.ndarray, "k k"]:
        """Count one frame; returns its matrix, for intervals over frames."""
        matrix = confusion_of(predicted, truth, self.n_known, self.ignore)
        self.confusion += matrix
        return matrix

    def merge(self, other: OpenWorldCounts) -> None:
        """Pool the counts of other frames into these."""
        if (other.n_known, other.ignore) != (self.n_known, self.ignore):
            raise MetricError("counts over different vocabularies cannot be pooled: use the same classes")
        self.confusion += other.confusion

    def result(self) -> OpenWorldMetrics:
        """The figures; MetricError where no pixel was counted."""
        c = self.confusion
        if not c.sum():
            raise MetricError(
                "open-world metrics are undefined: every pixel is ignored, or no frame was added"
            )
        figures = (known_miou_of(c), unknown_iou_of(c), miou_of(c), miou_2class_of(c))
        known, unknown, both, two = (float(f) if np.isfinite(f) else None for f in figures)
        iou = tuple(float(v) if np.isfinite(v) else None for v in iou_of(c))
        return OpenWorldMetrics(known, unknown, both, two, iou, tuple(c.sum(axis=1).tolist()), int(c.sum()))
