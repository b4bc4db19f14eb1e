"""Intervals over frames: coverage, pairing, seeding, and the per-frame rows behind the pixel metrics."""

from __future__ import annotations

import numpy as np
import pytest

from clipomaly.errors import MetricError
from clipomaly.metrics.bootstrap import (
    Interval,
    bootstrap_interval,
    mean_of,
    paired_difference,
    share_interval,
)
from clipomaly.metrics.component import ComponentCounts, MinimumSizes, f1_star_of
from clipomaly.metrics.pixel import PixelCounts
from clipomaly.metrics.sketch import FrameSketches, ap_of, auroc_of, f1_best_of, fpr95_of


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        rows = np.stack([rng.normal(3, 1, 40), np.ones(40)], axis=1)
        hits += bootstrap_interval(rows, mean_of, resamples=300, seed=seed).contains(3.0)
    assert 0.88 <= hits / 200 <= 0.99


def test_intervals_are_seeded_and_widen_with_the_level() -> None:
    rows = np.random.default_rng(1).random((25, 2))
    one, same, other = (bootstrap_interval(rows, mean_of, seed=s) for s in (4, 4, 5))
    wide = bootstrap_interval(rows, mean_of, level=0.99, seed=4)
    assert one == same != other
    assert wide.low < one.low < one.high < wide.high


def test_the_interval_is_that_of_resampling_frames_one_by_one() -> None:
    rows = np.random.default_rng(2).integers(1, 9, (12, 2)).astype(float)
    rng, figures = np.random.default_rng(7), []
    for _ in range(4000):
        total = rows[rng.integers(0, 12, 12)].sum(axis=0)
        figures.append(total[0] / total[1])
    fast = bootstrap_interval(rows, mean_of, resamples=4000)
    assert (fast.low, fast.high) == pytest.approx(tuple(np.quantile(figures, [0.025, 0.975])), abs=0.08)
    assert fast.high - fast.low > 1


def test_resamples_without_an_answer_are_left_out_and_counted() -> None:
    rows = np.array([[1.0, 2.0], [0, 0], [0, 0]])
    interval = bootstrap_interval(rows, mean_of, resamples=2000)
    assert (interval.low, interval.high) == (0.5, 0.5)
    assert 0.25 < interval.undefined / 2000 < 0.34  # (2/3)³
    with pytest.raises(MetricError, match="every resample"):
        bootstrap_interval(rows[1:], mean_of)
    with pytest.raises(MetricError, match="needs frames"):
        bootstrap_interval(rows[:0], mean_of)
    with pytest.raises(MetricError, match=r"level 95\.0"):
        bootstrap_interval(rows, mean_of, level=95.0)


def test_pairing_sees_a_small_difference_that_single_intervals_hide() -> None:
    rng = np.random.default_rng(3)
    hard = rng.random(40)  # frames differ much, methods little
    one = np.stack([hard + 0.02, np.ones(40)], axis=1)
    two = np.stack([hard + 0.002 * rng.normal(size=40), np.ones(40)], axis=1)
    difference = paired_difference(one, two, mean_of)
    assert 0.015 < difference.low < 0.02 < difference.high < 0.025
    assert bootstrap_interval(one, mean_of).contains(two[:, 0].mean())
    assert paired_difference(one, one, mean_of) == Interval(0.0, 0.0)
    with pytest.raises(MetricError, match="cannot be paired"):
        paired_difference(one, two[1:], mean_of)


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"), [(0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (5, 20, 0.1119, 0.4687)]
)
def test_share_intervals_are_wilsons(part: int, whole: int, low: float, high: float) -> None:
    interval = share_interval(part, whole)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("part", "whole"), [(0, 0), (3, 2), (-1, 4)])
def test_what_is_no_share_is_refused(part: int, whole: int) -> None:
    with pytest.raises(MetricError, match="no share"):
        share_interval(part, whole)


