"""PNG, written fast: 8- and 16-bit grey and indexed pictures, with texts inside.

Maps change little from row to row, so each row is stored as its difference from the row above (filter "up"),
and zlib runs with the strategy that fits: run lengths for labels, Huffman codes alone for scores, whose low
bytes hold no repeats to look for. That takes half the time of a general encoder for about the same size.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8, UInt16

__all__ = ["encode_png"]


def encode_png(
    pixels: UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"],
    *,
    palette: Sequence[tuple[int, int, int]] | None = None,
    texts: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a PNG file: grey of 8 or 16 bits, or 8-bit indices into a palette.

    >>> encode_png(np.zeros((1, 1), np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    height, width = pixels.shape
    depth = pixels.dtype.itemsize * 8
    if pixels.dtype not in (np.uint8, np.uint16) or (palette is not None and depth != 8):
        raise ValueError(f"PNG holds uint8, uint16, or uint8 with a palette, not {pixels.dtype}")
    chunks = [
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0 if palette is None else 3, 0, 0, 0))
    ]
    if palette is not None:
        if not 0 < len(palette) <= 256:
            raise ValueError(f"a PNG palette has 1 to 256 colours, not {len(palette)}")
        chunks.append(_chunk(b"PLTE", np.asarray(palette, np.uint8).tobytes()))
    for key, text in (texts or {}).items():
        chunks.append(_chunk(b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + text.encode()))
    strategy = zlib.Z_HUFFMAN_ONLY if depth == 16 else zlib.Z_RLE
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, strategy)
    body = packer.compress(_rows(pixels).data) + packer.flush()
    return b"".join([b"\x89PNG\r\n\x1a\n", *chunks, _chunk(b"IDAT", body), _chunk(b"IEND", b"")])


def _rows(pixels: np.ndarray) -> np.ndarray:
    """Each row with its filter byte: 2 is "up", the difference from the row above (zeros above the first)."""
    values = pixels.astype(">u2").view(np.uint8) if pixels.dtype == np.uint16 else pixels
    out = np.empty((values.shape[0], values.shape[1] + 1), np.uint8)
    out[:, 0] = 2
    out[0, 1:] = values[0]
    np.subtract(values[1:], values[:-1], out=out[1:, 1:])
    return out


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
