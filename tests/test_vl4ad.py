"""VL4AD: the scores against double-precision loops, what more prompts and merging may do, and the method."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clipomaly.commands.calibrate import run_calibrate
from clipomaly.config import load_settings
from clipomaly.encoders import load_encoder
from clipomaly.errors import ConfigError, VocabularyError
from clipomaly.maths.grids import upsample
from clipomaly.maths.prompted import best_of, known_probabilities, mask_uncertainty, unexplained
from clipomaly.maths.scores import SCORES
from clipomaly.methods.table import open_method
from clipomaly.methods.vl4ad import VL4AD, super_classes
from clipomaly.naming.outliers import load_outlier_prompts, outliers_beside
from clipomaly.testing import ColourEncoder, check_method, colour_picture, colour_vocabulary
from clipomaly.thresholds import Thresholds, load_thresholds
from clipomaly.vocabulary import KnownClass, Vocabulary, list_vocabularies, load_vocabulary

GREENS = colour_vocabulary("green", "blue")
#: Red that a prompt names, beside two known classes.
LIST = ["red", "yellow"]
EPS = 2e-6


# --- scores -------------------------------------------------------------------------------------------------


class Case:
    """Masks, their maps and prompts, drawn by a seed: a few of each, some temperatures tiny."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.random = random
        self.tau = float(random.choice([0.01, 0.07, 0.5]))
        n, self.classes, width = (int(random.integers(1, 6)) for _ in range(3))
        extra = int(random.integers(0, 5))
        self.vectors = random.normal(size=(n, width)).astype(np.float32) * 3
        self.maps = random.random((n, int(random.integers(1, 5)), int(random.integers(1, 6)))).astype(
            np.float32
        )
        self.owner = random.permutation(
            np.concatenate([np.arange(self.classes), random.integers(0, self.classes, extra)])
        )
        self.known = self.unit(len(self.owner))
        self.outliers = self.unit(int(random.integers(0, 5)))

    def unit(self, count: int) -> np.ndarray:
        v = self.random.normal(size=(count, self.vectors.shape[1])).astype(np.float32)
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    def masks(self, **other: np.ndarray) -> np.ndarray:
        given = {"known": self.known, "owner": self.owner, "outliers": self.outliers, **other}
        return mask_uncertainty(self.vectors, self.maps, tau=self.tau, **given)

    def places(self, **other: np.ndarray) -> np.ndarray:
        """1 + u with every mask its own pixel."""
        given = {"known": self.known, "owner": self.owner, "outliers": self.outliers, **other}
        v = self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)
        return unexplained(best_of(v @ given["known"].T, given["owner"]), v @ given["outliers"].T, self.tau)


def looped(case: Case) -> np.ndarray:
    """The formula, entry by entry, in double precision."""
    n, height, width = case.maps.shape
    u = np.zeros((height, width))
    c = np.zeros((n, case.classes))
    for i in range(n):
        v = case.vectors[i].astype(np.float64)
        cos = [float(v @ t.astype(np.float64)) / np.sqrt(float(v @ v)) for t in case.known]
        z = [max(x for x, k in zip(cos, case.owner, strict=True) if k == c) for c in range(case.classes)]
        z += [float(v @ o.astype(np.float64)) / np.sqrt(float(v @ v)) for o in case.outliers]
        e = np.exp((np.array(z) - max(z)) / case.tau)
        c[i] = (e / e.sum())[: case.classes]
    for y in range(height):
        for x in range(width):
            u[y, x] = -max(
                sum(float(case.maps[i, y, x]) * c[i, k] for i in range(n)) for k in range(case.classes)
            )
    return u


CASES = st.integers(0, 2**32 - 1).map(Case)


@given(CASES)
@settings(max_examples=80, deadline=None)
def test_masks_equal_the_formula(case: Case) -> None:
    np.testing.assert_allclose(case.masks(), looped(case), atol=2e-5 * len(case.maps))


def test_rows_in_bands_equal_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(5)
    case.maps = case.random.random((len(case.vectors), 17, 9)).astype(np.float32)
    whole = case.masks()
    monkeypatch.setattr("clipomaly.maths.prompted._BAND", 4 * 9 * case.classes)
    np.testing.assert_allclose(case.masks(), whole, atol=1e-6)


@given(CASES)
@settings(max_examples=60, deadline=None)
def test_places_are_masks_with_the_identity_as_maps(case: Case) -> None:
    n = len(case.vectors)
    case.maps = np.eye(n, dtype=np.float32).reshape(n, 1, n)
    np.testing.assert_allclose(case.places(), 1 + case.masks()[0], atol=EPS)


@given(CASES)
@settings(max_examples=60, deadline=None)
def test_more_outlier_prompts_never_lower_a_score(case: Case) -> None:
    more = np.concatenate([case.outliers, case.unit(2)])
    assert (case.places(outliers=more) >= case.places() - EPS).all()
    assert (case.masks(outliers=more) >= case.masks() - EPS * len(case.maps)).all()


