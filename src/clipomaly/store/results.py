"""The result store: everything that runs found, as records; in a folder or an object store.

Reading sees every commit of every writer at once. A frame is there when its row is; its findings are those of
the same attempt (`schema.py` says why). Vectors are searched in memory up to a limit, by an index beyond it.
"""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, UInt8

from clipomaly.errors import FrameError, StoreError
from clipomaly.store.files import StoreFiles
from clipomaly.store.records import StoredFinding, StoredFrame, StoredRun
from clipomaly.store.rows import finding_of, frame_of, run_of, run_table, vectors_of
from clipomaly.store.schema import SCHEMA_VERSION, TABLES, migrate, vector_schema
from clipomaly.store.tables import StoreTables, first_attempts, quoted
from clipomaly.store.vectors import VectorSpace

if TYPE_CHECKING:
    from clipomaly.store.writer import StoreWriter

__all__ = ["ResultStore"]


class ResultStore:
    """A store opened for reading and writing; processes may share one, threads too.

    >>> import tempfile
    >>> store = ResultStore.open(tempfile.mkdtemp(), create=True)
    >>> store.runs(), store.frames()
    ([], [])
    """

    def __init__(self, tables: StoreTables) -> None:
        self.uri = tables.uri
        self.tables = tables
        self.files = StoreFiles(self.uri)
        self._spaces: dict[str, VectorSpace] = {}
        self._space_tables: dict[str, str] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, uri: str | Path, create: bool = False) -> ResultStore:
        """Open the store at a folder or an object-store address (`s3://…`); `create` makes it if missing."""
        tables = StoreTables.connect(uri, create)
        version = tables.schema_version()
        if version is None:
            if not create:
                raise StoreError(f"{uri} holds no store: fill one with `clipomaly run SOURCE --store {uri}`")
            tables.make_all()
        elif version < SCHEMA_VERSION:
            raise StoreError(
                f"{uri} has schema {version}, this Clipomaly writes {SCHEMA_VERSION}: "
                f"run `clipomaly stores migrate {uri}` once, while no other program uses it"
            )
        elif version > SCHEMA_VERSION:
            raise StoreError(
                f"{uri} has schema {version}, this Clipomaly reads {SCHEMA_VERSION}: upgrade Clipomaly"
            )
        return cls(tables)

    @classmethod
    def migrate(cls, uri: str | Path) -> tuple[int, int]:
        """Bring a store to this version's schema; returns the versions before and after."""
        tables = StoreTables.connect(uri)
        version = tables.schema_version()
        if version is None:
            raise StoreError(f"{uri} holds no store: fill one with `clipomaly run SOURCE --store {uri}`")
        migrate({name: tables.table(name) for name in TABLES}, version)
        return version, SCHEMA_VERSION

    def table(self, name: str) -> Any:
        """A Lance table, for those who want columns; always the latest version."""
        return self.tables.table(name)

    def rows(self, name: str, where: str | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of a table that meet an SQL condition."""
        return self.tables.rows(name, where, columns)

    # --- runs -----------------------------------------------------------------------------------------------

    def add_run(self, run: StoredRun) -> StoredRun:
        """Note a run; one that is there already stays as it is."""
        have = [r for r in self.runs() if r.id == run.id]
        if have:
            return have[0]
        self.tables.add("runs", run_table(run))
        return run

    def runs(self) -> list[StoredRun]:
        """All runs, the oldest first, with the number of finished frames and findings."""
        frames = first_attempts(self.rows("frames", columns=["id", "run", "attempt", "findings"]))
        count = Counter(frames["run"].to_pylist())
        findings: Counter[str] = Counter()
        for run, n in zip(frames["run"].to_pylist(), frames["findings"].to_pylist(), strict=True):
            findings[run] += n
        seen: dict[str, StoredRun] = {}
        rows = sorted(self.rows("runs").to_pylist(), key=lambda row: (row["started"], row["id"]))
        for row in rows:  # two writers may both have noted it
            seen.setdefault(row["id"], run_of(row, count[row["id"]], findings[row["id"]]))
        return list(seen.values())

    def run(self, run: str) -> StoredRun:
        """One run."""
        for one in self.runs():
            if one.id == run:
                return one
        raise StoreError(f"no run {run!r} in {self.uri}: `clipomaly stores show {self.uri}` lists them")

    def writer(self, run: str | StoredRun, *, batch: int = 16, seconds: float = 0.5) -> StoreWriter:
        """A writer for this run; see `writer.py`."""
        from clipomaly.store.writer import StoreWriter

        known = self.run(run if isinstance(run, str) else run.id)
        return StoreWriter(self, known, batch=batch, seconds=seconds)

    # --- frames ---------------------------------------------------------------------------------------------

    def frame(self, frame: str) -> StoredFrame:
        """One frame."""
        found = self.frames_of([frame])
        if not found:
            raise StoreError(f"no frame {frame!r} in {self.uri}")
        return found[0]

    def frames(self, run: str | None = None) -> list[StoredFrame]:
        """Finished frames, by sequence and place in it."""
        rows = first_attempts(self.rows("frames", None if run is None else f"run = {quoted(run)}"))
        records = [frame_of(row) for row in rows.to_pylist()]
        return sorted(records, key=lambda f: (f.run, f.sequence, f.index, f.name))

    def frames_of(self, ids: Sequence[str]) -> list[StoredFrame]:
        """Frames in the order of the ids; those that are not there are left out."""
        rows = first_attempts(self.tables.by_id("frames", ids))
        found = {row["id"]: frame_of(row) for row in rows.to_pylist()}
        return [found[i] for i in ids if i in found]

    def neighbours(self, frame: str, before: int = 2, after: int = 2) -> list[StoredFrame]:
        """The clip around a frame, itself included: its sequence's frames in order."""
        own = self.frame(frame)
        condition = f"run = {quoted(own.run)} AND sequence = {quoted(own.sequence)}"
        rows = first_attempts(self.rows("frames", condition, ["id", "attempt", "index", "name"]))
        clip = sorted(
            zip(*(rows[c].to_pylist() for c in ("index", "name", "id")), strict=True),
        )
        ids = [key for _, _, key in clip]
        at = ids.index(own.id)
        return self.frames_of(ids[max(0, at - before) : at + after + 1])

    def image(self, frame: str) -> UInt8[np.ndarray, "H W 3"]:
        """The picture itself: from its source, or from the copy that the store keeps."""
        from clipomaly.data.images import read_image

        own = self.frame(frame)
        if own.copy:
            return read_image(self.files.read(own.copy), name=own.name)
        try:
            return read_image(own.path)
        except FrameError as error:
            raise FrameError(f"{error} (the store keeps only references to pictures in files)") from error

    def score_map(self, frame: str) -> Float[np.ndarray, "h w"] | None:
        """The unknown score, 0 to 1 in 255 steps, perhaps smaller than the picture; None if not kept."""
        own = self.frame(frame)
        if not own.score_map:
            return None
        from PIL import Image

        with Image.open(io.BytesIO(self.files.read(own.score_map)), formats=("PNG",)) as picture:
            low, high = (float(v) for v in str(picture.info.get("scale", "0 1")).split())
            values = np.asarray(picture, np.float32) / 255
        return low + values * (high - low)

    def read_file(self, key: str) -> bytes:
        """A thumbnail or another small file, by its key."""
        return self.files.read(key)

    # --- findings -------------------------------------------------------------------------------------------

    def finding(self, finding: str) -> StoredFinding:
        """One finding, with its vector."""
        found = self.findings([finding])
        if not found:
            raise StoreError(f"no finding {finding!r} in {self.uri}")
        return found[0]

    def findings(self, ids: Sequence[str], embeddings: bool = True) -> list[StoredFinding]:
        """Findings in the order of the ids; those that are not there are left out."""
        rows = self._live_rows(self.tables.by_id("findings", ids))
        vectors = self._embeddings(rows) if embeddings else {}
        found = {row["id"]: finding_of(row, vectors.get(row["id"])) for row in rows}
        return [found[i] for i in ids if i in found]

    def findings_of(self, frame: str, embeddings: bool = False) -> list[StoredFinding]:
        """All findings of a frame, in their order."""
        rows = self._live_rows(self.rows("findings", f"frame = {quoted(frame)}"))
        vectors = self._embeddings(rows) if embeddings else {}
        records = [finding_of(row, vectors.get(row["id"])) for row in rows]
        return sorted(records, key=lambda f: f.number)

    def _live_rows(self, table: pa.Table) -> list[dict[str, Any]]:
        """Findings of finished frames."""
        frames = sorted(set(table["frame"].to_pylist()))
        chosen = first_attempts(self.tables.by_id("frames", frames, ["id", "attempt"]))
        attempt = dict(zip(chosen["id"].to_pylist(), chosen["attempt"].to_pylist(), strict=True))
        return [row for row in table.to_pylist() if attempt.get(row["frame"]) == row["attempt"]]

    def _embeddings(self, rows: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
        attempts = {row["id"]: row["attempt"] for row in rows}
        space_of = {run.id: run.space for run in self.runs()} if len(self.vector_tables()) > 1 else {}
        out: dict[str, np.ndarray] = {}
        for name in self.vector_tables():
            ids = [row["id"] for row in rows if not space_of or _is_of(name, space_of.get(row["run"], ""))]
            if ids:
                table = self.tables.by_id(name, ids)
                keys = zip(table["id"].to_pylist(), table["attempt"].to_pylist(), strict=True)
                for (key, attempt), vector in zip(keys, vectors_of(table), strict=True):
                    if attempts.get(key) == attempt:
                        out[key] = vector
        return out

    # --- vectors --------------------------------------------------------------------------------------------

    def vector_tables(self) -> list[str]:
        """Names of the tables of vectors: one a model."""
        return [name for name in self.tables.names() if name.startswith("vectors_")]

    def vector_spaces(self, spaces: Iterable[str]) -> set[str]:
        """Those of these models that have vectors."""
        have = self.vector_tables()
        return {space for space in spaces if any(_is_of(name, space) for name in have)}

    def ensure_vectors(self, space: str, width: int) -> Any:
        """The table of this model's vectors, made if missing."""
        return self.tables.ensure(_vector_name(space, width), vector_schema(width))

    def space(self, space: str | None = None) -> VectorSpace:
        """The vectors of one model; None: of the latest run that has any."""
        if space is None:
            have = self.vector_tables()
            rows = self.rows("runs", columns=["started", "id", "space"]).to_pylist()
            rows = [row for row in rows if any(_is_of(name, row["space"]) for name in have)]
            if not rows:
                raise StoreError(
                    f"{self.uri} holds no vectors: fill it with `clipomaly run SOURCE --store …`"
                )
            space = str(max(rows, key=lambda row: (row["started"], row["id"]))["space"])
        with self._lock:
            known = self._space_tables.get(space)
        if known is None:
            names = [name for name in self.vector_tables() if _is_of(name, space)]
            if not names:
                raise StoreError(f"{self.uri} holds no vectors of the model {space}")
            known = self._space_tables[space] = names[0]
        return self.space_of_table(known)

    def space_of_table(self, name: str) -> VectorSpace:
        """The vectors of a table, opened once."""
        with self._lock:
            opened = self._spaces.get(name)
        if opened is None:
            opened = VectorSpace(self.tables, name)
            with self._lock:
                opened = self._spaces.setdefault(name, opened)
        return opened

    def similar(
        self,
        vector: Float[np.ndarray, " d"],
        limit: int = 20,
        where: Collection[str] | None = None,
        space: str | None = None,
    ) -> list[tuple[str, float]]:
        """Findings whose vectors are nearest (cosine), best first; `where` allows only these ids."""
        return self.space(space).nearest(vector, limit, where)

    # --- upkeep ---------------------------------------------------------------------------------------------

    def compact(self, keep: timedelta = timedelta(hours=1)) -> None:
        """Join the many small pieces that frame-by-frame writing leaves; versions older than `keep` go.

        Safe beside writers. What a writer that compacts at the same time did already is left to it.
        """
        for name in (*TABLES, *self.vector_tables()):
            try:
                self.table(name).optimize(cleanup_older_than=keep)
            except (OSError, RuntimeError) as error:
                if "conflict" not in str(error).lower():
                    raise


def _vector_name(space: str, width: int) -> str:
    return f"vectors_{_slug(space)}_{width}"


def _is_of(table: str, space: str) -> bool:
    return bool(space) and table.rsplit("_", 1)[0] == f"vectors_{_slug(space)}"


def _slug(space: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in space)[:48]
