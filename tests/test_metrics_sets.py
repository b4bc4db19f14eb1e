"""Open-world, naming, industrial and operational metrics, against slow readings of their definitions."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label as scipy_label
from sklearn.metrics import average_precision_score, confusion_matrix, jaccard_score, roc_auc_score

from clipomaly.errors import MetricError
from clipomaly.metrics.industrial import ProCounts, aupro, image_metrics
from clipomaly.metrics.names import NamingCounts, Synonyms, naming_share_of
from clipomaly.metrics.openworld import OpenWorldCounts, confusion_of, known_miou_of
from clipomaly.metrics.operational import (
    OperationalCounts,
    confirmation_delay,
    first_detection_range,
    latency_percentiles,
    smallest_detectable,
)

# --- open world ---


def test_ious_are_those_of_scikit_learn_pooled_over_frames() -> None:
    rng = np.random.default_rng(0)
    frames = [(rng.integers(0, 6, (20, 30)), rng.choice([0, 1, 2, 3, 4, 5, 255], (20, 30))) for _ in range(4)]
    counts = OpenWorldCounts(n_known=5)
    for predicted, truth in frames:
        counts.add(predicted, truth)
    truth = np.concatenate([t.ravel() for _, t in frames])
    predicted = np.concatenate([p.ravel() for p, _ in frames])[truth != 255]
    truth = truth[truth != 255]
    result = counts.result()
    iou = jaccard_score(truth, predicted, average=None)
    assert result.iou == pytest.approx(iou)
    assert result.known_miou == pytest.approx(iou[:5].mean())
    assert result.unknown_iou == pytest.approx(iou[5])
    assert result.miou == pytest.approx(iou.mean())
    assert result.miou_2class == pytest.approx(jaccard_score(truth == 5, predicted == 5, average="macro"))
    assert result.support == tuple(np.bincount(truth))
    assert np.array_equal(counts.confusion, confusion_matrix(truth, predicted))


def test_the_mean_is_over_pixels_not_over_images() -> None:
    """Two frames whose per-image IoUs average to 0.5, and whose pooled IoU does not."""
    counts = OpenWorldCounts(n_known=1)
    counts.add(np.zeros(99, int), np.zeros(99, int))
    counts.add(np.array([1]), np.array([0]))
    assert counts.result().known_miou == 0.99


def test_a_class_that_occurs_nowhere_enters_no_mean() -> None:
    counts = OpenWorldCounts(n_known=3)
    counts.add(np.array([0, 0, 1]), np.array([0, 0, 0]))
    result = counts.result()
    assert result.iou == (pytest.approx(2 / 3), 0.0, None, None)
    assert result.known_miou == pytest.approx(1 / 3)
    assert result.unknown_iou is None


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        ([0, 9], [0, 0], r"prediction holds \[9\]"),
        ([0, 0], [0, 7], r"truth holds \[7\]"),
        ([0], [0, 0], "shape"),
    ],
)
def test_odd_class_numbers_are_refused(predicted: list[int], truth: list[int], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        confusion_of(np.array(predicted), np.array(truth), n_known=2)


def test_open_world_counts_pool_and_refuse_what_does_not_fit() -> None:
    rng = np.random.default_rng(1)
    whole, one, two = (OpenWorldCounts(3) for _ in range(3))
    rows = [whole.add(p, t) for p, t in (rng.integers(0, 4, (2, 5, 6)) for _ in range(5))]
    for k, row in enumerate(rows):
        (one if k % 2 else two).confusion += row
    one.merge(two)
    assert one.result() == whole.result()
    assert known_miou_of(np.sum(rows, axis=0)) == pytest.approx(whole.result().known_miou)
    with pytest.raises(MetricError, match="vocabularies"):
        one.merge(OpenWorldCounts(4))
    with pytest.raises(MetricError, match="no frame"):
        OpenWorldCounts(3).result()
    with pytest.raises(MetricError, match="outside them"):
        OpenWorldCounts(300, ignore=255)


# --- naming ---


def test_naming_counts_exact_and_lenient_hits_apart() -> None:
    table = Synonyms({"traffic cone": ["cone", "pylon"], "pylon": ["power tower"]})
    counts = NamingCounts(table)
    rows = [
        counts.add("Traffic_Cone", ["traffic cone"], 1.0),
        counts.add("cone", ["dog", "pylon"], 0.2),
        counts.add(
            "power tower", ["pylon", "a", "b", "c", "d", "power tower"], 0.6
        ),  # sixth: too late for top-5
        counts.add("power tower", ["cone"]),  # two groups, none shared
        counts.add("sofa", []),
    ]
    result = counts.result()
    assert (result.top1, result.top5) == (0.2, 0.2)
    assert (result.top1_synonym, result.top5_synonym) == (0.4, 0.6)
    assert result.unnamed == 0.2
    assert result.mean_similarity == pytest.approx(0.6)
    assert result.n_regions == 5
    assert naming_share_of(np.sum(rows, axis=0), "top5_synonym") == pytest.approx(0.6)


def test_naming_refuses_strings_and_emptiness() -> None:
    with pytest.raises(MetricError, match="one string"):
        NamingCounts().add("cow", "cow")
    with pytest.raises(MetricError, match="one string"):
        Synonyms({"cow": "cattle"})
    with pytest.raises(MetricError, match="no true name"):
        NamingCounts().add(" ", ["cow"])
    with pytest.raises(MetricError, match="no region"):
        NamingCounts().result()


# --- industrial ---


def slow_aupro(scores: np.ndarray, labels: np.ndarray, limit: float) -> float:
    """Every threshold in turn, overlap by overlap, trapezoids up to the limit."""
    regions = []
    for k, image in enumerate(labels):
        parts, n = scipy_label(image == 1, np.ones((3, 3)))
        regions += [(k, parts == i) for i in range(1, n + 1)]
    x, y = [0.0], [0.0]
    for threshold in np.unique(scores[labels != 255])[::-1]:
        flagged = scores >= threshold
        x.append(np.count_nonzero(flagged & (labels == 0)) / np.count_nonzero(labels == 0))
        y.append(float(np.mean([flagged[k][mask].mean() for k, mask in regions])))
    fpr, pro = np.array(x), np.array(y)
    inside = fpr <= limit
    at = np.flatnonzero(inside)[-1]
    fpr_cut, pro_cut = fpr[inside], pro[inside]
    if at + 1 < fpr.size and fpr[at] < limit:
        slope = (pro[at + 1] - pro[at]) / (fpr[at + 1] - fpr[at])
        fpr_cut = np.append(fpr_cut, limit)
        pro_cut = np.append(pro_cut, pro[at] + slope * (limit - fpr[at]))
    return float(np.trapezoid(pro_cut, fpr_cut) / limit)


def defects(seed: int, steps: int | None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random((2, 10, 11)) < 0.12).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.05] = 255
    labels[0, 0, 0], labels[0, 5, 5] = 0, 1
    scores = rng.normal(size=labels.shape) + 1.5 * (labels == 1)
    scores = np.round(scores * steps) / steps if steps else scores
    return scores.astype(np.float32), labels


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([None, 1, 3]), st.sampled_from([0.05, 0.3, 1.0]))
def test_aupro_is_the_area_under_every_threshold(seed: int, steps: int | None, limit: float) -> None:
    scores, labels = defects(seed, steps)
    expected = slow_aupro(scores, labels, limit)
    assert aupro(scores, labels, limit) == pytest.approx(expected, abs=1e-9)
    assert 0 <= expected <= 1


def region_maps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Integers below 2²⁰ over 2²⁰, so that the maps are the same on every machine."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 4096, (3, 48, 60)).astype(np.float64)
    smooth = np.stack([cv2.boxFilter(part, -1, (7, 7), normalize=False) for part in noise])
    labels = (smooth > np.quantile(smooth, 0.92)).astype(np.uint8)
    steps = rng.integers(0, 1 << 19, labels.shape) + labels * rng.integers(0, 1 << 19, labels.shape)
    return (steps / (1 << 20)).astype(np.float32), labels


# What anomalib (161bb36) and the evaluation code of MVTec 3D-AD (a copy in its tests) give for these maps.
PUBLISHED_AUPRO = {
    0: (0.6483376622200012, 0.6485935368275032),
    1: (0.6284686326980591, 0.6287291990357471),
    2: (0.6358850002288818, 0.636182076080889),
    3: (0.62830650806427, 0.6285445935623928),
}


@pytest.mark.parametrize("seed", PUBLISHED_AUPRO)
def test_aupro_lies_between_the_published_ones(seed: int) -> None:
    """They differ by parts of a pixel's step in FPR, one to each side of ours; 7,948 pixels are good."""
    anomalib, mvtec = PUBLISHED_AUPRO[seed]
    ours = aupro(*region_maps(seed), 0.3)
    assert anomalib < ours < mvtec
    assert mvtec - anomalib < 3.1e-4


