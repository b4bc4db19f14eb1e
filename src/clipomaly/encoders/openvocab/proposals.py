"""Class-agnostic mask proposals: maps of any mask decoder, or of SAM asked at a grid of points.

A mask decoder's maps are taken as they are, without their classes; those that are nowhere sure are left out.
SAM (arXiv 2304.02643) answers each point with three masks: kept are those it rates well, the larger rating
first, unless they repeat a kept one (intersection over union above 0.7).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.encoders.openvocab.maskdecoder import FAMILIES, MaskDecoder
from clipomaly.encoders.openvocab.opening import model_folder, model_type, normalised, open_model
from clipomaly.errors import MissingExtra, ModelError
from clipomaly.records import DenseFeatures

try:
    import torch
    from transformers import SamModel
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "mask proposals of a model") from error

__all__ = ["decoder_proposals", "distinct", "open_proposals", "sam_proposals"]

Proposals = Callable[[UInt8[np.ndarray, "H W 3"], DenseFeatures], Float[np.ndarray, "n h w"]]
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def open_proposals(model: str | Path) -> Proposals:
    """Proposals of a folder or hub id, by what it holds."""
    folder = model_folder(model)
    if (folder / "pyramid.json").is_file():
        return decoder_proposals(MaskDecoder(folder))
    kind = model_type(folder)
    if kind in FAMILIES:
        return decoder_proposals(MaskDecoder(folder))
    if kind == "sam":
        return sam_proposals(folder)
    raise ModelError(
        f"{folder} holds a model of type {kind or 'unknown'}: proposals come from {', '.join(FAMILIES)}, sam"
    )


def decoder_proposals(decoder: MaskDecoder) -> Proposals:
    """The decoder's maps that reach ½ somewhere."""

    def propose(image: UInt8[np.ndarray, "H W 3"], dense: DenseFeatures) -> Float[np.ndarray, "n h w"]:
        maps = decoder.masks(image, dense).maps
        return np.ascontiguousarray(maps[maps.max(axis=(1, 2)) > 0.5])

    return propose


def sam_proposals(folder: str | Path, points: int = 16, least: float = 0.8, batch: int = 32) -> Proposals:
    """SAM at a `points`×`points` grid; `least` is the rating that a mask needs."""
    model = open_model(SamModel, model_folder(folder), allow_missing=("prompt_encoder.shared_embedding",))
    side = int(model.config.vision_config.image_size)

    def propose(image: UInt8[np.ndarray, "H W 3"], dense: DenseFeatures) -> Float[np.ndarray, "n h w"]:
        scale = side / max(image.shape[:2])
        height, width = (max(1, round(s * scale)) for s in image.shape[:2])
        pixels = torch.zeros(1, 3, side, side)
        pixels[:, :, :height, :width] = normalised(image, (height, width), _MEAN, _STD)
        ys, xs = ((np.arange(points) + 0.5) * n / points for n in (height, width))
        at = torch.tensor(np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 1, 2), dtype=torch.float32)
        maps, ratings = [], []
        with torch.inference_mode():
            seen = model.get_image_embeddings(pixels)
            for first in range(0, len(at), batch):
                some = at[first : first + batch]
                out = model(image_embeddings=seen, input_points=some[None], multimask_output=True)
                maps.append(out.pred_masks[0].flatten(0, 1).sigmoid())
                ratings.append(out.iou_scores[0].flatten())
        both = torch.cat(maps), torch.cat(ratings)
        rows, columns = (max(1, round(n / side * both[0].shape[-1])) for n in (height, width))
        kept = distinct(both[0][:, :rows, :columns].float().numpy(), both[1].float().numpy(), least)
        return np.ascontiguousarray(kept)

    return propose


def distinct(
    maps: Float[np.ndarray, "n h w"], ratings: Float[np.ndarray, " n"], least: float, overlap: float = 0.7
) -> Float[np.ndarray, "m h w"]:
    """Well-rated maps, best first, without those that repeat a better one.

    >>> one, two = np.eye(2, dtype=np.float32)[:, None]
    >>> maps = np.stack([one, one, two])
    >>> distinct(maps, np.array([0.9, 0.95, 0.5], np.float32), 0.8).shape
    (1, 1, 2)
    """
    order = [int(i) for i in np.argsort(-ratings, kind="stable") if ratings[i] >= least]
    kept: list[int] = []
    hard = (maps > 0.5).reshape(len(maps), -1)
    for i in order:
        if not hard[i].any():
            continue
        shared = [(hard[i] & hard[k]).sum() / (hard[i] | hard[k]).sum() for k in kept]
        if all(s <= overlap for s in shared):
            kept.append(i)
    return maps[kept]
