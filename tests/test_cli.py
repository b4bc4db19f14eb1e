"""The command line as people use it: the shipped model, real files, every kind of mistake."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from clipomaly.data.images import read_image
from clipomaly.encoders.load import MINI_FOLDER
from clipomaly.vocabulary import load_vocabulary


def clipomaly(*arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, as a person would."""
    command = [sys.executable, "-m", "clipomaly", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=120)


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (90, 160)) -> Path:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 9, 3), np.uint8)
    Image.fromarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)).save(path)
    return path


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_a_picture_becomes_everything_promised(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    out = tmp_path / "out"
    done = clipomaly("segment", tmp_path / "a.png", "--out", out, "--profile", "--percentile", "80",
                     "--threshold", "percentile")  # fmt: skip
    assert done.returncode == 0, done.stderr
    for stage in ("encode", "score", "split", "name", "segment", "write"):
        assert stage in done.stderr
    [row] = rows(out)
    assert row["findings"], "a fifth of the frame lies above the 80th percentile"
    assert {"model_hash", "vocabulary_hash", "run", "method", "version"} <= set(row["provenance"])
    labels = Image.open(out / "a.labels.png")
    assert labels.size == (160, 90)
    assert labels.mode == "P"
    assert np.asarray(labels).max() < len(row["names"])
    unknown = np.asarray(Image.open(out / "a.unknown.png"))
    assert set(np.unique(unknown)) <= {0, 255}
    assert np.asarray(Image.open(out / "a.score.png")).dtype == np.uint16
    assert read_image(out / "a.overlay.jpg").shape == (270, 480, 3), "small pictures are shown enlarged"
    page = (out / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert row["findings"][0]["candidates"]
    assert "look at" in done.stderr


def test_bad_files_are_named_and_good_ones_finished(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    picture(folder / "good1.png", 1)
    good = picture(folder / "good2.png", 2).read_bytes()
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no picture")
    picture(folder / "z.png", 3).rename(folder / "actually-png.jpg")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    out = tmp_path / "out"
    done = clipomaly("segment", folder, "--out", out)
    assert done.returncode == 1
    assert {r["frame"] for r in rows(out)} == {"actually-png", "dot", "good1", "good2"}
    told = " ".join(done.stderr.split())
    for bad in ("cut.png", "empty.jpg", "text.jpg"):
        assert bad in told
    failures = json.loads((out / "run.json").read_text())["failures"]
    assert len(failures) == 3
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "no-such-folder/model"], "no-such-folder"),
        (["--vocabulary", "moon"], "unknown vocabulary 'moon'"),
        (["--vocabulary", "TWICE"], "stands twice"),
        (["--vocabulary", "EMPTY"], "empty name"),
        (["--method", "magic"], "unknown method 'magic'"),
        (["--threshold", "much"], "threshold 'much' is not valid"),
        (["--dictionary", "nowhere.txt"], "nowhere.txt"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--resume", "--overwrite"], "choose one"),
        (["--cap", "-1"], "cap must be at least 0"),
        (["--thresholds", "nowhere.json"], "nowhere.json"),
        (["--thresholds", "OTHER", "--tile", "128"], "the thresholds were measured with"),
    ],
)
def test_mistakes_are_one_line_with_the_fix(tmp_path: Path, arguments: list[str], says: str) -> None:
    twice, empty = tmp_path / "twice.toml", tmp_path / "empty.toml"
    twice.write_text('name="v"\n[[known]]\nname="road"\n[[known]]\nname="road"\n')
    empty.write_text('name="v"\n[[known]]\nname=""\n')
    shipped = MINI_FOLDER / "thresholds.json"
    names = {"TWICE": str(twice), "EMPTY": str(empty), "OTHER": str(shipped)}
    arguments = [names.get(a, a) for a in arguments]
    done = clipomaly("segment", picture(tmp_path / "a.png"), "--out", tmp_path / "out", *arguments)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("note: ")]
    assert len(told) == 1, "one line, after what the model has to say of itself"


def test_no_pictures_and_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = clipomaly("segment", tmp_path / "empty", "--out", tmp_path / "o1")
    assert done.returncode != 0
    assert "empty" in done.stderr
    out = tmp_path / "o2"
    out.mkdir()
    (out / "results.jsonl").symlink_to("/dev/full")
    done = clipomaly("segment", picture(tmp_path / "a.png"), "--out", out)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert not list(out.glob("*.tmp"))


