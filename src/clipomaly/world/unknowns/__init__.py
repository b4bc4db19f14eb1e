"""The unknowns: things that belong on no road and on no apron, each by name, each in many builds.

`UNKNOWNS` maps a name to a builder `rng → Thing`, in metres, standing on z = 0, in a pose in which such a
thing would be met. One name in five is held out: it occurs in `test` and never in `train`.
"""

from __future__ import annotations

import zlib

import numpy as np

from clipomaly.world import birds, creatures
from clipomaly.world.classes import known_words
from clipomaly.world.seeds import split_index
from clipomaly.world.things import Thing
from clipomaly.world.unknowns import (
    containers,
    debris,
    furniture,
    garden,
    hardware,
    home,
    machines,
    play,
    pushed,
    sport,
    timber,
)
from clipomaly.world.unknowns.common import Builder


def _animals() -> dict[str, Builder]:
    def of(name: str) -> Builder:
        make = creatures.beast if name in creatures.BEASTS else birds.bird
        return lambda rng: make(name, rng)

    return {name: of(name) for name in (*creatures.BEASTS, *birds.BIRDS)}


UNKNOWNS: dict[str, Builder] = {
    **_animals(),
    **containers.BUILDERS,
    **furniture.BUILDERS,
    **home.BUILDERS,
    **debris.BUILDERS,
    **machines.BUILDERS,
    **play.BUILDERS,
    **sport.BUILDERS,
    **pushed.BUILDERS,
    **hardware.BUILDERS,
    **timber.BUILDERS,
    **garden.BUILDERS,
}


def held_out(name: str) -> bool:
    """Whether a name is kept from `train`: one in five, by the name alone, so that it never changes."""
    return zlib.crc32(name.encode()) % 5 == 0


def names(domain: str, split: str) -> tuple[str, ...]:
    """What may be met in a domain and a split: never a word of the known vocabulary.

    >>> set(names("road", "train")) < set(names("road", "test")), "hay bale" in names("apron", "test")
    (True, True)
    """
    known, training = known_words(domain), split_index(split) == 0
    return tuple(n for n in sorted(UNKNOWNS) if n not in known and not (training and held_out(n)))


def build(name: str, rng: np.random.Generator) -> Thing:
    """One build of a named unknown.

    >>> build("football", np.random.default_rng(0)).name
    'football'
    """
    if name not in UNKNOWNS:
        raise ValueError(f"no unknown is called {name!r}")
    stretch = rng.uniform(0.85, 1.15) * rng.uniform(0.96, 1.04, 3)
    return UNKNOWNS[name](rng).scaled(stretch)
