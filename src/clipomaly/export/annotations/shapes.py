"""A results folder as the formats see it: frames with the exact shapes of their findings.

Lines are read when they are needed, so memory does not grow with the number of frames.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from jaxtyping import Bool, Integer

from clipomaly.errors import DataError, OutputError
from clipomaly.export.files import safe_path
from clipomaly.export.masks import Rle, decode_rle, unpack_counts
from clipomaly.export.results import RESULTS, read_results
from clipomaly.records import UNNAMED

__all__ = ["Names", "ResultFrame", "Results", "Shape", "checked_mask", "mask_box", "picture_name", "plain"]

_PICTURES = {
    ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".jp2", ".avif",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """One finding: its exact mask and its name."""

    finding: int
    """Its place in the frame."""
    name: str | None
    rle: Rle
    row: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The finding as it stands in `results.jsonl`."""

    @property
    def label(self) -> str:
        """The name, or what stands for none."""
        return self.name or UNNAMED

    def mask(self) -> Bool[np.ndarray, "H W"]:
        """The mask on the whole frame."""
        return decode_rle(self.rle)


@dataclass(frozen=True)
class ResultFrame:
    """One line of `results.jsonl`, checked."""

    name: str
    picture: str
    """The name that other tools know the picture by: the frame's name with the suffix of its file."""
    size: tuple[int, int]
    shapes: tuple[Shape, ...]
    row: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Names:
    """Every name of a run, in the order in which the formats number them."""

    known: tuple[str, ...]
    entered: tuple[str, ...]
    """Names that entered for some frame, and last what stands for none; in the order of the alphabet."""

    @cached_property
    def all(self) -> tuple[str, ...]:
        """Known classes, then names that entered, then the one for findings without a name."""
        return self.known + self.entered

    @cached_property
    def place(self) -> dict[str, int]:
        """From a name to its place in `all`."""
        return {name: i for i, name in enumerate(self.all)}


class Results:
    """A results folder, opened for reading."""

    def __init__(self, folder: str | Path, *, prefix: str = "") -> None:
        path = Path(folder)
        self.folder = path.parent if path.name == RESULTS else path
        self.prefix = prefix
        """What stands before the pictures' names in the other tool."""
        if not (self.folder / RESULTS).is_file():
            fix = "run `clipomaly segment` first"
            if (self.folder / "findings.lance").is_dir():
                fix = f"it is a store: write one with `clipomaly stores results {self.folder} --out DIR`"
            raise DataError(f"no {RESULTS} in {self.folder}: {fix}")

    def frames(self) -> Iterator[ResultFrame]:
        """The frames in the order of their lines."""
        seen = set()
        for row in read_results(self.folder):
            frame = _frame(row, self.prefix)
            if frame.name in seen:
                raise DataError(f"{self.folder / RESULTS}: frame {frame.name!r} stands twice: keep one line")
            seen.add(frame.name)
            yield frame

    @cached_property
    def names(self) -> Names:
        """The names of all frames; those known must be the same everywhere."""
        known: tuple[str, ...] | None = None
        entered: set[str] = set()
        for frame in self.frames():
            names = frame.row["names"]
            first = tuple(names[: frame.row["n_known"]])
            if known is not None and first != known:
                raise DataError(
                    f"{self.folder}: frame {frame.name} has other known classes than those before: "
                    "export each run by itself"
                )
            known = first
            entered |= set(names[len(first) :]) | {s.name for s in frame.shapes if s.name is not None}
        known = known or ()
        entered -= {*known, UNNAMED}
        return Names(known, (*sorted(entered), *(() if UNNAMED in known else (UNNAMED,))))

    @cached_property
    def colors(self) -> dict[str, tuple[int, int, int]]:
        """Colours of the known classes, from `run.json` where it is there."""
        try:
            classes = json.loads((self.folder / "run.json").read_text("utf-8"))["vocabulary"]["classes"]
            return {c["name"]: (int(c["color"][0]), int(c["color"][1]), int(c["color"][2])) for c in classes}
        except (OSError, ValueError, LookupError, TypeError):
            return {}

    def labels(self, frame: ResultFrame) -> Integer[np.ndarray, "H W"]:
        """The frame's label map: places in its row's `names`."""
        from PIL import Image

        path = self._file(frame, "labels")
        try:
            with Image.open(path) as picture:
                if picture.size != frame.size[::-1]:
                    raise DataError(f"{path} is not of its frame's size: run that frame again")
                labels = np.asarray(picture).astype(np.int32)
        except OSError as error:
            raise DataError(f"cannot read {path}: run the frame again with --resume") from error
        if labels.ndim != 2 or labels.max(initial=0) >= max(1, len(frame.row["names"])):
            raise DataError(f"{path} holds labels without a name: run that frame again")
        return labels

    def run_places(self, frame: ResultFrame) -> Integer[np.ndarray, "H W"]:
        """The frame's label map with places in the run's `names` instead of the frame's own."""
        table = [self.names.place[name] for name in frame.row["names"]] or [self.names.place[UNNAMED]]
        return np.array(table, np.int32)[self.labels(frame)]

    def _file(self, frame: ResultFrame, kind: str) -> Path:
        path = self.folder / str(frame.row["files"].get(kind, ""))
        if not path.is_file() or not path.resolve().is_relative_to(self.folder.resolve()):
            raise DataError(f"{self.folder}: frame {frame.name} has no file of {kind} in this folder")
        return path

    def frame_of(self, picture: str) -> ResultFrame:
        """The frame that a picture's name in another tool means: folders before it may be added or lost."""
        known = self._by_picture
        parts = re.split(r"[/\\=]", picture)
        for first in range(len(parts)):
            names = known.get("/".join(parts[first:]), set())
            if len(names) == 1:
                return self._read(next(iter(names)))
            if names:
                listed = ", ".join(sorted(names)[:3])
                raise DataError(f"picture {picture!r} may be any of {listed}: keep the folders")
        raise DataError(f"picture {picture!r} is not a frame of {self.folder}: import into its own results")

    def frame_named(self, name: str) -> ResultFrame | None:
        """The frame of this name, if there is one."""
        return self._read(name) if name in self._offsets else None

    @cached_property
    def _offsets(self) -> dict[str, int]:
        out, place = {}, 0
        with open(self.folder / RESULTS, "rb") as file:
            for frame in self.frames():
                out[frame.name] = place
                place += len(file.readline())
        return out

    @cached_property
    def _by_picture(self) -> dict[str, set[str]]:
        """Each way to call a frame, from its whole name down to its last part."""
        exact: dict[str, set[str]] = {}
        loose: dict[str, set[str]] = {}
        for frame in self.frames():
            for name in (frame.picture.removeprefix(self.prefix), frame.name):
                exact.setdefault(name, set()).add(frame.name)
                parts = name.split("/")
                for first in range(1, len(parts)):
                    loose.setdefault("/".join(parts[first:]), set()).add(frame.name)
        return loose | exact

    def _read(self, name: str) -> ResultFrame:
        with open(self.folder / RESULTS, "rb") as file:
            file.seek(self._offsets[name])
            return _frame(json.loads(file.readline()), self.prefix)


