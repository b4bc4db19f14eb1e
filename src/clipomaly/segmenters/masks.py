"""Open-vocabulary segmentation by masks: class-agnostic segments, each named by its pooled CLIP vector.

    z_i   = unit mean of the patch vectors E under segment i
    partitions (no model):   S(p, c) = mean over partitions of z_i(p) · t_c,  i(p) the segment of pixel p
    proposals (a model's):   S(p, c) = ( Σ_i m_i(p) z_i·t_c + u(p) E(p)·t_c ) / ( Σ_i m_i(p) + u(p) ),
                             m_i ∈ [0, 1] the maps, u = max(0, 1 − Σ_i m_i): what no mask covers stays dense

What it buys over the dense scores: borders on the picture's own edges, and one answer a segment instead of a
patchwork. What it costs: a thing that shares a segment with the road shares its name.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.maths.grids import mask_to_grid, upsample
from clipomaly.records import DenseFeatures
from clipomaly.segmenters.seam import NameBank, NameScores
from clipomaly.segmenters.superpixels import join, neighbours, pooled, superpixels

__all__ = ["MaskSegmenter", "Proposals", "by_partitions", "by_proposals"]

#: A picture → maps in [0, 1] on a grid that covers it exactly.
Proposals = Callable[[UInt8[np.ndarray, "H W 3"], DenseFeatures], Float[np.ndarray, "n h w"]]

#: Longer side of the grid that segments lie on.
_SIDE = 320
#: Weight of meaning against colour between neighbours, and the k of each partition.
_MEANING = 1.5
_KS = (0.15, 0.4, 1.0)


class MaskSegmenter:
    """Proposals of a model, or superpixels of our own where there is none.

    >>> from clipomaly.encoders.prompts import bank_of_names
    >>> from clipomaly.testing import ColourEncoder, colour_picture
    >>> encoder, picture = ColourEncoder(), colour_picture("green", box="red")
    >>> [dense] = encoder.encode_images([picture])
    >>> found = MaskSegmenter(encoder.spec.temperature).segment(
    ...     picture, dense, bank_of_names(encoder, ("green", "red"))
    ... )
    >>> found.scores.argmax(axis=2)[[0, 48], [0, 64]].tolist()
    [0, 1]
    """

    name = "masks"

    def __init__(self, temperature: float, proposals: Proposals | None = None) -> None:
        self.temperature = temperature
        self.proposals = proposals

    def segment(self, image: UInt8[np.ndarray, "H W 3"], dense: DenseFeatures, names: NameBank) -> NameScores:
        """Scores on a grid of the picture's shape, at most 320 a side."""
        scale = min(1.0, _SIDE / max(image.shape[:2]))
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        if self.proposals is None:
            small = image
            if small.shape[:2] != (height, width):
                small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            scores = by_partitions(np.asarray(small, np.uint8), dense, names)
        else:
            scores = by_proposals(self.proposals(image, dense), dense, names, (height, width))
        return NameScores(scores, (float(scores.shape[0]), float(scores.shape[1])), self.temperature)


def by_partitions(
    image: UInt8[np.ndarray, "H W 3"], dense: DenseFeatures, names: NameBank
) -> Float[np.ndarray, "H W n"]:
    """Cosines of each pixel's segments with the names, mean over superpixels and all joined partitions."""
    labels = superpixels(image)
    count = int(labels.max()) + 1
    fine = pooled(labels, dense.patches, dense.extent)
    area = np.bincount(labels.ravel(), minlength=count)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32).reshape(-1, 3)
    sums = [np.bincount(labels.ravel(), lab[:, c], minlength=count) for c in range(3)]
    colour = np.stack(sums, axis=1) / area[:, None]
    pairs = neighbours(labels)
    a, b = pairs[:, 0], pairs[:, 1]
    step = np.linalg.norm(colour[a] - colour[b], axis=1) / 100 + _MEANING * (1 - (fine[a] * fine[b]).sum(1))
    scores = names.similarity(fine)
    for owner in join(pairs, step.astype(np.float32), count, _KS):
        joined = np.zeros((int(owner.max()) + 1, fine.shape[1]), np.float32)
        np.add.at(joined, owner, fine * area[:, None].astype(np.float32))
        joined /= np.maximum(np.linalg.norm(joined, axis=1, keepdims=True), 1e-12)
        scores = scores + names.similarity(joined)[owner]
    return np.asarray(scores / (1 + len(_KS)), np.float32)[labels]


def by_proposals(
    maps: Float[np.ndarray, "n h w"], dense: DenseFeatures, names: NameBank, size: tuple[int, int]
) -> Float[np.ndarray, "H W c"]:
    """Cosines under a model's masks; where no mask lies, those of the places themselves."""
    height, width = size
    resized = [cv2.resize(m, (width, height), interpolation=cv2.INTER_LINEAR) for m in maps]
    kept, vectors = [], []
    grid = dense.patches.shape[:2]
    for one in resized:
        weight = mask_to_grid(one > 0.5, dense.extent, (grid[0], grid[1]))
        mean = np.tensordot(weight, dense.patches, 2)
        length = float(np.linalg.norm(mean))
        if length > 1e-9:
            kept.append(np.asarray(one, np.float32))
            vectors.append(mean / length)
    places = upsample(names.similarity(dense.patches), dense.extent, size)
    if not kept:
        return np.asarray(places, np.float32)
    stack = np.stack(kept).reshape(len(kept), -1)
    similarity = names.similarity(np.stack(vectors).astype(np.float32))
    covered = stack.sum(axis=0)
    free = np.maximum(0, 1 - covered)
    total = stack.T @ similarity + free[:, None] * places.reshape(height * width, -1)
    return (total / (covered + free)[:, None]).reshape(height, width, -1).astype(np.float32)
