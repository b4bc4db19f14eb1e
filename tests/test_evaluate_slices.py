"""Industrial and operational figures, slices and things, from rows to reports."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipomaly.config import load_settings
from clipomaly.data.samples import Sample
from clipomaly.errors import ConfigError
from clipomaly.evaluate.run import advice_on, evaluate, open_subject
from clipomaly.evaluate.slices import MEAN, slices_of
from clipomaly.evaluate.things import found_by, smallest_by_range, things_of
from clipomaly.evaluate.truth import class_map, truth_of
from clipomaly.metrics.industrial import aupro, aupro_of, region_row
from clipomaly.metrics.pixel import pixel_metrics
from clipomaly.pipeline import Pipeline
from clipomaly.vocabulary import load_vocabulary

from .test_evaluate import run

SIZE = (24, 36)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.mark.parametrize("seed", range(5))
def test_aupro_of_rows_is_aupro_where_bins_part_all_scores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((3, 14, 14)) < 0.15).astype(np.uint8)
    labels[0, 0] = 255
    levels = np.arange(12, dtype=np.float32) / 8
    scores = rng.choice(levels, labels.shape) + labels * np.float32(0.125) * rng.integers(0, 4, labels.shape)
    scores = scores.astype(np.float32)
    edges = np.unique(scores)
    rows = np.stack([region_row(s, a, edges) for s, a in zip(scores, labels, strict=True)])
    assert aupro_of(rows.sum(axis=0)) == pytest.approx(aupro(scores, labels), abs=1e-12)
    assert aupro_of(rows).shape == (3,)


def test_aupro_of_rows_is_undefined_without_regions() -> None:
    assert np.isnan(aupro_of(np.array([[1.0, 2.0], [0.0, 0.0]])))


@pytest.fixture
def inspection(tmp_path: Path) -> Path:
    """Two categories with two good pictures and two defects each."""
    rng = np.random.default_rng(0)
    for category in ("bottle", "cable"):
        root = tmp_path / "set" / category
        for kind in ("good", "scratch"):
            for i in range(2):
                save(root / "test" / kind / f"{i}.png", rng.integers(0, 256, (*SIZE, 3), np.uint8))
        for i in range(2):
            mask = np.zeros(SIZE, np.uint8)
            at = (8, 14) if category == "bottle" else (0, 0)  # near the centre, and far from it
            mask[at[0] : at[0] + 6 + i, at[1] : at[1] + 6] = 255
            save(root / "ground_truth" / "scratch" / f"{i}_mask.png", mask)
    return tmp_path / "set"


def test_industrial_figures_are_those_of_the_maps(inspection: Path, tmp_path: Path) -> None:
    pipeline = Pipeline(load_settings(overrides={"method": "centre"}))
    evaluation, folder = evaluate(pipeline, open_subject("mvtec", inspection), tmp_path / "out")
    names = [line["frame"] for line in evaluation.frames]
    kept = [folder.read(name) for name in names]
    scores = np.stack([k.score for k in kept if k is not None])
    labels = np.stack([k.anomaly for k in kept if k is not None and k.anomaly is not None])
    assert len(names) == len(labels) == 8
    m = evaluation.metrics
    assert m["aupro"] == pytest.approx(aupro(scores, labels), abs=1e-12)
    images = pixel_metrics(scores.max(axis=(1, 2)), labels.any(axis=(1, 2)).astype(np.uint8))
    assert m["image_auroc"] == pytest.approx(images.auroc)
    assert m["image_ap"] == pytest.approx(images.ap)
    assert m["image_auroc_ci"] is not None
    assert m["aupro_ci"][0] <= m["aupro"] <= m["aupro_ci"][1]
    by_category = {e["value"]: e for e in m["slices"] if e["slice"] == "category"}
    bottle = [i for i, n in enumerate(names) if n.startswith("bottle")]
    assert by_category["bottle"]["n_frames"] == 4
    assert by_category["bottle"]["auroc"] == pytest.approx(
        pixel_metrics(scores[bottle], labels[bottle]).auroc, abs=2e-3
    )
    both = [by_category[c]["aupro"] for c in ("bottle", "cable")]
    assert by_category[MEAN]["aupro"] == pytest.approx(np.mean(both))
    assert by_category["bottle"]["aupro"] > by_category["cable"]["aupro"]  # the centre sees only one of them


def test_frames_may_have_several_values_of_a_condition() -> None:
    rows = {"operational": np.array([[1, 1, 0, 1, 1, 0, 0], [1, 1, 1, 2, 0, 2, 1], [1, 0, 0, 0, 0, 1, 1]])}
    frames = [
        {"condition.controls": "glare|puddles"},
        {"condition.controls": "glare"},
        {"condition.controls": ""},
    ]
    found = {e["value"]: e for e in slices_of(rows, frames)}
    assert found["glare"]["n_frames"] == 2
    assert found["glare"]["operational.false_clear_rate"] == 0.5
    assert found["puddles"]["operational.hazard_recall"] == 1.0
    assert found["–"]["operational.false_alarms_per_frame"] == 1.0
    assert "operational.false_clear_rate" not in found["–"]  # no hazard there: not defined, not 0


def things_sample(tmp_path: Path) -> Sample:
    numbers = np.zeros(SIZE, np.uint16)
    numbers[10:14, 4:8] = 1  # stands on the road
    numbers[2:5, 20:24] = 2  # hangs in the sky
    save(tmp_path / "i.png", numbers)
    classes = np.zeros(SIZE, np.uint8)
    classes[:8] = 10
    mask = (numbers > 0).astype(np.uint8)
    save(tmp_path / "c.png", np.where(mask, 255, classes).astype(np.uint8))
    save(tmp_path / "m.png", mask)
    measures = {1: {"size_m": 0.2, "range_m": 12.0, "place": "road"}, 2: {"size_m": 2.0, "range_m": 50.0}}
    return Sample(
        "f",
        tmp_path / "f.png",
        tmp_path / "m.png",
        values={0: 0, 1: 1},
        class_path=tmp_path / "c.png",
        instance_path=tmp_path / "i.png",
        things={1: "crate", 2: "kite"},
        measures=measures,
        vocabulary="cityscapes",
    )


def test_the_corridor_is_the_road_and_what_stands_on_it(tmp_path: Path) -> None:
    sample = things_sample(tmp_path)
    truth = truth_of(sample, sample.label(), class_map("cityscapes", load_vocabulary("cityscapes")))
    assert truth.corridor is not None
    assert truth.corridor[12, 5]  # the crate
    assert not truth.corridor[3, 21]  # the kite
    assert not truth.corridor[0, 0]  # the sky
    assert truth.corridor[20, 30]  # the road
    assert [named.number for named in truth.named] == [1, 2]


def test_things_are_found_where_a_flagged_region_touches_them(tmp_path: Path) -> None:
    flagged = np.zeros(SIZE, bool)
    flagged[10, 4] = True
    sample = things_sample(tmp_path)
    one, two = things_of(sample, sample.instances(), flagged, {1: "box", 2: None})
    assert (one["found"], one["flagged_share"], one["true_name"], one["name"]) == (1, 0.0625, "crate", "box")
    assert (two["found"], two["name"]) == (0, "")
    near, far = smallest_by_range([one, two])
    assert (near["range"], near["smallest_m"], near["found"]) == ("10 to 20 m", 0.2, 1.0)
    assert near["half_flagged"] == 0.0  # one pixel of sixteen is no half
    assert (far["smallest_m"], far["found"]) == (None, 0.0)
    assert [e["value"] for e in found_by([one, two], "size_m")] == ["10 to 30 cm", "from 100 cm"]
    assert found_by([one, two], "place")[0]["found_ci"][0] < 1.0  # one of one is no certainty


def test_values_map_masks_and_limits_are_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / "set/images" / f"{name}.png", np.zeros((*SIZE, 3), np.uint8))
        mask = np.zeros(SIZE, np.uint8)
        mask[8:14, 12:20] = 200
        save(tmp_path / "set/masks" / f"{name}.png", mask)
    common = (
        "evaluate",
        "folder",
        "--root",
        tmp_path / "set",
        "--method",
        "centre",
        "--out",
        tmp_path / "out",
    )
    shown = run(*common, "--values", "0=0,200=1", "--limit", "1")
    assert "first 1 of 2 frames" in shown
    m = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert m["n_positive"] == 48
    again = run(*common, "--values", "0=0,200=1", "--limit", "1", "--resume")
    assert "the frame was there already" in again
    assert (
        "- **Note**: Only the first frame: not the set's figures." in (tmp_path / "out/report.md").read_text()
    )
    assert "<p>1 frame; figures" in (tmp_path / "out/report.html").read_text()
    save(tmp_path / "camvid/val/images/a.png", np.zeros((*SIZE, 3), np.uint8))
    save(tmp_path / "camvid/val/labels/a.png", np.zeros(SIZE, np.uint8))
    with pytest.raises(ConfigError, match="has classes"):
        open_subject("camvid", tmp_path / "camvid", "val", values={0: 0})


def test_an_unfit_vocabulary_is_said(tmp_path: Path) -> None:
    for part in ("train", "val"):
        save(tmp_path / "seg/images" / part / "a.jpg", np.zeros((*SIZE, 3), np.uint8))
        save(tmp_path / "seg/labels" / part / "a_train_id.png", np.full(SIZE, 17, np.uint8))
    subject = open_subject("bdd-anomaly", tmp_path)
    advice = advice_on(subject, Pipeline(load_settings(overrides={"method": "centre"})))
    assert advice is not None
    assert "motorcycle" in advice
    assert (
        advice_on(subject, Pipeline(load_settings(overrides={"method": "centre", "vocabulary": "airside"})))
        is None
    )


def test_baselines_calibrate_and_their_figures_are_locked(tmp_path: Path) -> None:
    for i in range(2):
        save(tmp_path / "known" / f"{i}.png", np.full((*SIZE, 3), 90, np.uint8))
        save(tmp_path / "set/images" / f"{i}.png", np.full((*SIZE, 3), 90, np.uint8))
        mask = np.zeros(SIZE, np.uint8)
        mask[8:14, 12:20] = 1
        save(tmp_path / "set/masks" / f"{i}.png", mask)
    file = tmp_path / "thresholds" / "centre.json"
    file.parent.mkdir()
    shown = run(
        "calibrate", "--method", "centre", "--frames", tmp_path / "known", "--fpr", "0.1", "--out", file
    )
    assert "2 frames" in shown
    run(
        *("evaluate", "folder", "--root", tmp_path / "set", "--method", "centre"),
        *("--thresholds", file.parent, "--out", tmp_path / "out"),
    )
    locked = json.loads((tmp_path / "out" / "metrics.json").read_text())["locked"]
    assert (locked["rule"], locked["fixed"]) == ("calibrated", True)
    assert locked["thresholds_hash"] in (tmp_path / "out" / "report.html").read_text()
    with (tmp_path / "out" / "frames.csv").open() as text:
        assert len(list(csv.DictReader(text))) == 2
