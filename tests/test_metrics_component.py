"""Component metrics: the published evaluation code's numbers, and a slow reading of the definition."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipomaly.errors import MetricError
from clipomaly.metrics.component import (
    ANOMALY_TRACK,
    OBSTACLE_TRACK,
    SIOU_THRESHOLDS,
    ComponentCounts,
    MinimumSizes,
    f1_star_of,
    match_components,
    ppv_of,
    siou_of,
)


def blobs(rng: np.random.Generator, shape: tuple[int, int], width: int, share: float) -> np.ndarray:
    """A random mask whose structures are about `width` pixels wide and cover about `share`."""
    noise = rng.integers(0, 4096, shape).astype(np.float64)
    noise = cv2.boxFilter(noise, -1, (width, width), normalize=False)  # integers: the same on every machine
    return noise > np.quantile(noise, 1 - share)


def case(seed: int) -> tuple[np.ndarray, np.ndarray, MinimumSizes]:
    """A prediction and labels with touching, split, merged, small, ignored and empty components."""
    rng = np.random.default_rng(seed)
    shape = (60 + 7 * (seed % 5), 90 + 11 * (seed % 3))
    labels = blobs(rng, shape, 5 + seed % 7, 0.15).astype(np.uint8)
    predicted = (labels == 1) ^ blobs(rng, shape, 1 + seed % 6, 0.05 + 0.02 * (seed % 4))
    predicted = np.roll(predicted, seed % 4, axis=1)
    labels[blobs(rng, shape, 9, 0.1)] = 255
    return predicted, labels, [MinimumSizes(1, 1), MinimumSizes(20, 8), OBSTACLE_TRACK][seed % 3]


@pytest.fixture(scope="module")
def real_cases(shared_dir: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Real masks: each frame's truth, moved, joined with the truth of the next frame, against the truth."""
    folder = shared_dir / "data" / "eval" / "road_anomaly_visible" / "frames"
    files = sorted(folder.glob("*.labels/labels_semantic.png"))
    if len(files) != 32:
        pytest.skip(f"the 32 visible RoadAnomaly frames are not at {folder}")
    truths = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) == 2 for file in files]
    cases = []
    for k, truth in enumerate(truths):
        labels = truth.astype(np.uint8)
        labels[: 40 + k] = 255
        cases.append((np.roll(truth, (9, 14), axis=(0, 1)) | truths[(k + 1) % 32], labels))
    return cases


