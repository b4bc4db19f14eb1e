"""Clipomaly's three stages, on colours: what must come out can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clipomaly.errors import ConfigError
from clipomaly.methods.clipomaly import Clipomaly
from clipomaly.naming.choose import enter_names
from clipomaly.records import UNNAMED, Candidate, DenseFeatures
from clipomaly.segmenters.dense import DenseSegmenter
from clipomaly.segmenters.seam import NameBank, NameScores
from clipomaly.testing import COLOURS, ColourEncoder, check_method, colour_picture, colour_vocabulary
from clipomaly.thresholds import Thresholds


@pytest.fixture
def words(tmp_path: Path) -> str:
    path = tmp_path / "words.txt"
    path.write_text("\n".join([*COLOURS, "table", "chair", "ladder"]))
    return str(path)


VOCABULARY = colour_vocabulary("green", "blue")


def clipomaly(words: str, **overrides: object) -> Clipomaly:
    return Clipomaly(ColourEncoder(), ColourEncoder.settings(dictionary=words, tags=words, **overrides))


def test_an_unknown_box_is_found_and_named(words: str) -> None:
    picture = colour_picture("green", box="red", size=(96, 128))
    [p] = clipomaly(words).predict([picture], VOCABULARY)
    [finding] = p.findings
    assert finding.name == "red"
    assert finding.name_source == "dictionary"
    assert finding.nearest_known in VOCABULARY.names
    assert finding.candidates[0].margin > 0
    assert finding.confidence > 0.5
    truth = (picture == COLOURS["red"]).all(axis=2)
    overlap = (p.unknown & truth).sum() / (p.unknown | truth).sum()
    assert overlap > 0.75
    assert p.names == ("green", "blue", "red")
    assert p.labels[48, 64] == 2
    assert p.labels[5, 5] == 0
    assert p.score[48, 64] > p.score[5, 5]


def test_known_pictures_have_no_findings(words: str) -> None:
    for p in clipomaly(words).predict([colour_picture("green"), colour_picture("blue")], VOCABULARY):
        assert not p.findings
        assert not p.unknown.any()
        assert p.names == VOCABULARY.names


def test_without_names_a_region_stays_as_unknown_object(words: str) -> None:
    [p] = clipomaly(words, names="none").predict([colour_picture("green", box="red")], VOCABULARY)
    assert [f.label for f in p.findings] == [UNNAMED]
    assert p.names[-1] == UNNAMED
    assert p.unknown.any()


def test_a_margin_too_high_leaves_it_unnamed_with_its_runners_up(words: str) -> None:
    [p] = clipomaly(words, margin=1.9).predict([colour_picture("green", box="red")], VOCABULARY)
    [finding] = p.findings
    assert finding.name is None
    assert finding.candidates[0].name == "red"


def test_tags_are_named_as_the_source(words: str) -> None:
    [p] = clipomaly(words, names="tags").predict([colour_picture("green", box="red")], VOCABULARY)
    assert p.findings[0].name == "red"
    assert p.findings[0].name_source == "tags"


@pytest.mark.parametrize("embedding", ["auto", "pooled", "masked-crop", "context-crop", "mean", "zoom"])
def test_region_embeddings(tmp_path: Path, embedding: str) -> None:
    colours = tmp_path / "colours.txt"
    colours.write_text("\n".join(COLOURS))
    [p] = clipomaly(str(colours), embedding=embedding).predict(
        [colour_picture("green", box="red")], VOCABULARY
    )
    assert "red" in [c.name for c in p.findings[0].candidates]


@pytest.mark.parametrize("score", ["entropy", "msp", "max-logit", "energy", "max-similarity"])
def test_every_score_ranks_the_box_above_the_ground(words: str, score: str) -> None:
    method = clipomaly(words, score=score, threshold="otsu")
    [p] = method.predict([colour_picture("green", box="red")], VOCABULARY)
    assert p.score[48, 64] > p.score[5, 5]
    assert 0 <= p.score.min() <= p.score.max() <= 1


def test_the_gate_keeps_a_name_from_the_far_side(words: str) -> None:
    picture = colour_picture("green", size=(96, 256))
    picture[40:56, 16:40] = COLOURS["red"]
    picture[40:44, 232:236] = COLOURS["red"]  # too small for a region of its own
    [p] = clipomaly(words, min_area=100.0, gate=0.0).predict([picture], VOCABULARY)
    assert [f.name for f in p.findings] == ["red"]
    assert not (p.labels[:, 128:] == p.names.index("red")).any()


@pytest.mark.parametrize("refine", ["region", "won", "union"])
def test_names_are_on_the_labels_exactly_where_something_is_unknown(words: str, refine: str) -> None:
    rng = np.random.default_rng(3)
    colours = np.array([COLOURS[c] for c in ("green", "blue", "red", "yellow")], np.uint8)
    # Patches of random colours: names win pixels outside their regions as well as inside.
    picture = np.repeat(np.repeat(rng.choice(4, (12, 16), p=(0.5, 0.3, 0.1, 0.1)), 9, 0), 9, 1)
    method = clipomaly(words, min_area=60.0, merge=0.0, gate=0.2, refine=refine)
    [p] = method.predict([colours[picture]], VOCABULARY)
    assert p.findings
    assert ((p.labels >= p.n_known) == p.unknown).all()
    check_method(method, [colours[picture]], VOCABULARY)


def test_what_a_name_wins_of_its_region_is_within_it(words: str) -> None:
    picture = colour_picture("green", box="red", size=(96, 128))
    [plain] = clipomaly(words, names="none").predict([picture], VOCABULARY)
    [named] = clipomaly(words).predict([picture], VOCABULARY)
    assert named.findings[0].name == "red"
    assert (named.unknown == plain.unknown).all()
    [won] = clipomaly(words, refine="won").predict([picture], VOCABULARY)
    [union] = clipomaly(words, refine="union").predict([picture], VOCABULARY)
    assert not (won.unknown & ~plain.unknown).any()
    assert not (plain.unknown & ~union.unknown).any()


def test_a_segmenter_with_masks_of_its_own_draws_the_outline(words: str) -> None:
    picture = colour_picture("green", box="red", size=(96, 128))

    class Other:
        """Sees the thing in the left half of the picture alone."""

        name = "other"

        def segment(self, image: object, dense: DenseFeatures, names: NameBank) -> NameScores:
            found = DenseSegmenter(0.07).segment(picture, dense, names)
            scores = found.scores.copy()
            scores[:, scores.shape[1] // 2 :, 2:] = -1
            return NameScores(scores, found.extent, found.temperature)

    settings = ColourEncoder.settings(dictionary=words, tags=words)
    [dense] = Clipomaly(ColourEncoder(), settings).predict([picture], VOCABULARY)
    [other] = Clipomaly(ColourEncoder(), settings, segmenter=Other()).predict([picture], VOCABULARY)
    assert dense.unknown[:, 66:].any()
    assert other.unknown[:, :62].any()
    assert not other.unknown[:, 72:].any()


def test_neighbours_of_one_name_do_not_grow_into_each_other(words: str) -> None:
    picture = colour_picture("green", size=(96, 256))
    picture[32:64, 24:88] = picture[32:64, 152:216] = COLOURS["red"]
    method = clipomaly(words, min_area=100.0, gate=0.5, refine="union")
    [p] = method.predict([picture], VOCABULARY)
    assert [f.name for f in p.findings] == ["red", "red"]
    masks = [f.region.full_mask() for f in p.findings]
    assert not (masks[0] & masks[1]).any()
    assert ((masks[0] | masks[1]) == p.unknown).all()
    check_method(method, [picture], VOCABULARY)


def test_the_cap_and_the_blend(words: str) -> None:
    picture = colour_picture("green", box="red")
    picture[:24, :40] = COLOURS["magenta"]
    [free] = clipomaly(words).predict([picture], VOCABULARY)
    assert set(free.names[2:]) == {"red", "magenta"}
    [capped] = clipomaly(words, cap=1).predict([picture], VOCABULARY)
    assert len([n for n in capped.names[2:] if n != UNNAMED]) == 1
    msp = {"score": "msp", "threshold": "0.3"}  # entropy of two classes is 1 already, nothing could rise
    [stage1] = clipomaly(words, blend=0.0, **msp).predict([picture], VOCABULARY)
    [blended] = clipomaly(words, blend=1.0, **msp).predict([picture], VOCABULARY)
    assert (blended.score >= stage1.score - 1e-6).all()
    assert blended.score[48, 64] > stage1.score[48, 64]


def test_rejected_and_known_names_are_never_proposed(words: str) -> None:
    from dataclasses import replace

    from clipomaly.vocabulary import RejectedName

    vocabulary = replace(VOCABULARY, rejected=(RejectedName("red"),))
    [p] = clipomaly(words).predict([colour_picture("green", box="red")], vocabulary)
    proposed = {c.name for f in p.findings for c in f.candidates}
    assert not proposed & {"red", "green", "blue"}


def test_policies_differ_as_named() -> None:
    a, b, c = (
        Candidate(n, "dictionary", s, s - 0.3, i)
        for i, (n, s) in enumerate([("a", 0.9), ("b", 0.8), ("c", 0.1)])
    )
    regions = [[a, b, c]]
    enter = {"top_k": 2, "margin": 0.0, "cap": 16}
    assert set(enter_names(regions, policy="all", **enter)) == {"a", "b"}
    assert set(enter_names(regions, policy="clip-best", **enter)) == {"a"}
    assert set(enter_names(regions, policy="clip-top-k", **enter)) == {"a", "b"}


def test_a_calibrated_threshold_is_used_under_its_conditions_only(words: str) -> None:
    method = clipomaly(words, threshold="calibrated")
    with pytest.raises(ConfigError, match="clipomaly calibrate"):
        method.predict([colour_picture("green")], VOCABULARY)
    values = {VOCABULARY.hash: {"entropy": 0.123}}
    method.thresholds = Thresholds("colours", method.conditions(), 0.01, values)
    [p] = method.predict([colour_picture("green")], VOCABULARY)
    assert p.threshold == 0.123
    method.thresholds = Thresholds("colours", {**method.conditions(), "tile": 99}, 0.01, values)
    with pytest.raises(ConfigError, match="tile"):
        method.predict([colour_picture("green")], VOCABULARY)


def test_it_passes_the_checks_for_any_method(words: str) -> None:
    rng = np.random.default_rng(0)
    pictures = [
        colour_picture("green", box="red"),
        colour_picture("blue"),
        colour_picture("green", box="magenta", size=(37, 211)),
        rng.integers(0, 256, (65, 40, 3), np.uint8),
    ]
    check_method(clipomaly(words), pictures, VOCABULARY)


def test_kinds_of_known_things_are_no_candidates_but_listed_road_finds_are() -> None:
    from clipomaly.naming.dictionary import keep_words
    from clipomaly.vocabulary import load_vocabulary

    words = ("car", "cars", "fallen tree", "horse", "cable car", "shadow")
    far = np.eye(len(words) + 1, dtype=np.float32)
    keep = keep_words(words, far[1:], far[:1], load_vocabulary("cityscapes"), near_known=0.99)
    assert [w for w, k in zip(words, keep, strict=True) if k] == ["fallen tree", "horse"]
