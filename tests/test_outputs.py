"""What a run writes: masks as text, PNG, overlays, and a folder that can be stopped in and resumed."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from clipomaly.config import Settings, UnknownSettings
from clipomaly.errors import DataError, OutputError
from clipomaly.export import files as files_module
from clipomaly.export.files import TEMPORARY_SUFFIX, safe_path, write_whole
from clipomaly.export.frames import FrameWriter
from clipomaly.export.masks import decode_rle, encode_rle, region_polygons, region_rle
from clipomaly.export.overlay import finding_text, place_boxes, render_overlay, render_overlays
from clipomaly.export.palette import UNNAMED_COLOR, entered_color, palette
from clipomaly.export.png import encode_png
from clipomaly.export.results import finished, read_results
from clipomaly.export.text import fit_text, text_coverage, text_width
from clipomaly.records import Candidate, Finding, Frame, Prediction, Region, Result
from clipomaly.vocabulary import KnownClass, Vocabulary

ROAD = Vocabulary(
    "road", known=(KnownClass("road", color=(128, 64, 128)), KnownClass("sky", color=(70, 130, 180)))
)
PROVENANCE = {"run": Settings().id, "version": "0", "model_hash": "abc", "vocabulary_hash": ROAD.hash}


def region(box: tuple[int, int, int, int], size: tuple[int, int], score: float = 0.8) -> Region:
    return Region(box, np.ones((box[3], box[2]), bool), score, size)


def prediction(
    size: tuple[int, int] = (60, 90), boxes: tuple[tuple[int, int, int, int], ...] = ((10, 20, 30, 16),)
) -> Prediction:
    """Boxes on a road below a sky; the first is a named moose, the others have no name."""
    score = np.full(size, 0.1, np.float32)
    labels = np.zeros(size, np.int64)
    labels[: size[0] // 2] = 1
    findings = []
    for i, box in enumerate(boxes):
        r = region(box, size, 0.9 - 0.01 * i)
        score[r.slices] = 0.9 - 0.01 * i
        candidates = (
            Candidate("moose", "dictionary", 0.31, 0.05, 0),
            Candidate("deer", "tags", 0.3, -0.01, 1),
        )
        if i == 0:
            labels[r.slices] = 2
        name = "moose" if i == 0 else None
        findings.append(Finding(r, name, 0.714 if name else float("nan"), candidates, "road", 0.26))
    names = ("road", "sky", "moose") if boxes else ("road", "sky")
    return Prediction(score, score > 0.5, labels, names, 2, tuple(findings), 0.5, {"encode": 0.25})


def result(name: str = "a", **changes: Any) -> Result:
    p = prediction(**changes)
    image = np.random.default_rng(1).integers(0, 255, (*p.score.shape, 3), np.uint8)
    return Result(Frame(image, name=name, source=f"in/{name}.png"), p, PROVENANCE)


def writer(out: Path, **changes: Any) -> FrameWriter:
    return FrameWriter(out, Settings(), ROAD, PROVENANCE, **changes)


# --- masks -------------------------------------------------------------------------------------------------

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_run_lengths_equal_pycocotools(mask: np.ndarray) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    ours = encode_rle(mask)
    assert ours == {
        "size": list(mask.shape),
        "counts": coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode(),
    }
    np.testing.assert_array_equal(decode_rle(ours), mask)


@pytest.mark.parametrize("fill", [0, 1])
def test_run_lengths_of_a_large_mask(fill: int) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    mask = np.full((3000, 4000), fill, bool)
    mask[1000:1003, 7] ^= True
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert encode_rle(mask)["counts"] == theirs
    np.testing.assert_array_equal(decode_rle(encode_rle(mask)), mask)


@settings(max_examples=60, deadline=None)
@given(MASKS.filter(np.any), st.integers(0, 5), st.integers(0, 5))
def test_a_regions_run_lengths_are_those_of_its_frame(mask: np.ndarray, x: int, y: int) -> None:
    size = (mask.shape[0] + y + 2, mask.shape[1] + x)
    r = Region((x, y, mask.shape[1], mask.shape[0]), mask, 0.5, size)
    assert region_rle(r) == encode_rle(r.full_mask())


def test_damaged_run_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        decode_rle({"size": [2, 2], "counts": encode_rle(np.ones((9, 9), bool))["counts"]})


def test_polygons_of_rectangles_are_exact() -> None:
    assert region_polygons(region((3, 4, 1, 1), (20, 20))) == [[3, 4, 3, 5, 4, 5, 4, 4]]
    assert region_polygons(region((0, 0, 20, 20), (20, 20))) == [[0, 0, 0, 20, 20, 20, 20, 0]]


@pytest.mark.parametrize("seed", range(6))
def test_polygons_cover_their_regions(seed: int) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    field = cv2.GaussianBlur(np.random.default_rng(seed).random((200, 300)).astype(np.float32), (0, 0), 12)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (field > np.quantile(field, 0.9)).astype(np.uint8)
    )
    for i in range(1, count):
        x, y, w, h, area = map(int, stats[i])
        if area < 200:
            continue
        r = Region((x, y, w, h), labels[y : y + h, x : x + w] == i, 0.5, (200, 300))
        polygons = region_polygons(r)
        drawn = coco.decode(coco.merge(coco.frPyObjects(polygons, 200, 300))).astype(bool)
        full = r.full_mask()
        assert (drawn & full).sum() / (drawn | full).sum() > 0.93
        assert sum(map(len, polygons)) < 150


# --- PNG ---------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=30),
    )
)
def test_png_is_read_back_by_others(pixels: np.ndarray) -> None:
    data = encode_png(pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), pixels)


def test_png_palette_and_texts() -> None:
    pixels = np.arange(3, dtype=np.uint8)[None]
    colors = [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    image = Image.open(io.BytesIO(encode_png(pixels, palette=colors, texts={"names": "Fußgänger, 人"})))
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), pixels)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB"))[0], colors)
    assert image.text["names"] == "Fußgänger, 人"  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="256"):
        encode_png(pixels, palette=[])
    with pytest.raises(ValueError, match="uint8"):
        encode_png(pixels.astype(np.float32))


# --- overlays ----------------------------------------------------------------------------------------------


def test_known_classes_are_tinted_and_findings_are_not() -> None:
    p = prediction((200, 600), ((400, 60, 100, 90),))
    grey = np.full((200, 600, 3), 100, np.uint8)
    out = render_overlay(grey, p, palette(p.names, 2, ROAD)).astype(int)
    assert out.shape == grey.shape
    for y, color in ((190, (128, 64, 128)), (5, (70, 130, 180))):
        assert np.all(np.sign(out[y, 5] - 100) == np.sign(np.array(color) - 100))
    assert out[105, 450].tolist() == [100, 100, 100]


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_outlines_and_names_show_on_any_picture(shade: int) -> None:
    p = prediction((300, 500), ((200, 120, 120, 90),))
    picture = np.full((300, 500, 3), shade, np.uint8)
    out = render_overlay(picture, p, palette(p.names, 2, ROAD)).astype(int)
    edge = out[165, 190:212]  # across the left edge
    assert edge.sum(axis=1).max() - edge.sum(axis=1).min() > 450
    [(x, y)] = place_boxes([(200, 120, 120, 90)], [(60, 16)], (300, 500), 3)
    name = out[y : y + 8, x + 8 : x + 50]
    assert name.min() < 60  # the box is dark …
    assert name.max() > 230  # … and its letters are light


def test_unknown_pixels_without_a_finding_are_marked() -> None:
    p = replace(prediction((200, 600), ((400, 60, 100, 90),)), findings=())
    grey = np.full((200, 600, 3), 180, np.uint8)
    out = render_overlay(grey, p, palette(p.names, 2, ROAD)).astype(int)
    assert np.all(np.sign(out[105, 450] - 180) == np.sign(np.array(UNNAMED_COLOR) - 180))


def test_names_on_a_thumbnail_are_as_large_as_on_a_picture_of_its_size() -> None:
    p = prediction((720, 1280), ((500, 300, 300, 250),))
    _, little = render_overlays(np.full((720, 1280, 3), 128, np.uint8), p, palette(p.names, 2, ROAD))
    assert little.shape == (270, 480, 3)
    rows = np.flatnonzero((little > 230).all(axis=2).sum(axis=1) > 40)  # the rims of the box around a name
    assert rows.size >= 2
    assert 18 <= rows[-1] - rows[0] <= 130


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (48, 64), (5, 3000), (900, 3)])
def test_odd_sizes_have_overlays(size: tuple[int, int]) -> None:
    p = prediction(size, ((0, 0, size[1], size[0]),))
    out = render_overlay(np.zeros((*size, 3), np.uint8), p, palette(p.names, 2, ROAD))
    assert out.shape[0] % size[0] == 0
    assert out.shape[0] // size[0] == out.shape[1] // size[1] >= 1
    assert max(out.shape) >= 480


def test_more_names_than_a_byte_holds() -> None:
    names = tuple(f"class {i}" for i in range(300))
    p = replace(prediction(boxes=()), names=names, n_known=300, labels=np.full((60, 90), 299))
    colors = palette(names, 300, None)
    out = render_overlay(np.full((60, 90, 3), 100, np.uint8), p, colors).astype(int)
    assert np.all(np.sign(out[30, 45] - 100) == np.sign(np.array(colors[299]) - 100))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 280), st.integers(0, 180), st.integers(1, 300), st.integers(1, 200)),
        max_size=24,
    )
)
def test_boxes_lie_inside_and_never_cover_each_other(regions: list[tuple[int, int, int, int]]) -> None:
    sizes = [(40 + 3 * i, 14) for i in range(len(regions))]
    spots = place_boxes(regions, sizes, (200, 300), gap=3)
    placed = [(*spot, *size) for spot, size in zip(spots, sizes, strict=True) if spot is not None]
    assert len(placed) == len(regions) or len(regions) > 8  # there is room for eight wherever they begin
    for i, (x, y, w, h) in enumerate(placed):
        assert x >= 0
        assert y >= 0
        assert x + w <= 300
        assert y + h <= 200
        for a, b, c, d in placed[:i]:
            assert x + w <= a or a + c <= x or y + h <= b or b + d <= y


def test_a_box_that_fits_nowhere_is_left_out() -> None:
    assert place_boxes([(0, 0, 5, 5), (0, 0, 5, 5)], [(8, 8), (30, 8)], (10, 10), gap=2) == [(2, 2), None]
    assert place_boxes([(0, 0, 9, 9)] * 2, [(9, 9)] * 2, (10, 10), gap=0)[1] is None


def test_texts() -> None:
    finding = prediction().findings[0]
    assert finding_text(finding) == "moose 71 %"
    assert finding_text(replace(finding, name=None)) == "unknown object"
    assert finding_text(finding, guesses=True) == "moose?"
    assert finding_text(replace(finding, name=None), guesses=True) == "unknown object"
    assert text_coverage("moose", 20).max() == 255
    assert fit_text("a very long name for a thing", 20, 120).endswith("...")
    assert text_width(fit_text("a very long name for a thing", 20, 120), 20) <= 120
    assert fit_text("wide", 20, 3) == ""
    # No letter is lost without a trace: accents go before a letter does.
    plain = text_coverage("Fussganger", 20)
    assert abs(text_coverage("Fußgänger", 20).shape[1] - plain.shape[1]) < 40
    assert text_coverage("人\n", 20).max() > 100


def test_colours_are_those_of_the_vocabulary_then_of_the_name() -> None:
    colors = palette(("road", "sky", "moose", "road sign"), 2, ROAD)
    assert colors == [(128, 64, 128), (70, 130, 180), entered_color("moose"), entered_color("road sign")]


# --- files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "a//b", "", ".", "a/..", "..\\x", "C:\\x", "a\0b"]
)
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="would leave the output folder"):
        safe_path(tmp_path, name, ".png")


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "deep" / "x.bin"
    write_whole(target, b"old")

    def full(source: object, to: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files_module.os, "replace", full)
    with pytest.raises(OutputError, match=r"x\.bin: the disk is full: free some space.*--resume"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(target.parent) == ["x.bin"]


LIMITED = """
import resource, signal, sys
sys.path.insert(0, {tests!r})
from importlib import util
spec = util.spec_from_file_location("outputs", {file!r}); m = util.module_from_spec(spec)
sys.modules["outputs"] = m; spec.loader.exec_module(m)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
from clipomaly.errors import OutputError
try:
    with m.writer(m.Path({out!r})) as w:
        w.write(m.result("small"))
        w.write(m.result("large", size=(400, 900)))
