"""AnomalyCLIP: learned, object-agnostic words for "normal" and "abnormal" (Zhou et al., arXiv 2310.18961).

    A     = mean over read layers of (S_a + 1 − S_n) / 2,  S = softmax([E·n, E·a] / τ),  enlarged and blurred
    image = probability of "abnormal" for the whole picture            --image-score abnormal
          = (that + max A) / 2                                         --image-score mean-with-max

E are patch vectors of the V-V path, n and a the two learned text vectors: `encoders/anomalyclip/`. All of it
is one graph; `--fitted FOLDER` names the folder that `clipomaly train anomalyclip` or
`clipomaly export-anomalyclip` wrote. No vocabulary is read: labels are the first known class everywhere, and
findings are regions without names.

Deviations: A is a mean where the authors' map is a sum over layers (same order, but in [0, 1]); pictures may
keep their shape (`--aspect keep`) where the authors squeeze them into squares.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.config import Settings
from clipomaly.encoders.anomalyclip.folder import ANY_VOCABULARY
from clipomaly.encoders.anomalyclip.graph import AnomalyGraph, AnomalyMap
from clipomaly.errors import ConfigError
from clipomaly.methods.unnamed import frame_threshold, unnamed_prediction
from clipomaly.records import Prediction
from clipomaly.thresholds import Thresholds
from clipomaly.vocabulary import Vocabulary

__all__ = ["AnomalyCLIP", "image_score", "open_graph"]

Image = UInt8[np.ndarray, "_ _ 3"]


class AnomalyCLIP:
    """The method on a folder's graph. A picture runs by itself, so a batch is exactly its pictures."""

    name = "anomalyclip"

    def __init__(
        self, graph: AnomalyGraph, settings: Settings | None = None, *, thresholds: Thresholds | None = None
    ) -> None:
        self.graph = graph
        self.settings = settings or Settings()
        self.thresholds = thresholds

    def predict(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Prediction]:
        """Score map, regions and findings without names."""
        return [self._predict(image, vocabulary) for image in images]

    def read(self, images: Sequence[Image]) -> list[tuple[AnomalyMap, float]]:
        """Of each picture the maps, and the image score of the settings' policy."""
        maps = [self.graph.read(image) for image in images]
        return [(m, image_score(m, self.settings.anomalyclip.image_score)) for m in maps]

    def score_map(self, image: Image, vocabulary: Vocabulary) -> Float[np.ndarray, "H W"]:
        """The score alone: what a threshold is calibrated on."""
        _ = vocabulary
        return self.graph.read(image).map

    def conditions(self) -> dict[str, object]:
        """What a calibrated threshold depends on."""
        return {"model_hash": self.graph.fingerprint, "side": self.graph.side, "aspect": self.graph.aspect}

    def calibrated(self, vocabulary: Vocabulary) -> float | None:
        """The threshold measured beforehand; the folder's own holds for every vocabulary."""
        if self.thresholds is None:
            return None
        found = (
            self.thresholds.find(key, self.name, self.conditions())
            for key in (vocabulary.hash, ANY_VOCABULARY)
        )
        return next((value for value in found if value is not None), None)

    def why_uncalibrated(self) -> str:
        """Why no calibrated threshold applies, and what to do."""
        reason = self.thresholds.mismatch(self.conditions()) if self.thresholds else "the folder carries none"
        return (
            f"no calibrated threshold for method {self.name} ({reason or 'none for this vocabulary'}): run "
            f"`clipomaly calibrate --method {self.name}` on ordinary pictures, or use --threshold otsu"
        )

    def _predict(self, image: Image, vocabulary: Vocabulary) -> Prediction:
        started = time.perf_counter()
        score = self.graph.read(image).map
        seconds = {"encode": time.perf_counter() - started}
        threshold = frame_threshold(
            score, self.settings.unknown, self.calibrated(vocabulary), self.why_uncalibrated()
        )
        return unnamed_prediction(score, None, vocabulary, self.settings, threshold, seconds)


def image_score(read: AnomalyMap, policy: str) -> float:
    """One number for a picture.

    >>> image_score(AnomalyMap(np.float32([[0.2, 0.6]]), 0.4), "mean-with-max")
    0.5
    """
    if policy == "abnormal":
        return read.abnormal
    if policy == "mean-with-max":
        return round((read.abnormal + float(read.map.max())) / 2, 6)
    raise ConfigError(f"image score {policy!r} is not valid: use abnormal or mean-with-max")


def open_graph(settings: Settings, threads: int | None = None) -> AnomalyGraph:
    """The graph that `--fitted` names."""
    if settings.fitted is None:
        raise ConfigError(
            "method anomalyclip needs learned prompts: `clipomaly train anomalyclip mini --data DIR "
            "--out FOLDER`, or `clipomaly export-anomalyclip` for a published checkpoint or plain words; "
            "then --fitted FOLDER"
        )
    own = settings.anomalyclip
    return AnomalyGraph(
        Path(settings.fitted).expanduser(), side=own.picture_side, aspect=own.aspect, threads=threads
    )
