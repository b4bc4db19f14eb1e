"""Label Studio: tasks with brush masks as predictions, to be corrected into annotations.

    tasks.json            one task a frame; findings are regions of type `brushlabels`
    labeling_config.xml   the labelling interface with the run's names and colours

A brush mask is a stream of bits, highest first, over the picture's RGBA bytes row by row (all four channels
are 255 inside, 0 outside):

    32 bits count of bytes | 5 bits word size − 1 | 4 × 4 bits size − 1 | packets
    packet: 1 bit `repeated` | 2 bits which size | (size bits) n − 1 | one word if repeated, else n words

A byte is 8 bits; run lengths are written in 3, 4, 8 or 16 bits. Label Studio reads the alpha channel alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from clipomaly.errors import DataError
from clipomaly.export.annotations.changes import Annotation, Imported
from clipomaly.export.annotations.coco import name_color
from clipomaly.export.annotations.jsonfiles import as_number, read_json, write_json_list
from clipomaly.export.annotations.outlines import fill_polygons
from clipomaly.export.annotations.shapes import ResultFrame, Results, plain
from clipomaly.export.annotations.xmlfiles import element
from clipomaly.export.files import write_whole
from clipomaly.records import UNNAMED

__all__ = ["TASKS", "decode_brush", "encode_brush", "read_tasks", "write_tasks"]

TASKS = "tasks.json"
_SIZES = (3, 4, 8, 16)
_WORD = 8


def write_tasks(results: Results, out: Path) -> list[Path]:
    """Write the tasks, then the labelling interface that fits them."""

    def tasks() -> Iterator[dict[str, Any]]:
        for frame in results.frames():
            scores = [s.row.get("score") for s in frame.shapes]
            yield {
                "data": {"image": frame.picture, "frame": frame.name},
                "predictions": [
                    {
                        "model_version": "clipomaly",
                        "score": max((s for s in scores if s is not None), default=0.0),
                        "result": [_region(frame, i) for i in range(len(frame.shapes))],
                    }
                ],
            }

    path, config = out / TASKS, out / "labeling_config.xml"
    write_whole(config, _config(results).encode("utf-8", "replace"))
    write_json_list(path, tasks())
    return [path, config]


def _region(frame: ResultFrame, place: int) -> dict[str, Any]:
    shape = frame.shapes[place]
    height, width = frame.size
    return {
        "id": f"finding-{shape.finding}",
        "type": "brushlabels",
        "from_name": "thing",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_brush(shape.mask()), "brushlabels": [plain(shape.label)]},
    }


def _config(results: Results) -> str:
    names = {plain(name): name for name in reversed(results.names.all)}
    labels = "\n".join(
        "    " + element("Label", {"value": text, "background": hex_color(name_color(name, results))})
        for text, name in reversed(names.items())
    )
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true" zoomControl="true"/>\n'
        f'  <BrushLabels name="thing" toName="image">\n{labels}\n  </BrushLabels>\n</View>\n'
    )


def hex_color(color: Sequence[int]) -> str:
    """A colour as the web writes it.

    >>> hex_color((255, 0, 10))
    '#ff000a'
    """
    return "#{:02x}{:02x}{:02x}".format(*color)


def read_tasks(file: Path, results: Results) -> Iterator[Imported]:
    """The tasks of a JSON export: the newest annotation that was not cancelled, else the prediction."""
    tasks = read_json(file)
    if not isinstance(tasks, list):
        raise DataError(f"{file} is not a list of tasks: export from Label Studio as JSON")
    for number, task in enumerate(tasks):
        where = f"{file}, task {number}"
        try:
            data = task["data"]
            frame = results.frame_named(str(data.get("frame")))
            if frame is None:
                picture = str(data["image"])
                folder, _, last = picture.rpartition("/")  # uploads get eight digits before their names
                last = re.sub(r"^[0-9a-f]{8}-", "", last)
                frame = results.frame_of(f"{folder}/{last}")
            regions = _regions(task)
            found = [a for a in (_annotation(r, frame, where) for r in regions) if a is not None]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{where} is not laid out as Label Studio's JSON: export it again") from error
        yield frame, found


def _regions(task: dict[str, Any]) -> list[dict[str, Any]]:
    done = [a for a in task.get("annotations") or [] if not a.get("was_cancelled")]
    chosen = max(done, key=lambda a: str(a.get("updated_at") or ""), default=None)
    if chosen is None:
        chosen = next(iter(task.get("predictions") or []), {"result": []})
    return list(chosen["result"])


def _annotation(region: dict[str, Any], frame: ResultFrame, where: str) -> Annotation | None:
    kind = region["type"]
    if kind not in ("brushlabels", "polygonlabels", "rectanglelabels"):
        return None
    height, width = region["original_height"], region["original_width"]
    if (height, width) != frame.size or region.get("image_rotation"):
        raise DataError(f"{where}: {frame.name} is {width}×{height} there: was it resized or turned?")
    value = region["value"]
    if "rle" in value:
        mask = decode_brush(value["rle"], frame.size, where)
    elif "points" in value:  # percent of the picture's sides
        points = [v * side / 100 for p in value["points"] for v, side in zip(p, (width, height), strict=True)]
        mask = fill_polygons([points], frame.size, where)
    else:
        x, y = value["x"] * width / 100, value["y"] * height / 100
        right, bottom = x + value["width"] * width / 100, y + value["height"] * height / 100
        if value.get("rotation"):
            raise DataError(f"{where}: a turned rectangle; draw it as a polygon")
        mask = fill_polygons([[x, y, right, y, right, bottom, x, bottom]], frame.size, where)
    number = as_number(str(region.get("id", "")).removeprefix("finding-"))
    kept = number if str(region.get("id", "")).startswith("finding-") else None
    return Annotation(mask, next(iter(value.get(kind) or []), UNNAMED), kept)


def encode_brush(mask: Bool[np.ndarray, "H W"]) -> list[int]:
    """A mask as Label Studio's bytes.

    >>> encode_brush(np.ones((1, 1), bool))
    [0, 0, 0, 4, 57, 27, 252, 127, 224]
    """
    flat = mask.ravel()
    edges = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    lengths = 4 * np.diff(edges)
    inside = flat[edges[:-1]]
    most = 1 << _SIZES[-1]
    pieces = -(-lengths // most)  # a run beyond 16 bits takes several packets
    inside = np.repeat(inside, pieces)
    last = np.cumsum(pieces) - 1
    packets = np.full(int(pieces.sum()), most, np.int64)
    packets[last] = lengths - (pieces - 1) * most
    which = np.searchsorted([1 << s for s in _SIZES[:-1]], packets)
    size = np.array(_SIZES)[which]
    words = ((4 | which) << size | (packets - 1)) << _WORD | inside * 255
    bits = [_bits(np.array([4 * flat.size]), np.array([32])), _bits(np.array([_WORD - 1]), np.array([5]))]
    bits += [_bits(np.array([s - 1]), np.array([4])) for s in _SIZES]
    stream = np.concatenate([*bits, _bits(words, 3 + size + _WORD)])
    padded = np.zeros((stream.size // 8 + 1) * 8, np.uint8)  # ends with at least one 0, as the reference
    padded[: stream.size] = stream
    return list(np.packbits(padded).tolist())


def _bits(values: np.ndarray, widths: np.ndarray) -> UInt8[np.ndarray, " n"]:
    """Numbers of given widths as one row of bits, highest first."""
    ends = np.cumsum(widths)
    out = np.zeros(int(ends[-1]), np.uint8)
    for place in range(int(widths.max())):
        used = widths > place
        out[ends[used] - 1 - place] = values[used] >> place & 1
    return out


def decode_brush(data: Any, size: tuple[int, int], where: str = "brush") -> Bool[np.ndarray, "H W"]:
    """The mask of Label Studio's bytes; a pixel is inside where its alpha is above 0.

    >>> decode_brush([0, 0, 0, 4, 57, 27, 252, 127, 224], (1, 1)).tolist()
    [[True]]
    """
    count = 4 * size[0] * size[1]
    try:
        raw = np.array(list(data), np.uint8)
        if count == 0 or list(raw[:4]) != list(count.to_bytes(4, "big")):
            raise ValueError("not of this picture")
        bits = np.unpackbits(raw)
        text = (bits + 48).tobytes().decode("ascii")
        word = int(text[32:37], 2) + 1
        sizes = [int(text[37 + 4 * i : 41 + 4 * i], 2) + 1 for i in range(4)]
        values = np.zeros(count, bool)
        at, done = 53, 0
        while done < count:
            repeated, bit_count = text[at] == "1", sizes[int(text[at + 1 : at + 3], 2)]
            length = int(text[at + 3 : at + 3 + bit_count], 2) + 1
            at += 3 + bit_count
            end = done + length
            used = word if repeated else word * length
            chunk = bits[at : at + used]
            if chunk.size < used or end > count:
                raise ValueError("cut off")
            values[done:end] = chunk.any() if repeated else chunk.reshape(length, word).any(1)
            at, done = at + used, end
    except (TypeError, ValueError, OverflowError, IndexError) as error:
        raise DataError(f"{where}: a brush mask is damaged or of another picture: export it again") from error
    return values[3::4].reshape(size)
