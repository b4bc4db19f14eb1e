"""Parts of a finding that people cut: a decision `split` holds their masks, and each is a finding of its own.

    id      FINDING-s17-0: the first part that decision 17 made of FINDING; a part may be cut again
    number  1000 · decision + part, for tools that number the findings of a frame
    mask    the decision's; parts never overlap, and together they are the finding's mask, pixel for pixel
    else    the finding's own: score, candidates, name and vector belong to the region that the run looked at

A cut by a line: pixel centres on its left and on its right, (x₁−x₀)(y−y₀) − (y₁−y₀)(x−x₀) < 0 or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from clipomaly.errors import StoreError
from clipomaly.export.masks import encode_rle
from clipomaly.store.records import StoredFinding

__all__ = [
    "Line",
    "cut_by_line", "cut_in_pieces",
    "part_id", "part_number", "part_of_number", "part_record", "part_tables", "root_of",
]  # fmt: skip

Line = tuple[float, float, float, float]
"""x₀, y₀, x₁, y₁ in pixels of the frame; the line goes on beyond both points."""

_MOST = 20
"""Pieces of one cut."""
_LEAST_SHARE, _LEAST = 0.01, 16
"""A piece smaller than this share of the region, or this many pixels, joins the nearest larger one."""
_ID_LENGTH = 64
_NUMBERS = 1000


def part_id(finding: str, decision: int, number: int) -> str:
    """The id of a part.

    >>> part_id("00ff00ff00ff00ff-003", 17, 0)
    '00ff00ff00ff00ff-003-s17-0'
    """
    return f"{finding}-s{decision}-{number}"


def root_of(finding: str) -> str:
    """The finding as the run made it, of a part or of itself.

    >>> root_of("00ff00ff00ff00ff-003-s17-0-s20-1"), root_of("00ff00ff00ff00ff-003")
    ('00ff00ff00ff00ff-003', '00ff00ff00ff00ff-003')
    """
    return finding.partition("-s")[0]


def part_number(decision: int, part: int) -> int:
    """The number in a frame that stands for a part; `part_of_number` reads it.

    >>> part_of_number(part_number(17, 1))
    (17, 1)
    """
    return _NUMBERS * decision + part


def part_of_number(number: int) -> tuple[int, int] | None:
    """The decision and the part that a number in a frame stands for; None for a finding of the run.

    >>> part_of_number(17_001), part_of_number(3)
    ((17, 1), None)
    """
    return divmod(number, _NUMBERS) if number >= _NUMBERS else None


def cut_by_line(mask: Bool[np.ndarray, "H W"], line: Line) -> list[Bool[np.ndarray, "H W"]]:
    """Both sides of a straight line, the larger first; an error where it misses the region.

    >>> [int(part.sum()) for part in cut_by_line(np.ones((2, 6), bool), (4, 0, 4, 1))]
    [8, 4]
    """
    x0, y0, x1, y1 = line
    if not np.isfinite(line).all() or (x0, y0) == (x1, y1):
        raise StoreError("the line needs two different points")
    rows, columns = np.nonzero(mask)
    left = (x1 - x0) * (rows + 0.5 - y0) - (y1 - y0) * (columns + 0.5 - x0) < 0
    if left.all() or not left.any():
        raise StoreError("the line misses the region: draw it across")
    parts = []
    for side in (left, ~left):
        part = np.zeros_like(mask)
        part[rows[side], columns[side]] = True
        parts.append(part)
    return sorted(parts, key=lambda part: -int(part.sum()))


def cut_in_pieces(mask: Bool[np.ndarray, "H W"]) -> list[Bool[np.ndarray, "H W"]]:
    """The pieces that hang together (corners count), the largest first; specks join the nearest one.

    >>> [int(part.sum()) for part in cut_in_pieces(np.arange(3)[:, None].repeat(20, 1) != 1)]
    [20, 20]
    """
    import cv2

    count, labels = cv2.connectedComponents(np.ascontiguousarray(mask).view(np.uint8), connectivity=8)
    sizes = np.bincount(labels.ravel(), minlength=count)
    sizes[0] = 0
    least = max(_LEAST, _LEAST_SHARE * int(mask.sum()))
    order = [int(i) for i in np.argsort(-sizes, kind="stable") if sizes[i] >= least][:_MOST]
    if len(order) < 2:
        raise StoreError("the region is in one piece: draw a line across it")
    distance = np.stack(
        [cv2.distanceTransform((labels != i).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) for i in order]
    )
    owner = np.full(count, -1)
    owner[order] = np.arange(len(order))
    for speck in np.flatnonzero((owner < 0) & (sizes > 0)):
        owner[speck] = int(np.argmin(distance[:, labels == speck].min(axis=1)))
    where = np.where(mask, owner[labels], -1)
    return [where == i for i in range(len(order))]


def part_tables(finding: str, masks: Sequence[Bool[np.ndarray, "H W"]]) -> list[dict[str, Any]]:
    """What a decision keeps of the parts: masks, and areas and boxes so that nobody need decode them."""
    if len(part_id(finding, 999_999, _MOST)) > _ID_LENGTH:
        raise StoreError("this part has been cut often enough: undo a cut, and draw it anew")
    out = []
    for mask in masks:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
        out.append({"rle": encode_rle(mask), "area": int(mask.sum()), "box": box})
    return out


def part_record(root: StoredFinding, key: str, table: Mapping[str, Any]) -> StoredFinding:
    """The record of a part: its finding's, with its own mask."""
    decision, _, number = key.rpartition("-s")[2].partition("-")
    x0, y0, x1, y1 = table["box"]
    return replace(
        root,
        id=key,
        number=part_number(int(decision), int(number)),
        area=int(table["area"]),
        box=(x0, y0, x1, y1),
        rle=table["rle"],
    )
