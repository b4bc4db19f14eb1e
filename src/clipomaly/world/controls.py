"""Negative controls: what looks odd and is no anomaly. Each can be switched; the truth says which are there.

Names are those of `frames/NAME.json`; `TRACES` are the bits of the pictures in `controls/`, which say where.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, UInt16

from clipomaly.errors import ConfigError

#: What `--control NAME=on` and `=off` know.
CONTROLS: tuple[str, ...] = (
    "fresh markings", "worn markings", "unusual markings", "shadows", "pole shadows", "aircraft shadows",
    "cloud shadows", "wet pavement", "puddles", "rubber deposits", "cracks", "patches", "oil stains",
    "manholes", "glare", "lens dirt", "lens drops", "night", "rain", "snow",
)  # fmt: skip

#: The bits of a control picture, from the lowest.
TRACES: tuple[str, ...] = (
    "marking", "unusual marking", "shadow", "puddle", "crack", "patch", "oil", "rubber", "manhole", "joint",
    "drain", "snow", "lens dirt", "lens drop", "glare",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Switches:
    """Which controls must and which must not be in a scene; the others are drawn by chance."""

    on: frozenset[str] = frozenset()
    off: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in sorted(self.on | self.off):
            if name not in CONTROLS:
                raise ConfigError(f"unknown control {name!r}: one of {', '.join(CONTROLS)}")
        for name in sorted(self.on & self.off):
            raise ConfigError(f"control {name!r} is switched on and off: choose one")
        if {"fresh markings", "worn markings"} <= self.on:
            raise ConfigError("markings are fresh or worn, not both: switch one of these controls on")

    @property
    def items(self) -> tuple[str, ...]:
        """As the command line has them.

        >>> Switches(frozenset({"rain"}), frozenset({"puddles"})).items
        ('puddles=off', 'rain=on')
        """
        return tuple(sorted([f"{n}=on" for n in self.on] + [f"{n}=off" for n in self.off]))

    def draw(self, name: str, rng: np.random.Generator, chance: float) -> bool:
        """As switched, or by chance; either way one number is drawn, so that the rest of a scene stays.

        >>> Switches(on=frozenset({"snow"})).draw("snow", np.random.default_rng(0), 0.0)
        True
        """
        drawn = bool(rng.uniform() < chance)
        return name in self.on or (drawn and name not in self.off)

    def level(self, name: str, drawn: float, least: float) -> float:
        """A strength of 0 to 1: nothing when switched off, at least `least` when switched on.

        >>> Switches(on=frozenset({"cracks"})).level("cracks", 0.5, 0.6)
        0.8
        """
        return 0.0 if name in self.off else least + (1 - least) * drawn if name in self.on else drawn


#: Nothing is switched: chance decides.
AS_DRAWN = Switches()


def parse_switches(texts: Iterable[str]) -> Switches:
    """From `NAME=on` and `NAME=off`.

    >>> sorted(parse_switches(["rain=on", "lens-dirt=on"]).on)
    ['lens dirt', 'rain']
    """
    found: dict[str, set[str]] = {"on": set(), "off": set()}
    for text in texts:
        name, _, state = text.partition("=")
        if state not in found:
            raise ConfigError(f"control {text!r} says neither on nor off: write for example puddles=on")
        found[state].add(name.strip().replace("-", " ").replace("_", " "))
    return Switches(frozenset(found["on"]), frozenset(found["off"]))


class Traces:
    """Where controls show, as bits over an array of places."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.bits: UInt16[np.ndarray, "..."] = np.zeros(shape, np.uint16)

    def part(self, where: tuple[slice, slice]) -> Traces:
        """The traces of a part of the places; marks on it are marks on the whole."""
        found = Traces((0,))
        found.bits = self.bits[where]
        return found

    def mark(self, name: str, where: Bool[np.ndarray, "..."]) -> None:
        """Sets a bit.

        >>> traces = Traces((2,)); traces.mark("shadow", np.array([True, False])); traces.bits.tolist()
        [4, 0]
        """
        self.bits[where] |= np.uint16(1 << TRACES.index(name))
