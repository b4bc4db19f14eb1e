"""Nearest vectors: exact in memory up to a limit, through a Lance index beyond it.

    similarity = cosine = v · q        (both of unit length)

In memory: one matrix product over all vectors in 32 bits. Beyond `memory` bytes: an inverted file over
RaBitQ codes (IvfRq, on 16-bit vectors), whose best `refine` × limit are compared exactly. Without an index
Lance compares everything: slow, and exact.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Integer

from clipomaly.errors import StoreError
from clipomaly.store.parts import root_of

if TYPE_CHECKING:
    from clipomaly.store.results import ResultStore

__all__ = ["VectorSpace"]

#: Ids, and their vectors in the same order.
Held = tuple[np.ndarray, Float[np.ndarray, "n d"]]

MEMORY = 1 << 29
"""Bytes of vectors that are held in memory at most."""
_INDEX_FROM = 10_000
_EXACT_UP_TO = 50_000
"""Allowed ids up to which their vectors are fetched and compared, beside an index."""


class VectorSpace:
    """One model's vectors. Threads may share it."""

    def __init__(self, store: ResultStore, name: str, memory: int = MEMORY) -> None:
        self.store = store
        self.name = name
        self.memory = memory
        self.width = int(store.table(name).schema.field("vector").type.list_size)
        self._version: tuple[int, int] | None = None
        self._held: Held = (np.zeros(0, object), np.zeros((0, self.width), np.float32))
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self.store.table(self.name).count_rows())

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
        if where is not None and len(where) <= _EXACT_UP_TO:
            ids, matrix = self.vectors(list(where))
            return _best(ids, matrix @ query, limit, None)
        return self._through_index(query, limit, where)

    def _unit(self, vector: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
        query = np.asarray(vector, np.float32).ravel()
        if query.shape != (self.width,):
            raise StoreError(
                f"the query has {query.size} numbers, the store's vectors {self.width}: "
                "it comes from another model"
            )
        return query / max(float(np.linalg.norm(query)), 1e-12)

    def nearest_of_rows(
        self, held: Held, vector: Float[np.ndarray, " d"], limit: int, rows: Integer[np.ndarray, " m"]
    ) -> list[tuple[str, float]]:
        """The nearest among these rows of what `load` gave; negative ones stand for none."""
        ids, matrix = held
        query = self._unit(vector)
        rows = np.unique(rows[rows >= 0])
        # one product over everything is quicker than copying many rows out of it
        some = matrix[rows] @ query if len(rows) < len(ids) // 8 else (matrix @ query)[rows]
        return _best(ids[rows], some, limit, None)

    def load(self) -> Held:
        """All live vectors with their ids; what is held already is not read again."""
        with self._lock:
            version = (self.store.table(self.name).version, self.store.table("frames").version)
            if version != self._version:
                self._update()
                self._version = version
            return self._held

    def vectors(self, ids: Collection[str]) -> tuple[np.ndarray, Float[np.ndarray, "n d"]]:
        """The vectors of these findings, in the ids' order as far as there; a part has its finding's."""
        if self.in_memory:
            have, matrix = self.load()
            at = _places(have, [root_of(i) for i in ids])
            there = at >= 0
            return np.array(list(ids), object)[there], matrix[at[there]]
        found = {f.id: f.embedding for f in self.store.findings([root_of(i) for i in ids])}
        pairs = [(i, v) for i in ids if (v := found.get(root_of(i))) is not None]
        if not pairs:
            return np.zeros(0, object), np.zeros((0, self.width), np.float32)
        return np.array([i for i, _ in pairs], object), np.stack([v for _, v in pairs])

    def _update(self) -> None:
        from clipomaly.store.results import _quoted
        from clipomaly.store.rows import vectors_of

        listing = self.store.rows(self.name, columns=["id", "attempt"])
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
            table = self.store.rows(self.name, f"id IN ({', '.join(map(_quoted, part))})")
            keep = self._live(table)
            found = table["id"].to_numpy()[keep]
            matrix[_places(wanted, found)] = vectors_of(table)[keep]
        self._held = (wanted, matrix)

    def _read_all(self, count: int) -> tuple[np.ndarray, Float[np.ndarray, "n d"]]:
        """Everything anew, piece by piece: never more than the result and one piece in memory."""
        from clipomaly.store.rows import vectors_of

        matrix = np.empty((count, self.width), np.float32)
        ids: list[np.ndarray] = []
        filled = 0
        chosen = self._chosen()
        batches = self.store.table(self.name).search().select(["id", "attempt", "vector"]).limit(None)
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
        from clipomaly.store.results import first_attempts

        frames = first_attempts(self.store.rows("frames", columns=["id", "attempt"]))
        return frames["id"].combine_chunks(), frames["attempt"].combine_chunks()

    # --- index ----------------------------------------------------------------------------------------------

    def build_index(self, partitions: int | None = None) -> None:
        """Build or renew the index; takes seconds to minutes. Searches in memory do not need it."""
        from lancedb.index import IvfRq

        rows = len(self)
        if rows < _INDEX_FROM:
            raise StoreError(f"an index needs {_INDEX_FROM} vectors, there are {rows}: search without one")
        count = partitions or max(16, round(rows**0.5 / 4))
        self.store.table(self.name).create_index(
            "vector", vector_column_name="vector", config=IvfRq(distance_type="cosine", num_partitions=count)
        )

    @property
    def is_indexed(self) -> bool:
        """Whether there is an index on the vectors."""
        return any("vector" in index.columns for index in self.store.table(self.name).list_indices())

    def _through_index(
        self, query: Float[np.ndarray, " d"], limit: int, where: Collection[str] | None
    ) -> list[tuple[str, float]]:
        allowed = None if where is None else set(where)
        table: Any = self.store.table(self.name)
        want = 4 * limit
        while True:
            search = table.search(query, vector_column_name="vector").distance_type("cosine")
            search = search.nprobes(PROBES).refine_factor(REFINE)
            found = search.select(["id", "attempt", "_distance"]).limit(want).to_arrow()
            live = self._live_few(found)
            pairs = {
                key: 1.0 - distance
                for key, distance, good in zip(
                    found["id"].to_pylist(), found["_distance"].to_pylist(), live, strict=True
                )
                if good and (allowed is None or key in allowed)
            }
            if len(pairs) >= limit or found.num_rows < want or want > 200_000:
                return sorted(pairs.items(), key=lambda p: (-p[1], p[0]))[:limit]
            want *= 8

    def _live_few(self, table: pa.Table) -> list[bool]:
        frames = [key[:16] for key in table["id"].to_pylist()]
        chosen: dict[str, str] = {}
        rows = self.store._by_id("frames", frames, ["id", "attempt"])
        for key, attempt in zip(rows["id"].to_pylist(), rows["attempt"].to_pylist(), strict=True):
            chosen[key] = min(attempt, chosen.get(key, attempt))
        return [chosen.get(f) == a for f, a in zip(frames, table["attempt"].to_pylist(), strict=True)]


PROBES = 250
REFINE = 100


def _matches(table: pa.Table, chosen: tuple[pa.Array, pa.Array]) -> Bool[np.ndarray, " n"]:
    """Rows whose attempt is the one that counts of their frame; a finding's id begins with its frame's."""
    if not table.num_rows:
        return np.zeros(0, bool)
    where = pc.index_in(pc.utf8_slice_codeunits(table["id"], 0, 16), value_set=chosen[0])
    same = pc.equal(pc.take(chosen[1], where), table["attempt"])
    return np.asarray(pc.fill_null(same, False).to_numpy(zero_copy_only=False), bool)


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
