"""Pictures as they come: of every kind, damaged, or too large. Each is read right, or fails in one line."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from clipomaly.data.images import MAX_PIXELS, read_image
from clipomaly.data.sources import UnreadableFrame, list_sources, read_frames
from clipomaly.errors import FrameError
from clipomaly.records import Frame

RNG = np.random.default_rng(0)
SCENE = np.asarray(
    Image.fromarray(RNG.integers(0, 255, (6, 8, 3), np.uint8)).resize((64, 48), Image.Resampling.BICUBIC)
)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


LOSSLESS = {
    "PNG": {},
    "BMP": {},
    "TIFF": {},
    "PPM": {},
    "WEBP": {"lossless": True, "exact": True},
    "JPEG2000": {},
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_kinds_come_out_as_they_went_in(kind: str) -> None:
    np.testing.assert_array_equal(read_image(encode(Image.fromarray(SCENE), kind, **LOSSLESS[kind])), SCENE)


@pytest.mark.parametrize(
    "options", [{"quality": 95}, {"quality": 60, "progressive": True}, {"subsampling": 0}]
)
def test_jpeg_agrees_with_pillow(options: dict[str, object]) -> None:
    data = encode(Image.fromarray(SCENE), "JPEG", **options)
    want = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(read_image(data).astype(int) - want).max() <= 2


def test_a_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "really-a-jpeg.png"
    path.write_bytes(encode(Image.fromarray(SCENE), "JPEG"))
    other = tmp_path / "really-a-png.jpg"
    other.write_bytes(encode(Image.fromarray(SCENE), "PNG"))
    assert read_image(path).shape == SCENE.shape
    np.testing.assert_array_equal(read_image(other), SCENE)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(SCENE), kind, exif=exif)
    want = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    got = read_image(data)
    assert got.shape == want.shape
    assert np.abs(got.astype(int) - want).max() <= 2
    assert got.flags.c_contiguous
    assert got.flags.writeable


def test_grey_palette_and_bilevel() -> None:
    grey = Image.fromarray(SCENE).convert("L")
    for kind in ("PNG", "JPEG"):
        got = read_image(encode(grey, kind, **({"quality": 100} if kind == "JPEG" else {})))
        assert np.abs(got.astype(int) - np.asarray(grey)[:, :, None]).max() <= 2
    palette = Image.fromarray(SCENE).quantize(16)
    np.testing.assert_array_equal(read_image(encode(palette, "PNG")), np.asarray(palette.convert("RGB")))
    bilevel = grey.convert("1")
    np.testing.assert_array_equal(np.unique(read_image(encode(bilevel, "PNG"))), [0, 255])


def test_alpha_is_composited_on_mid_grey() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 0] = 200
    rgba[0, :, 3] = 255, 0, 128
    got = read_image(encode(Image.fromarray(rgba), "PNG"))
    assert got[0].tolist() == [[200, 0, 0], [127, 127, 127], [164, 63, 63]]
    keyed = Image.fromarray(np.array([[0, 1]], np.uint8))
    keyed.putpalette([9, 9, 9, 50, 60, 70])
    assert read_image(encode(keyed, "PNG", transparency=0))[0].tolist() == [[127, 127, 127], [50, 60, 70]]
    la = Image.fromarray(np.array([[[80, 255], [80, 0]]], np.uint8), "LA")
    assert read_image(encode(la, "PNG"))[0, :, 0].tolist() == [80, 127]


def test_cmyk_agrees_with_pillow() -> None:
    data = encode(Image.fromarray(SCENE).convert("CMYK"), "JPEG", quality=95)
    want = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(read_image(data).astype(int) - want).max() <= 2


def test_sixteen_bit_grey_keeps_its_range() -> None:
    full = np.linspace(0, 65535, 64).astype(np.uint16)[None]
    for kind in ("PNG", "TIFF"):
        got = read_image(encode(Image.fromarray(full), kind))[0, :, 0]
        np.testing.assert_array_equal(got, np.rint(full[0] / 257).astype(np.uint8))
    twelve = np.array([[0, 2048, 4095]], np.uint16)
    assert read_image(encode(Image.fromarray(twelve), "PNG"))[0, :, 0].tolist() == [0, 128, 255]
    pgm = b"P5 2 1 65535 " + struct.pack(">HH", 0, 65535)
    assert read_image(pgm)[0, :, 0].tolist() == [0, 255]


def test_sixteen_bit_colour() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + struct.pack(">6H", 65535, 32768, 0, 257 * 10, 257 * 20, 257 * 30)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    png += chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    assert read_image(png)[0].tolist() == [[255, 128, 0], [10, 20, 30]]


def test_float_pictures_are_scaled_or_refused() -> None:
    unit = np.array([[0.0, 0.5, 1.0]], np.float32)
    assert read_image(encode(Image.fromarray(unit), "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    assert read_image(encode(Image.fromarray(unit * 255), "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    unit[0, 0] = np.nan
    with pytest.raises(FrameError, match="not numbers"):
        read_image(encode(Image.fromarray(unit), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF"])
def test_of_several_pictures_the_first_is_taken(kind: str) -> None:
    pages = [Image.new("RGB", (9, 7), color) for color in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(pages[0], kind, save_all=True, append_images=pages[1:], **options)
    np.testing.assert_array_equal(read_image(data), np.full((7, 9, 3), (255, 0, 0)))


@pytest.mark.parametrize("size", [(1, 1), (20000, 200), (3, 5000)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    data = encode(Image.new("RGB", size, (1, 2, 3)), "PNG")
    assert read_image(data).shape == (size[1], size[0], 3)


def bomb(width: int, height: int) -> bytes:
    """A few hundred bytes that claim any size."""
    data = bytearray(encode(Image.new("L", (8, 8)), "PNG"))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize("size", [(20000, 20000), (100000, 100000), (13100, 13100)])
def test_decompression_bombs_are_refused_before_decoding(size: tuple[int, int]) -> None:
    with pytest.raises(FrameError, match=f"limit is {MAX_PIXELS // 1_000_000} million.*shrink"):
        read_image(bomb(*size), name="bomb.png")
    with pytest.raises(FrameError, match="limit is 0 million"):
        read_image(encode(Image.fromarray(SCENE), "PNG"), max_pixels=100)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
def test_a_file_cut_short_is_never_read_in_part(kind: str, share: float) -> None:
    noise = Image.fromarray(RNG.integers(0, 255, (48, 64, 3), np.uint8))
    data = encode(noise, kind)
    with pytest.raises(FrameError, match=r"copy it again|not a picture"):
        read_image(data[: int(len(data) * share)], name="cut")


def test_damage_inside_is_one_line() -> None:
    data = bytearray(encode(Image.fromarray(SCENE), "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(
        FrameError, match=r"^broken\.png is cut short or damaged \(.+\): copy it again[^\n]*$"
    ):
        read_image(bytes(data), name="broken.png")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"]), st.randoms())
def test_whatever_the_bytes_it_is_a_picture_or_a_frame_error(tail: bytes, kind: str, random: object) -> None:
    data = bytearray(encode(Image.fromarray(SCENE[:8, :8]), kind))
    for _ in range(3):
        data[random.randrange(len(data))] = random.randrange(256)  # type: ignore[attr-defined]
    for candidate in (bytes(data), tail, bytes(data[:30]) + tail):
        message = ""
        try:
            image = read_image(candidate, max_pixels=1_000_000)
        except FrameError as error:
            message = str(error)
        else:
            assert image.dtype == np.uint8
            assert image.shape[2] == 3
        assert "\n" not in message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"just some text, longer than any header would be", "is not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "document"),
        (b"\x76\x2f\x31\x01" + bytes(60), "tone-map"),
        (b"#?RADIANCE\n", "tone-map"),
        (bytes(4) + b"ftypheic" + bytes(40), "HEIC"),
        (bytes(4) + b"ftypisom" + bytes(40), "video"),
    ],
)
def test_what_is_no_picture_says_what_it_is(data: bytes, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        read_image(data, name="file")


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(FrameError, match="is a folder"):
        read_image(tmp_path / "folder.png")
    with pytest.raises(FrameError, match="does not exist"):
        read_image(tmp_path / "missing.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(FrameError, match="not a regular file"):
        read_image(tmp_path / "pipe.png")
    locked = tmp_path / "locked.png"
    locked.write_bytes(encode(Image.fromarray(SCENE), "PNG"))
    locked.chmod(0)
    if os.geteuid() == 0:  # root reads anything: let the system say no in its place

        def refuse(self: Path) -> bytes:
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(FrameError, match=r"locked\.png may not be read: .*chmod"):
        read_image(locked)


def test_bad_pictures_among_good_ones_cost_only_themselves(tmp_path: Path) -> None:
    good = encode(Image.fromarray(SCENE), "JPEG")
    files = {
        "1.jpg": good,
        "2-cut.jpg": good[: len(good) // 2],
        "3-empty.png": b"",
        "4-bomb.png": bomb(50000, 50000),
        "5-text.gif": b"GIF? no, text",
        "6.png": good,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    frames = list(read_frames(list_sources([str(tmp_path)])))
    assert [f.name for f in frames] == ["1", "2-cut", "3-empty", "4-bomb", "5-text", "6"]
    assert [isinstance(f, Frame) for f in frames] == [True, False, False, False, False, True]
    for frame in frames:
        if isinstance(frame, UnreadableFrame):
            assert frame.name in str(frame)
            assert ": " in str(frame)
            assert "\n" not in str(frame)
