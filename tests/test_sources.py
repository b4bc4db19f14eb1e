"""Sources: what is found, in which order, and what the frames are called."""

from __future__ import annotations

import http.server
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clipomaly.data.fetch import fetch
from clipomaly.data.sources import SourceItem, UnreadableFrame, list_sources, natural_key, read_frames
from clipomaly.errors import FrameError, SourceError
from clipomaly.records import Frame


def picture(path: Path, shade: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (shade, 0, 0)).save(path)
    return path


def names(items: list[SourceItem]) -> list[str]:
    return [item.name for item in items]


def test_a_folder_is_searched_through_in_the_order_people_count(tmp_path: Path) -> None:
    for name in ("f10.png", "f2.png", "sub/f1.jpg", "sub.bmp", "notes.txt", ".hidden.png", ".git/x.png"):
        picture(tmp_path / name) if not name.endswith("txt") else (tmp_path / name).write_text("no picture")
    items = list_sources([str(tmp_path)])
    assert names(items) == ["f2", "f10", "sub/f1", "sub"]
    assert [Path(i.place).name for i in items] == ["f2.png", "f10.png", "f1.jpg", "sub.bmp"]


def test_masks_beside_their_picture_are_no_pictures(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.labels/labels_semantic.png", "b.labels/kept.png"):
        picture(tmp_path / name)
    assert names(list_sources([str(tmp_path)])) == ["a", "b.labels/kept"]  # b.labels belongs to no picture


def test_equal_names_in_two_folders_stay_apart(tmp_path: Path) -> None:
    for name in ("a/left/1.png", "b/left/1.png", "b/left/2.png"):
        picture(tmp_path / name)
    assert names(list_sources([str(tmp_path / "a/left"), str(tmp_path / "b/left")])) == [
        "a/left/1",
        "b/left/1",
        "b/left/2",
    ]
    assert names(list_sources([str(tmp_path / "a/left/1.png"), str(tmp_path / "b/left/1.png")])) == [
        "a/left/1",
        "b/left/1",
    ]
    assert names(list_sources([str(tmp_path / "b/left")])) == ["1", "2"]


def test_a_name_depends_on_the_folder_not_on_the_other_files(tmp_path: Path) -> None:
    picture(tmp_path / "a/1.png")
    picture(tmp_path / "b/2.png")
    before = names(list_sources([str(tmp_path / "a"), str(tmp_path / "b")]))
    picture(tmp_path / "b/1.png")
    assert before == ["a/1", "b/2"]
    assert names(list_sources([str(tmp_path / "a"), str(tmp_path / "b")])) == ["a/1", "b/1", "b/2"]


def test_files_that_differ_in_suffix_alone_keep_it(tmp_path: Path) -> None:
    picture(tmp_path / "x.png")
    picture(tmp_path / "x.jpg")
    picture(tmp_path / "y.jpg")
    assert names(list_sources([str(tmp_path)])) == ["x.jpg", "x.png", "y"]


def test_globs_standard_input_and_repeats(tmp_path: Path) -> None:
    for name in ("d1/a.png", "d2/a.png", "d2/deep/b.png"):
        picture(tmp_path / name)
    assert names(list_sources([str(tmp_path / "d*/a.png")])) == ["d1/a", "d2/a"]
    assert names(list_sources([str(tmp_path / "**/*.png")])) == ["d1/a", "d2/a", "d2/deep/b"]
    lines = [f"{tmp_path}/d1/a.png\n", "\n", f"{tmp_path}/d2/deep/b.png\r\n", f"{tmp_path}/d1/a.png"]
    assert names(list_sources(["-"], stdin=lines)) == ["a", "b"]
    # A file whose name looks like a pattern is itself.
    assert names(list_sources([str(picture(tmp_path / "frame[1].png"))])) == ["frame[1]"]


def test_the_output_folder_is_no_source(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "out/a.overlay.jpg")
    assert names(list_sources([str(tmp_path)], exclude=tmp_path / "out")) == ["a"]
    assert names(list_sources([str(tmp_path / "**/*.*")], exclude=tmp_path / "out")) == ["a"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    picture(tmp_path / "a/x.png")
    (tmp_path / "a/again").symlink_to(tmp_path / "a", target_is_directory=True)
    assert names(list_sources([str(tmp_path)])) == ["a/x"]


def test_arguments_that_lead_nowhere_do_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    good = picture(tmp_path / "good.png")
    arguments = [str(tmp_path / "missing.png"), str(good), str(tmp_path / "empty"), str(tmp_path / "*.tif")]
    frames = list(read_frames(list_sources(arguments)))
    assert [type(f) for f in frames] == [UnreadableFrame, Frame, UnreadableFrame, UnreadableFrame]
    messages = [str(f) for f in frames if isinstance(f, UnreadableFrame)]
    assert "does not exist" in messages[0]
    assert "holds no picture" in messages[1]
    assert "nothing matches" in messages[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no source"),
        (["missing.png", "also-missing.png"], r"missing.png does not exist.*and 1 more"),
        (["-"], "standard input named no source"),
        (["ftp://example.org/a.png"], "http"),
        (["file:///etc/passwd"], "http"),
        (["https://example.org/a.mp4"], "download it first"),
    ],
)
def test_no_source_at_all_is_an_error(arguments: list[str], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        list_sources(arguments, stdin=[])


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no picture or video"):
        list_sources([str(tmp_path)])


def test_skipped_frames_are_not_even_read(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"broken")
    picture(tmp_path / "fine.png")
    frames = list(read_frames(list_sources([str(tmp_path)]), skip={"broken"}.__contains__))
    assert [f.name for f in frames] == ["fine"]


def test_a_limit_takes_the_first_frames_the_skipped_among_them(tmp_path: Path) -> None:
    for i in range(5):
        picture(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_bytes(b"no picture")
    items = list_sources([str(tmp_path)])
    assert [f.name for f in read_frames(items, limit=3)] == ["0", "1", "2"]
    assert [f.name for f in read_frames(items, limit=3, skip={"0", "2"}.__contains__)] == ["1"]
    assert len(list(read_frames(items, limit=9))) == 5


def test_frames_are_read_one_at_a_time(tmp_path: Path) -> None:
    picture(tmp_path / "1.png", 10)
    second = picture(tmp_path / "2.png", 20)
    frames = read_frames(list_sources([str(tmp_path)]))
    assert next(frames).image[0, 0].tolist() == [10, 0, 0]
    picture(second, 30)  # changed after the listing, before its turn
    assert next(frames).image[0, 0].tolist() == [30, 0, 0]


PART = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(paths=st.lists(st.lists(PART, min_size=1, max_size=3), min_size=1, max_size=8))
def test_names_are_unique_and_stay_inside(paths: list[list[str]]) -> None:
    addresses = [f"http://host/{'/'.join(map(_quote, parts))}.png" for parts in paths]
    items = list_sources(addresses)
    found = names(items)
    assert len(set(found)) == len(found) == len(set(addresses))
    for name in found:
        parts = name.split("/")
        assert not set(parts) & {"", ".", ".."}
        assert all(len(p.encode()) <= 200 and "\\" not in p and ":" not in p and "\0" not in p for p in parts)


def _quote(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("0129ab/.", max_size=6), max_size=8), st.randoms())
def test_the_order_does_not_depend_on_where_it_began(texts: list[str], random: Random) -> None:
    shuffled = random.sample(texts, len(texts))
    assert sorted(texts, key=natural_key) == sorted(shuffled, key=natural_key)


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        with open(raw, "wb") as file:
            Image.new("RGB", (2, 2)).save(file, "PNG")
    except OSError:
        pytest.skip("this file system holds no such names")
    [item] = list_sources([str(tmp_path)])
    item.name.encode()  # can be written
    [frame] = read_frames([item])
    assert isinstance(frame, Frame)


# --- addresses ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), (1, 2, 3)).save(buffer, "PNG")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path in ("/good.png", "/long"):
                self.send_response(200)
                body = buffer.getvalue()
                self.send_header("Content-Length", str(len(body) + 10 * (path == "/long")))
                self.end_headers()
                self.wfile.write(body)
            elif path in ("/moved", "/away", "/ftp", "/loop"):
                self.send_response(302)
                to = {
                    "/moved": "/good.png",
                    "/away": "file:///etc/passwd",
                    "/ftp": "ftp://127.0.0.1/x",
                    "/loop": "/loop",
                }[path]
                self.send_header("Location", to)
                self.end_headers()
            elif path == "/endless":
                self.send_response(200)
                self.end_headers()
                while True:
                    try:
                        self.wfile.write(b"x" * 65536)
                    except OSError:
                        return
            else:
                self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "*")
        yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_picture_from_an_address(server: str) -> None:
    items = list_sources([f"{server}/good.png?id=1", f"{server}/good.png?id=2", f"{server}/moved"])
    assert len(set(names(items))) == 3
    frames = list(read_frames(items))
    assert [f.image[0, 0].tolist() for f in frames if isinstance(f, Frame)] == [[1, 2, 3]] * 3


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/missing.png", "404"),
        ("/away", "not allowed"),
        ("/ftp", "unknown url type"),
        ("/loop", "30"),
        ("/endless", "larger than 1 MiB"),
        ("/long", "broke off"),
    ],
)
def test_addresses_that_fail(server: str, path: str, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        fetch(server + path, max_bytes=1 << 20, timeout=5)


def test_an_address_nobody_answers_at() -> None:
    with pytest.raises(FrameError, match="cannot be reached"):
        fetch("http://127.0.0.1:9/x.png", timeout=2)


# --- videos ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    av = pytest.importorskip("av", reason="needs the video extra")
    path = tmp_path_factory.mktemp("video") / "drive.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(12):
            image = np.full((48, 64, 3), 20 * i, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def test_a_video_is_its_frames(video: Path) -> None:
    frames = [f for f in read_frames(list_sources([str(video)])) if isinstance(f, Frame)]
    assert [f.name for f in frames] == [f"drive#{i:06d}" for i in range(12)]
    assert [f.time for f in frames] == pytest.approx([i / 10 for i in range(12)])
    assert [int(f.image.mean()) for f in frames] == pytest.approx([20 * i for i in range(12)], abs=6)


def test_every_nth_frame_keeps_its_name_and_time(video: Path) -> None:
    skipped = {"drive#000005"}
    frames = list(read_frames(list_sources([str(video)]), every=5, skip=skipped.__contains__))
    assert [(f.name, f.time) for f in frames if isinstance(f, Frame)] == [
        ("drive#000000", 0.0),
        ("drive#000010", 1.0),
    ]
    with pytest.raises(SourceError, match="1 or more"):
        list(read_frames([], every=0))


def test_a_video_that_breaks_off(video: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(video.read_bytes()[:900])
    picture(tmp_path / "later.png")
    *_, failure, later = list(read_frames(list_sources([str(tmp_path)])))
    assert isinstance(failure, UnreadableFrame)
    assert "broken.mp4" in str(failure)
    assert isinstance(later, Frame)


def test_without_the_extra_a_video_says_what_to_install(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    [failure] = read_frames(list_sources([str(video)]))
    assert isinstance(failure, UnreadableFrame)
    assert 'pip install ".[video]"' in str(failure)
