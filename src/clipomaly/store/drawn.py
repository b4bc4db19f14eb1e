"""Regions that people drew in another tool: a decision `add` holds frame, mask and name; no run found them.

    number  1000 · decision, for tools that number the findings of a frame: as the first part of a split
            would have, but a decision is only one of both

A correction of such a region is an `undo` of its decision, and another `add` unless it was removed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from clipomaly.export.masks import Rle, mask_fields
from clipomaly.records import UNNAMED
from clipomaly.store.decisions import Decision, Decisions
from clipomaly.store.parts import part_number

__all__ = ["correction", "drawn_by_frame", "drawn_row"]


def drawn_by_frame(decisions: Decisions) -> dict[str, list[Decision]]:
    """Those that hold, by frame, in the order of the decisions; names as they have been merged since.

    >>> decisions = Decisions.open("sqlite://")
    >>> data = {"frame": "00ff00ff00ff00ff", "rle": {"size": [2, 2], "counts": "13"}}
    >>> _ = decisions.append(Decision("ada", "add", name="deer", data=data))
    >>> [drawn.name for drawn in drawn_by_frame(decisions)["00ff00ff00ff00ff"]]
    ['deer']
    """
    out: dict[str, list[Decision]] = defaultdict(list)
    for decision in decisions.drawn():
        out[str(decision.data["frame"])].append(decision)
    return out


def drawn_row(decision: Decision, merged: Mapping[str, str]) -> dict[str, Any]:
    """Such a region as it stands among the findings of `results.jsonl`: it has no score."""
    rle: Rle = {"size": list(decision.data["rle"]["size"]), "counts": str(decision.data["rle"]["counts"])}
    name = None if decision.name is None else merged.get(decision.name, decision.name)
    return {
        "id": part_number(decision.id, 0),
        "name": None if name == UNNAMED else name,
        "confidence": None,
        "name_source": "human",
        "score": None,
        **mask_fields(rle),
        "candidates": [],
        "nearest_known": None,
        "status": "added",
        "by": decision.who,
    }


def correction(
    old: Decision, status: str, name: str | None, rle: Rle, *, who: str, comment: str, key: str
) -> Sequence[Decision]:
    """What a change of a region that people drew leads to."""
    if status == "unchanged":
        return []
    gone = Decision(who, "undo", undoes=old.id, comment=comment, key=f"{key}-undo")
    if status == "removed":
        return [gone]
    data = {"frame": old.data["frame"], "rle": rle}
    return [gone, Decision(who, "add", name=name, data=data, comment=comment, key=key)]
