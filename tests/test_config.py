"""Settings: one definition for TOML and command line, checked, hashed."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipomaly.config import Settings, load_settings, setting_fields
from clipomaly.errors import ConfigError


def test_a_file_written_from_settings_reads_back_equal(tmp_path: Path) -> None:
    settings = load_settings(overrides={"score": "msp", "threshold": "0.3", "tile": 512, "names": "both"})
    path = tmp_path / "run.toml"
    path.write_text(settings.to_toml())
    assert load_settings(path) == settings
    assert load_settings(path).id == settings.id


def test_the_command_line_goes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[unknown]\nscore = "msp"\nthreshold = 0.25\n')
    settings = load_settings(path, {"score": "energy"})
    assert (settings.unknown.score, settings.unknown.threshold) == ("energy", "0.25")


def test_flag_names_are_unique_and_every_setting_has_help() -> None:
    rows = setting_fields()
    flags = [flag for flag, *_ in rows]
    assert len(set(flags)) == len(flags)
    assert all(f.metadata["help"].strip() for _, _, f, _ in rows)


def test_the_id_changes_with_any_value_and_with_nothing_else() -> None:
    assert Settings().id == load_settings().id
    changed = {
        load_settings(overrides=o).id
        for o in ({"cap": 3}, {"score": "msp"}, {"vocabulary": "camvid"}, {"model": "x"}, {"blend": 0.25})
    }
    assert len(changed | {Settings().id}) == 6


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('[unknown]\nscore = "magic"', "score 'magic' is not valid: use one of auto, entropy"),
        ("[unknown]\nscor = 1", "unknown setting [unknown] scor"),
        ("colour = 1", "unknown setting colour"),
        ("[naming]\ncap = -1", "cap must be at least 0"),
        ("[naming]\ncap = true", "cap must be int"),
        ('[unknown]\nthreshold = "much"', "threshold 'much' is not valid"),
        ("[unknown]\nthreshold = 2", "threshold '2' is not valid"),
        ("[unknown", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path: Path, toml: str, says: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(toml)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_settings(tmp_path / "nowhere.toml")