def _frame(row: Mapping[str, Any], prefix: str) -> ResultFrame:
    try:
        name, size = str(row["frame"]), (int(row["height"]), int(row["width"]))
        safe_path(Path(), name, "")
        if not isinstance(row["names"], list) or not isinstance(row["files"], dict):
            raise TypeError
        if min(size) < 1 or not 0 <= int(row["n_known"]) <= len(row["names"]):
            raise ValueError
        shapes = []
        for finding in row["findings"]:
            given, called = finding["rle"], finding["name"]
            rle: Rle = {"size": [int(v) for v in given["size"]], "counts": str(given["counts"])}
            if tuple(rle["size"]) != size or not (called is None or isinstance(called, str)):
                raise ValueError
            shapes.append(Shape(int(finding["id"]), called, rle, finding))
    except OutputError as error:
        raise DataError(str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the line of frame {row.get('frame')!r} is damaged: run that frame again") from error
    return ResultFrame(name, prefix + picture_name(row), size, tuple(shapes), row)


def picture_name(row: Mapping[str, Any]) -> str:
    """The frame's name with the suffix of its picture; frames of a video become PNG.

    >>> picture_name({"frame": "a/1", "source": "photos/a/1.jpg"})
    'a/1.jpg'
    """
    name, source = str(row["frame"]), str(row.get("source") or "")
    path = urlsplit(source).path if "://" in source else source
    suffix = PurePosixPath(path.replace("\\", "/")).suffix
    if suffix.lower() not in _PICTURES:
        suffix = ".png"
    return name if name.endswith(suffix) else name + suffix


def plain(name: str) -> str:
    """A name on one line, without control characters: what formats without an escape for them are given.

    >>> plain("shopping\\n cart\\x00")
    'shopping cart'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())


def mask_box(mask: Bool[np.ndarray, "H W"]) -> tuple[int, int, int, int]:
    """The smallest box around the pixels: (x, y, width, height).

    >>> mask_box(np.array([[0, 0, 0], [0, 1, 1]], bool))
    (1, 1, 2, 1)
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return 0, 0, 0, 0
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1


def checked_mask(rle: Any, size: tuple[int, int], where: str) -> Bool[np.ndarray, "H W"]:
    """A mask from COCO's run lengths of another tool, compressed or not; damaged ones are an error."""
    try:
        if tuple(int(v) for v in rle["size"]) != size:
            raise DataError(f"{where}: a mask of {rle['size']} on a picture of {size}: was it resized?")
        counts = rle["counts"]
        runs = unpack_counts(counts).tolist() if isinstance(counts, str) else counts
        return runs_mask(runs, size[::-1], where).T
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        raise DataError(f"{where}: its run lengths are damaged: export it again from that tool") from error


def runs_mask(counts: Any, size: tuple[int, int], where: str) -> Bool[np.ndarray, "h w"]:
    """A mask from plain run lengths along the rows, beginning with 0; they must fill it."""
    try:
        runs = np.array([int(c) for c in counts], np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where}: its run lengths are not numbers") from error
    pixels = size[0] * size[1]
    if runs.size == 0 or runs.min() < 0 or runs.max() > pixels or int(runs.sum()) != pixels:
        raise DataError(f"{where}: its run lengths do not fill {size[0]}×{size[1]} pixels")
    return np.repeat(np.arange(runs.size) % 2 == 1, runs).reshape(size)


def row_runs(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    """Plain run lengths along the rows, beginning with 0.

    >>> row_runs(np.array([[1, 1], [0, 1]], bool))
    [0, 2, 1, 1]
    """
    flat = np.concatenate([[False], mask.ravel()])
    edges = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]), [mask.size]])
    runs: list[int] = np.diff(edges).tolist()
    return runs[:-1] if len(runs) > 1 and runs[-1] == 0 else runs
