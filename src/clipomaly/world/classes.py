"""The known classes of both domains: ids in the label images are places in the shipped vocabularies."""

from __future__ import annotations

import functools

from clipomaly.vocabulary import load_vocabulary

VOCABULARIES: dict[str, str] = {"road": "cityscapes", "apron": "airside"}

# What the builders call a thing, where the vocabulary has another word.
_ALIASES: dict[str, dict[str, str]] = {
    "road": {},
    "apron": {
        "marking": "stand marking",
        "container": "unit load device",
        "cone": "traffic cone",
        "chock": "wheel chock",
        "person": "ground crew",
        "vegetation": "trees",
        "vehicle": "car",
    },
}


@functools.cache
def classes(domain: str) -> tuple[str, ...]:
    """The names of the known classes, in the order of their ids.

    >>> classes("road")[:3]
    ('road', 'sidewalk', 'building')
    """
    return tuple(k.name for k in load_vocabulary(VOCABULARIES[domain]).known)


@functools.cache
def class_id(domain: str, name: str) -> int:
    """The id of a known class.

    >>> class_id("road", "car"), class_id("apron", "cone") == classes("apron").index("traffic cone")
    (13, True)
    """
    return classes(domain).index(_ALIASES[domain].get(name, name))


@functools.cache
def known_words(domain: str) -> frozenset[str]:
    """Every name and synonym of the domain's known classes: none of them may be an unknown there.

    >>> "forklift" in known_words("apron"), "forklift" in known_words("road")
    (True, False)
    """
    known = load_vocabulary(VOCABULARIES[domain]).known
    return frozenset(word.lower() for k in known for word in (k.name, *k.synonyms))
