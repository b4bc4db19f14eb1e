"""`clipomaly metrics`: anybody's score maps; and the public benchmark's format."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner

from clipomaly.cli import app
from clipomaly.errors import ClipomalyError, DataError, MetricError, MissingExtra, OutputError
from clipomaly.evaluate.maps import evaluate_maps
from clipomaly.evaluate.result import reading_notes
from clipomaly.evaluate.scoremaps import find_scores, match_maps, parse_values, read_score
from clipomaly.export.files import check_writable
from clipomaly.export.png import encode_png
from clipomaly.export.smiyc import SMIYC_SPLITS, smiyc_path
from clipomaly.metrics.component import OBSTACLE_TRACK

SIZE = (40, 50)
VALUES = {0: 0, 1: 1, 255: 255}
RNG = np.random.default_rng(0)
LABELS = [np.zeros(SIZE, np.uint8) for _ in range(3)]
LABELS[0][5:30, 5:30] = 1
LABELS[1][10:20, 30:48] = 1
LABELS[1][:4] = 255
SCORES = [
    (0.3 * label * (label == 1) + RNG.random(SIZE)).astype(np.float32) for label in LABELS
]  # between 0 and 1.3


def save_png16(path: Path, score: np.ndarray) -> None:
    Image.fromarray((score / 2 * 65535).astype(np.uint16)).save(path)


def save_ours(path: Path, score: np.ndarray) -> None:
    levels = np.round(score / 2 * 65535).astype(np.uint16)
    path.write_bytes(encode_png(levels, texts={"score_scale": "0 2"}))


WRITERS = {
    "npy": lambda path, score: np.save(path, score),
    "npz": lambda path, score: np.savez(path, anything=score[None, :, :, None]),
    "tif": lambda path, score: Image.fromarray(score).save(path),
    "png": save_png16,
    "score.png": save_ours,
}


def folders(tmp_path: Path, kind: str = "npy") -> tuple[Path, Path]:
    scores, labels = tmp_path / "scores", tmp_path / "labels"
    scores.mkdir()
    labels.mkdir()
    for i, (score, label) in enumerate(zip(SCORES, LABELS, strict=True)):
        WRITERS[kind](scores / f"f{i}.{kind}", score)
        Image.fromarray(label).save(labels / f"f{i}_labels_semantic.png")
    return scores, labels


def pooled() -> tuple[np.ndarray, np.ndarray]:
    used = np.concatenate([label.ravel() for label in LABELS]) != 255
    truth = np.concatenate([label.ravel() for label in LABELS])[used]
    return truth, np.concatenate([score.ravel() for score in SCORES])[used]


@pytest.mark.parametrize("kind", list(WRITERS))
def test_every_format_gives_the_pooled_figures(tmp_path: Path, kind: str) -> None:
    scores, labels = folders(tmp_path, kind)
    found = evaluate_maps(match_maps(scores, labels, values=VALUES))
    truth, score = pooled()
    tight = 1e-12 if kind in ("npy", "npz", "tif") else 2e-4  # 16 bits
    assert found.metrics["ap"] == pytest.approx(average_precision_score(truth, score), abs=tight)
    assert found.metrics["auroc"] == pytest.approx(roc_auc_score(truth, score), abs=tight)
    assert found.metrics["n_positive"] == int((truth == 1).sum())
    assert [line["frame"] for line in found.frames] == ["f0", "f1", "f2"]


def test_scores_in_64_bits_stay_exact(tmp_path: Path) -> None:
    scores, labels = folders(tmp_path)
    for i, score in enumerate(SCORES):  # differences that float32 cannot hold
        np.save(scores / f"f{i}.npy", 1 + score.astype(np.float64) * 1e-12)
    found = evaluate_maps(match_maps(scores, labels, values=VALUES))
    truth, score = pooled()
    expected = average_precision_score(truth, 1 + score.astype(np.float64) * 1e-12)
    assert found.metrics["ap"] == pytest.approx(expected, abs=1e-12)


def test_our_png_carries_its_scale(tmp_path: Path) -> None:
    save_ours(tmp_path / "a.score.png", SCORES[0])
    assert np.abs(read_score(tmp_path / "a.score.png") - SCORES[0]).max() < 2e-5
    save_png16(tmp_path / "b.png", SCORES[0])
    assert read_score(tmp_path / "b.png").dtype == np.uint16  # without one, levels are scores


def test_the_command_writes_figures_and_reports(tmp_path: Path) -> None:
    scores, labels = folders(tmp_path)
    out = tmp_path / "out"
    arguments = ["--scores", scores, "--labels", labels, "--out", out, "--threshold", "0.9", "--name", "mine"]
    result = CliRunner().invoke(app, ["metrics", *map(str, arguments)])
    assert result.exit_code == 0, result.exception
    metrics = json.loads((out / "metrics.json").read_text())
    truth, score = pooled()
    assert "figures in percent unless noted" in result.output
    assert metrics["ap"] == pytest.approx(average_precision_score(truth, score), abs=1e-12)
    assert metrics["locked"]["recall"] == pytest.approx((score[truth == 1] >= 0.9).mean())
    assert metrics["locked"]["fixed"]
    assert metrics["method"] == "mine"
    assert "mine" in (out / "report.md").read_text()
    assert "Frames, worst first" in (out / "report.html").read_text()
    again = CliRunner().invoke(app, ["metrics", *map(str, arguments)])
    assert isinstance(again.exception, OutputError)


def test_labels_of_a_data_set_are_read_by_its_reader(tmp_path: Path) -> None:
    scores, labels = folders(tmp_path)
    frames = tmp_path / "set" / "frames"
    for i, label in enumerate(LABELS):
        (frames / f"f{i}.labels").mkdir(parents=True)
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(frames / f"f{i}.jpg")
        Image.fromarray(np.where(label == 1, 2, label)).save(frames / f"f{i}.labels" / "labels_semantic.png")
        Image.fromarray(label).save(frames / f"f{i}.labels" / "labels_instance.png")
    direct = evaluate_maps(match_maps(scores, labels, values=VALUES)).metrics["ap"]
    by_name = match_maps(scores, tmp_path / "set", dataset="road-anomaly", values=VALUES)
    assert evaluate_maps(by_name).metrics["ap"] == direct
    values = parse_values("0=0,1=0,2=1,255=255")
    assert evaluate_maps(match_maps(scores, frames, values=values)).metrics["ap"] == direct


def test_component_sizes_follow_the_track(tmp_path: Path) -> None:
    scores, labels = folders(tmp_path)
    for i, label in enumerate(LABELS):  # perfect, and 180 pixels large in the second frame
        np.save(scores / f"f{i}.npy", (label == 1).astype(np.float32))
    maps = match_maps(scores, labels, values=VALUES)
    big, small = evaluate_maps(maps), evaluate_maps(maps, sizes=OBSTACLE_TRACK)
    assert big.metrics["minimum_component_sizes"] == {"predicted": 500, "true": 100}
    assert big.metrics["siou"] == 0.5  # a prediction below 500 pixels is dropped
    assert small.metrics["siou"] == 1.0


def test_frames_that_do_not_match_are_named(tmp_path: Path) -> None:
    scores, labels = folders(tmp_path)
    (labels / "f1_labels_semantic.png").unlink()
    with pytest.raises(DataError, match=r"1 frame has no labels \(f1\).*--subset"):
        match_maps(scores, labels, values=VALUES)
    told: list[str] = []
    both = match_maps(scores, labels, values=VALUES, subset=True, tell=told.append)
    assert [m.name for m in both] == ["f0", "f2"]
    assert told == ["--subset: 1 of 3 frames were left out: no labels"]
    assert evaluate_maps(both, notices=told).metrics["notices"] == told
    (scores / "f0.npy").unlink()
    with pytest.raises(DataError, match=r"no score map \(f0\)"):
        match_maps(scores, labels, values=VALUES)
    for path in labels.iterdir():
        path.rename(path.with_name("x" + path.name))
    with pytest.raises(DataError, match="scores are called f1, f2, labels xf0, xf2"):
        match_maps(scores, labels, values=VALUES, subset=True)


def test_values_that_the_labels_do_not_say_come_with_the_option_that_says_them(tmp_path: Path) -> None:
    scores, labels = folders(tmp_path)
    for i, label in enumerate(LABELS):
        Image.fromarray(np.where(label == 1, 2, label)).save(labels / f"f{i}_labels_semantic.png")
    result = CliRunner().invoke(app, ["metrics", "--scores", str(scores), "--labels", str(labels)])
    assert isinstance(result.exception, DataError)
    assert "--values 0=0,1=0,2=1,255=255" in str(result.exception)
    assert "--dataset road-anomaly" in str(result.exception)
    assert result.output == ""  # nor an empty line of the bar
    Image.fromarray(np.where(LABELS[0] == 1, 200, LABELS[0])).save(labels / "f0_labels_semantic.png")
    with pytest.raises(DataError, match=r"as in --values 0=0,1=1,200=1,255=255$"):
        evaluate_maps(match_maps(scores, labels, values=VALUES))
    frames = tmp_path / "set" / "frames"
    for i, label in enumerate(LABELS):
        (frames / f"f{i}.labels").mkdir(parents=True)
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(frames / f"f{i}.jpg")
        Image.fromarray(np.where(label == 1, 2, label)).save(frames / f"f{i}.labels" / "labels_semantic.png")
    assert len(match_maps(scores, frames, dataset="road-anomaly", values=VALUES)) == len(LABELS)


def test_a_place_that_cannot_be_written_is_said_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, labels = folders(tmp_path)
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("clipomaly.commands.metrics.evaluate_maps", lambda *_, **__: pytest.fail("computed"))
    arguments = ["--scores", scores, "--labels", labels, "--out", tmp_path / "file" / "out"]
    result = CliRunner().invoke(app, ["metrics", *map(str, arguments)])
    assert isinstance(result.exception, OutputError)
    assert "choose another --out" in str(result.exception)
    check_writable(tmp_path / "new" / "deep")
    assert not (tmp_path / "new").exists()


def test_two_maps_of_one_frame_are_refused(tmp_path: Path) -> None:
    scores, _ = folders(tmp_path)
    np.savez(scores / "f0.npz", SCORES[0])
    with pytest.raises(DataError, match="one frame"):
        find_scores(scores)


def damaged(kind: str) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    if kind == "colour":
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(buffer, "PNG")
        return "f0.png", buffer.getvalue()
    arrays = {
        "size": np.zeros((9, 9), np.float32),
        "channels": np.zeros((*SIZE, 2), np.float32),
        "complex": np.zeros(SIZE, np.complex64),
    }
    if kind in arrays:
        np.save(buffer, arrays[kind])
        return "f0.npy", buffer.getvalue()
    if kind == "pickle":
        np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        return "f0.npy", buffer.getvalue()
    if kind == "several":
        np.savez(buffer, a=SCORES[0], b=SCORES[0])
        return "f0.npz", buffer.getvalue()
    return "f0.npy", b"not an array"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("colour", "colour picture"),
        ("size", "9×9, its labels 50×40"),
        ("channels", r"\[H, W\]"),
        ("complex", "complex"),
        ("pickle", "cannot be read"),
        ("several", "call the score map `score`"),
        ("garbage", "cannot be read"),
    ],
)
def test_what_is_no_score_map_is_refused_by_name(tmp_path: Path, kind: str, message: str) -> None:
    scores, labels = folders(tmp_path)
    (scores / "f0.npy").unlink()
    name, data = damaged(kind)
    (scores / name).write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        evaluate_maps(match_maps(scores, labels, values=VALUES))
    assert "f0" in str(caught.value)


def test_scores_that_are_not_finite_are_refused_with_their_frame(tmp_path: Path) -> None:
    scores, labels = folders(tmp_path)
    bad = SCORES[1].copy()
    bad[20, 20] = np.nan
    np.save(scores / "f1.npy", bad)
    with pytest.raises(MetricError, match=r"frame f1: 1 scores are not finite"):
        evaluate_maps(match_maps(scores, labels, values=VALUES))


def test_labels_without_anomalies_are_an_error(tmp_path: Path) -> None:
    scores, labels = folders(tmp_path)
    with pytest.raises(MetricError, match="no positive pixels"):
        evaluate_maps(match_maps(scores, labels, values={0: 0, 1: 0, 255: 255}))


def test_the_folder_of_an_evaluation_is_read_as_it_is(tmp_path: Path) -> None:
    _, labels = folders(tmp_path)
    labels.rename(tmp_path / "labels_masks")
    (tmp_path / "images").mkdir()
    for i in range(3):
        Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(tmp_path / "images" / f"f{i}.png")
    given = ["evaluate", "anomaly-track", "--root", str(tmp_path), "--methods", "centre"]
    kept, dropped = tmp_path / "kept", tmp_path / "dropped"
    for arguments in ([*given, "--keep-maps", "--out", str(kept)], [*given, "--out", str(dropped)]):
        assert CliRunner().invoke(app, arguments).exit_code == 0
    found = evaluate_maps(match_maps(kept / "centre", tmp_path / "labels_masks", values=VALUES))
    told = json.loads((kept / "centre" / "metrics.json").read_text())
    for key in ("ap", "auroc", "fpr95", "f1_best", "siou", "f1_star", "ap_ci"):
        assert found.metrics[key] == told[key]
    with pytest.raises(DataError, match="holds evaluations of centre: give one"):
        find_scores(kept)
    with pytest.raises(DataError, match="--keep-maps"):
        find_scores(dropped / "centre")


def test_labels_of_0_and_255_and_scores_upside_down_are_told(tmp_path: Path) -> None:
    scores, labels = folders(tmp_path)
    for i, label in enumerate(LABELS):
        Image.fromarray(np.where(label == 1, 255, 0).astype(np.uint8)).save(
            labels / f"f{i}_labels_semantic.png"
        )
    with pytest.raises(MetricError, match="--values 0=0,255=1"):
        evaluate_maps(match_maps(scores, labels, values={0: 0, 1: 1, 255: 255}))
    right = evaluate_maps(match_maps(scores, labels, values={0: 0, 255: 1}))
    assert not [note for note in reading_notes(right.metrics) if "negate" in note]
    for i, score in enumerate(SCORES):
        np.save(scores / f"f{i}.npy", -score)
    wrong = evaluate_maps(match_maps(scores, labels, values={0: 0, 255: 1}))
    assert [note for note in reading_notes(wrong.metrics) if "negate" in note]


@pytest.mark.parametrize("text", ["", "0", "0=2", "300=1", "a=1", "0=0;1=1"])
def test_label_values_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="not valid"):
        parse_values(text)


# --- the public benchmark's format ---


def test_benchmark_paths_are_checked() -> None:
    with pytest.raises(OutputError, match="AnomalyTrack-all"):
        smiyc_path(Path("o"), "Mine", "AnomalyTrack", "a")
    with pytest.raises(OutputError, match="letters"):
        smiyc_path(Path("o"), "../Mine", SMIYC_SPLITS[0], "a")


def test_export_and_back_gives_the_same_figures(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    scores, labels = folders(tmp_path)
    arguments = ["export", "smiyc", scores, "--split", "AnomalyTrack-all", "--out", tmp_path / "outputs"]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.exception
    folder = tmp_path / "outputs" / "anomaly_p" / "Clipomaly" / "AnomalyTrack-all"
    assert sorted(p.name for p in folder.iterdir()) == ["f0.hdf5", "f1.hdf5", "f2.hdf5"]
    with h5py.File(folder / "f0.hdf5") as file:
        assert list(file) == ["value"]
        assert file["value"].dtype == np.float16
        np.testing.assert_array_equal(file["value"][:], SCORES[0].astype(np.float16))
    found = evaluate_maps(match_maps(folder, labels, values=VALUES))
    truth, score = pooled()
    expected = average_precision_score(truth, score.astype(np.float16).astype(np.float32))
    assert found.metrics["ap"] == pytest.approx(expected, abs=1e-12)


def test_export_refuses_scores_that_16_bits_cannot_hold(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    from clipomaly.export.smiyc import write_smiyc

    with pytest.raises(OutputError, match="16-bit"):
        write_smiyc(tmp_path / "a.hdf5", np.full(SIZE, 1e6, np.float32))
    with pytest.raises(OutputError, match="finite"):
        write_smiyc(tmp_path / "a.hdf5", np.full(SIZE, np.nan, np.float32))


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "h5py", None)
    scores, _ = folders(tmp_path)
    arguments = ["export", "smiyc", str(scores), "--split", "AnomalyTrack-all"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, MissingExtra)
    assert 'pip install ".[smiyc]"' in str(result.exception)
    (tmp_path / "a.hdf5").write_bytes(b"")
    with pytest.raises(ClipomalyError, match=r"install \"\.\[smiyc\]\""):
        read_score(tmp_path / "a.hdf5")
