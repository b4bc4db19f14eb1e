"""What `clipomaly segment` writes: a folder that a run can be stopped in and go on with.

    NAME.overlay.jpg   for people: known classes tinted, unknown regions outlined and named
    NAME.labels.png    indexed; palette and names (a text inside) of known classes, then of entered names
    NAME.unknown.png   0 known, 255 unknown
    NAME.score.png     16 bits: 0 is score_scale[0], 65535 is score_scale[1]; or NAME.score.npz, exact
    results.jsonl      one line a frame, after its files
    run.json           settings, versions, hashes, counts, failures

A frame's files appear whole or not at all, and its line comes last: a line means a finished frame.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from importlib import metadata
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from clipomaly._version import __version__
from clipomaly.config import Settings, settings_that_differ
from clipomaly.errors import OutputError
from clipomaly.export.files import TEMPORARY_SUFFIX, output_error, write_whole
from clipomaly.export.maps import PREVIEWS, write_frame
from clipomaly.export.palette import palette
from clipomaly.export.results import RESULTS, frame_row, is_complete, read_results, to_line
from clipomaly.records import Result
from clipomaly.vocabulary import Vocabulary

__all__ = ["RUN", "FrameWriter"]

RUN = "run.json"
_VERSIONS = (
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "pillow",
    "tokenizers",
    "torch",
    "transformers",
)


class FrameWriter:
    """Writes the results of one run into a folder, frame by frame, in a `with` block.

    `existing` says what happens when the folder holds results already: `refuse` (nothing is touched),
    `resume` (finished frames stay; the settings must be the same), or `replace` (they are removed).
    """

    def __init__(
        self,
        out_dir: str | Path,
        settings: Settings,
        vocabulary: Vocabulary,
        provenance: Mapping[str, str],
        *,
        score_format: str = "png",
        existing: Literal["refuse", "resume", "replace"] = "refuse",
    ) -> None:
        if score_format not in ("png", "npz"):
            raise OutputError(f"score format {score_format!r} is not valid: use png or npz")
        self.out_dir = Path(out_dir)
        self.finished: set[str] = set()
        """Names of the frames that need no work: done by an earlier run, or by this one."""
        self.failures: list[dict[str, str]] = []
        self.counts = {"frames": 0, "findings": 0, "named": 0}
        self._settings = settings
        self._vocabulary = vocabulary
        self._provenance = dict(provenance)
        self._policies = _policies(settings)
        self._score_format: Literal["png", "npz"] = "npz" if score_format == "npz" else "png"
        self._started = time.time()
        try:
            self.out_dir.mkdir(parents=True, exist_ok=True)
            self._file = open(self.out_dir / RESULTS, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise output_error(self.out_dir / RESULTS, error) from error
        try:
            _lock(self._file, self.out_dir)
            self._take_over(existing)
            self._write_run("running")
        except BaseException:
            self._file.close()
            raise
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="clipomaly-write")

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:  # what stopped the run is worth more than a second error about run.json
            with contextlib.suppress(OutputError):
                self.close("stopped")

    def write(self, result: Result) -> dict[str, Any]:
        """Write a frame's files, then its line; returns the line as it stands in `results.jsonl`."""
        if result.frame.name in self.finished:
            raise OutputError(f"frame name {result.frame.name!r} came twice: give each frame its own name")
        start = time.perf_counter()
        colors = palette(result.prediction.names, result.prediction.n_known, self._vocabulary)
        files, scale = write_frame(
            self.out_dir, result, colors, score_format=self._score_format, pool=self._pool
        )
        row = frame_row(result, files=files, score_scale=scale, policies=self._policies)
        row["seconds"]["write"] = round(time.perf_counter() - start, 6)
        self._append(to_line(row))
        self._count(row)
        return row

    def fail(self, name: str, source: str, reason: str) -> None:
        """Note a frame that could not be read or processed; it is tried again when the run is resumed."""
        self.failures.append({"frame": name, "source": source, "reason": reason})

    def close(self, status: str = "finished") -> None:
        """Write `run.json` and let go of the folder."""
        if self._file.closed:
            return
        self._pool.shutdown()
        try:
            self._write_run(status)
        finally:
            self._file.close()

    def _count(self, row: Mapping[str, Any]) -> None:
        self.finished.add(row["frame"])
        self.counts["frames"] += 1
        self.counts["findings"] += len(row["findings"])
        self.counts["named"] += sum(f["name"] is not None for f in row["findings"])

    def _append(self, line: bytes) -> None:
        end = self._file.seek(0, os.SEEK_END)
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):  # no part of a line stays, where the file can be cut at all
                self._file.truncate(end)
            raise output_error(self.out_dir / RESULTS, error) from error

    def _take_over(self, existing: str) -> None:
        path = self.out_dir / RESULTS
        if path.stat().st_size == 0:
            return
        if existing == "refuse":
            raise OutputError(
                f"{self.out_dir} holds results already: go on with --resume, replace them with --overwrite, "
                "or choose another --out"
            )
        if existing == "resume":
            self._check_same_run()
        keep = 0
        lines: list[tuple[int, bool]] = []
        with open(path, "rb") as file:
            for row in read_results(path):
                length = len(file.readline())
                good = (
                    existing == "resume"
                    and is_complete(self.out_dir, row)
                    and row["frame"] not in self.finished
                )
                lines.append((length, good))
                if good:
                    self._count(row)
                    keep += length
                elif existing == "replace":
                    self._remove(row)
        if keep < path.stat().st_size:
            self._keep_lines(path, lines)
        for part in self.out_dir.rglob(f".*{TEMPORARY_SUFFIX}"):
            part.unlink(missing_ok=True)

    def _keep_lines(self, path: Path, lines: list[tuple[int, bool]]) -> None:
        """Move the lines that stay to the front, then cut the file: it stays readable at every moment."""
        with open(path, "r+b") as file:
            source = target = 0
            for length, good in lines:
                if good:
                    if source != target:
                        file.seek(source)
                        line = file.read(length)
                        file.seek(target)
                        file.write(line)
                    target += length
                source += length
            file.truncate(target)

    def _check_same_run(self) -> None:
        try:
            run = json.loads((self.out_dir / RUN).read_text("utf-8"))
            before = run["provenance"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"{self.out_dir / RUN} is missing or damaged, so its run cannot go on: choose another --out"
            ) from error
        for key in ("run", "model_hash", "method_hash", "vocabulary_hash", "version"):
            if before.get(key) != self._provenance.get(key):
                changed = settings_that_differ(run.get("settings"), asdict(self._settings))
                if key == "run" and changed:
                    raise OutputError(
                        f"{self.out_dir} was made with other settings: {changed}. Choose another --out"
                    )
                raise OutputError(
                    f"{self.out_dir} was made with another {key.replace('_', ' ')} "
                    f"({before.get(key)}, now {self._provenance.get(key)}): choose another --out"
                )

    def _remove(self, row: Mapping[str, Any]) -> None:
        """The files of an earlier run's frame, but nothing outside this folder."""
        root = self.out_dir.resolve()
        name = row["frame"]
        targets = [self.out_dir / f for f in row["files"].values()]
        targets += [self.out_dir / PREVIEWS / f"{name}.{kind}.jpg" for kind in ("frame", "score", "overlay")]
        for target in targets:
            if target.resolve().is_relative_to(root):
                target.unlink(missing_ok=True)

    def _write_run(self, status: str) -> None:
        run = {
            "schema": 1,
            "status": status,
            "started": _iso(self._started),
            "ended": _iso(time.time()) if status != "running" else None,
            "seconds": round(time.time() - self._started, 3),
            "provenance": self._provenance,
            "settings": asdict(self._settings),
            "vocabulary": {
                "name": self._vocabulary.name,
                "hash": self._vocabulary.hash,
                "classes": [{"name": c.name, "color": list(c.color)} for c in self._vocabulary.known],
            },
            "versions": {"clipomaly": __version__, "python": platform.python_version(), **_versions()},
            "counts": {**self.counts, "failures": len(self.failures)},
            "failures": self.failures,
        }
        text = json.dumps(run, indent=2, ensure_ascii=False)
        write_whole(self.out_dir / RUN, text.encode("utf-8", "replace") + b"\n")


def _policies(settings: Settings) -> dict[str, Any]:
    """The settings that decide what is unknown and what it is called, flat."""
    out: dict[str, Any] = {}
    for f in fields(settings):
        group = getattr(settings, f.name)
        if is_dataclass(group) and not isinstance(group, type) and f.name != "encoder":
            out |= asdict(group)
    return out


def _versions() -> dict[str, str]:
    out = {}
    for package in _VERSIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            out[package] = metadata.version(package)
    return out


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _lock(file: FileIO, out_dir: Path) -> None:
    """Two runs at once would mix their lines. Systems without file locks go without."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(f"another run writes to {out_dir}: wait for it, or choose another --out") from error
    except OSError:
        return  # a network folder without locks
