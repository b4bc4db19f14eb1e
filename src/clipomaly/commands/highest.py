"""The places that score highest, one a frame, as a contact sheet.

A threshold is fixed on frames that shall hold nothing unknown. One unknown thing among them pushes it up, and
nothing in a number tells: people look at these few places instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.errors import ConfigError
from clipomaly.export.files import write_whole
from clipomaly.export.text import fit_text, line_height, text_coverage
from clipomaly.records import Frame

__all__ = ["Highest", "Place", "check_sheet", "cut_place"]

_PLACES, _COLUMNS = 12, 4
_SIDE, _GAP, _TEXT = 260, 8, 15
_SHARE = 4  # a crop shows a quarter of the frame's longer side
_GROUND = 24


@dataclass(frozen=True, eq=False)
class Place:
    """Where a frame scores highest."""

    frame: str
    score: float
    crop: UInt8[np.ndarray, "h w 3"]


@dataclass(eq=False)
class Highest:
    """The highest-scoring places of the frames seen so far."""

    places: list[Place] = field(default_factory=list)

    def add(self, frame: Frame, score: Float[np.ndarray, "H W"]) -> None:
        """Look at one more frame."""
        if len(self.places) == _PLACES and float(score.max()) <= self.places[-1].score:
            return
        self.places = sorted([*self.places, cut_place(frame, score)], key=lambda p: -p.score)[:_PLACES]

    def write(self, path: Path) -> int:
        """Write the sheet, highest first; returns how many places it shows."""
        tiles = [_tile(place) for place in self.places]
        columns = min(_COLUMNS, len(tiles))
        tiles += [np.full_like(tiles[0], _GROUND)] * (-len(tiles) % columns)
        rows = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
        data = cv2.imencode(".jpg", np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
        write_whole(path, data.tobytes())
        return len(self.places)


def check_sheet(path: Path) -> None:
    """Say before the work, not after it, that a sheet cannot be called so."""
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        raise ConfigError(f"the sheet of highest-scoring places is a JPEG: call {path} *.jpg")


def cut_place(frame: Frame, score: Float[np.ndarray, "H W"]) -> Place:
    """The frame around its highest score, which is circled.

    >>> score = np.zeros((40, 80), np.float32)
    >>> score[30, 5] = 0.75
    >>> place = cut_place(Frame(np.zeros((40, 80, 3), np.uint8), "a"), score)
    >>> place.frame, place.score, place.crop.shape
    ('a', 0.75, (260, 260, 3))
    """
    height, width = frame.size
    row, column = np.unravel_index(int(np.argmax(score)), score.shape)
    side = min(max(64, max(height, width) // _SHARE), height, width)
    top = int(np.clip(row - side // 2, 0, height - side))
    left = int(np.clip(column - side // 2, 0, width - side))
    scale = _SIDE / side
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    crop = cv2.resize(frame.image[top : top + side, left : left + side], (_SIDE, _SIDE), interpolation=smooth)
    middle = (round((column - left + 0.5) * scale), round((row - top + 0.5) * scale))
    for color, line in (((16, 16, 16), 5), ((255, 255, 255), 2)):
        cv2.circle(crop, middle, _SIDE // 8, color, line, cv2.LINE_AA)
    return Place(frame.name, float(score[row, column]), crop)


def _tile(place: Place) -> UInt8[np.ndarray, "h w 3"]:
    """The crop, its score and its frame's name below it."""
    high = line_height(_TEXT)
    tile = np.full((_SIDE + 2 * high + 2 * _GAP, _SIDE + _GAP, 3), _GROUND, np.uint8)
    tile[:_SIDE, :_SIDE] = place.crop
    for i, text in enumerate((f"{place.score:.3f}", place.frame)):
        cover = text_coverage(fit_text(text, _TEXT, _SIDE - 4) or " ", _TEXT)
        top = _SIDE + _GAP // 2 + i * high
        spot = tile[top : top + cover.shape[0], 4 : 4 + cover.shape[1]]
        spot[:] = np.maximum(spot, cover[: spot.shape[0], : spot.shape[1], None])
    return tile
