"""The tables of a result store, their version, and the way from an older version to this one.

    meta      key, value                                    the schema's version, and who wrote it
    runs      a row a run
    frames    a row a finished frame, written after everything that belongs to it
    findings  a row a finding
    vectors_… id, attempt, vector[d] in 16 bits             one table a model

Nothing is ever changed in place. `attempt` names the writer's sitting: rows that a killed writer left behind
have an attempt that no frame row names, and so do not count. Of two writers that did the same frame at once
the earlier attempt counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from clipomaly.errors import StoreError

__all__ = ["FINDINGS", "FRAMES", "META", "RUNS", "SCHEMA_VERSION", "TABLES", "migrate", "vector_schema"]

SCHEMA_VERSION = 3

_text, _real = pa.string(), pa.float64()

META = pa.schema([("key", _text), ("value", _text)])
RUNS = pa.schema(
    [
        ("id", _text),
        ("started", _real),
        ("method", _text),
        ("model", _text),
        ("model_hash", _text),
        ("vocabulary", _text),
        ("vocabulary_hash", _text),
        ("vocabulary_table", _text),
        ("settings", _text),
        ("source", _text),
        ("version", _text),
        ("space", _text),
        ("notice", _text),
        ("names", _text),  # since 3
    ]
)
FRAMES = pa.schema(
    [
        ("id", _text),
        ("run", _text),
        ("attempt", _text),
        ("name", _text),
        ("path", _text),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("time", _real),
        ("camera", _text),
        ("lat", _real),
        ("lon", _real),
        ("sequence", _text),
        ("index", pa.int64()),
        ("conditions", _text),
        ("score", pa.float32()),
        ("findings", pa.int32()),
        ("thumbnail", _text),
        ("score_map", _text),
        ("copy", _text),
        ("picture", _text),  # since 2
    ]
)
FINDINGS = pa.schema(
    [
        ("id", _text),
        ("run", _text),
        ("frame", _text),
        ("attempt", _text),
        ("number", pa.int32()),
        ("name", _text),
        ("name_source", _text),
        ("score", pa.float32()),
        ("confidence", pa.float32()),
        ("area", pa.int64()),
        ("x0", pa.int32()),
        ("y0", pa.int32()),
        ("x1", pa.int32()),
        ("y1", pa.int32()),
        ("rle", _text),
        ("candidates", _text),
        ("thumbnail", _text),
        ("nearest_known", _text),  # since 2
        ("nearest_similarity", pa.float32()),  # since 2
    ]
)
TABLES = {"meta": META, "runs": RUNS, "frames": FRAMES, "findings": FINDINGS}


def vector_schema(width: int) -> pa.Schema:
    """Rows of one model's vectors."""
    return pa.schema([("id", _text), ("attempt", _text), ("vector", pa.list_(pa.float16(), width))])


def _to_2(tables: dict[str, Any]) -> None:
    """Frames learn the hash of their pixels, findings their nearest known class; older rows leave it open."""
    _add(tables["frames"], {"picture": "cast('' as string)"})
    _add(
        tables["findings"],
        {"nearest_known": "cast('' as string)", "nearest_similarity": "cast('NaN' as float)"},
    )


def _to_3(tables: dict[str, Any]) -> None:
    """Runs learn whether their names are guesses; of older ones nobody knows."""
    _add(tables["runs"], {"names": "cast('' as string)"})


def _add(table: Any, columns: dict[str, str]) -> None:
    """Add the columns that are missing: a migration that was cut short goes on where it stopped."""
    missing = {name: value for name, value in columns.items() if name not in table.schema.names}
    if missing:
        table.add_columns(missing)


#: From the version before to this one.
_STEPS: dict[int, Callable[[dict[str, Any]], None]] = {2: _to_2, 3: _to_3}


def migrate(tables: dict[str, Any], version: int) -> None:
    """Bring the tables of an older version to this one, step by step."""
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"this store has schema {version}, this Clipomaly reads up to {SCHEMA_VERSION}: upgrade Clipomaly"
        )
    for step in range(version + 1, SCHEMA_VERSION + 1):
        _STEPS[step](tables)
        tables["meta"].add(pa.table({"key": ["schema"], "value": [str(step)]}, schema=META))
