"""Resize, pad, tile and blend: checked with a runner whose features can be worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from clipomaly.encoders.dense import Tiling, blend_tiles, encode_pictures, fit, place, tile_starts
from clipomaly.errors import ConfigError

PATCH = 8


def colours(pixels):
    """A stand-in model: a patch's vector is its mean colour with a constant, made unit length."""
    b, height, width, _ = pixels.shape
    assert height % PATCH == width % PATCH == 0
    assert pixels.dtype == np.uint8
    cells = pixels.astype(np.float32).reshape(b, height // PATCH, PATCH, width // PATCH, PATCH, 3)
    patches = cells.mean(axis=(2, 4)) / 255 + 0.1
    patches /= np.linalg.norm(patches, axis=-1, keepdims=True)
    summary = patches.mean(axis=(1, 2))
    return patches, summary / np.linalg.norm(summary, axis=-1, keepdims=True)


def encode(images, **options):
    settings = {"patch": PATCH, "long_side": 64, **options}
    return encode_pictures(images, colours, **settings)


@pytest.mark.parametrize(
    ("size", "long_side", "trained", "resized", "grid"),
    [
        ((64, 64), 64, 0, (64, 64), (8, 8)),
        ((720, 1280), 64, 0, (36, 64), (5, 8)),
        ((1280, 720), 64, 0, (64, 36), (8, 5)),
        ((30, 20), 64, 0, (30, 20), (4, 3)),  # never enlarged without need
        ((30, 20), 64, 48, (48, 32), (6, 4)),  # enlarged to the trained side
        ((30, 20), 40, 48, (40, 27), (5, 4)),  # …but never beyond the working side
        ((1, 1), 64, 32, (32, 32), (4, 4)),
        ((1, 1), 64, 0, (1, 1), (1, 1)),
        ((200, 20000), 64, 0, (3, 256), (1, 32)),
        ((20000, 200), 64, 0, (256, 3), (32, 1)),
        ((1, 100000), 64, 0, (1, 256), (1, 32)),
    ],
)
def test_fit(size, long_side, trained, resized, grid):
    where = fit(size, long_side, PATCH, trained)
    assert where.size == resized
    assert where.grid == grid
    assert where.extent == (resized[0] / PATCH, resized[1] / PATCH)


def test_fit_covers_every_size():
    rng = np.random.default_rng(0)
    for height, width in rng.integers(1, 5000, (500, 2)).tolist():
        where = fit((height, width), 640, 16, 224)
        for side, cells, extent in zip(where.size, where.grid, where.extent, strict=True):
            assert side >= 1
            assert cells - 1 < extent <= cells
        assert max(where.size) <= 4 * 640
        if min(where.size) > 16:
            assert abs(where.size[0] / where.size[1] / (height / width) - 1) < 0.05


def test_place_pads_by_repeating_and_keeps_pixels():
    image = np.random.default_rng(0).integers(0, 256, (13, 21, 3), dtype=np.uint8)
    out = place(image, fit((13, 21), 64, PATCH), PATCH)
    assert out.shape == (16, 24, 3)
    assert np.array_equal(out[:13, :21], image)
    assert (out[13:, :21] == image[-1]).all()
    assert (out[:13, 21:] == image[:, -1:]).all()


def test_place_averages_areas_when_shrinking():
    image = np.zeros((128, 128, 3), np.uint8)
    image[::2] = 200  # any method that skips rows would see 0 or 200
    out = place(image, fit((128, 128), 64, PATCH), PATCH)
    assert (out == 100).all()


def test_features_lie_where_the_picture_shows_them():
    image = np.zeros((72, 128, 3), np.uint8)
    image[:, 64:] = (255, 0, 0)
    [dense] = encode([image])
    assert dense.patches.shape == (5, 8, 3)
    assert dense.extent == (4.5, 8.0)
    red = dense.patches[..., 0] > 0.9
    assert red[:, 4:].all()
    assert not red[:, :4].any()


def test_a_batch_equals_each_picture_alone_and_keeps_order():
    rng = np.random.default_rng(1)
    sizes = [(40, 60), (80, 120), (33, 7), (40, 60), (1, 1), (64, 64)]
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    together = encode(images)
    for image, dense in zip(images, together, strict=True):
        [alone] = encode([image])
        assert dense.image_size == image.shape[:2]
        np.testing.assert_allclose(dense.patches, alone.patches, atol=1e-6)
        np.testing.assert_allclose(dense.summary, alone.summary, atol=1e-6)
    assert encode([]) == []


@pytest.mark.parametrize(
    ("length", "tile", "overlap"), [(10, 4, 1), (3, 4, 1), (5, 4, 3), (97, 8, 2), (8, 8, 2)]
)
def test_tiles_cover_the_line_and_overlap(length, tile, overlap):
    starts = tile_starts(length, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, length - tile)
    for a, b in itertools.pairwise(starts):
        assert b > a
        assert a + tile - b >= overlap


def test_blending_equal_tiles_gives_them_back():
    rng = np.random.default_rng(2)
    field = rng.normal(size=(10, 12, 5)).astype(np.float32)
    starts = [(top, left) for top in tile_starts(10, 4, 1) for left in tile_starts(12, 6, 2)]
    total, weight = np.zeros_like(field), np.zeros((10, 12), np.float32)
    tiles = np.stack([field[t : t + 4, s : s + 6] for t, s in starts])
    blend_tiles(total, weight, tiles, starts)
    np.testing.assert_allclose(total / weight[..., None], field, atol=1e-5)


def test_tiles_of_a_local_model_equal_one_pass_at_that_size():
    image = np.random.default_rng(3).integers(0, 256, (100, 210, 3), dtype=np.uint8)
    [tiled] = encode([image], tiling=Tiling(48, context=0.0))
    [once] = encode([image], long_side=210)
    assert tiled.extent == once.extent
    np.testing.assert_allclose(tiled.patches, once.patches, atol=1e-5)


def test_small_things_survive_in_tiles_and_context_stays():
    image = np.zeros((256, 512, 3), np.uint8)
    image[96:104, 200:208] = (255, 0, 0)  # one patch at full size, an eighth of one at long_side 64
    [whole] = encode([image])
    [tiled] = encode([image], tiling=Tiling(128))
    red = np.array([1, 0, 0])
    assert (whole.patches @ red).max() < 0.75
    at = (tiled.patches @ red).argmax()
    assert np.unravel_index(at, tiled.patches.shape[:2]) == (12, 25)
    assert (tiled.patches @ red).max() > 0.9
    np.testing.assert_array_equal(tiled.summary, whole.summary)
    np.testing.assert_allclose(np.linalg.norm(tiled.patches, axis=-1), 1, atol=1e-5)


def test_context_is_laid_over_the_same_places():
    image = np.zeros((128, 256, 3), np.uint8)
    image[:, 128:] = (255, 0, 0)
    [tiled] = encode([image], tiling=Tiling(64, context=0.9))
    red = tiled.patches @ np.array([1, 0, 0])
    assert red[:, 20:].min() > 0.9 > 0.7 > red[:, :12].max()


def test_tiling_leaves_small_pictures_as_they_are():
    image = np.random.default_rng(4).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    [tiled] = encode([image], tiling=Tiling(32))
    [whole] = encode([image])
    np.testing.assert_array_equal(tiled.patches, whole.patches)


def test_a_tiled_grid_is_bounded(monkeypatch):
    monkeypatch.setattr("clipomaly.encoders.dense.MAX_CELLS", 500)
    image = np.zeros((400, 800, 3), np.uint8)
    [tiled] = encode([image], tiling=Tiling(64))
    assert tiled.patches.shape[0] * tiled.patches.shape[1] <= 600
    assert tiled.image_size == (400, 800)


@pytest.mark.parametrize("options", [{"side": 0}, {"side": 64, "overlap": 0.9}, {"side": 64, "context": 1.0}])
def test_bad_tilings_are_refused(options):
    with pytest.raises(ConfigError, match="tile"):
        Tiling(**options)
