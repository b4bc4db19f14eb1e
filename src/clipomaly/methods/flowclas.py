"""FlowCLAS (Lee et al., arXiv 2411.19888): a density of ordinary features, learned by a normalizing flow.

    x_l    features of layer l of a frozen network, at every place
    z_l    = f_l(LN(x_l));  f_l: K × [ActNorm, random permutation, affine coupling]
    g_l    = mean_c( −½ ((z − μ)/σ)² − log σ ),   v_l = log|det ∂f_l/∂x| / d_l − mean of it
    score  = mean_l 1 − exp(g_l)            (`released`; with v_l: `jacobian`; without exp: `log`, `nll`)

No class labels are needed, and no text: findings are regions without names. What the flow learns, and what
outliers pasted into its training frames change, stands in `training/flow/`; the score policies in
`maths/flow.py`. Labels of known classes come from the same pass: a segmenter's logits, or an encoder's
patches compared with the vocabulary if `--model` is the encoder that the flow was trained on.

Deviations: the authors merge scores over masks of SAM 2 afterwards; we do not. Any frozen network serves, not
only a DINOv2 that was fine-tuned on the known classes. Others are named in `training/flow/`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.config import Settings
from clipomaly.encoders.prompts import bank_of_vocabulary
from clipomaly.encoders.seam import Encoder
from clipomaly.errors import ConfigError
from clipomaly.maths.flow import POLICIES, mean_over_layers
from clipomaly.maths.grids import upsample
from clipomaly.methods.backbones import Reading, class_order
from clipomaly.methods.flow_folder import FlowFolder, LayerMaps, Layers
from clipomaly.methods.unnamed import frame_threshold, unnamed_prediction
from clipomaly.records import Prediction
from clipomaly.thresholds import Thresholds, load_thresholds
from clipomaly.vocabulary import Vocabulary

__all__ = ["ANY_VOCABULARY", "FlowCLAS", "full_size_score", "open_flowclas"]

Image = UInt8[np.ndarray, "_ _ 3"]
#: The key of its thresholds: the score depends on no vocabulary.
ANY_VOCABULARY = "any"


def full_size_score(
    maps: LayerMaps, layers: Layers, policy: str, mean_volume: Sequence[float] = ()
) -> Float[np.ndarray, "H W"]:
    """Every layer's score brought to the picture's pixels, and their mean."""
    scores = maps.scores(policy, mean_volume)
    extents = layers.extents[-1:] if policy == "head" else layers.extents
    return mean_over_layers(
        [upsample(s, extent, layers.size) for s, extent in zip(scores, extents, strict=True)]
    )


class FlowCLAS:
    """A trained flow as a method."""

    name = "flowclas"

    def __init__(
        self,
        folder: FlowFolder,
        settings: Settings | None = None,
        *,
        encoder: Callable[[], Encoder] | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.folder = folder
        self.settings = settings or Settings()
        self.score = self.settings.flowclas.flow_score or folder.config.score
        if self.score == "head" and not folder.config.outlier_exposure:
            raise ConfigError(
                f"{folder.folder} was trained without outliers, so it has no head: use another --flow-score"
            )
        self.thresholds = thresholds
        self._open_encoder = encoder

    def predict(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Prediction]:
        """Score, regions and the best known class of each picture."""
        return [self._predict(image, vocabulary) for image in images]

    def score_map(self, image: Image, vocabulary: Vocabulary) -> Float[np.ndarray, "H W"]:
        """The score alone; the vocabulary changes nothing."""
        layers = self.folder.features.read(image)
        return full_size_score(self.folder.run(layers), layers, self.score, self.folder.config.mean_volume)

    def every_score(self, image: Image) -> dict[str, Float[np.ndarray, "H W"]]:
        """The map of each score that this flow has, from one pass: what thresholds are calibrated on."""
        config = self.folder.config
        names = (*POLICIES, "head") if config.outlier_exposure else POLICIES
        layers = self.folder.features.read(image)
        ran = self.folder.run(layers)
        return {name: full_size_score(ran, layers, name, config.mean_volume) for name in names}

    def conditions(self) -> dict[str, object]:
        """What a calibrated threshold depends on."""
        return {"model_hash": self.folder.fingerprint, "long_side": self.folder.config.long_side}

    def calibrated(self, vocabulary: Vocabulary) -> float | None:
        """The threshold measured beforehand for this score."""
        if self.thresholds is None:
            return None
        return self.thresholds.find(ANY_VOCABULARY, self.score, self.conditions())

    def why_uncalibrated(self) -> str:
        """Why no calibrated threshold applies."""
        reason = None if self.thresholds is None else self.thresholds.mismatch(self.conditions())
        return (
            f"no calibrated threshold for flowclas with the score {self.score} "
            f"({reason or 'the folder carries none'}): run `clipomaly calibrate --method flowclas` on "
            "ordinary frames, or use --threshold otsu"
        )

    @cached_property
    def encoder_of_texts(self) -> Encoder | None:
        """The encoder whose texts fit the flow's patches: that of the settings, if it is the same one."""
        config = self.folder.config
        if config.kind != "encoder" or not config.text_fingerprint or self._open_encoder is None:
            return None
        encoder = self._open_encoder()
        return encoder if encoder.spec.extra.get("text_fingerprint") == config.text_fingerprint else None

    def _predict(self, image: Image, vocabulary: Vocabulary) -> Prediction:
        started = time.perf_counter()
        layers = self.folder.features.read(image)
        encoded = time.perf_counter()
        score = full_size_score(self.folder.run(layers), layers, self.score, self.folder.config.mean_volume)
        threshold = frame_threshold(
            score, self.settings.unknown, self.calibrated(vocabulary), self.why_uncalibrated()
        )
        seconds = {"encode": encoded - started, "score": time.perf_counter() - encoded}
        reading = self._reading(layers, vocabulary)
        return unnamed_prediction(score, reading, vocabulary, self.settings, threshold, seconds)

    def _reading(self, layers: Layers, vocabulary: Vocabulary) -> Reading | None:
        if layers.known is None:
            return None
        known, temperature = layers.known, None
        if self.folder.config.kind == "segmenter":
            order = class_order(self.folder.features.segmenter, known.shape[2], vocabulary)
            known = known if order is None else known[:, :, order]
        else:
            encoder = self.encoder_of_texts
            if encoder is None:
                return None
            bank = bank_of_vocabulary(encoder, vocabulary, self.settings.unknown.synonyms)
            known, temperature = bank.similarity(known), self.folder.config.temperature
        return Reading(
            size=layers.size,
            known=known,
            extent=layers.known_extent,
            features=layers.maps[-1],
            feature_extent=layers.extents[-1],
            temperature=temperature,
        )


def open_flowclas(
    settings: Settings, encoder: Callable[[], Encoder] | None = None, threads: int | None = None
) -> tuple[FlowCLAS, tuple[str, ...]]:
    """The flow that `--fitted` names, with what a person should know about it."""
    if settings.fitted is None:
        raise ConfigError(
            "method flowclas needs a trained flow: run `clipomaly train flowclas --frames FOLDER --out DIR`, "
            "then give --fitted DIR"
        )
    folder = FlowFolder(settings.fitted, threads)
    path = settings.unknown.thresholds or folder.folder / "thresholds.json"
    there = settings.unknown.thresholds is not None or (folder.folder / "thresholds.json").is_file()
    method = FlowCLAS(folder, settings, encoder=encoder, thresholds=load_thresholds(path) if there else None)
    notices: tuple[str, ...] = ()
    if folder.config.kind == "encoder" and method.encoder_of_texts is None:
        notices = (
            "known classes are not labelled: the flow was trained on another encoder than --model "
            f"({folder.config.name})",
        )
    return method, notices
