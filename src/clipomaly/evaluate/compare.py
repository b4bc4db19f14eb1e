"""Several methods on the same frames: paired differences, both figures from the same resampled frames.

An interval that does not contain 0 says that the order of the two would hold on other frames like these.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clipomaly.errors import MetricError
from clipomaly.evaluate.figures import FIGURES, Figure, lookup, replicates_of
from clipomaly.evaluate.result import METRICS, SCHEMA, Evaluation, to_json
from clipomaly.export.files import write_whole
from clipomaly.metrics.bootstrap import Interval, interval_from

__all__ = ["Difference", "differences", "save_comparison"]


@dataclass(frozen=True)
class Difference:
    """`method` minus `other` in one figure."""

    figure: Figure
    method: str
    other: str
    value: float
    interval: Interval

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out 0; seconds are not judged (`timed`)."""
        return not self.timed and not self.interval.contains(0.0)

    @property
    def timed(self) -> bool:
        """Whether it is of wall time: methods run in turn, and no interval holds the machine's load."""
        return self.figure.rows == "seconds"


def differences(evaluations: Sequence[Evaluation]) -> list[Difference]:
    """Every method against the first one, in every figure that both have; a single frame decides nothing."""
    if not evaluations or len(evaluations[0].frames) < 2:
        return []
    first, *others = evaluations
    out = []
    for other in others:
        if [f["frame"] for f in first.frames] != [f["frame"] for f in other.frames]:
            raise MetricError(
                f"{first.method} and {other.method} have other frames: evaluate them together, with --methods"
            )
        both = [
            f for f in FIGURES if None not in (lookup(first.metrics, f.key), lookup(other.metrics, f.key))
        ]
        replicates = zip(replicates_of(both, other.rows), replicates_of(both, first.rows), strict=True)
        for figure, (mine, theirs) in zip(both, replicates, strict=True):
            value = lookup(other.metrics, figure.key) - lookup(first.metrics, figure.key)
            with contextlib.suppress(MetricError):  # undefined in every resample: nothing to speak of
                interval = interval_from(mine - theirs)
                out.append(Difference(figure, other.method, first.method, value, interval))
    return out


def save_comparison(out: Path, evaluations: Sequence[Evaluation], compared: Sequence[Difference]) -> None:
    """`metrics.json` of several methods: each one's own, by name, and the paired differences."""
    table = {
        "schema": SCHEMA,
        "methods": {e.method: e.metrics for e in evaluations},
        "differences": [
            {
                "figure": d.figure.key,
                "method": d.method,
                "other": d.other,
                "value": d.value,
                "ci": [d.interval.low, d.interval.high],
            }
            for d in compared
        ],
    }
    write_whole(out / METRICS, to_json(table).encode())
