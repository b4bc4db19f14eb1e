"""VL4AD: known and outlier prompts compete for every place (Zhong et al., arXiv 2409.17330).

    z_k = max over the wordings of class k of cos(E, t)              max-logit prompt ensembling (--synonyms)
    z_g = max over the classes of group g of z_k                     class merging (--super-classes)
    c   = softmax([z_g …, cos(E, o_1) … cos(E, o_Q)] / τ)            Q outlier prompts o (--outlier-prompts)
    A   = 1 − max over known columns of c                            = 1 + u of the paper, in [0, 1]

The formulas, and their form for a mask decoder, stand in `maths/prompted.py`. Labels are the unmerged
classes; findings are regions without names.

With `--mask-decoder` i ranges over a decoder's masks with maps s_i and vectors v_i in the text space:

    c_i = softmax([v_i·t …, v_i·o …, v_i·t_∅] / τ),  A = 1 − max over known columns of Σ_i s_i c_i, at least 0

v_i come from the decoder's text head (`clipomaly train vl4ad`); a decoder without one takes the encoder's
vectors pooled under its masks. Without `--mask-decoder` a place of the patch grid is its own mask.

Deviations: the per-pixel form runs on any encoder as it is; the paper tunes a mask decoder on the known
classes. There A is made on the grid and upsampled: to upsample c first, which is the mask form with
interpolation weights as maps, would doubt every border between two known classes. Which classes the paper
merges we do not know: the vocabulary's `group` says it here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, UInt8

from clipomaly.config import Settings
from clipomaly.encoders.prompts import TextBank, bank_of_names, bank_of_vocabulary
from clipomaly.encoders.seam import Encoder
from clipomaly.maths.grids import mask_to_grid, upsample
from clipomaly.maths.prompted import best_of, mask_masses, mask_uncertainty, unexplained
from clipomaly.maths.vectors import unit_rows
from clipomaly.methods.backbones import Reading
from clipomaly.methods.calibrated import encoder_conditions, why_uncalibrated
from clipomaly.methods.unnamed import frame_threshold, unnamed_prediction
from clipomaly.naming.outliers import load_outlier_prompts, outliers_beside
from clipomaly.records import DenseFeatures, Prediction
from clipomaly.thresholds import Thresholds
from clipomaly.vocabulary import Vocabulary, normalise_name

__all__ = ["VL4AD", "MaskSource", "super_classes"]

Image = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True, eq=False)
class _Columns:
    """Text vectors prepared once for a vocabulary."""

    known: TextBank
    groups: Int[np.ndarray, " C"]
    """Which column of the softmax each class belongs to."""
    outliers: TextBank


@runtime_checkable
class MaskSource(Protocol):
    """What the mask form needs: `encoders.openvocab.maskdecoder.MaskDecoder` is one."""

    @property
    def fingerprint(self) -> str:
        """Hash of its weights."""

    @property
    def temperature(self) -> float | None:
        """τ of its text head; None: it has none."""

    def masks(self, image: Image, dense: DenseFeatures) -> Any:
        """`maps` [n, h, w] in [0, 1] that cover the picture, `vectors` [n, d] or None, `void` [d] or None."""


class VL4AD:
    """On any encoder, per pixel or on a mask decoder. One image pass a frame, however many prompts.

    >>> from clipomaly.testing import ColourEncoder, colour_picture, colour_vocabulary
    >>> method = VL4AD(ColourEncoder(), ColourEncoder.settings(threshold="otsu"))
    >>> picture = colour_picture("green", box="red")
    >>> [prediction] = method.predict([picture], colour_vocabulary("green", "blue"))
    >>> len(prediction.findings), prediction.findings[0].label
    (1, 'unknown object')
    """

    name = "vl4ad"

    def __init__(
        self,
        encoder: Encoder,
        settings: Settings | None = None,
        *,
        thresholds: Thresholds | None = None,
        decoder: MaskSource | None = None,
    ) -> None:
        self.encoder = encoder
        self.settings = settings or Settings()
        self.thresholds = thresholds
        self.decoder = decoder
        learned = None if decoder is None else decoder.temperature
        self.temperature = self.settings.unknown.temperature or learned or encoder.spec.temperature
        self.prompts = load_outlier_prompts(self.settings.vl4ad.outlier_prompts)
        self._columns: dict[str, _Columns] = {}

    def predict(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Prediction]:
        """Score, regions and the best known class of each picture."""
        columns = self._prepare(vocabulary)
        started = time.perf_counter()
        features = self.encoder.encode_images(images)
        each = (time.perf_counter() - started) / max(1, len(images))
        return [
            self._predict(image, dense, columns, vocabulary, each)
            for image, dense in zip(images, features, strict=True)
        ]

    def score_map(self, image: Image, vocabulary: Vocabulary) -> Float[np.ndarray, "H W"]:
        """The score alone: what a threshold is calibrated on."""
        columns = self._prepare(vocabulary)
        [dense] = self.encoder.encode_images([image])
        return self._score(image, dense, columns)[0]

    def conditions(self) -> dict[str, object]:
        """What a calibrated threshold depends on, besides the vocabulary."""
        return {
            **encoder_conditions(self.encoder, self.settings, self.temperature),
            "super_classes": self.settings.vl4ad.super_classes,
            "mask_decoder": None if self.decoder is None else self.decoder.fingerprint,
            "outlier_prompts": hashlib.sha256("\n".join(self.prompts).encode()).hexdigest()[:16],
        }

    def calibrated(self, vocabulary: Vocabulary) -> float | None:
        """The threshold measured beforehand for this vocabulary, where there is one."""
        if self.thresholds is None:
            return None
        return self.thresholds.find(vocabulary.hash, self.name, self.conditions())

    def why_uncalibrated(self, vocabulary: Vocabulary) -> str:
        """Why no calibrated threshold applies, and what to do."""
        command = f"clipomaly calibrate --method {self.name}"
        return why_uncalibrated(
            self.thresholds, self.conditions(), vocabulary, f"method {self.name}", command
        )

    def _prepare(self, vocabulary: Vocabulary) -> _Columns:
        if vocabulary.hash not in self._columns:
            own = self.settings.vl4ad
            known = bank_of_vocabulary(self.encoder, vocabulary, self.settings.unknown.synonyms)
            beside = outliers_beside(self.prompts, vocabulary, own.outlier_prompts)
            outliers = bank_of_names(self.encoder, beside, vocabulary.templates or None)
            groups = np.arange(len(vocabulary.known))
            if own.super_classes == "groups":
                groups = super_classes(vocabulary)
            self._columns[vocabulary.hash] = _Columns(known, groups, outliers)
        return self._columns[vocabulary.hash]

    def _score(
        self, image: Image, dense: DenseFeatures, columns: _Columns
    ) -> tuple[Float[np.ndarray, "H W"], Reading]:
        """A on the picture, and what it was made from."""
        known = columns.known.similarity(dense.patches)
        if self.decoder is not None:
            return self._mask_score(image, dense, columns, self.decoder)
        outliers = columns.outliers.similarity(dense.patches)
        grid = unexplained(best_of(known, columns.groups), outliers, self.temperature)
        reading = Reading(
            size=dense.image_size,
            known=known,
            extent=dense.extent,
            features=dense.patches,
            feature_extent=dense.extent,
            temperature=self.temperature,
        )
        return upsample(grid, dense.extent, dense.image_size), reading

    def _mask_score(
        self, image: Image, dense: DenseFeatures, columns: _Columns, decoder: MaskSource
    ) -> tuple[Float[np.ndarray, "H W"], Reading]:
        found = decoder.masks(image, dense)
        maps, vectors = found.maps, found.vectors
        if vectors is None:
            maps, vectors = _pooled_under(maps, dense)
        outliers = columns.outliers.vectors
        if found.void is not None:
            outliers = np.concatenate([outliers, found.void[None]])
        bank, extent = columns.known, (float(maps.shape[1]), float(maps.shape[2]))
        u = mask_uncertainty(
            vectors, maps, bank.vectors, columns.groups[bank.owner], outliers, self.temperature
        )
        mass = mask_masses(vectors, maps, bank.vectors, bank.owner, outliers, self.temperature)
        reading = Reading(
            size=dense.image_size,
            known=mass,
            extent=extent,
            features=dense.patches,
            feature_extent=dense.extent,
            temperature=None,
        )
        return upsample(np.clip(1 + u, 0, 1), extent, dense.image_size), reading

    def _predict(
        self,
        image: Image,
        dense: DenseFeatures,
        columns: _Columns,
        vocabulary: Vocabulary,
        encode_seconds: float,
    ) -> Prediction:
        started = time.perf_counter()
        score, reading = self._score(image, dense, columns)
        rule, value = self.settings.unknown, self.calibrated(vocabulary)
        threshold = frame_threshold(score, rule, value, self.why_uncalibrated(vocabulary))
        seconds = {"encode": encode_seconds, "score": time.perf_counter() - started}
        return unnamed_prediction(score, reading, vocabulary, self.settings, threshold, seconds)


def _pooled_under(
    maps: Float[np.ndarray, "n h w"], dense: DenseFeatures
) -> tuple[Float[np.ndarray, "m h w"], Float[np.ndarray, "m d"]]:
    """The maps that cover something, and the encoder's mean vector under each."""
    grid = (dense.patches.shape[0], dense.patches.shape[1])
    weights = [mask_to_grid(one > 0.5, dense.extent, grid) for one in maps]
    kept = [i for i, weight in enumerate(weights) if weight.any()]
    if not kept:
        return np.ones((1, 1, 1), np.float32), dense.summary[None].astype(np.float32)
    vectors = np.stack([np.tensordot(weights[i], dense.patches, 2) for i in kept]).astype(np.float32)
    return maps[kept], unit_rows(vectors)


def super_classes(vocabulary: Vocabulary) -> Int[np.ndarray, " C"]:
    """The super-class of each known class: its `group`; a class without one stays alone.

    >>> from clipomaly.vocabulary import KnownClass
    >>> car, bus = KnownClass("car", group="vehicle"), KnownClass("bus", group="vehicle")
    >>> super_classes(Vocabulary("tiny", known=(car, KnownClass("road"), KnownClass("sky"), bus))).tolist()
    [0, 1, 2, 0]
    """
    names = [normalise_name(c.group) for c in vocabulary.known]
    first = [names.index(name) if name else i for i, name in enumerate(names)]
    return np.unique(first, return_inverse=True)[1]
