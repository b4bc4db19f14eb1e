"""All findings in memory, as columns, with what people decided: filters and counts within milliseconds.

`refresh` takes in what writers and reviewers have added since; decisions come one by one, findings anew only
when a table has changed. Masks, candidates and vectors stay in the store. Parts that people cut (`parts.py`)
are rows like the others, behind them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Integer

from clipomaly.errors import ConfigError
from clipomaly.records import UNNAMED, names_are_guesses
from clipomaly.store.columns import Texts, flat, numbers, pictures_of, places_of, top
from clipomaly.store.counting import bearing
from clipomaly.store.decisions import Decisions
from clipomaly.store.filters import FindingFilter
from clipomaly.store.meeting import meeting, order_key
from clipomaly.store.parts import part_id, part_record, root_of
from clipomaly.store.records import StoredFinding
from clipomaly.store.results import ResultStore
from clipomaly.store.state import STATUSES, FindingState
from clipomaly.store.tables import first_attempts

__all__ = ["ORDERS", "Catalogue", "FindingFilter"]

ORDERS = ("score", "area", "time", "name", "confidence", "id", "cluster")
_FRAME_COLUMNS = [
    "id", "attempt", "name", "picture", "path", "height", "width", "time", "camera", "lat", "lon", "sequence",
    "index", "conditions",
]  # fmt: skip
_FINDING_COLUMNS = [
    "id", "run", "frame", "attempt", "name", "name_source", "score", "confidence", "area", "x0", "y0", "x1",
    "y1", "nearest_known",
]  # fmt: skip
_ARRAYS = (
    "ids", "frame_ids", "owner", "score", "confidence", "area", "box", "image_size", "share", "time",
    "frame_codes", "status", "cluster",
)  # fmt: skip
_TEXTS = (
    "run", "found_name", "name", "name_source", "nearest_known", "camera", "_conditions", "place", "picture",
    "assignee",
)  # fmt: skip


class Catalogue:
    """Columns of all findings. `query` gives ids; threads may share one, `refresh` waits for the others."""

    def __init__(self, store: ResultStore, decisions: Decisions) -> None:
        self.store = store
        self.decisions = decisions
        self._lock = threading.RLock()
        self._versions: tuple[int, int] | None = None
        self._seen = 0
        self._clusters: dict[str, int] = {}
        self._states: dict[str, FindingState] = {}
        self._found = 0
        self._roots: np.ndarray = np.zeros(0, np.intp)
        self._parts: dict[str, Mapping[str, Any]] = {}
        self._cut: set[str] = set()
        self._spaces: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._places: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self.refresh()

    def __len__(self) -> int:
        return len(self.ids)

    # --- taking in ------------------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Take in what is new; whether anything was."""
        with self._lock:
            versions = (self.store.table("frames").version, self.store.table("findings").version)
            new_rows = versions != self._versions
            if new_rows:
                self._load()
                self._versions = versions
                self._seen, self._states, self._cut = 0, {}, set()
            latest = self.decisions.latest()
            if latest == self._seen:
                return new_rows
            self._take_decisions()
            return True

    def _load(self) -> None:
        frames = first_attempts(self.store.rows("frames", columns=_FRAME_COLUMNS)).combine_chunks()
        table = self.store.rows("findings", columns=_FINDING_COLUMNS).combine_chunks()
        at = pc.index_in(flat(table["frame"]), value_set=flat(frames["id"]))
        chosen = pc.take(flat(frames["attempt"]), at)
        live = pc.fill_null(pc.equal(chosen, flat(table["attempt"])), False)
        table, at = table.filter(live), at.filter(live)
        owner = at.to_numpy(zero_copy_only=False).astype(np.intp)
        self.ids: np.ndarray = flat(table["id"]).to_numpy(zero_copy_only=False)
        self.frame_ids: np.ndarray = flat(table["frame"]).to_numpy(zero_copy_only=False)
        self.owner = owner
        self.frames = frames
        self.run = Texts(flat(table["run"]))
        self.found_name = Texts(flat(table["name"]).fill_null(UNNAMED))
        self.name = Texts(flat(table["name"]).fill_null(UNNAMED))
        self.name_source = Texts(flat(table["name_source"]))
        self.nearest_known = Texts(flat(table["nearest_known"]))
        self.score = numbers(table["score"])
        self.confidence = numbers(table["confidence"])
        self.area = numbers(table["area"])
        self.box = np.stack([numbers(table[c]) for c in ("x0", "y0", "x1", "y1")], axis=1)
        height, width = numbers(frames["height"])[owner], numbers(frames["width"])[owner]
        self.image_size = np.stack([height, width], axis=1)
        self.share = self.area / np.maximum(height * width, 1)
        self.time = numbers(frames["time"])[owner]
        self.frame_name = Texts(flat(frames["name"]))
        self.frame_codes = self.frame_name.codes[owner]
        self.camera = Texts(flat(frames["camera"]).take(at))
        self._conditions = Texts(flat(frames["conditions"]).take(at))
        self.place = Texts(places_of(frames).take(at))
        self.picture = Texts(pictures_of(frames).take(at))
        self.status = np.zeros(len(self.ids), np.int8)
        self.assignee = Texts([""] * len(self.ids))
        self._row = None
        self._found, self._roots, self._parts = len(self.ids), np.zeros(0, np.intp), {}
        self.parted: np.ndarray = np.zeros(len(self.ids), bool)
        self._place_clusters()

    def _take_decisions(self) -> None:
        fresh = self.decisions.since(self._seen)
        touched: set[str] = set()
        all_names = self._seen == 0
        undone: list[int] = []
        for decision in fresh:
            touched.update(decision.findings)
            if decision.kind == "undo" and decision.undoes is not None:
                undone.append(decision.undoes)
            all_names |= decision.kind == "merge_names"
        while undone:  # an undo may undo an undo
            decision = self.decisions.decision(undone.pop())
            touched.update(decision.findings)
            all_names |= decision.kind == "merge_names"
            if decision.undoes is not None:
                undone.append(decision.undoes)
        if all_names:
            touched.update(self.decisions.decided())
        states = self.decisions.states(sorted(touched))
        self._states |= states
        self._cut -= states.keys()
        self._cut |= {f for f, state in states.items() if state.parts}
        if self._place_parts():
            states |= {p: self._states[p] for p in self._parts if p in self._states}
        merged = self.decisions.merged_names()
        if all_names:
            self._rename_all(merged)
        rows = self.rows(list(states))
        for row, state in zip(rows, states.values(), strict=True):
            if row < 0:
                continue
            self.status[row] = STATUSES.index(state.status)
            found = self.found_name.words[self.found_name.codes[row]]
            self.name.codes[row] = self.name.code(state.name or merged.get(found, found))
            self.assignee.codes[row] = self.assignee.code(state.assignee or "")
        self._seen = max(self._seen, max((d.id for d in fresh), default=0))

    def _rename_all(self, merged: Mapping[str, str]) -> None:
        """Names as found, those that were merged by their new name."""
        new = [self.name.code(merged.get(word, word)) for word in self.found_name.words]
        self.name.codes = np.array(new, np.int32)[self.found_name.codes] if new else self.name.codes

    def _place_parts(self) -> bool:
        """Put the parts that hold now behind the store's rows; whether they are others than before."""
        wanted: dict[str, Mapping[str, Any]] = {}
        waiting = sorted(f for f in self._cut if f == root_of(f))
        while waiting:
            finding = waiting.pop()
            state = self._states[finding]
            for number, table in enumerate(state.parts):
                key = part_id(finding, state.cut, number)
                wanted[key] = table
                if key in self._cut:
                    waiting.append(key)
        roots = self.rows([root_of(key) for key in wanted])
        wanted = {key: table for (key, table), row in zip(wanted.items(), roots, strict=True) if row >= 0}
        if wanted.keys() == self._parts.keys():
            return False
        self._parts, self._roots = wanted, roots[roots >= 0]
        n = self._found
        pick = np.concatenate([np.arange(n, dtype=np.intp), self._roots])
        for name in _ARRAYS:
            setattr(self, name, getattr(self, name)[pick])
        for name in _TEXTS:
            column: Texts = getattr(self, name)
            column.codes = column.codes[pick]
        self._row = None
        if wanted:
            self.ids[n:] = list(wanted)
            self.area[n:] = [table["area"] for table in wanted.values()]
            self.box[n:] = [table["box"] for table in wanted.values()]
            self.share[n:] = self.area[n:] / np.maximum(self.image_size[n:].prod(axis=1), 1)
            self.status[n:] = 0
            self.assignee.codes[n:] = self.assignee.code("")
            merged = self.decisions.merged_names()
            names = [self.found_name.words[c] for c in self.found_name.codes[n:]]
            self.name.codes[n:] = [self.name.code(merged.get(name, name)) for name in names]
        self.parted = np.zeros(len(self.ids), bool)
        self.parted[self.rows(sorted({key.rpartition("-s")[0] for key in wanted}))] = True
        self._place_clusters()
        return True

    def set_clusters(self, clusters: Mapping[str, int]) -> None:
        """Which cluster each finding belongs to; those left out belong to none (−1)."""
        with self._lock:
            self._clusters = dict(clusters)
            self._place_clusters()

    def _place_clusters(self) -> None:
        self.cluster = np.full(len(self.ids), -1, np.int32)
        if self._clusters:
            rows = self.rows(list(self._clusters))
            good = rows >= 0
            self.cluster[rows[good]] = np.array(list(self._clusters.values()), np.int32)[good]
            self.cluster[self._found :] = self.cluster[self._roots]

    # --- looking up -----------------------------------------------------------------------------------------

    def rows(self, ids: Sequence[str]) -> Integer[np.ndarray, " n"]:
        """Row of each id; −1 where there is none."""
        if len(ids) < 2_000:
            if self._row is None:
                self._row = {key: i for i, key in enumerate(self.ids)}
            return np.array([self._row.get(i, -1) for i in ids], np.intp)
        at = pc.index_in(pa.array(ids, pa.string()), value_set=pa.array(self.ids, pa.string()))
        return np.asarray(pc.fill_null(at, -1).to_numpy(zero_copy_only=False), np.intp)

    _row: dict[str, int] | None

    def state(self, finding: str) -> FindingState:
        """What holds for a finding."""
        return self._states.get(finding, FindingState())

    def status_of(self, finding: str) -> str:
        """Its status."""
        return self.state(finding).status

    def name_of(self, finding: str) -> str:
        """Its name now, people's decisions and merges included."""
        [row] = self.rows([finding])
        return self.name.words[self.name.codes[row]] if row >= 0 else UNNAMED

    def guesses(self, finding: str) -> bool:
        """Whether the names that its run gave are guesses, as the model's folder said."""
        [row] = self.rows([finding])
        return self.run_guesses(self.run.words[self.run.codes[row]])

    def run_guesses(self, run: str) -> bool:
        """Whether the names that this run gave are guesses."""
        if run not in self._names:
            self._names = {one.id: one.names for one in self.store.runs()}
        return names_are_guesses({"names": self._names.get(run)})

    def space_of_run(self, run: str) -> str | None:
        """Whose vectors a run's findings have; kept, as runs never change."""
        if run not in self._spaces:
            self._spaces = {one.id: one.space for one in self.store.runs()}
        return self._spaces.get(run)

    def places_in(self, space: str, have: np.ndarray) -> Integer[np.ndarray, " n"]:
        """Where each finding stands among these ids (those of a `VectorSpace`); −1 where it does not."""
        kept = self._places.get(space)
        if kept is None or kept[0] is not have or kept[1] is not self.ids:
            at = pc.index_in(pa.array(self.ids, pa.string()), value_set=pa.array(have, pa.string()))
            places = np.array(pc.fill_null(at, -1).to_numpy(zero_copy_only=False), np.intp)
            places[self._found :] = places[self._roots]
            self._places[space] = kept = (have, self.ids, places)
        return kept[2]

    def parts_of(self, finding: str) -> list[str]:
        """The parts that a finding was cut into, where the cut holds."""
        state = self.state(finding)
        parts = [part_id(finding, state.cut, n) for n in range(len(state.parts))]
        return [p for p in parts if p in self._parts]

    def shown(self, finding: str) -> list[str]:
        """What stands for a finding: itself, or its parts, where they were cut again theirs."""
        parts = self.parts_of(finding)
        return [each for p in parts for each in self.shown(p)] if parts else [finding]

    def findings(self, ids: Sequence[str], embeddings: bool = True) -> list[StoredFinding]:
        """`ResultStore.findings`, of parts too: a part has the vector of its finding."""
        roots = {f.id: f for f in self.store.findings([root_of(i) for i in ids], embeddings)}
        out = []
        for key in ids:
            root, table = roots.get(root_of(key)), self._parts.get(key)
            if root is not None and (table is not None or root.id == key):
                out.append(root if table is None else part_record(root, key, table))
        return out

    def with_parts(self, found: Sequence[StoredFinding]) -> list[StoredFinding]:
        """Findings of the run, and behind them all the parts that they were cut into."""
        out = list(found)
        for root in found if self._parts else ():
            waiting = self.parts_of(root.id)
            while waiting:
                key = waiting.pop(0)
                out.append(part_record(root, key, self._parts[key]))
                waiting += self.parts_of(key)
        return out

    def row(self, finding: str) -> dict[str, Any]:
        """One finding's columns, for a list or a table."""
        [i] = self.rows([finding])
        if i < 0:
            raise KeyError(finding)
        owner = int(self.owner[i])
        status = STATUSES[self.status[i]]
        name, found = self.name.words[self.name.codes[i]], self.found_name.words[self.found_name.codes[i]]
        return {
            "id": finding,
            "run": self.run.words[self.run.codes[i]],
            "frame": str(self.frame_ids[i]),
            "frame_name": self.frame_name.words[self.frame_codes[i]],
            "name": name,
            "found_name": found,
            # People's names are none, nor is a model's that they confirmed.
            "guess": name == found != UNNAMED and status != "confirmed" and self.guesses(finding),
            "name_source": self.name_source.words[self.name_source.codes[i]] or None,
            "status": status,
            "assignee": self.assignee.words[self.assignee.codes[i]] or None,
            "score": float(self.score[i]),
            "confidence": float(self.confidence[i]),
            "area": int(self.area[i]),
            "share": float(self.share[i]),
            "box": tuple(int(v) for v in self.box[i]),
            "time": None if np.isnan(self.time[i]) else float(self.time[i]),
            "camera": self.camera.words[self.camera.codes[i]],
            "place": self.place.words[self.place.codes[i]],
            "sequence": self.frames["sequence"][owner].as_py(),
            "index": self.frames["index"][owner].as_py(),
            "nearest_known": self.nearest_known.words[self.nearest_known.codes[i]],
            "cluster": int(self.cluster[i]),
        }

    # --- asking ---------------------------------------------------------------------------------------------

    def query(
        self,
        where: FindingFilter | None = None,
        order: str = "-score",
        limit: int | None = None,
        offset: int = 0,
    ) -> list[str]:
        """Ids that meet the filter; `order` is a column, `-` before it turns it round."""
        column, down = order.removeprefix("-"), order.startswith("-")
        if column not in ORDERS:
            raise ConfigError(
                f"unknown order {order!r}: use one of {', '.join(ORDERS)}, perhaps with a - before"
            )
        with self._lock:
            rows = np.flatnonzero(self.mask(where))
            keys = order_key(self, column)[rows]
            keys = -keys if down else keys
            rows = rows[np.argsort(keys, kind="stable")]
            stop = None if limit is None else offset + limit
            return [str(i) for i in self.ids[rows[offset:stop]]]

    def count(self, where: FindingFilter | None = None) -> int:
        """How many meet the filter."""
        with self._lock:
            return int(self.mask(where).sum())

    def counts(self, where: FindingFilter | None = None, names: int = 50) -> dict[str, dict[str, int]]:
        """How many there are by status, run, camera, place, and the most frequent names that they bear."""
        with self._lock:
            mask = self.mask(where)
            by_status = np.bincount(self.status[mask], minlength=len(STATUSES))
            out = {"status": {s: int(n) for s, n in zip(STATUSES, by_status, strict=True)}}
            out["name"] = top(self.name, mask & bearing(self), names)
            for key in ("run", "camera", "place"):
                out[key] = top(getattr(self, key), mask, names)
            return out

    def mask(self, where: FindingFilter | None) -> Bool[np.ndarray, " n"]:
        """Which rows meet the filter."""
        return meeting(self, where or FindingFilter())
