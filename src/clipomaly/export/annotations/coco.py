"""COCO: instances with exact run lengths, and panoptic pictures.

    instances.json      each finding an annotation, its mask in compressed run lengths
    panoptic.json, panoptic/NAME.png      every pixel in one segment: id = R + 256·G + 256²·B

Category ids count the run's names from 1: known classes in the vocabulary's order, then names that entered,
last `unknown object`. `supercategory` is `known` or `unknown`. Sources: cocodataset.org/#format-data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer, UInt8

from clipomaly.errors import DataError, OutputError
from clipomaly.export.annotations.changes import Annotation, Imported
from clipomaly.export.annotations.jsonfiles import as_number, read_json, write_json
from clipomaly.export.annotations.outlines import fill_polygons
from clipomaly.export.annotations.shapes import Names, ResultFrame, Results, checked_mask, mask_box
from clipomaly.export.files import safe_path, write_whole
from clipomaly.export.palette import UNNAMED_COLOR, entered_color
from clipomaly.records import UNNAMED

__all__ = [
    "INSTANCES",
    "PANOPTIC",
    "check_apart",
    "read_instances",
    "read_panoptic",
    "write_instances",
    "write_panoptic",
]

INSTANCES = "instances.json"
PANOPTIC = "panoptic.json"


def write_instances(results: Results, out: Path) -> list[Path]:
    """Write the findings as COCO instances; memory does not grow with the frames."""
    names = results.names

    def images() -> Iterator[dict[str, Any]]:
        for image_id, frame in enumerate(results.frames(), start=1):
            yield _image(image_id, frame)

    def annotations() -> Iterator[dict[str, Any]]:
        number = 0
        for image_id, frame in enumerate(results.frames(), start=1):
            for shape in frame.shapes:
                number += 1
                mask = shape.mask()
                yield {
                    "id": number,
                    "image_id": image_id,
                    "category_id": names.place[shape.label] + 1,
                    "segmentation": shape.rle,
                    "area": int(np.count_nonzero(mask)),
                    "bbox": list(mask_box(mask)),
                    "iscrowd": 0,
                    "score": shape.row.get("confidence"),
                    "attributes": {"finding": shape.finding, "unknown_score": shape.row.get("score")},
                }

    path = out / INSTANCES
    write_json(
        path, {"info": _INFO, "licenses": [], "categories": _categories(results)},
        {"images": images(), "annotations": annotations()},
    )  # fmt: skip
    return [path]


def read_instances(file: Path, results: Results) -> Iterator[Imported]:
    """The annotations of a COCO file: run lengths, compressed or plain, or polygons."""
    table = _tables(read_json(file), file)
    for frame, rows in _by_frame(table, results, file):
        found = []
        for row in rows:
            where = f"{file}, annotation {row.get('id')}"
            if row.get("category_id") not in table["names"]:
                raise DataError(f"{where} has no category")
            shape = row.get("segmentation")
            if isinstance(shape, list):
                mask = fill_polygons(shape, frame.size, where)
            else:
                mask = checked_mask(shape, frame.size, where)
            attributes = row.get("attributes")
            number = attributes.get("finding") if isinstance(attributes, dict) else None
            found.append(Annotation(mask, table["names"][row["category_id"]], as_number(number)))
        yield frame, found


def write_panoptic(results: Results, out: Path) -> list[Path]:
    """Write panoptic pictures: label maps with each finding a segment of its own.

    Pixels of a name that entered, outside its findings, form a segment with `iscrowd` 1.
    """
    check_apart(results)
    names = results.names

    def images() -> Iterator[dict[str, Any]]:
        for image_id, frame in enumerate(results.frames(), start=1):
            yield _image(image_id, frame)

    def annotations() -> Iterator[dict[str, Any]]:
        for image_id, frame in enumerate(results.frames(), start=1):
            segments, infos = _segments(frame, results.run_places(frame), names)
            path = safe_path(out / "panoptic", frame.name, ".png")
            write_whole(path, _png(id_colors(segments)))
            yield {
                "image_id": image_id,
                "file_name": path.relative_to(out / "panoptic").as_posix(),
                "segments_info": infos,
            }

    path = out / PANOPTIC
    write_json(
        path, {"info": _INFO, "licenses": [], "categories": _categories(results)},
        {"images": images(), "annotations": annotations()},
    )  # fmt: skip
    return [path]


def read_panoptic(file: Path, results: Results) -> Iterator[Imported]:
    """The segments of things in a panoptic file; its pictures lie in the folder of the same name."""
    table = _tables(read_json(file), file)
    things = {c["id"] for c in table["categories"] if c.get("isthing", 1)}
    for frame, rows in _by_frame(table, results, file):
        if len(rows) != 1:
            raise DataError(f"{file}: picture {frame.name} has {len(rows)} annotations where 1 belongs")
        path = safe_path(file.with_suffix(""), str(rows[0].get("file_name", "")).removesuffix(".png"), ".png")
        segments = _read_ids(path, frame.size)
        found = []
        for info in rows[0].get("segments_info", []):
            category = info.get("category_id") if isinstance(info, dict) else None
            if not isinstance(category, int) or category not in table["names"]:
                raise DataError(f"{file}: picture {frame.name} has a segment of category {category!r}")
            if category in things and not info.get("iscrowd"):
                number = as_number(info.get("finding"))
                found.append(Annotation(segments == info.get("id"), table["names"][category], number))
        yield frame, found


def _segments(
    frame: ResultFrame, places: Integer[np.ndarray, "H W"], names: Names
) -> tuple[Integer[np.ndarray, "H W"], list[dict[str, Any]]]:
    segments = places + 1
    first = len(names.all) + 1
    if first + len(frame.shapes) > 1 << 24:
        raise OutputError(f"frame {frame.name}: more segments than 24 bits can number")
    paint_findings(segments, frame, [first + i for i in range(len(frame.shapes))])
    infos = []
    ids, counts = np.unique(segments, return_counts=True)
    for segment, area in zip(ids.tolist(), counts.tolist(), strict=True):
        shape = frame.shapes[segment - first] if segment >= first else None
        category = names.place[shape.label] + 1 if shape is not None else segment
        info = {
            "id": segment,
            "category_id": category,
            "area": area,
            "bbox": list(mask_box(segments == segment)),
            "iscrowd": int(shape is None and category > len(names.known)),
        }
        infos.append(info | ({"finding": shape.finding} if shape is not None else {}))
    return segments, infos


def check_apart(results: Results) -> None:
    """Findings that overlap have no place in one map: said before the first file is written."""
    for frame in results.frames():
        taken = np.zeros(frame.size, bool)
        for shape in frame.shapes if len(frame.shapes) > 1 else ():
            mask = shape.mask()
            if (taken & mask).any():
                raise OutputError(
                    f"frame {frame.name}: its findings overlap, which no map can hold: export coco instead"
                )
            taken |= mask


def paint_findings(canvas: Integer[np.ndarray, "H W"], frame: ResultFrame, values: list[int]) -> None:
    """Each finding's pixels get its value."""
    for shape, value in zip(frame.shapes, values, strict=True):
        canvas[shape.mask()] = value


