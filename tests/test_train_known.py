"""`train known`, its cost-aggregation head and `train vl4ad`: small, real, resumable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from clipomaly.config import load_settings  # noqa: E402
from clipomaly.data.datasets import open_dataset  # noqa: E402
from clipomaly.encoders.load import load_encoder  # noqa: E402
from clipomaly.encoders.quiet import no_progress_bars  # noqa: E402
from clipomaly.encoders.random_weights import random_checkpoint  # noqa: E402
from clipomaly.errors import ConfigError, ModelError, OutputError  # noqa: E402
from clipomaly.methods.table import open_method  # noqa: E402
from clipomaly.testing import check_method  # noqa: E402
from clipomaly.training.known.costagg import train_costagg  # noqa: E402
from clipomaly.training.known.measure import confusion, iou  # noqa: E402
from clipomaly.training.known.photos import open_photos  # noqa: E402
from clipomaly.training.known.recipe import KnownRecipe  # noqa: E402
from clipomaly.training.known.run import KnownData, train_known  # noqa: E402
from clipomaly.training.vl4ad.run import VL4ADRecipe, mask_targets, train_vl4ad  # noqa: E402
from clipomaly.vocabulary import KnownClass, Vocabulary, load_vocabulary  # noqa: E402

COLOURS = ((30, 200, 40), (200, 40, 30), (40, 60, 220))
VOCABULARY = Vocabulary(
    "stripes", (KnownClass("grass", synonyms=("lawn",)), KnownClass("brick"), KnownClass("water"))
)
RECIPE = KnownRecipe(
    steps=6, batch=2, crop=(32, 48), keep_batch=2, words=40, rate=3e-3, alpha="1", checkpoint_seconds=0.0
)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return random_checkpoint(tmp_path_factory.mktemp("clip"), "clip-tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> KnownData:
    """Stripes of three colours in CamVid's layout, and named photographs of one colour each."""
    root, rng = tmp_path_factory.mktemp("camvid"), np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 3)):
        for kind in ("images", "labels"):
            (root / part / kind).mkdir(parents=True)
        for i in range(count):
            label = np.repeat(rng.integers(0, 3, 4), 16)[None].repeat(40, 0).astype(np.uint8)
            image = np.array(COLOURS, np.uint8)[label] + rng.integers(0, 30, (*label.shape, 3), np.uint8)
            label[:2] = 11
            cv2.imwrite(str(root / part / "images" / f"{i}.png"), image[:, :, ::-1])
            cv2.imwrite(str(root / part / "labels" / f"{i}.png"), label)
    photos = root / "photos"
    for name, colour in zip(("dog", "red fox", "boat"), COLOURS, strict=True):
        (photos / name).mkdir(parents=True)
        for i in range(8):
            picture = np.full((20, 20, 3), colour, np.uint8) + rng.integers(0, 30, (20, 20, 3), np.uint8)
            cv2.imwrite(str(photos / name / f"{i}.png"), picture[:, :, ::-1])
    train, val = (open_dataset("camvid", root, part) for part in ("train", "val"))
    return KnownData(VOCABULARY, train, val, open_photos(photos))


@pytest.fixture(scope="module")
def tuned(model: Path, data: KnownData, tmp_path_factory) -> tuple[Path, object]:
    out = tmp_path_factory.mktemp("tuned") / "model"
    return out, train_known(model, data, replace(RECIPE, steps=30), out, say=lambda line: None)


def test_tuning_learns_the_known_classes_and_leaves_every_text_where_it_was(tuned, model: Path) -> None:
    out, outcome = tuned
    assert outcome.tuned.miou > outcome.before.miou + 10
    words = ["grass", "a lost cardboard box", "unicorn"]
    before, after = load_encoder(model), load_encoder(out)
    np.testing.assert_allclose(before.encode_texts(words), after.encode_texts(words), atol=1e-5)
    curve = (out / "train" / "curve.csv").read_text().splitlines()
    assert curve[0].startswith("step,seconds,known,keep")
    assert len(curve) == 4


def test_what_is_written_opens_in_both_runtimes_with_equal_answers(tuned) -> None:
    out, _ = tuned
    picture = np.random.default_rng(1).integers(0, 256, (40, 64, 3), np.uint8)
    [a], [b] = (load_encoder(out, runtime=r).encode_images([picture]) for r in ("onnx", "torch"))
    np.testing.assert_allclose(a.patches, b.patches, atol=1e-4)


def test_a_stopped_run_goes_on_to_the_same_weights(model: Path, data: KnownData, tmp_path: Path) -> None:
    whole = train_known(model, data, RECIPE, tmp_path / "whole", graphs=False, say=lambda line: None)

    class Stop(Exception):
        pass

    def stop(line: str) -> None:
        if line.startswith("step") or (tmp_path / "parts/train/checkpoint.pt").exists():
            raise Stop

    # `say` is called at the last step of the shorter run, after its checkpoint of the step before.
    with pytest.raises(Stop):
        train_known(model, data, RECIPE, tmp_path / "parts", graphs=False, say=stop)
    state = torch.load(tmp_path / "parts/train/checkpoint.pt", weights_only=True)
    assert 0 < state["step"] < RECIPE.steps
    again = train_known(
        model, data, RECIPE, tmp_path / "parts", resume=True, graphs=False, say=lambda line: None
    )
    assert again.written.miou == pytest.approx(whole.written.miou, abs=1e-3)
    left, right = (
        torch.load(tmp_path / part / "train/checkpoint.pt", weights_only=True)["moving"]
        for part in ("whole", "parts")
    )
    for key, value in left.items():
        torch.testing.assert_close(value, right[key], atol=1e-5, rtol=0)
    with pytest.raises(OutputError, match="resume"):
        train_known(model, data, RECIPE, tmp_path / "whole", graphs=False, say=lambda line: None)


