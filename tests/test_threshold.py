"""Thresholds: Otsu against an exhaustive search, quantiles against sorting."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipomaly.errors import ConfigError
from clipomaly.maths.threshold import calibrate, otsu, percentile, threshold_for

RNG = np.random.default_rng(5)


def test_otsu_separates_best() -> None:
    sample = np.concatenate([RNG.normal(0.25, 0.06, 4000), RNG.normal(0.7, 0.08, 700)]).astype(np.float32)

    def spread(cut: float) -> float:
        low, high = sample[sample <= cut], sample[sample > cut]
        return low.size * high.size * (low.mean() - high.mean()) ** 2

    best = max(spread(c) for c in np.linspace(0.1, 0.9, 2000))
    assert spread(otsu(sample)) >= best * (1 - 1e-3)


def test_otsu_cuts_an_empty_gap_in_its_middle() -> None:
    assert otsu(np.array([0.1] * 9 + [0.9], np.float32)) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
def test_otsu_of_a_constant_map_leaves_nothing_above(value: float) -> None:
    scores = np.full((5, 7), value, np.float32)
    assert not (scores > otsu(scores)).any()


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.5000001, 1.0]), min_size=1, max_size=60), st.data())
@settings(max_examples=150, deadline=None)
def test_a_percentile_is_the_smallest_cut_that_keeps_its_promise(
    values: list[float], data: st.DataObject
) -> None:
    scores = np.array(values, np.float32)
    percent = data.draw(st.integers(0, 99))
    allowed = len(values) * (100 - (100 - percent)) // 100  # `percent` of the scores may lie above
    cut = percentile(scores, 100.0 - percent)
    assert np.count_nonzero(scores > cut) <= allowed
    below = np.unique(scores[scores < cut])
    if below.size:
        assert np.count_nonzero(scores > below[-1]) > allowed


def test_calibration_over_a_stream_equals_the_quantile_of_everything() -> None:
    frames = [RNG.beta(2, 5, (60, 80)).astype(np.float32) for _ in range(20)]
    everything = np.concatenate([f.ravel() for f in frames])
    for fpr in (0.0, 0.001, 0.05):
        cut = calibrate(iter(frames), fpr)
        assert (everything > cut).mean() <= fpr
        exact = np.sort(everything)[-1 - int(fpr * everything.size)]
        assert exact <= cut <= exact + 2.0**-22


def test_ties_never_exceed_the_stated_rate() -> None:
    # Ten equal scores at the top: at 5 % none may pass, at 10 % all ten may.
    scores = np.array([0.1] * 90 + [0.75] * 10, np.float32)
    assert calibrate([scores], 0.05) == 0.75
    assert calibrate([scores], 0.10) == pytest.approx(0.1, abs=1e-6)
    assert np.count_nonzero(scores > calibrate([scores], 0.10)) == 10


def test_calibration_of_unbounded_scores_needs_their_bounds() -> None:
    scores = RNG.normal(0, 4, 5000).astype(np.float32)
    with pytest.raises(ConfigError, match="give the bounds"):
        calibrate([scores], 0.05)
    cut = calibrate([scores], 0.05, low=-37.3, high=41.9)
    assert 0.049 <= (scores > cut).mean() <= 0.05


def test_calibration_memory_does_not_grow_with_the_stream() -> None:
    frame = RNG.random((64, 64)).astype(np.float32)

    def peak(frames: int) -> int:
        tracemalloc.start()
        calibrate((frame for _ in range(frames)), 0.05)
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    assert peak(30) < peak(3) * 1.05


@pytest.mark.parametrize("frames", [[], [np.empty((0, 3), np.float32)]])
def test_nothing_to_calibrate_on_is_an_error(frames: list[np.ndarray]) -> None:
    with pytest.raises(ConfigError, match="known-only"):
        calibrate(frames, 0.05)


def test_scores_that_are_not_finite_are_refused() -> None:
    for call in (otsu, lambda s: percentile(s, 50.0), lambda s: calibrate([s], 0.1)):
        with pytest.raises(ValueError, match="finite"):
            call(np.array([0.1, np.nan], np.float32))


def test_policies_by_name() -> None:
    scores = np.linspace(0, 1, 11, dtype=np.float32)
    assert threshold_for("percentile", scores, percent=80.0) == pytest.approx(0.8)
    assert threshold_for("otsu", scores) == otsu(scores)
    assert threshold_for("0.25", scores) == 0.25
    assert threshold_for("calibrated", scores, calibrated=0.6) == 0.6
    with pytest.raises(ConfigError, match="clipomaly calibrate"):
        threshold_for("calibrated", scores)
    with pytest.raises(ConfigError, match="use calibrated, otsu"):
        threshold_for("best", scores)
