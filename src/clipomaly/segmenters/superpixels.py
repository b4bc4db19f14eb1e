"""Class-agnostic segments without any model: watershed superpixels, joined as Felzenszwalb & Huttenlocher do.

    superpixels   watershed of the smoothed picture from a regular lattice of seeds
    graph         neighbours i, j with weight w = ‖Lab_i − Lab_j‖ / 100 + λ (1 − cos(z_i, z_j))
    join          edges in order of weight, a pair if  w ≤ min( Int(A) + k/|A|, Int(B) + k/|B| )

Int(A) is the largest weight that was joined inside A, |A| its number of superpixels (IJCV 59, 2004). z are
the encoder's vectors pooled over a superpixel: a shadow's edge is a step in colour but none in meaning.
Several k give several partitions, from fine to coarse. The same picture always gives the same segments.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Int, Int32, UInt8

from clipomaly.maths.vectors import unit_rows

__all__ = ["join", "neighbours", "pooled", "superpixels"]


def superpixels(image: UInt8[np.ndarray, "H W 3"], pitch: int = 8) -> Int32[np.ndarray, "H W"]:
    """Segments 0…n−1, about one a square of `pitch` pixels, with borders on the picture's edges.

    >>> picture = np.zeros((16, 32, 3), np.uint8)
    >>> picture[:, 20:] = 255
    >>> labels = superpixels(picture, 8)
    >>> set(labels[:, :20].ravel().tolist()) & set(labels[:, 20:].ravel().tolist())
    set()
    """
    height, width = image.shape[:2]
    rows = np.unique(np.linspace(0, height - 1, max(1, round(height / pitch)) * 2 + 1).astype(int)[1::2])
    columns = np.unique(np.linspace(0, width - 1, max(1, round(width / pitch)) * 2 + 1).astype(int)[1::2])
    if len(rows) * len(columns) < 2 or min(height, width) < 3:
        return np.zeros((height, width), np.int32)
    markers = np.zeros((height, width), np.int32)
    markers[np.ix_(rows, columns)] = 1 + np.arange(len(rows) * len(columns)).reshape(len(rows), len(columns))
    smooth = cv2.bilateralFilter(np.ascontiguousarray(image), 5, 30, 3)
    # The library leaves a line between basins and a frame around the picture: both go to their likest
    # neighbour below.
    padded = cv2.copyMakeBorder(smooth, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    framed = np.zeros((height + 2, width + 2), np.int32)
    framed[1:-1, 1:-1] = markers
    labels = cv2.watershed(padded, framed)[1:-1, 1:-1].astype(np.int32)
    labels = _fill(labels, smooth)
    return np.unique(labels, return_inverse=True)[1].reshape(height, width).astype(np.int32)


def _fill(labels: Int32[np.ndarray, "H W"], image: UInt8[np.ndarray, "H W 3"]) -> Int32[np.ndarray, "H W"]:
    """Unlabelled pixels (−1, 0) take the label of the labelled neighbour of likest colour."""
    labels = np.where(labels > 0, labels, 0)
    colour = image.astype(np.int16)
    while (todo := labels == 0).any():
        best = np.full(labels.shape, 1 << 14, np.int16)
        new = labels.copy()
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            other, near = np.roll(labels, step, axis), np.roll(colour, step, axis)
            inside = np.ones(labels.shape, bool)
            edge: list[slice | int] = [slice(None), slice(None)]
            edge[axis] = 0 if step == 1 else -1
            inside[tuple(edge)] = False
            distance = np.abs(colour - near).sum(axis=2, dtype=np.int16)
            take = todo & inside & (other > 0) & (distance < best)
            best[take], new[take] = distance[take], other[take]
        if (new == labels).all():
            break
        labels = new
    return labels


def pooled(
    labels: Int32[np.ndarray, "H W"],
    patches: Float[np.ndarray, "h w d"],
    extent: tuple[float, float],
) -> Float[np.ndarray, "n d"]:
    """Unit mean vector of each segment: every pixel counts with the patch that it lies on.

    >>> pooled(np.array([[0, 0, 1, 1]], np.int32), np.eye(2, dtype=np.float32)[None], (1.0, 2.0)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    (height, width), (h, w, d) = labels.shape, patches.shape
    i = np.minimum(((np.arange(height) + 0.5) * extent[0] / height).astype(int), h - 1)
    j = np.minimum(((np.arange(width) + 0.5) * extent[1] / width).astype(int), w - 1)
    cell = (i[:, None] * w + j[None, :]).ravel()
    count = int(labels.max()) + 1
    share = np.bincount(labels.ravel() * np.int64(h * w) + cell, minlength=count * h * w)
    mean = share.reshape(count, h * w).astype(np.float32) @ patches.reshape(h * w, d)
    return unit_rows(mean)


def neighbours(labels: Int32[np.ndarray, "H W"]) -> Int[np.ndarray, "e 2"]:
    """Pairs of segments that touch, each once, the lower number first.

    >>> neighbours(np.array([[0, 1], [0, 2]], np.int32)).tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    pairs = np.concatenate(
        [
            np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], axis=1),
            np.stack([labels[:-1].ravel(), labels[1:].ravel()], axis=1),
        ]
    ).astype(np.int64)
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    count = int(labels.max()) + 1
    codes = np.unique(pairs[:, 0] * count + pairs[:, 1])
    return np.stack([codes // count, codes % count], axis=1)


def join(
    pairs: Int[np.ndarray, "e 2"], weights: Float[np.ndarray, " e"], count: int, ks: Sequence[float]
) -> list[Int[np.ndarray, " n"]]:
    """For each k the segment that every one of `count` nodes belongs to, numbered 0…m−1.

    >>> pairs, weights = np.array([[0, 1], [1, 2]]), np.array([0.1, 5.0], np.float32)
    >>> [owner.tolist() for owner in join(pairs, weights, 3, (0.0, 1.0, 100.0))]
    [[0, 1, 2], [0, 0, 1], [0, 0, 0]]
    """
    order = np.argsort(weights, kind="stable")
    edges = [(int(a), int(b), float(w)) for (a, b), w in zip(pairs[order], weights[order], strict=True)]
    out = []
    for k in ks:
        parent, size, inner = list(range(count)), [1] * count, [0.0] * count
        for a, b, weight in edges:
            a, b = _root(parent, a), _root(parent, b)
            if a != b and weight <= min(inner[a] + k / size[a], inner[b] + k / size[b]):
                parent[b] = a
                size[a] += size[b]
                inner[a] = weight
        roots = np.array([_root(parent, n) for n in range(count)])
        out.append(np.unique(roots, return_inverse=True)[1])
    return out


def _root(parent: list[int], node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node
