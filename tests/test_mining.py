"""Mining: search, near duplicates, clusters with names, and what to review next."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lancedb", reason='stores need the extra: pip install ".[store]"')

from PIL import Image
from typer.testing import CliRunner

import clipomaly.store.mining as mining_module
import clipomaly.store.vectors as vectors_module
from clipomaly.cli import app
from clipomaly.commands.export import run_export, run_import
from clipomaly.commands.run import Intake, run_into_store
from clipomaly.commands.search import run_search
from clipomaly.commands.stores import filter_from, import_decisions, open_catalogue, write_results
from clipomaly.errors import StoreError
from clipomaly.store.catalogue import Catalogue, FindingFilter
from clipomaly.store.clusters import dp_means, near_duplicates
from clipomaly.store.decisions import Decision, Decisions
from clipomaly.store.mining import UNDECIDED, group_matches, propose, search, undecided_clusters
from clipomaly.store.results import ResultStore
from clipomaly.store.synthetic import SYNTHETIC_NAMES, clustered_vectors, synthetic_store
from clipomaly.store.vectors import Listing
from clipomaly.testing import ColourEncoder, colour_picture, colour_vocabulary


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    folder = tmp_path_factory.mktemp("made") / "store"
    return synthetic_store(folder, 3_000, width=32, centres=25, pictures=3)


@pytest.fixture
def catalogue(store: ResultStore) -> Catalogue:
    return Catalogue(store, Decisions.open("sqlite://"))


def exact(store: ResultStore, query: np.ndarray, allowed: set[str] | None) -> list[str]:
    ids, matrix = store.space().load()
    order = np.argsort(-(matrix @ query), kind="stable")
    return [str(ids[i]) for i in order if allowed is None or ids[i] in allowed]


def test_search_is_the_order_of_cosines_among_what_the_filter_allows(catalogue: Catalogue) -> None:
    query = catalogue.store.finding(catalogue.query(limit=1)[0]).embedding
    assert query is not None
    for where in (
        None,
        FindingFilter(name="deer"),
        FindingFilter(min_score=0.3),
        FindingFilter(status="split"),
    ):
        allowed = None if where is None else set(catalogue.query(where))
        found = search(catalogue, query, where, limit=15)
        assert [m.finding for m in found] == exact(catalogue.store, query, allowed)[:15]
        assert [m.similarity for m in found] == sorted((m.similarity for m in found), reverse=True)
    first = search(catalogue, query, limit=1)[0].finding
    assert search(catalogue, query, limit=3, leave_out=[first])[0].finding != first
    with pytest.raises(StoreError, match="another model"):
        search(catalogue, np.ones(7, np.float32))


def test_an_index_finds_what_comparing_everything_finds(tmp_path: Path) -> None:
    store = synthetic_store(tmp_path / "store", 12_000, width=32, centres=60)
    space = store.space()
    queries, _ = clustered_vectors(20, 32, 60, seed=5)
    wanted = [{i for i, _ in space.nearest(q, 10)} for q in queries]
    space.memory = 0
    assert not space.in_memory
    unindexed = [{i for i, _ in space.nearest(q, 10)} for q in queries[:3]]
    assert unindexed == wanted[:3], "without an index Lance compares everything"
    space.build_index()
    assert space.is_indexed
    found = [{i for i, _ in space.nearest(q, 10)} for q in queries]
    recall = np.mean([len(a & b) / 10 for a, b in zip(wanted, found, strict=True)])
    assert recall > 0.9
    allowed = set(map(str, space.load()[0][:6_000]))
    few = space.nearest(queries[0], 5, allowed)
    assert len(few) == 5
    assert {i for i, _ in few} <= allowed


@pytest.mark.parametrize("indexed", [False, True])
def test_searching_among_some_without_vectors_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indexed: bool
) -> None:
    """Few are fetched by their rows, of many the index is asked, else all is read: the same answers."""
    store = synthetic_store(tmp_path / "store", 12_000, width=32, centres=60)
    catalogue = Catalogue(store, Decisions.open("sqlite://"))
    space = store.space()
    queries, _ = clustered_vectors(4, 32, 60, seed=5)
    far, near = FindingFilter(name="deer"), FindingFilter(min_score=0.5)
    wanted = [[m.finding for m in search(catalogue, q, w, limit=9)] for q in queries for w in (far, near)]
    ids = catalogue.query(near, limit=700, order="id")
    have, vectors = space.vectors(ids)
    space.memory = 0
    if indexed:
        space.build_index()
    assert isinstance(space.held(), Listing)
    again, same = space.vectors(ids)
    assert again.tolist() == have.tolist()
    assert np.array_equal(same, vectors)
    # rows that were moved together since they were listed are found by their ids
    stale = Listing(space.listing().ids, np.roll(space.listing().rows, 1))
    assert np.array_equal(space._fetch(stale, np.arange(50)), space._fetch(space.listing(), np.arange(50)))
    for exact_up_to, most in ((50_000, 2_000), (0, 2_000), (0, 10)):
        monkeypatch.setattr(vectors_module, "_EXACT_UP_TO", exact_up_to)
        monkeypatch.setattr(vectors_module, "_WANTED", most)
        found = [[m.finding for m in search(catalogue, q, w, limit=9)] for q in queries for w in (far, near)]
        for one, other in zip(found, wanted, strict=True):
            assert one == other if not indexed or most == 10 or exact_up_to else len({*one} & {*other}) >= 7
    # large stores weigh only the most uncertain and hazardous: before any review the first is the same
    [first] = propose(catalogue, 1)
    monkeypatch.setattr(mining_module, "_MOST_WEIGHED", 500)
    assert [p.finding for p in propose(catalogue, 1)] == [first.finding]


def test_near_duplicates_are_what_all_pairs_connect() -> None:
    rng = np.random.default_rng(0)
    base = rng.standard_normal((150, 16)).astype(np.float32)
    many = np.concatenate([base, base[:60] + 0.02 * rng.standard_normal((60, 16)), base[:10]]).astype(
        np.float32
    )
    many = many[rng.permutation(len(many))]
    many /= np.linalg.norm(many, axis=1, keepdims=True)
    group = near_duplicates(many, 0.97)
    near = many @ many.T >= 0.97
    reach = near.copy()
    for _ in range(8):
        reach = reach @ reach
    assert np.array_equal(reach, group[:, None] == group[None])
    assert group[0] == 0
    large, _ = clustered_vectors(6_000, 16, 40, seed=3)
    twice = np.concatenate([large, large])
    group = near_duplicates(twice, 0.9999)
    assert (group[:6_000] == group[6_000:]).all(), "copies are found across the partition too"
    assert near_duplicates(many[:0]).tolist() == []


def test_clusters_are_found_again_and_named_by_their_members(catalogue: Catalogue) -> None:
    vectors, owner = clustered_vectors(800, 64, 6, seed=1, spread=0.5)
    found = dp_means(vectors, 0.5)
    assert found.max() == 5
    for cluster in range(6):
        assert len(set(owner[found == cluster])) == 1
    clusters = undecided_clusters(catalogue)
    assert clusters
    sizes = [len(c.findings) for c in clusters]
    assert sizes == sorted(sizes, reverse=True)
    members = [f for c in clusters for f in c.findings]
    assert len(set(members)) == len(members)
    undecided = catalogue.query(FindingFilter(status=("open", "assigned")))
    assert set(members) <= set(undecided)
    assert {catalogue.row(f)["found_name"] for f in members} - {"unknown object"}, "named by a model too"
    nameless = undecided_clusters(catalogue, replace(UNDECIDED, name="unknown object"))
    assert {catalogue.name_of(f) for c in nameless for f in c.findings} == {"unknown object"}
    for cluster in clusters[:10]:
        votes = [c.candidates[0].name for c in catalogue.store.findings(list(cluster.findings))]
        assert cluster.names[0][0] == max(sorted(set(votes)), key=votes.count)
        assert cluster.names[0][0] in SYNTHETIC_NAMES


def test_proposals_prefer_what_is_new_large_uncertain_and_different(catalogue: Catalogue) -> None:
    proposals = propose(catalogue, 20)
    assert len(proposals) == 20
    assert len({p.frame for p in proposals}) == 20
    values = [p.value for p in proposals]
    assert values == sorted(values, reverse=True)
    for p in proposals:
        assert p.value == pytest.approx(p.uncertainty * p.novelty * p.hazard * p.diversity, rel=1e-5)
        assert catalogue.row(p.finding)["frame"] == p.frame
        assert "nothing was reviewed yet" in p.reason
    # Reviewing everything of one kind makes it less new.
    kind = catalogue.row(proposals[0].finding)["found_name"]
    look_alikes = [
        m.finding
        for m in search(catalogue, catalogue.store.finding(proposals[0].finding).embedding, limit=200)
    ]
    catalogue.decisions.append(Decision("ada", "confirm", tuple(look_alikes)))
    catalogue.refresh()
    after = propose(catalogue, 20)
    assert not {p.finding for p in after} & set(look_alikes)
    assert all("nearest" in p.reason for p in after), kind
    assert propose(catalogue, 5, FindingFilter(status="split")) == []
    still_open = {catalogue.row(i)["frame"] for i in catalogue.query(FindingFilter(status="open"))}
    assert {p.frame for p in propose(catalogue, 10_000)} == still_open


def test_diversity_keeps_copies_apart(tmp_path: Path) -> None:
    """Of a thing seen in many frames one is proposed, then another thing."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(4):
        Image.fromarray(colour_picture("green", box="red", size=(96, 128 + 8 * i))).save(folder / f"a{i}.png")
    Image.fromarray(colour_picture("green", box="magenta")).save(folder / "b.png")
    fill(folder, tmp_path / "store")
    catalogue = open_catalogue(str(tmp_path / "store"), None)
    first, second, *_ = propose(catalogue, 3)
    assert {catalogue.name_of(first.finding), catalogue.name_of(second.finding)} == {"red", "magenta"}
    matches = search(catalogue, ColourEncoder().encode_texts(["red"])[0], limit=10)
    grouped = group_matches(catalogue, matches, 0.99)
    assert [len(m.more) for m in grouped] == [3, 0]
    assert catalogue.name_of(grouped[0].finding) == "red"


