"""Records as the pages read them: plain numbers, texts and lists."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from clipomaly.records import UNNAMED, shown_name
from clipomaly.review.pictures import finding_color, mask_box
from clipomaly.store.decisions import Decision
from clipomaly.store.records import StoredFinding, StoredFrame, StoredRun
from clipomaly.store.state import FindingState

__all__ = [
    "CLIP_SECONDS",
    "clip_row",
    "decision_row",
    "finding_detail",
    "finding_row",
    "frame_row",
    "run_row",
    "time_text",
    "told",
]

CLIP_SECONDS = 60.0
"""Frames of one sequence taken this close together are a clip; a folder of photos may span years."""


def time_text(seconds: float | None) -> str | None:
    """Seconds since 1970 as text; None where there is no such time.

    >>> time_text(0.0)
    '1970-01-01T00:00:00Z'
    """
    if seconds is None or not math.isfinite(seconds):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, OSError, ValueError):
        return None


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def run_row(run: StoredRun) -> dict[str, Any]:
    """A run, for lists and choices."""
    when = (time_text(run.started) or "")[:16].replace("T", " ")
    return {
        "id": run.id,
        "title": f"{when} {run.method}, {run.model}, {run.vocabulary}",
        "started": time_text(run.started),
        "method": run.method,
        "model": run.model,
        "model_hash": run.model_hash[:16],
        "vocabulary": run.vocabulary,
        "frames": run.frames,
        "findings": run.findings,
        "version": run.version,
        "notice": run.notice,
        "names": run.names,
    }


def frame_row(frame: StoredFrame) -> dict[str, Any]:
    """A frame."""
    return {
        "id": frame.id,
        "title": frame.name,
        "size": list(frame.image_size),
        "time": time_text(frame.time),
        "seconds": _number(frame.time),
        "camera": frame.camera,
        "place": frame.place,
        "sequence": frame.sequence,
        "index": frame.index,
        "conditions": dict(frame.conditions),
        "score_map": frame.score_map is not None,
    }


def clip_row(frame: StoredFrame, own: StoredFrame) -> dict[str, Any]:
    """A frame beside another; `apart` in seconds where both belong to one clip, not only to one folder."""
    first, second = _number(own.time), _number(frame.time)
    apart = None if first is None or second is None else second - first
    return {**frame_row(frame), "apart": apart if apart is not None and abs(apart) <= CLIP_SECONDS else None}


def finding_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the catalogue, for tiles."""
    return {
        "id": row["id"],
        "frame": row["frame"],
        "run": row["run"],
        "label": shown_name(row["name"], row["guess"]),
        "name": None if row["name"] == UNNAMED else row["name"],
        "status": row["status"],
        "assignee": row["assignee"],
        "score": _number(row["score"]),
        "area": row["area"],
        "color": list(finding_color(row["name"])),
    }


def finding_detail(
    finding: StoredFinding,
    row: Mapping[str, Any],
    state: FindingState,
    frame: StoredFrame,
    run: StoredRun | None,
    others: Sequence[Mapping[str, Any]],
    history: Sequence[tuple[Decision, bool]],
    box: tuple[int, int, int, int],
    parts: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything about one finding."""
    whole = finding.id.rpartition("-s")[0]
    return {
        **finding_row(row),
        "status": state.status,
        "assignee": state.assignee,
        "box": list(box),
        "mask_box": list(mask_box(box, frame.image_size)),
        "named_by": state.by if state.name else finding.name_source,
        "found_name": finding.name,
        "part_of": whole or None,
        "parts": list(parts),
        "nearest_known": finding.nearest_known or None,
        "nearest_similarity": _number(finding.nearest_similarity),
        "candidates": [
            {"name": c.name, "source": c.source, "score": _number(c.score), "margin": _number(c.margin)}
            for c in finding.candidates
        ],
        "frame": frame_row(frame),
        "run": {"id": finding.run, "title": run_row(run)["title"] if run else finding.run},
        "others": [
            {
                "id": o["id"],
                "label": shown_name(o["name"], o["guess"]),
                "status": o["status"],
                "box": list(o["box"]),
            }
            for o in others
        ],
        "history": [{**decision_row(d), "holds": holds} for d, holds in history],
    }


def decision_row(decision: Decision) -> dict[str, Any]:
    """A decision; of many findings the first thousand."""
    return {
        "id": decision.id,
        "at": time_text(decision.at),
        "who": decision.who,
        "kind": decision.kind,
        "findings": list(decision.findings[:1000]),
        "count": len(decision.findings),
        "name": decision.name,
        "other": decision.other,
        "reason": decision.reason,
        "comment": decision.comment,
        "parts": len(decision.data.get("parts", ())) if decision.kind == "split" else 0,
    }


_TOLD = {
    "confirm": "confirmed it",
    "reject": "rejected it",
    "split": "marked it as several things",
    "ignore": "ignored it",
    "comment": "commented on it",
    "reshape": "corrected its mask",
    "undo": "took a decision back",
}


def told(decision: Decision) -> str:
    """What somebody did, for those who look at the same finding.

    >>> told(Decision("ada", "rename", ("f-000",), name="wheel chock"))
    'renamed it to wheel chock'
    """
    if decision.kind == "rename":
        return f"renamed it to {decision.name}"
    if decision.kind == "split" and decision.data.get("parts"):
        return f"split it into {len(decision.data['parts'])}"
    if decision.kind == "assign":
        return f"assigned it to {decision.name}"
    return _TOLD.get(decision.kind, decision.kind)
