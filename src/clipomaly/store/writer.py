"""Writing a run into a store, frame by frame: killed at any moment, nothing finished is lost.

Frames are committed in small groups, at most `seconds` apart: first their files, then vectors, then findings,
and last the frames' own rows. A frame counts from that last row on; `write` says which frames that were.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from clipomaly.errors import OutputError, StoreError
from clipomaly.store.files import not_written
from clipomaly.store.records import StoredFinding, StoredFrame, StoredRun
from clipomaly.store.rows import finding_table, frame_table, vector_table

if TYPE_CHECKING:
    from clipomaly.store.results import ResultStore

__all__ = ["StoreWriter"]

_COMPACT_EVERY = 200
"""Commits after which the pieces are joined."""


class StoreWriter:
    """Writes frames of one run, in a `with` block; several writers of one run may work at once."""

    def __init__(self, store: ResultStore, run: StoredRun, *, batch: int = 16, seconds: float = 0.5) -> None:
        self.store = store
        self.run = run
        self.attempt = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        self.finished: set[str] = set()
        """Names of the frames that are finished, by whomever."""
        self._batch = batch
        self._seconds = seconds
        self._waiting: list[tuple[StoredFrame, Sequence[StoredFinding]]] = []
        self._names: set[str] = set()
        self._last = time.monotonic()
        self._commits = 0
        self.refresh()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()

    def refresh(self) -> None:
        """Learn which frames other writers have finished."""
        rows = self.store.rows("frames", f"run = '{self.run.id}'", ["name"])
        self.finished = set(rows["name"].to_pylist())

    def is_known(self, name: str) -> bool:
        """Whether this frame needs no work: finished, or waiting here to be committed."""
        return name in self.finished or name in self._names

    def write(
        self,
        frame: StoredFrame,
        findings: Sequence[StoredFinding],
        files: Mapping[str, bytes] | None = None,
    ) -> list[str]:
        """Take a frame; returns the names of the frames that have just been committed (perhaps none yet)."""
        if frame.run != self.run.id:
            raise StoreError(f"frame {frame.name} is of the run {frame.run}, not of {self.run.id}")
        if self.is_known(frame.name):
            return []
        try:
            for key, data in (files or {}).items():
                self.store.files.write(key, data)
        except OutputError as error:
            cause = error.__cause__ if self.store.files.folder is not None else None
            raise (StoreError(str(error)) if cause is None else not_written(self.store.uri, cause)) from error
        self._waiting.append((frame, findings))
        self._names.add(frame.name)
        if len(self._waiting) >= self._batch or time.monotonic() - self._last >= self._seconds:
            return self.flush()
        return []

    def flush(self) -> list[str]:
        """Commit what waits; returns the frames' names."""
        frames = [frame for frame, _ in self._waiting]
        findings = [finding for _, several in self._waiting for finding in several]
        if not frames:
            return []
        with_vectors = [f for f in findings if f.embedding is not None]
        try:
            if with_vectors:
                vectors = np.stack([f.embedding for f in with_vectors if f.embedding is not None])
                table = self.store.ensure_vectors(self.run.space, vectors.shape[1])
                table.add(vector_table([f.id for f in with_vectors], vectors, self.attempt))
            if findings:
                self.store.table("findings").add(finding_table(findings, self.attempt))
            self.store.table("frames").add(frame_table(frames, self.attempt))
        except (OSError, RuntimeError) as error:
            raise not_written(self.store.uri, error) from error
        done = [frame.name for frame in frames]
        self.finished.update(done)
        self._waiting.clear()
        self._names.clear()
        self._last = time.monotonic()
        self._commits += 1
        if self._commits % _COMPACT_EVERY == 0:
            self.store.compact()
        return done
