"""Text banks, templates, synonyms, and the cache of text vectors."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from clipomaly.encoders import textcache
from clipomaly.encoders.folder import cache_folder, fingerprint_files
from clipomaly.encoders.prompts import TextBank, bank_of_names, bank_of_vocabulary, build_bank
from clipomaly.encoders.seam import EncoderSpec
from clipomaly.encoders.templates import fill_template
from clipomaly.errors import ConfigError
from clipomaly.vocabulary import KnownClass, Vocabulary


class HashEncoder:
    """A vector drawn from the text's hash; counts what it is asked."""

    def __init__(self, fingerprint="f1", templates=("a photo of a {}.", "{}"), folder=None):
        self.spec = EncoderSpec(
            name="hash",
            kind="clip",
            width=16,
            patch=8,
            image_size=(32, 32),
            working_long_side=64,
            mean=(0, 0, 0),
            std=(1, 1, 1),
            temperature=0.01,
            templates=templates,
            fingerprint=fingerprint,
        )
        self.folder = folder
        self.asked: list[str] = []

    def encode_images(self, images, *, least_side=None):
        raise AssertionError("text banks never need pictures")

    def encode_texts(self, texts):
        self.asked += texts
        return np.stack([self.vector(text) for text in texts])

    @staticmethod
    def vector(text):
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        vector = np.random.default_rng(seed).normal(size=16)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CLIPOMALY_CACHE", str(tmp_path / "cache"))


def unit(vector):
    return vector / np.linalg.norm(vector)


def ensemble(phrase, templates=("a photo of a {}.", "{}")):
    return unit(np.mean([HashEncoder.vector(t.replace("{}", phrase)) for t in templates], axis=0))


def test_phrases_are_template_ensembles_and_names_take_their_best_phrase():
    encoder = HashEncoder()
    bank = build_bank(encoder, {"car": ["car", "automobile"], "road": ["road"]})
    assert bank.names == ("car", "road")
    assert bank.owner.tolist() == [0, 0, 1]
    for row, phrase in enumerate(["car", "automobile", "road"]):
        np.testing.assert_allclose(bank.vectors[row], ensemble(phrase), atol=1e-6)
    patches = np.random.default_rng(0).normal(size=(3, 4, 16)).astype(np.float32)
    got = bank.similarity(patches)
    assert got.shape == (3, 4, 2)
    both = np.maximum(patches @ ensemble("car"), patches @ ensemble("automobile"))
    np.testing.assert_allclose(got[..., 0], both, atol=1e-5)
    np.testing.assert_allclose(got[..., 1], patches @ ensemble("road"), atol=1e-5)


def test_synonym_policies():
    words = {"car": ["car", "automobile"], "road": ["road"]}
    mean = build_bank(HashEncoder(), words, synonyms="mean")
    np.testing.assert_allclose(mean.vectors[0], unit(ensemble("car") + ensemble("automobile")), atol=1e-6)
    none = build_bank(HashEncoder(), words, synonyms="none")
    np.testing.assert_allclose(none.vectors, [ensemble("car"), ensemble("road")], atol=1e-6)
    with pytest.raises(ConfigError, match="max, mean, none"):
        build_bank(HashEncoder(), words, synonyms="median")


def test_templates_of_class_then_vocabulary_then_encoder():
    known = (KnownClass("road", templates=("the {} ahead",)), KnownClass("car"))
    named = bank_of_vocabulary(HashEncoder(), Vocabulary("v", known, templates=("one {}",)))
    np.testing.assert_allclose(named.vectors[0], ensemble("road", ("the {} ahead",)), atol=1e-6)
    np.testing.assert_allclose(named.vectors[1], ensemble("car", ("one {}",)), atol=1e-6)
    plain = bank_of_vocabulary(HashEncoder(), Vocabulary("v", known))
    np.testing.assert_allclose(plain.vectors[1], ensemble("car"), atol=1e-6)


def test_articles():
    assert fill_template("there is {a} here", "umbrella") == "there is an umbrella here"
    assert fill_template("there is {a} here", "cone") == "there is a cone here"
    assert fill_template("the {}", "cone") == "the cone"


