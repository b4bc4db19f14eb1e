"""Decisions: append-only rows in SQL, who and when; nothing is ever changed or deleted.

    decisions.sqlite beside the results by default (write-ahead log); postgresql://… for a team

A decision about findings: confirm, rename, reject, split, ignore, assign, comment, reshape (another mask)
About names: promote, reject_name, merge_names (`name` becomes a wording of `other`), propose
About frames: add (a region that people drew)         About a decision: undo

Triggers refuse UPDATE and DELETE, whoever asks. Appends are serialised, so ids grow in the order in which
decisions become visible, and `since` misses none.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipomaly.errors import MissingExtra, StoreError
from clipomaly.store.files import local_folder
from clipomaly.store.state import FindingState, derive

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = [
    "FINDING_KINDS", "KINDS", "NAME_KINDS", "REASONS", "Decision", "Decisions", "decisions_url", "made_anew",
]  # fmt: skip

FINDING_KINDS = ("confirm", "rename", "reject", "split", "ignore", "assign", "comment", "reshape")
NAME_KINDS = ("promote", "reject_name", "merge_names", "propose")
KINDS = (*FINDING_KINDS, *NAME_KINDS, "add", "undo")
REASONS = ("marking", "shadow", "reflection", "known-class", "artefact", "other")
_CHUNK = 500


@dataclass(frozen=True)
class Decision:
    """One decision. `id` and `at` are given when it is appended.

    >>> Decision("ada", "reject", ("00ff00ff00ff00ff-000",), reason="shadow").reason
    'shadow'
    """

    who: str
    kind: str
    findings: tuple[str, ...] = ()
    name: str | None = None
    """The new name (rename), the name spoken of (promote, merge_names…), or who gets it (assign)."""
    other: str | None = None
    """merge_names: what `name` becomes a wording of."""
    reason: str | None = None
    comment: str | None = None
    undoes: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    """Masks of reshape and add; `parts` of split (none: only marked); evidence and `forced` of promote."""
    key: str = ""
    """Appending the same key twice has no effect: a retry is safe. Made if not given."""
    id: int = 0
    at: float = 0.0
    """Seconds since 1970, UTC."""

    def __post_init__(self) -> None:
        def need(good: bool, what: str) -> None:
            if not good:
                raise StoreError(f"decision {self.kind}: {what}")

        need(bool(self.who.strip()), "say who decides")
        need(self.kind in KINDS, f"unknown kind; use one of {', '.join(KINDS)}")
        need(self.kind not in FINDING_KINDS or bool(self.findings), "name the findings")
        need(self.kind in FINDING_KINDS or not self.findings, "is not about findings")
        need(
            self.kind not in ("rename", "assign", *NAME_KINDS) or bool((self.name or "").strip()),
            "give a name",
        )
        need(self.kind != "merge_names" or bool((self.other or "").strip()), "say which name it merges into")
        need(self.kind != "merge_names" or self.name != self.other, "a name cannot merge into itself")
        need(
            self.kind not in ("reject", "reject_name") or self.reason in REASONS,
            f"give a reason: {', '.join(REASONS)}",
        )
        need(self.kind != "comment" or bool((self.comment or "").strip()), "write a comment")
        need(self.kind != "undo" or self.undoes is not None, "say which decision it undoes")
        need(self.kind != "reshape" or "rle" in self.data, "needs data['rle']")
        parts = self.data.get("parts", ()) if self.kind == "split" else ()
        need(not parts or len(self.findings) == 1, "parts belong to one finding")
        need(not parts or len(parts) > 1, "give two parts at least")
        need(all({"rle", "area", "box"} <= set(p) for p in parts), "each part needs rle, area and box")
        need(self.kind != "add" or {"rle", "frame"} <= set(self.data), "needs data['frame'] and data['rle']")


class Decisions:
    """All decisions about one store. Processes and threads may share one database.

    >>> decisions = Decisions.open("sqlite://")
    >>> _ = decisions.append(Decision("ada", "rename", ("f-000",), name="wheel chock"))
    >>> decisions.state("f-000").name
    'wheel chock'
    >>> _ = decisions.undo("ada")
    >>> decisions.state("f-000").status
    'open'
    """

    def __init__(self, engine: Engine) -> None:
        from clipomaly.store import decision_tables

        self.engine = engine
        self._sql = decision_tables
        self.made = decision_tables.create(engine)
        """Whether nothing was there: the tables were made now."""

    @classmethod
    def open(cls, url: str | Path) -> Decisions:
        """Open by URL (`sqlite:///…`, `postgresql://…`) or by the path of an SQLite file."""
        try:
            from clipomaly.store.decision_tables import open_engine
        except ImportError as error:
            raise MissingExtra("sqlalchemy", "store", "keeping decisions") from error
        return cls(open_engine(str(url)))

    def close(self) -> None:
        """Let go of the connections."""
        self.engine.dispose()

    # --- writing --------------------------------------------------------------------------------------------

    def append(self, decision: Decision) -> Decision:
        """Append one; returns it with its id and time."""
        [done] = self.append_many([decision])
        return done

    def append_many(self, decisions: Iterable[Decision]) -> list[Decision]:
        """Append several, all or none."""
        wanted = [replace(d, key=d.key or uuid.uuid4().hex) for d in decisions]
        with self._sql.writing(self.engine) as connection:
            return [self._append(connection, decision) for decision in wanted]

    def undo(self, who: str, decision: int | None = None, comment: str | None = None) -> Decision | None:
        """Undo this person's latest decision that still holds, or the one given; None if there is none."""
        with self._sql.writing(self.engine) as connection:
            if decision is None:
                decision = self._latest(connection, who)
                if decision is None:
                    return None
            elif not self._read(connection, [decision]):
                raise StoreError(f"there is no decision {decision} to undo")
            return self._append(
                connection, Decision(who, "undo", undoes=decision, comment=comment, key=uuid.uuid4().hex)
            )

    def _append(self, connection: Connection, decision: Decision) -> Decision:
        rows = self._sql.insert(
            connection,
            {
                "key": decision.key,
                "at": decision.at or time.time(),
                "who": decision.who.strip(),
                "kind": decision.kind,
                "name": decision.name,
                "other": decision.other,
                "reason": decision.reason,
                "comment": decision.comment,
                "undoes": decision.undoes,
                "data": json.dumps(dict(decision.data), ensure_ascii=False, sort_keys=True),
            },
            decision.findings,
        )
        [done] = self._read(connection, [rows])
        return done

    def _latest(self, connection: Connection, who: str) -> int | None:
        own = self._sql.decisions_of(connection, who)
        undone = _inert((d, u) for d, k, u in self._sql.undo_pairs(connection) if k == "undo")
        return next((d for d in reversed(own) if d not in undone), None)

    # --- reading --------------------------------------------------------------------------------------------

    def _read(self, connection: Connection, ids: Sequence[int]) -> list[Decision]:
        return [_decision(row, found) for row, found in self._sql.select(connection, ids)]

    def since(self, decision: int = 0, limit: int | None = None) -> list[Decision]:
        """Decisions after this id, in order: for live updates, and for everything with 0."""
        with self.engine.connect() as connection:
            return self._read(connection, self._sql.ids_after(connection, decision, limit))

    def latest(self) -> int:
        """The highest id."""
        with self.engine.connect() as connection:
            return self._sql.highest(connection)

    def count(self) -> int:
        """How many decisions there are."""
        with self.engine.connect() as connection:
            return self._sql.count(connection)

    def decision(self, decision: int) -> Decision:
        """One decision."""
        with self.engine.connect() as connection:
            found = self._read(connection, [decision])
        if not found:
            raise StoreError(f"there is no decision {decision}")
        return found[0]

    def undone(self) -> set[int]:
        """Ids of decisions that do not hold: undone, and not redone by undoing the undo."""
        with self.engine.connect() as connection:
            return _inert((d, u) for d, k, u in self._sql.undo_pairs(connection) if k == "undo")

    def history(self, finding: str) -> list[Decision]:
        """Everything decided about a finding, undos included, in order."""
        return self._histories([finding]).get(finding, [])

    def state(self, finding: str) -> FindingState:
        """What holds now for a finding."""
        return self.states([finding])[finding]

    def states(self, findings: Iterable[str]) -> dict[str, FindingState]:
        """What holds now for each of these findings; those nobody spoke of are open."""
        wanted = list(dict.fromkeys(findings))
        inert, renames = self.undone(), self.merged_names()
        histories = self._histories(wanted)
        return {f: derive(histories.get(f, ()), inert, renames) for f in wanted}

    def decided(self) -> list[str]:
        """Findings that anything was decided about."""
        with self.engine.connect() as connection:
            return self._sql.all_findings(connection)

    def about_names(self) -> list[Decision]:
        """Decisions about names that hold, in order."""
        return self._holding(NAME_KINDS)

    def drawn(self) -> list[Decision]:
        """Regions that people drew in another tool, those that hold, in order."""
        return self._holding(("add",))

    def name_changes(self) -> list[Decision]:
        """Every decision about names, holding or not, and every undo of one or of such an undo; in order."""
        with self.engine.connect() as connection:
            ids = set(self._sql.ids_of_kinds(connection, NAME_KINDS))
            return self._read(connection, sorted(ids | self._sql.undos_of(connection, ids)))

    def merged_names(self) -> dict[str, str]:
        """From a merged name to the name it has become, through chains."""
        step = {d.name: d.other for d in self.about_names() if d.kind == "merge_names"}
        out: dict[str, str] = {}
        for name in step:
            at, seen = name, {name}
            while (further := step.get(at)) is not None and further not in seen:
                seen.add(further)
                at = further
            if name is not None and at is not None and at != name:
                out[name] = at
        return out

    def _holding(self, kinds: Sequence[str]) -> list[Decision]:
        with self.engine.connect() as connection:
            found = self._read(connection, self._sql.ids_of_kinds(connection, kinds))
        inert = self.undone()
        return [d for d in found if d.id not in inert]

    def _histories(self, findings: Sequence[str]) -> dict[str, list[Decision]]:
        out: dict[str, list[Decision]] = {}
        with self.engine.connect() as connection:
            for chunk in _chunks(findings):
                pairs = self._sql.decisions_about(connection, chunk)
                with_undos = self._sql.undos_of(connection, {d for d, _ in pairs})
                rows = {d.id: d for d in self._read(connection, sorted({d for d, _ in pairs} | with_undos))}
                for decision, finding in pairs:
                    out.setdefault(finding, []).append(rows[decision])
                undos: dict[int, list[Decision]] = {}
                for key in with_undos:
                    undos.setdefault(rows[key].undoes or 0, []).append(rows[key])
                for finding in chunk:
                    if finding in out:
                        out[finding] = _with_undos(out[finding], undos)
        return out


