"""What is counted wherever findings are, so that pages, commands and the evidence of names agree.

standing  every finding, but of one that was split its parts alone: they stand in its place
bearing   standing, and not turned down: these count for the name that they bear
guessed   a name that only models which guess have given: nobody confirmed, proposed or promoted it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from clipomaly.records import UNNAMED
from clipomaly.store.state import STATUSES
from clipomaly.vocabulary import normalise_name

if TYPE_CHECKING:
    from clipomaly.store.catalogue import Catalogue

__all__ = ["TURNED_DOWN", "bearing", "guessed_names", "standing"]

TURNED_DOWN = ("rejected", "ignored", "split")
"""`split` without parts: somebody marked it as several things, so it is none that bears a name."""


def standing(catalogue: Catalogue) -> Bool[np.ndarray, " n"]:
    """The rows that are counted."""
    return ~catalogue.parted


def bearing(catalogue: Catalogue) -> Bool[np.ndarray, " n"]:
    """The rows that count for their names."""
    return standing(catalogue) & ~np.isin(catalogue.status, [STATUSES.index(s) for s in TURNED_DOWN])


def guessed_names(catalogue: Catalogue) -> set[str]:
    """Names, in normal form, that people see with a question mark."""
    c = catalogue
    by_run = np.array([c.run_guesses(run) for run in c.run.words], bool)
    if not by_run.any():
        return set()
    as_found = np.array([c.name.code_of.get(w, -1) for w in c.found_name.words])[c.found_name.codes]
    rows = bearing(c)
    own = (as_found == c.name.codes) & (c.status != STATUSES.index("confirmed"))
    guesses = rows & own & by_run[c.run.codes]
    given = (
        d.other if d.kind == "merge_names" else d.name
        for d in c.decisions.about_names()
        if d.kind != "reject_name"
    )
    people = {normalise_name(name) for name in given if name}
    sure = {normalise_name(c.name.words[code]) for code in np.unique(c.name.codes[rows & ~guesses])}
    guessed = {normalise_name(c.name.words[code]) for code in np.unique(c.name.codes[guesses])}
    return guessed - sure - people - {UNNAMED}
