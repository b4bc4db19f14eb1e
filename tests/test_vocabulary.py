"""Vocabularies: known, candidate and rejected names strictly apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipomaly.errors import VocabularyError
from clipomaly.vocabulary import list_vocabularies, load_vocabulary

SMALL = """
name = "yard"
[[known]]
name = "road"
synonyms = ["asphalt"]
[[known]]
name = "car"
color = [1, 2, 3]
[[candidate]]
name = "shopping cart"
[[rejected]]
name = "shadow"
reason = "shadow"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_a_small_file_is_enough(tmp_path: Path) -> None:
    v = load_vocabulary(write(tmp_path, SMALL))
    assert v.names == ("road", "car")
    assert v.palette[1] == (1, 2, 3)
    assert [c.name for c in v.candidates] == ["shopping cart"]
    assert v.rejected_names == {"shadow"}
    assert v.index("Asphalt") == 0
    assert v.index("shopping cart") is None


def test_candidates_and_rejected_names_never_become_known(tmp_path: Path) -> None:
    v = load_vocabulary(write(tmp_path, SMALL))
    assert not {c.name for c in v.candidates} & set(v.names)
    assert not v.rejected_names & set(v.names)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('name = "car"', 'name = "Road"'), "stands twice"),
        (('name = "car"', 'name = "asphalt"'), "stands twice"),
        (('name = "shadow"', 'name = "car"'), "stands twice"),
        (('name = "car"', 'name = "  "'), "empty name"),
        (('synonyms = ["asphalt"]', 'synonyms = [""]'), "empty name"),
        (('synonyms = ["asphalt"]', 'synonyms = "asphalt"'), "must be a list of strings"),
        (("color = [1, 2, 3]", "color = [1, 2, 300]"), "color of 'car'"),
        (("color = [1, 2, 3]", "colour = [1, 2, 3]"), "unknown key 'colour'"),
        (("color = [1, 2, 3]", 'templates = ["a photo"]'), "must contain {} exactly once"),
        (('name = "yard"', 'name = "My Yard"'), "not valid"),
        (('name = "yard"', 'name = "yard"\nschema = 9'), "schema 9"),
        (('[[candidate]]\nname = "shopping cart"', 'candidate = ["a"]'), "own [[candidate]] table"),
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    assert change[0] in SMALL
    text = SMALL.replace(*change)
    if "candidate = " in text:  # a key of the top table has to stand before the first table
        text = 'candidate = ["a"]\n' + text.replace('candidate = ["a"]', "")
    with pytest.raises(VocabularyError) as caught:
        load_vocabulary(write(tmp_path, text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_known_class_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="no known class"):
        load_vocabulary(write(tmp_path, 'name = "empty"\n'))


def test_unknown_names_list_what_there_is() -> None:
    with pytest.raises(VocabularyError, match="airside, camvid, cityscapes"):
        load_vocabulary("cityscape")
    with pytest.raises(VocabularyError):
        load_vocabulary("../secrets")
    with pytest.raises(
        VocabularyError, match=r"none\.toml \(No such file or directory\): give a TOML file, or"
    ):
        load_vocabulary("none.toml")


def test_the_hash_follows_content(tmp_path: Path) -> None:
    a = load_vocabulary(write(tmp_path, SMALL)).hash
    assert a == load_vocabulary(write(tmp_path, SMALL + "\n# a comment\n")).hash
    assert a != load_vocabulary(write(tmp_path, SMALL.replace("asphalt", "tarmac"))).hash


@pytest.mark.parametrize(("name", "count"), [("cityscapes", 19), ("camvid", 11)])
def test_shipped_sizes(name: str, count: int) -> None:
    assert len(load_vocabulary(name).known) == count


def test_every_shipped_vocabulary_opens() -> None:
    for name in list_vocabularies():
        v = load_vocabulary(name)
        assert v.name == name
        assert v.title
