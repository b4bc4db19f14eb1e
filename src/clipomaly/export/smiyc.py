"""Score maps as the public benchmark SegmentMeIfYouCan reads them.

    OUT/anomaly_p/METHOD/SPLIT/FRAME.hdf5      one data set `value`: float16 [H, W], higher is more anomalous

OUT is what the benchmark's code calls its outputs folder; SPLIT is `AnomalyTrack-all`, `ObstacleTrack-all`
or `LostAndFound-test`, and FRAME the picture's name in that split. The benchmark stores 16-bit floats: scores
that 16 bits cannot tell apart become ties; one beyond their range would become infinite, so it is refused.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from clipomaly.errors import MissingExtra, OutputError
from clipomaly.export.files import safe_path, write_whole

__all__ = ["SMIYC_SPLITS", "require_h5py", "smiyc_path", "write_smiyc"]

SMIYC_SPLITS = (
    "AnomalyTrack-all",
    "AnomalyTrack-validation",
    "AnomalyTrack-test",
    "ObstacleTrack-all",
    "ObstacleTrack-validation",
    "ObstacleTrack-test",
    "LostAndFound-test",
    "LostAndFound-train",
    "LostAndFound-testNoKnown",
    "FishyLAFAnomaly-val",
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def require_h5py() -> None:
    """Say at once what is missing, not after the first frame."""
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise MissingExtra("h5py", "smiyc", "writing the benchmark's HDF5 files") from error


def smiyc_path(out: Path, method: str, split: str, frame: str) -> Path:
    """Where a frame's file goes.

    >>> smiyc_path(Path("outputs"), "Mine", "AnomalyTrack-all", "validation0001").as_posix()
    'outputs/anomaly_p/Mine/AnomalyTrack-all/validation0001.hdf5'
    """
    if split not in SMIYC_SPLITS:
        raise OutputError(f"the benchmark has no split {split!r}: use one of {', '.join(SMIYC_SPLITS)}")
    if not _NAME.fullmatch(method):
        raise OutputError(f"method name {method!r} is not valid: use letters, digits, . _ and -")
    return safe_path(out / "anomaly_p" / method / split, frame, ".hdf5")


def write_smiyc(path: Path, score: Shaped[np.ndarray, "H W"]) -> int:
    """Write one score map; returns how many distinct scores fell together in 16 bits."""
    import h5py

    if not np.isfinite(score).all():
        raise OutputError(f"{path.stem}: its scores are not finite; repair the method before exporting")
    with np.errstate(over="ignore"):
        half = score.astype(np.float16)
    if not np.isfinite(half).all():
        raise OutputError(
            f"{path.stem}: scores up to {np.abs(score).max():g} exceed 16-bit floats: scale them"
        )
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("value", data=half, compression="gzip", compression_opts=9)
    write_whole(path, buffer.getvalue())
    return int(np.unique(score).size - np.unique(half).size)