def test_a_list_on_standard_input(tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{n}.png", i) for i, n in enumerate("ab")]
    done = clipomaly("segment", "-", "--out", tmp_path / "out", stdin="\n".join(map(str, paths)))
    assert done.returncode == 0, done.stderr
    assert [r["frame"] for r in rows(tmp_path / "out")] == ["a", "b"]


def test_jobs_change_nothing_but_the_time(tmp_path: Path) -> None:
    for i in range(4):
        picture(tmp_path / f"{i}.png", i)
    kept = []
    for jobs in ("1", "2"):
        out = tmp_path / f"out{jobs}"
        assert (
            clipomaly("segment", *sorted(tmp_path.glob("*.png")), "--out", out, "--jobs", jobs).returncode
            == 0
        )
        kept.append([(r["frame"], [(f["name"], f["rle"]) for f in r["findings"]]) for r in rows(out)])
    assert kept[0] == kept[1]


def test_killed_and_resumed_is_a_run_that_was_never_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(12):
        picture(folder / f"{i:02}.png", i, size=(360, 640))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "clipomaly", "segment", str(folder), "--out", str(out)]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    lines = out / "results.jsonl"
    deadline = time.time() + 60
    while time.time() < deadline and not (lines.is_file() and lines.read_bytes().count(b"\n") >= 2):
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    before = lines.read_bytes().count(b"\n")
    assert before >= 2
    refused = clipomaly("segment", folder, "--out", out)
    assert refused.returncode != 0
    assert "--resume" in refused.stderr
    done = clipomaly("segment", folder, "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    assert sorted(r["frame"] for r in rows(out)) == [f"{i:02}" for i in range(12)]


def test_lists(tmp_path: Path) -> None:
    assert "clipomaly" in clipomaly("methods").stdout
    assert "mini" in clipomaly("models").stdout
    card = clipomaly("models", "mini").stdout
    assert re.search(r"^parameters +\d,\d{3},\d{3} *$", card, re.M)
    assert "thresholds" in card
    assert "research, non-commercial" in card
    assert "recipe" not in card  # a table of forty numbers: it stands in encoder.json
    full = clipomaly("models", "mini", "--card").stdout
    assert full.startswith("# mini")
    assert "## When not to use it" in full
    assert "](../" not in full  # an installation has no docs/ to lead to
    listed = clipomaly("vocabularies").stdout
    for name in ("airside", "camvid", "cityscapes"):
        assert name in listed
    shown = clipomaly("vocabularies", "airside").stdout
    assert "jet bridge" in shown
    assert "rejected" in shown


def test_calibrate_then_use_it(tmp_path: Path) -> None:
    folder = tmp_path / "ordinary"
    folder.mkdir()
    for i in range(3):
        picture(folder / f"{i}.png", i)
    file = tmp_path / "t.json"
    done = clipomaly(
        "calibrate", "--frames", folder, "--fpr", "0.05", "--vocabulary", "camvid", "--out", file
    )
    assert done.returncode == 0, done.stderr
    table = json.loads(file.read_text())
    score = json.loads((MINI_FOLDER / "encoder.json").read_text())["extra"]["score"]
    value = table["values"][load_vocabulary("camvid").hash][score]
    assert (tmp_path / "t.highest.jpg").is_file()
    assert "ordinary?" in done.stdout
    done = clipomaly("segment", folder, "--vocabulary", "camvid", "--thresholds", file, "--threshold",
                     "calibrated", "--blend", "0", "--out", tmp_path / "out")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all(abs(r["threshold"] - value) < 1e-6 for r in rows(tmp_path / "out"))
    wrong = clipomaly("segment", folder, "--vocabulary", "cityscapes", "--thresholds", file, "--threshold",
                      "calibrated", "--out", tmp_path / "out2")  # fmt: skip
    assert wrong.returncode != 0
    assert "clipomaly calibrate" in wrong.stderr
    assert f"--thresholds {file}" in wrong.stderr


def test_the_demo(tmp_path: Path) -> None:
    done = clipomaly("demo", "--out", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    for kind in ("road", "apron"):
        assert (tmp_path / "demo" / kind / "report.html").is_file()
        assert len(rows(tmp_path / "demo" / kind)) >= 4
    again = clipomaly("demo", "--out", tmp_path / "demo")
    assert again.returncode == 0, again.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep me")
    assert clipomaly("demo", "--out", tmp_path / "mine").returncode != 0
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "keep me"