def test_alpha_nought_is_the_model_as_it_was_and_auto_says_what_it_chose_by(
    model: Path, data: KnownData, tmp_path: Path
) -> None:
    short = replace(RECIPE, steps=2)
    nought = train_known(
        model, data, replace(short, alpha="0"), tmp_path / "0", graphs=False, say=lambda line: None
    )
    assert nought.written == nought.before
    auto = train_known(
        model, data, replace(short, alpha="auto"), tmp_path / "a", graphs=False, say=lambda line: None
    )
    assert auto.alpha in (0.0, 0.25, 0.5, 0.75, 1.0)
    assert set(auto.chosen_by["table"]) == {"0", "0.25", "0.5", "0.75", "1"}
    table = auto.chosen_by["table"]
    assert table[f"{auto.alpha:g}"]["top1"] >= table["0"]["top1"] - short.give_up


def test_photographs_fall_into_parts_that_share_nothing(data: KnownData) -> None:
    assert data.photos is not None
    parts = {part: {p.key for p in data.photos.of(part)} for part in ("keep", "choose", "report")}
    assert sum(map(len, parts.values())) == len(data.photos.photos) == 24
    assert not parts["keep"] & parts["report"]
    assert data.photos.names == ("boat", "dog", "red fox")


def test_iou_against_counting() -> None:
    rng = np.random.default_rng(0)
    labels, truth = rng.integers(0, 4, (9, 9)), rng.integers(0, 5, (9, 9))
    truth[truth == 4] = 255
    found = iou(confusion(labels, truth, 4))
    for c in range(4):
        ok = truth != 255
        a, b = (labels == c) & ok, truth == c
        assert found[c] == pytest.approx(100 * (a & b).sum() / (a | b).sum())


def test_a_recipe_that_trains_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing"):
        KnownRecipe(train="none")
    with pytest.raises(ConfigError, match="alpha"):
        KnownRecipe(alpha="2")


def test_a_cost_head_is_trained_and_segments_end_to_end(model: Path, data: KnownData, tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=4, decoder="costagg")
    train_costagg(model, data, recipe, tmp_path / "head", say=lambda line: None)
    overrides = {"open_segmenter": "costagg", "open_model": str(tmp_path / "head"), "model": str(model)}
    overrides |= {"names": "none", "threshold": "0.9"}
    opened = open_method(load_settings(overrides=overrides), VOCABULARY)
    check_method(opened.method, [data.val[0].image()], VOCABULARY)
    assert all(p.stat().st_mode & 0o044 == 0o044 for p in (tmp_path / "head").iterdir())


def test_vl4ad_learns_masks_with_its_encoder_frozen(model: Path, data: KnownData, tmp_path: Path) -> None:
    encoder = load_encoder(model)
    recipe = VL4ADRecipe(steps=24, batch=2, hidden=32, queries=6, layers=2, rate=2e-3)
    about = train_vl4ad(
        encoder, VOCABULARY, data.train, data.val, recipe, tmp_path / "masks", say=lambda line: None
    )
    rows = [r.split(",") for r in (tmp_path / "masks/train/curve.csv").read_text().splitlines()[1:]]
    losses = [float(r[2]) for r in rows if r[2]]
    assert losses[-1] < losses[0]
    assert about["val_miou"] >= 0
    overrides = {"method": "vl4ad", "mask_decoder": str(tmp_path / "masks"), "model": str(model)}
    opened = open_method(load_settings(overrides={**overrides, "threshold": "0.9"}), VOCABULARY)
    check_method(opened.method, [data.val[0].image(), data.val[1].image()[:37, :51]], VOCABULARY)
    plain = open_method(load_settings(overrides={"method": "vl4ad", "model": str(model)}), VOCABULARY)
    assert opened.method.conditions() != plain.method.conditions()
    assert all(p.stat().st_mode & 0o044 == 0o044 for p in (tmp_path / "masks").iterdir())


def test_a_missing_mask_decoder_says_how_to_make_one() -> None:
    settings = load_settings(overrides={"method": "vl4ad", "mask_decoder": "nowhere"})
    with pytest.raises(ModelError, match=r"mask decoder nowhere .* `clipomaly train vl4ad`, .* mask2former"):
        open_method(settings, load_vocabulary("camvid"))


@pytest.mark.parametrize("wanted", [True, False])
def test_bars_of_the_library_are_the_users_again_afterwards(wanted: bool) -> None:
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    (logging.enable_progress_bar if wanted else logging.disable_progress_bar)()
    try:
        with no_progress_bars():
            assert not logging.is_progress_bar_enabled()
        assert logging.is_progress_bar_enabled() == wanted
    finally:
        (logging.enable_progress_bar if before else logging.disable_progress_bar)()


def test_mask_targets_leave_out_what_the_labels_leave_out() -> None:
    masks, present = mask_targets(np.array([[0, 255], [2, 2]], np.uint8), 3)
    assert present.tolist() == [0, 2]
    assert masks.sum(dim=(1, 2)).tolist() == [1, 2]
