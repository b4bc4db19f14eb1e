"""A mask as text, the way COCO writes it: run lengths, and polygons.

Run lengths go down the columns and alternate between 0 and 1, beginning with 0. COCO's compressed string
writes each of them (from the third on as its difference from the one two before) in groups of five bits,
lowest first: bit 6 says that more follow, and 48 is added to make it printable.

Polygons follow the outer edges of pixels, so that a region of one pixel is a square of side 1.
"""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
from jaxtyping import Bool, Integer

from clipomaly.records import Region

__all__ = [
    "Rle",
    "decode_rle",
    "drawn_polygons",
    "encode_rle",
    "mask_fields",
    "region_polygons",
    "region_rle",
    "unpack_counts",
]


class Rle(TypedDict):
    """COCO's compressed run lengths; `size` is [height, width]."""

    size: list[int]
    counts: str


def encode_rle(mask: Bool[np.ndarray, "H W"]) -> Rle:
    """Run lengths of a whole mask.

    >>> encode_rle(np.array([[0, 1], [1, 1]], bool))
    {'size': [2, 2], 'counts': '13'}
    """
    height, width = mask.shape
    return _encode(mask, (0, 0), (height, width))


def region_rle(region: Region) -> Rle:
    """Run lengths of a region on its whole frame; the work is that of its box."""
    return _encode(region.mask, region.box[:2], region.image_size)


def _encode(mask: Bool[np.ndarray, "h w"], corner: tuple[int, int], size: tuple[int, int]) -> Rle:
    import cv2

    height, width = size
    columns = np.zeros((mask.shape[1], mask.shape[0] + 1), bool)  # a zero below each column ends its last run
    if mask.size:
        columns[:, :-1] = cv2.transpose(mask.view(np.uint8)).view(bool)  # in blocks, unlike numpy's
    flat = np.concatenate([[False], columns.ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    column, row = np.divmod(changes, mask.shape[0] + 1)
    x, y = corner
    places = (column + x) * height + row + y
    starts, ends = places[::2], places[1::2]
    # A run that reaches the bottom goes on at the top of the next column.
    apart = starts[1:] != ends[:-1]
    starts = starts[np.concatenate([[True], apart])] if starts.size else starts
    ends = ends[np.concatenate([apart, [True]])] if ends.size else ends
    edges = np.empty(2 * starts.size + 2, np.int64)
    edges[0] = 0
    edges[1:-1:2], edges[2:-1:2], edges[-1] = starts, ends, height * width
    counts = np.diff(edges)
    if counts[-1] == 0 and counts.size > 1:
        counts = counts[:-1]
    return {"size": [height, width], "counts": _pack(counts)}


def _pack(counts: np.ndarray) -> str:
    values = counts.copy()
    values[3:] -= counts[1:-2]
    digits = np.zeros((values.size, 13), np.uint8)
    used = np.zeros((values.size, 13), bool)
    open_ = np.ones(values.size, bool)
    for place in range(13):
        digit = values & 0x1F
        values = values >> 5
        more = np.where(digit & 0x10, values != -1, values != 0)
        digits[:, place] = digit | (more << 5)
        used[:, place] = open_
        open_ &= more
        if not open_.any():
            break
    return (digits[used] + 48).tobytes().decode("ascii")


def unpack_counts(text: str) -> Integer[np.ndarray, " n"]:
    """The run lengths in a compressed string.

    >>> unpack_counts("13").tolist()
    [1, 3]
    """
    raw = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    last = (raw & 0x20) == 0
    begin = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1]).astype(np.int64)
    place = np.arange(raw.size) - np.repeat(begin, np.diff(np.append(begin, raw.size)))
    values = np.add.reduceat((raw & 0x1F) << (5 * place), begin)
    negative = (raw[last] & 0x10) != 0
    values[negative] -= np.int64(1) << (5 * (place[last][negative] + 1))
    counts = values.copy()  # each difference refers to the count two before: sums over odd and even places
    counts[1::2] = np.cumsum(values[1::2])
    counts[2::2] = np.cumsum(values[2::2])
    return counts


def decode_rle(rle: Rle) -> Bool[np.ndarray, "H W"]:
    """The mask of run lengths.

    >>> decode_rle({"size": [2, 2], "counts": "13"}).astype(int).tolist()
    [[0, 1], [1, 1]]
    """
    height, width = rle["size"]
    counts = unpack_counts(rle["counts"])
    if counts.min() < 0 or counts.sum() > height * width:
        raise ValueError(f"run lengths do not fit a mask of {height}×{width}")
    flat = np.zeros(height * width, bool)
    flat[: counts.sum()] = np.repeat(np.arange(counts.size) % 2 == 1, counts)
    return flat.reshape(width, height).T


def region_polygons(region: Region, tolerance: float = 1.0) -> list[list[int]]:
    """Outlines of a region's parts as [x1, y1, x2, y2, …]; they leave its edge by `tolerance` pixels at most.

    Holes are not told (COCO's polygons have none): the run lengths are exact, the polygons for drawing.
    """
    import cv2

    # At twice the size a pixel spans an even and an odd place, so its edges fall on whole numbers.
    doubled = np.zeros((2 * region.box[3] + 2, 2 * region.box[2] + 2), np.uint8)
    inner = region.mask.view(np.uint8)
    doubled[1:-1, 1:-1] = cv2.resize(inner, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corner = np.array(region.box[:2])
    polygons = []
    for contour in sorted(contours, key=lambda c: (-len(c), tuple(c[0, 0]))):
        edge = contour // 2  # from the rim on: a pixel's two places 2i+1, 2i+2 become its edges i and i+1
        simple = cv2.approxPolyDP(edge, tolerance, True)
        points = (simple if len(simple) >= 3 and cv2.contourArea(simple) > 0 else edge)[:, 0]
        points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
        polygons.append((points + corner).ravel().tolist())
    return polygons


def mask_fields(rle: Rle) -> dict[str, Any]:
    """What `results.jsonl` says of a finding's mask.

    >>> mask_fields(encode_rle(np.array([[0, 1], [0, 1]], bool)))["box"]
    [1, 0, 1, 2]
    """
    height, width = rle["size"]
    region = Region((0, 0, width, height), decode_rle(rle), 0.0, (height, width)).trimmed()
    return {
        "area": region.area,
        "box": list(region.box),
        "polygons": drawn_polygons(region),
        "rle": rle,
    }


def drawn_polygons(region: Region) -> list[list[int]]:
    """Outlines as `results.jsonl` has them: off by less than a pixel, or by a thousandth of a large side."""
    return region_polygons(region, tolerance=max(0.75, 0.001 * max(region.image_size)))
