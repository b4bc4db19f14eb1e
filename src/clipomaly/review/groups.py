"""Look-alikes: findings whose vectors lie close together, so that many can be decided at once.

Made over the findings with the highest scores of each model, on a thread of its own when first asked for, and
again when the store has grown by a tenth. A group's number stays the same in between: it is a filter.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clipomaly.errors import StoreError
from clipomaly.records import UNNAMED, shown_name
from clipomaly.review.desk import Desk
from clipomaly.review.filters import read_filter
from clipomaly.store.clusters import clusters_of, suggest_names, votes_of

__all__ = ["Groups"]

_SHOWN = 60
_MOST = 10_000
"""Findings of one model that are grouped: about two seconds of one core at width 256."""
_SAMPLE = 8


class Groups:
    """Groups beside a desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._made_for = 0
        self._members: dict[int, tuple[str, ...]] = {}
        self._suggested: dict[int, str] = {}
        self._grouped = 0
        self._working: threading.Thread | None = None
        self._trouble = ""
        self._lock = threading.Lock()

    def overview(self, given: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """The groups of a view, the largest first; `making` while they are not there yet."""
        self._ensure()
        if self._trouble:
            raise StoreError(self._trouble)
        if not self._members:
            return {"groups": [], "making": self._working is not None, "note": ""}
        where = read_filter(given)
        c = self.desk.catalogue
        with self.desk.turn:
            numbers = c.cluster[c.mask(where) & (c.cluster >= 0)]
            sizes = np.bincount(numbers, minlength=1)
            order = [int(n) for n in np.argsort(-sizes, kind="stable")[:_SHOWN] if sizes[n] >= 2]
            there = [self._group(number, int(sizes[number])) for number in order]
        all_ = self._grouped == len(c)
        note = "" if all_ else f"Among the {self._grouped:,} findings with the highest scores."
        return {"groups": there, "making": False, "note": note}

    def _group(self, number: int, size: int) -> dict[str, Any]:
        members = self._members[number]
        c = self.desk.catalogue
        rows = c.rows(members[:500])
        rows = rows[rows >= 0]
        names = c.name.codes[rows]
        code = int(np.bincount(names).argmax()) if len(names) else -1
        common = c.name.words[code] if code >= 0 else UNNAMED
        if common == UNNAMED:
            perhaps = self._suggest(number)
            common = f"{perhaps}?" if perhaps else UNNAMED
        else:
            first = str(c.ids[rows[names == code][0]])
            common = shown_name(common, c.row(first)["guess"])
        return {"id": str(number), "name": common, "size": size, "sample": members[0]}

    def _suggest(self, number: int) -> str:
        if number not in self._suggested:
            found = self.desk.catalogue.findings(self._members[number][:_SAMPLE], embeddings=False)
            names = suggest_names(list(votes_of(found).values()), 1)
            self._suggested[number] = names[0][0] if names else ""
        return self._suggested[number]

    def _ensure(self) -> None:
        with self._lock:
            count = len(self.desk.catalogue)
            if self._working is not None or count <= self._made_for * 1.1:
                return
            self._made_for = max(count, 1)
            self._working = threading.Thread(target=self._make, name="review-groups", daemon=True)
            self._working.start()

    def _make(self) -> None:
        try:
            self._group_all()
            self._trouble = ""
        except Exception as error:  # told to whoever asks: the thread has nobody to tell
            self._trouble = f"look-alikes cannot be grouped: {error}"
        finally:
            self._working = None

    def _group_all(self) -> None:
        desk = self.desk
        c = desk.catalogue
        members: dict[int, tuple[str, ...]] = {}
        grouped = 0
        for space in dict.fromkeys(run.space for run in desk.runs() if run.space):
            try:
                vectors = desk.store.space(space)
            except StoreError:
                continue  # its runs found nothing
            with desk.turn:
                ours = np.isin(
                    c.run.codes, [c.run.code_of.get(r.id, -1) for r in desk.runs() if r.space == space]
                )
                rows = np.flatnonzero(ours)
                rows = rows[np.argsort(-c.score[rows], kind="stable")[:_MOST]]
                wanted = [str(i) for i in c.ids[rows]]
            ids, matrix = vectors.vectors(wanted)
            grouped += len(ids)
            for cluster in clusters_of([str(i) for i in ids], matrix, {}):
                members[len(members)] = cluster.findings
        with desk.turn:
            c.set_clusters({f: number for number, found in members.items() for f in found})
        self._suggested = {}
        self._grouped = grouped
        self._members = members
