"""The five unknown scores, against double precision and their own definitions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import special, stats

from clipomaly.config import setting_fields
from clipomaly.maths import scores
from clipomaly.maths.scores import SCORES

RNG = np.random.default_rng(3)
COSINES = (RNG.uniform(-1, 1, (40, 50, 19)) * RNG.uniform(0.01, 1, (40, 50, 1))).astype(np.float32)


def reference(name: str, S: np.ndarray, tau: float) -> np.ndarray:
    """The formulas of the module's header, by scipy, in double precision."""
    S = S.astype(np.float64)
    p = special.softmax(S / tau, axis=-1)
    classes = S.shape[-1]
    lse = tau * special.logsumexp(S / tau, axis=-1)
    return {
        "entropy": lambda: stats.entropy(p, axis=-1) / np.log(classes),
        "msp": lambda: 1 - p.max(axis=-1),
        "max-logit": lambda: (1 - S.max(axis=-1)) / 2,
        "energy": lambda: (1 - lse + tau * np.log(classes)) / 2,
        "max-similarity": lambda: 1 - (S.max(axis=-1) - S.mean(axis=-1)) / 2,
    }[name]()


@pytest.mark.parametrize("tau", [1.0, 0.07, 0.01])
@pytest.mark.parametrize("name", SCORES)
def test_score_equals_its_formula(name: str, tau: float) -> None:
    got = SCORES[name](COSINES, tau)
    assert got.dtype == np.float32
    assert got.shape == COSINES.shape[:-1]
    np.testing.assert_allclose(got, reference(name, COSINES, tau), atol=2e-6)


@pytest.mark.parametrize("name", SCORES)
def test_score_stays_in_the_unit_interval_without_warnings(name: str) -> None:
    extremes = np.array([[1, -1, -1], [1, 1, 1], [-1, -1, -1], [0, 0, 1e-30]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tau in (1e-4, 0.01, 1.0, 100.0):
            got = SCORES[name](extremes, tau)
            assert np.isfinite(got).all()
            assert got.min() >= 0
            assert got.max() <= 1


@pytest.mark.parametrize("name", SCORES)
def test_a_place_like_no_class_scores_higher_than_a_place_like_one(name: str) -> None:
    known, unknown = [0.9, 0.1, 0.1, 0.1], [0.12, 0.1, 0.1, 0.11]
    low, high = SCORES[name](np.array([known, unknown], np.float32), 0.05)
    assert high > low


@pytest.mark.parametrize("name", SCORES)
def test_one_class_is_defined(name: str) -> None:
    S = np.array([[0.9], [-0.2]], np.float32)
    low, high = SCORES[name](S, 0.01)
    if name in ("entropy", "msp"):
        assert (low, high) == (0, 0)
    else:
        assert (low, high) == pytest.approx((0.05, 0.6))


def test_max_similarity_ignores_what_all_classes_share_and_max_logit_does_not() -> None:
    offset = RNG.uniform(-0.3, 0.3, COSINES.shape[:2]).astype(np.float32)[..., None]
    S = COSINES * 0.5
    np.testing.assert_allclose(scores.max_similarity(S + offset), scores.max_similarity(S), atol=1e-6)
    assert np.abs(scores.max_logit(S + offset) - scores.max_logit(S)).max() > 0.1


def test_raw_scores_of_unbounded_logits() -> None:
    logits = RNG.normal(0, 20, (100, 19)).astype(np.float32)
    np.testing.assert_allclose(scores.max_logit(logits, normalised=False), -logits.max(-1), rtol=1e-6)
    np.testing.assert_allclose(
        scores.energy(logits, normalised=False), -special.logsumexp(logits.astype(float), axis=-1), rtol=1e-5
    )


def test_softmax_survives_any_scale() -> None:
    S = np.array([[1e4, -1e4, 0.0]], np.float32)
    np.testing.assert_array_equal(scores.softmax(S, 1e-4), [[1, 0, 0]])
    np.testing.assert_allclose(
        scores.softmax(COSINES, 0.07), special.softmax(COSINES.astype(float) / 0.07, axis=-1), atol=1e-6
    )


def test_input_is_left_as_it_was() -> None:
    S = COSINES.copy()
    for score in SCORES.values():
        score(S, 0.01)
    scores.softmax(S, 0.01)
    np.testing.assert_array_equal(S, COSINES)


@pytest.mark.parametrize("tau", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(tau: float) -> None:
    with pytest.raises(ValueError, match="temperature must be positive"):
        scores.entropy(COSINES, tau)


def test_the_settings_offer_exactly_these_scores() -> None:
    choices = {flag: field.metadata["choices"] for flag, _, field, _ in setting_fields()}
    assert set(choices["score"]) == {"auto", *SCORES}