def test_aupro_of_perfect_useless_and_constant_scores() -> None:
    labels = np.zeros((2, 10, 10), np.uint8)
    labels[0, 2:4, 2:4] = labels[1, 5:9, 5:9] = 1
    assert aupro(labels.astype(np.float32), labels) == 1
    assert aupro(-labels.astype(np.float32), labels) == 0
    assert aupro(np.zeros(labels.shape, np.float32), labels) == pytest.approx(0.15)
    assert aupro(labels.astype(np.float32), labels, limit=1.0) == 1


def test_aupro_weighs_regions_not_pixels() -> None:
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[0, 0:10, 0:10], labels[0, 15, 15] = 1, 1
    scores = np.zeros(labels.shape, np.float32)
    scores[0, 15, 15] = 1  # the small region alone is found: half of the overlap
    assert aupro(scores, labels, 0.3) == pytest.approx(0.5 + 0.5 * 0.15)


def test_aupro_streams_spills_and_pools() -> None:
    parts = [defects(seed, None) for seed in range(6)]
    scores, labels = (np.concatenate(side) for side in zip(*parts, strict=True))
    expected = aupro(scores, labels)
    one, two = ProCounts(memory=2_000), ProCounts()
    for k, (score, truth) in enumerate(zip(scores, labels, strict=True)):
        (one if k % 3 else two).add(score, truth)
    one.merge(two)
    assert one.result() == pytest.approx(expected, abs=1e-12)
    assert one._negative._stored


