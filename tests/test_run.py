"""`./run` sets an environment up once, also when two are started at once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / "run"

#: Stands in for Python: makes "environments" that hold itself, and takes a second to "install".
_PYTHON = """#!/bin/sh
case "$*" in
"-m venv "*)
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    printf '#!/bin/sh\\necho "ran $*"\\n' >"$3/bin/clipomaly"
    chmod +x "$3/bin/clipomaly"
    ;;
"-m pip install "*)
    echo begin >>"$INSTALLS"
    sleep 1
    [ -z "${UNREACHABLE:-}" ] || exit 1
    echo end >>"$INSTALLS"
    ;;
esac
"""


def start(root: Path, **more: str) -> subprocess.Popen[str]:
    known = {"PATH": os.environ["PATH"], "PYTHON": str(root / "python"), "INSTALLS": str(root / "installs")}
    return subprocess.Popen(
        ["sh", str(root / "run"), "clipomaly", "models", "a b"],
        env=known | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "a checkout"
    folder.mkdir()
    shutil.copy(RUN, folder / "run")
    for name in ("pyproject.toml", "constraints.txt"):
        (folder / name).write_text("one\n")
    (folder / "python").write_text(_PYTHON)
    (folder / "python").chmod(0o755)
    return folder


@pytest.mark.skipif(not shutil.which("flock"), reason="without flock nothing waits")
def test_two_at_once_set_up_once(root: Path) -> None:
    both = [start(root), start(root)]
    said = [p.communicate(timeout=60) for p in both]
    assert [p.returncode for p in both] == [0, 0], said
    assert [out for out, _ in said] == ["ran models a b\n"] * 2
    assert (root / "installs").read_text().split() == ["begin", "end"]
    assert sum("setting up core" in error for _, error in said) == 1


def test_it_is_set_up_again_when_what_it_depends_on_changes_or_it_failed(root: Path) -> None:
    failed = start(root, UNREACHABLE="1")
    assert "is the package index reachable?" in failed.communicate(timeout=60)[1]
    assert failed.returncode == 1
    for text, installs in (("one\n", 3), ("one\n", 3), ("two\n", 5)):
        (root / "constraints.txt").write_text(text)
        done = start(root)
        assert done.communicate(timeout=60)[0] == "ran models a b\n"
        assert len((root / "installs").read_text().split()) == installs