def id_colors(ids: Integer[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Segment ids as colours.

    >>> id_colors(np.array([[258]])).tolist()
    [[[2, 1, 0]]]
    """
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1).astype(np.uint8)


def _read_ids(path: Path, size: tuple[int, int]) -> Integer[np.ndarray, "H W"]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.size != size[::-1]:
                raise DataError(f"{path} is not of its frame's size {size[1]}×{size[0]}: was it resized?")
            rgb = np.asarray(picture.convert("RGB")).astype(np.int32)
    except OSError as error:
        raise DataError(f"cannot read {path}: it belongs to the panoptic file") from error
    return rgb[..., 0] | rgb[..., 1] << 8 | rgb[..., 2] << 16


def _png(rgb: UInt8[np.ndarray, "H W 3"]) -> bytes:
    import cv2

    return cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


_INFO = {"description": "Findings of Clipomaly", "version": "1"}


def _image(image_id: int, frame: ResultFrame) -> dict[str, Any]:
    height, width = frame.size
    return {"id": image_id, "file_name": frame.picture, "width": width, "height": height}


def _categories(results: Results) -> list[dict[str, Any]]:
    names = results.names
    return [
        {
            "id": i + 1,
            "name": name,
            "supercategory": "known" if i < len(names.known) else "unknown",
            "isthing": int(i >= len(names.known)),
            "color": list(name_color(name, results)),
        }
        for i, name in enumerate(names.all)
    ]


def name_color(name: str, results: Results) -> tuple[int, int, int]:
    """The colour that a name has everywhere in a run."""
    return UNNAMED_COLOR if name == UNNAMED else results.colors.get(name) or entered_color(name)


def _tables(data: Any, file: Path) -> dict[str, Any]:
    """Images and categories by their ids."""
    try:
        names = {c["id"]: str(c["name"]) for c in data["categories"]}
        images = {i["id"]: i for i in data["images"]}
        for row in data["annotations"]:
            if row["image_id"] not in images or row.get("category_id", None) not in {None, *names}:
                raise KeyError(row.get("id"))
        return {"names": names, "images": images, **{k: data[k] for k in ("categories", "annotations")}}
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{file} is not a COCO file with images, annotations and categories that fit: export it again"
        ) from error


def _by_frame(
    table: Mapping[str, Any], results: Results, file: Path
) -> Iterator[tuple[ResultFrame, list[dict[str, Any]]]]:
    rows: dict[Any, list[dict[str, Any]]] = {image: [] for image in table["images"]}
    for row in table["annotations"]:
        rows[row["image_id"]].append(row)
    for image, listed in rows.items():
        row = table["images"][image]
        frame = results.frame_of(str(row.get("file_name")))
        if (row.get("height"), row.get("width")) != frame.size:
            raise DataError(f"{file}: {row.get('file_name')} is not of its frame's size: was it resized?")
        yield frame, listed
