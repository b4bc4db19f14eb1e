"""The governed vocabulary: evidence, rules, decisions about names, the file, and the next run."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lancedb", reason='stores need the extra: pip install ".[store]"')

from PIL import Image
from typer.testing import CliRunner

from clipomaly.cli import app
from clipomaly.commands.run import run_into_store
from clipomaly.commands.stores import open_catalogue
from clipomaly.commands.taxonomy import open_taxonomy
from clipomaly.errors import ConfigError, StoreError
from clipomaly.methods.calibrated import why_uncalibrated
from clipomaly.records import UNNAMED
from clipomaly.store.catalogue import Catalogue, FindingFilter
from clipomaly.store.decisions import Decision, Decisions
from clipomaly.store.evidence import gather_evidence
from clipomaly.store.results import ResultStore
from clipomaly.store.synthetic import synthetic_store
from clipomaly.store.taxonomy import Rules, Taxonomy, load_rules
from clipomaly.store.taxonomy_file import diff, read_version, write_taxonomy
from clipomaly.testing import ColourEncoder, colour_picture, colour_vocabulary
from clipomaly.thresholds import Thresholds
from clipomaly.vocabulary import (
    CandidateName,
    KnownClass,
    RejectedName,
    Vocabulary,
    load_vocabulary,
    normalise_name,
)

BASE = Vocabulary(
    "yard",
    (KnownClass("road", ("tarmac",)), KnownClass("baggage cart", ("cart",))),
    candidates=(CandidateName("gull", "human"),),
    rejected=(RejectedName("puddle", "reflection"),),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    return synthetic_store(tmp_path_factory.mktemp("made") / "store", 1_200, width=16)


@pytest.fixture
def catalogue(store: ResultStore) -> Catalogue:
    return Catalogue(store, Decisions.open("sqlite://"))


@pytest.fixture
def taxonomy(catalogue: Catalogue) -> Taxonomy:
    return Taxonomy(BASE, catalogue, catalogue.decisions)


def confirm(taxonomy: Taxonomy, name: str, count: int, who: str = "ada") -> list[str]:
    """Confirm findings of this name in that many different frames."""
    chosen: dict[str, str] = {}
    for finding in taxonomy.catalogue.query(FindingFilter(name=name), order="id"):
        chosen.setdefault(taxonomy.catalogue.row(finding)["frame"], finding)
    ids = list(chosen.values())[:count]
    taxonomy.decisions.append(Decision(who, "confirm", tuple(ids)))
    taxonomy.look()
    return ids


def test_evidence_is_what_counting_by_hand_says(taxonomy: Taxonomy) -> None:
    catalogue = taxonomy.catalogue
    ids = catalogue.query(order="id")
    taxonomy.decisions.append(Decision("ada", "confirm", tuple(ids[::5])))
    taxonomy.decisions.append(Decision("bob", "confirm", tuple(ids[::15])))
    taxonomy.decisions.append(Decision("bob", "reject", tuple(ids[1::6]), reason="marking"))
    taxonomy.decisions.append(Decision("bob", "rename", tuple(ids[2::40]), name="Zebra"))
    taxonomy.decisions.append(Decision("bob", "merge_names", name="fox", other="deer"))
    catalogue.refresh()
    evidence = gather_evidence(catalogue)
    rows = [r for r in (catalogue.row(i) for i in ids) if r["status"] not in ("rejected", "ignored", "split")]
    names = {normalise_name(r["name"]) for r in rows} - {UNNAMED}
    assert set(evidence) == names
    assert "fox" not in names
    for name in names:
        own = [r for r in rows if normalise_name(r["name"]) == name]
        sure = [r for r in own if r["status"] == "confirmed"]
        e = evidence[name]
        assert e.findings == len(own)
        assert e.frames == len({r["frame"] for r in own})
        assert e.places == len({r["place"] for r in own})
        assert e.days == len({int(r["time"] // 86_400) for r in own})
        assert (e.confirmed, e.confirmed_frames) == (len(sure), len({r["frame"] for r in sure}))
        people: set[str] = set()
        for r in sure:
            people |= catalogue.state(r["id"]).confirmers
        assert set(e.confirmers) == people
    assert evidence["zebra"].sources == ("human",)
    assert evidence["deer"].sources == ("dictionary",)


def test_a_candidate_becomes_known_only_by_the_rules_or_by_force(taxonomy: Taxonomy) -> None:
    assert taxonomy.entry("deer").status == "candidate"
    rules = Rules(min_frames=3, min_confirmers=2)
    with pytest.raises(StoreError, match=r"confirmed in 0 frames of at least 3.*--force"):
        taxonomy.promote("deer", "ada", rules)
    ids = confirm(taxonomy, "deer", 3)
    with pytest.raises(StoreError, match="by 1 person of at least 2"):
        taxonomy.promote("Deer", "ada", rules)
    assert taxonomy.version == 1, "what was refused is not recorded"
    taxonomy.decisions.append(Decision("bob", "confirm", (ids[0],)))
    taxonomy.look()
    done = taxonomy.promote(" Deer ", "ada", rules, synonyms=["roe deer"], group="animal")
    assert done.data["forced"] is False
    assert done.data["evidence"]["confirmed_frames"] == 3
    assert (taxonomy.entry("deer").status, taxonomy.entry("deer").by) == ("approved", "ada")
    known = taxonomy.vocabulary().known[-1]
    assert (known.name, known.synonyms, known.group) == ("deer", ("roe deer",), "animal")
    with pytest.raises(StoreError, match="known class already"):
        taxonomy.promote("deer", "bob")
    forced = taxonomy.promote("kite", "eve", rules, force=True)
    assert forced.data["forced"] is True
    assert len(forced.data["unmet"]) == 2
    assert taxonomy.entry("kite").forced
    assert taxonomy.version == 3
    taxonomy.undo("kite", "eve")
    assert taxonomy.entry("kite").status == "candidate"
    assert taxonomy.version == 4, "undoing is a change too"


def test_rejected_names_stay_rejected(taxonomy: Taxonomy) -> None:
    taxonomy.reject("rope", "ada", "marking")
    for refused in ("rope", "puddle"):
        with pytest.raises(StoreError, match="stays so"):
            taxonomy.promote(refused, "bob", force=True)
    confirm(taxonomy, "rope", 5)
    assert taxonomy.entry("rope").status == "rejected", "new findings do not bring it back"
    assert [r.name for r in taxonomy.vocabulary().rejected] == ["rope", "puddle"]
    assert "rope" not in [c.name for c in taxonomy.vocabulary().candidates]
    taxonomy.undo("rope", "ada")
    assert taxonomy.entry("rope").status == "candidate"
    taxonomy.promote("rope", "bob", Rules(min_frames=1))
    taxonomy.reject("rope", "bob", "other", "too vague")
    assert taxonomy.entry("rope").status == "rejected", "the latest decision holds"


def test_undo_says_what_was_undone(tmp_path: Path) -> None:
    uri = str(tmp_path / "store")
    synthetic_store(uri, 40, width=8)

    def told(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["taxonomy", *arguments, "--store", uri])
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    base = tmp_path / "base.toml"
    base.write_text('name = "yard"\n[[known]]\nname = "road"\n')
    more = ["--vocabulary", str(base), "--who", "ada"]
    [name] = [n for n in open_taxonomy(uri, None, str(base)).entries if n != "road"][:1]
    assert told("reject", name, "--reason", "shadow", *more).startswith(f"reject {name} (shadow), by ada")
    said = told("undo", name, "--vocabulary", str(base), "--who", "bob")
    assert said.startswith(f"undo: reject {name} (shadow) (by ada, 20")
    assert f"by bob; version 3 {name} is a candidate name now" in said
    assert f"bob undo: reject {name} (shadow) (by ada" in told("show", name, "--vocabulary", str(base))


def test_merging(taxonomy: Taxonomy) -> None:
    deer, fox = taxonomy.entry("deer").evidence, taxonomy.entry("fox").evidence
    taxonomy.merge("fox", "deer", "ada")
    both = taxonomy.entry("deer")
    assert both.evidence.findings == deer.findings + fox.findings
    assert both.aliases == ("fox",)
    assert taxonomy.entry("fox").status == "merged"
    taxonomy.merge("boar", "baggage cart", "ada")  # into a known class: a wording of it
    cart = taxonomy.vocabulary().known[1]
    assert cart.synonyms == ("cart", "boar")
    taxonomy.promote("deer", "ada", Rules(0, 0, 0, 0))
    assert taxonomy.vocabulary().known[-1].synonyms == ("fox",)
    taxonomy.vocabulary()  # and it is valid: no name stands twice
    for what, told in (
        (lambda: taxonomy.merge("road", "deer", "ada"), "cannot be merged"),
        (lambda: taxonomy.merge("kite", "fox", "ada"), "merged"),
        (lambda: taxonomy.merge("kite", "puddle", "ada"), "rejected"),
        (lambda: taxonomy.merge("kite", "Kite", "ada"), "one name already"),
        (lambda: taxonomy.merge("kite", "nobody said this", "ada"), "check the spelling"),
        (lambda: taxonomy.reject("road", "ada", "other"), "remove it there"),
        (lambda: taxonomy.reject("fox", "ada", "other"), "merged"),
        (lambda: taxonomy.promote("fox", "ada", force=True), "promote that one"),
        (lambda: taxonomy.promote("tarmac", "ada", force=True), "known class already"),
        (lambda: taxonomy.promote("kite", "ada", force=True, synonyms=["road"]), "cannot be promoted"),
        (lambda: taxonomy.undo("gull", "ada"), "nothing was decided"),
    ):
        before = taxonomy.decisions.count()
        with pytest.raises(StoreError, match=told):
            what()
        assert taxonomy.decisions.count() == before


def test_the_file_reads_back_and_says_its_history(taxonomy: Taxonomy, tmp_path: Path) -> None:
    taxonomy.promote("deer", 'Ada "the\\judge" \x7f', Rules(0, 0, 0, 0))
    taxonomy.merge("fox", "deer", "bob")
    taxonomy.reject("rope", "bob", "shadow", comment="ü\nline")
    taxonomy.undo("rope", "eve")
    taxonomy.promote("kite", "eve", force=True)
    path = tmp_path / "v.toml"
    vocabulary = write_taxonomy(taxonomy, path, "yard-2")
    assert load_vocabulary(path) == vocabulary
    assert vocabulary.index("fox") == vocabulary.names.index("deer")
    table = tomllib.loads(path.read_text("utf-8"))
    assert (table["version"], table["hash"]) == (6, vocabulary.hash)
    assert read_version(path) == 6
    changes = table["change"]
    assert [(c["version"], c["kind"], c["name"]) for c in changes] == [
        (2, "promote", "deer"), (3, "merge_names", "fox"), (4, "reject_name", "rope"),
        (5, "undo reject_name", "rope"), (6, "promote", "kite"),
    ]  # fmt: skip
    assert changes[0]["who"] == 'Ada "the\\judge" \x7f'
    assert changes[4]["forced"] is True
    assert changes[4]["unmet"] == [
        "confirmed in 0 frames of at least 3",
        "confirmed by 0 persons of at least 1",
    ]
    assert "findings" in changes[0]["evidence"]
    told = [str(d) for d in diff(BASE, vocabulary)]
    assert "added deer (known)" in told
    assert "added kite (known)" in told
    assert all("road" not in line for line in told)
    again = tmp_path / "again.toml"
    write_taxonomy(taxonomy, again, "yard-2")
    assert again.read_bytes() == path.read_bytes()


def test_rules_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "taxonomy.toml"
    path.write_text("[promotion]\nmin_frames = 5\nmin_days = 2\n")
    assert load_rules(path) == Rules(min_frames=5, min_days=2)
    assert load_rules(None) == Rules()
    for text, told in (
        ("[promotion]\nmin_frame = 5", "unknown rule"),
        ("[promotion]\nmin_frames = -1", "whole number"),
        ("[promotion]\nmin_frames = true", "whole number"),
        ("nonsense", "cannot read"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=told):
            load_rules(path)


def test_a_promoted_name_is_known_in_the_next_run(tmp_path: Path) -> None:
    """From finding to taxonomy and back: run, confirm, promote, export, run again with the file."""
    folder, uri, file = tmp_path / "pictures", tmp_path / "store", tmp_path / "next.toml"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(colour_picture("green", box="red", size=(96, 128 + 8 * i))).save(folder / f"{i}.png")
    Image.fromarray(colour_picture("green", box="magenta")).save(folder / "3.png")
    words = tmp_path / "words.txt"
    words.write_text("red\nmagenta\n")
    settings = ColourEncoder.settings(names="dictionary", dictionary=str(words))

    def run(vocabulary: Vocabulary) -> tuple[str, list[str]]:
        done = run_into_store(
            settings, [str(folder)], str(uri), encoder=ColourEncoder(), vocabulary=vocabulary
        )
        store = ResultStore.open(uri)
        return done.run, [f.label for frame in store.frames(done.run) for f in store.findings_of(frame.id)]

    base = colour_vocabulary("green", "blue")
    first, names = run(base)
    assert names == ["red", "red", "red", "magenta"]
    catalogue = open_catalogue(str(uri), None)
    catalogue.decisions.append(Decision("ada", "confirm", tuple(catalogue.query(FindingFilter(name="red")))))
    line = CliRunner()

    def call(*arguments: str, code: int = 0) -> str:
        done = line.invoke(app, ["taxonomy", *arguments, "--store", str(uri)])
        assert done.exit_code == code, done.output
        return done.output if code == 0 else str(done.exception)

    assert "not ready" in call("promote", "magenta", "--who", "ada", code=1)
    call("promote", "red", "--who", "ada")
    call("reject", "magenta", "--reason", "marking", "--who", "ada")
    call("export", "--out", str(file))
    assert load_vocabulary(file).name == f"{base.name}-v3"
    assert "already" in call("export", "--out", str(file), code=1)
    shown = json.loads(call("show", "--json"))
    assert {n["name"]: n["status"] for n in shown["names"]} == {
        "green": "known", "blue": "known", "red": "approved", "magenta": "rejected",
    }  # fmt: skip
    assert "promote red" in call("show", "red")
    assert call("diff", str(file)) == "no difference\n"
    call("undo", "magenta", "--who", "ada")
    assert call("diff", str(file)) == "status of magenta: rejected → candidate\n"
    call("reject", "magenta", "--reason", "marking", "--who", "ada")
    call("export", "--out", str(file), "--overwrite")
    assert read_version(file) == 5
    vocabulary = load_vocabulary(file)
    shown = json.loads(call("show", "--json"))
    assert (vocabulary.name, vocabulary.hash) == (f"{base.name}-v5", shown["hash"])
    assert (shown["vocabulary"], shown["exported"]) == (base.name, vocabulary.name)
    told = why_uncalibrated(Thresholds("m", {}, 0.01, {}), {}, vocabulary, "a score", "clipomaly calibrate")
    assert f"none was measured for vocabulary {base.name}-v5 as" in told
    second, names = run(vocabulary)
    assert second != first
    assert "red" not in names, "it is no longer unknown"
    assert "magenta" not in names, "a rejected name is not proposed again"
    result = ResultStore.open(uri)
    assert [r.vocabulary for r in result.runs()] == [base.name, f"{base.name}-v5"]
    assert f"{base.name}-v5 " in line.invoke(app, ["stores", "show", str(uri)]).output
    assert len(result.frames(second)) == 4
    # Both runs saw the same pictures, and the evidence counts each once.
    taxonomy = open_taxonomy(str(uri), None, None)
    assert taxonomy.entry("red").evidence.frames == 3
    assert np.isfinite(taxonomy.entry("red").at or np.nan)
