"""A method of somebody else's: named by module and factory, it runs, is measured and complains like ours."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score
from typer.testing import CliRunner

from clipomaly.cli import app
from clipomaly.config import load_settings
from clipomaly.errors import ClipomalyError, ConfigError
from clipomaly.evaluate.run import open_methods, open_subject, operating_rule
from clipomaly.methods.table import Opened, fitted_for, open_method, unread
from clipomaly.testing import ColourEncoder, check_method, colour_picture, colour_vocabulary

PAGE = Path(__file__).resolve().parent.parent / "docs" / "methods" / "your-own.md"
GREENS = colour_vocabulary("green", "blue")
LINES = 40
"""The example is no longer than this."""

PLAIN = """
import numpy as np
from clipomaly.config import Settings
from clipomaly.methods.unnamed import unnamed_prediction
from clipomaly.methods.table import Opened

class Plain:
    name = "Plain: red (v1)"
    def predict(self, images, vocabulary):
        scores = [i[..., 0].astype(np.float32) / 255 for i in images]
        return [unnamed_prediction(s, None, vocabulary, Settings(), 0.5, {}) for s in scores]

class Again(Plain):
    pass

class Centre(Plain):
    name = "centre"

def centre():
    return Centre()

def nameless(settings):
    made = Plain()
    made.name = None
    return made

def told(vocabulary, settings, depth=3):
    return Opened(Plain(), {"depth": str(depth), "words": vocabulary.name}, ("look twice",))

def greedy(settings, depth):
    return Plain()

def forgetful():
    Plain()

def itself():
    return Plain

def wrong():
    return np.zeros(3)

seven = 7
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with methods in it, which leaves nothing behind in this process."""
    monkeypatch.chdir(tmp_path)
    # As under the console script: the working directory is not where modules are looked for.
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    (tmp_path / "plain_methods.py").write_text(PLAIN)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def opened(method: str) -> Opened:
    return open_method(ColourEncoder.settings(method=method), GREENS, encoder=ColourEncoder())


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def page_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.S)


@pytest.fixture
def example(folder: Path) -> Path:
    """The page's method and its test, as files."""
    method, test = page_blocks()
    (folder / "my_method.py").write_text(method)
    (folder / "test_my_method.py").write_text(test)
    return folder


def test_the_example_of_the_page_passes_its_own_test_and_ours(example: Path) -> None:
    assert len(page_blocks()[0].splitlines()) <= LINES
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=example,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    method = opened("my_method:FarFromMedian").method
    pictures = [colour_picture("green", box="red"), colour_picture("blue", size=(33, 71))]
    check_method(method, pictures, GREENS)


