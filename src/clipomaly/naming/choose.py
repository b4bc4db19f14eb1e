"""Which names enter the vocabulary: region-aware CLIP scoring (Clipomaly, stage 2).

For region r with unit vector e_r, known class vectors t_c and candidate name vectors t_w:

    similarity(r, w) = e_r · t_w        margin(r, w) = similarity(r, w) − max_c e_r · t_c

A name may enter through region r only if margin(r, w) > m. Policies decide how many:
`all` (every candidate above the margin), `clip-best` (each region's best one), `clip-top-k`.
At most `cap` names enter for a frame, those with the largest margins: training-free methods fall from
44–59 to about 4 mIoU when 200 near-distractor names join the prompt list, as a published study found.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from clipomaly.errors import ConfigError
from clipomaly.records import Candidate

__all__ = ["POLICIES", "enter_names", "preselect", "rank_candidates"]

#: Names that a region may contribute, by policy (None: all of them; clip-top-k takes its own number).
POLICIES: dict[str, int | None] = {"all": None, "clip-best": 1, "clip-top-k": 0}


def preselect(region_similarity: Float[np.ndarray, "r n"], keep: int) -> list[int]:
    """The words that come closest to any region: indices, best first.

    >>> preselect(np.array([[0.1, 0.9, 0.3], [0.8, 0.2, 0.3]], np.float32), keep=2)
    [1, 0]
    """
    best = region_similarity.max(axis=0)
    return [int(i) for i in np.argsort(-best, kind="stable")[:keep]]


def rank_candidates(
    similarity: Float[np.ndarray, " n"],
    best_known: float,
    words: Sequence[str],
    sources: Sequence[str],
    keep: int,
) -> tuple[Candidate, ...]:
    """One region's candidates, best first.

    >>> [c.name for c in rank_candidates(np.array([0.2, 0.5]), 0.3, ["tyre", "deer"], ["dictionary"] * 2, 5)]
    ['deer', 'tyre']
    """
    order = np.argsort(-similarity, kind="stable")[:keep]
    return tuple(
        Candidate(words[i], sources[i], float(similarity[i]), float(similarity[i] - best_known), rank)
        for rank, i in enumerate(order)
    )


def enter_names(
    candidates: Sequence[Sequence[Candidate]], *, policy: str, top_k: int, margin: float, cap: int
) -> dict[str, list[int]]:
    """The names that enter W, each with the regions it was found for, largest margin first.

    >>> deer = Candidate("deer", "dictionary", 0.5, 0.2, 0)
    >>> enter_names([[deer], []], policy="clip-best", top_k=3, margin=0.0, cap=16)
    {'deer': [0]}
    """
    if policy not in POLICIES:
        raise ConfigError(f"policy {policy!r} is not valid: use one of {', '.join(POLICIES)}")
    limit = top_k if policy == "clip-top-k" else POLICIES[policy]
    regions_of: dict[str, list[int]] = {}
    strength: dict[str, float] = {}
    for region, ranked in enumerate(candidates):
        for c in [c for c in ranked if c.margin > margin][:limit]:
            regions_of.setdefault(c.name, []).append(region)
            strength[c.name] = max(strength.get(c.name, -np.inf), c.margin)
    entered = sorted(regions_of, key=lambda name: (-strength[name], name))[:cap]
    return {name: regions_of[name] for name in entered}
