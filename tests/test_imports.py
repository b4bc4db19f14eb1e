"""Import is free: nothing heavy is loaded until it is used."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "transformers",
    "onnxruntime",
    "cv2",
    "PIL",
    "matplotlib",
    "ray",
    "nicegui",
    "lancedb",
    "av",
)
LISTING = "import sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"


def loaded_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{LISTING}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import clipomaly",
        "import clipomaly.cli",
        "import clipomaly.encoders, clipomaly.methods, clipomaly.naming, clipomaly.export, clipomaly.data",
        "from typer.testing import CliRunner\n"
        "from clipomaly.cli import app\n"
        "r = CliRunner().invoke(app, ['--help'])\nassert r.exit_code == 0 and 'segment' in r.output",
        "from typer.testing import CliRunner\n"
        "from clipomaly.cli import app\n"
        "r = CliRunner().invoke(app, ['segment', '--help'])\n"
        "assert r.exit_code == 0 and '--score' in r.output",
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert not loaded_after(code) & set(HEAVY)


def test_the_run_time_core_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'safetensors', 'huggingface_hub', 'onnx', 'scipy'):\n"
        "    sys.modules[name] = None\n"
        "import clipomaly.pipeline, clipomaly.cli, clipomaly.commands.segment, clipomaly.commands.demo\n"
        "import clipomaly.commands.calibrate, clipomaly.encoders.onnx, clipomaly.methods.table\n"
    )
    assert "clipomaly" in loaded_after(code)


def test_help_is_quick() -> None:
    """Within ten times an empty Python aimed at, twenty allowed: processor time, the best of five of each."""

    def best(*arguments: str) -> float:
        times = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(times)

    empty, help_ = best("-c", "pass"), best("-m", "clipomaly", "--help")
    assert help_ < 20 * empty, f"--help takes {help_:.3f} s, an empty Python {empty:.3f} s"
