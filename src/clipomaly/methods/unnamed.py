"""What methods without names share: a score map becomes a threshold, regions and findings.

unknown = regions of score > threshold;  labels = best known class of every pixel, unknown or not
finding = a region, None for its name, and the known class that most of it looks like
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Integer

from clipomaly.config import Settings, UnknownSettings
from clipomaly.errors import ConfigError
from clipomaly.maths.grids import mask_to_grid, upsample_argmax
from clipomaly.maths.regions import limits, split
from clipomaly.maths.threshold import threshold_for
from clipomaly.methods.backbones import Reading
from clipomaly.records import Finding, Prediction, Region
from clipomaly.vocabulary import Vocabulary

__all__ = ["frame_threshold", "unnamed_prediction"]


def frame_threshold(
    score: Float[np.ndarray, "H W"], rule: UnknownSettings, calibrated: float | None, why_not: str
) -> float:
    """One frame's threshold under the settings' rule; without a calibrated one `auto` takes Otsu's."""
    policy = rule.threshold
    if policy == "auto":
        policy = "otsu" if calibrated is None else "calibrated"
    if policy == "calibrated" and calibrated is None:
        raise ConfigError(why_not)
    return threshold_for(policy, score, percent=rule.percentile, calibrated=calibrated)


def unnamed_prediction(
    score: Float[np.ndarray, "H W"],
    reading: Reading | None,
    vocabulary: Vocabulary,
    settings: Settings,
    threshold: float,
    seconds: Mapping[str, float],
) -> Prediction:
    """Regions above the threshold, without names; without a reading every label is the first class."""
    size = (score.shape[0], score.shape[1])
    started = time.perf_counter()
    regions = split(score > threshold, score, **limits(settings.regions, size))
    divided = time.perf_counter()
    if reading is None:
        labels = np.zeros(size, np.uint16)
    else:
        labels = upsample_argmax(reading.known, reading.extent, size)
    unknown = np.zeros(size, bool)
    for region in regions:
        unknown[region.slices] |= region.mask
    return Prediction(
        score=score,
        unknown=unknown,
        labels=labels.astype(np.uint8) if len(vocabulary.known) <= 255 else labels,
        names=vocabulary.names,
        n_known=len(vocabulary.known),
        findings=tuple(_finding(region, labels, reading, vocabulary) for region in regions),
        threshold=threshold,
        seconds={**seconds, "split": divided - started, "segment": time.perf_counter() - divided},
    )


def _finding(
    region: Region, labels: Integer[np.ndarray, "H W"], reading: Reading | None, vocabulary: Vocabulary
) -> Finding:
    """A region without a name; the known class that most of it looks like stands beside it."""
    if reading is None:
        return Finding(region, None, 0.0)
    inside = labels[region.slices][region.mask]
    nearest = int(np.bincount(inside).argmax())
    similarity = float("nan")
    if reading.temperature is not None:
        x, y = region.box[:2]
        weight = mask_to_grid(
            region.mask, reading.extent, reading.known.shape[:2], corner=(y, x), image_size=reading.size
        )
        similarity = float((reading.known[:, :, nearest] * weight).sum() / weight.sum())
    return Finding(region, None, 0.0, (), vocabulary.names[nearest], similarity)