def test_aupro_refuses_what_has_no_answer() -> None:
    scores, good = np.zeros((1, 4, 4), np.float32), np.zeros((1, 4, 4), np.uint8)
    with pytest.raises(MetricError, match="no defect region"):
        aupro(scores, good)
    with pytest.raises(MetricError, match="no good pixel"):
        aupro(scores, good + 1)
    with pytest.raises(MetricError, match="not finite"):
        aupro(scores + np.nan, good)
    with pytest.raises(MetricError, match="other values"):
        aupro(scores, good + 2)
    with pytest.raises(MetricError, match=r"\(0, 1\]"):
        aupro(scores, good, limit=0.0)


def test_image_metrics_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    defective = rng.random(80) < 0.4
    scores = np.round(rng.normal(size=80) + defective, 1)
    result = image_metrics(scores, defective)
    assert result.auroc == pytest.approx(roc_auc_score(defective, scores), abs=1e-12)
    assert result.ap == pytest.approx(average_precision_score(defective, scores), abs=1e-12)


# --- operational ---


def scene() -> tuple[np.ndarray, np.ndarray]:
    labels, corridor = np.zeros((12, 20), np.uint8), np.zeros((12, 20), bool)
    corridor[:, 5:15] = True
    return labels, corridor


def flags(*boxes: tuple[slice, slice]) -> np.ndarray:
    mask = np.zeros((12, 20), bool)
    for box in boxes:
        mask[box] = True
    return mask


