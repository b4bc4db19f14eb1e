"""Nearest vectors: exact in memory up to a limit, through a Lance index beyond it.

    similarity = cosine = v · q        (both of unit length)

In memory: one matrix product over all vectors in 32 bits. Beyond `memory` bytes: an inverted file over
RaBitQ codes (IvfRq, on 16-bit vectors), whose best 16,000 are compared exactly. Without an index everything
is compared: slow, and exact. Among some findings, beyond `memory`: few are fetched by their row and compared
exactly; of many, the index's best are asked for more than wanted, and where too few of them may be taken,
everything is read once.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Integer, UInt64

from clipomaly.errors import StoreError
from clipomaly.store.parts import root_of
from clipomaly.store.rows import vectors_of
from clipomaly.store.tables import StoreTables, first_attempts, quoted

__all__ = ["VectorSpace"]

#: Ids, and their vectors in the same order.
Held = tuple[np.ndarray, Float[np.ndarray, "n d"]]

MEMORY = 1 << 29
"""Bytes of vectors that are held in memory at most."""
PROBES = 250
"""Cells of the index that are looked at."""
RANKED = 16_000
"""The index's best that are compared exactly."""
_INDEX_FROM = 10_000
_EXACT_UP_TO = 50_000
"""Rows up to which their vectors are fetched and compared, beside an index."""
_FEW = 200
"""Ids up to which their rows are looked up one by one."""
_WANTED = 2_000
"""Results of the index up to which asking it is quicker than reading everything."""


class Listing(NamedTuple):
    """Live vectors that stay where they are: ids, and Lance's numbers of their rows, ascending."""

    ids: np.ndarray
    rows: UInt64[np.ndarray, " n"]


