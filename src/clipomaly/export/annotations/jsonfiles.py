"""JSON as other tools read and write it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clipomaly.errors import DataError
from clipomaly.export.files import whole_file

__all__ = ["as_number", "json_bytes", "read_json", "write_json", "write_json_list"]


def as_number(value: Any) -> int | None:
    """A finding's number as tools give it back: as a number or as text.

    >>> as_number("3"), as_number(None), as_number("three")
    (3, None, None)
    """
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def write_json(path: Path, head: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]) -> None:
    """A JSON object, its long lists written entry by entry."""
    with whole_file(path) as file:
        file.write(json_bytes(head)[:-1])
        for key, rows in lists.items():
            file.write(b",\n" + json_bytes(key) + b":[")
            for i, row in enumerate(rows):
                file.write((b",\n" if i else b"\n") + json_bytes(row))
            file.write(b"]")
        file.write(b"}\n")


def json_bytes(value: Any) -> bytes:
    """A value as strict JSON in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def read_json(file: Path) -> Any:
    """A JSON file of another tool."""
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {file} ({error.strerror}): give the tool's export") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not valid JSON: export it again") from error


def write_json_list(path: Path, rows: Iterable[Any]) -> None:
    """A JSON list, written entry by entry."""
    with whole_file(path) as file:
        file.write(b"[")
        for i, row in enumerate(rows):
            file.write((b",\n" if i else b"\n") + json_bytes(row))
        file.write(b"]\n")
