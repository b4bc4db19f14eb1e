"""Calibrating shows what it was calibrated on; a run that finds nothing says by what measure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipomaly.commands.calibrate import calibrate_scores, run_calibrate
from clipomaly.commands.highest import Highest, cut_place
from clipomaly.commands.segment import Output, run_segment
from clipomaly.config import load_settings
from clipomaly.errors import ConfigError
from clipomaly.maths.scores import SCORES
from clipomaly.methods.clipomaly import Clipomaly
from clipomaly.methods.table import open_method
from clipomaly.records import Frame
from clipomaly.testing import ColourEncoder, colour_picture, colour_vocabulary
from clipomaly.thresholds import Thresholds, load_thresholds

GREENS = colour_vocabulary("green", "white")


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for i in range(count):
        Image.fromarray(np.full((48, 80, 3), 100 + i, np.uint8)).save(folder / f"{i:02}.png")
    return folder


def test_an_unknown_thing_among_ordinary_frames_comes_first() -> None:
    method = Clipomaly(ColourEncoder(), load_settings(overrides={"threshold": "0.5"}))
    frames = [Frame(colour_picture("green"), f"green {i}") for i in range(13)]
    polluted = colour_picture("green")
    polluted[16:32, 24:40] = (255, 0, 0)
    frames.insert(7, Frame(polluted, "polluted"))
    highest = Highest()
    values = calibrate_scores(method, GREENS, frames, 0.01, highest)
    assert values == calibrate_scores(method, GREENS, frames, 0.01), "looking changes no threshold"
    assert highest.places[0].frame == "polluted"
    assert len(highest.places) == 12, "one place a frame, twelve at most"
    assert len({p.frame for p in highest.places}) == 12
    red = np.all(highest.places[0].crop == (255, 0, 0), axis=-1)
    assert red.any()
    assert highest.places[0].score > highest.places[1].score


def test_a_crop_shows_the_place_wherever_it_lies() -> None:
    image = np.zeros((300, 800, 3), np.uint8)
    for row, column in ((0, 0), (299, 799), (150, 400)):
        score = np.zeros((300, 800), np.float32)
        score[row, column] = 0.9
        image[:] = 0
        image[max(0, row - 9) : row + 9, max(0, column - 9) : column + 9] = (0, 0, 255)
        place = cut_place(Frame(image, "a"), score)
        assert place.crop.shape == (260, 260, 3)
        assert place.score == pytest.approx(0.9)
        assert (place.crop[..., 2].astype(int) - place.crop[..., 0] > 200).any()


def test_the_score_that_will_be_used_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = pictures(tmp_path / "ordinary", 2)
    for score, own in ((None, "energy"), ("entropy", "entropy")):  # energy is what mini's folder names
        settings = load_settings(overrides={"score": score} if score else {})
        run_calibrate(settings, [str(frames)], 0.05, tmp_path / "t.json")
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines if "taken here" in line] == [own]
        assert sum(line.split()[0] in SCORES for line in lines) == len(SCORES)


def test_the_sheet_lies_beside_the_thresholds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = pictures(tmp_path / "ordinary", 14)
    settings = load_settings(overrides={"method": "centre"})
    out, sheet = tmp_path / "t.json", tmp_path / "t.highest.jpg"
    run_calibrate(settings, [str(frames)], 0.05, out)
    assert not sheet.exists()
    assert "ordinary?" not in capsys.readouterr().out
    run_calibrate(settings, [str(frames)], 0.05, out, sheet=sheet)
    told = " ".join(capsys.readouterr().out.split())
    assert "the 12 highest-scoring places, one a frame" in told
    assert "look: are these really ordinary?" in told
    with Image.open(sheet) as picture:
        assert picture.format == "JPEG"
        assert picture.size[0] == 4 * 268
        assert picture.size[1] > 3 * 260
    with pytest.raises(ConfigError, match=r"call .*sheet.png \*.jpg"):
        run_calibrate(settings, [str(frames)], 0.05, out, sheet=tmp_path / "sheet.png")


def test_the_command_line_names_the_sheet_after_the_file(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from clipomaly.cli import app

    frames, out = pictures(tmp_path / "ordinary", 2), tmp_path / "mine.json"
    line = ["calibrate", "--frames", str(frames), "--method", "centre", "--out", str(out)]
    assert CliRunner().invoke(app, [*line, "--no-sheet"]).exit_code == 0
    assert not list(tmp_path.glob("*.jpg"))
    assert CliRunner().invoke(app, line).exit_code == 0
    assert (tmp_path / "mine.highest.jpg").is_file()
    both = CliRunner().invoke(app, [*line, "--no-sheet", "--sheet", str(tmp_path / "x.jpg")])
    assert "choose one" in str(both.exception)


def test_a_run_without_findings_says_by_what_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = pictures(tmp_path / "ordinary", 3)
    high = {"method": "centre", "threshold": "1.0"}
    run_segment(load_settings(overrides=high), [str(frames)], Output(tmp_path / "none"), limit=2)
    told = " ".join(capsys.readouterr().err.split())
    assert "2 frames, 0 findings" in told
    assert "nothing was found: the threshold was 1.000, the highest score seen " in told
    assert "--min-area" not in told
    small = {"method": "centre", "threshold": "0.9", "min_area": 0.9}
    run_segment(load_settings(overrides=small), [str(frames)], Output(tmp_path / "small"))
    told = " ".join(capsys.readouterr().err.split())
    assert "too small for a region (--min-area)" in told
    some = {"method": "centre", "threshold": "0.5"}
    run_segment(load_settings(overrides=some), [str(frames)], Output(tmp_path / "some"))
    assert "nothing was found" not in capsys.readouterr().err


def test_a_limit_holds_over_resuming(tmp_path: Path) -> None:
    frames = pictures(tmp_path / "in", 5)
    settings = load_settings(overrides={"method": "centre", "threshold": "0.5"})
    out = tmp_path / "out"
    assert run_segment(settings, [str(frames)], Output(out), limit=2).frames == 2
    assert run_segment(settings, [str(frames)], Output(out, "resume"), limit=2).frames == 2
    assert run_segment(settings, [str(frames)], Output(out, "resume"), limit=4).frames == 4
    assert run_segment(settings, [str(frames)], Output(out, "resume")).frames == 5


def test_a_store_takes_the_first_frames_and_the_same_run_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("lancedb", reason="needs the extra [store]")
    from clipomaly.commands.run import Intake, run_into_store

    frames, uri = pictures(tmp_path / "in", 4), str(tmp_path / "store")
    settings = load_settings(overrides={"method": "centre", "threshold": "0.5"})
    eyes = ColourEncoder()
    first = run_into_store(settings, [str(frames)], uri, Intake(limit=2), encoder=eyes)
    assert (first.frames, first.there) == (2, 0)
    rest = run_into_store(settings, [str(frames)], uri, encoder=eyes)
    assert (rest.run, rest.frames, rest.there) == (first.run, 2, 2)


def test_a_thresholds_file_that_is_missing_says_how_to_make_one(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.json"
    with pytest.raises(ConfigError) as caught:
        load_thresholds(missing)
    told = str(caught.value)
    assert f"there is no thresholds file {missing}" in told
    assert f"clipomaly calibrate --frames FOLDER --out {missing}" in told
    assert "Errno" not in told
    with pytest.raises(ConfigError, match="cannot read thresholds") as caught:
        load_thresholds(tmp_path)
    assert "Errno" not in str(caught.value)


def test_thresholds_of_another_vocabulary_name_the_file(tmp_path: Path) -> None:
    encoder, file = ColourEncoder(), tmp_path / "mine.json"
    settings = load_settings(overrides={"thresholds": str(file)})
    conditions = Clipomaly(encoder, settings).conditions()
    file.write_text(Thresholds("colours", conditions, 0.01, {"another": {"entropy": 0.5}}).to_json())
    with pytest.raises(ConfigError) as caught:
        open_method(settings, GREENS, encoder=encoder)
    assert f"--thresholds {file}: " in str(caught.value)
    assert f"none was measured for vocabulary {GREENS.name}" in str(caught.value)


def test_a_limit_counts_frames_of_videos(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs the extra [video]")
    from clipomaly.data.sources import list_sources, read_frames

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(6):
            image = np.full((48, 64, 3), 20 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "b.png")
    items = list_sources([str(tmp_path)])
    names = ["a#000000", "a#000002", "a#000004", "b"]
    for limit in range(1, 5):
        assert [f.name for f in read_frames(items, every=2, limit=limit)] == names[:limit]
    kept = read_frames(items, every=2, limit=3, skip={"a#000000"}.__contains__)
    assert [f.name for f in kept] == names[1:3]
