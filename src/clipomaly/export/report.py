"""`report.html`: one file to look through a run with, made from `results.jsonl` when the run ends.

The page is `report.html` beside this module; here the rows are put into it as JSON, one after the other, so
that memory stays the same however many frames there are. Thumbnails of the frames with the highest scores are
inside; the larger pictures are the files beside the report. It asks nothing of the network.
"""

from __future__ import annotations

import base64
import heapq
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from clipomaly.errors import DataError
from clipomaly.export.files import safe_path, whole_file
from clipomaly.export.frames import RUN
from clipomaly.export.maps import PREVIEWS, THUMBNAIL
from clipomaly.export.palette import UNNAMED_COLOR, entered_color
from clipomaly.export.results import read_results
from clipomaly.records import UNNAMED

__all__ = ["REPORT", "build_report"]

REPORT = "report.html"
_MARK = "/*DATA*/"


def build_report(out_dir: str | Path, *, embed: int = 300) -> Path:
    """Write `report.html` into a run's folder; `embed` is how many thumbnails it holds at most."""
    folder = Path(out_dir)
    run = _read_run(folder)
    scores = ((_top_score(row), -i) for i, row in enumerate(read_results(folder)))
    inside = {-i for _, i in heapq.nlargest(embed, scores)} if embed > 0 else set()
    before, after = _template().split(_MARK)
    path = folder / REPORT
    with whole_file(path) as file:
        file.write(before.encode())
        file.write(
            b'{"run":' + _json(run) + b',"unnamed":' + _json([UNNAMED, UNNAMED_COLOR]) + b',"frames":['
        )
        for i, row in enumerate(read_results(folder)):
            thumbnail = _thumbnail(folder, row) if i in inside else None
            file.write((b",\n" if i else b"\n") + _json(_compact(row, thumbnail)))
        file.write(b"\n]}" + after.encode())
    return path


def _template() -> str:
    return (resources.files("clipomaly.export") / "report.html").read_text("utf-8")


def _read_run(folder: Path) -> dict[str, Any]:
    try:
        run = json.loads((folder / RUN).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read {folder / RUN}: run `clipomaly segment --out {folder}` first"
        ) from error
    keys = ("status", "started", "seconds", "provenance", "settings", "vocabulary", "versions", "failures")
    return {key: run[key] for key in keys}


def _top_score(row: Mapping[str, Any]) -> float:
    """Frames with findings come before those without."""
    found = [f["score"] or 0.0 for f in row["findings"]]
    return 1e9 + max(found) if found else (row["score_max"] or 0.0)


def _compact(row: Mapping[str, Any], thumbnail: str | None) -> dict[str, Any]:
    """What the page needs of a row."""
    previews = {kind: f"{PREVIEWS}/{row['frame']}.{kind}.jpg" for kind in ("frame", "score")}
    return {
        "name": row["frame"],
        "source": row["source"],
        "time": row["time"],
        "size": [row["width"], row["height"]],
        "scoreMax": row["score_max"],
        "threshold": row["threshold"],
        "unknown": row["unknown_share"],
        "files": {**row["files"], **{f"{k}Preview": v for k, v in previews.items()}},
        "thumbnail": thumbnail,
        "findings": [
            {
                "name": f["name"],
                "color": UNNAMED_COLOR if f["name"] is None else entered_color(f["name"]),
                "confidence": f["confidence"],
                "source": f["name_source"],
                "score": f["score"],
                "area": f["area"],
                "box": f["box"],
                "nearest": [f["nearest_known"], f["nearest_known_similarity"]],
                "candidates": [
                    [c["name"], c["source"], c["similarity"], c["margin"]] for c in f["candidates"]
                ],
            }
            for f in row["findings"]
        ],
    }


def _json(value: Any) -> bytes:
    """JSON that may stand inside a script element: no < can end it early."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()


def _thumbnail(folder: Path, row: Mapping[str, Any]) -> str | None:
    """A small JPEG as a data address; None when it is gone, or the run was made before there were any."""
    try:
        data = safe_path(folder / PREVIEWS, row["frame"], THUMBNAIL).read_bytes()
    except OSError:
        return None
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
