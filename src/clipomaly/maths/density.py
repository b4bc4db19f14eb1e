"""How far a feature vector lies from those of known places: two measures, both brought into [0, 1].

Mahalanobis (Lee et al., arXiv 1807.03888): one mean a class, one covariance for all,

    m(x) = min_c (x − μ_c)ᵀ Σ⁻¹ (x − μ_c),   score = m / (m + d)       (½: as far as is usual for d numbers)

With Σ = L Lᵀ, z = L⁻¹x and ν_c = L⁻¹μ_c the form is |z|² − 2 z·ν_c + |ν_c|²: one matrix product and row
norms, whatever the number of places.

Nearest neighbours (Sun et al., arXiv 2204.06507): the cosine to the k-th most similar of kept vectors,

    score = (1 − cos_k) / 2
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from clipomaly.maths.vectors import unit_rows

__all__ = ["GaussianFit", "Gaussians", "NeighbourFit", "Neighbours"]

#: Rows compared with all kept vectors at a time.
_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class Gaussians:
    """Class means with a shared covariance, ready to measure distances."""

    centre: Float[np.ndarray, " d"]
    """Mean of everything: subtracted first, so that the norms below do not cancel."""
    whiten: Float[np.ndarray, "d d"]
    """L⁻ᵀ: rows times it have unit covariance."""
    means: Float[np.ndarray, "C d"]
    """Class means, centred and whitened."""

    def score(self, x: Float[np.ndarray, "*grid d"]) -> Float[np.ndarray, "*grid"]:
        """0 at a class mean, towards 1 far from all of them."""
        flat = x.reshape(-1, x.shape[-1]).astype(np.float32, copy=False)
        if flat.shape[1] != len(self.centre):
            raise ValueError(f"fitted on {len(self.centre)} features a place, given {flat.shape[1]}")
        z = (flat - self.centre) @ self.whiten
        square = np.einsum("nd,nd->n", z, z)[:, None] - 2 * z @ self.means.T
        square += np.einsum("cd,cd->c", self.means, self.means)
        nearest = np.maximum(square.min(axis=1), 0)
        return (nearest / (nearest + x.shape[-1])).astype(np.float32).reshape(x.shape[:-1])


class GaussianFit:
    """Gathers what `Gaussians` needs, a batch at a time, in memory of d² numbers.

    >>> fit = GaussianFit(classes=1, width=2)
    >>> fit.add(np.array([[0, 0], [2, 0], [0, 2], [2, 2]], np.float32), np.zeros(4, int))
    >>> fit.finish().score(np.array([[1.0, 1.0]], np.float32)).tolist()
    [0.0]
    """

    def __init__(self, classes: int, width: int) -> None:
        self._count = np.zeros(classes)
        self._sum = np.zeros((classes, width))
        self._outer = np.zeros((width, width))

    def add(self, x: Float[np.ndarray, "n d"], label: Integer[np.ndarray, " n"]) -> None:
        """Vectors with their classes."""
        x = x.astype(np.float64)
        np.add.at(self._count, label, 1)
        np.add.at(self._sum, label, x)
        self._outer += x.T @ x

    def finish(self, ridge: float = 1e-4) -> Gaussians:
        """The fit; `ridge`, a share of the mean variance, keeps the covariance invertible."""
        seen = self._count > 0
        if not seen.any():
            raise ValueError("nothing to fit on")
        total, width = self._count.sum(), self._sum.shape[1]
        means = self._sum[seen] / self._count[seen, None]
        cov = (self._outer - (means * self._count[seen, None]).T @ means) / total
        cov = (cov + cov.T) / 2 + max(ridge * float(np.trace(cov)) / width, 1e-12) * np.eye(width)
        whiten = np.linalg.inv(np.linalg.cholesky(cov)).T
        centre = self._sum.sum(axis=0) / total
        return Gaussians(
            centre=centre.astype(np.float32),
            whiten=whiten.astype(np.float32),
            means=((means - centre) @ whiten).astype(np.float32),
        )


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Kept unit vectors of known places."""

    kept: Float[np.ndarray, "n d"]
    k: int = 1

    def score(self, x: Float[np.ndarray, "*grid d"]) -> Float[np.ndarray, "*grid"]:
        """0 where `k` kept vectors point the same way, 1 where they point the other way."""
        flat = unit_rows(x.reshape(-1, x.shape[-1]).astype(np.float32, copy=False))
        if flat.shape[1] != self.kept.shape[1]:
            raise ValueError(f"fitted on {self.kept.shape[1]} features a place, given {flat.shape[1]}")
        place = len(self.kept) - min(self.k, len(self.kept))
        out = np.empty(len(flat), np.float32)
        for first in range(0, len(flat), _CHUNK):
            cosine = flat[first : first + _CHUNK] @ self.kept.T
            # The very nearest is a plain maximum: several times quicker than a partition.
            kth = cosine.max(axis=1) if self.k == 1 else np.partition(cosine, place, axis=1)[:, place]
            out[first : first + _CHUNK] = kth
        return np.clip((1 - out) / 2, 0, 1).reshape(x.shape[:-1])


class NeighbourFit:
    """Keeps a sample of all vectors that were ever added: the same number a class, chosen by a seed.

    Each vector draws a number, and each class keeps those with the smallest: a fair sample of a stream of
    unknown length, in bounded memory.

    >>> fit = NeighbourFit(classes=2, size=8)
    >>> fit.add(np.eye(4, dtype=np.float32), np.array([0, 0, 0, 1]))
    >>> fit.finish().kept.shape
    (4, 4)
    """

    def __init__(self, classes: int, size: int = 4096, seed: int = 0) -> None:
        self._quota = max(1, size // max(1, classes))
        self._random = np.random.default_rng(seed)
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def add(self, x: Float[np.ndarray, "n d"], label: Integer[np.ndarray, " n"]) -> None:
        """Vectors with their classes."""
        draw = self._random.random(len(x))
        for c in np.unique(label).tolist():
            rows = np.flatnonzero(label == c)
            rows = rows[np.argsort(draw[rows], kind="stable")[: self._quota]]
            old_draw, old = self._kept.get(c, (np.empty(0), np.empty((0, x.shape[1]), np.float32)))
            joined = np.concatenate([old_draw, draw[rows]])
            best = np.argsort(joined, kind="stable")[: self._quota]
            self._kept[c] = (
                joined[best],
                np.concatenate([old, unit_rows(x[rows].astype(np.float32, copy=False))])[best],
            )

    def finish(self, k: int = 1) -> Neighbours:
        """The sample, classes in order."""
        if not self._kept:
            raise ValueError("nothing to fit on")
        return Neighbours(np.concatenate([self._kept[c][1] for c in sorted(self._kept)]), k)