def test_operational_figures_of_a_drive_counted_by_hand() -> None:
    labels, corridor = scene()
    inside, outside = (slice(2, 5), slice(6, 9)), (slice(2, 5), slice(0, 3))
    far = (slice(8, 10), slice(11, 13))
    hazard, beside = labels.copy(), labels.copy()
    hazard[inside] = 1
    beside[outside] = 1
    counts = OperationalCounts(minimum=4)
    step = {"km": 0.25, "seconds": 36.0}
    counts.add(flags(), hazard, corridor, slices={"light": "night", "size": "small"}, **step)  # a false clear
    counts.add(flags((slice(4, 6), slice(8, 11))), hazard, corridor, slices={"light": "day"}, **step)  # found
    counts.add(
        flags(far, outside), hazard, corridor, slices={"light": "day"}, **step
    )  # not clear, yet not found
    counts.add(flags(), beside, corridor, slices={"light": "day"}, **step)  # no hazard in the corridor
    counts.add(flags(far, (slice(0, 1), slice(6, 7))), labels, corridor, slices={"light": "night"}, **step)
    result = counts.result()
    assert (result.n_frames, result.n_hazard_frames, result.n_hazards) == (5, 3, 3)
    assert result.false_clear_rate == pytest.approx(1 / 3)
    assert result.hazard_recall == pytest.approx(1 / 3)
    assert (result.n_false_alarms, result.n_frames_with_false_alarm) == (2, 2)
    assert result.false_alarms_per_frame == pytest.approx(2 / 5)
    assert result.false_alarms_per_km == pytest.approx(2 / 1.25)
    assert result.false_alarms_per_hour == pytest.approx(2 / 0.05)
    assert result.false_clear_interval is not None
    assert result.false_clear_interval.contains(1 / 3)
    slices = counts.by_slice()
    assert list(slices["light"]) == ["day", "night"]
    assert slices["light"]["night"].false_clear_rate == 1
    assert slices["light"]["day"].false_clear_rate == 0
    assert slices["size"]["small"].n_frames == 1


def test_flags_on_ignored_pixels_are_neither_finding_nor_alarm() -> None:
    labels, corridor = scene()
    labels[:, 8:] = 255
    counts = OperationalCounts(minimum=4)
    counts.add(flags((slice(2, 6), slice(7, 12))), labels, corridor)  # 4 pixels are left of it
    assert counts.result().n_false_alarms == 1
    counts.add(flags((slice(2, 5), slice(7, 12))), labels, corridor)  # 3 are too few
    result = counts.result()
    assert result.n_false_alarms == 1
    assert result.false_clear_rate is None
    assert result.false_alarms_per_km is None


def test_operational_counts_pool_by_slice() -> None:
    labels, corridor = scene()
    hazard = labels.copy()
    hazard[3:6, 6:9] = 1
    whole, one, two = (OperationalCounts() for _ in range(3))
    for k, flagged in enumerate([flags(), hazard == 1, corridor, ~corridor]):
        for counts in (whole, one if k % 2 else two):
            counts.add(flagged, hazard, corridor, slices={"k": str(k % 3)}, km=0.1 * k)
    one.merge(two)
    assert one.result() == whole.result()
    assert one.by_slice() == whole.by_slice()
    with pytest.raises(MetricError, match="one size"):
        one.merge(OperationalCounts(minimum=9))
    with pytest.raises(MetricError, match="no frame"):
        OperationalCounts().result()
    with pytest.raises(MetricError, match="differ in size"):
        whole.add(flags()[:3], labels, corridor)


def test_the_smallest_detectable_size_tolerates_rare_misses_above_it() -> None:
    sizes = np.array([1.0, 0.5, 0.5, 0.4, 0.3, 0.2, 0.1, 0.9])
    ranges = np.array([5.0] * 7 + [15.0])
    found = np.array([0, 1, 1, 1, 1, 0, 0, 0], bool)
    assert smallest_detectable(sizes, ranges, found, [0.0, 10.0, 20.0, 30.0], recall=0.8) == [0.3, None, None]
    assert smallest_detectable(sizes, ranges, found, [0.0, 10.0, 20.0], recall=0.95) == [None, None]


def test_first_detection_and_confirmation() -> None:
    found = np.array([0, 1, 0, 1, 1, 1], bool)
    assert first_detection_range(np.array([60.0, 50, 40, 30, 20, 10]), found) == 50
    assert first_detection_range(np.array([60.0]), np.array([False])) is None
    assert confirmation_delay(np.arange(6) / 10, found, 3) == pytest.approx(0.5)
    assert confirmation_delay(np.arange(6) / 10, found, 4) is None
    assert confirmation_delay(np.arange(2) / 10, np.ones(2, bool), 3) is None


def test_latency_percentiles_are_measured_values() -> None:
    times = np.random.default_rng(0).exponential(size=37)
    result = latency_percentiles(times)
    assert {result.p50, result.p95, result.p99} <= set(times.tolist())
    assert np.count_nonzero(times <= result.p95) >= 0.95 * 37
    with pytest.raises(MetricError, match="no frame was timed"):
        latency_percentiles(np.array([]))
