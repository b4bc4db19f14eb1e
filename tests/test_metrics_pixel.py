"""Pixel metrics: parity with scikit-learn, and the properties that pooling must have."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from clipomaly.errors import MetricError
from clipomaly.metrics import pages
from clipomaly.metrics.pixel import PixelCounts, PixelMetrics, pixel_metrics

TINY = 1e-9


def reference(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The same figures from scikit-learn, ignored pixels dropped first."""
    keep = labels != 255
    scores, labels = scores[keep].ravel(), labels[keep].ravel()
    fpr, tpr, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    precision, recall, _ = precision_recall_curve(labels, scores)
    with np.errstate(invalid="ignore"):
        f1 = np.nan_to_num(2 * precision * recall / (precision + recall))
    first = int(np.argmax(tpr >= 0.95))
    return {
        "ap": average_precision_score(labels, scores),
        "auroc": roc_auc_score(labels, scores),
        "fpr95": fpr[first],
        "threshold_fpr95": thresholds[first],
        "f1_best": f1.max(),
    }


def agrees(result: PixelMetrics, scores: np.ndarray, labels: np.ndarray) -> None:
    for name, value in reference(scores, labels).items():
        assert getattr(result, name) == pytest.approx(value, abs=TINY, rel=TINY), name
    keep = labels != 255
    flagged = scores[keep] >= result.threshold_f1
    tp = np.count_nonzero(flagged & (labels[keep] == 1))
    f1 = 2 * tp / (np.count_nonzero(flagged) + np.count_nonzero(labels == 1))
    assert f1 == pytest.approx(result.f1_best, abs=TINY)


def noisy(n: int, dtype: type, seed: int, share: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array([0, 1, 255], np.uint8), n, p=[0.95 - share, share, 0.05])
    return (rng.normal(size=n) + (labels == 1)).astype(dtype), labels


f32 = np.finfo(np.float32)
ADVERSARIAL: dict[str, tuple[list[float], list[int]]] = {
    "all tied": ([0.5] * 6, [0, 1, 0, 1, 1, 0]),
    "constant zero": ([0.0] * 4, [0, 0, 0, 1]),
    "perfect": ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]),
    "inverted": ([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1]),
    "one positive on top": ([0.1, 0.2, 0.3, 0.9], [0, 0, 0, 1]),
    "one positive below": ([0.4, 0.2, 0.3, 0.1], [0, 0, 0, 1]),
    "one negative": ([0.4, 0.2, 0.3, 0.1], [1, 1, 0, 1]),
    "signed zeros are equal": ([-0.0, 0.0, -0.0, 0.0, 1.0], [0, 1, 1, 0, 0]),
    "negative scores": ([-5.0, -1.0, -3.0, -2.0, -1.0], [0, 1, 0, 1, 0]),
    "huge": ([float(f32.max), float(-f32.max), 1e38, -1e38, 3.0], [1, 0, 0, 1, 1]),
    "denormal": ([1e-45, 0.0, -1e-45, 3e-45, 1e-40, float(f32.tiny)], [1, 0, 0, 0, 1, 1]),
    "neighbours": ([1.0, float(np.nextafter(np.float32(1), np.float32(2))), 1.0, 0.99999994], [0, 1, 1, 0]),
    "beyond [0, 1]": ([50.0, 60.0, 70.0, 80.0], [0, 0, 1, 1]),
    "twenty positives, one low": ([*np.linspace(1, 2, 19).tolist(), 0.0, 0.5, 1.5], [1] * 20 + [0, 0]),
}


