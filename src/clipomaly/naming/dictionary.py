"""Where names come from without any tagger: a word list, less whatever a known class already says.

A word is left out when it
- is a name, synonym or rejected name of the vocabulary (plurals count),
- is a kind of a known class by its head noun ("police car" where "car" is known); the names that this would
  misjudge ("hand truck", "fallen tree") stand in `words/not_a_kind.txt`, or
- means nearly the same by text similarity: the cosine of its centred text vector with a known name's is
  above `near_known`. Raw text vectors of a CLIP all resemble each other (0.6 to 0.9), so both are centred
  on the mean of the word list first.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from clipomaly.errors import VocabularyError
from clipomaly.maths.vectors import unit_rows
from clipomaly.vocabulary import Vocabulary, normalise_name

__all__ = ["keep_words", "load_words"]

_DICTIONARY = "dictionary.txt"
#: Parts of it that go by a name of their own.
_PARTS = ("airside", "road")
_NOT_A_KIND = "not_a_kind.txt"


def load_words(path: str | Path | None = None) -> tuple[str, ...]:
    """Words of a list (one a line, `#` starts a comment), or of the shipped dictionary; sorted, each once.

    >>> "suitcase" in load_words(), "luggage tag" in load_words("airside"), "tarantula" in load_words("road")
    (True, True, False)
    """
    if path is None:
        return tuple(sorted(_shipped(_DICTIONARY)))
    if path in _PARTS and not Path(path).exists():
        return tuple(sorted(_shipped(f"{path}.txt")))
    try:
        words = _words(Path(path).read_text("utf-8"))
    except FileNotFoundError as error:
        raise VocabularyError(
            f"cannot read word list {path}: there is no such file; give a text file with one name a line, or "
            f"one of the shipped lists {', '.join(_PARTS)}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text in UTF-8"
        raise VocabularyError(
            f"cannot read word list {path} ({reason}): give a text file with one name a line"
        ) from error
    if not words:
        raise VocabularyError(f"word list {path} is empty: write one name a line")
    return tuple(sorted(words))


def keep_words(
    words: tuple[str, ...],
    word_vectors: Float[np.ndarray, "n d"],
    known_vectors: Float[np.ndarray, "p d"],
    vocabulary: Vocabulary,
    near_known: float,
) -> Bool[np.ndarray, " n"]:
    """Which words may become names beside this vocabulary."""
    taken = {_singular(normalise_name(p)) for c in vocabulary.known for p in c.phrases}
    rejected = {_singular(r) for r in vocabulary.rejected_names}

    misleading = _shipped(_NOT_A_KIND)

    def free(word: str) -> bool:
        whole = _singular(normalise_name(word))
        kind_of_known = whole.split()[-1] in taken and word not in misleading
        return not (whole in taken or whole in rejected or kind_of_known)

    by_spelling = np.array([free(w) for w in words], bool)
    centre = word_vectors.mean(axis=0)
    nearest = (unit_rows(word_vectors - centre) @ unit_rows(known_vectors - centre).T).max(axis=1)
    return by_spelling & (nearest <= near_known)


def _words(text: str) -> frozenset[str]:
    return frozenset({normalise_name(line.split("#", 1)[0]) for line in text.splitlines()} - {""})


def _shipped(name: str) -> frozenset[str]:
    return _words((resources.files("clipomaly.naming") / "words" / name).read_text("utf-8"))


def _singular(name: str) -> str:
    """A plain plural folded onto its singular; good enough to compare names with.

    >>> _singular("traffic lights"), _singular("boxes"), _singular("grass")
    ('traffic light', 'box', 'grass')
    """
    if name.endswith(("ses", "xes", "ches", "shes")) and len(name) > 4:
        return name[:-2]
    if name.endswith("s") and not name.endswith(("ss", "us", "is")) and len(name) > 3:
        return name[:-1]
    return name