def frames(n: int, dtype: type, scale: float = 1.0) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(11)
    out = []
    for k in range(n):
        labels = (rng.random((40, 50)) < 0.1 * (k % 4)).astype(np.uint8)
        labels[:2] = 255
        scores = rng.normal(size=labels.shape) + rng.uniform(0.5, 2) * (labels == 1)
        out.append(((scale * scores).astype(dtype), labels))
    return out


@pytest.mark.parametrize(
    ("n", "dtype", "scale", "shift"),
    [
        (12, np.float32, 1, 0),
        (50, np.float32, 1e-6, 0),
        (12, np.float16, 1, 0),
        (9, np.float64, 1e4, 0),
        (40, np.float32, 1e-5, 0.5),  # scores that differ in their last digits alone
        (12, np.float32, 1e-3, -100),
    ],
)
def test_summed_rows_give_the_exact_figures_closely(n: int, dtype: type, scale: float, shift: float) -> None:
    sketches, counts = FrameSketches(), PixelCounts(np.float64 if dtype is np.float64 else np.float32)
    for scores, labels in frames(n, dtype, scale):
        scores = scores + dtype(shift)
        sketches.add(scores, labels)
        counts.add(scores, labels)
    rows, exact = sketches.rows(), counts.result()
    assert rows.shape == (n, 2, 2048)
    assert rows.sum(axis=(0, 2)).tolist() == [exact.n_negative, exact.n_positive]
    total = rows.sum(axis=0)
    assert ap_of(total) == pytest.approx(exact.ap, abs=1e-3)
    assert auroc_of(total) == pytest.approx(exact.auroc, abs=1e-4)
    assert fpr95_of(total) == pytest.approx(exact.fpr95, abs=3e-3)
    assert f1_best_of(total) == pytest.approx(exact.f1_best, abs=1e-3)


def test_pixel_intervals_hold_the_exact_figure_and_follow_true_resampling() -> None:
    data = frames(16, np.float32)
    sketches, counts = FrameSketches(), PixelCounts()
    for scores, labels in data:
        sketches.add(scores, labels)
        counts.add(scores, labels)
    interval = bootstrap_interval(sketches.rows(), ap_of, resamples=400)
    assert interval.contains(counts.result().ap)
    rng, exact = np.random.default_rng(0), []
    for _ in range(120):
        again = PixelCounts()
        for k in rng.integers(0, 16, 16):
            again.add(*data[k])
        exact.append(again.result().ap)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(exact, [0.025, 0.975])), abs=0.03)


def test_a_set_without_positives_has_no_interval() -> None:
    sketches = FrameSketches()
    sketches.add(np.random.default_rng(0).random((9, 9)), np.zeros((9, 9), np.uint8))
    for figure in (ap_of, auroc_of, fpr95_of, f1_best_of):
        with pytest.raises(MetricError, match="every resample"):
            bootstrap_interval(sketches.rows(), figure)
    with pytest.raises(MetricError, match="no frame"):
        FrameSketches().rows()


def test_sketches_join_before_their_bins_are_fixed() -> None:
    data = frames(10, np.float32)
    whole, one, two = (FrameSketches(settle=40) for _ in range(3))
    for k, (scores, labels) in enumerate(data):
        whole.add(scores, labels)
        (one if k < 5 else two).add(scores, labels)
    one.merge(two)
    assert np.array_equal(one.rows(), whole.rows())
    with pytest.raises(MetricError, match="cannot be joined"):
        one.merge(two)


def test_component_rows_resample() -> None:
    rng = np.random.default_rng(5)
    counts = ComponentCounts(MinimumSizes(2, 2))
    rows = []
    for _ in range(10):
        labels = np.kron((rng.random((6, 8)) < 0.2), np.ones((5, 5))).astype(np.uint8)
        rows.append(counts.add((labels == 1) & (rng.random(labels.shape) < 0.9), labels))
    assert bootstrap_interval(np.stack(rows), f1_star_of).contains(counts.result().f1_star)
