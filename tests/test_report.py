"""The report: whole, self-contained, and safe whatever the names are."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from clipomaly.config import Settings
from clipomaly.errors import DataError
from clipomaly.export.frames import FrameWriter
from clipomaly.export.report import build_report
from clipomaly.export.table import print_findings
from clipomaly.records import Candidate, Finding, Frame, Prediction, Region, Result
from clipomaly.vocabulary import KnownClass, Vocabulary

EVIL = "</script><script>alert('x')</script>\u2028<img src=x onerror=alert(1)>"
ROAD = Vocabulary("road", known=(KnownClass("road", color=(128, 64, 128)),))
PROVENANCE = {
    "run": Settings().id,
    "method": "clipomaly",
    "model": "mini",
    "model_hash": "abc",
    "version": "0",
}
SIZE = (48, 64)


def result(frame: str, findings: list[tuple[str | None, float]], score: float = 0.2) -> Result:
    regions = [
        Finding(
            Region((4 * i, 4, 3, 5), np.ones((5, 3), bool), s, SIZE),
            name,
            0.5 if name else float("nan"),
            (Candidate(name or "deer", "dictionary", 0.3, 0.02, 0),),
            "road",
            0.25,
        )
        for i, (name, s) in enumerate(findings)
    ]
    map_ = np.full(SIZE, score, np.float32)
    p = Prediction(
        map_, map_ > 0.5, np.zeros(SIZE, np.uint8), ("road",), 1, tuple(regions), 0.5, {"encode": 0.1}
    )
    image = np.full((*SIZE, 3), 120, np.uint8)
    return Result(Frame(image, name=frame, source=f"{frame}.png"), p, PROVENANCE)


def run(folder: Path, *results: Result, failures: tuple[tuple[str, str], ...] = ()) -> Path:
    with FrameWriter(folder, Settings(), ROAD, PROVENANCE) as writer:
        for r in results:
            writer.write(r)
        for name, reason in failures:
            writer.fail(name, f"{name}.png", reason)
    return folder


def data_of(report: Path) -> Any:
    """What a browser would parse: the element ends at the first `</script`."""
    [text] = re.findall(
        r'<script type="application/json" id="data">(.*?)</script', report.read_text("utf-8"), re.S
    )
    return json.loads(text)


def test_the_report_holds_every_frame_finding_and_failure(tmp_path: Path) -> None:
    run(
        tmp_path,
        result("a", [("moose", 0.7), (None, 0.6)]),
        result("sub/b", []),
        failures=(("c", "c.png is empty"),),
    )
    data = data_of(build_report(tmp_path))
    assert [f["name"] for f in data["frames"]] == ["a", "sub/b"]
    moose, unnamed = data["frames"][0]["findings"]
    assert (moose["name"], moose["confidence"], moose["score"], moose["area"]) == ("moose", 0.5, 0.7, 15)
    assert moose["candidates"] == [["moose", "dictionary", 0.3, 0.02]]
    assert moose["nearest"] == ["road", 0.25]
    assert (unnamed["name"], unnamed["confidence"]) == (None, None)
    assert data["run"]["failures"] == [{"frame": "c", "source": "c.png", "reason": "c.png is empty"}]
    assert data["run"]["provenance"] == PROVENANCE
    page = (tmp_path / "report.html").read_text()  # its legend holds unknown objects too
    assert "<summary>Colours</summary>" in page
    assert "Known classes" not in page
    for frame in data["frames"]:
        for file in frame["files"].values():
            assert (tmp_path / file).is_file(), file


def test_names_cannot_break_out_of_their_place(tmp_path: Path) -> None:
    report = build_report(
        run(tmp_path, result("a", [(EVIL, 0.7)]), failures=((EVIL.replace("/", "_"), EVIL),))
    )
    text = report.read_text("utf-8")
    assert text.count("<script") == 2  # the data and the page's own
    assert text.lower().count("</script") == 2
    assert "<img src=x" not in text
    assert data_of(report)["frames"][0]["findings"][0]["name"] == EVIL
    # Text reaches the page as text: nothing in it parses markup.
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)


def test_it_asks_nothing_of_the_network(tmp_path: Path) -> None:
    text = build_report(run(tmp_path, result("a", [("moose", 0.7)]))).read_text("utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|//cdn|@import|<link[^>]+href=\"(?!data:)|src=\"(?!data:)", text)


def test_thumbnails_are_small_and_go_to_the_highest_scores(tmp_path: Path) -> None:
    frames = [result(f"f{i}", [("moose", 0.1 * i)] if i else [], score=0.99) for i in range(6)]
    data = data_of(build_report(run(tmp_path, *frames), embed=2))
    assert [f["name"] for f in data["frames"] if f["thumbnail"]] == ["f4", "f5"]
    raw = base64.b64decode(data["frames"][5]["thumbnail"].removeprefix("data:image/jpeg;base64,"))
    picture = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] <= 480
    assert not any(f["thumbnail"] for f in data_of(build_report(tmp_path, embed=0))["frames"])


def test_pictures_that_are_gone_do_not_stop_the_report(tmp_path: Path) -> None:
    run(tmp_path, result("a", [("moose", 0.7)]), result("b", []))
    (tmp_path / "a.overlay.jpg").unlink()
    (tmp_path / ".preview" / "a.overlay.jpg").unlink()
    data = data_of(build_report(tmp_path))
    assert data["frames"][0]["thumbnail"] is None
    assert data["frames"][1]["thumbnail"].startswith("data:image/jpeg;base64,")


def test_a_run_without_frames_has_a_report(tmp_path: Path) -> None:
    data = data_of(build_report(run(tmp_path, failures=(("c", "c.png is empty"),))))
    assert data["frames"] == []
    with pytest.raises(DataError, match="cannot read"):
        build_report(tmp_path / "nothing")


class _Tags(HTMLParser):
    """Which tags a page has, and with which attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, set[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.setdefault(tag, set()).update(name for name, _ in attrs)


def test_a_browser_shows_it(tmp_path: Path) -> None:
    """The page itself, run: cards by score, the table of names, failures, and no script from a name."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium or google-chrome on this machine")
    run(
        tmp_path,
        result("low", [("moose", 0.3)]),
        result("high", [(EVIL, 0.9), ("moose", 0.2)]),
        result("none", []),
        failures=(("c", "c.png is empty"),),
    )
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=3000",
        "--dump-dom",
    ]
    command += [f"--user-data-dir={tmp_path / 'browser'}", build_report(tmp_path).as_uri()]
    try:
        page = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"the browser did not start: {error}")
    page = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert re.findall(r'class="caption"><strong>(.*?)</strong>', page) == ["high", "low", "none"]
    assert "3 frames, 3 findings, 3 named, 1 frame failed" in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    tags = _Tags()
    tags.feed(page)
    assert {"img", "li"} <= set(tags.seen)
    assert not [tag for tag, attributes in tags.seen.items() if any(a.startswith("on") for a in attributes)]
    assert "c.png is empty" in page
    [names] = re.findall(r'<tbody id="names">(.*?)</tbody>', page, flags=re.S)
    assert re.findall(r'class="num">(.*?)<', names) == ["2", "0.30", "1", "0.90"]


def test_findings_in_the_terminal(tmp_path: Path) -> None:
    run(
        tmp_path,
        result("a", [("moose", 0.7), (None, 0.6)]),
        result("b", []),
        result("[red]c", [("a[b]", 0.4)]),
    )
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_findings(tmp_path, console=console)
    text = console.export_text()
    assert re.search(r"a +■ moose +50 % +0\.70 +0\.49 % +road", text)
    assert re.search(r"■ unknown object +– +0\.60", text)
    assert re.search(r"b +nothing unknown", text)
    assert re.search(r"\[red\]c +■ a\[b\]", text)
    print_findings(tmp_path / "results.jsonl", limit=1, console=console)
    assert "and 2 more findings" in console.export_text()
