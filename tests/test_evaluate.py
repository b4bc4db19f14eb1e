"""Evaluation end to end: figures against other implementations, resuming, class sets, names, reports."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner

from clipomaly.cli import app
from clipomaly.commands.evaluate import print_figures
from clipomaly.config import load_settings
from clipomaly.data.datasets import CITYSCAPES_TRAIN_IDS, Sample
from clipomaly.errors import ClipomalyError, ConfigError, DataError, MetricError, OutputError
from clipomaly.evaluate.compare import differences
from clipomaly.evaluate.figures import FIGURES, lookup
from clipomaly.evaluate.names import answer_of, judged_finding, synonyms_for
from clipomaly.evaluate.report import write_comparison, write_report
from clipomaly.evaluate.result import Evaluation, load_evaluation, reading_notes
from clipomaly.evaluate.run import evaluate, open_methods, open_subject, operating_rule
from clipomaly.evaluate.tables import figures_html
from clipomaly.evaluate.truth import LEFT_OUT, Named, class_map, truth_of
from clipomaly.metrics.bootstrap import share_interval
from clipomaly.metrics.component import ComponentCounts
from clipomaly.metrics.openworld import known_miou_of
from clipomaly.pipeline import Pipeline
from clipomaly.records import Candidate, Finding, Region
from clipomaly.testing import ColourEncoder, colour_picture, colour_vocabulary
from clipomaly.thresholds import Thresholds
from clipomaly.vocabulary import load_vocabulary

STABLE = (
    *("ap", "auroc", "fpr95", "f1_best", "siou", "ppv", "f1_star", "known_miou", "unknown_iou"),
    *("miou_2class", "naming_top1", "naming_top5", "seconds_per_frame"),
)
SIZE = (60, 90)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def square(y: int, x: int, side: int = 24) -> np.ndarray:
    label = np.zeros(SIZE, np.uint8)
    label[y : y + side, x : x + side] = 1
    return label


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Four frames: an anomaly in the middle, two elsewhere, one without; some pixels are left out."""
    labels = [square(18, 33), square(0, 0), square(30, 60), np.zeros(SIZE, np.uint8)]
    labels[1][-5:] = 255
    rng = np.random.default_rng(0)
    for i, label in enumerate(labels):
        save(tmp_path / "set" / "images" / f"f{i}.png", rng.integers(0, 256, (*SIZE, 3), np.uint8))
        save(tmp_path / "set" / "labels_masks" / f"f{i}_labels_semantic.png", label)
    return tmp_path / "set"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_figures_are_those_of_the_pooled_maps(masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("evaluate", "anomaly-track", "--root", masks, "--method", "centre", "--out", out, "--keep-maps")
    metrics = json.loads((out / "metrics.json").read_text())
    kept = [np.load(path) for path in sorted((out / "maps").glob("*.npz"))]
    scores, labels = [k["score"] for k in kept], [k["anomaly"] for k in kept]
    used = np.concatenate([(label != 255).ravel() for label in labels])
    score = np.concatenate([s.ravel() for s in scores])[used]
    truth = np.concatenate([label.ravel() for label in labels])[used]
    assert metrics["ap"] == pytest.approx(average_precision_score(truth, score), abs=1e-12)
    assert metrics["auroc"] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    counts = ComponentCounts()
    for s, label in zip(scores, labels, strict=True):
        counts.add(s >= metrics["oracle"]["threshold"], label)
    assert metrics["oracle"]["siou"] == metrics["siou"] == pytest.approx(counts.result().siou)
    assert metrics["oracle"]["f1_star"] == metrics["f1_star"] == pytest.approx(counts.result().f1_star)
    flagged = [np.unpackbits(k["unknown"], count=label.size) for k, label in zip(kept, labels, strict=True)]
    own = np.concatenate(flagged)[used].astype(bool)
    assert metrics["locked"]["recall"] == pytest.approx(own[truth == 1].mean())
    assert metrics["locked"]["fpr"] == pytest.approx(own[truth == 0].mean())
    assert metrics["unknown_iou"] == pytest.approx((own & (truth == 1)).sum() / (own | (truth == 1)).sum())


def test_metrics_json_has_the_stable_keys_with_intervals_and_hashes(masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shown = run("evaluate", "anomaly-track", "--root", masks, "--method", "centre", "--out", out)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["n_frames"] == 4
    for key in STABLE:
        assert key in metrics
        assert f"{key}_ci" in metrics
    for key in ("ap", "auroc", "fpr95", "f1_best", "oracle.f1_star", "locked.recall", "seconds_per_frame"):
        low, high = lookup(metrics, f"{key}_ci")
        assert low <= lookup(metrics, key) <= high
    assert metrics["known_miou"] is None  # masks know no classes
    assert metrics["naming_top1"] is None
    assert re.fullmatch(r"[0-9a-f]{12}", metrics["run"])
    assert metrics["vocabulary_hash"] == load_vocabulary("cityscapes").hash
    assert metrics["locked"]["rule"] == "otsu"
    assert not metrics["locked"]["fixed"]
    assert f"{100 * metrics['ap']:.1f}" in shown
    assert "figures in percent unless noted" in shown
    assert "seconds a frame (s)" in shown
    lines = list(csv.DictReader((out / "frames.csv").open()))
    assert [line["frame"] for line in lines] == ["f0", "f1", "f2", "f3"]
    assert float(lines[0]["ap"]) > 0.9 > float(lines[1]["ap"])  # the middle one, and the corner
    assert lines[3]["ap"] == ""  # a frame without an anomaly has no AP of its own
    assert not (out / "maps").exists()


def test_reports_ask_nothing_of_the_network_and_show_what_is_oracle(masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("evaluate", "anomaly-track", "--root", masks, "--methods", "centre", "--out", out)
    page = (out / "centre" / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)
    assert page.count("<svg") == 2
    assert "data:image/jpeg;base64," in page
    assert ">oracle</span>" in page
    assert "No threshold was fixed beforehand" in page
    text = (out / "centre" / "report.md").read_text()
    assert "| AP |" in text
    assert "best F1 (oracle)" in text


def test_a_finished_report_keeps_its_pictures_when_resumed(masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("evaluate", "anomaly-track", "--root", masks, "--methods", "centre", "--out", out)
    before = (out / "centre" / "report.html").read_text()
    run("evaluate", "anomaly-track", "--root", masks, "--methods", "centre", "--out", out, "--resume")
    assert (out / "centre" / "report.html").read_text() == before


def test_false_alarms_on_frames_without_anomalies_are_shown(masks: Path, tmp_path: Path) -> None:
    for threshold, shown in (("0.5", True), ("1.0", False)):
        out = tmp_path / threshold
        run(
            "evaluate",
            "anomaly-track",
            "--root",
            masks,
            "--method",
            "centre",
            "--threshold",
            threshold,
            "--out",
            out,
        )
        page = (out / "report.html").read_text()
        assert ("Frames without anomalies, most flagged first" in page) == shown
        assert bool(re.search(r"f3 · no anomaly, \d+\.\d % flagged", page)) == shown


def test_a_fixed_threshold_is_locked(masks: Path) -> None:
    [pipeline] = open_methods(
        load_settings(overrides={"threshold": "0.6"}), ["centre"], open_subject("anomaly-track", masks)
    )
    assert operating_rule(pipeline) == {"rule": "number", "fixed": True, "threshold": 0.6, "of_score": True}


def test_a_calibrated_threshold_is_locked_and_named_by_its_hash(masks: Path, tmp_path: Path) -> None:
    thresholds = Thresholds(
        model="",
        conditions={"model_hash": ""},
        fpr=0.05,
        values={load_vocabulary("cityscapes").hash: {"centre": 0.7}},
        frames=12,
        created="2020-02-02",
        sources=("cityscapes: 12 frames of a quiet street",),
    )
    (tmp_path / "thresholds.json").write_text(thresholds.to_json())
    out = tmp_path / "out"
    arguments = ["--method", "centre", "--thresholds", tmp_path / "thresholds.json", "--out", out]
    run("evaluate", "anomaly-track", "--root", masks, *arguments, "--keep-maps")
    own = json.loads((out / "metrics.json").read_text())["locked"]
    assert (own["rule"], own["fixed"], own["threshold"]) == ("calibrated", True, 0.7)
    assert own["thresholds_hash"] == thresholds.hash
    page = (out / "report.html").read_text()
    assert "made on 2020-02-02" in page
    assert "12 frames without anomalies (a quiet street)" in page
    assert thresholds.hash in page
    assert ">locked</span>" in page
    kept = np.load(out / "maps" / "f0.npz")
    flagged = np.unpackbits(kept["unknown"], count=kept["score"].size).reshape(SIZE)
    np.testing.assert_array_equal(flagged.astype(bool), kept["score"] > 0.7)


def test_methods_are_compared_on_the_same_frames(masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    subject = open_subject("anomaly-track", masks)
    found = []
    for name, threshold in (("a", "0.5"), ("b", "0.9")):
        settings = load_settings(overrides={"method": "centre", "threshold": threshold})
        found.append(evaluate(Pipeline(settings), subject, out / name)[0])
    compared = {d.figure.key: d for d in differences(found)}
    assert compared["ap"].value == 0  # the score is the same, the threshold is not
    assert (compared["ap"].interval.low, compared["ap"].interval.high) == (0, 0)
    recall = compared["locked.recall"]
    assert recall.value == pytest.approx(
        found[1].metrics["locked"]["recall"] - found[0].metrics["locked"]["recall"]
    )
    assert recall.value < 0
    assert recall.interval.low <= recall.value <= recall.interval.high
    fewer, _ = evaluate(
        Pipeline(load_settings(overrides={"method": "centre"})),
        open_subject("anomaly-track", masks, limit=2),
        out / "c",
    )
    with pytest.raises(MetricError, match="other frames"):
        differences([found[0], fewer])


class Counting:
    """A pipeline that counts its calls and stops at one of them."""

    def __init__(self, pipeline: Pipeline, stop_at: int | None = None) -> None:
        self._pipeline, self._stop_at, self.calls = pipeline, stop_at, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._pipeline, name)

    def __call__(self, frame: object) -> object:
        if self.calls == self._stop_at:
            raise KeyboardInterrupt
        self.calls += 1
        return self._pipeline(frame)  # type: ignore[arg-type]


def test_a_stopped_evaluation_goes_on_where_it_stopped(masks: Path, tmp_path: Path) -> None:
    pipeline = Pipeline(load_settings(overrides={"method": "centre"}))
    subject = open_subject("anomaly-track", masks)
    whole, _ = evaluate(pipeline, subject, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        evaluate(Counting(pipeline, stop_at=3), subject, tmp_path / "parts")  # type: ignore[arg-type]
    rest = Counting(pipeline)
    parts, _ = evaluate(rest, subject, tmp_path / "parts", existing="resume")  # type: ignore[arg-type]
    assert rest.calls == 1
    for figure in FIGURES:
        if figure.rows != "seconds":
            assert lookup(parts.metrics, figure.key) == lookup(whole.metrics, figure.key), figure.key
            assert lookup(parts.metrics, f"{figure.key}_ci") == lookup(whole.metrics, f"{figure.key}_ci")
    again = Counting(pipeline)
    finished, _ = evaluate(again, subject, tmp_path / "parts", existing="resume")  # type: ignore[arg-type]
    assert again.calls == 0
    assert finished.metrics == parts.metrics
    assert load_evaluation(tmp_path / "parts").frames[0]["frame"] == "f0"


def test_a_folder_in_use_is_neither_overwritten_nor_mixed(masks: Path, tmp_path: Path) -> None:
    pipeline = Pipeline(load_settings(overrides={"method": "centre"}))
    subject = open_subject("anomaly-track", masks, limit=1)
    evaluate(pipeline, subject, tmp_path / "out")
    with pytest.raises(OutputError, match="--resume"):
        evaluate(pipeline, subject, tmp_path / "out")
    other = Pipeline(load_settings(overrides={"method": "centre", "threshold": "0.3"}))
    with pytest.raises(OutputError, match=r"other settings: --threshold auto, now 0\.3"):
        evaluate(other, subject, tmp_path / "out", existing="resume")
    replaced, _ = evaluate(other, subject, tmp_path / "out", existing="replace")
    assert replaced.metrics["locked"]["threshold"] == 0.3


def test_a_comparison_is_neither_overwritten_nor_half_made(masks: Path, tmp_path: Path) -> None:
    out, common = tmp_path / "out", ("evaluate", "folder", "--root", masks)
    run(*common, "--method", "centre", "--out", out / "max-logit")
    with pytest.raises(OutputError, match="max-logit holds an evaluation already"):
        run(*common, "--methods", "centre,max-logit", "--out", out)
    assert not (out / "centre").exists()  # said before the first method ran
    with pytest.raises(OutputError, match="evaluation of a single method"):
        run(*common, "--methods", "centre", "--out", out / "max-logit")
    run(*common, "--methods", "centre", "--out", out)
    with pytest.raises(OutputError, match="comparison of methods already"):
        run(*common, "--methods", "entropy", "--out", out)


def test_a_comparison_says_what_its_methods_reports_warn_of(masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("evaluate", "folder", "--root", masks, "--methods", "centre,max-logit", "--limit", "3", "--out", out)
    first = "Only the first 3 frames: not the set&#x27;s figures."
    for page in (out / "report.html", out / "centre" / "report.html"):
        text = page.read_text()
        assert text.index(f'<p class="warn">{first}</p>') < text.index("Data set") < text.index("<table>")
        assert "<code>clipomaly calibrate --method centre</code>" in text
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", (out / "centre" / "report.html").read_text())
    evaluations = [load_evaluation(out / name) for name in ("centre", "max-logit")]
    evaluations[1].metrics["notices"] = ["few prompts"]
    write_comparison(tmp_path / "again", evaluations, [])
    assert '<p class="warn">max-logit: few prompts</p>' in (tmp_path / "again/report.html").read_text()
    assert "- **Note** (max-logit): few prompts" in (tmp_path / "again/report.md").read_text()
    lines = (out / "report.md").read_text()
    assert "- **Note**: Only the first 3 frames: not the set's figures." in lines
    assert "- **Note**: no calibrated threshold for method centre: run `clipomaly cal" in lines
    assert lines.index("Note") < lines.index("| figure |")


def bold(page: str, title: str) -> list[str]:
    [row] = [r for r in page.split("<tr>") if r.startswith(f"<td>{title}")]
    return re.findall(r"<b>([^<]*)</b>", row)


def test_only_what_sets_methods_apart_is_best() -> None:
    def of(method: str, ap: float, siou: float, seconds: float) -> Evaluation:
        m = {
            "method": method,
            "locked": {"fixed": False, "siou": siou},
            "ap": ap,
            "seconds_per_frame": seconds,
        }
        return Evaluation(m, {}, [])

    control, one, other = of("centre", 0.9, 0.0, 0.0), of("a", 0.5, 0.0, 2.0), of("b", 0.50001, 0.0001, 3.0)
    page = figures_html([control, one, other])
    assert bold(page, "AP ") == []  # the same as shown
    assert bold(page, "sIoU") == []
    assert bold(page, "seconds") == []  # wall times of runs one after the other
    assert bold(figures_html([one, of("c", 0.7, 0.2, 2.0)]), "sIoU") == ["20.0"]
    one.metrics["locked"]["recall"], other.metrics["locked"]["recall"] = 0.5, 1.0
    assert bold(figures_html([one, other]), "recall") == []  # what flags everything has it
    assert bold(figures_html([one, of("c", 0.7, 0.2, 2.0), of("d", 0.7, 0.1, 2.0)]), "AP ") == [
        "70.0",
        "70.0",
    ]
    assert bold(figures_html([control, one]), "AP ") == []


@pytest.mark.parametrize(
    ("methods", "width", "tables", "intervals"),
    [(1, 80, 1, True), (3, 80, 1, False), (3, 120, 1, True), (9, 80, 2, False), (2, 60, 1, False)],
)
def test_no_cell_of_the_terminals_table_breaks(
    methods: int,
    width: int,
    tables: int,
    intervals: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    m = {
        "ap": 0.702,
        "ap_ci": [0.0513, 0.988],
        "operational": {"false_alarms_per_frame": 12.5, "false_alarms_per_frame_ci": [10.25, 14.0]},
    }
    print_figures([Evaluation({"method": f"method-{i}", **m}, {}, []) for i in range(methods)])
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith("AP ")]
    assert len(rows) == tables
    assert sum(row.count("70.2") for row in rows) == methods
    assert sum(row.count("70.2 [5.1, 98.8]") for row in rows) == methods * intervals
    assert sum("false alarms a frame (count)" in line for line in lines) == tables
    assert all(len(line) <= width for line in lines[1:])


def test_one_frame_has_no_interval_and_decides_nothing(masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shown = run(
        *("evaluate", "anomaly-track", "--root", masks, "--methods", "centre"),
        *("--limit", 1, "--out", out, "--margin", 0.1),
    )
    assert "--margin is read by clipomaly, not by centre" in shown
    metrics = json.loads((out / "centre" / "metrics.json").read_text())
    assert metrics["ap"] is not None
    assert metrics["ap_ci"] is None
    assert metrics["locked"]["fpr_ci"] is None
    assert metrics["seconds_per_frame_ci"] is None
    assert "1 frame" in shown
    found = []
    for name, threshold in (("a", "0.5"), ("b", "0.9")):
        settings = load_settings(overrides={"method": "centre", "threshold": threshold})
        subject = open_subject("anomaly-track", masks, limit=1)
        found.append(evaluate(Pipeline(settings), subject, tmp_path / name)[0])
    assert differences(found) == []


def test_wall_times_are_not_judged(masks: Path, tmp_path: Path) -> None:
    found = []
    for name, seconds in (("a", 1), ("b", 1000)):
        settings = load_settings(overrides={"method": "centre"})
        evaluation, _ = evaluate(Pipeline(settings), open_subject("anomaly-track", masks), tmp_path / name)
        evaluation.rows["seconds"] = np.tile([seconds, 1], (4, 1))
        found.append(evaluation)
    [timed] = [d for d in differences(found) if d.figure.key == "seconds_per_frame"]
    assert timed.interval.low > 0
    assert timed.timed
    assert not timed.decided


def test_an_interval_holds_its_figure_and_few_frames_are_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    frame = rng.integers(0, 256, (*SIZE, 3), np.uint8)
    for i in range(3):  # the same frame: every resample is the set itself, in bins
        save(tmp_path / "images" / f"{i}.png", frame)
        save(tmp_path / "labels_masks" / f"{i}.png", square(18, 30, 11))
    pipeline = Pipeline(load_settings(overrides={"method": "centre"}))
    found, _ = evaluate(pipeline, open_subject("anomaly-track", tmp_path), tmp_path / "out")
    for figure in FIGURES:
        value, interval = (lookup(found.metrics, key) for key in (figure.key, f"{figure.key}_ci"))
        if value is not None and interval is not None:
            assert interval[0] <= value <= interval[1], figure.key
    assert reading_notes(found.metrics) == [
        "3 frames: intervals over fewer than 10 frames are too narrow; read them as hints"
    ]


def test_pictures_without_labels_say_that_seconds_alone_are_measured(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.zeros((*SIZE, 3), np.uint8))
    pipeline = Pipeline(load_settings(overrides={"method": "centre"}))
    found, _ = evaluate(pipeline, open_subject("folder", tmp_path), tmp_path / "out")
    assert reading_notes(found.metrics) == ["no labels were found: seconds alone are measured"]


def test_masks_of_0_and_255_come_with_the_option_that_reads_them(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", np.zeros((*SIZE, 3), np.uint8))
    save(tmp_path / "masks" / "a.png", square(18, 33) * np.uint8(255))
    pipeline = Pipeline(load_settings(overrides={"method": "centre"}))
    found, _ = evaluate(pipeline, open_subject("folder", tmp_path), tmp_path / "out")
    assert "--values 0=0,255=1" in found.metrics["undefined"]
    again, _ = evaluate(pipeline, open_subject("folder", tmp_path, values={0: 0, 255: 1}), tmp_path / "again")
    assert "undefined" not in again.metrics
    assert again.metrics["ap"] is not None


def test_a_set_without_anomalies_says_so_and_keeps_the_rest(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", np.zeros((*SIZE, 3), np.uint8))
    save(tmp_path / "labels_masks" / "a.png", np.zeros(SIZE, np.uint8))
    pipeline = Pipeline(load_settings(overrides={"method": "centre"}))
    found, _ = evaluate(pipeline, open_subject("anomaly-track", tmp_path), tmp_path / "out")
    assert found.metrics["ap"] is None
    assert "no anomalous pixels" in found.metrics["undefined"]
    assert "--values" not in found.metrics["undefined"]  # nothing was left out
    nothing = ("f1_star", "recall", "precision", "f1")
    assert all(found.metrics["locked"][key] is None for key in nothing)
    assert found.metrics["unknown_iou"] is None
    assert found.metrics["locked"]["fpr"] is not None
    assert found.metrics["locked"]["fpr"] > 0


def camvid(folder: Path) -> np.ndarray:
    label = np.repeat(np.arange(12, dtype=np.uint8), 90 * 5).reshape(60, 90)
    for i in range(2):
        save(folder / "val" / "images" / f"{i}.png", np.full((60, 90, 3), 90, np.uint8))
        save(folder / "val" / "labels" / f"{i}.png", label)
    return label


def test_known_classes_are_measured_by_one_pooled_matrix(tmp_path: Path) -> None:
    label = camvid(tmp_path)
    subject = open_subject("camvid", tmp_path, "val")
    [pipeline] = open_methods(load_settings(), ["centre"], subject)
    assert pipeline.vocabulary.name == "camvid"  # the set's own, since none was asked for
    found, folder = evaluate(pipeline, subject, tmp_path / "out")
    assert found.metrics["ap"] is None  # nothing in it is unknown
    unknown = folder.read("val/0").unknown  # type: ignore[union-attr]
    matrix = np.zeros((12, 12))
    counted = label < 11
    np.add.at(matrix, (label[counted], np.where(unknown, 11, 0)[counted]), 1)
    assert found.metrics["known_miou"] == pytest.approx(float(known_miou_of(matrix)))
    assert found.metrics["locked"]["fpr"] == pytest.approx(unknown[counted].mean())


def test_a_class_left_out_of_the_vocabulary_is_the_anomaly(tmp_path: Path) -> None:
    label = camvid(tmp_path)
    names = [k.name for k in load_vocabulary("camvid").known if k.name.lower() != "car"]
    assert len(names) == 10
    toml = 'schema = 1\nname = "less"\n' + "".join(f'[[known]]\nname = "{n}"\n' for n in names)
    (tmp_path / "less.toml").write_text(toml)
    settings = load_settings(overrides={"vocabulary": str(tmp_path / "less.toml"), "method": "centre"})
    found, folder = evaluate(Pipeline(settings), open_subject("camvid", tmp_path, "val"), tmp_path / "out")
    assert [n.lower() for n in found.metrics["unknown_classes"]] == ["car"]
    write_report(tmp_path / "out", found)
    for file in ("report.html", "report.md"):
        assert "count as the unknown: car" in (tmp_path / "out" / file).read_text().lower()
    kept = folder.read("val/0")
    assert kept is not None
    np.testing.assert_array_equal(kept.anomaly == 1, label == 8)
    np.testing.assert_array_equal(kept.anomaly == 255, label == 11)
    truth = np.tile((label == 8)[label < 11], 2)
    assert found.metrics["ap"] == pytest.approx(
        average_precision_score(truth, np.tile(kept.score[label < 11], 2))
    )


def pack(folder: Path, name: str, label: np.ndarray, things: dict[int, str], light: str) -> None:
    """A frame in the layout of `clipomaly world render`; things stand in rows of their own."""
    numbers = np.zeros(SIZE, np.uint16)
    mask = np.zeros(SIZE, np.uint8)
    for k, number in enumerate(things):
        numbers[10 : 30 + k, 10 + 40 * k : 35 + 40 * k] = number
    mask[np.isin(numbers, list(things))] = 1
    mask[-4:] = 255
    save(folder / "images" / f"{name}.jpg", np.full((*SIZE, 3), 90, np.uint8))
    save(folder / "labels_masks" / f"{name}_labels_semantic.png", mask)
    save(folder / "labels" / f"{name}.png", np.where(mask == 0, label, 255).astype(np.uint8))
    save(folder / "instances" / f"{name}.png", numbers)
    about = {
        "unknowns": [{"instance": number, "name": thing} for number, thing in things.items()],
        "conditions": {"light": light, "wet": 0.5 if light == "night" else 0.0, "controls": []},
        "vocabulary": "cityscapes",
    }
    (folder / "frames").mkdir(exist_ok=True)
    (folder / "frames" / f"{name}.json").write_text(json.dumps(about))
    (folder / "pack.json").write_text("{}")


def test_the_proving_ground_gives_masks_classes_names_and_conditions(tmp_path: Path) -> None:
    label = np.tile(np.arange(90, dtype=np.uint8) % 19, (60, 1))
    pack(tmp_path / "pack", "road_0", label, {7: "moose", 300: "sofa"}, "night")
    pack(tmp_path / "pack", "road_1", label, {2: "moose"}, "clear")
    subject = open_subject("proving-ground", tmp_path / "pack")
    settings = load_settings(overrides={"method": "centre", "threshold": "0.2"})
    found, folder = evaluate(Pipeline(settings), subject, tmp_path / "out")
    m = found.metrics
    kept = folder.read("road_0")
    assert kept is not None
    assert m["ap"] is not None
    unknown = kept.unknown
    anomaly = kept.anomaly
    matrix = kept.rows["classes"]
    assert matrix[19].sum() == (anomaly == 1).sum()  # the last row is the true unknown
    assert matrix[19, 19] == (unknown & (anomaly == 1)).sum()
    assert matrix.sum() == (anomaly != 255).sum()
    assert kept.rows["naming"][0] == 2  # two things in one frame
    cityscapes, sample = load_vocabulary("cityscapes"), subject.samples[0]
    truth = truth_of(sample, sample.label(), class_map("cityscapes", cityscapes))
    assert truth.corridor is not None
    clear = truth.corridor & (anomaly == 0)
    assert kept.rows["corridor"].tolist() == [clear.sum(), (clear & unknown).sum()]
    assert 0 < m["operational"]["corridor_fpr"] < 1
    assert m["naming_unnamed"] == 1
    assert found.frames[0]["true_name"] == "moose|sofa"
    assert [line["condition.pavement"] for line in found.frames] == ["wet", "dry"]
    write_report(tmp_path / "out", found)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Light" in page
    assert re.search(r"<td>moose</td><td[^>]*>2</td>", page)


def test_packs_of_both_vocabularies_are_not_mixed(tmp_path: Path) -> None:
    label = np.zeros(SIZE, np.uint8)
    pack(tmp_path / "road", "a", label, {1: "sofa"}, "clear")
    pack(tmp_path / "apron", "b", label, {1: "sofa"}, "clear")
    about = json.loads((tmp_path / "apron" / "frames" / "b.json").read_text())
    (tmp_path / "apron" / "frames" / "b.json").write_text(json.dumps(about | {"vocabulary": "airside"}))
    with pytest.raises(DataError, match="split apron or road"):
        open_subject("proving-ground", tmp_path)
    with pytest.raises(DataError, match=r"no split 'aprn'; it has apron, road$"):
        open_subject("proving-ground", tmp_path, "aprn")
    with pytest.raises(DataError, match=r"it has apron \(or of it only apron-drive, .*road-far\)$"):
        open_subject("proving-ground", None, "aprn")
    assert [s.name for s in open_subject("proving-ground", tmp_path, "apron").samples] == ["b"]
    (tmp_path / "road" / "instances" / "a.png").unlink()
    with pytest.raises(DataError, match="instances"):
        open_subject("proving-ground", tmp_path, "road")


def test_a_vocabulary_of_other_things_is_refused() -> None:
    with pytest.raises(ConfigError, match="--vocabulary camvid"):
        class_map("camvid", colour_vocabulary("red", "blue"))


def test_cityscapes_ids_and_vocabulary_agree() -> None:
    classes = class_map("cityscapes", load_vocabulary("cityscapes"))
    assert classes is not None
    assert classes.table == tuple(range(19))
    assert sorted(set(CITYSCAPES_TRAIN_IDS.values())) == list(range(19))
    truth = truth_of(Sample("a", Path("a.png")), np.array([[0, 18, 255]], np.uint8), classes)
    np.testing.assert_array_equal(truth.classes, [[0, 18, LEFT_OUT]])
    np.testing.assert_array_equal(truth.anomaly, [[0, 0, 255]])


# --- names ---


def finding(name: str | None, box: tuple[int, int, int, int], score: float, *others: str) -> Finding:
    region = Region(box, np.ones((box[3], box[2]), bool), score, SIZE)
    candidates = tuple(
        Candidate(n, "dictionary", 0.5 - rank / 10, 0.1, rank)
        for rank, n in enumerate([name, *others] if name else others)
    )
    return Finding(region, name, 0.5, candidates)


def test_the_finding_on_the_anomaly_is_judged() -> None:
    big, small = finding("tree", (0, 0, 50, 50), 0.9), finding("cow", (60, 30, 10, 10), 0.5, "horse")
    truth = Named("cow", square(30, 60, 12) == 1)
    assert judged_finding([big, small], truth) is small
    assert answer_of(small) == ["cow", "horse"]
    assert judged_finding([big], truth) is None  # nothing was found where it is
    assert judged_finding([big, small], Named("cow")) is big  # without a mask, the largest
    assert judged_finding([], Named("cow")) is None
    assert answer_of(finding(None, (0, 0, 5, 5), 0.5, "horse")) == []  # shown to people, but not chosen


def test_plurals_of_true_names_count_as_synonyms() -> None:
    table = synonyms_for(["cones", "grass"])
    assert table.same("cones", "traffic cone")
    assert not table.same("cones", "cow")
    assert not table.same("grass", "gras")


def test_names_are_judged_over_a_set(tmp_path: Path) -> None:
    for i, (background, box, name) in enumerate(
        [("green", "red", "red"), ("green", "yellow", "red"), ("green", None, "red")]
    ):
        save(tmp_path / "set" / f"{name}{i:04}.png", colour_picture(background, box=box))
    words = tmp_path / "words.txt"
    words.write_text("red\nyellow\n")
    settings = ColourEncoder.settings(dictionary=str(words))
    encoder = ColourEncoder()
    pipeline = Pipeline(settings, encoder=encoder, vocabulary=colour_vocabulary("green", "blue"))
    found, _ = evaluate(pipeline, open_subject("names", tmp_path / "set"), tmp_path / "out")
    m = found.metrics
    assert (m["naming_top1"], m["naming_top5"], m["naming_unnamed"]) == pytest.approx((1 / 3, 2 / 3, 1 / 3))
    red, yellow = encoder.encode_texts(["red", "yellow"])
    assert m["naming_similarity"] == pytest.approx((1 + float(red @ yellow)) / 2, abs=1e-4)
    assert m["ap"] is None
    assert [line["name"] for line in found.frames] == ["red", "yellow", ""]
    low, high = m["naming_top1_ci"]
    assert low <= 1 / 3 <= high
    assert "undefined" not in m  # pictures without labels are no defect


def test_none_named_of_few_does_not_mean_none_of_all(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / "set" / f"cow{i:04}.png", np.full((*SIZE, 3), 90, np.uint8))
    pipeline = Pipeline(load_settings(overrides={"method": "centre"}))
    found, _ = evaluate(pipeline, open_subject("names", tmp_path / "set"), tmp_path / "out")
    assert found.metrics["naming_top1"] == 0
    assert found.metrics["naming_top1_ci"][1] == pytest.approx(share_interval(0, 3).high)


def test_mistakes_are_said_before_the_first_frame(masks: Path, tmp_path: Path) -> None:
    cases = [
        (["anomaly-trak", "--root", masks], "unknown data set"),
        (["anomaly-track", "--root", tmp_path / "nowhere"], "not a folder"),
        (["anomaly-track", "--root", masks, "--methods", "centre,centre"], "twice"),
        (["anomaly-track", "--root", masks, "--methods", "centre,"], "empty"),
        (["anomaly-track", "--root", masks, "--methods", "centre,knn"], "clipomaly fit"),
        (["anomaly-track", "--root", masks, "--method", "centr"], "unknown method"),
    ]
    for arguments, message in cases:
        with pytest.raises(ClipomalyError, match=message):
            run("evaluate", *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_help_loads_no_plots() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom clipomaly.cli import app\n"
        "assert CliRunner().invoke(app, ['evaluate', '--help']).exit_code == 0\n"
        "heavy = {'matplotlib', 'onnxruntime', 'cv2', 'torch', 'h5py'} & set(sys.modules)\n"
        "sys.exit(f'{heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
