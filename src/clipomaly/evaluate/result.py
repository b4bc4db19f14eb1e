"""What an evaluation leaves behind, and how it is read again for reports and comparisons.

metrics.json   all figures by stable keys, with `_ci` pairs, hashes, settings
frames.csv     a line a frame
things.csv     a line a measured thing, where the set has them
rows.npz       the additive rows behind the intervals, the thinned curve, the histogram
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly.errors import DataError
from clipomaly.evaluate.tally import Histogram
from clipomaly.export.files import write_whole
from clipomaly.metrics.pixel import PixelCurve

__all__ = [
    "FRAMES",
    "METRICS",
    "ROWS",
    "SCHEMA",
    "Evaluation",
    "frames_text",
    "load_evaluation",
    "reading_notes",
    "save_evaluation",
]

SCHEMA = 1
_FEW = 10  # a percentile bootstrap of n frames comes out too narrow by about √((n−1)/n), and misses the tails
METRICS, FRAMES, ROWS, THINGS = "metrics.json", "frames.csv", "rows.npz", "things.csv"


def frames_text(n: int) -> str:
    """How many frames, in words.

    >>> frames_text(1), frames_text(2)
    ('1 frame', '2 frames')
    """
    return f"{n} frame{'' if n == 1 else 's'}"


def reading_notes(metrics: Mapping[str, Any]) -> list[str]:
    """What to know before the figures are read: too few frames for an interval, scores upside down.

    >>> reading_notes({"n_frames": 3})
    ['3 frames: intervals over fewer than 10 frames are too narrow; read them as hints']
    >>> reading_notes({"n_frames": 40, "auroc": 0.2, "auroc_ci": [0.1, 0.3]})
    ['AUROC is below 50 %: anomalies score lower than known pixels; if lower is more anomalous, negate them']
    """
    n, notes = metrics["n_frames"], []
    if metrics.get("undefined"):
        notes.append(str(metrics["undefined"]))
    pixels = metrics.get("n_positive", 1) or metrics.get("n_negative", 1)
    if not pixels and all(metrics.get(key) is None for key in ("known_miou", "naming_unnamed")):
        notes.append("no labels were found: seconds alone are measured")
    elif n == 1:
        notes.append("1 frame: figures of a set have no interval, and say nothing of other frames")
    elif 1 < n < _FEW:
        notes.append(
            f"{n} frames: intervals over fewer than {_FEW} frames are too narrow; read them as hints"
        )
    if classes := metrics.get("unknown_classes"):
        notes.append(f"classes that the vocabulary lacks count as the unknown: {', '.join(classes)}")
    highest = (metrics.get("auroc_ci") or (None, metrics.get("auroc")))[1]
    if highest is not None and highest < 0.5:
        notes.append(
            "AUROC is below 50 %: anomalies score lower than known pixels; if lower is more anomalous, "
            "negate them"
        )
    return notes


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One method on one set."""

    metrics: dict[str, Any]
    rows: dict[str, np.ndarray]
    frames: list[dict[str, Any]]
    curve: PixelCurve | None = None
    histogram: Histogram | None = None
    things: list[dict[str, Any]] = field(default_factory=list)
    """Measured things one by one, where the set has them."""

    @property
    def method(self) -> str:
        """What to call it in tables."""
        return str(self.metrics["method"])


def save_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write the three files, `metrics.json` last: where it stands, the evaluation is finished."""
    arrays: dict[str, Any] = {f"row.{kind}": rows for kind, rows in evaluation.rows.items()}
    if evaluation.curve is not None:
        c = evaluation.curve
        arrays["curve"] = np.stack([c.threshold, c.recall, c.precision, c.fpr])
    if evaluation.histogram is not None:
        h = evaluation.histogram
        arrays |= {"edges": h.edges, "known": h.known, "anomaly": h.anomaly}
    write_whole(folder / ROWS, _npz(arrays))
    write_whole(folder / FRAMES, _csv(evaluation.frames).encode())
    if evaluation.things:
        write_whole(folder / THINGS, _csv(evaluation.things).encode())
    write_whole(folder / METRICS, to_json(evaluation.metrics).encode())


def load_evaluation(folder: str | Path) -> Evaluation:
    """Read a finished evaluation."""
    folder = Path(folder)
    try:
        metrics = json.loads((folder / METRICS).read_text("utf-8"))
        with np.load(folder / ROWS, allow_pickle=False) as file:
            arrays = dict(file)
        frames = _read_csv(folder / FRAMES)
        things = _read_csv(folder / THINGS) if (folder / THINGS).is_file() else []
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{folder} holds no finished evaluation ({error}): run `clipomaly evaluate … --out {folder}`"
        ) from error
    if metrics.get("schema") != SCHEMA or "method" not in metrics:
        raise DataError(f"{folder / METRICS} is not of schema {SCHEMA}: made by another version?")
    curve = histogram = None
    if "curve" in arrays:
        threshold, recall, precision, fpr = arrays["curve"]
        curve = PixelCurve(threshold, recall, precision, fpr)
    if "edges" in arrays:
        histogram = Histogram(arrays["edges"], arrays["known"], arrays["anomaly"])
    rows = {key[4:]: value for key, value in arrays.items() if key.startswith("row.")}
    return Evaluation(metrics, rows, frames, curve, histogram, things)


def _npz(arrays: Mapping[str, Any]) -> bytes:
    """What `numpy.savez_compressed` writes, at zlib's quickest level: a third of the time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def to_json(table: Any) -> str:
    """Strict JSON: what is not a finite number was made null before."""
    return json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _csv(frames: Sequence[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for line in frames for key in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(frames)
    return text.getvalue()


def _read_csv(path: Path) -> list[dict[str, Any]]:
    with open(path, encoding="utf-8", newline="") as text:
        return [{k: _value(v) for k, v in line.items()} for line in csv.DictReader(text)]


def _value(text: str | None) -> Any:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return text
