"""Between grid and pixels: against the coordinate formula in double precision."""

from __future__ import annotations

import numpy as np
import pytest

from clipomaly.maths import grids
from clipomaly.maths.regions import split

RNG = np.random.default_rng(11)

#: Grid, extent, picture: whole and broken extents, padding beyond the picture, upright, tiny and reduced.
CASES = [
    ((6, 9), (6.0, 9.0), (48, 72)),
    ((6, 9), (6.0, 9.0), (96, 144)),
    ((23, 40), (22.5, 40.0), (180, 320)),
    ((13, 17), (12.25, 16.6), (123, 217)),
    ((8, 8), (3.1, 7.9), (50, 333)),
    ((9, 4), (9.0, 4.0), (200, 31)),
    ((1, 1), (1.0, 1.0), (5, 7)),
    ((1, 6), (0.4, 6.0), (3, 60)),
    ((5, 1), (5.0, 1.0), (77, 2)),
    ((12, 12), (12.0, 12.0), (7, 5)),
    ((4, 4), (4.0, 4.0), (1, 1)),
]


def weights(cells: int, extent: float, pixels: int) -> np.ndarray:
    """[pixels, cells]: the formula of `DenseFeatures`, cells that the picture touches only."""
    cells = min(cells, int(np.ceil(extent)))
    at = np.clip((np.arange(pixels) + 0.5) * extent / pixels - 0.5, 0, cells - 1)
    return np.clip(1 - np.abs(at[:, None] - np.arange(cells)), 0, None)


def reference(grid: np.ndarray, extent: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    y = weights(grid.shape[0], extent[0], size[0])
    x = weights(grid.shape[1], extent[1], size[1])
    return np.einsum(
        "yi,xj,ij...->yx...", y, x, grid[: y.shape[1], : x.shape[1]].astype(np.float64), optimize=True
    )


@pytest.mark.parametrize(("grid", "extent", "size"), CASES)
@pytest.mark.parametrize("channels", [(), (3,), (7,)])
def test_upsample_follows_the_formula(
    grid: tuple[int, int], extent: tuple[float, float], size: tuple[int, int], channels: tuple[int, ...]
) -> None:
    values = RNG.normal(size=(*grid, *channels)).astype(np.float32)
    got = grids.upsample(values, extent, size)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, reference(values, extent, size), atol=5e-5)


