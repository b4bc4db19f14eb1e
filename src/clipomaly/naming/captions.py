"""Names from a captioner: a vision-language model describes the picture, and known words are found in it.

A caption is free text. What becomes a name are the words of a list (the shipped dictionary, or `--tags`) that
occur in it, the longest first: in "a hand truck on a wet road", "hand truck" is found, and "truck" is not.
Simple plurals count. A word's score is the share of captions that say it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from clipomaly.naming.tags import Tag
from clipomaly.records import DenseFeatures

__all__ = ["CaptionTagger", "Captioner", "words_in"]

_LONGEST = 4


@runtime_checkable
class Captioner(Protocol):
    """What `CaptionTagger` asks of a model."""

    def captions(self, image: UInt8[np.ndarray, "H W 3"]) -> list[str]:
        """One or several descriptions."""


class CaptionTagger:
    """A captioner over a list of words."""

    source = "caption"

    def __init__(self, captioner: Captioner, words: Sequence[str]) -> None:
        self.captioner, self.words = captioner, tuple(words)
        self._listed = frozenset(words)

    def tag(self, image: UInt8[np.ndarray, "H W 3"], features: DenseFeatures) -> list[Tag]:
        """Words of the list that the captions say, those of most captions first."""
        captions = self.captioner.captions(image)
        said = Counter(
            word for caption in captions for word in dict.fromkeys(words_in(caption, self._listed))
        )
        return [Tag(word, count / len(captions)) for word, count in said.most_common()]


def words_in(text: str, words: frozenset[str]) -> list[str]:
    """Which words of the list a text says, in its order; a longer one covers those inside it.

    >>> words_in("Two suitcases beside a hand truck.", frozenset({"suitcase", "truck", "hand truck"}))
    ['suitcase', 'hand truck']
    """
    tokens = re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*", text.lower())
    found, i = [], 0
    while i < len(tokens):
        for n in range(min(_LONGEST, len(tokens) - i), 0, -1):
            word = _listed(tokens[i : i + n], words)
            if word is not None:
                found.append(word)
                i += n
                break
        else:
            i += 1
    return found


def _listed(tokens: list[str], words: frozenset[str]) -> str | None:
    *head, last = tokens
    endings = [last]
    if last.endswith("ies"):
        endings.append(last[:-3] + "y")
    if last.endswith("es"):
        endings.append(last[:-2])
    if last.endswith("s"):
        endings.append(last[:-1])
    return next((w for e in endings if (w := " ".join([*head, e])) in words), None)
