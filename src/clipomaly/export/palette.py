"""Colours of names, the same in every picture, file and report of a run.

Known classes have those of their vocabulary. A name that entered has one made from its letters, vivid where
class colours are mostly muted, so that a thing keeps its colour from frame to frame.
"""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Sequence

from clipomaly.vocabulary import Vocabulary, normalise_name

__all__ = ["UNNAMED_COLOR", "entered_color", "palette"]

#: Unknown regions without a name: a cyan that common label formats leave free.
UNNAMED_COLOR = (0, 224, 255)


def entered_color(name: str) -> tuple[int, int, int]:
    """A vivid colour for a name that entered the vocabulary.

    >>> entered_color("Moose") == entered_color("moose")
    True
    """
    digest = hashlib.sha256(normalise_name(name).encode()).digest()
    hue, light = 215 + 310 * digest[0] / 255, digest[1] % 3  # degrees; cyan is for what has no name
    r, g, b = colorsys.hsv_to_rgb(hue / 360 % 1, 0.9 - 0.2 * light, 1.0 - 0.08 * light)
    return round(r * 255), round(g * 255), round(b * 255)


def palette(names: Sequence[str], n_known: int, vocabulary: Vocabulary | None) -> list[tuple[int, int, int]]:
    """One colour for each name of a prediction: the first `n_known` from the vocabulary."""
    colors = []
    for i, name in enumerate(names):
        place = vocabulary.index(name) if vocabulary is not None and i < n_known else None
        known = vocabulary.known[place].color if vocabulary is not None and place is not None else None
        colors.append(known or entered_color(name))
    return colors