except OutputError as error:
    print(error)
"""


def test_a_file_that_the_system_cuts_off_is_not_left_behind(tmp_path: Path) -> None:
    """The kernel itself stops a write in the middle, as a full disk does."""
    out = tmp_path / "out"
    code = LIMITED.format(tests=str(Path(__file__).parent), file=__file__, out=str(out))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "the disk is full" in done.stdout, done.stderr
    assert [row["frame"] for row in read_results(out)] == ["small"]
    assert finished(out) == {"small"}
    assert not list(out.rglob(f"*{TEMPORARY_SUFFIX}"))
    assert json.loads((out / "run.json").read_text())["status"] == "stopped"


# --- a run's folder ----------------------------------------------------------------------------------------


def test_a_frame_and_everything_about_it(tmp_path: Path) -> None:
    given_result = result("left/0001", boxes=((10, 20, 30, 16), (60, 5, 8, 8)))
    with writer(tmp_path) as w:
        w.write(given_result)
        w.fail("bad", "in/bad.png", "in/bad.png is empty")
    [row] = read_results(tmp_path)
    p = given_result.prediction
    for kind, name in row["files"].items():
        assert name == f"left/0001.{kind}.{'jpg' if kind == 'overlay' else 'png'}"

    labels = Image.open(tmp_path / row["files"]["labels"])
    np.testing.assert_array_equal(np.asarray(labels), p.labels)
    assert labels.getpalette()[6:9] == list(entered_color("moose"))  # type: ignore[index]
    assert json.loads(labels.text["names"]) == ["road", "sky", "moose"]  # type: ignore[attr-defined]
    unknown = np.asarray(Image.open(tmp_path / row["files"]["unknown"]))
    np.testing.assert_array_equal(unknown, np.where(p.unknown, 255, 0))
    score = np.asarray(Image.open(tmp_path / row["files"]["score"]))
    assert score.dtype == np.uint16
    low, high = row["score_scale"]
    np.testing.assert_allclose(low + score / 65535 * (high - low), p.score, atol=1e-5)
    assert Image.open(tmp_path / row["files"]["overlay"]).size == (540, 360)  # six times 90×60

    moose, unnamed = row["findings"]
    assert (moose["name"], moose["confidence"], moose["name_source"]) == ("moose", 0.714, "dictionary")
    assert (unnamed["name"], unnamed["confidence"], unnamed["name_source"]) == (None, None, None)
    assert moose["box"] == [10, 20, 30, 16]
    assert moose["area"] == 480
    assert [c["name"] for c in moose["candidates"]] == ["moose", "deer"]
    assert moose["candidates"][1] == {
        "name": "deer",
        "source": "tags",
        "similarity": 0.3,
        "margin": -0.01,
        "rank": 1,
    }
    assert (moose["nearest_known"], moose["nearest_known_similarity"]) == ("road", 0.26)
    np.testing.assert_array_equal(decode_rle(moose["rle"]), p.findings[0].region.full_mask())
    assert row["provenance"] == PROVENANCE
    assert row["policies"]["policy"] == Settings().naming.policy
    assert row["policies"]["score"] == Settings().unknown.score
    assert row["seconds"].keys() == {"encode", "write"}
    assert (row["threshold"], row["n_known"], row["names"]) == (0.5, 2, ["road", "sky", "moose"])

    run = json.loads((tmp_path / "run.json").read_text())
    assert run["status"] == "finished"
    assert run["counts"] == {"frames": 1, "findings": 2, "named": 1, "failures": 1}
    assert run["failures"] == [{"frame": "bad", "source": "in/bad.png", "reason": "in/bad.png is empty"}]
    assert run["vocabulary"]["classes"][0] == {"name": "road", "color": [128, 64, 128]}
    assert run["settings"]["naming"]["cap"] == Settings().naming.cap


def test_scores_of_any_range_say_their_scale(tmp_path: Path) -> None:
    given_result = result()
    energy = (given_result.prediction.score * 40 - 25).astype(np.float32)
    with writer(tmp_path) as w:
        row = w.write(replace(given_result, prediction=replace(given_result.prediction, score=energy)))
    low, high = row["score_scale"]
    stored = np.asarray(Image.open(tmp_path / row["files"]["score"]))
    np.testing.assert_allclose(low + stored / 65535 * (high - low), energy, atol=1e-3)
    assert (low, high) == pytest.approx((energy.min(), energy.max()))


def test_a_constant_score_outside_the_unit_range(tmp_path: Path) -> None:
    given_result = result(boxes=())
    flat = np.full_like(given_result.prediction.score, -3.5)
    with writer(tmp_path) as w:
        row = w.write(replace(given_result, prediction=replace(given_result.prediction, score=flat)))
    assert row["score_scale"] == [-3.5, -2.5]
    assert np.asarray(Image.open(tmp_path / row["files"]["score"])).max() == 0


def test_exact_scores_as_npz(tmp_path: Path) -> None:
    given_result = result()
    with writer(tmp_path, score_format="npz") as w:
        row = w.write(given_result)
    with np.load(tmp_path / row["files"]["score"]) as stored:
        np.testing.assert_array_equal(stored["score"], given_result.prediction.score)
    with pytest.raises(OutputError, match="png or npz"):
        writer(tmp_path / "other", score_format="tiff")


def test_a_score_map_with_holes_is_refused(tmp_path: Path) -> None:
    given_result = result()
    score = given_result.prediction.score.copy()
    score[0, 0] = np.nan
    with writer(tmp_path) as w, pytest.raises(OutputError, match="not numbers"):
        w.write(replace(given_result, prediction=replace(given_result.prediction, score=score)))
    assert list(read_results(tmp_path)) == []


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with writer(tmp_path) as w:
        w.write(result("a"))
        with pytest.raises(OutputError, match="twice"):
            w.write(result("a"))


def test_a_folder_with_results_is_not_touched_unless_asked(tmp_path: Path) -> None:
    with writer(tmp_path) as w:
        w.write(result("a"))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(OutputError, match=r"holds results already.*--resume"):
        writer(tmp_path)
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}


def test_replacing_removes_what_the_earlier_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    with writer(tmp_path) as w:
        w.write(result("sub/old"))
    (tmp_path / "mine.txt").write_text("keep me")
    with writer(tmp_path, existing="replace") as w:
        assert w.finished == set()
        w.write(result("new"))
    assert [row["frame"] for row in read_results(tmp_path)] == ["new"]
    assert not [p for p in tmp_path.rglob("old*") if p.is_file()]
    assert (tmp_path / "mine.txt").exists()


def test_resuming_equals_a_run_that_was_never_stopped(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d"]
    with writer(tmp_path / "whole") as w:
        for name in names:
            w.write(result(name))
    stopped = tmp_path / "stopped"
    with contextlib.suppress(KeyboardInterrupt), writer(stopped) as w:
        for name in names[:3]:
            w.write(result(name))
        raise KeyboardInterrupt
    assert json.loads((stopped / "run.json").read_text())["status"] == "stopped"
    # The run was killed while it wrote: a torn line, a file missing, and a part of a file.
    lines = (stopped / "results.jsonl").read_bytes().splitlines(keepends=True)
    (stopped / "results.jsonl").write_bytes(lines[0] + lines[1] + lines[2][:50])
    (stopped / "a.labels.png").unlink()
    (stopped / f".123{TEMPORARY_SUFFIX}").write_bytes(b"part")
    assert finished(stopped) == {"b"}
    with writer(stopped, existing="resume") as w:
        assert w.finished == {"b"}
        for name in names:
            if name not in w.finished:
                w.write(result(name))
    rows = {row["frame"]: row for row in read_results(stopped)}
    assert [row["frame"] for row in read_results(stopped)] == ["b", "a", "c", "d"]
    for row in read_results(tmp_path / "whole"):
        for values in (row, rows[row["frame"]]):
            del values["seconds"]
        assert row == rows[row["frame"]]
        for file in row["files"].values():
            assert (stopped / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert not list(stopped.rglob(f"*{TEMPORARY_SUFFIX}"))
    assert json.loads((stopped / "run.json").read_text())["counts"]["frames"] == 4


def test_resuming_with_other_settings_is_refused(tmp_path: Path) -> None:
    with writer(tmp_path) as w:
        w.write(result("a"))
    other = Settings(unknown=UnknownSettings(score="msp"))
    with pytest.raises(OutputError, match=r"other settings: --score auto, now msp\. Choose another --out"):
        FrameWriter(tmp_path, other, ROAD, {**PROVENANCE, "run": other.id}, existing="resume")
    with pytest.raises(OutputError, match="made with another model hash"):
        FrameWriter(tmp_path, Settings(), ROAD, {**PROVENANCE, "model_hash": "def"}, existing="resume")
    (tmp_path / "run.json").unlink()
    with pytest.raises(OutputError, match="missing or damaged"):
        writer(tmp_path, existing="resume")


def test_two_runs_at_once_do_not_mix(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with writer(tmp_path), pytest.raises(OutputError, match="another run writes"):
        writer(tmp_path, existing="resume")
    with writer(tmp_path, existing="resume") as w:  # free again
        w.write(result("a"))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        writer(tmp_path / "file" / "out")
    with pytest.raises(DataError, match="cannot read"):
        list(read_results(tmp_path / "nothing"))


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text('{"schema":1,"frame":"a","files":{}}\nnonsense\n')
    with pytest.raises(DataError, match=r"line 2 of .*results\.jsonl is damaged"):
        list(read_results(tmp_path))


def test_names_outside_ascii(tmp_path: Path) -> None:
    given_result = result("Straße/写真 1")
    with writer(tmp_path) as w:
        w.write(given_result)
    [row] = read_results(tmp_path)
    assert row["frame"] == "Straße/写真 1"
    assert finished(tmp_path) == {"Straße/写真 1"}
