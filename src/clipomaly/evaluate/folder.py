"""The folder of a running evaluation: one file a frame, so that a stopped run goes on where it stopped.

    run.json        what is being evaluated; a run goes on only under the same
    maps/NAME.npz   score (float32, exact), labels, the method's mask (packed bits), and what the frame adds

The maps are what components at the best-F1 threshold, known only at the end, are computed from. They take
about five bytes a pixel (4.7 MB for 1280 × 720) and are removed when the evaluation is finished, unless kept.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clipomaly.config import settings_that_differ
from clipomaly.errors import OutputError
from clipomaly.evaluate.mapped import MappedArrays
from clipomaly.evaluate.result import METRICS, to_json
from clipomaly.export.files import safe_path, whole_file, write_whole

__all__ = ["KeptFrame", "Maps", "RunFolder"]

RUN, MAPS = "run.json", "maps"


@dataclass(frozen=True, eq=False)
class KeptFrame:
    """What one frame came to."""

    score: np.ndarray
    anomaly: np.ndarray | None = None
    unknown: np.ndarray | None = None
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    """Names found and given, numbers of findings: what stands in the table of frames."""


class Maps(NamedTuple):
    """The maps of a frame."""

    score: np.ndarray
    anomaly: np.ndarray | None
    unknown: np.ndarray | None


class RunFolder:
    """Opens a folder for an evaluation; `existing` is `refuse`, `resume` or `replace`."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], existing: str = "refuse") -> None:
        self.folder = folder
        self.finished = False
        self.resumed = 0
        """Frames that were there already."""
        self.check(folder, identity, existing)
        if (folder / RUN).is_file() and existing == "resume":
            self.finished = (folder / METRICS).is_file()
            return
        shutil.rmtree(folder / MAPS, ignore_errors=True)
        (folder / METRICS).unlink(missing_ok=True)
        write_whole(folder / RUN, to_json(dict(identity)).encode())

    @classmethod
    def check(cls, folder: Path, identity: Mapping[str, Any], existing: str) -> None:
        """OutputError where a folder holds something that is not to be written over; changes nothing."""
        run = folder / RUN
        if not run.is_file() and (folder / METRICS).is_file() and existing != "replace":
            raise OutputError(
                f"{folder} holds a comparison of methods already: choose another --out, or --overwrite"
            )
        if run.is_file() and existing == "refuse":
            raise OutputError(
                f"{folder} holds an evaluation already: --resume goes on with it, --overwrite replaces it"
            )
        if run.is_file() and existing == "resume":
            cls._same(run, identity)

    @classmethod
    def check_comparison(cls, folder: Path, existing: str) -> None:
        """The same for the folder above those of several methods."""
        if (folder / RUN).is_file():
            raise OutputError(f"{folder} holds the evaluation of a single method: choose another --out")
        if (folder / METRICS).is_file() and existing == "refuse":
            raise OutputError(
                f"{folder} holds a comparison of methods already: --resume goes on with it or adds methods, "
                "--overwrite replaces it"
            )

    @staticmethod
    def _same(run: Path, identity: Mapping[str, Any]) -> None:
        try:
            before = json.loads(run.read_text("utf-8"))
        except ValueError as error:
            raise OutputError(f"{run} is damaged: start anew with --overwrite") from error
        changed = settings_that_differ(before.get("settings"), identity.get("settings"))
        if changed:
            raise OutputError(
                f"{run.parent} was made with other settings: {changed}. Choose another --out, or --overwrite"
            )
        for key, now in identity.items():
            if key != "settings" and before.get(key) != now:
                was, is_now = ("none" if value is None else value for value in (before.get(key), now))
                raise OutputError(
                    f"{run.parent} was made with another {key.replace('_', ' ')} ({was}, "
                    f"now {is_now}): choose another --out, or --overwrite"
                )

    def path(self, name: str) -> Path:
        """The file of a frame."""
        return safe_path(self.folder / MAPS, name, ".npz")

    def write(self, name: str, kept: KeptFrame) -> None:
        """Keep a frame; the file appears whole or not at all."""
        rows = {kind: np.asarray(row) for kind, row in kept.rows.items()}
        about = {"info": dict(kept.info), "rows": [(k, row.dtype.str, row.shape) for k, row in rows.items()]}
        arrays: dict[str, Any] = {
            "score": kept.score,
            "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
            "rows": np.frombuffer(b"".join(row.tobytes() for row in rows.values()), np.uint8),
        }
        if kept.anomaly is not None:
            arrays["anomaly"] = kept.anomaly
        if kept.unknown is not None:
            arrays["unknown"] = np.packbits(kept.unknown)
        with whole_file(self.path(name)) as file:
            np.savez(file, **arrays)

    def maps(self, name: str) -> Maps | None:
        """A frame's maps alone, straight from the file's pages: they are valid as long as it is there."""
        try:
            file = MappedArrays(self.path(name))
        except FileNotFoundError:
            return None
        score = file["score"]
        return Maps(score, file.get("anomaly"), _mask(file.get("unknown"), score.shape))

    def read(self, name: str) -> KeptFrame | None:
        """A frame that was kept, checked, or None."""
        path = self.path(name)
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as file:
            score, about = file["score"], json.loads(file["about"].tobytes())
            raw, start, rows = file["rows"].tobytes(), 0, {}
            for kind, dtype, shape in about["rows"]:
                rows[kind] = np.frombuffer(raw, dtype, math.prod(shape), start).reshape(shape)
                start += rows[kind].nbytes
            return KeptFrame(
                score, file.get("anomaly"), _mask(file.get("unknown"), score.shape), rows, about["info"]
            )

    def remove_maps(self) -> None:
        """Free the disk."""
        shutil.rmtree(self.folder / MAPS, ignore_errors=True)


def _mask(packed: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    if packed is None:
        return None
    return np.unpackbits(packed, count=math.prod(shape)).view(bool).reshape(shape)
