"""Words on pictures, without needing a font on the system.

Pillow brings one that holds ASCII. For other letters a common system font is used where there is one that
holds them; else accents are dropped, and what is still missing is shown as a middle dot.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import UInt8

__all__ = ["fit_text", "line_height", "text_coverage", "text_width"]

_SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "Arial Unicode.ttf",
    "arial.ttf",
    "Arial.ttf",
    "msyh.ttc",
    "segoeui.ttf",
)
_BASE_LETTERS = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "œ": "oe", "ð": "d"}
)
_BASE_LETTERS |= str.maketrans({"đ": "d", "ı": "i", "þ": "th", "–": "-", "—": "-", "’": "'", "…": "..."})


@lru_cache(maxsize=64)
def _font(name: str | None, size: int) -> Any:
    from PIL import ImageFont

    if name is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


def _holds(font: Any, text: str) -> bool:
    missing = bytes(font.getmask("\uffff"))
    return all(c.isspace() or bytes(font.getmask(c)) != missing for c in set(text))


@lru_cache(maxsize=1024)
def _choose(text: str) -> tuple[str | None, str]:
    """The font's file (None: Pillow's own) and the text as it can be shown."""
    text = "".join(c if c.isprintable() else " " for c in text)
    if text.isascii():
        return None, text
    for name in _SYSTEM_FONTS:
        font = _font(name, 20)
        if font is not None and _holds(font, text):
            return name, text
    plain = unicodedata.normalize("NFKD", text.translate(_BASE_LETTERS))
    return None, "".join(c if c.isascii() else "·" for c in plain if not unicodedata.combining(c))


def line_height(size: int) -> int:
    """Pixels from the top of a high letter to the bottom of a deep one."""
    ascent, descent = _font(None, size).getmetrics()
    return int(ascent + descent)


def text_width(text: str, size: int) -> int:
    """Pixels that a line of text is wide."""
    name, shown = _choose(text)
    return int(np.ceil(_font(name, size).getlength(shown)))


@lru_cache(maxsize=512)
def fit_text(text: str, size: int, width: int) -> str:
    """The text, its end replaced by dots until it is at most `width` pixels wide; empty if nothing fits."""
    if text_width(text, size) <= width:
        return text
    for keep in range(len(text) - 1, 0, -1):
        short = text[:keep].rstrip() + "..."
        if text_width(short, size) <= width:
            return short
    return ""


@lru_cache(maxsize=512)
def text_coverage(text: str, size: int) -> UInt8[np.ndarray, "h w"]:
    """How much of each pixel the letters cover, 0 to 255, on one line of `line_height` pixels."""
    from PIL import Image, ImageDraw

    name, shown = _choose(text)
    height = line_height(size)
    canvas = Image.new("L", (max(1, text_width(text, size)), height))
    baseline = _font(None, size).getmetrics()[0]
    ImageDraw.Draw(canvas).text((0, baseline), shown, fill=255, font=_font(name, size), anchor="ls")
    out = np.asarray(canvas)
    out.flags.writeable = False
    return out
