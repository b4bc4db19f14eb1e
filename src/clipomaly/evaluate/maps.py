"""The figures of score maps that somebody else made: our metrics without our models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from clipomaly._version import __version__
from clipomaly.data.samples import MASKS
from clipomaly.errors import MetricError
from clipomaly.evaluate.result import SCHEMA, Evaluation
from clipomaly.evaluate.scoremaps import LabelledMap
from clipomaly.evaluate.tally import LEFT_OUT_HINT, Tally, frame_table, mask_rows, summarise
from clipomaly.metrics.component import ANOMALY_TRACK, MinimumSizes

__all__ = ["evaluate_maps"]


def evaluate_maps(
    maps: Sequence[LabelledMap],
    *,
    name: str = "scores",
    threshold: float | None = None,
    sizes: MinimumSizes = ANOMALY_TRACK,
    step: Callable[[], object] = lambda: None,
    notices: Sequence[str] = (),
) -> Evaluation:
    """Pixel and component figures of score maps; `threshold` is one that was fixed beforehand.

    The maps are read twice: the best-F1 threshold, at which components are taken, is known only at the end.
    """
    digest = hashlib.sha256()
    tally: Tally | None = None
    for item in maps:
        score, label = item.load()
        if tally is None:
            exact = np.can_cast(score.dtype, np.float32, "safe")
            tally = Tally(np.float32 if exact else np.float64)
        rows = {} if threshold is None else mask_rows(score >= threshold, label, sizes)
        tally.add(item.name, score, label, rows)
        digest.update(repr((item.name, score.shape, int((label == 1).sum()))).encode())
        step()
    if tally is None:
        raise MetricError("no score map was given: name at least one frame")
    if not tally.counts.n_positive and tally.left_out and all(m.label.values == MASKS for m in maps):
        raise MetricError(f"the labels hold no anomalous pixel{LEFT_OUT_HINT}")
    tally.counts.result()  # says what is missing where figures are undefined

    def again() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        for at, item in enumerate(maps):
            yield at, *item.load()

    figures, rows, curve, histogram = summarise(tally, again(), sizes)
    rule: dict[str, Any] = {"rule": "none", "fixed": False, "threshold": None}
    if threshold is not None:
        rule = {"rule": "number", "fixed": True, "threshold": threshold}
    figures["locked"] = {**rule, **figures["locked"]}
    metrics = {
        "schema": SCHEMA,
        "method": name,
        "data_hash": digest.hexdigest()[:16],
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **figures,
        "minimum_component_sizes": asdict(sizes),
        "notices": list(notices),
    }
    return Evaluation(metrics, rows, frame_table(rows, tally.frames), curve, histogram)
