"""What represents a region when it is named: vectors of the frame, of crops, or of both.

    pooled         mean of the frame's patch vectors under the mask
    masked-crop    the picture vector of the region's box, its surroundings painted over
    context-crop   the picture vector of the box and a quarter more on each side
    mean           the mean of these three
    zoom           pooled, and the pooled and picture vectors of a square crop at the size the encoder knows
                   things at; the square is the box and a sixth more on each side

A frame shows a thing at whatever size it has there; an encoder taught with whole photographs of things names
it better at theirs. Each part is a unit vector, and so is the sum. Everything but `pooled` costs one small
forward pass a region.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from clipomaly.encoders.seam import Encoder
from clipomaly.maths.grids import pool, pool_regions
from clipomaly.maths.vectors import unit_rows
from clipomaly.records import DenseFeatures, Region

__all__ = ["region_vectors"]

Picture = UInt8[np.ndarray, "_ _ 3"]


def region_vectors(
    encoder: Encoder, image: Picture, dense: DenseFeatures, regions: Sequence[Region], kind: str
) -> Float[np.ndarray, "r d"]:
    """A unit vector for each region (at least one); `kind` is a value of `--embedding`."""
    parts: list[Float[np.ndarray, "r d"]] = []
    if kind in ("pooled", "mean", "zoom"):
        parts.append(pool_regions(dense.patches, regions, dense.extent))
    crops: list[Callable[[Picture, Region], Picture]] = []
    if kind in ("masked-crop", "mean"):
        crops.append(masked_crop)
    if kind in ("context-crop", "mean"):
        crops.append(context_crop)
    for crop in crops:
        own = max(encoder.spec.image_size)
        encoded = encoder.encode_images([crop(image, r) for r in regions], least_side=own)
        parts.append(np.stack([f.summary for f in encoded]))
    if kind == "zoom":
        side = zoom_side(encoder)
        zoomed = [zoom(image, r, side) for r in regions]
        encoded = encoder.encode_images([picture for picture, _ in zoomed], least_side=side)
        parts.append(
            np.stack([pool(f.patches, m, f.extent) for f, (_, m) in zip(encoded, zoomed, strict=True)])
        )
        parts.append(np.stack([f.summary for f in encoded]))
    return unit_rows(np.mean([unit_rows(p) for p in parts], axis=0))


def zoom_side(encoder: Encoder) -> int:
    """Pixels a side of a zoomed crop: what the model's folder says, or the size it was trained at."""
    return int(str(encoder.spec.extra.get("zoom", max(encoder.spec.image_size))))


def masked_crop(image: Picture, region: Region) -> Picture:
    crop = image[region.slices].copy()
    crop[~region.mask] = crop.reshape(-1, 3).mean(axis=0).astype(np.uint8)
    return crop


def context_crop(image: Picture, region: Region) -> Picture:
    x, y, width, height = region.box
    dx, dy = width // 4, height // 4
    return image[max(0, y - dy) : y + height + dy, max(0, x - dx) : x + width + dx]


def zoom(image: Picture, region: Region, side: int) -> tuple[Picture, Bool[np.ndarray, "h w"]]:
    """The square around a region (less where the picture ends), its longer side `side`, and the mask in it.

    >>> region = Region((10, 20, 8, 2), np.ones((2, 8), bool), 1.0, (100, 100))
    >>> picture, mask = zoom(np.zeros((100, 100, 3), np.uint8), region, 100)
    >>> picture.shape, mask.shape, int(mask.sum())       # 8×2 pixels of a square of 10
    ((100, 100, 3), (100, 100), 1600)
    """
    height, width = image.shape[:2]
    x, y, w, h = region.box
    whole = max(w, h) + 2 * (max(w, h) // 6)
    y0, x0 = max(0, y - (whole - h) // 2), max(0, x - (whole - w) // 2)
    y1, x1 = min(height, y0 + whole), min(width, x0 + whole)
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    mask[y - y0 : y - y0 + h, x - x0 : x - x0 + w] = region.mask[: y1 - y, : x1 - x]
    scale = side / max(mask.shape)
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(np.ascontiguousarray(image[y0:y1, x0:x1]), size, interpolation=way)
    shown = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST).astype(bool)
    return picture, shown if shown.any() else np.ones_like(shown)
