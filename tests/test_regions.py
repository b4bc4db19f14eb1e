"""Masks into regions, against scipy's labelling and a plain distance rule."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from clipomaly.config import RegionSettings
from clipomaly.maths.regions import limits, split


def masks(regions: list) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(r.full_mask()).tolist()) for r in regions}


@given(st.integers(0, 2**32 - 1), st.integers(1, 24), st.integers(1, 24), st.floats(0.05, 0.9))
@settings(max_examples=60, deadline=None)
def test_components_equal_scipys(seed: int, height: int, width: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    mask, score = rng.random((height, width)) < share, rng.random((height, width)).astype(np.float32)
    label, count = ndimage.label(mask, np.ones((3, 3)))
    regions = split(mask, score, max_regions=1000)
    assert masks(regions) == {frozenset(np.flatnonzero(label == k).tolist()) for k in range(1, count + 1)}
    for r in regions:
        assert r.score == pytest.approx(score[r.full_mask()].mean(), rel=1e-5)
        assert r.mask.any(axis=0)[[0, -1]].all()
        assert r.mask.any(axis=1)[[0, -1]].all()
    weight = [r.score * r.area for r in regions]
    assert all(a >= b - 1e-6 for a, b in itertools.pairwise(weight))


@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_merging_joins_steps_of_at_most_that_many_pixels(seed: int, merge: int) -> None:
    mask = np.random.default_rng(seed).random((20, 26)) < 0.03
    points = np.argwhere(mask)
    regions = split(mask, mask.astype(np.float32), merge=merge, max_regions=1000)
    if not len(points):
        assert regions == []
        return
    _, group = connected_components(csr_matrix(cdist(points, points, "chebyshev") <= merge))
    flat = points[:, 0] * mask.shape[1] + points[:, 1]
    assert masks(regions) == {frozenset(flat[group == g].tolist()) for g in set(group)}


def test_small_ones_go_after_merging_and_the_strongest_stay() -> None:
    mask = np.zeros((20, 40), bool)
    score = np.full(mask.shape, 0.5, np.float32)
    mask[2:4, 2:4] = mask[2:4, 6:8] = True  # 4 + 4 pixels, 3 apart
    mask[10:12, 20:23] = True  # 6 pixels
    mask[15:20, 30:40] = True  # 50 pixels
    score[10:12, 20:23] = 0.9
    assert [r.area for r in split(mask, score, min_area=5, merge=3)] == [50, 6, 8]
    assert [r.area for r in split(mask, score, min_area=5)] == [50, 6]
    assert [r.area for r in split(mask, score, min_area=5, merge=3, max_regions=2)] == [50, 6]


def test_equal_regions_come_in_reading_order() -> None:
    mask = np.zeros((9, 30), bool)
    mask[::4, ::6] = True
    boxes = [r.box[:2] for r in split(mask, np.ones(mask.shape, np.float32))]
    assert boxes == sorted(boxes, key=lambda b: (b[1], b[0]))


def test_border_pixels_empty_and_full_masks() -> None:
    score = np.ones((6, 8), np.float32)
    assert split(np.zeros((6, 8), bool), score) == []
    (full,) = split(np.ones((6, 8), bool), score, merge=4)
    assert full.box == (0, 0, 8, 6)
    assert full.mask.all()
    corners = np.zeros((6, 8), bool)
    corners[0, 0] = corners[-1, -1] = True
    assert {r.box for r in split(corners, score, merge=3)} == {(0, 0, 1, 1), (7, 5, 1, 1)}


def test_any_memory_layout_gives_the_same_regions() -> None:
    rng = np.random.default_rng(1)
    mask, score = rng.random((30, 44)) < 0.4, rng.random((30, 44)).astype(np.float32)
    a = split(mask, score)
    b = split(np.asfortranarray(mask), np.asfortranarray(score))
    assert [(r.box, r.score) for r in a] == [(r.box, r.score) for r in b]


def test_a_mask_of_another_size_is_refused() -> None:
    # A TypeError while annotations are checked, the function's own ValueError otherwise.
    with pytest.raises((ValueError, TypeError)):
        split(np.zeros((3, 4), bool), np.zeros((4, 3), np.float32))


def test_limits_read_shares_and_pixels() -> None:
    size = (1000, 2000)
    assert limits(RegionSettings(min_area=0.0004, merge=0.006, max_regions=5), size) == {
        "min_area": 800,
        "merge": 12,
        "max_regions": 5,
    }
    assert limits(RegionSettings(min_area=500.0), size)["min_area"] == 500
    assert limits(RegionSettings(min_area=0.0), (1, 1))["min_area"] == 1
