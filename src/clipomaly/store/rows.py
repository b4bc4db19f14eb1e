"""Records to rows of the tables, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from clipomaly.store.records import StoredCandidate, StoredFinding, StoredFrame, StoredRun
from clipomaly.store.schema import FINDINGS, FRAMES, RUNS, vector_schema

__all__ = [
    "finding_of",
    "finding_table",
    "frame_of",
    "frame_table",
    "run_of",
    "run_table",
    "vector_table",
    "vectors_of",
]


def run_table(run: StoredRun) -> pa.Table:
    """One row."""
    row = {
        **{name: getattr(run, name) for name in RUNS.names},
        "settings": _json(run.settings),
        "source": _json(list(run.source)),
        "vocabulary_table": _json(run.vocabulary_table),
    }
    return pa.Table.from_pylist([row], schema=RUNS)


def run_of(row: Mapping[str, Any], frames: int = 0, findings: int = 0) -> StoredRun:
    """The record of a row, with what has been counted."""
    decoded = {
        "settings": json.loads(row["settings"]),
        "source": tuple(json.loads(row["source"])),
        "vocabulary_table": json.loads(row["vocabulary_table"]),
    }
    return StoredRun(**{**row, **decoded}, frames=frames, findings=findings)


def frame_table(frames: Sequence[StoredFrame], attempt: str) -> pa.Table:
    """A row a frame."""
    rows = []
    for frame in frames:
        row = {name: getattr(frame, name, None) for name in FRAMES.names}
        height, width = frame.image_size
        rows.append(
            {
                **row,
                "attempt": attempt,
                "height": height,
                "width": width,
                "conditions": _json(dict(frame.conditions)),
            }
        )
    return pa.Table.from_pylist(rows, schema=FRAMES)


def frame_of(row: Mapping[str, Any]) -> StoredFrame:
    """The record of a row."""
    kept = {k: v for k, v in row.items() if k not in ("attempt", "height", "width", "conditions")}
    return StoredFrame(
        **kept, image_size=(row["height"], row["width"]), conditions=json.loads(row["conditions"])
    )


def finding_table(findings: Sequence[StoredFinding], attempt: str) -> pa.Table:
    """A row a finding."""
    rows = []
    for finding in findings:
        row = {name: getattr(finding, name, None) for name in FINDINGS.names}
        row |= dict(zip(("x0", "y0", "x1", "y1"), finding.box, strict=True))
        row |= {"attempt": attempt, "rle": _json(finding.rle)}
        row["candidates"] = _json(
            [[c.name, c.source, _plain(c.score), _plain(c.margin)] for c in finding.candidates]
        )
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=FINDINGS)


def finding_of(row: Mapping[str, Any], embedding: Float[np.ndarray, " d"] | None = None) -> StoredFinding:
    """The record of a row; its vector is in another table."""
    left_out = ("attempt", "x0", "y0", "x1", "y1", "rle", "candidates")
    kept = {k: v for k, v in row.items() if k not in left_out}
    candidates = tuple(
        StoredCandidate(name, source, math.nan if score is None else score, rank, margin or 0.0)
        for rank, (name, source, score, margin) in enumerate(json.loads(row["candidates"]))
    )
    return StoredFinding(
        **kept,
        box=(row["x0"], row["y0"], row["x1"], row["y1"]),
        rle=json.loads(row["rle"]),
        candidates=candidates,
        embedding=embedding,
    )


def vector_table(ids: Sequence[str], vectors: Float[np.ndarray, "n d"], attempt: str) -> pa.Table:
    """A row a vector, in 16 bits."""
    width = vectors.shape[1]
    flat = pa.array(np.ascontiguousarray(vectors, np.float16).ravel())
    columns = [pa.array(ids, pa.string()), pa.array([attempt] * len(ids), pa.string())]
    return pa.table([*columns, pa.FixedSizeListArray.from_arrays(flat, width)], schema=vector_schema(width))


def vectors_of(table: pa.Table) -> Float[np.ndarray, "n d"]:
    """Unit vectors in 32 bits."""
    column = table["vector"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # older pyarrow keeps an empty one as chunks
        column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    width = column.type.list_size
    out = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width).astype(np.float32)
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
    return out


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _plain(value: float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None
