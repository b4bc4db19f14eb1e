"""Named or measured things, one by one: was each found, how large, how far off, what was it called?

A thing is found when a flagged region touches it, be it by one pixel (`hazards found` has the same rule, for
pieces of hazard in the corridor). Beside it stands how many are flagged by half. By range, the smallest size
from which on at least 19 of 20 things are found says what a detector can be trusted with.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt16

from clipomaly.data.samples import Sample
from clipomaly.metrics.bootstrap import share_interval
from clipomaly.metrics.operational import smallest_detectable

__all__ = ["RANGES", "SIZES", "found_by", "smallest_by_range", "things_of", "things_summary"]

RANGES = (0.0, 10.0, 20.0, 40.0, 80.0, 1000.0)
"""Edges in metres."""
SIZES = (0.0, 0.1, 0.3, 1.0, 100.0)


def things_of(
    sample: Sample,
    numbers: UInt16[np.ndarray, "H W"] | None,
    flagged: Bool[np.ndarray, "H W"],
    names: Mapping[int, str | None],
) -> list[dict[str, Any]]:
    """One entry a thing that shows; `numbers` says where it is, `names` what each was called."""
    if numbers is None or not sample.measures:
        return []
    size = np.bincount(numbers.ravel())
    hit = np.bincount(numbers[flagged], minlength=size.size)
    return [
        {
            "frame": sample.name,
            "thing": number,
            "true_name": sample.things.get(number, ""),
            "name": names.get(number) or "",
            "found": int(hit[number] > 0),
            "flagged_share": round(float(hit[number] / size[number]), 4),
            "pixels": int(size[number]),
            **measures,
        }
        for number, measures in sample.measures.items()
        if number < size.size and size[number]
    ]


def things_summary(things: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """What stands in `metrics.json`: by range, size, place, and whether the name may occur in training."""
    by = {"by_range": smallest_by_range(things)}
    by |= {f"by_{key}": found_by(things, key) for key in ("size_m", "place", "name_in_training")}
    return {key: rows for key, rows in by.items() if rows}


def smallest_by_range(things: Sequence[Mapping[str, Any]], recall: float = 0.95) -> list[dict[str, Any]]:
    """By range: how many things, the share found, and the smallest size found reliably, in metres."""
    measured = [t for t in things if t.get("size_m") is not None and t.get("range_m") is not None]
    if not measured:
        return []
    size = np.array([float(t["size_m"]) for t in measured])
    away = np.array([float(t["range_m"]) for t in measured])
    found = np.array([bool(t["found"]) for t in measured])
    smallest = smallest_detectable(size, away, found, RANGES, recall)
    out = []
    for (low, high), answer in zip(itertools.pairwise(RANGES), smallest, strict=True):
        here = (away >= low) & (away < high)
        if here.any():
            text = f"{low:.0f} to {high:.0f} m" if high < RANGES[-1] else f"from {low:.0f} m"
            here_only = [t for t, inside in zip(measured, here, strict=True) if inside]
            out.append({"range": text, "smallest_m": answer, **_share(here_only)})
    return out


def found_by(things: Sequence[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    """The share found by a property of things: size, place, whether the name occurs in training."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for thing in things:
        value = thing.get(key)
        if value is None:
            continue
        groups.setdefault(_size(float(value)) if key == "size_m" else str(value), []).append(thing)
    order = [_size(low) for low in SIZES[:-1]] if key == "size_m" else sorted(groups)
    return [{"value": v, **_share(groups[v])} for v in order if v in groups]


def _size(value: float) -> str:
    for low, high in itertools.pairwise(SIZES):
        if low <= value < high:
            return (
                f"from {100 * low:.0f} cm" if high == SIZES[-1] else f"{100 * low:.0f} to {100 * high:.0f} cm"
            )
    return "beyond"


def _share(things: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = sum(bool(t["found"]) for t in things)
    interval = share_interval(found, len(things))
    return {
        "things": len(things),
        "found": found / len(things),
        "found_ci": [interval.low, interval.high],
        "half_flagged": sum(float(t["flagged_share"]) >= 0.5 for t in things) / len(things),
    }