@pytest.mark.parametrize(("grid", "extent", "size"), CASES)
@pytest.mark.parametrize(
    ("classes", "smooth"), [(1, False), (2, False), (19, True), (69, False), (300, True)]
)
def test_upsampled_argmax_is_the_argmax_of_the_upsampled(
    grid: tuple[int, int], extent: tuple[float, float], size: tuple[int, int], classes: int, smooth: bool
) -> None:
    S = RNG.normal(size=(*grid, classes)).astype(np.float32)
    if smooth:
        S = grids.upsample(S[:: max(1, grid[0] // 3), :: max(1, grid[1] // 3)], (1.0, 1.0), grid) + 0.05 * S
    got = grids.upsample_argmax(S, extent, size)
    maps = reference(S, extent, size)
    assert got.dtype == np.uint16
    assert got.shape == size
    # The winner is the winner up to rounding, and exactly so wherever it is clear.
    won = np.take_along_axis(maps, got[..., None].astype(int), -1)[..., 0]
    assert (maps.max(-1) - won).max() < 1e-5
    assert (got == maps.argmax(-1)).mean() > 0.999


def test_equal_classes_go_to_the_lower_index() -> None:
    S = np.repeat(RNG.normal(size=(7, 9, 5)).astype(np.float32), 2, axis=-1)
    labels = grids.upsample_argmax(S, (7.0, 9.0), (70, 99))
    assert (labels % 2 == 0).all()
    assert not grids.upsample_argmax(np.zeros((7, 9, 4), np.float32), (7.0, 9.0), (70, 99)).any()


def test_a_class_that_wins_only_between_grid_points_is_found() -> None:
    S = np.array([[[1.0, 0.0, 0.6], [0.0, 1.0, 0.6]]], np.float32)
    assert set(grids.upsample_argmax(S, (1.0, 2.0), (1, 64)).ravel()) == {0, 1, 2}


@pytest.mark.parametrize(("grid", "extent", "size"), CASES)
def test_mask_to_grid_is_the_covered_share(
    grid: tuple[int, int], extent: tuple[float, float], size: tuple[int, int]
) -> None:
    mask = RNG.random(size) < 0.4
    got = grids.mask_to_grid(mask, extent, grid)
    fine = 60
    # Each pixel cut into fine × fine pieces, which are then counted by cell.
    y = ((np.arange(size[0] * fine) + 0.5) * extent[0] / (size[0] * fine)).astype(int)
    x = ((np.arange(size[1] * fine) + 0.5) * extent[1] / (size[1] * fine)).astype(int)
    down = np.zeros((grid[0], size[0]))
    across = np.zeros((grid[1], size[1]))
    np.add.at(down, (y, np.arange(y.size) // fine), extent[0] / y.size)
    np.add.at(across, (x, np.arange(x.size) // fine), extent[1] / x.size)
    np.testing.assert_allclose(got, down @ mask @ across.T, atol=0.06)
    area = size[0] * size[1] / extent[0] / extent[1]
    assert got.sum() * area == pytest.approx(mask.sum(), rel=1e-4, abs=1e-4)


def test_a_cut_out_mask_equals_the_whole_one() -> None:
    mask = np.zeros((123, 217), bool)
    mask[40:77, 90:161] = RNG.random((37, 71)) < 0.7
    whole = grids.mask_to_grid(mask, (12.25, 16.6), (13, 17))
    part = grids.mask_to_grid(
        mask[40:77, 90:161], (12.25, 16.6), (13, 17), corner=(40, 90), image_size=(123, 217)
    )
    np.testing.assert_allclose(part, whole, atol=1e-6)


def test_pooling_weighs_patches_by_area() -> None:
    patches = RNG.normal(size=(5, 8, 16)).astype(np.float32)
    patches /= np.linalg.norm(patches, axis=-1, keepdims=True)
    mask = np.zeros((40, 64), bool)
    mask[8:16, 8:20] = True  # patch (1, 1) wholly, half of (1, 2)
    mean = patches[1, 1] + 0.5 * patches[1, 2]
    got = grids.pool(patches, mask, (5.0, 8.0))
    np.testing.assert_allclose(got, mean / np.linalg.norm(mean), atol=1e-6)
    assert np.linalg.norm(got) == pytest.approx(1, abs=1e-6)


def test_one_pixel_is_answered_for_by_its_patch() -> None:
    patches = np.eye(12, dtype=np.float32).reshape(3, 4, 12)
    for y, x in [(0, 0), (23, 31), (13, 5)]:
        mask = np.zeros((24, 32), bool)
        mask[y, x] = True
        assert grids.pool(patches, mask, (3.0, 4.0)).argmax() == (y // 8) * 4 + x // 8


def test_regions_pool_as_their_masks() -> None:
    patches = RNG.normal(size=(13, 17, 8)).astype(np.float32)
    mask = RNG.random((123, 217)) < 0.45
    regions = split(mask, RNG.random(mask.shape).astype(np.float32), min_area=3)
    assert len(regions) > 3
    pooled = grids.pool_regions(patches, regions, (12.25, 16.6))
    for region, vector in zip(regions, pooled, strict=True):
        np.testing.assert_allclose(vector, grids.pool(patches, region.full_mask(), (12.25, 16.6)), atol=1e-5)
    assert grids.pool_regions(patches, [], (12.25, 16.6)).shape == (0, 8)


def test_an_empty_mask_has_no_vector() -> None:
    with pytest.raises(ValueError, match="empty mask"):
        grids.pool(np.ones((2, 2, 3), np.float32), np.zeros((4, 4), bool), (2.0, 2.0))


@pytest.mark.parametrize(("grid", "extent", "size"), CASES)
def test_bands_are_the_whole_in_parts(
    grid: tuple[int, int], extent: tuple[float, float], size: tuple[int, int]
) -> None:
    values = RNG.normal(size=(*grid, 5)).astype(np.float32)
    bands = list(grids.upsample_bands(values, extent, size, rows=7))
    assert all(len(band) <= 7 for _, band in bands)
    np.testing.assert_allclose(
        np.concatenate([band for _, band in bands]), reference(values, extent, size), atol=5e-5
    )
