"""One picture file, whatever its kind, as upright 8-bit RGB.

The content decides, not the suffix. Every picture is brought to one form:

    orientation       the EXIF tag is applied
    grey, palette     written out as RGB
    alpha             composited on mid-grey (127): what hides below a transparent pixel is arbitrary
    CMYK, YCbCr       converted to RGB; colour profiles are not applied
    16 bits           the high byte of colour pictures; grey is divided by 257, or by 4095/255 if no value
                      reaches 4096 (12-bit cameras store their values so)
    float             ×255 if no value exceeds 1, else clipped to 0..255
    several pictures  the first one (animated GIF and WebP, TIFF pages)

Only plain raster formats are opened: none that starts another program or runs code.
"""

from __future__ import annotations

import io
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from clipomaly.errors import FrameError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "read_image"]

IMAGE_SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".bmp",
        ".dib",
        ".webp",
        ".avif",
        ".tif",
        ".tiff",
        ".gif",
    )
    + (".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k")
)
#: Formats that Pillow may try (it would start Ghostscript for EPS).
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM", "JPEG2000", "AVIF")
#: Larger pictures are refused before a pixel is decoded: a few bytes can claim any size.
MAX_PIXELS = 170_000_000
_MAX_BYTES = 2 << 30
_MID_GREY = 127


