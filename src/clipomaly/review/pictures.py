"""Pictures for the pages: frames, masks, score maps and crops, encoded once and kept for a while.

Only ids come in; where a picture lies is the store's affair. Whatever is read is decoded and encoded anew, so
that no other file's bytes can leave the machine this way.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, UInt8

from clipomaly.export.palette import UNNAMED_COLOR, entered_color
from clipomaly.records import UNNAMED

__all__ = ["ByteCache", "finding_color", "frame_jpeg", "mask_box", "mask_png", "rgba_png", "score_heat"]

SHOWN, SMALL, CROP = 1600, 320, 320
"""Pixels of the longer side: on the stage, in the clip, on a tile."""


class ByteCache:
    """The latest results of slow work, up to a number of bytes; work for one key is done once at a time.

    >>> cache = ByteCache(10)
    >>> cache.get("a", lambda: b"1234567890"), cache.get("a", lambda: b"never made")
    (b'1234567890', b'1234567890')
    """

    def __init__(self, limit: int = 128 << 20) -> None:
        self._limit = limit
        self._size = 0
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._working: dict[str, threading.Lock] = {}

    def get(self, key: str, make: Callable[[], bytes]) -> bytes:
        """The bytes of a key, made if need be."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
            turn = self._working.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                if key in self._held:
                    return self._held[key]
            try:
                data = make()
            finally:
                with self._lock:
                    self._working.pop(key, None)
            with self._lock:
                if key not in self._held:
                    self._held[key] = data
                    self._size += len(data)
                while self._size > self._limit and len(self._held) > 1:
                    _, old = self._held.popitem(last=False)
                    self._size -= len(old)
            return data


def finding_color(name: str | None) -> tuple[int, int, int]:
    """The colour that a name has everywhere."""
    return UNNAMED_COLOR if not name or name == UNNAMED else entered_color(name)


def frame_jpeg(image: UInt8[np.ndarray, "H W 3"], longest: int | None = SHOWN) -> bytes:
    """A picture as JPEG, made smaller where it is larger than asked for."""
    return _jpeg(_within(image, longest), 88)


def crop_jpeg(image: UInt8[np.ndarray, "H W 3"], box: tuple[int, int, int, int]) -> bytes:
    """A finding with as much around it as it is wide, at least 96 pixels."""
    x0, y0, x1, y1 = box
    side = max(1.8 * max(x1 - x0, (y1 - y0) * 4 / 3), 96)
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    height, width = image.shape[:2]
    left, right = max(0, round(cx - side / 2)), min(width, round(cx + side / 2))
    top, bottom = max(0, round(cy - side * 3 / 8)), min(height, round(cy + side * 3 / 8))
    return _jpeg(_within(image[top:bottom, left:right], CROP), 85)


def line_width(size: tuple[int, int]) -> int:
    """Pixels of an outline that is seen when the whole frame is."""
    return max(1, round(max(size) / 700))


def mask_box(box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of the frame that a mask's picture covers: its box with room for the outline."""
    room = 2 * line_width(size)
    height, width = size
    return max(0, box[0] - room), max(0, box[1] - room), min(width, box[2] + room), min(height, box[3] + room)


def mask_png(
    mask: Bool[np.ndarray, "H W"], box: tuple[int, int, int, int], color: tuple[int, int, int]
) -> bytes:
    """A mask inside `mask_box`: tinted, in its colour's outline, with a light and a dark line around it."""
    import cv2

    x0, y0, x1, y1 = mask_box(box, (mask.shape[0], mask.shape[1]))
    inner = np.ascontiguousarray(mask[y0:y1, x0:x1]).view(np.uint8)
    line = line_width((mask.shape[0], mask.shape[1]))
    kernel = np.ones((2 * line + 1, 2 * line + 1), np.uint8)
    near = cv2.dilate(inner, kernel)
    far = cv2.dilate(near, kernel)
    out = np.zeros((*inner.shape, 4), np.uint8)
    blue_first = (*color[::-1],)
    out[inner > 0] = (*blue_first, 70)
    out[(far > 0) & (near == 0)] = (16, 16, 16, 200)
    out[(near > 0) & (inner == 0)] = (255, 255, 255, 255)
    out[(inner > 0) & (cv2.erode(inner, kernel) == 0)] = (*blue_first, 255)
    return _encoded(".png", out, [cv2.IMWRITE_PNG_COMPRESSION, 4])


def rgba_png(image: UInt8[np.ndarray, "H W 4"]) -> bytes:
    """A picture with an alpha channel as PNG."""
    import cv2

    return _encoded(".png", np.ascontiguousarray(image[:, :, [2, 1, 0, 3]]), [cv2.IMWRITE_PNG_COMPRESSION, 4])


def score_heat(score: Float[np.ndarray, "h w"]) -> bytes:
    """An unknown score as colours that let the picture through where it is low."""
    import cv2

    level = np.round(np.clip(score, 0, 1) * 255).astype(np.uint8)
    colors = cv2.applyColorMap(level, cv2.COLORMAP_TURBO)
    alpha = np.clip(40 + 0.75 * level.astype(np.float32), 0, 215).astype(np.uint8)
    return _encoded(".png", np.dstack([colors, alpha]), [cv2.IMWRITE_PNG_COMPRESSION, 4])


def _within(image: UInt8[np.ndarray, "H W 3"], longest: int | None) -> UInt8[np.ndarray, "h w 3"]:
    import cv2

    side = max(image.shape[:2])
    if longest is None or side <= longest:
        return image
    height, width = (max(1, round(n * longest / side)) for n in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _jpeg(image: UInt8[np.ndarray, "H W 3"], quality: int) -> bytes:
    import cv2

    return _encoded(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encoded(kind: str, image: np.ndarray, options: list[int]) -> bytes:
    import cv2

    good, data = cv2.imencode(kind, image, options)
    if not good:
        raise ValueError(f"a picture of {image.shape} cannot be written as {kind}")
    return bytes(data)