def fill(folder: Path, uri: Path, intake: Intake = Intake()) -> None:
    words = folder.parent / "words.txt"
    words.write_text("red\nmagenta\nyellow\n")
    run_into_store(
        ColourEncoder.settings(names="dictionary", dictionary=str(words)),
        [str(folder)],
        str(uri),
        intake,
        encoder=ColourEncoder(),
        vocabulary=colour_vocabulary("green", "blue"),
    )


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, box in enumerate(("red", "magenta", "yellow")):
        Image.fromarray(colour_picture("green", box=box)).save(folder / f"{i}.png")
    fill(folder, tmp_path / "store")
    return tmp_path / "store"


def test_a_text_a_picture_and_a_finding_as_the_query(
    filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = open_catalogue(str(filled), None)
    red = Image.new("RGB", (64, 64), (255, 0, 0))
    red.save(tmp_path / "red.png")
    [finding] = catalogue.query(FindingFilter(name="red"))
    for query in ("something red", str(tmp_path / "red.png")):
        found = run_search(catalogue, query, FindingFilter(), 3, encoder=ColourEncoder(), as_json=True)
        assert found[0].finding == finding
        assert json.loads(capsys.readouterr().out)[0]["name"] == "red"
    found = run_search(catalogue, finding, FindingFilter(), 3, sheet=tmp_path / "sheet.jpg")
    assert finding not in [m.finding for m in found]
    assert len(found) == 2
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.size[0] > 900
    with pytest.raises(StoreError, match="another here"):
        run_search(catalogue, "red", FindingFilter(), 3, encoder=Other())
    with pytest.raises(StoreError, match="JPEG"):
        run_search(catalogue, finding, FindingFilter(), 3, sheet=tmp_path / "sheet.gif")


class Other(ColourEncoder):
    """The same, by another name."""

    def __init__(self) -> None:
        super().__init__()
        from dataclasses import replace

        self.spec = replace(self.spec, fingerprint="others")


def test_filters_of_the_command_line() -> None:
    where = filter_from(
        status=["open"], since="2026-05-30", until=None, condition=["weather=rain"], place="x"
    )
    assert (where.statuses, where.since, where.conditions) == (("open",), 1780099200.0, {"weather": "rain"})
    for bad in ({"condition": ["rain"]}, {"since": "yesterday"}):
        with pytest.raises(StoreError):
            filter_from(**bad)


def test_commands_print_tables_and_json(filled: Path) -> None:
    line = CliRunner()
    for arguments, told in (
        (["mine", "--budget", "2", "--json"], '"reason"'),
        (["mine", "--budget", "2"], "because"),
        (["mine", "--clusters", "--at-least", "1"], "cluster"),
        (["stores", "show"], "colours"),
        (["stores", "show", "--json"], '"runs"'),
        (["stores", "migrate"], "already"),
    ):
        place = [str(filled)] if arguments[0] == "stores" else ["--store", str(filled)]
        done = line.invoke(app, [*arguments, *place])
        assert done.exit_code == 0, done.output
        assert told in done.output
        if "--json" in arguments:
            json.loads(done.output)


def test_nothing_found_says_what_was_looked_for_and_why(filled: Path) -> None:
    line, store = CliRunner(), ["--store", str(filled)]
    [some, *_] = open_catalogue(str(filled), None).ids.tolist()
    for arguments, told in (
        (
            ["search", some, "--status", "confirmed"],
            r"none has status confirmed; status in this store: open 3",
        ),
        (["search", some, "--name", "rod"], r"none has name 'rod'; name in this store: .*red 1"),
        (["search", some, "--until", "2020-01-01"], r"none has until 2020-01-01 00:00"),
        (["search", some, "--status", "open", "--min-score", "9"], r"of 3 findings none has min-score 9"),
        (["search", some, "--max-score", "-9"], r"of 3 findings none has max-score -9"),
        (["search", some, "--text", "0", "--name", "yellow"], r"none has all of: name 'yellow', text '0' "),
        (["mine", "--status", "rejected"], r"no frame to propose: of 3 findings none has status rejected"),
        (
            ["mine", "--clusters", "--reach", "1"],
            r"no cluster: 3 findings that nobody has decided about, but",
        ),
        (["mine", "--clusters", "--at-least", "4"], r"that nobody has decided about: 3, fewer than"),
        (["mine", "--clusters", "--name", "rod"], r"no cluster: of 3 findings none has name 'rod'; name in"),
    ):
        done = line.invoke(app, [*arguments, *store])
        assert done.exit_code == 0, done.output
        assert re.search(told, done.output), done.output
        assert "similarity" not in done.output
        as_json = line.invoke(app, [*arguments, *store, "--json"])
        assert as_json.stdout.strip() == "[]"
    opened = open_catalogue(str(filled), None)
    opened.decisions.append(Decision("ada", "confirm", tuple(opened.ids.tolist())))
    done = line.invoke(app, ["mine", "--clusters", *store])
    assert "no cluster: all 3 findings are decided" in done.output
    for arguments in (["search", some], ["mine"], ["mine", "--clusters"]):
        done = line.invoke(app, [*arguments, *store, "--run", "zzz"])
        assert isinstance(done.exception, StoreError)
        assert re.search(r"no run 'zzz' in .*; the latest is [0-9a-f]{12}", str(done.exception))


def test_label_maps_lead_to_panoptic_exports(tmp_path: Path) -> None:
    """run --labels → results → COCO panoptic: every pixel has a class; what was turned down is background."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, box in enumerate(("red", "magenta")):
        Image.fromarray(colour_picture("green", box=box)).save(folder / f"{i}.png")
    fill(folder, tmp_path / "store", Intake(labels=True))
    catalogue = open_catalogue(str(tmp_path / "store"), None)
    red, magenta = (catalogue.query(FindingFilter(name=n))[0] for n in ("red", "magenta"))
    masks = {f.id: f.mask() for f in catalogue.findings([red, magenta])}
    catalogue.decisions.append(Decision("ada", "reject", (red,), reason="shadow"))
    catalogue.decisions.append(Decision("ada", "rename", (magenta,), name="cone"))
    write_results(str(tmp_path / "store"), None, None, tmp_path / "results", as_found=False)
    run_export("coco-panoptic", tmp_path / "results", tmp_path / "out", pictures="", overwrite=False)
    [path] = [p for p in (tmp_path / "out").iterdir() if p.suffix == ".json"]
    told = json.loads(path.read_text("utf-8"))
    names = {c["id"]: c["name"] for c in told["categories"]}
    seen: list[set[str]] = []
    for annotation in told["annotations"]:
        with Image.open(path.with_suffix("") / annotation["file_name"]) as picture:
            ids = np.asarray(picture).astype(int) @ [1, 256, 65536]
        areas = {s["id"]: s["area"] for s in annotation["segments_info"]}
        counted = dict(zip(*np.unique(ids, return_counts=True), strict=True))
        assert counted == areas, "no pixel without a class"
        seen.append({names[s["category_id"]] for s in annotation["segments_info"]})
        for segment in annotation["segments_info"]:
            if names[segment["category_id"]] == "cone":
                assert ((ids == segment["id"]) == masks[magenta]).all()
    assert "cone" in seen[1]
    assert "red" not in seen[0], "the rejected region is a known class now"
    write_results(str(tmp_path / "store"), None, None, tmp_path / "as-found", as_found=True)
    run_export("cityscapes", tmp_path / "as-found", tmp_path / "cs", pictures="", overwrite=False)
    assert any((tmp_path / "cs").rglob("*labelIds.png"))
    run_export("yolo", tmp_path / "as-found", tmp_path / "yolo", pictures="", overwrite=False)
    lines = [p.read_text("utf-8") for p in sorted((tmp_path / "yolo" / "labels").iterdir())]
    assert [len(text.splitlines()) for text in lines] == [1, 1], "outlines come from the masks"


FILES = {
    "coco": "instances.json", "cvat": "annotations.xml", "labelstudio": "tasks.json", "csv": "findings.csv",
    "parquet": "findings.parquet",
}  # fmt: skip


def test_corrections_from_another_tool_come_back_as_decisions(filled: Path, tmp_path: Path) -> None:
    """Store → results → COCO, corrected there → import: renamed, redrawn, removed, added; twice is once."""
    run_name = ResultStore.open(filled).runs()[0].id
    write_results(str(filled), None, run_name, tmp_path / "results", as_found=True)
    run_export("coco", tmp_path / "results", tmp_path / "coco", pictures="", overwrite=False)
    path = tmp_path / "coco" / "instances.json"
    coco = json.loads(path.read_text("utf-8"))
    categories = {c["name"]: c["id"] for c in coco["categories"]}
    by_name = {a["category_id"]: a for a in coco["annotations"]}
    red, magenta, yellow = (by_name[categories[n]] for n in ("red", "magenta", "yellow"))
    red["category_id"] = categories["yellow"]
    from clipomaly.export.masks import decode_rle, encode_rle

    mask = np.zeros((96, 128), bool)
    mask[30:60, 40:90] = True
    magenta["segmentation"] = dict(encode_rle(mask))
    added = {**yellow, "id": 999, "segmentation": dict(encode_rle(~mask & (np.arange(128) < 20)))}
    for key in ("finding", "attributes"):
        added.pop(key, None)
    coco["annotations"] = [red, magenta, added]
    path.write_text(json.dumps(coco))
    changes = tmp_path / "changes.jsonl"
    run_import("coco", path, tmp_path / "results", changes, pictures="", overwrite=False)
    told = {"format": "coco", "file": str(path)}
    import_decisions(str(filled), None, None, changes, "ada", told)
    catalogue = open_catalogue(str(filled), None)
    decisions = catalogue.decisions
    assert sorted(d.kind for d in decisions.since(0)) == ["add", "reject", "rename", "reshape"]
    ids = {catalogue.row(i)["found_name"]: i for i in catalogue.ids}
    assert (decisions.state(ids["red"]).status, decisions.state(ids["red"]).name) == ("confirmed", "yellow")
    assert decisions.state(ids["magenta"]).rle == dict(encode_rle(mask))
    assert decisions.state(ids["yellow"]).status == "rejected"
    assert "imported from coco" in decisions.state(ids["red"]).comments[0][2]
    import_decisions(str(filled), None, None, changes, "ada", told)
    assert decisions.count() == 4
    # And out again, with what people decided.
    write_results(str(filled), None, None, tmp_path / "reviewed", as_found=False)
    rows = [json.loads(line) for line in (tmp_path / "reviewed" / "results.jsonl").read_text().splitlines()]
    assert [[f["name"] for f in r["findings"]] for r in rows] == [["yellow"], ["magenta"], ["yellow"]]
    drawn = rows[2]["findings"][0]
    assert decode_rle(drawn["rle"]).tolist() == decode_rle(added["segmentation"]).tolist()
    assert (drawn["status"], drawn["by"], drawn["score"]) == ("added", "ada", None)
    assert rows[1]["findings"][0]["area"] == int(mask.sum())
    # The added region goes on like any finding: out, renamed there, in; out, removed there, in.
    for form, name in FILES.items():
        out = tmp_path / f"reviewed-{form}"
        run_export(form, tmp_path / "reviewed", out, pictures="", overwrite=False)
        run_import(form, out / name, tmp_path / "reviewed", changes, pictures="", overwrite=True)
        read = [json.loads(line)["status"] for line in changes.read_text("utf-8").splitlines()]
        assert read == ["unchanged"] * 3
    trips = (tmp_path / "reviewed", "renamed", ["magenta"]), (tmp_path / "renamed", "removed", [])
    for at, (before, after, left) in enumerate(trips):
        run_export("coco", before, tmp_path / f"{after}-coco", pictures="", overwrite=False)
        path = tmp_path / f"{after}-coco" / "instances.json"
        coco = json.loads(path.read_text("utf-8"))
        categories = {c["name"]: c["id"] for c in coco["categories"]}
        [third] = [a for a in coco["annotations"] if a["attributes"]["finding"] >= 1000]
        third["category_id"] = categories["magenta"]
        coco["annotations"] = [a for a in coco["annotations"] if a is not third or after == "renamed"]
        path.write_text(json.dumps(coco))
        run_import("coco", path, before, changes, pictures="", overwrite=True)
        for _ in range(2):  # the second time adds nothing
            import_decisions(str(filled), None, None, changes, "bob", told)
            assert decisions.count() == (6, 7)[at]
        write_results(str(filled), None, None, tmp_path / after, as_found=False)
        rows = [json.loads(line) for line in (tmp_path / after / "results.jsonl").read_text().splitlines()]
        assert [f["name"] for f in rows[2]["findings"]] == left
    assert [d.kind for d in decisions.since(4)] == ["undo", "add", "undo"]


def test_decisions_looked_for_in_a_wrong_place_are_told_of(filled: Path, tmp_path: Path) -> None:
    line = CliRunner()
    url = f"sqlite:///{tmp_path}/wrong.sqlite"
    wrong = ["taxonomy", "export", "--store", str(filled), "--decisions", url]
    done = line.invoke(app, [*wrong, "--out", str(tmp_path / "first.toml")])
    assert f"no decisions have been kept in {url} before" in done.output
    done = line.invoke(app, [*wrong, "--out", str(tmp_path / "second.toml")])
    assert done.exit_code == 0
    assert "no decisions have been kept" not in done.output
    done = line.invoke(app, ["stores", "show", str(filled)])
    assert "no decisions have been kept" not in done.output, "a store that nobody has reviewed is nothing odd"


def test_exporting_a_store_says_what_to_do_first(filled: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", "coco", str(filled), "--out", str(tmp_path / "coco")])
    assert f"clipomaly stores results {filled} --out" in str(done.exception)