class VectorSpace:
    """One model's vectors. Threads may share it."""

    def __init__(self, tables: StoreTables, name: str, memory: int = MEMORY) -> None:
        self.tables = tables
        self.name = name
        self.memory = memory
        self.width = int(tables.table(name).schema.field("vector").type.list_size)
        self._version: tuple[int, int] | None = None
        self._held: Held = (np.zeros(0, object), np.zeros((0, self.width), np.float32))
        self._listed: tuple[tuple[int, int], Listing] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self.tables.table(self.name).count_rows())

    @property
    def in_memory(self) -> bool:
        """Whether searches are exact and in memory."""
        return len(self) * self.width * 4 <= self.memory

    def nearest(
        self, vector: Float[np.ndarray, " d"], limit: int = 20, where: Collection[str] | None = None
    ) -> list[tuple[str, float]]:
        """The nearest findings, best first."""
        query = self._unit(vector)
        if self.in_memory:
            ids, matrix = self.load()
            return _best(ids, matrix @ query, limit, where)
        if where is None:
            return self._through_index(query, limit)
        listing = self.listing()
        return self._among(listing, query, limit, _places(listing.ids, [root_of(i) for i in where]))

    def _unit(self, vector: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
        query = np.asarray(vector, np.float32).ravel()
        if query.shape != (self.width,):
            raise StoreError(
                f"the query has {query.size} numbers, the store's vectors {self.width}: "
                "it comes from another model"
            )
        return query / max(float(np.linalg.norm(query)), 1e-12)

    def held(self) -> Held | Listing:
        """What `nearest_of_rows` takes; its first part are the ids."""
        return self.load() if self.in_memory else self.listing()

    def nearest_of_rows(
        self,
        held: Held | Listing,
        vector: Float[np.ndarray, " d"],
        limit: int,
        rows: Integer[np.ndarray, " m"],
    ) -> list[tuple[str, float]]:
        """The nearest among these rows of what `held` gave; negative ones stand for none."""
        query = self._unit(vector)
        if isinstance(held, Listing):
            return self._among(held, query, limit, rows)
        ids, matrix = held
        rows = np.flatnonzero(_marked(rows, len(ids)))
        # one product over everything is quicker than copying many rows out of it
        some = matrix[rows] @ query if len(rows) < len(ids) // 8 else (matrix @ query)[rows]
        return _best(ids[rows], some, limit, None)

    def load(self) -> Held:
        """All live vectors with their ids; what is held already is not read again."""
        with self._lock:
            version = self._now()
            if version != self._version:
                self._update()
                self._version = version
            return self._held

    def listing(self) -> Listing:
        """All live ids with their rows: for searches among some of them without the vectors in memory."""
        with self._lock:
            version = self._now()
            if self._listed is None or self._listed[0] != version:
                search = self.tables.table(self.name).search().select(["id", "attempt"]).with_row_id(True)
                table = search.limit(None).to_arrow()
                live = self._live(table)
                rows = table["_rowid"].to_numpy()[live]
                order = np.argsort(rows, kind="stable")
                ids = table["id"].to_numpy(zero_copy_only=False)[live][order]
                self._listed = (version, Listing(ids, rows[order]))
            return self._listed[1]

    def _now(self) -> tuple[int, int]:
        return self.tables.table(self.name).version, self.tables.table("frames").version

    def vectors(self, ids: Collection[str]) -> tuple[np.ndarray, Float[np.ndarray, "n d"]]:
        """The vectors of these findings, in the ids' order as far as there; a part has its finding's."""
        if self.in_memory:
            have, matrix = self.load()
            at = _places(have, [root_of(i) for i in ids])
            there = at >= 0
            return np.array(list(ids), object)[there], matrix[at[there]]
        roots = [root_of(i) for i in ids]
        if len(roots) > _FEW:
            listing = self.listing()
            at = _places(listing.ids, roots)
            there = at >= 0
            rows, back = np.unique(at[there], return_inverse=True)
            return np.array(list(ids), object)[there], self._fetch(listing, rows)[back]
        table = self.tables.by_id(self.name, roots)
        table = table.filter(pa.array(self._live_few(table), pa.bool_()))
        found = dict(zip(table["id"].to_pylist(), vectors_of(table), strict=True))
        pairs = [(i, v) for i, root in zip(ids, roots, strict=True) if (v := found.get(root)) is not None]
        if not pairs:
            return np.zeros(0, object), np.zeros((0, self.width), np.float32)
        return np.array([i for i, _ in pairs], object), np.stack([v for _, v in pairs])

    def _fetch(self, listing: Listing, places: Integer[np.ndarray, " m"]) -> Float[np.ndarray, "m d"]:
        """The vectors at these places of a listing, by their rows; places ascend."""
        out = np.empty((len(places), self.width), np.float32)
        for first in range(0, len(places), 16_384):
            part = places[first : first + 16_384]
            found = self.tables.table(self.name).take_row_ids(listing.rows[part].tolist())
            table = found.select(["id", "attempt", "vector"]).to_arrow()
            if not np.array_equal(table["id"].to_numpy(zero_copy_only=False), listing.ids[part]):
                # rows were moved together since they were listed: by their ids then
                table = self.tables.by_id(self.name, listing.ids[part].tolist())
                table = table.filter(pa.array(self._live(table)))
                table = table.take(_places(table["id"].to_numpy(zero_copy_only=False), listing.ids[part]))
            out[first : first + len(part)] = vectors_of(table)
        return out

    def _update(self) -> None:
        listing = self.tables.rows(self.name, columns=["id", "attempt"])
        live = self._live(listing)
        ids = listing["id"].filter(pa.array(live))
        wanted = ids.to_numpy(zero_copy_only=False)
        place = _places(self._held[0], wanted)
        new = np.flatnonzero(place < 0)
        if len(new) > 2_000 or len(new) > 0.1 * len(wanted):
            self._held = self._read_all(len(wanted))
            return
        matrix = np.empty((len(wanted), self.width), np.float32)
        matrix[place >= 0] = self._held[1][place[place >= 0]]
        for first in range(0, len(new), 500):
            part = wanted[new[first : first + 500]]
            table = self.tables.rows(self.name, f"id IN ({', '.join(map(quoted, part))})")
            keep = self._live(table)
            found = table["id"].to_numpy()[keep]
            matrix[_places(wanted, found)] = vectors_of(table)[keep]
        self._held = (wanted, matrix)

    def _read_all(self, count: int) -> tuple[np.ndarray, Float[np.ndarray, "n d"]]:
        """Everything anew, piece by piece: never more than the result and one piece in memory."""
        matrix = np.empty((count, self.width), np.float32)
        ids: list[np.ndarray] = []
        filled = 0
        chosen = self._chosen()
        batches = self.tables.table(self.name).search().select(["id", "attempt", "vector"]).limit(None)
        for batch in batches.to_batches(16_384):
            table = pa.Table.from_batches([batch])
            keep = _matches(table, chosen)
            part = vectors_of(table)[keep]
            if filled + len(part) > len(matrix):  # a writer has added some meanwhile
                matrix = np.concatenate([matrix[:filled], np.empty((len(part) * 2, self.width), np.float32)])
            matrix[filled : filled + len(part)] = part
            ids.append(table["id"].to_numpy()[keep])
            filled += len(part)
        return np.concatenate(ids) if ids else np.zeros(0, object), matrix[:filled]

    def _live(self, table: pa.Table) -> Bool[np.ndarray, " n"]:
        """Rows of finished frames' attempts: a finding's id begins with its frame's."""
        return _matches(table, self._chosen())

    def _chosen(self) -> tuple[pa.Array, pa.Array]:
        """Finished frames and the attempt that counts of each."""
        frames = first_attempts(self.tables.rows("frames", columns=["id", "attempt"]))
        return frames["id"].combine_chunks(), frames["attempt"].combine_chunks()

    # --- index ----------------------------------------------------------------------------------------------

    def build_index(self, partitions: int | None = None) -> None:
        """Build or renew the index; takes seconds to minutes. Searches in memory do not need it."""
        from lancedb.index import IvfRq

        rows = len(self)
        if rows < _INDEX_FROM:
            raise StoreError(f"an index needs {_INDEX_FROM} vectors, there are {rows}: search without one")
        count = partitions or max(16, round(rows**0.5 / 4))
        self.tables.table(self.name).create_index(
            "vector", vector_column_name="vector", config=IvfRq(distance_type="cosine", num_partitions=count)
        )

    @property
    def is_indexed(self) -> bool:
        """Whether there is an index on the vectors."""
        return any("vector" in index.columns for index in self.tables.table(self.name).list_indices())

    def _through_index(self, query: Float[np.ndarray, " d"], limit: int) -> list[tuple[str, float]]:
        want = 4 * limit
        while True:
            found = self._ask_index(query, want)
            live = self._live_few(found)
            keys, distances = found["id"].to_pylist(), found["_distance"].to_pylist()
            pairs = {k: 1.0 - d for k, d, good in zip(keys, distances, live, strict=True) if good}
            if len(pairs) >= limit or found.num_rows < want or want > 200_000:
                return sorted(pairs.items(), key=lambda p: (-p[1], p[0]))[:limit]
            want *= 8

    def _ask_index(self, query: Float[np.ndarray, " d"], want: int) -> pa.Table:
        search: Any = self.tables.table(self.name).search(query, vector_column_name="vector")
        search = search.distance_type("cosine").nprobes(PROBES).refine_factor(max(1, RANKED // want))
        return search.select(["id", "attempt", "_distance"]).with_row_id(True).limit(want).to_arrow()

    def _among(
        self, listing: Listing, query: Float[np.ndarray, " d"], limit: int, places: Integer[np.ndarray, " m"]
    ) -> list[tuple[str, float]]:
        """The nearest among some places of a listing."""
        allowed = _marked(places, len(listing.ids))
        places = np.flatnonzero(allowed)
        if len(places) <= _EXACT_UP_TO:
            return _best(listing.ids[places], self._fetch(listing, places) @ query, limit, None)
        want = max(4 * limit, 3 * limit * len(allowed) // len(places))
        if want <= _WANTED and self.is_indexed:
            found = self._ask_index(query, want)
            rows = found["_rowid"].to_numpy()
            at = np.minimum(np.searchsorted(listing.rows, rows), len(allowed) - 1)
            good = (listing.rows[at] == rows) & allowed[at]
            if good.sum() >= limit:
                return _best(listing.ids[at[good]], 1.0 - found["_distance"].to_numpy()[good], limit, None)
        return self._reading_all(listing, query, limit, allowed)

    def _reading_all(
        self, listing: Listing, query: Float[np.ndarray, " d"], limit: int, allowed: Bool[np.ndarray, " n"]
    ) -> list[tuple[str, float]]:
        """Every vector is read once, piece by piece."""
        best: list[tuple[str, float]] = []
        search = self.tables.table(self.name).search().select(["id", "vector"]).with_row_id(True).limit(None)
        for batch in search.to_batches(65_536):
            table = pa.Table.from_batches([batch])
            rows = table["_rowid"].to_numpy()
            at = np.minimum(np.searchsorted(listing.rows, rows), len(allowed) - 1)
            good = (listing.rows[at] == rows) & allowed[at]
            found = _best(listing.ids[at[good]], (vectors_of(table) @ query)[good], limit, None)
            best = sorted([*best, *found], key=lambda pair: -pair[1])[:limit]
        return best

    def _live_few(self, table: pa.Table) -> list[bool]:
        frames = [key[:16] for key in table["id"].to_pylist()]
        chosen: dict[str, str] = {}
        rows = self.tables.by_id("frames", frames, ["id", "attempt"])
        for key, attempt in zip(rows["id"].to_pylist(), rows["attempt"].to_pylist(), strict=True):
            chosen[key] = min(attempt, chosen.get(key, attempt))
        return [chosen.get(f) == a for f, a in zip(frames, table["attempt"].to_pylist(), strict=True)]


def _matches(table: pa.Table, chosen: tuple[pa.Array, pa.Array]) -> Bool[np.ndarray, " n"]:
    """Rows whose attempt is the one that counts of their frame; a finding's id begins with its frame's."""
    if not table.num_rows:
        return np.zeros(0, bool)
    where = pc.index_in(pc.utf8_slice_codeunits(table["id"], 0, 16), value_set=chosen[0])
    same = pc.equal(pc.take(chosen[1], where), table["attempt"])
    return np.asarray(pc.fill_null(same, False).to_numpy(zero_copy_only=False), bool)


def _marked(places: Integer[np.ndarray, " m"], count: int) -> Bool[np.ndarray, " n"]:
    """Which of `count` places are named; negative ones stand for none."""
    out = np.zeros(count, bool)
    out[places[places >= 0]] = True
    return out


def _places(have: np.ndarray, wanted: Collection[str] | np.ndarray) -> np.ndarray:
    """Where each wanted id stands; −1 where it does not."""
    if not len(have) or not len(wanted):
        return np.full(len(wanted), -1)
    where = pc.index_in(pa.array(list(wanted), pa.string()), value_set=pa.array(have, pa.string()))
    return np.asarray(pc.fill_null(where, -1).to_numpy(zero_copy_only=False), np.intp)


def _best(
    ids: np.ndarray, similarity: Float[np.ndarray, " n"], limit: int, where: Collection[str] | None
) -> list[tuple[str, float]]:
    if where is not None:
        at = _places(ids, list(where))
        at = np.unique(at[at >= 0])
        ids, similarity = ids[at], similarity[at]
    count = min(limit, len(ids))
    if count < 1:
        return []
    top = np.argpartition(-similarity, count - 1)[:count]
    top = top[np.argsort(-similarity[top], kind="stable")]
    return [(str(ids[i]), float(similarity[i])) for i in top]
