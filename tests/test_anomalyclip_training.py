"""Learning AnomalyCLIP's prompts: it learns, goes on where it stopped, and its folder is ready to use."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipomaly.config import load_settings
from clipomaly.errors import ConfigError, DataError, ModelError, OutputError
from clipomaly.methods.table import open_method
from clipomaly.testing import check_method, colour_vocabulary
from clipomaly.training.anomalyclip.curve import read_curve
from clipomaly.training.anomalyclip.measure import centre_map, measure
from clipomaly.training.anomalyclip.pictures import Picture, cut_windows, is_held, read_pictures
from clipomaly.training.anomalyclip.synthetic import synthetic_picture

torch = pytest.importorskip("torch")
VOCABULARY = colour_vocabulary("green", "blue")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    from clipomaly.encoders.random_weights import random_checkpoint

    return random_checkpoint(tmp_path_factory.mktemp("clip") / "clip", "clip-tiny")


def recipe(**other):
    from clipomaly.training.anomalyclip.run import PromptRecipe

    return PromptRecipe(**{"epochs": 3, "length": 2, "tokens": 1, "side": 32, "rate": 0.02, **other})


@pytest.fixture(scope="module")
def trained(clip, tmp_path_factory):
    from clipomaly.training.anomalyclip.run import train_prompts

    out = tmp_path_factory.mktemp("trained")
    train_prompts(str(clip), "synthetic:24", out, recipe(), note=lambda _: None)
    return out


def parts(clip, chosen, data="synthetic:24"):
    """Fresh prompts and the vectors of some pictures."""
    from clipomaly.encoders.anomalyclip.export import config_of, policy_of
    from clipomaly.encoders.anomalyclip.prompts import LearnedPrompts
    from clipomaly.encoders.anomalyclip.tower import LocalTower
    from clipomaly.encoders.transformers import open_checkpoint
    from clipomaly.training.anomalyclip.run import PictureVectors

    model, spec = open_checkpoint(clip)
    tower = LocalTower(model, spec, policy_of(spec, 2, published=False)).eval()
    prompts = LearnedPrompts.for_model(model, spec, clip, length=chosen.length, tokens=chosen.tokens)
    config = config_of(spec, tower, prompts="", side=chosen.side)
    return prompts, PictureVectors(tower, config, data, chosen, lambda items, _: items)


def test_the_loss_falls_and_the_curve_says_so(trained):
    rows = read_curve(trained / "curve.csv")
    assert [r["epoch"] for r in rows] == [1, 2, 3]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert (trained / "curve.png").read_bytes()[:4] == b"\x89PNG"


def test_the_folder_is_ready_to_use(trained):
    folder = str(trained)
    opened = open_method(load_settings(overrides={"method": "anomalyclip", "fitted": folder}), VOCABULARY)
    assert opened.notices == ()  # its own threshold applies
    images = [synthetic_picture(5, i, side)[0] for i, side in enumerate((40, 33, 64))]
    check_method(opened.method, images, VOCABULARY)
    table = json.loads((trained / "config.json").read_text())
    assert table["training"]["parity"] < 1e-4
    assert table["training"]["learnt"] + table["training"]["held"] == 24
    assert "synthetic:24" in (trained / "README.md").read_text()
    assert str(trained.parent) not in (trained / "README.md").read_text() + json.dumps(table)


def test_learned_prompts_come_back_with_their_clip_alone(trained, clip):
    from clipomaly.encoders.anomalyclip.prompts import load_saved
    from clipomaly.encoders.transformers import open_checkpoint

    model, spec = open_checkpoint(clip)
    prompts = load_saved(trained / "prompts.safetensors", model, spec.fingerprint)
    from safetensors.numpy import load_file

    kept = load_file(trained / "prompts.safetensors")
    np.testing.assert_allclose(prompts().detach().numpy(), kept["vectors"], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(kept["vectors"], axis=1), 1, atol=1e-5)
    with pytest.raises(ModelError, match="another CLIP"):
        load_saved(trained / "prompts.safetensors", model, "another")


def test_a_training_that_was_stopped_ends_as_if_it_had_not(clip, tmp_path):
    from clipomaly.training.anomalyclip.run import learn

    ends = []
    for name, stops in (("whole", (3,)), ("stopped", (1, 3))):
        for epochs in stops:
            prompts, sets = parts(clip, recipe())
            (tmp_path / name).mkdir(exist_ok=True)
            learn(prompts, sets, tmp_path / name, recipe(epochs=epochs), {"of": "this"}, lambda _: None)
        ends.append(prompts().detach().numpy())
    np.testing.assert_array_equal(*ends)
    curves = [[r["loss"] for r in read_curve(tmp_path / n / "curve.csv")] for n in ("whole", "stopped")]
    assert curves[0] == curves[1]
    with pytest.raises(ConfigError, match="another model, data or recipe"):
        learn(prompts, sets, tmp_path / "whole", recipe(), {"of": "that"}, lambda _: None)
    (tmp_path / "whole" / "state.pt").write_bytes(b"cut")
    with pytest.raises(ConfigError, match="remove it and train anew"):
        learn(prompts, sets, tmp_path / "whole", recipe(), {"of": "this"}, lambda _: None)


def test_vectors_that_do_not_fit_into_memory_give_the_same_pictures(clip, monkeypatch):
    _, kept = parts(clip, recipe())
    monkeypatch.setattr("clipomaly.training.anomalyclip.run._KEPT_BYTES", 1)
    _, anew = parts(clip, recipe())
    order = kept.learn[:5]
    one, two = ([v for batch in sets.batches(order, 2) for v in batch] for sets in (kept, anew))
    assert [v.name for v in one] == [v.name for v in two]
    assert all(
        torch.equal(a.patches, b.patches) and torch.equal(a.mask, b.mask)
        for a, b in zip(one, two, strict=True)
    )


def test_what_stands_behind_the_end_token_changes_nothing_and_deep_tokens_do(clip):
    from clipomaly.encoders.anomalyclip.prompts import LearnedPrompts

    prompts, _ = parts(clip, recipe(), "synthetic:2")
    shape, before = prompts.shape, prompts()
    assert shape.depth == 2  # nine, cut to the tower's two
    with torch.no_grad():
        prompts.deep[0].mul_(-50)
    assert not torch.allclose(prompts(), before, atol=1e-3)
    long = replace(shape, length=12)
    with pytest.raises(ConfigError, match="use at most"):
        LearnedPrompts(prompts._model[0], long)


def test_a_folder_with_a_training_is_not_overwritten(trained, clip):
    from clipomaly.training.anomalyclip.run import train_prompts

    with pytest.raises(OutputError, match="--resume"):
        train_prompts(str(clip), "synthetic:24", trained, recipe())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 50))
def test_synthetic_pictures_follow_from_their_number(seed, index):
    image, mask = synthetic_picture(seed, index, 48)
    again, _ = synthetic_picture(seed, index, 48)
    assert np.array_equal(image, again)
    assert image.shape == (48, 48, 3)
    assert image.std() > 0
    assert set(np.unique(mask)) <= {0, 1}
    assert index % 2 or not mask.any()
    assert mask.mean() < 0.6


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_windows_lie_inside_and_hold_what_their_masks_say(seed):
    picture = Picture("p", *synthetic_picture(seed, 1, 64))
    windows = list(cut_windows(picture, 6, seed))
    for window in windows:
        assert window.image.shape == (32, 32, 3)
        assert window.mask.shape == (32, 32)
        assert not window.mask.any() or window.mask.mean() >= 0.01
        assert is_held(window.name) == is_held("p")


def test_sources_that_are_not_valid_say_so(tmp_path):
    with pytest.raises(ConfigError, match="synthetic:COUNT"):
        list(read_pictures("synthetic:many"))
    with pytest.raises(DataError, match="is not a folder"):
        list(read_pictures(str(tmp_path / "none")))
    assert 5 < sum(is_held(f"synthetic{i:05d}") for i in range(200)) < 40


def test_measured_figures_tell_good_from_bad():
    pictures = list(read_pictures("synthetic:12", windows=3))

    def truth(picture):
        return picture.mask.astype(np.float32), {"abnormal": float(picture.defective)}

    best = measure(truth, pictures, windows=True)
    assert best["auroc"] == best["aupro"] == best["image auroc abnormal"] == 100
    assert best["pictures"] == 12
    assert measure(centre_map, pictures, windows=False)["auroc"] < 90


def test_pictures_that_cannot_be_learned_from_leave_nothing_behind(clip, tmp_path):
    from clipomaly.training.anomalyclip.run import train_prompts

    (tmp_path / "empty" / "images").mkdir(parents=True)
    (tmp_path / "empty" / "masks").mkdir()
    for data in (str(tmp_path / "nowhere"), str(tmp_path / "empty"), "synthetic:few", "synthetic:1"):
        with pytest.raises((ConfigError, DataError)):
            train_prompts(str(clip), data, tmp_path / "out", recipe())
        assert not (tmp_path / "out").exists(), data


def test_few_pictures_give_a_model_without_a_threshold(clip, tmp_path):
    """None of these names is held back, so there is nothing to measure a threshold on."""
    from clipomaly.training.anomalyclip.run import train_prompts

    notes = []
    train_prompts(str(clip), "synthetic:3", tmp_path / "out", recipe(epochs=1), note=notes.append)
    assert any("clipomaly calibrate" in n for n in notes)
    assert not (tmp_path / "out" / "thresholds.json").exists()
    assert "no threshold" in (tmp_path / "out" / "README.md").read_text()
    own = load_settings(overrides={"method": "anomalyclip", "fitted": str(tmp_path / "out")})
    opened = open_method(own, VOCABULARY)
    assert any("otsu" in n for n in opened.notices)
