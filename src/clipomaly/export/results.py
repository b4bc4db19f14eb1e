"""`results.jsonl`: one line a frame, with every finding and the evidence for it.

A line is written after the frame's files, in one piece, so a line means a finished frame. A run that was
killed leaves at most one torn line at the end; readers skip it, and resuming drops it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clipomaly.errors import DataError
from clipomaly.export.masks import drawn_polygons, region_rle
from clipomaly.records import Finding, Result

__all__ = ["RESULTS", "SCHEMA", "finding_row", "finished", "frame_row", "read_results"]

RESULTS = "results.jsonl"
SCHEMA = 1


def frame_row(
    result: Result, *, files: Mapping[str, str], score_scale: tuple[float, float], policies: Mapping[str, Any]
) -> dict[str, Any]:
    """One line of `results.jsonl`. `files` are relative to its folder; docs/outputs.md explains each key."""
    frame, prediction = result.frame, result.prediction
    height, width = frame.size
    return {
        "schema": SCHEMA,
        "frame": frame.name,
        "source": frame.source,
        "time": _number(frame.time),
        "width": width,
        "height": height,
        "files": dict(files),
        "score_scale": list(score_scale),
        "score_max": _number(prediction.score.max()),
        "threshold": _number(prediction.threshold),
        "unknown_share": _number(prediction.unknown.mean()),
        "names": list(prediction.names),
        "n_known": prediction.n_known,
        "findings": [finding_row(f, i) for i, f in enumerate(prediction.findings)],
        "policies": dict(policies),
        "provenance": dict(result.provenance),
        "seconds": {stage: _number(s) for stage, s in prediction.seconds.items()},
    }


def finding_row(finding: Finding, index: int) -> dict[str, Any]:
    """A finding as plain values: numbers that are not finite become null."""
    region = finding.region
    return {
        "id": index,
        "name": finding.name,
        "confidence": _number(finding.confidence) if finding.name is not None else None,
        "name_source": finding.name_source,
        "score": _number(region.score),
        "area": region.area,
        "box": list(region.box),
        "polygons": drawn_polygons(region),
        "rle": region_rle(region),
        "candidates": [
            {
                "name": c.name,
                "source": c.source,
                "similarity": _number(c.similarity),
                "margin": _number(c.margin),
                "rank": c.rank,
            }
            for c in finding.candidates
        ],
        "nearest_known": finding.nearest_known or None,
        "nearest_known_similarity": _number(finding.nearest_known_similarity),
    }


def _number(value: Any) -> float | None:
    """Six digits are more than any of these figures carries."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{float(value):.6g}")


def to_line(row: Mapping[str, Any]) -> bytes:
    """A row as one line of strict JSON in UTF-8."""
    text = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"


def read_results(path: str | Path) -> Iterator[dict[str, Any]]:
    """The lines of a `results.jsonl` (or of the folder that holds it), one after the other."""
    path = Path(path)
    if path.is_dir():
        path /= RESULTS
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): run `clipomaly segment` first") from error
    with file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return  # torn: its frame counts as not done
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"line {number} of {path} is damaged: remove it, then --resume") from error
            if not isinstance(row, dict) or row.get("schema") != SCHEMA:
                raise DataError(
                    f"line {number} of {path} is not of schema {SCHEMA}: made by another version?"
                )
            yield row


def is_complete(folder: Path, row: Mapping[str, Any]) -> bool:
    """Whether all the files of a line are there and hold something."""
    try:
        return all((folder / f).stat().st_size > 0 for f in row["files"].values())
    except OSError:
        return False


def finished(out_dir: str | Path) -> set[str]:
    """Names of the frames whose line stands in `results.jsonl` and whose files are there.

    >>> finished("a-folder-that-is-not-there")
    set()
    """
    folder = Path(out_dir)
    if not (folder / RESULTS).is_file():
        return set()
    return {row["frame"] for row in read_results(folder) if is_complete(folder, row)}