def test_the_command_line_finds_it_in_the_working_directory(example: Path) -> None:
    Image.fromarray(colour_picture("green", box="magenta")).save(example / "photo.png")
    line = ["segment", "photo.png", "--method", "my_method:FarFromMedian", "--out", "results"]
    # -P keeps the working directory out of the path, as the console script does.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "clipomaly", *line], cwd=example, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    row = json.loads((example / "results" / "results.jsonl").read_text())
    told = row["provenance"]
    assert (told["method"], told["factory"]) == ("far-from-median", "my_method:FarFromMedian")
    assert told["model"] == "mini"
    assert row["findings"]
    with open(example / "my_method.py", "a") as file:
        file.write("# changed\n")
    again = subprocess.run(
        [sys.executable, "-P", "-m", "clipomaly", *line, "--resume"],
        cwd=example,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 1
    assert "another method hash" in again.stderr


def masks(folder: Path) -> Path:
    for name, box in (("a", "red"), ("b", "blue")):
        for kind in ("images", "labels_masks"):
            (folder / "set" / kind).mkdir(parents=True, exist_ok=True)
        picture = colour_picture("green", box=box, size=(60, 90))
        Image.fromarray(picture).save(folder / "set" / "images" / f"{name}.png")
        anomaly = (picture != picture[0, 0]).any(axis=2).astype(np.uint8)
        Image.fromarray(anomaly).save(folder / "set" / "labels_masks" / f"{name}.png")
    return folder / "set"


def test_one_table_beside_ours(folder: Path) -> None:
    line = ["evaluate", "anomaly-track", "--root", masks(folder), "--out", "out"]
    shown = run(*line, "--methods", "centre,plain_methods:Plain")
    assert "Plain-red-v1" in shown
    table = json.loads((folder / "out" / "metrics.json").read_text())
    own = table["methods"]["Plain-red-v1"]
    assert own["factory"] == own["settings"]["method"] == "plain_methods:Plain"
    assert own["locked"]["rule"] == "own"
    assert not own["locked"]["fixed"]
    assert (folder / "out" / "Plain-red-v1" / "report.html").is_file()
    assert {d["method"] for d in table["differences"]} == {"Plain-red-v1"}
    pictures = [np.asarray(Image.open(p)) for p in sorted((folder / "set" / "images").iterdir())]
    truth = [np.asarray(Image.open(p)) for p in sorted((folder / "set" / "labels_masks").iterdir())]
    redness = np.concatenate([p[..., 0].ravel() for p in pictures])
    assert own["ap"] == pytest.approx(average_precision_score(np.concatenate(truth).ravel(), redness))
    assert "a rule of its own" in (folder / "out" / "report.html").read_text()
    run(*line, "--methods", "centre,plain_methods:Plain", "--resume")
    (folder / "plain_methods.py").write_text(f"{PLAIN}# changed\n")
    with pytest.raises(ClipomalyError, match="another method hash"):
        run(*line, "--methods", "centre,plain_methods:Plain", "--resume")


def test_names_are_its_own_and_distinct(folder: Path) -> None:
    assert opened("plain_methods:told").provenance["method"] == "Plain-red-v1"
    # A class derived from ours may have inherited our name: then the factory's serves.
    assert opened("plain_methods:Centre").provenance["method"] == "Centre"
    with pytest.raises(ConfigError, match="is called centre, as one of ours is"):
        opened("plain_methods:centre")
    with pytest.raises(ConfigError, match=r"plain_methods:Plain and plain_methods:Again are both called"):
        open_methods(
            load_settings(),
            ["plain_methods:Plain", "plain_methods:Again"],
            open_subject("anomaly-track", masks(folder)),
        )


def test_it_takes_what_it_names_and_opens_no_encoder_unasked(folder: Path) -> None:
    settings = ColourEncoder.settings(method="plain_methods:told", model="no-such-model")
    found = open_method(settings, GREENS)  # the model is not there, and nobody misses it
    assert found.provenance["depth"] == "3"
    assert found.provenance["words"] == GREENS.name
    assert found.notices == ("look twice",)
    assert found.encoder is None
    assert "model" not in found.provenance
    (folder / "lazy_method.py").write_text(
        "from plain_methods import Plain\n\n"
        "class Lazy(Plain):\n    name = 'lazy'\n    def __init__(self, encoder):\n"
        "        self.eyes = encoder()\n        assert self.eyes is encoder()\n"
    )
    eyes = ColourEncoder()
    seen = open_method(ColourEncoder.settings(method="lazy_method:Lazy"), GREENS, encoder=eyes)
    assert seen.encoder is eyes
    assert seen.provenance["model"] == "colours"
    assert unread(load_settings(overrides={"method": "plain_methods:Plain", "fitted": "mine.bin"})) == ()
    assert fitted_for("plain_methods:Plain=mine.bin,knn=a.npz", "plain_methods:Plain") == "mine.bin"


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("nowhere_at_all:Mine", "there is no module nowhere_at_all, neither installed nor in .*PYTHONPATH"),
        ("plain_methods.deeper:Mine", "there is no module plain_methods.deeper"),
        ("plain_methods:Plane", r"plain_methods.py has no Plane; it has .*Plain.*told"),
        ("plain_methods.py:Plain", "write plain_methods:Plain"),
        ("./sub/plain.py:Plain", r"write sub\.plain:Plain"),
        ("plain_methods:", "is no package.module:factory"),
        (":Plain", "is no package.module:factory"),
        ("plain_methods:seven", "is of type int: name a class, or a function"),
        ("plain_methods:greedy", "asks for depth: it can have settings, vocabulary, encoder"),
        ("plain_methods:forgetful", "returned nothing: let it return its method"),
        ("plain_methods:itself", "returned the class Plain itself"),
        ("plain_methods:wrong", r"of type ndarray\) is no method: it lacks `name`, a text and `predict\("),
        ("plain_methods:nameless", r"is no method: it lacks `name`, a text;"),
        ("needs_more:Mine", "module needs_more needs torch_of_tomorrow, which is not installed"),
        ("plain", r"unknown method 'plain': use one of clipomaly, .*package\.module:factory"),
    ],
)
def test_mistakes_say_the_fix(folder: Path, method: str, says: str) -> None:
    (folder / "needs_more.py").write_text("import torch_of_tomorrow\n")
    with pytest.raises(ConfigError, match=says):
        opened(method)


