"""What speaks for a name: counted over the findings that bear it now (`counting.py`).

frames     distinct pictures (the same picture in two runs is one)
places     distinct `StoredFrame.place`
days       distinct days (UTC) of those with a time
sources    where the name came from: dictionary, tags, human …
guessed    whether only models which guess have given it
confirmed  the same counts over findings that people confirmed under this name, and who they were
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from clipomaly.records import UNNAMED
from clipomaly.store.catalogue import Catalogue
from clipomaly.store.counting import bearing, guessed_names
from clipomaly.store.state import STATUSES
from clipomaly.vocabulary import normalise_name

__all__ = ["Evidence", "gather_evidence"]

_DAY = 86_400.0


@dataclass(frozen=True)
class Evidence:
    """Counts for one name."""

    findings: int = 0
    frames: int = 0
    places: int = 0
    days: int = 0
    sources: tuple[str, ...] = ()
    confirmed: int = 0
    """Findings."""
    confirmed_frames: int = 0
    confirmed_places: int = 0
    confirmed_days: int = 0
    confirmers: tuple[str, ...] = ()
    guessed: bool = False
    """Shown with a question mark."""


def gather_evidence(catalogue: Catalogue) -> dict[str, Evidence]:
    """Evidence for every name, by its normal form; findings without a name count for none."""
    c = catalogue
    words = [normalise_name(w) for w in c.name.words]
    index = {w: i for i, w in enumerate(dict.fromkeys(words))}
    names = np.array([index[w] for w in words], np.int64)[c.name.codes] if words else np.zeros(0, np.int64)
    counted = bearing(c)
    confirmed = c.status == STATUSES.index("confirmed")
    days = np.nan_to_num(np.floor(c.time / _DAY), nan=-1).astype(np.int64)
    days -= days.min() if len(days) else 0
    has_day = ~np.isnan(c.time)

    def distinct(values: np.ndarray, mask: Bool[np.ndarray, " n"]) -> np.ndarray:
        span = int(values.max()) + 1 if len(values) else 1
        pairs = np.unique(names[mask] * span + values[mask])
        return np.bincount(pairs // span, minlength=len(index))

    def findings(mask: Bool[np.ndarray, " n"]) -> np.ndarray:
        return np.bincount(names[mask], minlength=len(index))

    has_place = ~c.place.equal("")
    all_, all_frames = findings(counted), distinct(c.picture.codes.astype(np.int64), counted)
    places = distinct(c.place.codes.astype(np.int64), counted & has_place)
    on_days = distinct(days, counted & has_day)
    sure, sure_frames = findings(confirmed), distinct(c.picture.codes.astype(np.int64), confirmed)
    sure_places = distinct(c.place.codes.astype(np.int64), confirmed & has_place)
    sure_days = distinct(days, confirmed & has_day)
    sources, people = _sources_and_people(c, names, counted, confirmed)
    guessed = guessed_names(c)
    out = {}
    for word, i in index.items():
        if word != UNNAMED and all_[i]:
            out[word] = Evidence(
                int(all_[i]), int(all_frames[i]), int(places[i]), int(on_days[i]),
                tuple(sorted(sources[i])),
                int(sure[i]), int(sure_frames[i]), int(sure_places[i]), int(sure_days[i]),
                tuple(sorted(people[i])), word in guessed,
            )  # fmt: skip
    return out


def _sources_and_people(
    c: Catalogue, names: np.ndarray, counted: Bool[np.ndarray, " n"], confirmed: Bool[np.ndarray, " n"]
) -> tuple[Mapping[int, set[str]], Mapping[int, set[str]]]:
    sources: dict[int, set[str]] = defaultdict(set)
    people: dict[int, set[str]] = defaultdict(set)
    as_found = np.array(c.found_name.words, object)[c.found_name.codes] if len(c) else np.zeros(0, object)
    now = np.array(c.name.words, object)[c.name.codes] if len(c) else np.zeros(0, object)
    own = counted & (as_found == now)
    for pair in np.unique(np.stack([names[own], c.name_source.codes[own]], axis=1), axis=0):
        sources[int(pair[0])].add(c.name_source.words[pair[1]] or "model")
    for row in np.flatnonzero(counted & (as_found != now)):
        state = c.state(str(c.ids[row]))
        # a merged name keeps its source; a renamed finding's name comes from a person
        source = c.name_source.words[c.name_source.codes[row]]
        sources[int(names[row])].add("human" if state.name else source or "model")
    for row in np.flatnonzero(confirmed):
        people[int(names[row])] |= c.state(str(c.ids[row])).confirmers
    return sources, people
