"""YOLO segmentation: one outline a finding, in shares of the picture's sides. Not lossless.

    labels/NAME.txt    `class x1 y1 x2 y2 …` a line; a finding of several parts is one line, its parts joined
    data.yaml          names by number, for training
    classes.txt        the same, one a line

Outlines are simplified and tell no holes. On the way back a line that nobody touched keeps the finding's
exact mask; any other is filled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from clipomaly.errors import DataError
from clipomaly.export.annotations.changes import Annotation, Imported
from clipomaly.export.annotations.outlines import fill_polygons
from clipomaly.export.annotations.shapes import ResultFrame, Results, Shape, plain
from clipomaly.export.files import safe_path, write_whole
from clipomaly.export.masks import drawn_polygons
from clipomaly.records import Region

__all__ = ["CLASSES", "class_name", "read_yolo", "write_yolo", "yaml_text"]

CLASSES = "classes.txt"


def write_yolo(results: Results, out: Path) -> list[Path]:
    """Write a label file a frame, empty where nothing was found, then the names."""
    names = results.names
    for frame in results.frames():
        lines = [f"{names.place[s.label]} {_outline(s, frame)}\n" for s in frame.shapes]
        write_whole(safe_path(out / "labels", frame.name, ".txt"), "".join(lines).encode())
    listed = "".join(f"  {i}: {yaml_text(name)}\n" for i, name in enumerate(names.all))
    head = "# Put the pictures into images/, beside labels/, under the same names.\n"
    yaml = f"{head}path: .\ntrain: images\nval: images\nnames:\n{listed}"
    write_whole(out / "data.yaml", yaml.encode("utf-8", "replace"))
    text = "".join(f"{class_name(name)}\n" for name in names.all)
    write_whole(out / CLASSES, text.encode("utf-8", "replace"))
    return [out / "data.yaml", out / CLASSES]


def _outline(shape: Shape, frame: ResultFrame) -> str:
    """The parts of an outline one after the other; from each the line goes back to where the first began."""
    height, width = frame.size
    parts = [p for p in shape.row.get("polygons") or [] if len(p) >= 6]
    if not parts:  # results that other code wrote need not hold outlines: the mask does
        region = Region((0, 0, width, height), shape.mask(), 0.0, frame.size).trimmed()
        parts = drawn_polygons(region)
    points = [v for p in parts for v in (p if len(parts) == 1 else [*p, *p[:2], *parts[0][:2]])]
    sides = (width, height)
    return " ".join(f"{min(1.0, max(0.0, v / sides[i % 2])):.6f}" for i, v in enumerate(points))


def yaml_text(text: str) -> str:
    """A text as YAML writes it between quotes: nothing in it has a meaning of its own.

    >>> print(yaml_text('a: "b" # ü 😀'))
    "a: \\"b\\" # \\u00fc \\U0001f600"
    """

    def whole(pair: re.Match[str]) -> str:
        high, low = int(pair[1], 16), int(pair[2], 16)
        return f"\\U{0x10000 + ((high - 0xD800) << 10) + low - 0xDC00:08x}"

    return re.sub(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", whole, json.dumps(text))


def read_yolo(file: Path, results: Results) -> Iterator[Imported]:
    """The label files below `labels/` of a folder; a frame without a file is left out."""
    folder = file.parent if file.name in (CLASSES, "data.yaml") else file
    try:
        names = (folder / CLASSES).read_text("utf-8").split("\n")
        names = names[:-1] if names[-1] == "" else names
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read {folder / CLASSES}: give the folder with {CLASSES} and labels/"
        ) from error
    paths = sorted((folder / "labels").rglob("*.txt"))
    if not paths:
        raise DataError(f"no label files in {folder / 'labels'}: give the folder that was exported")
    for path in paths:
        name = path.relative_to(folder / "labels").as_posix().removesuffix(".txt")
        frame = results.frame_named(name)
        if frame is None:
            raise DataError(f"{path} is not of a frame of {results.folder}: import into its own results")
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read {path}: export it again") from error
        yield frame, _annotations(text.splitlines(), names, frame, path)


def _annotations(lines: Sequence[str], names: list[str], frame: ResultFrame, path: Path) -> list[Annotation]:
    outlines: dict[str, list[Shape]] = {}
    for shape in frame.shapes:
        outlines.setdefault(_outline(shape, frame), []).append(shape)
    height, width = frame.size
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        kind, _, outline = " ".join(line.split()).partition(" ")
        if not kind.isdecimal() or int(kind) >= len(names):
            raise DataError(f"{where}: class {kind} is not in {CLASSES}: add it there")
        own = outlines.get(outline)
        if own:
            shape = own.pop(0)
            found.append(Annotation(shape.mask(), names[int(kind)], shape.finding))
            continue
        try:
            values = [float(v) for v in outline.split()]
        except ValueError as error:
            raise DataError(f"{where} is not a class and an outline") from error
        if len(values) < 6 or len(values) % 2:
            raise DataError(f"{where}: an outline needs three points or more; boxes are not read")
        points = [v * (height if i % 2 else width) for i, v in enumerate(values)]
        found.append(Annotation(fill_polygons([points], frame.size, where), names[int(kind)]))
    return found


def class_name(name: str) -> str:
    """A name as a line of `classes.txt`: never empty, or the numbers after it would be of other names."""
    return plain(name) or "?"
