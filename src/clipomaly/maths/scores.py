"""How little the known classes explain a place: five scores, higher = more unknown.

From similarities S_c (cosines with C class texts, one vector a place) and a temperature τ,

    p = softmax_c(S / τ)
    entropy         −Σ_c p_c log p_c / log C
    msp             1 − max_c p_c                              (Hendrycks & Gimpel, arXiv 1610.02136)
    max-logit       −max_c S_c                                 (Hendrycks et al., arXiv 1911.11132)
    energy          −τ log Σ_c exp(S_c / τ)                    (Liu et al., arXiv 2010.03759)
    max-similarity  −max_c (S_c − mean_c S)

On cosines the last three are brought into [0, 1] by a fixed increasing map, so that one threshold rule
serves all five; `normalised=False` keeps them as they stand, for the unbounded logits of a closed-set
segmenter.

`max-logit` of cosines *is* one minus the largest similarity. Under that name a second score would only
repeat its ranking, so `max-similarity` removes first what all classes share at a place (their mean, the
redundant part in the sense of CLIP Surgery, arXiv 2304.05653): it asks how far the best class stands out,
and is untouched by an offset common to all texts, as entropy and msp are, but needs no temperature.

With a single class (C = 1) entropy and msp are 0 everywhere, and there is nothing to stand out from:
`max-similarity` then falls back to `max-logit`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

__all__ = ["SCORES", "energy", "entropy", "max_logit", "max_similarity", "msp", "softmax"]

Similarities = Float[np.ndarray, "*grid C"]
Scores = Float[np.ndarray, "*grid"]


def _shifted(S: Similarities, tau: float) -> tuple[np.ndarray, np.ndarray]:
    """S/τ with its largest entry moved to 0, and that entry (before the division)."""
    if not tau > 0:
        raise ValueError(f"the temperature must be positive, not {tau}")
    if S.shape[-1] == 0:
        raise ValueError("a score needs at least one known class")
    S = np.asarray(S, np.float32)
    top = S.max(axis=-1, keepdims=True)
    z = S - top
    z /= np.float32(tau)
    return z, top[..., 0]


def _unit(score: np.ndarray) -> Scores:
    """Rounding may leave [0, 1] by a hair."""
    return np.clip(score, 0.0, 1.0).astype(np.float32, copy=False)


def softmax(S: Similarities, tau: float = 1.0) -> Similarities:
    """Probabilities over the last axis, stable at any temperature.

    >>> softmax(np.array([[0.3, 0.3]], np.float32), tau=0.01).tolist()
    [[0.5, 0.5]]
    """
    z, _ = _shifted(S, tau)
    np.exp(z, out=z)
    z /= z.sum(axis=-1, keepdims=True)
    return z


def entropy(S: Similarities, tau: float = 1.0) -> Scores:
    """Entropy of the softmax, in units of its maximum log C.

    >>> entropy(np.zeros((1, 4), np.float32)).tolist()
    [1.0]
    """
    z, top = _shifted(S, tau)
    classes = z.shape[-1]
    if classes == 1:
        return np.zeros_like(top)
    # H = log Z − Σ p z, with z = (S − max)/τ and Z = Σ exp z: no logarithm of a probability that is 0.
    e = np.exp(z)
    total = e.sum(axis=-1)
    mean = np.einsum("...c,...c->...", e, z) / total
    return _unit((np.log(total) - mean) / np.float32(np.log(classes)))


def msp(S: Similarities, tau: float = 1.0) -> Scores:
    """One minus the largest softmax probability; at most 1 − 1/C.

    >>> msp(np.array([[9.0, -9.0]], np.float32)).round(3).tolist()
    [0.0]
    """
    z, _ = _shifted(S, tau)
    return _unit(1.0 - 1.0 / np.exp(z, out=z).sum(axis=-1))


def max_logit(S: Similarities, tau: float = 1.0, *, normalised: bool = True) -> Scores:
    """The negative of the largest entry; on cosines (1 − max S) / 2. τ has no part in it.

    >>> max_logit(np.array([[0.5, -0.5]], np.float32)).tolist()
    [0.25]
    >>> max_logit(np.array([[12.0, 3.0]], np.float32), normalised=False).tolist()
    [-12.0]
    """
    top = np.asarray(S, np.float32).max(axis=-1)
    return _unit((1.0 - top) / 2.0) if normalised else -top


def energy(S: Similarities, tau: float = 1.0, *, normalised: bool = True) -> Scores:
    """Free energy −τ log Σ exp(S/τ); on cosines (1 − τ log mean exp(S/τ)) / 2.

    The mean in place of the sum moves the range of τ log Σ exp from [−1, 1 + τ log C] to [−1, 1].

    >>> energy(np.array([[0.5, 0.5]], np.float32), tau=0.1).tolist()
    [0.25]
    """
    z, top = _shifted(S, tau)
    total = np.exp(z, out=z).sum(axis=-1)
    if normalised:
        return _unit((1.0 - top - np.float32(tau) * np.log(total / z.shape[-1])) / 2.0)
    return -top - np.float32(tau) * np.log(total)


def max_similarity(S: Similarities, tau: float = 1.0, *, normalised: bool = True) -> Scores:
    """How little the best class stands out from the mean of all; on cosines 1 − (max S − mean S) / 2.

    >>> max_similarity(np.array([[0.9, 0.5, 0.4]], np.float32)).tolist()
    [0.8500000238418579]
    """
    S = np.asarray(S, np.float32)
    if S.shape[-1] == 1:
        return max_logit(S, tau, normalised=normalised)
    gap = S.max(axis=-1) - S.mean(axis=-1)
    return _unit(1.0 - gap / 2.0) if normalised else -gap


#: Every score by its name on the command line: (similarities [..., C], τ) → [0, 1], float32.
SCORES: dict[str, Callable[[Similarities, float], Scores]] = {
    "entropy": entropy,
    "msp": msp,
    "max-logit": max_logit,
    "energy": energy,
    "max-similarity": max_similarity,
}
