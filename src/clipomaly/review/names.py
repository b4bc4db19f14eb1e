"""The taxonomy page: names with their evidence, and what people decide about them."""

from __future__ import annotations

import threading
from typing import Any

from clipomaly.errors import StoreError
from clipomaly.review import wire
from clipomaly.review.desk import Desk
from clipomaly.review.pictures import finding_color
from clipomaly.store.decisions import Decision
from clipomaly.store.evidence import Evidence
from clipomaly.store.taxonomy import NameEntry, Rules, Taxonomy, base_vocabulary
from clipomaly.store.taxonomy_file import taxonomy_toml
from clipomaly.vocabulary import Vocabulary

__all__ = ["NameDesk"]

_SHOWN = 300
"""Candidates on the page; the others have less evidence."""


class NameDesk:
    """The governed vocabulary beside a desk."""

    def __init__(self, desk: Desk, base: Vocabulary | None = None, rules: Rules | None = None) -> None:
        self.desk = desk
        self.rules = rules or Rules()
        self._base = base
        self._taxonomy: Taxonomy | None = None
        self._lock = threading.Lock()

    def _now(self) -> Taxonomy:
        with self.desk.turn:
            if self._taxonomy is None:
                base = self._base or base_vocabulary(self.desk.catalogue)
                self._taxonomy = Taxonomy(base, self.desk.catalogue, self.desk.decisions)
            else:
                self._taxonomy.look()
            return self._taxonomy

    def overview(self) -> dict[str, Any]:
        """Everything on the page."""
        with self._lock:
            taxonomy = self._now()
            candidates = taxonomy.names("candidate")
            vocabulary = taxonomy.vocabulary()
            changes = taxonomy.changes()
            by_id = {d.id: d for d in changes}
            return {
                "vocabulary": taxonomy.base.name,
                "version": taxonomy.version,
                "hash": vocabulary.hash[:16],
                "exported": vocabulary.name,
                "rules": _rules_text(self.rules),
                "candidates": [self._row(e) for e in candidates[:_SHOWN]],
                "hidden": max(0, len(candidates) - _SHOWN),
                "approved": [self._row(e) for e in taxonomy.names("approved")],
                "rejected": [self._row(e) for e in taxonomy.names("rejected")],
                "known": [self._row(e) for e in taxonomy.names("known")],
                "changes": [_change(d, by_id) for d in reversed(changes[-200:])],
            }

    def _row(self, entry: NameEntry) -> dict[str, Any]:
        e = entry.evidence
        return {
            "name": entry.name,
            "label": entry.shown,
            "color": list(finding_color(entry.name)),
            "aliases": list(entry.aliases),
            "findings": e.findings,
            "frames": e.frames,
            "places": e.places,
            "days": e.days,
            "sources": list(e.sources),
            "confirmed": e.confirmed,
            "confirmed_frames": e.confirmed_frames,
            "confirmers": list(e.confirmers),
            "unmet": self.rules.unmet(e),
            "lacks": _lacks(self.rules, e),
            "reason": entry.reason,
            "by": entry.by,
            "at": wire.time_text(entry.at),
            "forced": entry.forced,
        }

    def decide(
        self, kind: str, who: str, name: str, *, other: str = "", reason: str = "", force: bool = False
    ) -> Decision:
        """Promote, reject, merge or undo."""
        with self._lock, self.desk.turn:
            taxonomy = self._now()
            if kind == "promote":
                return taxonomy.promote(name, who, self.rules, force=force)
            if kind == "reject":
                return taxonomy.reject(name, who, reason)
            if kind == "merge":
                return taxonomy.merge(name, other, who)
            if kind == "undo":
                return taxonomy.undo(name, who)
        raise StoreError(f"unknown decision {kind!r}: promote, reject, merge or undo")

    def file(self) -> tuple[str, str]:
        """The vocabulary as `--vocabulary` reads it: file name and text."""
        with self._lock:
            taxonomy = self._now()
            vocabulary = taxonomy.vocabulary()
            text = taxonomy_toml(vocabulary, taxonomy.version, taxonomy.changes())
            return f"{vocabulary.name}.toml", text


def _rules_text(rules: Rules) -> str:
    """The rules in words.

    >>> _rules_text(Rules())
    'confirmed in 3 frames, by 1 person'
    """
    parts = []
    for count, what, many, lead in (
        (rules.min_frames, "frame", "frames", "in"),
        (rules.min_places, "place", "places", "at"),
        (rules.min_days, "day", "days", "on"),
        (rules.min_confirmers, "person", "people", "by"),
    ):
        if count:
            parts.append(f"{lead} {count} {what if count == 1 else many}")
    return "confirmed " + ", ".join(parts) if parts else "no rules"


def _lacks(rules: Rules, evidence: Evidence) -> str:
    """What is missing, short.

    >>> _lacks(Rules(min_frames=3), Evidence(confirmed=1, confirmed_frames=1, confirmers=("ada",)))
    '1 of 3 frames'
    >>> _lacks(Rules(), Evidence())
    'not confirmed'
    """
    if not evidence.confirmed and rules.unmet(evidence):
        return "not confirmed"
    rows = (
        (evidence.confirmed_frames, rules.min_frames, "frames"),
        (evidence.confirmed_places, rules.min_places, "places"),
        (evidence.confirmed_days, rules.min_days, "days"),
        (len(evidence.confirmers), rules.min_confirmers, "people"),
    )
    return ", ".join(f"{have} of {need} {what}" for have, need, what in rows if have < need)


def _change(decision: Decision, by_id: dict[int, Decision]) -> dict[str, Any]:
    about = by_id.get(decision.undoes or 0, decision)
    told = {
        "promote": f"promoted {about.name}",
        "reject_name": f"rejected {about.name} ({about.reason})",
        "merge_names": f"merged {about.name} into {about.other}",
        "propose": f"proposed {about.name}",
    }.get(about.kind, about.kind)
    if about is not decision:
        told = f"took back: {told}"
    if about.data.get("forced"):
        told += ", against the rules: " + "; ".join(about.data.get("unmet", ()))
    return {"at": wire.time_text(decision.at), "who": decision.who, "text": told}
