"""Names that are guesses look like guesses wherever people look, and records keep them as they are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from clipomaly.commands.segment import Output, run_segment
from clipomaly.config import Settings, load_settings
from clipomaly.encoders.load import MINI_FOLDER
from clipomaly.export.frames import FrameWriter
from clipomaly.export.overlay import render_overlays
from clipomaly.export.report import build_report
from clipomaly.export.results import read_results
from clipomaly.export.table import print_findings
from clipomaly.methods.table import open_method
from clipomaly.records import Candidate, Finding, Frame, Prediction, Region, Result
from clipomaly.testing import ColourEncoder, colour_vocabulary
from clipomaly.vocabulary import KnownClass, Vocabulary

ROAD = Vocabulary("road", known=(KnownClass("road", color=(128, 64, 128)),))
SIZE = (240, 640)
SURE = {"run": Settings().id, "method": "clipomaly", "model": "m", "model_hash": "abc", "version": "0"}
GUESSED = {**SURE, "names": "guesses"}


def result(provenance: dict[str, str]) -> Result:
    names = (Candidate("moose", "dictionary", 0.3, 0.02, 0), Candidate("deer", "dictionary", 0.2, 0.01, 1))
    boxes = ((40, 60, 80, 60), (300, 60, 80, 60))
    regions = [Region(box, np.ones((60, 80), bool), 0.75, SIZE) for box in boxes]
    findings = (
        Finding(regions[0], "moose", 0.94, names, "road", 0.25),
        Finding(regions[1], None, float("nan")),
    )
    score = np.full(SIZE, 0.2, np.float32)
    labels = np.zeros(SIZE, np.uint8)
    prediction = Prediction(score, score > 0.5, labels, ("road",), 1, findings, 0.5)
    return Result(Frame(np.full((*SIZE, 3), 120, np.uint8), "a"), prediction, provenance)


def written(folder: Path, provenance: dict[str, str]) -> Path:
    with FrameWriter(folder, Settings(), ROAD, provenance) as writer:
        writer.write(result(provenance))
    return folder


def test_the_model_s_folder_says_so_and_others_do_not() -> None:
    encoder = ColourEncoder()
    settings = load_settings(overrides={"threshold": "0.5"})
    vocabulary = colour_vocabulary("green")
    assert "names" not in open_method(settings, vocabulary, encoder=encoder).provenance
    encoder.spec = replace(encoder.spec, extra={"names": "guesses"})
    assert open_method(settings, vocabulary, encoder=encoder).provenance["names"] == "guesses"


def test_records_keep_name_and_figures(tmp_path: Path) -> None:
    rows = [next(read_results(written(tmp_path / n, p))) for n, p in (("sure", SURE), ("guessed", GUESSED))]
    assert rows[0]["findings"] == rows[1]["findings"]
    assert rows[1]["findings"][0]["name"] == "moose"
    assert rows[1]["findings"][0]["confidence"] == 0.94
    assert rows[1]["provenance"]["names"] == "guesses"
    assert json.loads((tmp_path / "guessed" / "run.json").read_text())["provenance"]["names"] == "guesses"


def test_overlay_and_thumbnail_show_no_percentage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from clipomaly.export import overlay

    said: list[str] = []
    cover = overlay.text_coverage
    monkeypatch.setattr(overlay, "text_coverage", lambda text, size: said.append(text) or cover(text, size))
    frame = result(SURE)
    render_overlays(frame.frame.image, frame.prediction, [(1, 2, 3)])
    assert set(said) == {"moose 94 %", "unknown object"}
    said.clear()
    written(tmp_path, GUESSED)  # the whole way, from the provenance on
    assert sorted(said) == ["moose?", "moose?", "unknown object", "unknown object"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_in_the_terminal(tmp_path: Path, width: int) -> None:
    written(tmp_path, GUESSED)
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_findings(tmp_path, console=console)
    text = console.export_text()
    assert re.search(r"■ moose\? +0\.75 +3\.12 % +road", text)
    assert "94" not in text
    assert "confidence" not in text
    assert "guesses of the model" in text


def page_of(folder: Path) -> str:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium or google-chrome on this machine")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000"]
    command += ["--dump-dom", f"--user-data-dir={folder / 'browser'}", build_report(folder).as_uri()]
    try:
        page = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"the browser did not start: {error}")
    return re.sub(r"<script.*?</script>", "", page, flags=re.S)


def test_the_report(tmp_path: Path) -> None:
    page = page_of(written(tmp_path, GUESSED))
    assert "1 frame, 2 findings; their names are guesses" in page
    assert re.search(r'<p class="status" id="guesses">Names with a question mark are guesses', page)
    assert ">moose?<" in page
    assert ">moose<" not in page
    assert "94 %" not in page


def test_the_report_of_another_model_is_as_before(tmp_path: Path) -> None:
    page = page_of(written(tmp_path, SURE))
    assert "1 frame, 2 findings, 1 named" in page
    assert '<p class="status" id="guesses" hidden="">' in page
    assert ">moose<" in page
    assert "94 %" in page


def test_the_report_of_a_method_without_names_counts_none(tmp_path: Path) -> None:
    named = result({**SURE, "method": "energy"})
    findings = tuple(Finding(f.region, None, float("nan")) for f in named.prediction.findings)
    with FrameWriter(tmp_path, Settings(), ROAD, named.provenance) as writer:
        writer.write(replace(named, prediction=replace(named.prediction, findings=findings)))
    page = page_of(tmp_path)
    assert "1 frame, 2 findings<" in page
    assert '<h2 id="names-title">Findings</h2>' in page


def test_segment_counts_no_guesses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    model = Path(shutil.copytree(MINI_FOLDER, tmp_path / "model"))
    spec = json.loads((model / "encoder.json").read_text())
    for names, says in (("guesses", r"2?\d findings?; (their|its) names? (are|is a) guess"), (None, "named")):
        spec["extra"].pop("names", None)
        spec["extra"] |= {"names": names} if names else {}
        (model / "encoder.json").write_text(json.dumps(spec))
        noise = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
        Image.fromarray(noise).resize((160, 90)).save(tmp_path / "a.png")
        settings = load_settings(
            overrides={"model": str(model), "threshold": "percentile", "percentile": 80.0, "margin": -1.0}
        )
        run_segment(settings, [str(tmp_path / "a.png")], Output(tmp_path / "out", "replace"))
        told = capsys.readouterr().err
        assert re.search(says, told), told
        assert ("of them named" in told) == (names is None)
    nameless = load_settings(overrides={"method": "energy", "threshold": "percentile", "percentile": 80.0})
    run_segment(nameless, [str(tmp_path / "a.png")], Output(tmp_path / "out", "replace"))
    assert "named" not in capsys.readouterr().err  # a method that never names has none to count


def test_the_store_tells_the_review_app_until_people_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lancedb", reason="needs the extra [store]")
    from clipomaly.commands.run import StoredRun
    from clipomaly.review.wire import finding_row
    from clipomaly.store.catalogue import Catalogue
    from clipomaly.store.decisions import Decision, Decisions
    from clipomaly.store.mining import propose
    from clipomaly.store.results import ResultStore
    from clipomaly.store.synthetic import synthetic_store

    store = synthetic_store(tmp_path / "store", 24, width=16, centres=3)
    decisions = Decisions.open("sqlite://")
    before = Catalogue(store, decisions)
    assert not any(before.row(i)["guess"] for i in before.query())

    kept: list[StoredRun] = [replace(run, names="guesses") for run in store.runs()]
    monkeypatch.setattr(ResultStore, "runs", lambda self: kept)
    catalogue = Catalogue(store, decisions)
    rows = [catalogue.row(i) for i in catalogue.query()]
    named = [r for r in rows if r["name"] != "unknown object"]
    assert named
    assert all(finding_row(r)["label"] == f"{r['name']}?" for r in named)
    assert all(finding_row(r)["name"] == r["name"] for r in named)
    assert all(finding_row(r)["label"] == r["name"] for r in rows if r not in named)
    reasons = [p.reason for p in propose(catalogue, 6)]
    assert not [r for r in reasons if re.search(r'perhaps "[^"]*" \(', r)]
    first, second = named[0]["id"], named[1]["id"]
    decisions.append(Decision("ada", "confirm", (first,)))
    decisions.append(Decision("ada", "rename", (second,), name="wheel chock"))
    catalogue.refresh()
    assert finding_row(catalogue.row(first))["label"] == named[0]["name"]
    assert finding_row(catalogue.row(second))["label"] == "wheel chock"


def test_names_of_a_store_are_guesses_until_people_speak_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lancedb", reason="needs the extra [store]")
    pytest.importorskip("starlette", reason="needs the extra [review]")
    from clipomaly.commands.run import StoredRun
    from clipomaly.commands.stores import show_store
    from clipomaly.commands.taxonomy import show_taxonomy
    from clipomaly.review.desk import Desk
    from clipomaly.review.names import NameDesk
    from clipomaly.review.statistics import Statistics
    from clipomaly.store.decisions import Decision, Decisions, decisions_url
    from clipomaly.store.results import ResultStore
    from clipomaly.store.synthetic import synthetic_store
    from clipomaly.store.taxonomy import Rules, Taxonomy

    folder = tmp_path / "store"
    store = synthetic_store(folder, 60, width=16, centres=6)
    kept: list[StoredRun] = store.runs()
    monkeypatch.setattr(ResultStore, "runs", lambda self: kept)
    decisions = Decisions.open(decisions_url(folder))

    def shown() -> set[str]:
        """The names' labels, alike on both pages and in both commands."""
        desk = Desk(ResultStore.open(folder), decisions)
        page = NameDesk(desk, ROAD).overview()
        labels = {e["name"]: e["label"] for e in (*page["candidates"], *page["approved"])}
        runs = {n["name"]: n["label"] for n in Statistics(desk).overview()["names"] if not n["unnamed"]}
        assert runs == {n: labels[n] for n in runs}
        show_store(str(folder), None, False)
        told = capsys.readouterr().out
        assert all(re.search(rf"^{re.escape(label)} +\d+ *$", told, re.M) for label in runs.values()), told
        show_taxonomy(Taxonomy(ROAD, desk.catalogue, decisions), Rules(), None, None, False)
        told = capsys.readouterr().out
        assert all(re.search(rf"^{re.escape(label)} +(cand|appr)", told, re.M) for label in labels.values())
        return set(runs.values())

    plain = shown()
    assert len(plain) >= 5
    assert not [name for name in plain if name.endswith("?")]
    kept[:] = [replace(run, names="guesses") for run in kept]
    assert shown() == {f"{name}?" for name in plain}

    catalogue = Desk(ResultStore.open(folder), decisions).catalogue
    a, b, c, d, *_ = sorted(plain)
    bears = {n: [i for i in catalogue.query() if catalogue.name_of(i) == n] for n in plain}
    decisions.append(Decision("ada", "confirm", (bears[a][0],)))
    decisions.append(Decision("ada", "rename", (bears[a][1],), name=b))
    decisions.append(Decision("ada", "promote", name=c, data={"forced": True}))
    decisions.append(Decision("ada", "reject", (bears[d][0],), reason="shadow"))
    assert shown() == {a, b, c, *(f"{name}?" for name in plain - {a, b, c})}
