"""Open-vocabulary segmentation by re-scoring kept features: one matmul, no second pass over the picture.

    S(i, j) = [E(i, j) · t_c for c in V,  E(i, j) · t_w for w in W, −1 outside w's gate]
    label = argmax of S, upsampled bilinearly;  P_W = Σ_{w ∈ W} softmax(S / τ)_w

The gate keeps a name near the regions it was found for, so that it cannot repaint the far side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from clipomaly.maths.scores import softmax
from clipomaly.records import DenseFeatures
from clipomaly.segmenters.seam import NameBank, NameScores

__all__ = ["DenseSegmenter", "Extended", "extend"]

#: Below any cosine that matters, and finite, so that interpolation near a gate's edge stays well-defined.
_CLOSED = -1.0


class DenseSegmenter:
    """The kept features against the names' vectors: the default."""

    name = "dense"

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def segment(self, image: UInt8[np.ndarray, "H W 3"], dense: DenseFeatures, names: NameBank) -> NameScores:
        """Cosines on the patch grid."""
        return NameScores(names.similarity(dense.patches), dense.extent, self.temperature)


@dataclass(frozen=True, eq=False)
class Extended:
    """Similarities and probabilities over V ∪ W on the patch grid."""

    similarity: Float[np.ndarray, "h w n"]
    probability: Float[np.ndarray, "h w n"]
    n_known: int

    @property
    def unknown_probability(self) -> Float[np.ndarray, "h w"]:
        """P_W: the probability of all names that entered."""
        return self.probability[..., self.n_known :].sum(axis=-1)


def extend(
    known_similarity: Float[np.ndarray, "h w C"],
    name_similarity: Float[np.ndarray, "h w k"],
    gates: Bool[np.ndarray, "k h w"],
    temperature: float,
) -> Extended:
    """Known and entered names side by side, each name only inside its gate.

    >>> known = np.zeros((1, 2, 1), np.float32)
    >>> name = np.ones((1, 2, 1), np.float32)
    >>> extend(known, name, np.array([[[True, False]]]), 0.1).unknown_probability.round(2).tolist()
    [[1.0, 0.0]]
    """
    closed = ~np.moveaxis(gates, 0, -1)
    # Logits of a segmenter may be lower than any cosine: a closed gate lies below them too.
    lowest = float(known_similarity.min(initial=_CLOSED))
    low = np.float32(_CLOSED if lowest >= _CLOSED - 1e-3 else lowest - 20 * temperature)
    names = np.where(closed, low, name_similarity)
    similarity = np.concatenate([known_similarity, names], axis=-1, dtype=np.float32)
    return Extended(similarity, softmax(similarity, temperature), known_similarity.shape[-1])
