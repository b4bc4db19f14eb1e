"""Cityscapes: label maps, training maps, instance maps and outlines, and a list of what the ids mean.

    NAME_gtFine_labelIds.png        8 bits (16 where a run has more than 256 ids)
    NAME_gtFine_labelTrainIds.png   known classes by their place in the vocabulary, the rest 255
    NAME_gtFine_instanceIds.png     16 bits: id · 1000 + n for the n-th finding of an id, else the id
    NAME_gtFine_polygons.json       outlines in drawing order, as the data set's tools paint them
    labels.json                     name, id, trainId, colour, known or not

A class keeps the id that Cityscapes gives its name; 34 is `unknown object`, further names follow. A finding's
pixels bear its name. 16 bits hold instances of ids up to 64: findings with a higher one stand under 34 in the
instance map alone. Label ids from github.com/mcordts/cityscapesScripts, checked against its painter.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

from clipomaly.errors import DataError, OutputError
from clipomaly.export.annotations.changes import Annotation, Imported
from clipomaly.export.annotations.coco import check_apart, name_color, paint_findings
from clipomaly.export.annotations.jsonfiles import json_bytes, read_json
from clipomaly.export.annotations.shapes import ResultFrame, Results
from clipomaly.export.files import safe_path, write_whole
from clipomaly.export.png import encode_png
from clipomaly.records import UNNAMED

__all__ = ["CITYSCAPES_IDS", "LABELS", "label_ids", "read_cityscapes", "write_cityscapes"]

LABELS = "labels.json"
_NAMES = (
    "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground", "road",
    "sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel",
    "pole", "polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider",
    "car", "truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle",
)  # fmt: skip
#: The ids of the data set's own labels.
CITYSCAPES_IDS = {name: i for i, name in enumerate(_NAMES)}
_UNNAMED_ID = len(_NAMES)
_LAST_INSTANCED = 64  # 65 · 1000 + 999 does not fit 16 bits
_IGNORED = 255
_ENDINGS = ("labelIds.png", "labelTrainIds.png", "instanceIds.png", "polygons.json")


def label_ids(results: Results) -> dict[str, int]:
    """The label id of each name of a run."""
    ids = {UNNAMED: _UNNAMED_ID}
    following = _UNNAMED_ID + 1
    for name in results.names.all:
        if name in CITYSCAPES_IDS:
            ids[name] = CITYSCAPES_IDS[name]
        elif name != UNNAMED:
            ids[name], following = following, following + 1
    return ids


def write_cityscapes(results: Results, out: Path) -> list[Path]:
    """Write the maps and outlines of all frames, then what the ids mean."""
    ids = label_ids(results)
    if max(ids.values()) > 65535:
        raise OutputError("more names than 16-bit label maps can hold: export coco-panoptic instead")
    check_apart(results)
    names, known = results.names, set(results.names.known)
    table = np.array([ids[name] for name in names.all], np.int32)
    train = np.full(max(table.max(), _UNNAMED_ID) + 1, _IGNORED, np.uint8)
    if len(known) < _IGNORED:
        train[table[: len(names.known)]] = np.arange(len(names.known))
    wide = np.uint16 if max(ids.values()) > 255 else np.uint8
    for frame in results.frames():
        labels = table[results.run_places(frame)]
        instances = labels.copy()
        paint_findings(labels, frame, [ids[s.label] for s in frame.shapes])
        values = _instance_values(frame, ids)
        paint_findings(instances, frame, values)
        paths = {e: safe_path(out, frame.name, f"_gtFine_{e}") for e in _ENDINGS}
        write_whole(paths["labelIds.png"], encode_png(labels.astype(wide)))
        write_whole(paths["labelTrainIds.png"], encode_png(train[labels]))
        write_whole(paths["instanceIds.png"], encode_png(instances.astype(np.uint16)))
        owners = dict(zip(values, (s.label for s in frame.shapes), strict=True))
        outlines = _outlines(instances, owners, {i: name for name, i in ids.items()}, frame)
        write_whole(paths["polygons.json"], json_bytes(outlines) + b"\n")
    rows = [
        {
            "name": name,
            "id": i,
            "trainId": int(train[i]) if name in known else _IGNORED,
            "color": list(name_color(name, results)),
            "known": name in known,
        }
        for name, i in ids.items()
    ]
    write_whole(out / LABELS, json_bytes(rows) + b"\n")
    return [out / LABELS]


def _instance_values(frame: ResultFrame, ids: dict[str, int]) -> list[int]:
    counts: dict[int, int] = {}
    values = []
    for shape in frame.shapes:
        own = ids[shape.label]
        own = own if 0 < own <= _LAST_INSTANCED else _UNNAMED_ID
        number = counts.get(own, 0)
        if number > 999:
            raise OutputError(f"frame {frame.name}: over 1000 findings of one name: export coco instead")
        counts[own] = number + 1
        values.append(own * 1000 + number)
    return values


def _outlines(
    instances: Integer[np.ndarray, "H W"], owners: dict[int, str], names: dict[int, str], frame: ResultFrame
) -> dict[str, Any]:
    """The outer outline of each connected part, larger ones first: what lies in a hole is painted over it."""
    import cv2

    objects = []
    for value in np.unique(instances).tolist():
        part = (instances == value).view(np.uint8)
        contours, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        for contour in contours:
            corners = contour[:, 0].tolist()
            corners += corners[-1:] * (3 - len(corners))  # painters refuse fewer than three
            outline = {"label": owners.get(value) or names[value], "polygon": corners}
            # Pixels on and in the outline, by Pick's theorem.
            steps = np.abs(contour - np.roll(contour, 1, axis=0)).max(axis=2).sum()
            objects.append((cv2.contourArea(contour) + steps / 2 + 1, outline))
    objects.sort(key=lambda o: -o[0])
    return {"imgHeight": frame.size[0], "imgWidth": frame.size[1], "objects": [o for _, o in objects]}


def read_cityscapes(file: Path, results: Results) -> Iterator[Imported]:
    """The instance maps of a folder as this module writes it; each value from 1000 on is one instance."""
    folder = file.parent if file.name == LABELS else file
    try:
        names = {int(row["id"]): str(row["name"]) for row in read_json(folder / LABELS)}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / LABELS} is damaged: keep the one that was exported") from error
    ids = label_ids(results)
    any_frame = False
    for path in sorted(folder.rglob("*_gtFine_instanceIds.png")):
        name = path.relative_to(folder).as_posix().removesuffix("_gtFine_instanceIds.png")
        frame = results.frame_named(name)
        if frame is None:
            raise DataError(f"{path} is not of a frame of {results.folder}: import into its own results")
        any_frame = True
        instances = _read_map(path, frame)
        values = dict(zip(_instance_values(frame, ids), frame.shapes, strict=True))
        found = []
        for value in np.unique(instances[instances >= 1000]).tolist():
            label = value // 1000
            if label not in names:
                raise DataError(f"{path} holds id {label}, which {LABELS} does not name: add it there")
            shape = values.get(value)
            kept = shape is not None and label == _UNNAMED_ID  # the name may not have fitted into 16 bits
            found.append(Annotation(instances == value, shape.label if kept and shape else names[label]))
        yield frame, found
    if not any_frame:
        raise DataError(f"no *_gtFine_instanceIds.png in {folder}: give the folder that was exported")


def _read_map(path: Path, frame: ResultFrame) -> Integer[np.ndarray, "H W"]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.size != frame.size[::-1]:
                raise DataError(f"{path} is not of its frame's size: was it resized?")
            values = np.asarray(picture).astype(np.int32)
    except OSError as error:
        raise DataError(f"cannot read {path}: export it again") from error
    if values.ndim != 2:
        raise DataError(f"{path} is a colour picture: an instance map is 16-bit grey")
    return values