def read_image(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    side: int | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """Read a picture file, or its bytes, as upright RGB; `FrameError` says what is wrong and what helps.

    With `side`, for a thumbnail, a JPEG is decoded at a half, a quarter or an eighth of its size, as long as
    its longer side keeps `side` pixels.

    >>> read_image(b"P6 2 1 255 \\xff\\x00\\x00\\x00\\xff\\x00").tolist()
    [[[255, 0, 0], [0, 255, 0]]]
    """
    if isinstance(source, bytes):
        data, label = source, name or "picture"
    else:
        label = name or str(source)
        data = _read_file(Path(source), label)
    if not data:
        raise FrameError(f"{label} is empty (0 bytes): copy it again from where it came from, or remove it")
    return _decode(data, label, max_pixels, side)


def _read_file(path: Path, label: str) -> bytes:
    try:
        info = path.stat()
        if stat.S_ISDIR(info.st_mode):
            raise FrameError(f"{label} is a folder, not a picture: give it as a source of its own")
        if not stat.S_ISREG(info.st_mode):
            raise FrameError(f"{label} is not a regular file: give a picture file")
        if info.st_size > _MAX_BYTES:
            raise FrameError(
                f"{label} has {info.st_size >> 30} GiB, too much for one picture: is it a video?"
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise FrameError(f"{label} does not exist: check the path") from error
    except PermissionError as error:
        raise FrameError(f"{label} may not be read: allow it, for example with chmod u+r") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FrameError(f"{label} cannot be read ({reason}): check the disk and the path") from error


def _decode(data: bytes, label: str, max_pixels: int, side: int | None) -> UInt8[np.ndarray, "H W 3"]:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sizes (checked here) and odd metadata
            with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
                width, height = picture.size
                if width * height > max_pixels:
                    raise FrameError(_too_large(label, f"{width}×{height} pixels", max_pixels))
                return _upright_rgb(picture, data, label, side)
    except FrameError:
        raise
    except Image.DecompressionBombError as error:
        raise FrameError(_too_large(label, "too many pixels", max_pixels)) from error
    except UnidentifiedImageError as error:
        raise FrameError(f"{label} {_what_it_is(data)}") from error
    except MemoryError as error:
        raise FrameError(f"{label} does not fit into memory: make it smaller") from error
    except Exception as error:  # decoders raise nearly anything on damaged data; each is this frame's failure
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FrameError(
            f"{label} is cut short or damaged ({reason}): copy it again from where it came from"
        ) from error


def _too_large(label: str, size: str, limit: int) -> str:
    return (
        f"{label} has {size}, the limit is {limit // 1_000_000} million: "
        "shrink it or cut it into parts (for example with ImageMagick: convert IN -resize 50% OUT)"
    )


def _what_it_is(data: bytes) -> str:
    """Words for a file that is no picture we read."""
    if data[:4] == b"\x76\x2f\x31\x01" or data[:2] == b"#?":
        return "is a high-dynamic-range picture: tone-map it and save it as PNG"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"hevc"):
        return "is a HEIC picture: save it as JPEG or PNG"
    if data[4:8] == b"ftyp" or data[:4] in (b"\x1aE\xdf\xa3", b"RIFF"):
        return "is a video or sound file: give it a video suffix such as .mp4 or .mkv"
    if data[:2] in (b"II", b"MM"):
        return "is a TIFF of a kind that cannot be read: save it as 8- or 16-bit PNG"
    if data[:5] in (b"%PDF-", b"%!PS-") or data[:4] == b"\xc5\xd0\xd3\xc6":
        return "is a document: save its page as PNG"
    if data[:3] == b"\xff\xd8\xff" or data[:8] == b"\x89PNG\r\n\x1a\n":
        return "is cut short or damaged: copy it again from where it came from"
    return "is not a picture: give JPEG, PNG, WebP, TIFF, BMP, GIF, PPM, JPEG 2000 or AVIF"


def _upright_rgb(
    picture: Image.Image, data: bytes, label: str, side: int | None
) -> UInt8[np.ndarray, "H W 3"]:
    if picture.format == "JPEG" and picture.mode == "RGB" and data.rstrip(b"\0")[-2:] == b"\xff\xd9":
        # The same library decodes twice as fast without Pillow's row buffers. It only warns about a file that
        # is cut short, so those without their end marker take the other way, which fails as it should.
        import cv2

        whole = max(picture.size) // (side or max(picture.size))
        part, how = next(
            (part, how)
            for part, how in (
                (8, cv2.IMREAD_REDUCED_COLOR_8),
                (4, cv2.IMREAD_REDUCED_COLOR_4),
                (2, cv2.IMREAD_REDUCED_COLOR_2),
                (1, cv2.IMREAD_COLOR),
            )
            if part <= max(1, whole)
        )
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), how | cv2.IMREAD_IGNORE_ORIENTATION)
        if bgr is not None and bgr.shape[:2] == (-(-picture.height // part), -(-picture.width // part)):
            return _turn(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), _orientation(picture))
    picture.load()
    orientation = _orientation(picture)  # after loading: the TIFF reader turns the picture by itself
    if picture.mode.startswith(("I", "F")):
        grey = _to_eight_bits(np.asarray(picture), label)
        return _turn(np.repeat(grey[:, :, None], 3, axis=2), orientation)
    if "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
        return _turn(_flatten(np.asarray(picture.convert("RGBA"))), orientation)
    return _turn(np.array(picture if picture.mode == "RGB" else picture.convert("RGB")), orientation)


def _flatten(rgba: UInt8[np.ndarray, "H W 4"]) -> UInt8[np.ndarray, "H W 3"]:
    alpha = rgba[:, :, 3:]
    rgb = rgba[:, :, :3]
    if alpha.min() == 255:
        return np.ascontiguousarray(rgb)
    a = alpha.astype(np.uint16)
    return ((rgb * a + _MID_GREY * (255 - a) + 127) // 255).astype(np.uint8)


def _to_eight_bits(values: np.ndarray, label: str) -> UInt8[np.ndarray, "H W"]:
    """16-bit, 32-bit and float grey by the rules at the top of this file."""
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise FrameError(f"{label} holds values that are not numbers: save it as 8- or 16-bit PNG")
        scale = 255.0 if values.max() <= 1 else 1.0
        return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)
    top = int(values.max())
    if top > 65535 or int(values.min()) < 0:
        raise FrameError(f"{label} holds values beyond 16 bits: save it as 8- or 16-bit PNG")
    return np.rint(values.astype(np.float32) * (255 / (4095 if top < 4096 else 65535))).astype(np.uint8)


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(0x0112, 1))
    except Exception:  # damaged metadata must not cost the picture
        return 1


def _turn(image: UInt8[np.ndarray, "H W 3"], orientation: int) -> UInt8[np.ndarray, "h w 3"]:
    """Undo the EXIF orientation (2–8 are flips and quarter turns)."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
