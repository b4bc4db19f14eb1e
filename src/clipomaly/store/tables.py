"""The Lance tables of a store: opened, made, read and appended to. What their rows mean is in `results.py`.

Every read sees the latest commit of every writer. What Lance or the disk says becomes an error with its fix.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clipomaly._version import __version__
from clipomaly.errors import MissingExtra, StoreError
from clipomaly.store.files import brief, local_folder, not_written, store_address
from clipomaly.store.schema import META, SCHEMA_VERSION, TABLES

__all__ = ["StoreTables", "first_attempts", "quoted"]

_CHUNK = 500
"""Ids in one condition."""


class StoreTables:
    """The tables at one address; processes may share them, threads too."""

    def __init__(self, uri: str, database: Any) -> None:
        self.uri = uri
        self._database = database
        self._opened: dict[str, Any] = {}
        self._lock = threading.Lock()

    @classmethod
    def connect(cls, uri: str | Path, create: bool = False) -> StoreTables:
        """The tables at a folder or an object-store address, whether there are any or not."""
        # Two writers that compact at once: one gives way and tries again later, which is no news to anybody.
        os.environ.setdefault("LANCEDB_LOG", "error")
        try:
            import lancedb
        except ImportError as error:
            raise MissingExtra("lancedb", "store", "keeping results in a store") from error
        place, path = store_address(uri), local_folder(uri)
        try:
            if path is not None:
                if path.is_file():
                    raise StoreError(f"{place} is a file: a store is a folder")
                if not create and not path.is_dir():  # connecting would make it
                    told = f"{uri} holds no store: fill one with `clipomaly run SOURCE --store {uri}`"
                    raise StoreError(told)
            database = lancedb.connect(place, read_consistency_interval=timedelta(0))
        except (OSError, ValueError, RuntimeError) as error:
            if create and path is not None and isinstance(error, OSError):
                raise not_written(place, error) from error
            what = "the folder and its rights" if path is not None else "the address, its keys and endpoint"
            raise StoreError(f"{place} cannot be opened ({brief(error)}): check {what}") from error
        return cls(place, database)

    def schema_version(self) -> int | None:
        """The version of the tables; None where there are none."""
        if "meta" not in self.names():
            return None
        rows = self.table("meta").search().where("key = 'schema'").limit(None).to_arrow()
        return max((int(v) for v in rows["value"].to_pylist()), default=None)

    def names(self) -> list[str]:
        """The tables that are there."""
        try:
            return list(self._database.table_names(limit=10_000))
        except (OSError, RuntimeError) as error:
            raise StoreError(f"{self.uri} cannot be read ({brief(error)})") from error

    def make_all(self) -> None:
        """Make the tables of a new store."""
        for name in ("runs", "frames", "findings", "meta"):  # meta last: it says that all are there
            self.ensure(name, TABLES[name])
        if self.schema_version() is None:
            row = {"key": ["schema", "made_by"], "value": [str(SCHEMA_VERSION), f"clipomaly {__version__}"]}
            self.add("meta", pa.table(row, schema=META))

    def ensure(self, name: str, schema: pa.Schema) -> Any:
        """The table, made if missing; two writers may try at once."""
        try:
            return self.table(name)
        except StoreError:
            try:
                self._database.create_table(name, schema=schema)
            except (OSError, ValueError, RuntimeError) as error:
                if name not in self.names():
                    raise not_written(self.uri, error) from error
            return self.table(name)

    def add(self, name: str, rows: pa.Table) -> None:
        """Append rows."""
        try:
            self.table(name).add(rows)
        except (OSError, RuntimeError) as error:
            raise not_written(self.uri, error) from error

    def table(self, name: str) -> Any:
        """A Lance table; always the latest version."""
        with self._lock:
            if name not in self._opened:
                try:
                    self._opened[name] = self._database.open_table(name)
                except (OSError, ValueError, RuntimeError) as error:
                    raise StoreError(f"{self.uri} has no table {name}: is it a store?") from error
            return self._opened[name]

    def rows(self, name: str, where: str | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of a table that meet an SQL condition."""
        query = self.table(name).search()
        if where is not None:
            query = query.where(where)
        if columns is not None:
            query = query.select(list(columns))
        try:
            table: pa.Table = query.limit(None).to_arrow()
        except (OSError, RuntimeError) as error:
            raise StoreError(f"{name} cannot be read from {self.uri} ({brief(error)})") from error
        return table

    def by_id(self, name: str, ids: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of these ids, in no order."""
        ids = list(dict.fromkeys(ids))
        parts = [
            self.rows(name, f"id IN ({', '.join(map(quoted, ids[i : i + _CHUNK]))})", columns)
            for i in range(0, len(ids), _CHUNK)
        ]
        return pa.concat_tables(parts) if parts else self.rows(name, "false", columns)


def first_attempts(rows: pa.Table) -> pa.Table:
    """Each frame once: of several attempts the earliest."""
    if rows.num_rows < 2 or pc.count_distinct(rows["id"]).as_py() == rows.num_rows:
        return rows
    best: dict[str, tuple[str, int]] = {}
    for at, (key, attempt) in enumerate(
        zip(rows["id"].to_pylist(), rows["attempt"].to_pylist(), strict=True)
    ):
        if key not in best or attempt < best[key][0]:
            best[key] = (attempt, at)
    return rows.take(pa.array(sorted(at for _, at in best.values())))


def quoted(text: str) -> str:
    """A text as it stands in an SQL condition.

    >>> quoted("driver's side")
    "'driver''s side'"
    """
    return "'" + text.replace("'", "''") + "'"
