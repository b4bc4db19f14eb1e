"""CVAT for images 1.1: masks as run lengths along the rows of their boxes.

    annotations.xml    <image> with <mask label rle left top width height>; runs begin with 0
    labels.json        the labels for a new task: paste them as raw labels

Each mask carries the finding's number as the attribute `finding`, which survives editing.
Source: docs.cvat.ai, "CVAT for image"; checked against the readers of cvat-sdk and datumaro.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np
from jaxtyping import Bool

from clipomaly.errors import DataError
from clipomaly.export.annotations.changes import Annotation, Imported
from clipomaly.export.annotations.coco import name_color
from clipomaly.export.annotations.jsonfiles import as_number, json_bytes
from clipomaly.export.annotations.labelstudio import hex_color
from clipomaly.export.annotations.outlines import fill_polygons
from clipomaly.export.annotations.shapes import ResultFrame, Results, Shape, mask_box, row_runs, runs_mask
from clipomaly.export.annotations.xmlfiles import element, parse_xml, xml_text
from clipomaly.export.files import whole_file, write_whole

__all__ = ["XML", "read_cvat", "write_cvat"]

XML = "annotations.xml"
_LARGEST = 1 << 31  # bytes of XML in a zip file


def write_cvat(results: Results, out: Path) -> list[Path]:
    """Write the labels, then the findings of all frames."""
    names = list(dict.fromkeys(xml_text(n) for n in results.names.all))
    labels = [
        {
            "name": name,
            "color": hex_color(name_color(name, results)),
            "type": "any",
            "attributes": _ATTRIBUTES,
        }
        for name in names
    ]
    path, label_path = out / XML, out / "labels.json"
    write_whole(label_path, json_bytes(labels) + b"\n")
    with whole_file(path) as file:
        file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        file.write(_meta(labels).encode("utf-8", "replace"))
        for number, frame in enumerate(results.frames()):
            height, width = frame.size
            values = {"id": number, "name": frame.picture, "width": width, "height": height}
            lines = ["  " + element("image", values, ">"), *(_mask(s) for s in frame.shapes), "  </image>\n"]
            file.write("\n".join(lines).encode("utf-8", "replace"))
        file.write(b"</annotations>\n")
    return [path, label_path]


_ATTRIBUTES = [
    {"name": "finding", "input_type": "text", "mutable": False, "values": [""], "default_value": ""}
]


def _meta(labels: list[dict[str, Any]]) -> str:
    attribute = (
        "<attributes><attribute><name>finding</name><mutable>False</mutable><input_type>text</input_type>"
        "<default_value></default_value><values></values></attribute></attributes>"
    )
    listed = "\n".join(
        f"        <label><name>{escape(label['name'])}</name><color>{label['color']}</color>"
        f"<type>any</type>{attribute}</label>"
        for label in labels
    )
    return f"  <meta>\n    <task>\n      <labels>\n{listed}\n      </labels>\n    </task>\n  </meta>\n"


def _mask(shape: Shape) -> str:
    mask = shape.mask()
    x, y, width, height = mask_box(mask)
    values = {
        "label": shape.label,
        "source": "auto",
        "occluded": 0,
        "rle": ", ".join(map(str, row_runs(mask[y : y + height, x : x + width]))),
        "left": x,
        "top": y,
        "width": width,
        "height": height,
        "z_order": 0,
    }
    number = f'<attribute name="finding">{shape.finding}</attribute>'
    return f"    {element('mask', values, '>')}{number}</mask>"


def read_cvat(file: Path, results: Results) -> Iterator[Imported]:
    """The images of a CVAT file, or of the zip file that CVAT gives: masks, polygons and boxes."""
    root = parse_xml(_content(file), file)
    if root.tag != "annotations" or root.find("track") is not None:
        raise DataError(f"{file} is not of the format “CVAT for images 1.1”: choose that one in CVAT")
    for image in root.iter("image"):
        frame = results.frame_of(image.get("name", ""))
        if (image.get("height"), image.get("width")) != tuple(map(str, frame.size)):
            raise DataError(f"{file}: {image.get('name')} is not of its frame's size: was it resized?")
        found = []
        for item in image:
            read = _SHAPES.get(item.tag)
            if read is None:
                continue
            where = f"{file}, {image.get('name')}"
            try:
                mask = read(item, frame, where)
            except (KeyError, ValueError) as error:
                raise DataError(f"{where}: a {item.tag} is damaged: export it again") from error
            numbers = [a.text for a in item.iter("attribute") if a.get("name") == "finding"]
            found.append(Annotation(mask, item.get("label", ""), as_number(numbers[0]) if numbers else None))
        yield frame, found


def _read_mask(item: ElementTree.Element, frame: ResultFrame, where: str) -> Bool[np.ndarray, "H W"]:
    x, y, width, height = (int(item.attrib[k]) for k in ("left", "top", "width", "height"))
    if min(x, y) < 0 or min(width, height) < 1 or y + height > frame.size[0] or x + width > frame.size[1]:
        raise DataError(f"{where}: a mask reaches beyond its picture")
    out = np.zeros(frame.size, bool)
    runs = item.attrib["rle"].split(",")
    out[y : y + height, x : x + width] = runs_mask(runs, (height, width), where)
    return out


def _read_polygon(item: ElementTree.Element, frame: ResultFrame, where: str) -> Bool[np.ndarray, "H W"]:
    points = [float(v) for point in item.attrib["points"].split(";") for v in point.split(",")]
    return fill_polygons([points], frame.size, where)


def _read_box(item: ElementTree.Element, frame: ResultFrame, where: str) -> Bool[np.ndarray, "H W"]:
    if float(item.get("rotation", "0")):
        raise DataError(f"{where}: a turned box; draw it as a polygon")
    x1, y1, x2, y2 = (float(item.attrib[k]) for k in ("xtl", "ytl", "xbr", "ybr"))
    return fill_polygons([[x1, y1, x2, y1, x2, y2, x1, y2]], frame.size, where)


_SHAPES: dict[str, Callable[[ElementTree.Element, ResultFrame, str], np.ndarray]] = {
    "mask": _read_mask,
    "polygon": _read_polygon,
    "box": _read_box,
}


def _content(file: Path) -> bytes:
    try:
        if not zipfile.is_zipfile(file):
            return file.read_bytes()
        with zipfile.ZipFile(file) as archive:
            inside = [i for i in archive.infolist() if Path(i.filename).name == XML]
            if len(inside) != 1 or inside[0].file_size > _LARGEST:
                raise DataError(f"{file} does not hold one {XML}: choose “CVAT for images 1.1” in CVAT")
            return archive.read(inside[0])
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        raise DataError(f"cannot read {file}: give the file that CVAT exported") from error
