"""Taggers: a picture in, words with scores out.

The paper's tagger is RAM; any that fits `Tagger` serves. Here is the light one, a CLIP run over a tag list:
the score of a tag is how far its similarity with the picture stands above the list's mean, in standard
deviations, so that one threshold serves every model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.records import DenseFeatures

__all__ = ["ClipTagger", "Tag", "Tagger"]


@dataclass(frozen=True)
class Tag:
    """A word that a tagger proposes for a picture."""

    word: str
    score: float


@runtime_checkable
class Tagger(Protocol):
    """Proposes words for a picture; `source` is what findings will say the name came from."""

    source: str
    #: Every word that it can propose.
    words: tuple[str, ...]

    def tag(self, image: UInt8[np.ndarray, "H W 3"], features: DenseFeatures) -> list[Tag]:
        """Words for this picture, best first. `features` are those already computed for it."""


class ClipTagger:
    """Any encoder over any tag list: whole picture and every patch vote, the better vote counts.

    A thing that fills a fiftieth of a frame does not move the whole picture's vector, so the patches vote
    too: a tag's similarity is the larger of the two.
    """

    source = "tags"

    def __init__(
        self,
        words: Sequence[str],
        vectors: Float[np.ndarray, "n d"],
        *,
        at_least: float = 1.0,
        at_most: int = 32,
    ) -> None:
        if len(words) != len(vectors):
            raise ValueError(f"{len(words)} words but {len(vectors)} vectors")
        self.words, self.vectors, self.at_least, self.at_most = tuple(words), vectors, at_least, at_most

    def tag(self, image: UInt8[np.ndarray, "H W 3"], features: DenseFeatures) -> list[Tag]:
        """Words whose similarity stands out from the list's, best first."""
        patches = features.patches.reshape(-1, features.patches.shape[-1])
        whole = _standard(self.vectors @ features.summary)
        local = _standard((patches @ self.vectors.T).max(axis=0))
        score = np.maximum(whole, local)
        best = np.argsort(-score, kind="stable")[: self.at_most]
        return [Tag(self.words[i], float(score[i])) for i in best if score[i] >= self.at_least]


def _standard(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return (x - x.mean()) / max(float(x.std()), 1e-6)