def test_its_own_errors_are_not_hidden(folder: Path) -> None:
    (folder / "broken_method.py").write_text("def make():\n    raise KeyError('my own')\n")
    with pytest.raises(KeyError, match="my own"):
        opened("broken_method:make")


def test_no_code_runs_unless_it_is_asked_for(folder: Path) -> None:
    path = list(sys.path)
    opened("max-logit")
    assert sys.path == path
    assert "plain_methods" not in sys.modules


def test_a_store_knows_it_by_name_and_by_its_code(folder: Path) -> None:
    pytest.importorskip("lancedb", reason="the store needs the extra [store]")
    from clipomaly.commands.run import run_into_store
    from clipomaly.store.results import ResultStore

    Image.fromarray(colour_picture("green", box="red")).save(folder / "photo.png")
    settings = ColourEncoder.settings(method="plain_methods:Plain")

    def stored() -> str:
        return run_into_store(settings, ["photo.png"], "kept", encoder=ColourEncoder(), vocabulary=GREENS).run

    first = stored()
    assert stored() == first
    (folder / "plain_methods.py").write_text(f"{PLAIN}# changed\n")
    second = stored()
    assert second != first
    runs = {r.id: r for r in ResultStore.open("kept").runs()}
    assert {first, second} == set(runs)
    assert {r.method for r in runs.values()} == {"Plain-red-v1"}


CALIBRATED = """
from clipomaly.methods.unnamed import frame_threshold, unnamed_prediction
from clipomaly.thresholds import load_thresholds
import numpy as np

class Red:
    name = "red"
    def __init__(self, settings):
        self.settings = settings
        given = settings.unknown.thresholds
        self.thresholds = None if given is None else load_thresholds(given)
    def conditions(self):
        return {"channel": 0}
    def calibrated(self, vocabulary):
        return self.thresholds and self.thresholds.find(vocabulary.hash, self.name, self.conditions())
    def score_map(self, image, vocabulary):
        return image[..., 0].astype(np.float32) / 255
    def predict(self, images, vocabulary):
        return [self.one(self.score_map(i, vocabulary), vocabulary) for i in images]
    def one(self, score, vocabulary):
        cut = frame_threshold(score, self.settings.unknown, self.calibrated(vocabulary), "none")
        return unnamed_prediction(score, None, vocabulary, self.settings, cut, {})
"""


def test_it_can_be_calibrated(folder: Path) -> None:
    (folder / "red_method.py").write_text(CALIBRATED)
    frame = np.full((60, 90, 3), 20, np.uint8)
    frame[:30, :, 0] = 40
    (folder / "ordinary").mkdir()
    Image.fromarray(frame).save(folder / "ordinary" / "a.png")
    line = ["calibrate", "--frames", "ordinary", "--out", "cuts/red_method-Red.json", "--no-sheet"]
    (folder / "cuts").mkdir()
    run(*line, "--method", "red_method:Red")
    with pytest.raises(ConfigError, match="give it score_map and conditions"):
        run(*line, "--method", "plain_methods:Plain")
    subject = open_subject("anomaly-track", masks(folder))
    [pipeline] = open_methods(load_settings(overrides={"thresholds": "cuts"}), ["red_method:Red"], subject)
    rule = operating_rule(pipeline)
    assert (rule["rule"], rule["fixed"]) == ("calibrated", True)
    assert rule["threshold"] == pytest.approx(40 / 255, abs=1e-6)


def test_the_list_of_methods_says_how_to_bring_one() -> None:
    shown = run("methods")
    assert "module:factory" in shown
    assert "docs/methods/your-own.md" in shown
