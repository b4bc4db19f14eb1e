"""Operational figures: what a hazard detector means for whoever clears a corridor (a lane, an apron path).

    false-clear rate = frames with a hazard in the corridor, and nothing flagged there / frames with one
    false alarm      = a flagged component in the corridor that touches no hazard; per frame, per km, per hour
    recall           = hazards in the corridor that a flagged component touches / hazards in the corridor

A frame counts as flagged when a flagged component of at least `minimum` pixels reaches into the corridor.
Ignored pixels (255) are neither hazard nor alarm: a component is cut by them, as in `component`. Every figure
is also kept by slice (object class, size, range, pavement, wet or dry, light …): a frame belongs to one value
of each slice that is named for it. Shares come with Wilson's interval, which does not vanish at 0 of n.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Integer

from clipomaly.errors import MetricError
from clipomaly.metrics.bootstrap import Interval, share_interval

__all__ = [
    "LatencyPercentiles",
    "OperationalCounts",
    "OperationalMetrics",
    "confirmation_delay",
    "first_detection_range",
    "frame_row",
    "latency_percentiles",
    "smallest_detectable",
]

_ROW = (
    "frames",
    "hazard_frames",
    "false_clears",
    "hazards",
    "found",
    "false_alarms",
    "alarm_frames",
    "km",
    "hours",
)


@dataclass(frozen=True)
class OperationalMetrics:
    """Figures of a set or a slice; None where the set has nothing to measure them on."""

    false_clear_rate: float | None
    false_clear_interval: Interval | None
    hazard_recall: float | None
    hazard_recall_interval: Interval | None
    false_alarms_per_frame: float
    false_alarms_per_km: float | None
    false_alarms_per_hour: float | None
    n_frames: int
    n_hazard_frames: int
    n_hazards: int
    n_false_alarms: int
    n_frames_with_false_alarm: int


def frame_row(
    flagged: Bool[np.ndarray, "h w"],
    labels: Integer[np.ndarray, "..."],
    corridor: Bool[np.ndarray, "..."],
    minimum: int = 1,
) -> Float[np.ndarray, " 7"]:
    """What one frame adds: the counts named at the head of this file, in its order, without km and hours."""
    if not flagged.shape == labels.shape == corridor.shape:
        raise MetricError(
            f"flagged {flagged.shape}, labels {labels.shape} and corridor {corridor.shape} differ in size"
        )
    hazard = labels == 1
    n_flagged, parts = _components(flagged & (labels != 255))
    size = np.bincount(parts.reshape(-1), minlength=n_flagged)
    big = size >= minimum
    big[0] = False
    inside = np.bincount(parts[corridor], minlength=n_flagged) > 0
    x, y, width, height = cv2.boundingRect(hazard.view(np.uint8))
    box = np.s_[y : y + height, x : x + width]  # beyond it there is no hazard
    hazard, parts, corridor = hazard[box], parts[box], corridor[box]
    touching = np.bincount(parts[hazard], minlength=n_flagged) > 0
    alarms = int(np.count_nonzero(big & inside & ~touching))
    hazards = _components(hazard)[1] if hazard.size else np.zeros(hazard.shape, np.int32)
    in_corridor = np.unique(hazards[corridor & hazard])
    found = np.unique(hazards[hazard & big[parts]])
    n_found = int(np.count_nonzero(np.isin(in_corridor, found)))
    has_hazard = in_corridor.size > 0
    clear = not bool(np.any(big & inside))
    return np.array(
        [1, has_hazard, has_hazard and clear, in_corridor.size, n_found, alarms, alarms > 0], np.float64
    )


def _components(mask: np.ndarray) -> tuple[int, np.ndarray]:
    n, parts = cv2.connectedComponents(np.ascontiguousarray(mask).view(np.uint8), connectivity=8)
    return n, parts


class OperationalCounts:
    """Pools frames, over all and by slice.

    >>> counts = OperationalCounts()
    >>> labels = np.zeros((4, 6), np.uint8)
    >>> labels[1:3, 1:3] = 1
    >>> nothing, corridor = np.zeros((4, 6), bool), np.ones((4, 6), bool)
    >>> row = counts.add(nothing, labels, corridor, slices={"light": "dusk"}, km=0.01)
    >>> row = counts.add(labels == 1, labels, corridor, slices={"light": "day"}, km=0.01)
    >>> counts.result().false_clear_rate, counts.by_slice()["light"]["dusk"].false_clear_rate
    (0.5, 1.0)
    """

    def __init__(self, minimum: int = 1) -> None:
        self.minimum = minimum
        self.total = np.zeros(len(_ROW))
        self._slices: dict[str, dict[str, np.ndarray]] = {}

    def add(
        self,
        flagged: Bool[np.ndarray, "h w"],
        labels: Integer[np.ndarray, "..."],
        corridor: Bool[np.ndarray, "..."],
        *,
        slices: Mapping[str, str] | None = None,
        km: float = 0.0,
        seconds: float = 0.0,
    ) -> Float[np.ndarray, " 9"]:
        """Count one frame, the way travelled and the time passed since the one before; returns its row."""
        if km < 0 or seconds < 0:
            raise MetricError(f"{km} km and {seconds} s were travelled: give distances and times from 0 on")
        row = np.concatenate([frame_row(flagged, labels, corridor, self.minimum), [km, seconds / 3600]])
        self.total += row
        for name, value in (slices or {}).items():
            values = self._slices.setdefault(name, {})
            values[value] = values.get(value, np.zeros(len(_ROW))) + row
        return row

    def merge(self, other: OperationalCounts) -> None:
        """Pool the counts of other frames into these."""
        if other.minimum != self.minimum:
            raise MetricError(
                f"counts from {other.minimum} and {self.minimum} px on cannot be pooled: use one size"
            )
        self.total += other.total
        for name, values in other._slices.items():
            mine = self._slices.setdefault(name, {})
            for value, row in values.items():
                mine[value] = mine.get(value, np.zeros(len(_ROW))) + row

    def result(self) -> OperationalMetrics:
        """The figures over all frames."""
        return _metrics(self.total)

    def by_slice(self) -> dict[str, dict[str, OperationalMetrics]]:
        """The figures by slice and value, both sorted."""
        return {
            name: {value: _metrics(row) for value, row in sorted(values.items())}
            for name, values in sorted(self._slices.items())
        }


def _metrics(row: np.ndarray) -> OperationalMetrics:
    frames, hazard_frames, false_clears, hazards, found, alarms, alarm_frames = (int(v) for v in row[:7])
    km, hours = float(row[7]), float(row[8])
    if frames == 0:
        raise MetricError("operational metrics are undefined: no frame was added")
    return OperationalMetrics(
        false_clear_rate=false_clears / hazard_frames if hazard_frames else None,
        false_clear_interval=share_interval(false_clears, hazard_frames) if hazard_frames else None,
        hazard_recall=found / hazards if hazards else None,
        hazard_recall_interval=share_interval(found, hazards) if hazards else None,
        false_alarms_per_frame=alarms / frames,
        false_alarms_per_km=alarms / km if km else None,
        false_alarms_per_hour=alarms / hours if hours else None,
        n_frames=frames,
        n_hazard_frames=hazard_frames,
        n_hazards=hazards,
        n_false_alarms=alarms,
        n_frames_with_false_alarm=alarm_frames,
    )


# --- over tracks and times ---


def smallest_detectable(
    sizes: Float[np.ndarray, " n"],
    ranges: Float[np.ndarray, " n"],
    found: Bool[np.ndarray, " n"],
    edges: Sequence[float],
    recall: float = 0.95,
) -> list[float | None]:
    """By range bin, the smallest size from which on at least `recall` of the objects are found, or None.

    >>> found = np.array([False, True, True])
    >>> smallest_detectable(np.array([0.1, 0.2, 0.4]), np.full(3, 5.0), found, [0.0, 10.0, 20.0])
    [0.2, None]
    """
    answer: list[float | None] = []
    for low, high in itertools.pairwise(edges):
        here = (ranges >= low) & (ranges < high)
        order = np.argsort(-sizes[here], kind="stable")
        size, hit = sizes[here][order], np.cumsum(found[here][order])
        share = hit / np.arange(1, size.size + 1)
        # Equal sizes stand or fall together: look only at the last of each.
        last = np.flatnonzero(np.append(size[1:] != size[:-1], True)) if size.size else np.empty(0, np.int64)
        good = last[share[last] >= recall]
        answer.append(float(size[good[-1]]) if good.size else None)
    return answer


def first_detection_range(ranges: Float[np.ndarray, " n"], found: Bool[np.ndarray, " n"]) -> float | None:
    """How far off an object was when it was first found; frames in order of time. None if never."""
    return float(ranges[int(np.argmax(found))]) if np.any(found) else None


def confirmation_delay(
    times: Float[np.ndarray, " n"], found: Bool[np.ndarray, " n"], consecutive: int = 3
) -> float | None:
    """Seconds from the first sight of an object to `consecutive` detections in a row; None if never.

    >>> confirmation_delay(np.arange(5) / 10, np.array([0, 1, 0, 1, 1], bool), consecutive=2)
    0.4
    """
    if found.size < consecutive:
        return None
    run = np.convolve(found.astype(np.int64), np.ones(consecutive, np.int64), "valid") == consecutive
    return float(times[int(np.argmax(run)) + consecutive - 1] - times[0]) if run.any() else None


@dataclass(frozen=True)
class LatencyPercentiles:
    """Seconds from frame to finding."""

    p50: float
    p95: float
    p99: float


def latency_percentiles(seconds: Float[np.ndarray, " n"]) -> LatencyPercentiles:
    """Percentiles that are measured values (the next higher one, never an interpolation).

    >>> latency_percentiles(np.arange(1, 101) / 100)
    LatencyPercentiles(p50=0.5, p95=0.95, p99=0.99)
    """
    if not len(seconds):
        raise MetricError("latency percentiles are undefined: no frame was timed")
    return LatencyPercentiles(
        *(float(v) for v in np.quantile(seconds, [0.5, 0.95, 0.99], method="inverted_cdf"))
    )
