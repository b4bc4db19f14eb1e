"""Names become vectors: templates, ensembles, synonyms; and a bank of them that is compared in one matmul.

    t_phrase = unit( mean over templates of unit(E(template(phrase))) )
    S_name   = max over the name's phrases of patches · t_phrase          (synonyms = "max")
             = patches · unit(mean over the phrases of t_phrase)          (synonyms = "mean")

A template holds `{}` (the bare phrase) or `{a}` (the phrase with its article).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from clipomaly.encoders.seam import Encoder
from clipomaly.encoders.textcache import cached_phrases
from clipomaly.errors import ConfigError
from clipomaly.maths.vectors import unit_rows
from clipomaly.vocabulary import Vocabulary

__all__ = ["SYNONYMS", "TextBank", "bank_of_names", "bank_of_vocabulary", "build_bank"]

SYNONYMS = ("max", "mean", "none")


@dataclass(frozen=True, eq=False)
class TextBank:
    """Names and their unit text vectors; a name may own several.

    >>> bank = TextBank(("road", "car"), np.eye(3, dtype=np.float32), np.array([0, 1, 1]))
    >>> bank.similarity(np.array([0.0, 0.6, 0.8], np.float32)).tolist()
    [0.0, 0.800000011920929]
    """

    names: tuple[str, ...]
    vectors: Float[np.ndarray, "p d"]
    owner: Int[np.ndarray, " p"]
    """Index of the name that each vector belongs to: sorted, so a name's vectors stand together."""

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or self.owner.shape != (len(self.vectors),):
            raise ValueError(f"one owner a vector, not {self.owner.shape} for {self.vectors.shape}")
        if len(set(self.names)) != len(self.names):
            raise ValueError("names of a bank must be distinct")
        wanted = np.arange(len(self.names))
        if not (np.array_equal(np.unique(self.owner), wanted) and (np.diff(self.owner) >= 0).all()):
            raise ValueError("owners of a bank must be sorted, and every name must own a vector")
        if len(self.vectors) and not np.allclose(np.linalg.norm(self.vectors, axis=1), 1, atol=1e-3):
            raise ValueError("vectors of a bank must have unit length")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _starts(self) -> Int[np.ndarray, " C"]:
        return np.searchsorted(self.owner, np.arange(len(self.names)))

    def similarity(self, patches: Float[np.ndarray, "*grid d"]) -> Float[np.ndarray, "*grid C"]:
        """Cosine of unit vectors with every name: the best of the name's vectors."""
        scores = patches @ self.vectors.T
        if len(self.vectors) == len(self.names):
            return scores
        return np.maximum.reduceat(scores, self._starts, axis=-1)

    def subset(self, names: Sequence[str] | Sequence[int]) -> TextBank:
        """The bank of some of its names (words or positions), in the given order."""
        where = {name: i for i, name in enumerate(self.names)}
        picked = [where[n] if isinstance(n, str) else int(n) for n in names]
        rows = [np.flatnonzero(self.owner == i) for i in picked]
        owner = np.repeat(np.arange(len(picked)), [len(r) for r in rows])
        index = np.concatenate(rows) if rows else np.empty(0, int)
        return TextBank(tuple(self.names[i] for i in picked), self.vectors[index], owner)

    def concat(self, other: TextBank) -> TextBank:
        """This bank's names, then the other's. Their names must differ."""
        owner = np.concatenate([self.owner, other.owner + len(self.names)])
        return TextBank(self.names + other.names, np.concatenate([self.vectors, other.vectors]), owner)


def build_bank(
    encoder: Encoder,
    phrases: Mapping[str, Sequence[str]],
    templates: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    synonyms: str = "max",
    cache: bool = True,
) -> TextBank:
    """A bank of names, each with its phrases (the first is the name's own wording).

    `templates` may differ by name; None and missing names take the encoder's. `synonyms` says what becomes of
    a name's phrases: `max` keeps a vector each, `mean` averages them, `none` reads the first only.
    """
    if synonyms not in SYNONYMS:
        raise ConfigError(f"unknown synonyms policy {synonyms!r}: use one of {', '.join(SYNONYMS)}")
    default = tuple(encoder.spec.templates)
    wordings: list[tuple[tuple[str, ...], str]] = []
    owner: list[int] = []
    for i, (name, words) in enumerate(phrases.items()):
        own = templates.get(name) if isinstance(templates, Mapping) else templates
        for phrase in words[:1] if synonyms == "none" else words:
            wordings.append((tuple(own) if own else default, phrase))
            owner.append(i)
    vectors = np.empty((len(wordings), encoder.spec.width), np.float32)
    by_templates: dict[tuple[str, ...], list[int]] = {}
    for row, (used, _) in enumerate(wordings):
        by_templates.setdefault(used, []).append(row)
    for used, rows in by_templates.items():
        wanted = [wordings[row][1] for row in rows]
        vectors[rows] = cached_phrases(encoder, wanted, used, disk=cache)
    index = np.array(owner, int)
    if synonyms == "mean" and len(index):
        starts = np.searchsorted(index, np.arange(len(phrases)))
        vectors, index = unit_rows(np.add.reduceat(vectors, starts, axis=0)), np.arange(len(phrases))
    return TextBank(tuple(phrases), vectors, index)


def bank_of_vocabulary(
    encoder: Encoder, vocabulary: Vocabulary, synonyms: str = "max", cache: bool = True
) -> TextBank:
    """The known classes. Templates: the class's own, else the vocabulary's, else the encoder's."""
    return build_bank(
        encoder,
        {c.name: c.phrases for c in vocabulary.known},
        {c.name: c.templates or vocabulary.templates for c in vocabulary.known},
        synonyms,
        cache,
    )


def bank_of_names(
    encoder: Encoder, names: Sequence[str], templates: Sequence[str] | None = None, cache: bool = True
) -> TextBank:
    """One vector a name: for dictionaries of thousands and for names that entered."""
    return build_bank(encoder, {name: (name,) for name in names}, templates, "none", cache)