def test_subset_and_concat_keep_vectors_with_their_names():
    bank = build_bank(HashEncoder(), {"car": ["car", "auto"], "road": ["road"], "sky": ["sky", "air"]})
    some = bank.subset(["sky", "car"])
    assert some.names == ("sky", "car")
    np.testing.assert_array_equal(some.vectors, bank.vectors[[3, 4, 0, 1]])
    assert bank.subset([2, 0]).names == some.names
    joined = bank.subset(["road"]).concat(some)
    probe = np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)
    np.testing.assert_allclose(joined.similarity(probe), bank.similarity(probe)[:, [1, 2, 0]], atol=1e-6)
    assert bank.subset([]).similarity(probe).shape == (5, 0)
    with pytest.raises(ValueError, match="distinct"):
        bank.concat(some)


@pytest.mark.parametrize(
    ("names", "owner", "scale", "message"),
    [
        (("a", "b"), [1, 0], 1.0, "sorted"),
        (("a", "b"), [0, 0], 1.0, "every name"),
        (("a", "a"), [0, 1], 1.0, "distinct"),
        (("a", "b"), [0, 1], 2.0, "unit length"),
    ],
)
def test_banks_check_themselves(names, owner, scale, message):
    with pytest.raises(ValueError, match=message):
        TextBank(names, scale * np.eye(2, 4, dtype=np.float32), np.array(owner))


def test_vectors_are_made_once_and_read_from_disk(tmp_path):
    words = ["cone", "crate", "cone crate"]
    first = bank_of_names(HashEncoder(), words)
    again = HashEncoder()
    np.testing.assert_array_equal(bank_of_names(again, words).vectors, first.vectors)
    assert again.asked == []
    others = HashEncoder(fingerprint="f2"), HashEncoder(templates=("{}",))
    for other in others:
        bank_of_names(other, words)
        assert other.asked, "another model or template must not read these vectors"
    assert not list((tmp_path / "cache").rglob("*.tmp"))


@pytest.mark.parametrize("damage", [b"", b"not numpy", "short", "zeros"])
def test_damaged_cache_files_are_made_again(tmp_path, damage):
    words = ["cone", "crate"]
    first = bank_of_names(HashEncoder(), words)
    [path] = (tmp_path / "cache").rglob("*.npy")
    if damage == "short":
        path.write_bytes(path.read_bytes()[:-7])
    elif damage == "zeros":
        np.save(path, np.zeros((2, 16), np.float32))
    else:
        path.write_bytes(damage)
    encoder = HashEncoder()
    np.testing.assert_array_equal(bank_of_names(encoder, words).vectors, first.vectors)
    assert encoder.asked
    repaired = HashEncoder()
    bank_of_names(repaired, words)
    assert repaired.asked == []


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("CLIPOMALY_CACHE", str(blocked))
    bank = bank_of_names(HashEncoder(), ["cone"])
    np.testing.assert_allclose(bank.vectors[0], ensemble("cone"), atol=1e-6)


def test_cache_can_be_off(tmp_path):
    bank_of_names(HashEncoder(), ["cone"], cache=False)
    assert not (tmp_path / "cache").exists()


def test_shipped_vectors_come_first_and_only_for_their_own_model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    path = textcache.build_shipped(HashEncoder(folder=folder), ["cone", "crate", "cone"])
    assert path.parent == folder
    encoder = HashEncoder(folder=folder)
    bank = bank_of_names(encoder, ["crate", "pallet", "cone"])
    assert sorted(encoder.asked) == ["a photo of a pallet.", "pallet"]
    for row, word in enumerate(bank.names):
        assert np.abs(bank.vectors[row] - ensemble(word)).max() < 1e-3  # shipped as float16
    changed = HashEncoder(fingerprint="f2", folder=folder)
    bank_of_names(changed, ["crate"])
    assert changed.asked, "vectors of other weights must not be used"
    path.write_bytes(path.read_bytes()[:40])
    damaged = HashEncoder(folder=folder)
    np.testing.assert_allclose(
        bank_of_names(damaged, ["crate"], cache=False).vectors[0], ensemble("crate"), atol=1e-6
    )


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("CLIPOMALY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "clipomaly"


def test_fingerprints_follow_the_bytes_even_of_large_files(monkeypatch, tmp_path):
    monkeypatch.setattr("clipomaly.encoders.folder._LARGE", 10)
    file = tmp_path / "weights"
    file.write_bytes(b"a" * 100)
    first = fingerprint_files([file], "vanilla")
    assert list((tmp_path / "cache" / "digests").iterdir())
    assert fingerprint_files([file], "vanilla") == first
    assert fingerprint_files([file], "sclip") != first
    file.write_bytes(b"a" * 99 + b"b")
    assert fingerprint_files([file], "vanilla") != first
