"""What `--help` shows is what was written: defaults stand there, and nothing is swallowed as markup."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.text import Text
from typer.testing import CliRunner

from clipomaly.cli import app
from clipomaly.cli.settings import SETTINGS_PAGE
from clipomaly.config import setting_fields
from clipomaly.errors import MissingExtra
from clipomaly.evaluate.figures import FIGURES


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    yield " ".join(path), command
    for name, sub in getattr(command, "commands", {}).items():
        yield from _commands(sub, (*path, name))


COMMANDS = dict(_commands(typer.main.get_command(app)))


def test_no_help_is_read_as_markup() -> None:
    texts = [(name, c.help or "") for name, c in COMMANDS.items()]
    texts += [
        (f"{name} {p.name}", getattr(p, "help", None) or "") for name, c in COMMANDS.items() for p in c.params
    ]
    assert len(texts) > 300
    for where, text in texts:
        assert Text.from_markup(text).plain == text.replace("\\[", "["), where


@pytest.mark.parametrize("command", ["segment", "calibrate", "fit", "evaluate", "run"])
def test_shared_options_show_their_defaults(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 0
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.output).split())
    helps = {p.name: Text.from_markup(p.help or "").plain for p in COMMANDS[command].params}
    for flag, _, f, _ in setting_fields():
        default = "" if f.default is None else f"[default: {f.default}]"
        assert helps[flag].endswith(default)
        assert ("[default:" in helps[flag]) == bool(default)
    for told in ("[default: cityscapes]", "[default: 0.7]", SETTINGS_PAGE):
        assert told in shown


def test_the_file_of_rules_names_its_table() -> None:
    done = CliRunner().invoke(app, ["taxonomy", "promote", "--help"], env={"COLUMNS": "200"})
    assert "[promotion]" in done.output


def test_an_extra_is_installed_from_the_checkout() -> None:
    told = str(MissingExtra("lancedb", "store", "keeping results in a store"))
    assert 'pip install ".[store]"' in told
    assert "./run dev" in told
    assert "clipomaly[" not in told, "the package is on no index"


@pytest.mark.parametrize(
    "command", ["export-encoder mini", "export-anomalyclip mini", "export-tagger ram-plus"]
)
def test_an_export_without_torch_says_what_to_install(command: str, tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from clipomaly.cli import main; main()"
    line = [sys.executable, "-c", code, *command.split(), "--out", str(tmp_path / "out")]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "torch; in the checkout: ./run dev" in done.stderr


def test_every_figure_says_what_it_is_in() -> None:
    assert all(bool(f.unit) != f.percent for f in FIGURES)