def test_an_outlier_prompt_raises_the_score_of_what_it_names() -> None:
    known = np.array([[0.5, 0.1], [0.9, 0.1]], np.float32)
    outlier = np.array([[0.6], [0.2]], np.float32)
    without = unexplained(known, outlier[:, :0], 0.05)
    beside = unexplained(known, outlier, 0.05)
    assert without.max() < 0.01
    assert beside[0] > 0.8
    assert beside[1] < 0.01


@given(CASES, st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_merging_never_raises_a_score(case: Case, seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, case.classes, case.classes)
    groups = np.unique(groups, return_inverse=True)[1]
    merged = groups[case.owner]  # the members' prompts together
    assert (case.places(owner=merged) <= case.places() + EPS).all()
    assert (case.masks(owner=merged) <= case.masks() + EPS * len(case.maps)).all()
    np.testing.assert_array_equal(
        best_of(best_of(case.known.T, case.owner), groups), best_of(case.known.T, merged)
    )


@given(CASES)
@settings(max_examples=80, deadline=None)
def test_a_further_wording_moves_a_score_by_who_wins(case: Case) -> None:
    k = int(case.random.integers(case.classes))
    known, owner = np.concatenate([case.known, case.unit(1)]), np.append(case.owner, k)
    v = case.vectors / np.linalg.norm(case.vectors, axis=1, keepdims=True)
    before, after = best_of(v @ case.known.T, case.owner), best_of(v @ known.T, owner)
    old, new = case.places(), case.places(known=known, owner=owner)
    assert (new <= old + EPS)[before.argmax(axis=1) == k].all()
    assert (new >= old - EPS)[after.argmax(axis=1) != k].all()


@given(CASES)
@settings(max_examples=60, deadline=None)
def test_without_outliers_and_merging_it_is_msp_of_the_ensembled_logits(case: Case) -> None:
    v = case.vectors / np.linalg.norm(case.vectors, axis=1, keepdims=True)
    logits = best_of(v @ case.known.T, case.owner)
    np.testing.assert_allclose(
        unexplained(logits, np.zeros((len(v), 0), np.float32), case.tau),
        SCORES["msp"](logits, case.tau),
        atol=EPS,
    )


def test_interpolated_masks_doubt_borders_that_places_do_not() -> None:
    """Why scores are upsampled, not probabilities: the largest mean is at most the mean of largests."""
    random = np.random.default_rng(0)
    known = random.uniform(-1, 1, (4, 5, 3)).astype(np.float32)
    none = np.zeros((4, 5, 0), np.float32)
    score_first = upsample(unexplained(known, none, 0.1), (4.0, 5.0), (16, 20))
    c = known_probabilities(known, none, 0.1)
    probability_first = 1 - np.stack([upsample(c[..., k], (4.0, 5.0), (16, 20)) for k in range(3)]).max(
        axis=0
    )
    assert (probability_first >= score_first - 1e-5).all()
    assert (probability_first > score_first + 0.05).any()


def test_scores_survive_extremes() -> None:
    extremes = np.array([[1, -1], [1, 1], [-1, -1], [0, 1e-30]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        for tau in (1e-4, 1.0):
            for outlier in (-1.0, 1.0):
                got = unexplained(extremes, np.full((4, 1), outlier, np.float32), tau)
                assert got.dtype == np.float32
                assert ((got >= 0) & (got <= 1)).all()
    assert unexplained(np.full((3, 1), 0.1, np.float32), np.zeros((3, 0), np.float32), 0.1).tolist() == [
        0,
        0,
        0,
    ]


def test_mistakes_in_columns_are_named() -> None:
    one = np.zeros((2, 1), np.float32)
    with pytest.raises(ValueError, match="temperature"):
        unexplained(one, one, 0.0)
    with pytest.raises(ValueError, match="at least one known class"):
        unexplained(one[:, :0], one, 0.1)
    with pytest.raises(ValueError, match="owners"):
        best_of(np.zeros((2, 2), np.float32), np.array([0, 2]))


# --- prompts and groups -------------------------------------------------------------------------------------


def test_the_shipped_list_is_about_unknown_things() -> None:
    prompts = load_outlier_prompts("shipped")
    assert len(prompts) >= 40
    for name in list_vocabularies():
        vocabulary = load_vocabulary(name)
        beside = outliers_beside(prompts, vocabulary, "shipped")
        assert len(beside) >= 40
        assert not [p for p in beside if vocabulary.index(p) is not None or p in vocabulary.rejected_names]
        assert {"dog", "cardboard box", "fallen tree", "caravan"} <= set(beside)


def test_a_list_of_your_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("goat   # an animal\npolice car\nGoat\n")
    prompts = load_outlier_prompts(str(path))
    assert prompts == ("goat", "police car")
    cityscapes = load_vocabulary("cityscapes")
    assert outliers_beside(prompts, cityscapes, str(path)) == prompts  # a kind of car, if you say so
    with pytest.raises(ConfigError, match=r"'bollard' .* known to vocabulary cityscapes \('pole'\)"):
        outliers_beside(("bollard",), cityscapes, str(path))
    with pytest.raises(VocabularyError, match="cannot read word list"):
        load_outlier_prompts(str(tmp_path / "missing.txt"))


def test_super_classes_follow_the_vocabulary() -> None:
    known = [("car", "Vehicle"), ("road", ""), ("bus", "vehicle"), ("sky", ""), ("man", "human")]
    vocabulary = Vocabulary("tiny", tuple(KnownClass(n, group=g) for n, g in known))
    owner = super_classes(vocabulary)
    assert owner[0] == owner[2]
    assert sorted(set(owner)) == [0, 1, 2, 3]
    assert len({int(o) for o in owner[[1, 3, 4]]} | {int(owner[0])}) == 4


# --- the method ---------------------------------------------------------------------------------------------


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    path = tmp_path / "outliers.txt"
    path.write_text("\n".join(LIST))
    return str(path)


def vl4ad(**overrides: object) -> VL4AD:
    return VL4AD(ColourEncoder(), ColourEncoder.settings(**{"threshold": "otsu", **overrides}))


def test_it_is_a_method(prompts: str) -> None:
    pictures = [
        colour_picture("green", box="red"),
        colour_picture("blue", size=(50, 41)),
        colour_picture("green", size=(1, 1)),
    ]
    for source in ("none", "shipped", prompts):
        check_method(vl4ad(outlier_prompts=source), pictures, GREENS)


def test_what_an_outlier_prompt_names_is_found(prompts: str) -> None:
    [prediction] = vl4ad(outlier_prompts=prompts).predict([colour_picture("green", box="red")], GREENS)
    assert prediction.score[40:56, 56:72].min() > 0.9
    assert prediction.score[:20].max() < 0.1
    (finding,) = prediction.findings
    assert finding.name is None
    assert finding.nearest_known in GREENS.names
    assert prediction.unknown[48, 64]
    assert not prediction.unknown[:20].any()
    assert (prediction.labels[:20] == 0).all()
    assert {"encode", "score", "split", "segment"} <= set(prediction.seconds)


def test_outlier_prompts_only_raise_the_map(prompts: str) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (40, 56, 3)).astype(np.uint8)
    alone, beside = (vl4ad(outlier_prompts=s).score_map(picture, GREENS) for s in ("none", prompts))
    assert (beside >= alone - EPS).all()
    assert (beside > alone + 1e-3).any()


def test_merging_keeps_the_labels_and_calms_the_border_between_kin() -> None:
    kin = Vocabulary("kin", tuple(replace(c, group="plants") for c in GREENS.known))
    between = np.full((32, 32, 3), (0, 128, 128), np.uint8)  # as green as blue
    apart, merged = (
        vl4ad(outlier_prompts="none", super_classes=s).predict([between], kin)[0] for s in ("none", "groups")
    )
    assert apart.score.min() > 0.4
    assert merged.score.max() == 0  # one super-class, nothing beside it
    np.testing.assert_array_equal(apart.labels, merged.labels)
    assert merged.names == kin.names


def test_plain_it_is_the_baseline_msp() -> None:
    plain = load_settings(overrides={"method": "vl4ad", "outlier_prompts": "none", "super_classes": "none"})
    msp = load_settings(overrides={"method": "msp"})
    picture = np.random.default_rng(2).integers(0, 256, (33, 47, 3)).astype(np.uint8)
    ours, theirs = (
        open_method(s, GREENS, encoder=ColourEncoder()).method.predict([picture], GREENS)[0]
        for s in (plain, msp)
    )
    np.testing.assert_allclose(ours.score, theirs.score, atol=EPS)
    np.testing.assert_array_equal(ours.labels, theirs.labels)


def test_thresholds_hold_for_their_prompts_only(prompts: str) -> None:
    method = vl4ad(threshold="calibrated", outlier_prompts=prompts)
    picture = colour_picture("green", box="red")
    with pytest.raises(ConfigError, match="clipomaly calibrate --method vl4ad"):
        method.predict([picture], GREENS)
    method.thresholds = Thresholds("colours", method.conditions(), 0.01, {GREENS.hash: {"vl4ad": 0.25}})
    assert method.predict([picture], GREENS)[0].threshold == 0.25
    for other in ({"outlier_prompts": "none"}, {"super_classes": "none"}, {"temperature": 0.2}):
        changed = vl4ad(**{"threshold": "calibrated", "outlier_prompts": prompts, **other})
        changed.thresholds = method.thresholds
        with pytest.raises(ConfigError, match="but the thresholds were measured with"):
            changed.predict([picture], GREENS)


def test_it_opens_by_name_and_says_how_it_cuts(tmp_path: Path, prompts: str) -> None:
    asked = {"method": "vl4ad", "outlier_prompts": prompts}
    opened = open_method(load_settings(overrides=asked), GREENS, encoder=ColourEncoder())
    assert opened.method.name == "vl4ad"
    assert opened.provenance["threshold_rule"] == "otsu"
    assert "Using otsu" in opened.notices[0]
    method = VL4AD(ColourEncoder(), load_settings(overrides=asked))
    kept = Thresholds("colours", method.conditions(), 0.01, {GREENS.hash: {"vl4ad": 0.25}})
    path = tmp_path / "thresholds.json"
    path.write_text(kept.to_json())
    calibrated = load_settings(overrides={**asked, "thresholds": str(path)})
    opened = open_method(calibrated, GREENS, encoder=ColourEncoder())
    assert opened.provenance["threshold_rule"] == "calibrated"
    assert not opened.notices


def test_a_model_folder_may_hold_thresholds_of_one_method(tmp_path: Path, prompts: str) -> None:
    conditions = vl4ad(outlier_prompts=prompts).conditions()
    for name, value in (("thresholds.json", 0.1), ("thresholds.vl4ad.json", 0.25)):
        kept = Thresholds("colours", conditions, 0.01, {GREENS.hash: {"vl4ad": value}})
        (tmp_path / name).write_text(kept.to_json())
        encoder = ColourEncoder()
        encoder.folder = tmp_path  # type: ignore[attr-defined]
        settings = load_settings(overrides={"method": "vl4ad", "outlier_prompts": prompts})
        method = open_method(settings, GREENS, encoder=encoder).method
        assert isinstance(method, VL4AD)
        assert method.calibrated(GREENS) == value
    assert kept.mismatch({**conditions, "mask_decoder": "ab"}), "another form of the score"


@pytest.mark.parametrize("vocabulary", ["cityscapes", "camvid", "airside"])
def test_mini_is_calibrated_for_the_shipped_prompts(vocabulary: str) -> None:
    known = load_vocabulary(vocabulary)
    opened = open_method(load_settings(overrides={"method": "vl4ad"}), known)
    assert opened.provenance["threshold_rule"] == "calibrated"
    others = load_settings(overrides={"method": "vl4ad", "outlier_prompts": "none"})
    assert "other outlier prompts" in open_method(others, known).notices[-1]


def test_calibration_on_known_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompts: str) -> None:
    monkeypatch.setattr("clipomaly.methods.table.open_encoder", lambda *_: ColourEncoder())
    random = np.random.default_rng(3)
    for i in range(3):
        noise = random.integers(0, 40, (40, 48, 3)).astype(np.uint8)
        Image.fromarray(colour_picture("green", size=(40, 48)) // 2 + noise).save(tmp_path / f"{i}.png")
    vocabulary = tmp_path / "greens.toml"
    vocabulary.write_text('name = "greens"\n[[known]]\nname = "green"\n[[known]]\nname = "blue"\n')
    asked = {"method": "vl4ad", "outlier_prompts": prompts, "vocabulary": str(vocabulary)}
    out = tmp_path / "thresholds.json"
    run_calibrate(load_settings(overrides=asked), [str(p) for p in sorted(tmp_path.glob("*.png"))], 0.05, out)
    greens = load_vocabulary(vocabulary)
    method = VL4AD(ColourEncoder(), load_settings(overrides=asked), thresholds=load_thresholds(out))
    threshold = method.calibrated(greens)
    assert threshold is not None
    scores = np.concatenate([
        method.score_map(np.asarray(Image.open(p)), greens).ravel() for p in sorted(tmp_path.glob("*.png"))
    ])  # fmt: skip
    assert 0 < (scores > threshold).mean() <= 0.05


def test_it_runs_on_a_clip(tmp_path: Path) -> None:
    """A CLIP with random weights: odd sizes, the shipped prompts."""
    pytest.importorskip("torch")
    from clipomaly.encoders.random_weights import random_checkpoint

    settings = load_settings(overrides={"method": "vl4ad", "min_area": 1.0})
    encoder = load_encoder(random_checkpoint(tmp_path / "clip", "clip-tiny"), working_long_side=48)
    method = VL4AD(encoder, settings)
    random = np.random.default_rng(4)
    pictures = [
        random.integers(0, 256, (*size, 3)).astype(np.uint8) for size in ((31, 50), (64, 20), (31, 50))
    ]
    known = ("road", "flat"), ("pavement", "flat"), ("sky", "")
    check_method(method, pictures, Vocabulary("road", tuple(KnownClass(n, group=g) for n, g in known)))
