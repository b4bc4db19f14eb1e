"""Which rows of a catalogue meet a filter, and what they are sorted by: whole columns, never row by row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Shaped

from clipomaly.store.counting import standing
from clipomaly.store.filters import FindingFilter
from clipomaly.store.state import STATUSES

if TYPE_CHECKING:
    from clipomaly.store.catalogue import Catalogue

__all__ = ["meeting", "order_key"]


def meeting(catalogue: Catalogue, f: FindingFilter) -> Bool[np.ndarray, " n"]:
    """The rows that meet the filter; what was split only where its status, or itself, is asked for."""
    c = catalogue
    whole = "split" in f.statuses or f.ids is not None
    keep = np.ones(len(c.ids), bool) if whole else standing(c)
    if f.run is not None:
        keep &= c.run.equal(f.run)
    if f.statuses:
        keep &= np.isin(c.status, [STATUSES.index(s) for s in f.statuses])
    if f.name is not None:
        keep &= c.name.equal(f.name)
    for column, value in ((c.camera, f.camera), (c.place, f.place), (c.assignee, f.assignee)):
        if value is not None:
            keep &= column.equal(value)
    for values, low, high in (
        (c.score, f.min_score, f.max_score),
        (c.time, f.since, f.until),
        (_area_like(c, f.min_area), f.min_area, None),
        (_area_like(c, f.max_area), None, f.max_area),
    ):
        if low is not None:
            keep &= values >= low
        if high is not None:
            keep &= values <= high
    if f.cluster is not None:
        keep &= c.cluster == f.cluster
    if f.text:
        in_frame = c.frame_name.containing(f.text)  # a text a frame; its codes are in frame order
        named = c.name.containing(f.text) | c.nearest_known.containing(f.text)
        keep &= named | in_frame[c.owner]
    for key, value in f.conditions.items():
        keep &= _condition(c, key, value)
    if f.ids is not None:
        rows = c.rows(list(f.ids))
        allowed = np.zeros(len(keep), bool)
        allowed[rows[rows >= 0]] = True
        keep &= allowed
    return keep


def order_key(catalogue: Catalogue, column: str) -> Shaped[np.ndarray, " n"]:
    """Numbers in the order of a column of `ORDERS`; what has no time comes first."""
    c = catalogue
    if column == "name":
        rank = np.argsort(np.argsort(np.array(c.name.words, object), kind="stable"))
        return np.asarray(rank[c.name.codes] if len(rank) else np.zeros(len(c.ids)))
    if column == "id":
        return np.argsort(np.argsort(c.ids, kind="stable"))
    values: np.ndarray = getattr(c, column)
    return np.nan_to_num(values, nan=-np.inf) if column == "time" else values


def _area_like(catalogue: Catalogue, limit: float | None) -> np.ndarray:
    return catalogue.share if limit is not None and limit < 1 else catalogue.area


def _condition(catalogue: Catalogue, key: str, value: str) -> Bool[np.ndarray, " n"]:
    column = catalogue._conditions
    hit = np.array([json.loads(w or "{}").get(key) == value for w in column.words], bool)
    return hit[column.codes] if len(hit) else np.zeros(len(catalogue.ids), bool)
