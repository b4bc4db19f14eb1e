"""What the app does with a store: everything that a page can ask, in plain values.

One catalogue serves all reviewers. It takes in others' decisions and new frames on a thread of its own, so
that asking waits for nobody; a decision made here is taken in before its answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from clipomaly.errors import StoreError
from clipomaly.review import wire
from clipomaly.review.filters import read_filter, read_order
from clipomaly.review.pictures import ByteCache
from clipomaly.store.catalogue import Catalogue, FindingFilter
from clipomaly.store.counting import standing
from clipomaly.store.decisions import Decision, Decisions
from clipomaly.store.parts import root_of
from clipomaly.store.records import StoredFinding, StoredFrame, StoredRun
from clipomaly.store.results import ResultStore
from clipomaly.store.state import STATUSES

__all__ = ["Desk", "NotThere"]

Given = Mapping[str, Sequence[str]]
_HELD_FRAMES = 512
_LOOKS = 15.0
"""Seconds for which somebody who said so looks at a finding."""
_MOST = 20_000
"""Findings in one decision."""


class NotThere(StoreError):
    """No such frame, finding or map."""


class Desk:
    """A store, its decisions and its catalogue, opened for review."""

    def __init__(self, store: ResultStore, decisions: Decisions) -> None:
        self.store = store
        self.decisions = decisions
        self.catalogue = Catalogue(store, decisions)
        self.pictures = ByteCache()
        self.turn = threading.RLock()
        self._frames: OrderedDict[str, tuple[StoredFrame, list[StoredFinding]]] = OrderedDict()
        self._looking: dict[str, tuple[str, float]] = {}
        self._runs: dict[str, StoredRun] = {}
        self._counted = 0
        self._people: dict[str, Counter[str]] = {}
        self._last: dict[str, float] = {}
        self._stop = threading.Event()
        self._asked = time.monotonic()
        self.refresh()

    # --- staying up to date ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Take in news once a second while somebody asks, and load the vectors before anybody does."""
        threading.Thread(target=self._keep_up, name="review-refresh", daemon=True).start()
        threading.Thread(target=self._warm, name="review-warm", daemon=True).start()

    def close(self) -> None:
        """Stop, and let go of the database."""
        self._stop.set()
        self.decisions.close()

    def _keep_up(self) -> None:
        while not self._stop.wait(1.0):
            if time.monotonic() - self._asked < 60:
                try:
                    self.refresh()
                except Exception as error:  # the next second asks again; requests report their own errors
                    self.trouble = str(error)

    trouble: str = ""
    """Why the last refresh failed."""

    def _warm(self) -> None:
        with contextlib.suppress(Exception):  # whoever searches next is told
            self.store.space().held()

    def refresh(self) -> None:
        """Take in decisions and frames that are new."""
        with self.turn:
            before = len(self.catalogue)
            changed = self.catalogue.refresh()
            if not self._runs or (changed and len(self.catalogue) != before):
                self._runs = {run.id: run for run in self.store.runs()}
            if changed or not self._counted:
                for decision in self.decisions.since(self._counted):
                    self._people.setdefault(decision.who, Counter())[decision.kind] += 1
                    self._last[decision.who] = decision.at
                    self._counted = decision.id
        self.trouble = ""

    def runs(self) -> list[StoredRun]:
        """All runs, the oldest first."""
        return list(self._runs.values())

    @property
    def version(self) -> str:
        """Changes when another store stands at the same address: pictures are kept by it."""
        text = self.store.uri + "".join(f"{r.id}{r.started}" for r in self._runs.values())
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    # --- lists ----------------------------------------------------------------------------------------------

    def queue(self, given: Given, offset: int, limit: int) -> dict[str, Any]:
        """Ids of a view, in its order."""
        where = read_filter(given)
        with self.turn:
            ids = self.catalogue.query(where, read_order(given), limit, offset)
            return {"total": self.catalogue.count(where), "ids": ids, "counts": self.counts(given)}

    def grid(self, given: Given, offset: int, limit: int) -> dict[str, Any]:
        """Findings of a view, in its order."""
        with self.turn:
            page = self.queue(given, offset, limit)
            rows = [wire.finding_row(self.catalogue.row(i)) for i in page.pop("ids")]
        return {**page, "findings": rows}

    def some(self, given: Given, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Those of the ids that the view still holds."""
        where = read_filter(given)
        with self.turn:
            mask = self.catalogue.mask(where)
            kept = [i for i, row in zip(ids, self.catalogue.rows(ids), strict=True) if row >= 0 and mask[row]]
            return [wire.finding_row(self.catalogue.row(i)) for i in kept]

    def counts(self, given: Given) -> dict[str, int]:
        """How many findings of a view have each status, its own status filter aside.

        `parted`: those beside them in whose place their parts are counted.
        """
        self._asked = time.monotonic()
        with self.turn:
            where = read_filter(given, status=False)
            every = self.catalogue.mask(replace(where, status=STATUSES))
            counted = every & standing(self.catalogue)
            return {**self._by_status(counted), "parted": int(every.sum() - counted.sum())}

    def count_by_status(self, where: FindingFilter | None = None) -> dict[str, int]:
        """How many findings have each status."""
        with self.turn:
            return self._by_status(self.catalogue.mask(where))

    def _by_status(self, mask: np.ndarray) -> dict[str, int]:
        numbers = np.bincount(self.catalogue.status[mask], minlength=len(STATUSES))
        return {status: int(n) for status, n in zip(STATUSES, numbers, strict=True)}

    def facets(self) -> dict[str, Any]:
        """What there is to choose from."""
        with self.turn:
            c = self.catalogue
            conditions = sorted(
                {f"{k}={v}" for text in c.frames["conditions"].unique().to_pylist() for k, v in _pairs(text)}
            )
            return {
                "runs": [wire.run_row(run) for run in self._runs.values()],
                "cameras": sorted(w for w in c.camera.words if w)[:500],
                "places": sorted(w for w in c.place.words if w)[:500],
                "assignees": sorted(w for w in c.assignee.words if w),
                "conditions": conditions[:500],
            }

    def reviewers(self) -> list[str]:
        """Who has decided anything, or looks at something now."""
        return sorted({*self._people, *self.look("", None)})

    def people(self) -> list[dict[str, Any]]:
        """How much each reviewer has decided, by kind."""
        with self.turn:
            rows = sorted(self._people.items(), key=lambda pair: -pair[1].total())
            return [
                {"who": who, "kinds": dict(kinds), "last": wire.time_text(self._last[who])}
                for who, kinds in rows
            ]

    def names(self) -> list[str]:
        """Names to offer, the most frequent first."""
        with self.turn:
            found = self.catalogue.counts(None, names=300)["name"]
        known = {
            str(row.get("name"))
            for run in self._runs.values()
            for row in run.vocabulary_table.get("known", ())
            if isinstance(row, Mapping) and row.get("name")
        }
        from clipomaly.records import UNNAMED

        return [*(n for n in found if n != UNNAMED), *sorted(known - set(found))]

    # --- one finding ----------------------------------------------------------------------------------------

    def sheet(self, frame: str) -> tuple[StoredFrame, list[StoredFinding]]:
        """A frame with its findings: they never change, so the latest are held."""
        with self.turn:
            if frame in self._frames:
                self._frames.move_to_end(frame)
                return self._frames[frame]
        found = self.store.frames_of([frame])
        if not found:
            raise NotThere(f"there is no frame {frame!r}")
        pair = (found[0], self.store.findings_of(frame))
        with self.turn:
            self._frames[frame] = pair
            if len(self._frames) > _HELD_FRAMES:
                self._frames.popitem(last=False)
        return pair

    def frame_of(self, finding: str) -> str:
        """The frame that a finding belongs to."""
        with self.turn:
            [row] = self.catalogue.rows([finding])
            if row < 0:
                raise NotThere(f"there is no finding {finding!r}")
            return str(self.catalogue.frame_ids[row])

    def stored(self, finding: str) -> tuple[StoredFinding, StoredFrame, list[StoredFinding]]:
        """A finding, its frame, and all of the frame's findings."""
        frame, found = self.sheet(self.frame_of(finding))
        with self.turn:
            members = self.catalogue.with_parts(found)
        own = next((f for f in members if f.id == finding), None)
        if own is None:
            raise NotThere(f"there is no finding {finding!r}")
        return own, frame, members

    def detail(self, finding: str) -> dict[str, Any]:
        """Everything that the queue shows of a finding."""
        own, frame, members = self.stored(finding)
        with self.turn:
            row = self.catalogue.row(finding)
            state = self.catalogue.state(finding)
            hidden = {finding, *(f.id for f in members if self.catalogue.parts_of(f.id))}
            others = [self.catalogue.row(f.id) for f in members if f.id not in hidden]
            parts = self.catalogue.parts_of(finding)
        decided = state.by is not None or state.assignee is not None or bool(state.comments)
        history = self.decisions.history(finding) if decided or self.decisions.count() else []
        undone = self.decisions.undone() if history else set()
        told = [(d, d.id not in undone) for d in history]
        return wire.finding_detail(
            own, row, state, frame, self._runs.get(own.run), others, told, self.mask_place(finding)[1], parts
        )

    def mask_now(self, finding: str) -> np.ndarray:
        """The mask that holds: people's, else the run's."""
        mask, _ = self.mask_place(finding)
        return self.stored(finding)[0].mask() if mask is None else mask

    def mask_place(self, finding: str) -> tuple[np.ndarray | None, tuple[int, int, int, int]]:
        """The mask that people gave a finding (None: as found), and its box."""
        from clipomaly.export.masks import decode_rle

        own, _, _ = self.stored(finding)
        rle = self.catalogue.state(finding).rle
        if rle is None:
            return None, own.box
        mask = decode_rle(rle)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return mask, own.box
        return mask, (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)

    def clip(self, finding: str) -> list[dict[str, Any]]:
        """The frames around the finding's own, in the order of their sequence or folder."""
        frame = self.frame_of(finding)
        near = self.store.neighbours(frame, 3, 3)
        own = next(f for f in near if f.id == frame)
        return [wire.clip_row(f, own) for f in near]

    def similar(self, finding: str, limit: int = 9) -> list[dict[str, Any]]:
        """The findings that look most like this one."""
        own, _, _ = self.stored(finding)
        run = self._runs.get(own.run)
        try:
            space = self.store.space(run.space if run else None)
        except StoreError:
            return []  # a run without vectors
        _, matrix = space.vectors([finding])
        if not len(matrix):
            return []
        with self.turn:
            near = [
                (shown, s)
                for i, s in space.nearest(matrix[0], limit + 1)
                if i != root_of(finding)
                for shown in self.catalogue.shown(i)
            ][:limit]
            there = self.catalogue.rows([i for i, _ in near])
            return [
                {**wire.finding_row(self.catalogue.row(i)), "similarity": s}
                for (i, s), row in zip(near, there, strict=True)
                if row >= 0
            ]

    # --- deciding -------------------------------------------------------------------------------------------

    def decide(self, decision: Decision) -> Decision:
        """Append a decision about findings that are there."""
        with self.turn:
            rows = self.catalogue.rows(list(decision.findings))
        missing = [f for f, row in zip(decision.findings, rows, strict=True) if row < 0]
        if missing:
            raise NotThere(f"there is no finding {missing[0]!r}")
        if len(decision.findings) > _MOST:
            raise StoreError(f"one decision is about {_MOST} findings at most: narrow the view")
        done = self.decisions.append(decision)
        self.refresh()
        return done

    def matching(self, given: Given, expected: int) -> tuple[str, ...]:
        """All findings of a view, where it still holds as many as the reviewer was told, or fewer."""
        with self.turn:
            ids = tuple(self.catalogue.query(read_filter(given), read_order(given)))
        if len(ids) > expected:
            raise StoreError(f"the view has grown from {expected} to {len(ids)} findings: look again")
        if not ids:
            raise StoreError("the view is empty by now: look again")
        return ids

    def undo(self, who: str) -> tuple[Decision, Decision] | None:
        """Take back somebody's latest decision; the undo, and what it undid."""
        done = self.decisions.undo(who)
        self.refresh()
        if done is None or done.undoes is None:
            return None
        return done, self.decisions.decision(done.undoes)

    # --- together -------------------------------------------------------------------------------------------

    def look(self, who: str, finding: str | None) -> dict[str, str]:
        """Note what somebody looks at; who looks at what by now."""
        now = time.monotonic()
        with self.turn:
            if who and finding:
                self._looking[who] = (finding, now)
            elif who:
                self._looking.pop(who, None)
            return self._looks(now)

    def claim(self, given: Given, who: str, finding: str) -> dict[str, Any]:
        """Begin with a finding, unless somebody else is at it or it has left the view: the first keeps it."""
        self.refresh()
        where, now = read_filter(given), time.monotonic()
        with self.turn:
            row = int(self.catalogue.rows([finding])[0])
            there = row >= 0 and bool(self.catalogue.mask(where)[row])
            free = there and finding not in {f for w, f in self._looks(now).items() if w != who}
            if who and free:
                self._looking[who] = (finding, now)
            return {"free": free, "there": there, "looking": self._looks(now)}

    def _looks(self, now: float) -> dict[str, str]:
        self._looking = {w: (f, t) for w, (f, t) in self._looking.items() if now - t < _LOOKS}
        return {w: f for w, (f, _) in self._looking.items()}

    def news(self, given: Given, after: int | None) -> dict[str, Any]:
        """What was decided after a decision; only its number where none is given."""
        latest = self.decisions.latest()
        changed = []
        if after is not None and latest > after:
            where = read_filter(given)
            for decision in self.decisions.since(after, 200):
                findings = decision.findings
                if decision.undoes is not None:
                    findings = self.decisions.decision(decision.undoes).findings
                with self.turn:
                    mask = self.catalogue.mask(where)
                    for finding, row in zip(
                        findings[:500], self.catalogue.rows(list(findings[:500])), strict=True
                    ):
                        if row >= 0:
                            changed.append(
                                {
                                    "id": finding,
                                    "who": decision.who,
                                    "text": wire.told(decision),
                                    "status": self.catalogue.status_of(finding),
                                    "leaves": not bool(mask[row]),
                                    "parts": self.catalogue.parts_of(finding),
                                }
                            )
                latest = decision.id
        return {"revision": latest, "changed": changed, "counts": self.counts(given)}


def _pairs(text: str | None) -> list[tuple[str, str]]:
    import json

    return [(str(k), str(v)) for k, v in json.loads(text or "{}").items()]
