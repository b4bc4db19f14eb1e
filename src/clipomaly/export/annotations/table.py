"""Every format by name: what it is, how it is written, and how corrections come back.

A format's module is imported when it is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipomaly.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from clipomaly.export.annotations.changes import Change

__all__ = ["FORMATS", "Format", "export_results", "format_named", "import_changes"]


@dataclass(frozen=True)
class Format:
    """One format of another tool."""

    title: str
    module: str
    """Below `clipomaly.export.annotations`."""
    writer: str
    reader: str
    file: str
    """What `clipomaly import` is given."""
    spelling: str = ""
    """The function, in this package, that says how the format spells a name; none: as it is."""

    def function(self, name: str) -> Callable[..., Any]:
        """A function of the format, or of another module as `module.function`."""
        module, _, function = name.rpartition(".")
        owner = importlib.import_module(f"{__package__}.{module or self.module}")
        found: Callable[..., Any] = getattr(owner, function)
        return found


FORMATS: dict[str, Format] = {
    "coco": Format(
        "COCO instances with exact run lengths", "coco", "write_instances", "read_instances", "instances.json"
    ),
    "coco-panoptic": Format(
        "COCO panoptic: every pixel in one segment", "coco", "write_panoptic", "read_panoptic",
        "panoptic.json",
    ),
    "cityscapes": Format(
        "Cityscapes maps of ids and instances, and outlines",
        "cityscapes", "write_cityscapes", "read_cityscapes", "folder",
    ),
    "labelstudio": Format(
        "Label Studio tasks with brush masks", "labelstudio", "write_tasks", "read_tasks", "tasks.json",
        "shapes.plain",
    ),
    "cvat": Format(
        "CVAT for images 1.1 with masks", "cvat", "write_cvat", "read_cvat", "annotations.xml or .zip",
        "xmlfiles.xml_text",
    ),
    "yolo": Format(
        "YOLO outlines; not lossless", "yolo", "write_yolo", "read_yolo", "folder", "yolo.class_name"
    ),
    "csv": Format("CSV, a row a finding", "tables", "write_csv", "read_csv", "findings.csv"),
    "parquet": Format(
        "Parquet, a row a finding (extra `parquet`)", "tables", "write_parquet", "read_parquet",
        "findings.parquet",
    ),
}  # fmt: skip


def format_named(name: str) -> Format:
    """The format of this name.

    >>> format_named("coco").file
    'instances.json'
    """
    if name not in FORMATS:
        raise ConfigError(f"unknown format {name!r}: use one of {', '.join(FORMATS)}")
    return FORMATS[name]


def export_results(
    format_name: str, results: str | Path, out: str | Path, *, prefix: str = "", overwrite: bool = False
) -> list[Path]:
    """Write a results folder in another tool's format; returns the files to open there.

    `prefix` goes before the pictures' names. A folder that holds something is refused unless `overwrite`: it
    may hold corrections.
    """
    from clipomaly.export.annotations.shapes import Results

    form, out = format_named(format_name), Path(out)
    opened = Results(results, prefix=prefix)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: choose another --out")
    if not overwrite and out.is_dir() and any(out.iterdir()):
        raise OutputError(f"{out} holds something already: choose another --out, or --overwrite")
    written: list[Path] = form.function(form.writer)(opened, out)
    return written


def import_changes(
    format_name: str, file: str | Path, results: str | Path, *, prefix: str = ""
) -> Iterator[Change]:
    """What people changed in another tool, frame by frame, against the results that were exported."""
    from clipomaly.errors import DataError
    from clipomaly.export.annotations.changes import compare
    from clipomaly.export.annotations.shapes import Results

    form = format_named(format_name)
    opened = Results(results, prefix=prefix)
    spelled = form.function(form.spelling) if form.spelling else str
    seen = set()
    for frame, found in form.function(form.reader)(Path(file), opened):
        if frame.name in seen:
            raise DataError(f"{file} speaks of frame {frame.name!r} twice: keep one")
        seen.add(frame.name)
        yield from compare(frame, found, spelled)
