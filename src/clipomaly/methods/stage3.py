"""The open-vocabulary segmenters of stage 3 by name, and how to open one from settings."""

from __future__ import annotations

from collections.abc import Callable

from clipomaly.config import SegmentSettings
from clipomaly.errors import ConfigError
from clipomaly.segmenters.aggregated import AggregatedSegmenter
from clipomaly.segmenters.dense import DenseSegmenter
from clipomaly.segmenters.masks import MaskSegmenter
from clipomaly.segmenters.prompted import PromptedSegmenter
from clipomaly.segmenters.seam import Segmenter

__all__ = ["SEGMENTERS", "open_segmenter"]


def _dense(settings: SegmentSettings, temperature: float) -> Segmenter:
    if settings.open_model is not None:
        raise ConfigError(
            f"open segmenter dense reads no model, and --open-model names {settings.open_model}: say which "
            "segmenter it is for, such as --open-segmenter masks"
        )
    return DenseSegmenter(temperature)


def _masks(settings: SegmentSettings, temperature: float) -> Segmenter:
    if settings.open_model is None:
        return MaskSegmenter(temperature)
    from clipomaly.encoders.openvocab.proposals import open_proposals

    return MaskSegmenter(temperature, open_proposals(settings.open_model))


def _clipseg(settings: SegmentSettings, temperature: float) -> Segmenter:
    from clipomaly.encoders.openvocab.clipseg import ClipSegModel

    return PromptedSegmenter(ClipSegModel(_folder(settings, "CIDAS/clipseg-rd64-refined")))


def _sam3(settings: SegmentSettings, temperature: float) -> Segmenter:
    from clipomaly.encoders.openvocab.sam3 import Sam3NameModel

    return PromptedSegmenter(Sam3NameModel(_folder(settings, "facebook/sam3")))


def _costagg(settings: SegmentSettings, temperature: float) -> Segmenter:
    from clipomaly.encoders.openvocab.costagg import open_cost_aggregation

    where = settings.open_model
    if where is None:
        raise ConfigError(
            "open segmenter costagg needs --open-model: a folder that "
            "`clipomaly train known --decoder costagg` wrote"
        )
    head, _ = open_cost_aggregation(where)
    return AggregatedSegmenter(head)


def _folder(settings: SegmentSettings, known: str) -> str:
    if settings.open_model is None:
        raise ConfigError(
            f"open segmenter {settings.open_segmenter} needs --open-model: a folder with its weights, or a "
            f"hub id such as {known}"
        )
    return settings.open_model


#: Name → what it is, and how to open it with the encoder's temperature.
SEGMENTERS: dict[str, tuple[str, Callable[[SegmentSettings, float], Segmenter]]] = {
    "dense": ("the kept features re-scored, no second pass", _dense),
    "masks": ("class-agnostic segments with pooled features", _masks),
    "clipseg": ("CLIPSeg (arXiv 2112.10003), one decoder pass a name", _clipseg),
    "sam3": ("SAM 3 with names as prompts (arXiv 2511.16719)", _sam3),
    "costagg": ("cost aggregation as CAT-Seg's (arXiv 2303.11797)", _costagg),
}


def open_segmenter(settings: SegmentSettings, temperature: float) -> Segmenter:
    """The segmenter that the settings name.

    >>> open_segmenter(SegmentSettings(open_segmenter="masks"), 0.07).name
    'masks'
    """
    if settings.open_segmenter not in SEGMENTERS:
        raise ConfigError(
            f"unknown open segmenter {settings.open_segmenter!r}: use one of {', '.join(SEGMENTERS)}"
        )
    return SEGMENTERS[settings.open_segmenter][1](settings, temperature)
