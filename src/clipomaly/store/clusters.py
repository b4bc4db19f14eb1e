"""Groups of findings by their vectors: near duplicates, and clusters with suggested names.

    near duplicates   a ~ b if cos(v_a, v_b) ≥ threshold; groups are what such pairs connect
    clusters          spherical DP-means (Kulis & Jordan 2012): a vector joins the nearest centre, or becomes
                      one itself if no cosine reaches `reach`; centres move to their members' mean, repeat

Cosines of a model's vectors are all alike (0.6 to 0.9), so clusters are made on centred vectors: the mean of
all is taken away first. Nothing is n × n: near duplicates are looked for inside cells of a coarse partition
(each vector in its two nearest cells), so a pair that lies in no common cell may be missed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from clipomaly.store.records import StoredFinding

__all__ = ["Cluster", "centred", "clusters_of", "dp_means", "near_duplicates", "suggest_names"]

_BLOCK = 4096


def centred(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Unit vectors less their mean, of unit length again."""
    if len(vectors) < 2:
        return vectors
    out = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
    return out


def near_duplicates(
    vectors: Float[np.ndarray, "n d"], threshold: float = 0.97, seed: int = 0
) -> Integer[np.ndarray, " n"]:
    """The group of each vector: numbered from 0 by their first members.

    >>> near_duplicates(np.array([[1, 0], [0, 1], [1, 0.01]], np.float32)).tolist()
    [0, 1, 0]
    """
    n = len(vectors)
    parent = np.arange(n)
    for members in _cells(vectors, seed):
        for first in range(0, len(members), _BLOCK):
            rows = members[first : first + _BLOCK]
            near = vectors[rows] @ vectors[members].T >= threshold
            for i, j in zip(*np.nonzero(np.triu(near, first + 1)), strict=True):
                _join(parent, int(rows[i]), int(members[j]))
    roots = np.array([_root(parent, i) for i in range(n)], np.int64)
    _, where, group = np.unique(roots, return_index=True, return_inverse=True)
    rank = np.empty(len(where), np.int64)
    rank[np.argsort(where)] = np.arange(len(where))
    numbered: Integer[np.ndarray, " n"] = rank[group] if n else np.zeros(0, np.int64)
    return numbered


def _cells(vectors: Float[np.ndarray, "n d"], seed: int) -> list[Integer[np.ndarray, " m"]]:
    """Rows of each cell of a coarse partition; each row is in its two nearest cells."""
    n = len(vectors)
    if n <= _BLOCK:
        return [np.arange(n)]
    rng = np.random.default_rng(seed)
    centres = vectors[np.sort(rng.choice(n, round(n**0.5), replace=False))]
    two = np.concatenate(
        [
            np.argpartition(-(vectors[i : i + _BLOCK] @ centres.T), 1, axis=1)[:, :2]
            for i in range(0, n, _BLOCK)
        ]
    )
    cells: dict[int, list[int]] = defaultdict(list)
    for row, pair in enumerate(two.tolist()):
        for cell in pair:
            cells[cell].append(row)
    return [np.array(rows) for _, rows in sorted(cells.items())]


def _root(parent: np.ndarray, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = int(parent[i])
    return i


def _join(parent: np.ndarray, i: int, j: int) -> None:
    a, b = _root(parent, i), _root(parent, j)
    if a != b:
        parent[max(a, b)] = min(a, b)


def dp_means(
    vectors: Float[np.ndarray, "n d"], reach: float = 0.5, rounds: int = 5, most: int = 2000
) -> Integer[np.ndarray, " n"]:
    """The cluster of each vector, 0 the largest. The number of clusters follows from `reach`.

    >>> x = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    >>> dp_means(x / np.linalg.norm(x, axis=1, keepdims=True)).tolist()
    [0, 0, 1]
    """
    n, width = vectors.shape
    if not n:
        return np.zeros(0, np.int64)
    centres = np.empty((min(most, n), width), np.float32)
    count = 0
    for first in range(0, n, 256):
        block = vectors[first : first + 256]
        near = (block @ centres[:count].T).max(axis=1) if count else np.full(len(block), -np.inf)
        before = count
        for i in np.flatnonzero(near < reach):  # one by one: a new centre must be seen by the next vector
            if count == len(centres):
                break
            if count == before or float((centres[before:count] @ block[i]).max()) < reach:
                centres[count] = block[i]
                count += 1
    centres = centres[:count]
    owner = np.zeros(n, np.int64)
    for _ in range(rounds):
        owner = np.concatenate(
            [np.argmax(vectors[i : i + _BLOCK] @ centres.T, axis=1) for i in range(0, n, _BLOCK)]
        )
        order = np.argsort(owner, kind="stable")
        used, starts = np.unique(owner[order], return_index=True)
        sums = np.add.reduceat(vectors[order], starts, axis=0)
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
        owner = np.searchsorted(used, owner)
    size = np.bincount(owner)
    rank = np.empty(len(size), np.int64)
    rank[np.argsort(-size, kind="stable")] = np.arange(len(size))
    numbered: Integer[np.ndarray, " n"] = rank[owner]
    return numbered


@dataclass(frozen=True)
class Cluster:
    """Findings that look alike."""

    number: int
    findings: tuple[str, ...]
    """Nearest to the middle first."""
    names: tuple[tuple[str, float], ...]
    """Suggested names with their share of the votes, best first."""
    tightness: float
    """Mean cosine with the middle, of centred vectors."""


def clusters_of(
    ids: Sequence[str],
    vectors: Float[np.ndarray, "n d"],
    votes: Mapping[str, Sequence[tuple[str, float]]],
    *,
    reach: float = 0.5,
    at_least: int = 2,
) -> list[Cluster]:
    """Clusters of at least so many findings, the largest first; `votes` are each one's candidate names."""
    seen = centred(vectors)
    owner = dp_means(seen, reach)
    out = []
    for number in range(int(owner.max()) + 1 if len(owner) else 0):
        rows = np.flatnonzero(owner == number)
        if len(rows) < at_least:
            break  # they come by size
        middle = seen[rows].mean(axis=0)
        near = seen[rows] @ (middle / max(float(np.linalg.norm(middle)), 1e-9))
        members = [ids[i] for i in rows[np.argsort(-near, kind="stable")]]
        names = suggest_names([votes.get(m, ()) for m in members])
        out.append(Cluster(number, tuple(members), names, float(near.mean())))
    return out


def suggest_names(
    votes: Sequence[Sequence[tuple[str, float]]], most: int = 3
) -> tuple[tuple[str, float], ...]:
    """Names by their share of all votes; a finding's candidate of rank r counts 1 / (r + 1).

    >>> suggest_names([[("deer", 0.3), ("fox", 0.2)], [("deer", 0.3)]])
    (('deer', 0.8), ('fox', 0.2))
    """
    total: dict[str, float] = defaultdict(float)
    for candidates in votes:
        for rank, (name, _) in enumerate(candidates):
            total[name] += 1 / (rank + 1)
    everything = sum(total.values())
    best = sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
    return tuple((name, round(votes_ / everything, 3)) for name, votes_ in best)


def votes_of(findings: Sequence[StoredFinding]) -> dict[str, list[tuple[str, float]]]:
    """Each finding's candidate names, best first."""
    return {f.id: [(c.name, c.score) for c in f.candidates] for f in findings}