@pytest.mark.parametrize("name", ADVERSARIAL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adversarial_inputs_agree_with_scikit_learn(name: str, dtype: type) -> None:
    scores, labels = np.array(ADVERSARIAL[name][0], dtype), np.array(ADVERSARIAL[name][1], np.uint8)
    agrees(pixel_metrics(scores, labels), scores, labels)


@pytest.mark.parametrize("memory", [1 << 29, 40_000], ids=["in memory", "on disk"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_frames_pool_to_the_figures_of_scikit_learn(dtype: type, memory: int) -> None:
    scores, labels = noisy(60_000, dtype, seed=3)
    counts = PixelCounts(np.float64 if dtype is np.float64 else np.float32, memory=memory)
    for part, truth in zip(np.array_split(scores, 7), np.array_split(labels, 7), strict=True):
        counts.add(part, truth)
    agrees(counts.result(), scores, labels)
    assert bool(counts._positive._stored) == (memory < 1 << 20)


def test_dense_pages_agree_with_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pixels in few pages, ordered in several batches, tallied on disk and added to afterwards."""
    monkeypatch.setattr(pages, "_BATCH", 5_000)
    rng = np.random.default_rng(5)
    labels = (rng.random(80_000) < 0.3).astype(np.uint8)
    scores = (1 + 0.0002 * rng.random(80_000) + 0.00008 * labels).astype(np.float32)
    scores[::7] = np.float32(1.0001)  # a large tie
    counts = PixelCounts(memory=100_000)
    for part, truth in zip(np.array_split(scores, 9), np.array_split(labels, 9), strict=True):
        counts.add(part, truth)
    assert counts._negative._stored[1].pages.size  # tallied
    agrees(counts.result(), scores, labels)


def test_large_frames_of_widely_spread_scores_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many thin pages make the pieces of a radix pass larger, few pages smaller again: in mid-frame too."""
    monkeypatch.setattr(pages, "_PIECE", 3_000)
    monkeypatch.setattr(pages, "_BATCH", 20_000)
    monkeypatch.setattr(pages, "_THIN", 16)
    rng = np.random.default_rng(5)
    wide = np.exp(rng.normal(0, 8, 50_000))
    narrow = rng.normal(5, 0.01, 50_000)
    counts, everything, truth = PixelCounts(), [], []
    for part in (wide, narrow, np.concatenate([narrow, wide, narrow]), wide[:7_000]):
        scores = part.astype(np.float32)
        labels = (rng.random(scores.size) < 0.2).astype(np.uint8)
        counts.add(scores, labels)
        everything.append(scores)
        truth.append(labels)
    scores, labels = np.concatenate(everything), np.concatenate(truth)
    found = counts.result()
    assert found.ap == pytest.approx(average_precision_score(labels, scores), abs=1e-9)
    assert found.auroc == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    point = counts.at(1.0)
    assert point.tp + point.fp == int((scores >= 1).sum())


def test_saturated_float16_ties_share_one_threshold() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(20_000) < 0.05).astype(np.uint8)
    scores = (1 / (1 + np.exp(-rng.normal(9 + 2 * labels, 2)))).astype(np.float16)
    assert np.count_nonzero(scores == 1) > 10_000
    agrees(pixel_metrics(scores, labels), scores, labels)


def test_frames_without_positives_count() -> None:
    counts = PixelCounts()
    counts.add(np.array([0.9, 0.2], np.float32), np.array([1, 0], np.uint8))
    assert counts.result().ap == 1
    counts.add(np.array([0.95, 0.95], np.float32), np.array([0, 0], np.uint8))
    assert counts.result().ap == pytest.approx(1 / 3)
    assert counts.result().n_negative == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    counts = PixelCounts()
    with pytest.raises(MetricError, match="2 scores are not finite"):
        counts.add(np.array([0.1, bad, bad], np.float32), np.array([1, 0, 0], np.uint8))
    assert counts.n_positive == counts.n_negative == 0
    counts.add(np.array([0.1, bad, 0.0], np.float32), np.array([1, 255, 0], np.uint8))
    assert counts.result().ap == 1


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.array([0.1, 0.2]), np.array([0, 0]), "no positive"),
        (np.array([0.1, 0.2]), np.array([1, 255]), "no negative"),
        (np.array([0.1, 0.2]), np.array([1, 2]), r"labels hold \[2\]"),
        (np.array([0.1, 0.2]), np.array([1]), "differ in shape"),
        (np.zeros(0), np.zeros(0), "no positive"),
    ],
)
def test_what_has_no_answer_is_refused(scores: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        pixel_metrics(scores, labels)


def test_float64_is_never_rounded_silently() -> None:
    labels = np.array([0, 1], np.uint8)
    scores = np.array([0.1, 0.1 + 1e-12])
    with pytest.raises(MetricError, match="do not fit float32 exactly"):
        PixelCounts().add(scores, labels)
    with pytest.raises(MetricError, match="exceed float32"):
        PixelCounts().add(np.array([0.0, 1e300]), labels)
    assert pixel_metrics(scores, labels).auroc == 1
    PixelCounts().add(np.array([0.25, 0.5]), labels)  # float32 holds these


def test_integer_scores_are_exact() -> None:
    scores, labels = np.array([65535, 3, 4, 4], np.uint16), np.array([1, 0, 1, 0])
    agrees(pixel_metrics(scores, labels), scores, labels)
    with pytest.raises(MetricError, match="do not fit float32"):
        pixel_metrics(np.array([(1 << 24) + 1, 0]), np.array([1, 0]))


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
few = st.sampled_from([0.0, -0.0, 0.25, 0.5, 1.0, -2.0])


@st.composite
def pixels(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(2, 60))
    scores = draw(hnp.arrays(np.float32, n, elements=st.one_of(finite, few)))
    labels = draw(hnp.arrays(np.uint8, n, elements=st.sampled_from([0, 1, 1, 0, 255])))
    labels[:2] = [0, 1]
    return scores, labels


@settings(deadline=None, max_examples=60)
@given(pixels())
def test_any_input_agrees_with_scikit_learn(sample: tuple[np.ndarray, np.ndarray]) -> None:
    agrees(pixel_metrics(*sample), *sample)


@settings(deadline=None, max_examples=40)
@given(pixels(), st.randoms(use_true_random=False))
def test_order_does_not_matter(sample: tuple[np.ndarray, np.ndarray], random) -> None:
    scores, labels = sample
    order = list(range(scores.size))
    random.shuffle(order)
    assert pixel_metrics(scores[order], labels[order]) == pixel_metrics(scores, labels)


@settings(deadline=None, max_examples=40)
@given(pixels(), st.integers(0, 60), st.booleans(), st.booleans())
def test_merging_equals_pooling(sample, cut: int, spilled: bool, pickled: bool) -> None:
    scores, labels = sample
    one, two = PixelCounts(memory=0 if spilled else 1 << 20), PixelCounts(memory=0 if spilled else 1 << 20)
    one.add(scores[:cut], labels[:cut])
    two.add(scores[cut:], labels[cut:])
    if pickled:
        two = pickle.loads(pickle.dumps(two))
    one.merge(two)
    pooled = asdict(pixel_metrics(scores, labels))
    assert asdict(one.result()) == pytest.approx(pooled, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(pixels())
def test_only_the_order_of_scores_counts(sample: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = sample
    ranks = np.unique(scores, return_inverse=True)[1].astype(np.float32)
    plain, ranked = pixel_metrics(scores, labels), pixel_metrics(ranks - 7, labels)
    for name in ("ap", "auroc", "fpr95", "f1_best"):
        assert getattr(plain, name) == getattr(ranked, name)


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.float32, st.integers(1, 50), elements=finite))
def test_keys_keep_the_order_and_come_back(scores: np.ndarray) -> None:
    keys = pages.keys_of(scores, np.dtype(np.float32))
    assert np.array_equal(np.unique(scores, return_inverse=True)[1], np.unique(keys, return_inverse=True)[1])
    assert np.array_equal(pages.scores_of(keys, np.dtype(np.float32)), scores)


def test_merging_tallied_pages_keeps_every_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_DENSE", 64)
    scores, labels = noisy(50_000, np.float16, seed=9)
    parts = list(zip(np.array_split(scores, 6), np.array_split(labels, 6), strict=True))
    one, two = PixelCounts(memory=20_000), PixelCounts(memory=20_000)
    for (s, t), into in zip(parts, itertools.cycle([one, two]), strict=False):
        into.add(s, t)
    two = pickle.loads(pickle.dumps(two))
    assert any(run.counts is not None for run in two._negative._runs)
    two.merge(one)
    one.merge(two)  # every pixel of one twice, of two once
    twice = [part for k, part in enumerate(parts) for _ in range(2 - k % 2)]
    agrees(one.result(), np.concatenate([s for s, _ in twice]), np.concatenate([t for _, t in twice]))


def test_memory_stays_bounded_however_many_frames() -> None:
    """float16 scores have at most 63 488 finite values: more frames must not hold more."""
    counts = PixelCounts(memory=300_000)
    sizes = []
    for seed in range(12):
        counts.add(*noisy(40_000, np.float16, seed))
        assert counts._positive.bytes + counts._negative.bytes <= 300_000
        sizes.append(sum(run.bounds[-1] for run in counts._negative._stored))
    assert sizes[3] > 0
    assert sizes[-1] < 1.2 * sizes[5]
    assert sizes[-1] <= 63_488
    assert counts.n_positive + counts.n_negative > 400_000


def test_an_operating_point_counts_scores_from_the_threshold_on() -> None:
    scores, labels = noisy(5_000, np.float32, seed=1)
    counts = PixelCounts()
    counts.add(scores, labels)
    for threshold in [-9.0, 0.0, float(scores[17]), 0.3000000001, 1.5, 99.0, -np.inf, np.inf, 1e300]:
        point = counts.at(threshold)
        flagged = scores.astype(np.float64) >= threshold
        assert point.tp == np.count_nonzero(flagged & (labels == 1))
        assert point.fp == np.count_nonzero(flagged & (labels == 0))
        assert point.tp + point.fn == counts.n_positive
        assert point.fp + point.tn == counts.n_negative
    best = counts.result()
    assert counts.at(best.threshold_f1).f1 == pytest.approx(best.f1_best, abs=1e-12)
    assert counts.at(best.threshold_fpr95).fpr == pytest.approx(best.fpr95, abs=1e-12)
    assert counts.at(99.0).precision == 1
    with pytest.raises(MetricError, match="not a number"):
        counts.at(np.nan)


@pytest.mark.parametrize("fpr", [0.0, 0.01, 0.1, 0.25, 0.999])
def test_a_threshold_for_a_false_positive_rate_is_the_lowest_that_keeps_it(fpr: float) -> None:
    scores = noisy(4_000, np.float16, seed=2)[0].astype(np.float32)
    counts = PixelCounts()
    counts.add(scores, np.zeros(4_000, np.uint8))
    threshold = counts.threshold_at_fpr(fpr)
    assert counts.at(threshold).fp <= fpr * 4_000
    lower = float(np.nextafter(np.float32(threshold), np.float32(-np.inf)))
    assert counts.at(lower).fp > fpr * 4_000


def test_curve_points_are_true_operating_points_and_keep_the_area() -> None:
    scores, labels = noisy(30_000, np.float32, seed=4)
    counts = PixelCounts()
    counts.add(scores, labels)
    curve, metrics = counts.curve(128), counts.result()
    assert curve.recall.size <= 4 * 128 + 10
    assert np.all(np.diff(curve.recall) >= 0)
    assert np.all(np.diff(curve.fpr) >= 0)
    assert curve.recall[-1] == curve.fpr[-1] == 1
    assert curve.precision[-1] == pytest.approx(metrics.prevalence)
    for k in range(0, curve.recall.size, 37):
        point = counts.at(curve.threshold[k])
        assert (point.recall, point.fpr) == (curve.recall[k], curve.fpr[k])
        assert point.precision == pytest.approx(curve.precision[k])
    assert np.trapezoid(curve.recall, curve.fpr) == pytest.approx(metrics.auroc, abs=1e-3)


def test_the_roc_curve_of_one_positive_is_a_step() -> None:
    counts = PixelCounts()
    counts.add(np.array([1, 2, 3, 4], np.float32), np.array([0, 1, 0, 0], np.uint8))
    curve = counts.curve()
    assert np.trapezoid(curve.recall, curve.fpr) == pytest.approx(counts.result().auroc)


def test_the_histogram_is_that_of_numpy() -> None:
    scores, labels = noisy(9_000, np.float32, seed=6)
    counts = PixelCounts(memory=4_000)
    counts.add(scores, labels)
    low, high = counts.bounds()
    assert (low, high) == (scores[labels != 255].min(), scores[labels != 255].max())
    edges = np.linspace(low, high, 41)
    known, anomalous = counts.histogram(edges)
    assert np.array_equal(known, np.histogram(scores[labels == 0].astype(np.float64), edges)[0])
    assert np.array_equal(anomalous, np.histogram(scores[labels == 1].astype(np.float64), edges)[0])
