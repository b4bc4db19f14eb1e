"""How a rendering begins and ends: whose folder it is, mistakes that leave nothing, processes that end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clipomaly.cli import app
from clipomaly.errors import ConfigError, OutputError
from clipomaly.world import pack
from clipomaly.world.controls import parse_switches
from clipomaly.world.settings import PackSettings


@pytest.fixture
def no_renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "mitsuba", lambda: None)
    monkeypatch.setattr(pack, "each_done", lambda *_: iter(()))


@pytest.mark.usefixtures("no_renderer")
def test_a_folder_is_its_settings_and_others_are_told_what_differs(tmp_path: Path) -> None:
    out = tmp_path / "pack"
    pack.render_pack(PackSettings("road", "test", seed=41), 1, out)
    kept = (out / "pack.json").read_bytes()
    pack.render_pack(PackSettings("road", "test", seed=41), 5, out)  # more frames are the same pack
    other = PackSettings("road", "train", seed=42, size=(640, 360), switches=parse_switches(["rain=on"]))
    with pytest.raises(OutputError, match="other settings") as error:
        pack.render_pack(other, 1, out)
    for said in (
        "split test there, train now", "seed 41 there, 42 now", "size 1280, 720 there, 640, 360 now",
        "switches none there, rain=on now",
    ):  # fmt: skip
        assert said in str(error.value)
    assert "look" not in str(error.value)
    assert (out / "pack.json").read_bytes() == kept


@pytest.mark.usefixtures("no_renderer")
def test_switches_that_no_scene_can_have_leave_no_folder(tmp_path: Path) -> None:
    night = PackSettings("road", "test", seed=1, switches=parse_switches(["night=on", "shadows=on"]))
    with pytest.raises(ConfigError, match="no light shows night=on, shadows=on"):
        pack.render_pack(night, 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_renderer")
def test_a_file_and_a_foreign_folder_are_no_place_for_a_pack(tmp_path: Path) -> None:
    settings, file = PackSettings("road", "test", seed=1), tmp_path / "notes.md"
    file.write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.md is a file: choose a folder"):
        pack.render_pack(settings, 1, file)
    with pytest.raises(OutputError, match=r"not empty and holds no pack\.json"):
        pack.render_pack(settings, 1, tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "pack.json").write_text('{"domain"')
    with pytest.raises(OutputError, match="not JSON"):
        pack.render_pack(settings, 1, tmp_path / "broken")
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [(["--jobs", "0"], "--jobs"), (["--jobs", "-3"], "--jobs"), (["--seed", "-5"], "not -5")],
)
@pytest.mark.parametrize("command", [["render", "--frames", "1"], ["portraits", "--scenes", "1"]])
def test_numbers_out_of_range_are_refused_before_anything_begins(
    command: list[str], wrong: list[str], says: str, tmp_path: Path
) -> None:
    line = ["world", *command, "--domain", "road", "--out", str(tmp_path / "out"), *wrong]
    result = CliRunner().invoke(app, line)
    assert result.exit_code != 0
    assert says in result.output + str(result.exception)
    assert isinstance(result.exception, SystemExit | ConfigError)
    assert not (tmp_path / "out").exists()


_SCRIPT = """
import functools, os, pathlib, sys, time
from clipomaly.world.workers import each_done

def work(number, folder, seconds):
    if number == -1:
        raise RuntimeError("no such scene")
    if number == -2:
        os.kill(os.getpid(), 9)
    (pathlib.Path(folder) / f"{os.getpid()}-{number}").touch()
    time.sleep(seconds)
    return number

if __name__ == "__main__":
    folder, seconds, *numbers = sys.argv[1:]
    job = functools.partial(work, folder=folder, seconds=float(seconds))
    for number in each_done(job, [int(n) for n in numbers], jobs=2, begin=int):
        print(number, flush=True)
"""


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_processes_end_when_their_command_is_killed(tmp_path: Path) -> None:
    script, folder = tmp_path / "script.py", tmp_path / "began"
    script.write_text(_SCRIPT)
    folder.mkdir()
    command = subprocess.Popen([sys.executable, str(script), str(folder), "120", "1", "2"])
    try:
        until = time.monotonic() + 60
        while len(list(folder.iterdir())) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        workers = [int(p.name.partition("-")[0]) for p in folder.iterdir()]
        assert len(workers) == 2
        assert all(map(_alive, workers))
    finally:
        command.kill()
        command.wait()
    until = time.monotonic() + 20
    while any(map(_alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    left = [pid for pid in workers if _alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.mark.parametrize(
    ("first", "says"), [("-1", "no such scene"), ("-2", "ConfigError: a rendering process was ended")]
)
def test_an_error_in_one_process_leaves_what_has_not_begun(first: str, says: str, tmp_path: Path) -> None:
    script, folder = tmp_path / "script.py", tmp_path / "began"
    script.write_text(_SCRIPT)
    folder.mkdir()
    numbers = [first, *map(str, range(200))]
    command = [sys.executable, str(script), str(folder), "0.1", *numbers]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert says in done.stderr
    assert len(list(folder.iterdir())) < 100
