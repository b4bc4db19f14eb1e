"""The same figures by what frames were like: condition, category, and how much the anomaly covers.

A frame belongs to one value of a condition, or to several (`glare|puddles`: every control that shows).
Figures of a slice are those of its summed rows: pixel figures from bins that all frames share, which differ
from exact ones by well under 0.001.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clipomaly.evaluate.figures import FIGURES, Figure, Rows

__all__ = ["CONDITION", "MEAN", "SLICED", "slices_of"]

CONDITION = "condition."
"""Beginning of the columns of `frames.csv` that say what a frame was like."""
MEAN = "(mean)"
_KEYS = (
    *("ap", "auroc", "fpr95", "image_auroc", "image_ap", "aupro"),
    *("operational.false_clear_rate", "operational.hazard_recall", "operational.false_alarms_per_frame"),
    *("known_miou", "locked.fpr", "naming_top1_synonym"),
)
SLICED: tuple[Figure, ...] = tuple(f for key in _KEYS for f in FIGURES if f.key == key)
_COVERED = ((0.0, 0.005, "below 0.5 %"), (0.005, 0.05, "0.5 % to 5 %"), (0.05, 1.01, "5 % and more"))
_MOST = 40  # values of a condition that are shown; more say nothing


def slices_of(rows: Rows, frames: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry a value: slice, value, n_frames, and every figure that is defined there.

    >>> rows = {"operational": np.array([[1, 1, 0, 1, 1, 0, 0], [1, 1, 1, 1, 0, 2, 1]])}
    >>> frames = [{"condition.light": "day"}, {"condition.light": "dusk"}]
    >>> [(s["value"], s["operational.false_clear_rate"]) for s in slices_of(rows, frames)]
    [('day', 0.0), ('dusk', 1.0)]
    """
    out = []
    for title, members in [*_by_cover(rows), *_by_condition(frames)]:
        entries = [_entry(rows, title, value, here) for value, here in members if here.any()]
        if title == "category" and len(entries) > 1:  # what papers on such sets report
            mean = {
                key: float(np.mean([e[key] for e in entries]))
                for key in entries[0]
                if key not in ("slice", "value", "n_frames") and all(key in e for e in entries)
            }
            total = sum(e["n_frames"] for e in entries)
            entries.append({"slice": title, "value": MEAN, "n_frames": total, **mean})
        out += entries
    return out


def _by_cover(rows: Rows) -> list[tuple[str, list[tuple[str, np.ndarray]]]]:
    if "pixels" not in rows:
        return []
    known, anomaly = rows["pixels"].sum(axis=-1).T
    share = anomaly / np.maximum(known + anomaly, 1)
    members = [(name, (share >= low) & (share < high) & (anomaly > 0)) for low, high, name in _COVERED]
    return [("anomaly covers", members)] if sum(bool(here.any()) for _, here in members) > 1 else []


def _by_condition(frames: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, np.ndarray]]]]:
    groups = []
    for column in dict.fromkeys(k for line in frames for k in line if k.startswith(CONDITION)):
        values = [set(str(line.get(column) or "–").split("|")) for line in frames]
        every = sorted(set().union(*values))
        if 1 < len(every) <= _MOST:
            members = [(v, np.array([v in those for those in values])) for v in every]
            groups.append((column.removeprefix(CONDITION), members))
    return groups


def _entry(rows: Rows, title: str, value: str, here: np.ndarray) -> dict[str, Any]:
    entry: dict[str, Any] = {"slice": title, "value": value, "n_frames": int(here.sum())}
    for figure in SLICED:
        if figure.rows in rows:
            with np.errstate(invalid="ignore", divide="ignore"):
                found = float(figure.of(rows[figure.rows][here].astype(np.float64).sum(axis=0)))
            if np.isfinite(found):
                entry[figure.key] = found
    return entry
