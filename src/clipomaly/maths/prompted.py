"""Scores from known and outlier prompts: VL4AD's (arXiv 2409.17330), for pixels and for masks.

    z_k  = max over the prompts l of class k of cos(v, t_k^l)             max-logit prompt ensembling
    z_g  = max over the classes k of group g of z_k                       class merging: prompts concatenated
    c    = softmax([z_1 … z_K, cos(v, o_1) … cos(v, o_Q)] / T)            Q outlier prompts o, a column each
    u    = −max_{k ≤ K} Σ_i s_i c_{i,k}                                   only known columns count

i ranges over a decoder's masks, s_i is a mask's map; on a per-pixel encoder i ranges over places and s is the
identity, so u = −max_{k ≤ K} c_k there, and 1 + u lies in [0, 1].

What follows, for pixels and for masks alike:
- A further outlier prompt never lowers u: it takes probability from every known column.
- Merging never raises u: a group's column keeps its best member's numerator, and the sum below it shrinks.
- A further prompt of a class may move u either way: on pixels it never raises it where that class is the
  best, and never lowers it where another class stays the best.
- Without outlier prompts and merging, 1 + u on pixels is `scores.msp` of the ensembled logits.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from clipomaly.maths.vectors import unit_rows

__all__ = ["best_of", "known_probabilities", "mask_masses", "mask_uncertainty", "unexplained"]

#: Numbers held at once for the K probability maps of a band of rows.
_BAND = 1 << 22


def best_of(S: Float[np.ndarray, "*grid p"], owner: Int[np.ndarray, " p"]) -> Float[np.ndarray, "*grid K"]:
    """The largest of each owner's columns; owners are 0…K−1, each with a column, in any order.

    >>> best_of(np.array([0.1, 0.7, 0.3], np.float32), np.array([1, 0, 1])).round(1).tolist()
    [0.699999988079071, 0.30000001192092896]
    """
    order = np.argsort(owner, kind="stable")
    owners, starts = np.unique(owner[order], return_index=True)
    if not len(owner) or not np.array_equal(owners, np.arange(len(owners))):
        raise ValueError("owners must be 0…K−1, and each must have a column")
    return np.maximum.reduceat(S[..., order], starts, axis=-1)


def known_probabilities(
    known: Float[np.ndarray, "*grid K"], outliers: Float[np.ndarray, "*grid Q"], tau: float
) -> Float[np.ndarray, "*grid K"]:
    """The known columns of the softmax over known and outlier columns; Q may be 0.

    >>> known_probabilities(np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32), 0.1).tolist()
    [[0.25, 0.25]]
    """
    top, below = _shares(known, outliers, tau)
    return top / below[..., None]


def unexplained(
    known: Float[np.ndarray, "*grid K"], outliers: Float[np.ndarray, "*grid Q"], tau: float
) -> Float[np.ndarray, "*grid"]:
    """1 + u of places: one minus the largest probability of a known class; in [0, 1], float32.

    >>> unexplained(np.array([0.3, 0.1]), np.array([0.3]), tau=0.01).round(2).item()
    0.5
    """
    top, below = _shares(known, outliers, tau)
    return np.asarray(np.clip(1 - top.max(axis=-1) / below, 0, 1), np.float32)


def mask_uncertainty(
    vectors: Float[np.ndarray, "n d"],
    maps: Float[np.ndarray, "n H W"],
    known: Float[np.ndarray, "p d"],
    owner: Int[np.ndarray, " p"],
    outliers: Float[np.ndarray, "Q d"],
    tau: float,
) -> Float[np.ndarray, "H W"]:
    """u of a mask decoder: masks' vectors and maps (0 to 1), prompts' unit text vectors, `owner` their class.

    u lies between −Σ_i s_i and 0: within [−1, 0] where a pixel's maps sum to at most 1. A decoder's own
    "no object" vector belongs among the outliers: it takes probability and never counts as known.

    >>> road, sky, dog = np.eye(3, dtype=np.float32)
    >>> maps = np.array([[[1.0, 0.0]], [[0.0, 1.0]]], np.float32)  # one mask left, one right
    >>> text = np.stack([road, sky])
    >>> u = mask_uncertainty(np.stack([road, dog]), maps, text, np.array([0, 1]), dog[None], 0.1)
    >>> u.round(2).tolist()
    [[-1.0, -0.0]]
    """
    c = _mask_columns(vectors, known, owner, outliers, tau)
    n, height, width = maps.shape
    u = np.empty((height, width), np.float32)
    rows = max(1, _BAND // max(1, width * c.shape[1]))
    for top in range(0, height, rows):
        band = maps[:, top : top + rows]
        mass = c.T @ band.reshape(n, -1).astype(np.float32, copy=False)
        u[top : top + rows] = -mass.max(axis=0).reshape(band.shape[1:])
    return u


def mask_masses(
    vectors: Float[np.ndarray, "n d"],
    maps: Float[np.ndarray, "n H W"],
    known: Float[np.ndarray, "p d"],
    owner: Int[np.ndarray, " p"],
    outliers: Float[np.ndarray, "Q d"],
    tau: float,
) -> Float[np.ndarray, "H W K"]:
    """Σ_i s_i c_{i,k}, what `mask_uncertainty` takes the largest of, for every known class.

    >>> road, sky = np.eye(2, dtype=np.float32)
    >>> one = np.ones((1, 1, 1), np.float32)
    >>> none = np.zeros((0, 2), np.float32)
    >>> mask_masses(road[None], one, np.stack([road, sky]), np.arange(2), none, 0.1).round(2).tolist()
    [[[1.0, 0.0]]]
    """
    c = _mask_columns(vectors, known, owner, outliers, tau)
    n, height, width = maps.shape
    return (maps.reshape(n, -1).T.astype(np.float32) @ c).reshape(height, width, -1)


def _mask_columns(
    vectors: np.ndarray, known: np.ndarray, owner: np.ndarray, outliers: np.ndarray, tau: float
) -> np.ndarray:
    """c_{i,k} of the known columns: [n, K]."""
    unit = unit_rows(vectors)
    return known_probabilities(best_of(unit @ known.T, owner), unit @ outliers.T, tau).astype(np.float32)


def _shares(known: np.ndarray, outliers: np.ndarray, tau: float) -> tuple[np.ndarray, np.ndarray]:
    """exp((known − largest)/τ), and the sum of these and the outliers' below it: no column ever overflows."""
    if not tau > 0:
        raise ValueError(f"a temperature is above 0, not {tau}")
    if not known.shape[-1]:
        raise ValueError("scores need at least one known class")
    known, outliers = np.asarray(known, np.float32), np.asarray(outliers, np.float32)
    largest = known.max(axis=-1, keepdims=True)
    if outliers.shape[-1]:
        largest = np.maximum(largest, outliers.max(axis=-1, keepdims=True))
    top = np.exp((known - largest) / np.float32(tau))
    rest = np.exp((outliers - largest) / np.float32(tau))
    return top, np.asarray(top.sum(axis=-1) + rest.sum(axis=-1))
