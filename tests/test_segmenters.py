"""The segmenters of stage 3: one protocol, exact mask arithmetic, and the whole method on each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipomaly.encoders.prompts import bank_of_names
from clipomaly.maths.grids import upsample_argmax
from clipomaly.methods.clipomaly import Clipomaly
from clipomaly.segmenters.aggregated import AggregatedSegmenter
from clipomaly.segmenters.dense import DenseSegmenter, extend
from clipomaly.segmenters.masks import MaskSegmenter, by_proposals
from clipomaly.segmenters.prompted import PromptedSegmenter
from clipomaly.segmenters.seam import Segmenter
from clipomaly.segmenters.superpixels import join, neighbours, pooled, superpixels
from clipomaly.testing import ColourEncoder, check_method, colour_picture, colour_vocabulary


class _Halves:
    """Proposes the left and the right half."""

    def __call__(self, image, dense):
        maps = np.zeros((2, 8, 8), np.float32)
        maps[0, :, :4] = maps[1, :, 4:] = 1
        return maps


class _ByColour:
    """A prompted model that knows one thing: how red, green or blue a pixel is."""

    name, temperature = "by colour", 1.0

    def scores(self, image, names):
        channel = {"red": 0, "green": 1, "blue": 2}
        planes = [
            image[..., channel.get(n, 0)].astype(np.float32) / 25 - 40 * (n not in channel) for n in names
        ]
        return np.stack(planes, axis=2)


class _Cosine:
    """A cost head that only repeats the cost."""

    width = 8

    def scores(self, patches, texts):
        return np.repeat(np.repeat(patches @ texts.T * 20, 4, axis=0), 4, axis=1)


SEGMENTERS: dict[str, Segmenter] = {
    "dense": DenseSegmenter(0.05),
    "superpixels": MaskSegmenter(0.05),
    "proposals": MaskSegmenter(0.05, _Halves()),
    "prompted": PromptedSegmenter(_ByColour()),
    "aggregated": AggregatedSegmenter(_Cosine()),
}


@pytest.mark.parametrize("name", SEGMENTERS)
@pytest.mark.parametrize("size", [(96, 128), (37, 61), (8, 200)])
def test_every_segmenter_answers_for_every_name_at_any_size(name: str, size: tuple[int, int]) -> None:
    encoder, picture = ColourEncoder(), colour_picture("green", box="red", size=size)
    [dense] = encoder.encode_images([picture])
    bank = bank_of_names(encoder, ("green", "red", "blue"))
    found = SEGMENTERS[name].segment(picture, dense, bank)
    assert found.scores.shape[2] == 3
    assert np.isfinite(found.scores).all()
    labels = upsample_argmax(found.scores, found.extent, size)
    assert labels.shape == size
    assert labels[0, 0] == 0
    if size == (96, 128) and name != "proposals":
        assert labels[48, 64] == 1


@pytest.mark.parametrize("name", ["superpixels", "prompted", "aggregated"])
def test_the_method_runs_on_every_segmenter(name: str) -> None:
    method = Clipomaly(ColourEncoder(), ColourEncoder.settings(), segmenter=SEGMENTERS[name])
    pictures = [colour_picture("green", box="red"), colour_picture("blue", size=(41, 67))]
    check_method(method, pictures, colour_vocabulary("green", "blue"))
    [prediction] = method.predict(pictures[:1], colour_vocabulary("green", "blue"))
    assert len(prediction.findings) == 1


def test_masks_follow_the_pictures_edges_where_patches_cannot() -> None:
    encoder = ColourEncoder()
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :, 1] = 255
    rows, columns = np.mgrid[:64, :64]
    disc = (rows - 30) ** 2 + (columns - 33) ** 2 < 15**2
    picture[disc] = (255, 0, 0)
    [dense] = encoder.encode_images([picture])
    bank = bank_of_names(encoder, ("green", "red"))
    wrong = {}
    for name in ("dense", "superpixels"):
        found = SEGMENTERS[name].segment(picture, dense, bank)
        wrong[name] = int((upsample_argmax(found.scores, found.extent, (64, 64)) != disc).sum())
    assert wrong["superpixels"] < 0.6 * wrong["dense"]


def test_proposals_that_cover_all_pool_exactly_and_none_leaves_the_dense_scores() -> None:
    encoder, picture = ColourEncoder(), colour_picture("green", box="red", size=(64, 64))
    [dense] = encoder.encode_images([picture])
    bank = bank_of_names(encoder, ("green", "red"))
    maps = np.zeros((2, 64, 64), np.float32)
    maps[0, :32] = maps[1, 32:] = 1
    scores = by_proposals(maps, dense, bank, (64, 64))
    for rows, part in ((slice(0, 4), 0), (slice(4, 8), 63)):
        mean = dense.patches[rows].reshape(-1, 8).mean(axis=0)
        expected = bank.similarity(mean / np.linalg.norm(mean))
        np.testing.assert_allclose(scores[part, 5], expected, atol=1e-5)
    empty = by_proposals(np.zeros((0, 4, 4), np.float32), dense, bank, (8, 8))
    np.testing.assert_allclose(empty, bank.similarity(dense.patches), atol=1e-6)


@given(st.integers(0, 10_000), st.integers(9, 40), st.integers(9, 40))
@settings(max_examples=15, deadline=None)
def test_superpixels_cover_the_picture_and_joins_are_nested(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    picture = np.kron(rng.integers(0, 256, (3, 3, 3)), np.ones((14, 14, 1))).astype(np.uint8)[:height, :width]
    labels = superpixels(picture, 6)
    np.testing.assert_array_equal(labels, superpixels(picture, 6))
    count = int(labels.max()) + 1
    assert np.array_equal(np.unique(labels), np.arange(count))
    pairs = neighbours(labels)
    weights = rng.random(len(pairs)).astype(np.float32)
    alone, _, one = join(pairs, weights, count, (0.0, 0.5, 1e6))
    assert len(np.unique(one)) == 1, "a picture is connected"
    assert len(np.unique(alone)) == count, "no weight is 0, so k = 0 joins nothing"
    patches = rng.random((5, 5, 4)).astype(np.float32)
    whole = pooled(np.zeros((20, 20), np.int32), patches, (5.0, 5.0))[0]
    mean = patches.reshape(-1, 4).mean(axis=0)
    np.testing.assert_allclose(whole, mean / np.linalg.norm(mean), atol=1e-6)


def test_a_closed_gate_lies_below_logits_too() -> None:
    known = np.full((1, 2, 1), -30.0, np.float32)
    name = np.full((1, 2, 1), -25.0, np.float32)
    out = extend(known, name, np.array([[[True, False]]]), 1.0)
    assert out.similarity.argmax(axis=2).tolist() == [[1, 0]]
    assert out.unknown_probability[0, 1] < 1e-6


def test_a_model_for_a_segmenter_that_reads_none_is_an_error() -> None:
    from clipomaly.config import SegmentSettings
    from clipomaly.errors import ConfigError
    from clipomaly.methods.stage3 import open_segmenter

    with pytest.raises(ConfigError, match="--open-segmenter masks"):
        open_segmenter(SegmentSettings(open_model="mask2former-folder"), 0.07)
    assert open_segmenter(SegmentSettings(), 0.07).name == "dense"


def test_settings_of_other_methods_are_told() -> None:
    from clipomaly.config import load_settings
    from clipomaly.methods.table import unread

    def told(**given: object) -> list[str]:
        return [text.split(" ")[0] for text in unread(load_settings(overrides=given))]

    assert told() == []
    assert told(method="vl4ad", mask_decoder="m", outlier_prompts="none") == []
    assert told(mask_decoder="m", outlier_prompts="none") == ["--outlier-prompts", "--mask-decoder"]
    assert told(method="msp", segmenter="a.onnx", fitted="f") == ["--fitted"]
    assert told(segmenter="a.onnx", flow_score="nll", image_score="mean-with-max") == [
        *("--flow-score", "--image-score", "--segmenter"),
    ]
    assert told(method="knn", segmenter="a.onnx", fitted="f.npz") == []
    assert told(method="vl4ad", score="msp", dictionary="road", refine="won") == [
        *("--dictionary", "--refine", "--score"),
    ]
    assert told(score="msp", dictionary="road", refine="won", names="both") == []
    assert told(method="flowclas", fitted="f", flow_score="nll") == []
