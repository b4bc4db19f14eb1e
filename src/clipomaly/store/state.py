"""What holds now for a finding: derived from its decisions, in order, without those that were undone.

confirm, rename        confirmed     (rename also gives the name; so may confirm)
reject, ignore, split  rejected, ignored, split
assign                 assigned, while nothing else is decided
split                  with the masks of its parts: these are findings of their own (`parts.py`)
reshape                confirmed, with another mask
comment                changes no status
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clipomaly.export.masks import Rle

if TYPE_CHECKING:
    from clipomaly.store.decisions import Decision

__all__ = ["STATUSES", "FindingState", "derive"]

STATUSES = ("open", "assigned", "confirmed", "rejected", "ignored", "split")


@dataclass(frozen=True)
class FindingState:
    """A finding's state. A name of None means that nobody renamed it: the run's name stands."""

    status: str = "open"
    name: str | None = None
    reason: str | None = None
    assignee: str | None = None
    by: str | None = None
    """Who decided last."""
    at: float | None = None
    confirmers: frozenset[str] = frozenset()
    """Who confirmed or renamed it since it was last rejected."""
    comments: tuple[tuple[str, float, str], ...] = ()
    """Who, when, what."""
    rle: Rle | None = None
    """The mask that people gave it."""
    parts: tuple[Mapping[str, Any], ...] = ()
    """What it was cut into: `rle`, `area` and `box` of each part."""
    cut: int = 0
    """The decision that cut it."""


def derive(
    history: Iterable[Decision], inert: Iterable[int], merged: Mapping[str, str] | None = None
) -> FindingState:
    """The state that a finding's decisions lead to; `inert` are those undone, `merged` renames names."""
    off = set(inert)
    status, name, reason, assignee, by = "open", None, None, None, None
    at: float | None = None
    confirmers: set[str] = set()
    comments: list[tuple[str, float, str]] = []
    rle: Rle | None = None
    parts: tuple[Mapping[str, Any], ...] = ()
    cut = 0
    for decision in history:
        if decision.id in off or decision.kind == "undo":
            continue
        if decision.comment:
            comments.append((decision.who, decision.at, decision.comment))
        if decision.kind == "comment":
            continue
        if decision.kind == "assign":
            assignee = decision.name
            status = "assigned" if status == "open" else status
            continue
        by, at = decision.who, decision.at
        parts, cut = tuple(decision.data.get("parts", ())) if decision.kind == "split" else (), decision.id
        if decision.kind in ("confirm", "rename", "reshape"):
            if decision.name and decision.name != name:
                if name is not None:
                    confirmers = set()  # those before confirmed another name
                name = decision.name
            status, reason = "confirmed", None
            confirmers.add(decision.who)
            if decision.kind == "reshape":
                rle = decision.data["rle"]
        else:
            status = {"reject": "rejected", "ignore": "ignored", "split": "split"}[decision.kind]
            reason = decision.reason
            confirmers = set()
    if merged and name is not None and name in merged:
        name = merged[name]
    return FindingState(
        status, name, reason, assignee, by, at, frozenset(confirmers), tuple(comments), rle, parts, cut
    )
