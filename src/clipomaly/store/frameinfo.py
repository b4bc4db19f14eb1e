"""When, where and with what a frame was taken: from its EXIF, a sidecar file, or a table.

    EXIF                      DateTimeOriginal (with its offset; without one as UTC), GPS position, Model
    PICTURE.meta.json         beside the picture a.jpg: a.meta.json with any of the keys below
    --frames-table FILE.csv   a column `frame` (name, or path as given), and any of the keys below

Keys: time (seconds since 1970 or ISO 8601), camera, lat, lon, sequence, index; everything else is a
condition (weather = rain). The table goes before the sidecar, the sidecar before EXIF.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clipomaly.errors import DataError

__all__ = ["FrameInfo", "frame_info", "read_frames_table"]

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_MODEL, _TAKEN, _OFFSET = 0x0110, 0x9003, 0x9011


@dataclass(frozen=True)
class FrameInfo:
    """What is known about a frame besides its pixels."""

    time: float | None = None
    camera: str = ""
    lat: float | None = None
    lon: float | None = None
    sequence: str = ""
    index: int = 0
    conditions: Mapping[str, str] = field(default_factory=dict)


def frame_info(path: str, sequence: str, index: int, table: Mapping[str, Any] | None = None) -> FrameInfo:
    """All that is said about the picture at this path; `table` is its row of the frames table."""
    info = FrameInfo(sequence=sequence, index=index)
    picture = Path(path)
    if "://" not in path and picture.is_file():
        info = _from_exif(info, picture)
        sidecar = picture.with_suffix(".meta.json")
        if sidecar.is_file():
            info = _laid_over(info, _read_json(sidecar), str(sidecar))
    return info if table is None else _laid_over(info, table, "the frames table")


def read_frames_table(path: str | Path) -> dict[str, dict[str, str]]:
    """Rows of the table by frame."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if "frame" not in (reader.fieldnames or ()):
                raise DataError(f"{path} has no column `frame`: add one with the frames' names or paths")
            rows = {}
            for row in reader:
                extra = {k: v for k, v in row.items() if k is not None and k != "frame" and v}
                _laid_over(FrameInfo(), extra, f"{path}, frame {row['frame']}")
                rows[row["frame"]] = extra
            return rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path} ({error}): give a CSV file in UTF-8") from error


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        table = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not valid JSON ({error}): mend or remove it") from error
    if not isinstance(table, dict):
        raise DataError(f"{path} must hold an object with keys such as time, camera, lat, lon")
    return table


def _laid_over(info: FrameInfo, values: Mapping[str, Any], where: str) -> FrameInfo:
    changes: dict[str, Any] = {}
    conditions = dict(info.conditions)
    for key, value in values.items():
        if value is None or value == "":
            continue
        try:
            if key == "time":
                changes["time"] = _seconds(value)
            elif key in ("lat", "lon"):
                changes[key] = _degrees(value, 90 if key == "lat" else 180)
            elif key == "index":
                changes["index"] = int(value)
            elif key in ("camera", "sequence"):
                changes[key] = str(value)
            elif key == "conditions" and isinstance(value, dict):
                conditions |= {str(k): str(v) for k, v in value.items()}
            else:
                conditions[key] = str(value)
        except (TypeError, ValueError) as error:
            raise DataError(f"{where}: {key} {value!r} is not valid ({error})") from error
    return replace(info, **changes, conditions=conditions)


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except ValueError:
        taken = datetime.fromisoformat(str(value))
        seconds = (taken if taken.tzinfo else taken.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        raise ValueError("not a time")
    return seconds


def _degrees(value: Any, limit: float) -> float:
    degrees = float(value)
    if not -limit <= degrees <= limit:
        raise ValueError(f"outside ±{limit:.0f}")
    return degrees


def _from_exif(info: FrameInfo, path: Path) -> FrameInfo:
    """What the camera wrote; damaged metadata says nothing, and costs nothing."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            exif = picture.getexif()
            taken, gps = exif.get_ifd(_EXIF_IFD), exif.get_ifd(_GPS_IFD)
            camera = str(exif.get(_MODEL, "")).strip("\0 ")
    except Exception:  # Pillow raises nearly anything on damaged metadata
        return info
    lat, lon = _position(gps, 2, "S", 90), _position(gps, 4, "W", 180)
    return replace(
        info,
        time=_taken(taken.get(_TAKEN), taken.get(_OFFSET)),
        camera=camera,
        lat=lat if lon is not None else None,
        lon=lon if lat is not None else None,
    )


def _taken(text: Any, offset: Any) -> float | None:
    try:
        taken = datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        zone = datetime.strptime(str(offset).strip("\0 "), "%z").tzinfo if offset else UTC
        return taken.replace(tzinfo=zone).timestamp()
    except (ValueError, OverflowError):
        return None


def _position(gps: Mapping[int, Any], tag: int, negative: str, limit: float) -> float | None:
    try:
        degrees, minutes, seconds = (float(v) for v in gps[tag])
        value = degrees + minutes / 60 + seconds / 3600
        value = -value if str(gps.get(tag - 1, "")).strip("\0 ").upper() == negative else value
        return value if math.isfinite(value) and abs(value) <= limit else None
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
