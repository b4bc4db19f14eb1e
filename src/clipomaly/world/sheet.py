"""Contact sheets: picture, classes with unknowns in white, and depth, a row a frame; a table of a pack."""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from clipomaly.errors import FrameError
from clipomaly.export.files import write_whole
from clipomaly.vocabulary import load_vocabulary
from clipomaly.world.controls import CONTROLS
from clipomaly.world.pack import frames_of

__all__ = ["ROWS", "contact_sheet", "pack_table", "picture_sheet"]

ROWS = 24
"""Frames on a contact sheet: more make a picture that few programs open."""

_SIZES = (
    (0.1, "under 10 cm"),
    (0.3, "10–30 cm"),
    (1.0, "30 cm–1 m"),
    (3.0, "1–3 m"),
    (float("inf"), "over 3 m"),
)
_RANGES = ((10.0, "under 10 m"), (20.0, "10–20 m"), (40.0, "20–40 m"), (float("inf"), "over 40 m"))


def contact_sheet(folder: Path, limit: int = ROWS, width: int = 480) -> Path:
    """Writes `sheet.jpg` of a pack's first frames into its folder, and returns where it is."""
    rows = []
    for frame in frames_of(folder)[:limit]:
        name = frame["name"]
        colors = np.array([k.color for k in load_vocabulary(frame["vocabulary"]).known], np.uint8)
        picture = _read(folder / "images" / f"{name}.jpg", cv2.IMREAD_COLOR)
        known = _read(folder / "labels" / f"{name}.png", cv2.IMREAD_UNCHANGED)
        table = np.full((256, 3), 255, np.uint8)
        table[: len(colors)] = colors
        depth = _read(folder / "depth" / f"{name}.png", cv2.IMREAD_UNCHANGED).astype(np.float32) / 256
        near = np.where(depth > 0, 255 * np.clip(1 - np.log(depth + 1e-3) / np.log(255), 0, 1), 0).astype(
            np.uint8
        )
        panels = [picture, table[known][..., ::-1], cv2.applyColorMap(near, cv2.COLORMAP_TURBO)]
        size = (width, width * picture.shape[0] // picture.shape[1])
        row = np.concatenate([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in panels], 1)
        rows.append(_captioned(row, f"{name}: " + ", ".join(u["name"] for u in frame["unknowns"])))
    path = folder / "sheet.jpg"
    write_whole(path, cv2.imencode(".jpg", np.concatenate(rows))[1].tobytes())
    return path


def picture_sheet(folder: Path, columns: int = 4, width: int = 320, quality: int = 82) -> Path:
    """Writes `pictures.jpg` into a pack's folder: every picture, and below it the controls that it shows."""
    tiles = []
    for frame in frames_of(folder):
        picture = _read(folder / "images" / f"{frame['name']}.jpg", cv2.IMREAD_COLOR)
        size = (width, width * picture.shape[0] // picture.shape[1])
        tile = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        about = frame["conditions"]
        switched = [c for c in about["controls"] if c in CONTROLS and c != about["light"]]
        lines = textwrap.wrap(", ".join((about["light"], *switched)), width // 5)[:3]
        for line in (*lines, *[""] * (3 - len(lines))):
            tile = np.concatenate([tile, _strip(width, line, 0.34, 13)])
        tiles.append(tile)
    tiles += [np.full_like(tiles[0], 24)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    path = folder / "pictures.jpg"
    write_whole(
        path, cv2.imencode(".jpg", np.concatenate(rows), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    )
    return path


def _captioned(row: UInt8[np.ndarray, "h w 3"], text: str) -> UInt8[np.ndarray, "h2 w 3"]:
    return np.concatenate([_strip(row.shape[1], text, 0.42, 18), row])


def _strip(width: int, text: str, scale: float, height: int) -> UInt8[np.ndarray, "h w 3"]:
    strip = np.full((height, width, 3), 24, np.uint8)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(strip, text, (4, height - 4), font, scale, (230, 230, 230), 1, cv2.LINE_AA)
    return strip


def _read(path: Path, flags: int) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
    if image is None:
        raise FrameError(f"{path} is not a picture: render the frame again")
    return image


def pack_table(folder: Path) -> dict[str, dict[str, int]]:
    """How many unknowns a pack shows by size, range and name, and frames by condition and control."""
    frames = frames_of(folder)
    things = [u for f in frames for u in f["unknowns"]]
    of = lambda value, steps: next(label for limit, label in steps if value < limit)  # noqa: E731
    return {
        "size": dict(Counter(of(max(u["size_m"]), _SIZES) for u in things)),
        "range": dict(Counter(of(u["range_m"], _RANGES) for u in things)),
        "name": dict(Counter(u["name"] for u in things)),
        "scene": dict(Counter(f["conditions"]["scene"] for f in frames)),
        "unknowns in a frame": dict(Counter(str(len(f["unknowns"])) for f in frames)),
        "light": dict(Counter(f["conditions"]["light"] for f in frames)),
        "control": dict(Counter(c for f in frames for c in f["conditions"]["controls"])),
        # What was drawn may lie where the camera does not look.
        "control seen": dict(Counter(c for f in frames for c in f["conditions"]["control_pixels"])),
    }
