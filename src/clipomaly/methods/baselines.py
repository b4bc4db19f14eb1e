"""What every table needs beside it: baselines on the dense encoder or on any closed-set segmenter.

    msp, entropy, max-logit, energy   of cosines with the known names, or of a segmenter's logits
    mahalanobis, knn                  distance of a place's features from those of known frames (fitted)
    centre                            nearness to the image's centre: the control. A method that does not
                                      beat it has learnt nothing

    on the encoder     S_c = cos(E, t_c): scored on the patch grid with its τ, in [0, 1], then upsampled
    on a segmenter     logits are upsampled first and scored at full resolution, as published figures are;
                       max-logit and energy stay unbounded

Findings are regions without names, labels the best known class everywhere. The formulas stand in
`maths/scores.py` and `maths/density.py`. Deviations: k-NN keeps the same number of vectors for each class
instead of a fair sample of all, or road and sky would be most of it; where known frames carry no labels,
the model's own best class stands in for them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float, Integer, UInt8

from clipomaly.config import Settings
from clipomaly.encoders.seam import Encoder
from clipomaly.errors import ConfigError, OutputError
from clipomaly.maths.density import GaussianFit, Gaussians, NeighbourFit, Neighbours
from clipomaly.maths.grids import upsample, upsample_argmax, upsample_bands
from clipomaly.maths.scores import SCORES, energy, entropy, max_logit, msp
from clipomaly.methods.backbones import Backbone, EncoderBackbone, Reading, SegmenterBackbone
from clipomaly.methods.calibrated import encoder_conditions
from clipomaly.methods.unnamed import frame_threshold, unnamed_prediction
from clipomaly.records import Prediction
from clipomaly.segmenters.closed import open_segmenter
from clipomaly.thresholds import Thresholds
from clipomaly.vocabulary import Vocabulary

__all__ = [
    "BASELINES",
    "FITTED",
    "Baseline",
    "load_fit",
    "open_baseline",
    "save_fit",
]

Image = UInt8[np.ndarray, "_ _ 3"]
Fit = Gaussians | Neighbours

#: Every baseline by name, and what it is.
BASELINES: dict[str, str] = {
    "msp": "1 − the largest probability of a known class (arXiv 1610.02136)",
    "entropy": "Entropy of the known classes' probabilities",
    "max-logit": "The negative of the largest logit or cosine (arXiv 1911.11132)",
    "energy": "Free energy of the known classes (arXiv 2010.03759)",
    "mahalanobis": "Distance from the class means of known frames' features (arXiv 1807.03888); fitted",
    "knn": "Distance from the nearest feature of known frames (arXiv 2204.06507); fitted",
    "centre": "Nearness to the image's centre: the control that every method must beat",
}
#: Those that need `fit`.
FITTED = ("mahalanobis", "knn")
#: Scores of unbounded logits; those of cosines are `maths.scores.SCORES`.
_RAW: dict[str, Callable[..., np.ndarray]] = {
    "msp": msp,
    "entropy": entropy,
    "max-logit": partial(max_logit, normalised=False),
    "energy": partial(energy, normalised=False),
}


class Baseline:
    """One baseline on one backbone; a method like every other.

    >>> from clipomaly.methods.backbones import EncoderBackbone
    >>> from clipomaly.testing import ColourEncoder, colour_picture, colour_vocabulary
    >>> backbone = EncoderBackbone(ColourEncoder())
    >>> method = Baseline("max-logit", backbone, ColourEncoder.settings(threshold="otsu"))
    >>> picture = colour_picture("green", box="red")
    >>> [prediction] = method.predict([picture], colour_vocabulary("green", "blue"))
    >>> len(prediction.findings), prediction.findings[0].label
    (1, 'unknown object')
    """

    def __init__(
        self,
        name: str,
        backbone: Backbone | None,
        settings: Settings | None = None,
        *,
        fitted: Fit | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        if name not in BASELINES:
            raise ConfigError(f"unknown baseline {name!r}: use one of {', '.join(BASELINES)}")
        if backbone is None and name != "centre":
            raise ConfigError(f"baseline {name} needs an encoder or a segmenter")
        self.name = name
        self.backbone = backbone
        self.settings = settings or Settings()
        self.fitted = fitted
        self.thresholds = thresholds

    def predict(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Prediction]:
        """Score, regions and the best known class of each picture."""
        out = []
        for image in images:
            started = time.perf_counter()
            reading = None if self.backbone is None else self.backbone.read([image], vocabulary)[0]
            seconds = {"encode": time.perf_counter() - started}
            out.append(self._predict(image, reading, vocabulary, seconds))
        return out

    def conditions(self) -> dict[str, object]:
        """What a calibrated threshold depends on, besides the vocabulary and the method's name.

        On an encoder that is what stage 1 of `clipomaly` depends on: the same score, so the model's own
        thresholds hold for both.
        """
        if isinstance(self.backbone, EncoderBackbone):
            on = encoder_conditions(self.backbone.encoder, self.settings, self.backbone.temperature)
        else:
            on = {"model_hash": "" if self.backbone is None else self.backbone.fingerprint}
        return on if self.fitted is None else {**on, "fit": _fit_hash(self.fitted)}

    def calibrated(self, vocabulary: Vocabulary) -> float | None:
        """The threshold measured beforehand for this vocabulary, where there is one."""
        if self.thresholds is None:
            return None
        return self.thresholds.find(vocabulary.hash, self.name, self.conditions())

    def score_map(self, image: Image, vocabulary: Vocabulary) -> Float[np.ndarray, "H W"]:
        """The score alone: what a threshold is calibrated on."""
        reading = None if self.backbone is None else self.backbone.read([image], vocabulary)[0]
        return self._score(image.shape[:2], reading)

    def fit(
        self,
        frames: Iterable[Image],
        vocabulary: Vocabulary,
        labels: Iterable[Integer[np.ndarray, "H W"]] | None = None,
        *,
        size: int = 4096,
        k: int = 1,
        seed: int = 0,
    ) -> Fit:
        """Fit `mahalanobis` or `knn` on known-only frames, one at a time, and keep the fit.

        `labels` holds one map a frame of indices into the vocabulary; other values are left out. Without it
        the backbone's best class is taken. `size`, `k` and `seed` are those of `knn`.
        """
        if self.name not in FITTED or self.backbone is None:
            raise ConfigError(f"baseline {self.name} is not fitted; these are: {', '.join(FITTED)}")
        classes = len(vocabulary.known)
        gather: GaussianFit | NeighbourFit | None = None
        given = iter(labels) if labels is not None else None
        for image in frames:
            [reading] = self.backbone.read([image], vocabulary)
            label = None if given is None else next(given, None)
            if given is not None and label is None:
                raise ConfigError("there are fewer labels than frames: give one map a frame, in order")
            grid = _cell_labels(reading, label)
            flat = reading.features.reshape(-1, reading.features.shape[2])
            known = (grid.ravel() >= 0) & (grid.ravel() < classes)
            if gather is None:
                gather = (
                    GaussianFit(classes, flat.shape[1])
                    if self.name == "mahalanobis"
                    else NeighbourFit(classes, size, seed)
                )
            gather.add(flat[known], grid.ravel()[known])
        try:
            if gather is None:
                raise ValueError("nothing to fit on")
            self.fitted = gather.finish() if isinstance(gather, GaussianFit) else gather.finish(k)
        except ValueError as error:
            raise ConfigError(
                f"baseline {self.name} found no known place to fit on: give frames, and labels that index "
                f"vocabulary {vocabulary.name}"
            ) from error
        return self.fitted

    def _predict(
        self, image: Image, reading: Reading | None, vocabulary: Vocabulary, seconds: dict[str, float]
    ) -> Prediction:
        size = (image.shape[0], image.shape[1])
        started = time.perf_counter()
        score = self._score(size, reading)
        threshold = self._threshold(score, vocabulary)
        seconds["score"] = time.perf_counter() - started
        return unnamed_prediction(score, reading, vocabulary, self.settings, threshold, seconds)

    def _score(self, size: tuple[int, ...], reading: Reading | None) -> Float[np.ndarray, "H W"]:
        if self.name == "centre":
            return _nearness_to_centre((size[0], size[1]))
        if reading is None:
            raise ConfigError(f"baseline {self.name} needs an encoder or a segmenter")
        if self.name in FITTED:
            if self.fitted is None:
                raise ConfigError(
                    f"baseline {self.name} must be fitted on known-only frames first: `clipomaly fit`"
                )
            try:
                far = self.fitted.score(reading.features)
            except ValueError as error:
                raise ConfigError(f"this fit belongs to another model ({error}): fit anew") from error
            return upsample(far, reading.feature_extent, reading.size)
        if reading.temperature is not None:
            near = SCORES[self.name](reading.known, reading.temperature)
            return upsample(near, reading.extent, reading.size)
        out = np.empty(reading.size, np.float32)
        for rows, band in upsample_bands(reading.known, reading.extent, reading.size):
            out[rows] = _RAW[self.name](band)
        return out

    def _threshold(self, score: Float[np.ndarray, "H W"], vocabulary: Vocabulary) -> float:
        why_not = (
            f"no calibrated threshold for baseline {self.name} with vocabulary {vocabulary.name}: "
            "use --threshold otsu or percentile"
        )
        return frame_threshold(score, self.settings.unknown, self.calibrated(vocabulary), why_not)


def _fit_hash(fitted: Fit) -> str:
    """Sixteen hexadecimal digits of what was fitted."""
    arrays = (fitted.centre, fitted.whiten, fitted.means) if isinstance(fitted, Gaussians) else (fitted.kept,)
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _nearness_to_centre(size: tuple[int, int]) -> Float[np.ndarray, "H W"]:
    """1 in the centre, 0 in the corners; both sides count alike, whatever the aspect."""
    y, x = (((np.arange(n) + 0.5) / n - 0.5).astype(np.float32) for n in size)
    return 1 - np.hypot(y[:, None], x[None, :]) / np.float32(np.sqrt(0.5))


def _cell_labels(reading: Reading, labels: Integer[np.ndarray, "H W"] | None) -> Integer[np.ndarray, "i j"]:
    """The class of each feature cell: what lies at its middle; −1 beyond the picture."""
    h, w = reading.features.shape[:2]
    at = [
        ((np.arange(cells) + 0.5) * side / extent).astype(int)
        for cells, side, extent in zip((h, w), reading.size, reading.feature_extent, strict=True)
    ]
    if labels is None:
        # On a small picture of its own, the best class at each cell's middle.
        inner = tuple(max(1, round(e)) for e in reading.feature_extent)
        best = upsample_argmax(reading.known, reading.extent, (inner[0], inner[1])).astype(np.int64)
        out = np.full((h, w), -1, np.int64)
        out[: inner[0], : inner[1]] = best[:h, :w]
        return out
    if labels.shape != reading.size:
        raise ConfigError(f"labels {labels.shape} do not fit the frame {reading.size}")
    inside = (at[0] < reading.size[0])[:, None] & (at[1] < reading.size[1])[None, :]
    y, x = np.minimum(at[0], reading.size[0] - 1), np.minimum(at[1], reading.size[1] - 1)
    return np.where(inside, labels[y][:, x].astype(np.int64), -1)


def save_fit(path: str | Path, fitted: Fit, *, model_hash: str, vocabulary: Vocabulary) -> None:
    """Write a fit as arrays (npz, no pickle), with what it belongs to."""
    about = {
        "schema": 1,
        "model_hash": model_hash,
        "vocabulary": vocabulary.name,
        "vocabulary_hash": vocabulary.hash,
    }
    arrays: dict[str, Any]
    if isinstance(fitted, Gaussians):
        about["kind"] = "mahalanobis"
        arrays = {"centre": fitted.centre, "whiten": fitted.whiten, "means": fitted.means}
    else:
        about["kind"] = "knn"
        arrays = {"kept": fitted.kept, "k": np.array(fitted.k)}
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def load_fit(path: str | Path, name: str, *, model_hash: str, vocabulary: Vocabulary) -> Fit:
    """Read a fit of this baseline and this model; a Gaussian for each class belongs to its vocabulary too."""
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            if about["kind"] != name:
                raise ConfigError(f"{path} holds a fit of {about['kind']}, not of {name}")
            if about["model_hash"] != model_hash:
                raise ConfigError(f"{path} was fitted with another model: fit anew with this one")
            if name == "mahalanobis":
                if about["vocabulary_hash"] != vocabulary.hash:
                    raise ConfigError(
                        f"{path} was fitted for the classes of {about['vocabulary']}, not for these of "
                        f"{vocabulary.name}: fit anew with --vocabulary {vocabulary.name}"
                    )
                return Gaussians(file["centre"], file["whiten"], file["means"])
            return Neighbours(file["kept"], int(file["k"]))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist: fit baseline {name} first") from error
    except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, BadZipFile) as error:
        raise ConfigError(f"{path} is not a fit of a baseline ({error}): fit anew") from error


def open_baseline(
    settings: Settings,
    encoder: Callable[[], Encoder],
    vocabulary: Vocabulary,
    *,
    threads: int | None = None,
) -> Baseline:
    """The baseline that the settings name, on their segmenter if they name one, else on the encoder."""
    backbone: Backbone | None = None
    if settings.method != "centre":
        if settings.segmenter is not None:
            backbone = SegmenterBackbone(open_segmenter(settings.segmenter, threads=threads))
        else:
            backbone = EncoderBackbone(encoder(), settings.unknown.temperature, settings.unknown.synonyms)
    fitted = None
    if settings.method in FITTED and settings.fitted is not None and backbone is not None:
        fitted = load_fit(
            settings.fitted, settings.method, model_hash=backbone.fingerprint, vocabulary=vocabulary
        )
    return Baseline(settings.method, backbone, settings, fitted=fitted)
