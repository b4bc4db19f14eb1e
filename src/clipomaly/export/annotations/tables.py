"""Findings as a table: CSV, or Parquet where pyarrow is installed; a row a finding, with its exact mask.

Spreadsheets run a text cell that begins with = + - @ as a formula. In CSV such a text gets a ' before it, and
so does one that begins with ' already; reading takes it away again. The mask is the column `rle`, COCO's
compressed run lengths; `area` must fit it, so a cell that a spreadsheet cut off is noticed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly.errors import DataError, MissingExtra
from clipomaly.export.annotations.changes import Annotation, Imported
from clipomaly.export.annotations.jsonfiles import as_number
from clipomaly.export.annotations.shapes import ResultFrame, Results, checked_mask
from clipomaly.export.files import whole_file

__all__ = ["COLUMNS", "CSV", "PARQUET", "guard_cell", "read_csv", "read_parquet", "unguard_cell"]
__all__ += ["write_csv", "write_parquet"]

CSV = "findings.csv"
PARQUET = "findings.parquet"
#: Each column with its type; a frame without findings has one row in which those from `finding` on are empty.
COLUMNS: dict[str, type] = {
    "frame": str,
    "picture": str,
    "source": str,
    "time": float,
    "width": int,
    "height": int,
    "finding": int,
    "name": str,
    "confidence": float,
    "name_source": str,
    "score": float,
    "area": int,
    "x": int,
    "y": int,
    "box_width": int,
    "box_height": int,
    "nearest_known": str,
    "nearest_known_similarity": float,
    "candidates": str,
    "rle": str,
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")


def guard_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula.

    >>> guard_cell("=1+1"), guard_cell("moose")
    ("'=1+1", 'moose')
    """
    return "'" + text if text.lstrip(" ").startswith(_FORMULA) else text


def unguard_cell(text: str) -> str:
    """The text before it was guarded.

    >>> unguard_cell("'=1+1")
    '=1+1'
    """
    return text[1:] if text.startswith("'") else text


def _rows(frame: ResultFrame) -> Iterator[dict[str, Any]]:
    row = frame.row
    height, width = frame.size
    head: dict[str, Any] = dict.fromkeys(COLUMNS)
    head |= {
        "frame": frame.name,
        "picture": frame.picture,
        "source": row.get("source"),
        "time": row.get("time"),
    }
    head |= {"width": width, "height": height}
    if not frame.shapes:
        yield head
    for shape in frame.shapes:
        finding = shape.row
        keys = ("confidence", "name_source", "score", "nearest_known", "nearest_known_similarity")
        values = {k: finding.get(k) for k in keys}
        x, y, box_width, box_height = finding.get("box") or (None,) * 4
        candidates = "; ".join(str(c["name"]) for c in finding.get("candidates") or [])
        yield (
            head
            | values
            | {
                "finding": shape.finding,
                "name": shape.name,
                "area": int(np.count_nonzero(shape.mask())),
                "x": x,
                "y": y,
                "box_width": box_width,
                "box_height": box_height,
                "candidates": candidates,
                "rle": shape.rle["counts"],
            }
        )


def write_csv(results: Results, out: Path) -> list[Path]:
    """Write the table as CSV in UTF-8."""
    path = out / CSV
    with whole_file(path) as file:
        text = io.TextIOWrapper(file, "utf-8", errors="replace", newline="", write_through=True)
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        for frame in results.frames():
            for row in _rows(frame):
                writer.writerow({k: guard_cell(v) if isinstance(v, str) else v for k, v in row.items()})
        text.detach()
    return [path]


def read_csv(file: Path, results: Results) -> Iterator[Imported]:
    """A table that people corrected: names changed, rows removed or added."""
    largest = csv.field_size_limit(1 << 30)  # a mask may be longer than the usual limit
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            rows = [{k: v for k, v in row.items() if k} for row in csv.DictReader(text)]
    except OSError as error:
        raise DataError(f"cannot read {file} ({error.strerror}): give the table that was exported") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} is not CSV in UTF-8: save it as such") from error
    finally:
        csv.field_size_limit(largest)
    yield from _imported(({k: unguard_cell(v or "") for k, v in r.items()} for r in rows), file, results)


def _imported(rows: Iterable[Mapping[str, Any]], file: Path, results: Results) -> Iterator[Imported]:
    by_frame: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for number, row in enumerate(rows, start=2):
        if not {"frame", "finding", "name", "area", "rle"} <= set(row):
            raise DataError(f"{file} lacks one of the columns frame, finding, name, area, rle: keep them")
        by_frame.setdefault(str(row["frame"]), []).append((number, row))
    for name, listed in by_frame.items():
        frame = results.frame_named(name)
        if frame is None:
            raise DataError(
                f"{file}: {name!r} is not a frame of {results.folder}: import into its own results"
            )
        found = []
        for number, row in listed:
            if not row["rle"]:
                continue
            where = f"{file}, row {number}"
            mask = checked_mask({"size": list(frame.size), "counts": row["rle"]}, frame.size, where)
            if as_number(row["area"]) != np.count_nonzero(mask):
                raise DataError(f"{where}: the mask has not the area {row['area']}: was its cell cut off?")
            found.append(Annotation(mask, row["name"] or "", as_number(row["finding"])))
        yield frame, found


def write_parquet(results: Results, out: Path) -> list[Path]:
    """Write the table as Parquet, some thousand rows at a time."""
    arrow, parquet = _pyarrow()
    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64()}
    schema = arrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    path = out / PARQUET
    with whole_file(path) as file, parquet.ParquetWriter(file, schema) as writer:
        batch: list[dict[str, Any]] = []
        for frame in results.frames():
            batch += _rows(frame)
            if len(batch) >= 4096:
                writer.write_table(arrow.Table.from_pylist(batch, schema))
                batch = []
        writer.write_table(arrow.Table.from_pylist(batch, schema))
    return [path]


def read_parquet(file: Path, results: Results) -> Iterator[Imported]:
    """A Parquet table that was corrected."""
    arrow, parquet = _pyarrow()
    try:
        rows = parquet.read_table(file).to_pylist()
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"cannot read {file} as Parquet: export it again") from error
    yield from _imported(rows, file, results)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "parquet", "reading and writing Parquet") from error
    return pyarrow, parquet