# What the published evaluation gives for `case(seed)` (SegmentMeIfYouCan/road-anomaly-benchmark, 1c7804e):
# true and predicted components, Σ sIoU, Σ PPV, TP and FP at the eleven thresholds.
PUBLISHED = {
    0: (
        84,
        204,
        70.33444461835397,
        76.89208822845245,
        [82, 80, 77, 77, 77, 77, 73, 72, 72, 67, 67],
        [119, 120, 122, 122, 122, 122, 126, 127, 127, 129, 129],
    ),
    1: (
        23,
        12,
        6.417126848722135,
        7.738586980992506,
        [12, 12, 12, 10, 9, 7, 6, 3, 3, 0, 0],
        [0, 0, 0, 0, 1, 1, 2, 3, 6, 8, 10],
    ),
    2: (
        31,
        5,
        2.5111948234128376,
        3.105861703655821,
        [5, 3, 3, 3, 3, 2, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 2, 2, 2, 4, 4],
    ),
    3: (
        90,
        149,
        9.32196628317677,
        19.923847089803147,
        [14, 9, 5, 3, 3, 3, 3, 3, 3, 2, 2],
        [120, 120, 126, 129, 130, 131, 136, 136, 136, 137, 137],
    ),
    4: (
        34,
        23,
        19.035210109772777,
        19.738212537503376,
        [22, 22, 22, 22, 21, 21, 20, 19, 19, 18, 17],
        [1, 1, 1, 1, 1, 1, 3, 3, 4, 4, 5],
    ),
    5: (
        14,
        6,
        3.698238530284611,
        4.80570161101409,
        [6, 6, 6, 6, 6, 5, 5, 3, 2, 2, 1],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
    ),
    6: (
        51,
        288,
        11.21816264666706,
        21.989191304015336,
        [16, 15, 14, 13, 12, 11, 6, 5, 4, 3, 3],
        [256, 258, 261, 263, 264, 264, 271, 273, 273, 274, 274],
    ),
    7: (
        32,
        13,
        3.0195606309127667,
        4.011890908581743,
        [2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        [5, 5, 8, 9, 10, 12, 13, 13, 13, 13, 13],
    ),
    8: (
        29,
        6,
        5.302657096269307,
        5.569667394463099,
        [6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ),
    9: (
        101,
        171,
        22.18736570668135,
        34.9809446621709,
        [44, 39, 31, 30, 23, 18, 13, 9, 4, 1, 1],
        [117, 118, 123, 123, 124, 124, 133, 138, 145, 156, 159],
    ),
    10: (
        20,
        12,
        3.9893706749815054,
        5.052049029227021,
        [8, 7, 5, 4, 2, 1, 1, 0, 0, 0, 0],
        [2, 3, 4, 4, 6, 7, 8, 10, 11, 12, 12],
    ),
    11: (
        18,
        6,
        1.848194901527556,
        2.5059713645225132,
        [4, 4, 3, 3, 0, 0, 0, 0, 0, 0, 0],
        [2, 2, 2, 3, 3, 3, 3, 4, 5, 6, 6],
    ),
}


@pytest.mark.parametrize("seed", PUBLISHED)
def test_random_masks_give_the_published_numbers(seed: int) -> None:
    n_true, n_predicted, siou, ppv, tp, fp = PUBLISHED[seed]
    predicted, labels, minimum = case(seed)
    counts = ComponentCounts(minimum)
    counts.add(predicted, labels)
    result = counts.result()
    assert (result.n_true, result.n_predicted) == (n_true, n_predicted)
    assert list(result.tp) == tp
    assert list(result.fp) == fp
    assert list(result.fn) == [n_true - n for n in tp]
    assert result.siou == pytest.approx(siou / n_true, abs=1e-12)
    assert result.ppv == pytest.approx(ppv / n_predicted, abs=1e-12)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("minimum", "n_true", "n_predicted", "siou", "ppv", "f1_star"),
    [
        (ANOMALY_TRACK, 84, 101, 0.3087215602520072, 0.3184157884616644, 0.25775782967830474),
        (OBSTACLE_TRACK, 92, 124, 0.2831213185314384, 0.266141401148832, 0.2198806363312108),
    ],
)
def test_real_masks_give_the_published_numbers(
    real_cases: list[tuple[np.ndarray, np.ndarray]],
    minimum: MinimumSizes,
    n_true: int,
    n_predicted: int,
    siou: float,
    ppv: float,
    f1_star: float,
) -> None:
    counts = ComponentCounts(minimum)
    rows = [counts.add(predicted, labels) for predicted, labels in real_cases]
    result = counts.result()
    assert (result.n_true, result.n_predicted) == (n_true, n_predicted)
    assert (result.siou, result.ppv) == (pytest.approx(siou, abs=1e-12), pytest.approx(ppv, abs=1e-12))
    assert result.f1_star == pytest.approx(f1_star, abs=1e-12)
    total = np.sum(rows, axis=0)
    assert (f1_star_of(total), siou_of(total), ppv_of(total)) == pytest.approx(
        (f1_star, siou, ppv), abs=1e-12
    )


def slowly(
    predicted: np.ndarray, labels: np.ndarray, minimum: MinimumSizes
) -> tuple[list[float], list[float]]:
    """The definition in the module's docstring, read with Python sets."""

    def components(mask: np.ndarray) -> list[set[tuple[int, int]]]:
        left, found = set(map(tuple, np.argwhere(mask).tolist())), []
        while left:
            part, edge = set(), [left.pop()]
            while edge:
                y, x = edge.pop()
                part.add((y, x))
                near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
                left -= near
                edge += near
            found.append(part)
        return found

    truth = components(labels == 1)
    dropped = set().union(*(k for k in truth if len(k) < minimum.true))
    if labels.size - np.count_nonzero(labels == 1) < minimum.true:
        dropped |= set(map(tuple, np.argwhere(labels != 1).tolist()))
    truth = [k for k in truth if len(k) >= minimum.true]
    found = [p for p in components(predicted & (labels != 255)) if len(p) >= minimum.predicted]
    found = [p - dropped for p in found if p - dropped]
    siou = []
    for k in truth:
        union = set().union(*(p for p in found if p & k))
        others = set().union(*(j for j in truth if j is not k))
        siou.append(len(k & union) / (len(k | union) - len(union & others)))
    on_truth = set().union(*truth)
    return sorted(siou), sorted(len(p & on_truth) / len(p) for p in found)


@settings(deadline=None, max_examples=80)
@given(
    st.integers(0, 10**6), st.integers(0, 12), st.integers(0, 8), st.sampled_from([0.02, 0.3, 0.5, 0.95, 1.0])
)
def test_any_masks_follow_the_definition(
    seed: int, predicted_size: int, true_size: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    labels = blobs(rng, (12, 17), 1 + seed % 3, share).astype(np.uint8)
    labels[blobs(rng, (12, 17), 2, 0.1)] = 255
    predicted = blobs(rng, (12, 17), 1 + seed % 2, rng.choice([0.0, 0.2, 0.5, 1.0]))
    minimum = MinimumSizes(predicted_size, true_size)
    match = match_components(predicted, labels, minimum)
    siou, ppv = slowly(predicted, labels, minimum)
    assert sorted(match.siou.tolist()) == siou
    assert sorted(match.ppv.tolist()) == ppv


def test_sizes_at_the_limit_are_kept() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[0:10, 0:10] = 1  # exactly 100 pixels
    predicted = np.zeros((40, 60), bool)
    predicted[0:20, 0:25] = True  # exactly 500
    match = match_components(predicted, labels, ANOMALY_TRACK)
    assert (match.siou.tolist(), match.ppv.tolist()) == ([0.2], [0.2])
    predicted[0, 24] = False
    assert match_components(predicted, labels, ANOMALY_TRACK).ppv.size == 0
    labels[0, 0] = 0
    assert match_components(predicted, labels, ANOMALY_TRACK).siou.size == 0


def test_a_score_exactly_at_the_threshold_counts_as_found() -> None:
    labels = np.zeros((4, 8), np.uint8)
    labels[:, :4] = 1
    predicted = np.zeros((4, 8), bool)
    predicted[0:2, 0:4] = True  # sIoU 0.5
    predicted[3, 2:6] = True  # another component, half on truth: sIoU (8 + 2) / (16 + 2)
    counts = ComponentCounts(MinimumSizes(1, 1))
    counts.add(predicted & (np.arange(4) < 3)[:, None], labels)
    assert dict(zip(SIOU_THRESHOLDS.tolist(), counts.result().tp, strict=True))[0.5] == 1
    counts.add(predicted, labels)
    half = SIOU_THRESHOLDS.tolist().index(0.5)
    assert counts.result().fp[half] == 0  # PPV 0.5 is not below 0.5
    assert counts.result().fp[half + 1] == 1


def test_a_prediction_on_small_or_ignored_objects_is_no_false_alarm() -> None:
    labels = np.zeros((10, 20), np.uint8)
    labels[2:4, 2:4] = 1  # below the minimum: ignored
    labels[5:9, 10:18] = 1
    labels[:, 0] = 255
    predicted = labels > 0
    match = match_components(predicted, labels, MinimumSizes(1, 8))
    assert (match.siou.tolist(), match.ppv.tolist()) == ([1.0], [1.0])


def test_many_components_are_counted_without_a_table_of_pairs() -> None:
    """A chequerboard of 4-pixel squares: more pairs than the counting table may hold."""
    y, x = np.mgrid[:400, :400]
    labels = ((y % 3 < 2) & (x % 3 < 2)).astype(np.uint8)
    predicted = (y % 3 == 0) & (x % 3 < 2)
    match = match_components(predicted, labels, MinimumSizes(1, 1))
    assert match.siou.size * match.ppv.size > 1 << 22
    assert np.unique(match.ppv).tolist() == [1.0]
    assert 0.5 in match.siou


def test_merging_equals_pooling() -> None:
    whole, one, two = (ComponentCounts(OBSTACLE_TRACK) for _ in range(3))
    for seed in range(6):
        predicted, labels, _ = case(seed)
        whole.add(predicted, labels)
        (one if seed % 2 else two).add(predicted, labels)
    one.merge(two)
    assert one.total == pytest.approx(whole.total)
    with pytest.raises(MetricError, match="cannot be pooled"):
        one.merge(ComponentCounts(ANOMALY_TRACK))


def test_what_has_no_answer_is_refused() -> None:
    labels = np.zeros((30, 30), np.uint8)
    counts = ComponentCounts(MinimumSizes(1, 1))
    counts.add(labels == 0, labels)
    with pytest.raises(MetricError, match="no true component"):
        counts.result()
    labels[5, 5] = 1
    counts = ComponentCounts(MinimumSizes(1, 1))
    counts.add(labels == 9, labels)
    assert counts.result().ppv is None
    assert counts.result().f1_star == 0
    with pytest.raises(MetricError, match="not bool"):
        match_components(labels, labels)
    with pytest.raises(MetricError, match="differ"):
        match_components(labels[:3] == 1, labels)