def decisions_url(store: str | Path, given: str | None = None) -> str:
    """Where the decisions about a store are: given, else `$CLIPOMALY_DECISIONS`, else a file inside it.

    >>> decisions_url("runs")
    'sqlite:///runs/decisions.sqlite'
    """
    url = given or os.environ.get("CLIPOMALY_DECISIONS")
    if url:
        return url
    folder = local_folder(store)
    if folder is None:
        raise StoreError(
            f"decisions about {store} need a database beside it, as an object store can hold none: give "
            "--decisions sqlite:///decisions.sqlite for one person, --decisions postgresql://… for several, "
            "or set CLIPOMALY_DECISIONS"
        )
    return _inside(folder)


def _inside(store: Path) -> str:
    return f"sqlite:///{store / 'decisions.sqlite'}"


def made_anew(store: str | Path, url: str, opened: Decisions) -> str | None:
    """What to say where decisions were looked for in a place of their own, and none had ever been kept."""
    folder = local_folder(store)
    if not opened.made or (folder is not None and url == _inside(folder)):
        return None
    where = opened.engine.url.render_as_string(hide_password=True)
    return f"no decisions have been kept in {where} before, so it is empty: is --decisions right?"


def _with_undos(history: Sequence[Decision], undos: Mapping[int, Sequence[Decision]]) -> list[Decision]:
    out = {d.id: d for d in history}
    waiting = list(history)
    while waiting:
        for undo in undos.get(waiting.pop().id, ()):
            out[undo.id] = undo
            waiting.append(undo)
    return [out[key] for key in sorted(out)]


def _inert(pairs: Iterable[tuple[int, int | None]]) -> set[int]:
    """Decisions that are undone. The latest undo counts first: an undone undo undoes nothing."""
    inert: set[int] = set()
    for undo, target in sorted(pairs, reverse=True):
        if undo not in inert and target is not None:
            inert.add(target)
    return inert


def _decision(row: Any, findings: Sequence[str]) -> Decision:
    return Decision(
        who=row.who,
        kind=row.kind,
        findings=tuple(findings),
        name=row.name,
        other=row.other,
        reason=row.reason,
        comment=row.comment,
        undoes=row.undoes,
        data=json.loads(row.data),
        key=row.key,
        id=row.id,
        at=row.at,
    )


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(ids), _CHUNK):
        yield ids[first : first + _CHUNK]
