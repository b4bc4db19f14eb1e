"""Outlier prompts: names of things that are not known, to take probability from the known classes.

They name nothing in a result; `vl4ad` scores with them. Of the shipped list those words are left out that a
vocabulary knows, has turned down, or has a kind of (`dictionary.keep_words`, by spelling): a known class must
not compete with itself. Closeness of meaning is no reason here, unlike for candidate names: a prompt that
nearly means a known class is what separates the two. A list of your own is taken as it stands, and one that
names a known class is refused.
"""

from __future__ import annotations

from importlib import resources

import numpy as np
from jaxtyping import Float

from clipomaly.errors import ConfigError
from clipomaly.naming.dictionary import keep_words, load_words
from clipomaly.vocabulary import Vocabulary

__all__ = ["load_outlier_prompts", "outliers_beside"]

#: Above any cosine: no prompt is left out for its meaning.
_ANY_MEANING = 2.0


def load_outlier_prompts(source: str) -> tuple[str, ...]:
    """Prompts by what a setting says: `shipped`, `none`, or a word list's path; sorted, each once.

    >>> "cardboard box" in load_outlier_prompts("shipped"), load_outlier_prompts("none")
    (True, ())
    """
    if source == "none":
        return ()
    if source != "shipped":
        return load_words(source)
    with resources.as_file(resources.files("clipomaly.naming") / "words" / "outlier_prompts.txt") as path:
        return load_words(path)


def outliers_beside(prompts: tuple[str, ...], vocabulary: Vocabulary, source: str) -> tuple[str, ...]:
    """The prompts that may stand beside this vocabulary.

    >>> from clipomaly.vocabulary import load_vocabulary
    >>> outliers_beside(("dog", "traffic cone"), load_vocabulary("airside"), "shipped")
    ('dog',)
    """
    if source == "shipped":
        nothing: Float[np.ndarray, "n 1"] = np.zeros((len(prompts), 1), np.float32)
        keep = keep_words(prompts, nothing, np.zeros((1, 1), np.float32), vocabulary, _ANY_MEANING)
        return tuple(p for p, kept in zip(prompts, keep, strict=True) if kept)
    for prompt in prompts:
        known = vocabulary.index(prompt)
        if known is not None:
            raise ConfigError(
                f"outlier prompt {prompt!r} of {source} is known to vocabulary {vocabulary.name} "
                f"({vocabulary.names[known]!r}): remove it from one of them"
            )
    return prompts
