"""The review app without a browser: lists, decisions, pictures, groups, names and figures."""

from __future__ import annotations

import io
import math
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lancedb", reason="the extra [store] is not installed")
pytest.importorskip("fastapi", reason="the extra [review] is not installed")

from PIL import Image
from starlette.testclient import TestClient

from clipomaly.commands.stores import open_catalogue
from clipomaly.review import pages
from clipomaly.review.pictures import finding_color, mask_box
from clipomaly.review.security import Policy
from clipomaly.review.wire import clip_row
from clipomaly.store.decisions import Decisions, decisions_url
from clipomaly.store.results import ResultStore
from clipomaly.store.taxonomy import Rules
from clipomaly.vocabulary import load_vocabulary

from .review_store import FINDINGS, client_of, make_store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("review") / "store")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "store"))


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with client_of(folder) as client:
        yield client


@pytest.fixture(scope="module")
def reader(made: Path) -> Iterator[TestClient]:
    """For tests that decide nothing."""
    with client_of(made) as client:
        yield client


def ids_of(client: TestClient, query: str = "status=open&limit=500") -> list[str]:
    return client.get(f"/api/queue?{query}").json()["ids"]


def decide(client: TestClient, kind: str, findings: list[str], who: str = "ada", **more: object) -> dict:
    answer = client.post("/api/decisions", json={"who": who, "kind": kind, "findings": findings, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- lists --------------------------------------------------------------------------------------------------


def test_queue_comes_by_score_and_in_pages(reader: TestClient) -> None:
    whole = ids_of(reader)
    pages_ = [ids_of(reader, f"status=open&limit=10&offset={n}") for n in range(0, FINDINGS, 10)]
    assert [i for page in pages_ for i in page] == whole
    assert len(set(whole)) == FINDINGS
    scores = [reader.get(f"/api/findings/{i}").json()["score"] for i in whole[:5]]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("query", "good"),
    [
        ("min_score=0.6", lambda f: f["score"] >= 0.6),
        ("max_score=0.6", lambda f: f["score"] <= 0.6),
        ("min_area=2000", lambda f: f["area"] >= 2000),
        ("text=tyre", lambda f: "tyre" in f["label"]),
        ("camera=camera%200", lambda f: True),
        ("condition=weather%3Dclear", lambda f: True),
        ("camera=nobody", lambda f: False),
        ("condition=weather%3Dsnow", lambda f: False),
        ("until=2000-01-01", lambda f: False),
        ("since=2000-01-01", lambda f: True),
    ],
)
def test_filters_leave_what_they_say(reader: TestClient, query: str, good) -> None:  # type: ignore[no-untyped-def]
    everything = reader.get("/api/grid?limit=500").json()["findings"]
    kept = reader.get(f"/api/grid?limit=500&{query}").json()
    assert {f["id"] for f in kept["findings"]} == {f["id"] for f in everything if good(f)}
    assert kept["total"] == len(kept["findings"])


@pytest.mark.parametrize(
    "query",
    ["status=lost", "min_score=high", "min_score=nan", "since=yesterday", "order=colour", "condition=rain"],
)
def test_a_filter_that_is_none_says_so(reader: TestClient, query: str) -> None:
    answer = reader.get(f"/api/queue?{query}")
    assert answer.status_code == 409
    assert len(answer.json()["error"]) > 10


def test_a_finding_shows_its_evidence_clip_and_look_alikes(reader: TestClient, made: Path) -> None:
    first = ids_of(reader)[0]
    stored = ResultStore.open(made).finding(first)
    found = reader.get(f"/api/findings/{first}").json()
    assert [(c["name"], c["source"]) for c in found["candidates"]] == [
        (c.name, c.source) for c in stored.candidates
    ]
    assert tuple(found["box"]) == stored.box
    assert len(found["others"]) == 3  # the made-up frames hold four each
    assert found["run"]["id"] == stored.run
    tile = reader.get("/api/grid?limit=1&status=open").json()["findings"][0]
    assert (tile["id"], tile["run"]) == (first, stored.run)
    clip = reader.get(f"/api/findings/{first}/clip").json()["frames"]
    assert found["frame"]["id"] in [f["id"] for f in clip]
    assert [f["index"] for f in clip] == sorted(f["index"] for f in clip)
    near = reader.get(f"/api/findings/{first}/similar").json()["findings"]
    assert len(near) == 9
    assert first not in [f["id"] for f in near]
    assert [f["similarity"] for f in near] == sorted((f["similarity"] for f in near), reverse=True)


# --- deciding -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "more", "status"),
    [
        ("confirm", {}, "confirmed"),
        ("rename", {"name": "wheel chock"}, "confirmed"),
        ("reject", {"reason": "shadow"}, "rejected"),
        ("split", {}, "split"),
        ("ignore", {}, "ignored"),
        ("assign", {"name": "bob"}, "assigned"),
        ("comment", {"comment": "wet"}, "open"),
    ],
)
def test_a_decision_holds_and_can_be_undone(
    client: TestClient, folder: Path, kind: str, more: dict, status: str
) -> None:
    first = ids_of(client)[0]
    before = client.get(f"/api/findings/{first}").json()
    answer = decide(client, kind, [first], **more)
    assert answer["counts"][status] >= 1
    after = client.get(f"/api/findings/{first}").json()
    assert after["status"] == status
    assert after["label"] == (more["name"] if kind == "rename" else before["label"])
    assert [(d["who"], d["kind"]) for d in after["history"]] == [("ada", kind)]
    assert (first in ids_of(client)) == (status == "open")
    undone = client.post("/api/undo", json={"who": "ada"}).json()["undone"]
    assert undone["kind"] == kind
    assert undone["findings"] == [first]
    back = client.get(f"/api/findings/{first}").json()
    assert back["status"] == "open"
    assert back["label"] == before["label"]
    assert [d["holds"] for d in back["history"] if d["kind"] == kind] == [False]
    assert client.post("/api/undo", json={"who": "ada"}).json()["undone"] is None
    assert len(Decisions.open(decisions_url(folder)).since()) == 2, "nothing is overwritten"


def test_a_decision_sent_twice_counts_once(client: TestClient, folder: Path) -> None:
    first = ids_of(client)[0]
    for _ in range(2):
        decide(client, "confirm", [first], key="retry-1")
    assert len(Decisions.open(decisions_url(folder)).since()) == 1


def test_bulk_by_filter_decides_the_view_and_no_more(client: TestClient) -> None:
    view = client.get("/api/grid?status=open&max_score=0.6&limit=500").json()
    body = {
        "who": "ada",
        "kind": "reject",
        "reason": "marking",
        "filter": {"status": ["open"], "max_score": ["0.6"]},
        "expected": view["total"] - 1,
    }
    refused = client.post("/api/decisions", json=body)
    assert refused.status_code == 409, "the view is larger than the reviewer was told"
    assert len(ids_of(client)) == FINDINGS
    done = client.post("/api/decisions", json={**body, "expected": view["total"]}).json()
    assert done["count"] == view["total"]
    assert set(ids_of(client)) == set(ids_of(client, "limit=500")) - {f["id"] for f in view["findings"]}


@pytest.mark.parametrize(
    "body",
    [
        {"who": "", "kind": "confirm", "findings": ["a"]},
        {"who": "a\nb", "kind": "confirm", "findings": ["a"]},
        {"who": "x" * 81, "kind": "confirm", "findings": ["a"]},
        {"who": "ada", "kind": "promote", "findings": ["a"]},
        {"who": "ada", "kind": "confirm", "findings": []},
        {"who": "ada", "kind": "confirm", "findings": ["a"] * 5001},
        {"who": "ada", "kind": "confirm", "findings": ["../x"]},
        {"who": "ada", "kind": "confirm", "findings": ["a"], "filter": {}},
        {"who": "ada", "kind": "confirm", "findings": ["a"], "at": 3},
        {"who": "ada", "kind": "reject", "findings": ["FIRST"]},
        {"who": "ada", "kind": "reject", "findings": ["FIRST"], "reason": "because"},
        {"who": "ada", "kind": "rename", "findings": ["FIRST"]},
        {"who": "ada", "kind": "confirm", "findings": ["0000000000000000-000"]},
    ],
)
def test_a_decision_that_is_none_is_refused(client: TestClient, folder: Path, body: dict) -> None:
    first = ids_of(client)[0]
    body["findings"] = [first if f == "FIRST" else f for f in body["findings"]]
    answer = client.post("/api/decisions", json=body)
    assert answer.status_code in (404, 409, 422)
    assert answer.json()["error"]
    assert Decisions.open(decisions_url(folder)).count() == 0


def test_a_region_is_split_shown_as_parts_and_made_whole_again(client: TestClient, folder: Path) -> None:
    pictured = [
        i for i in ids_of(client, "order=-area") if client.get(f"/picture/crop/{i}").status_code == 200
    ]
    finding = pictured[0]
    whole = client.get(f"/api/findings/{finding}").json()
    x0, y0, x1, y1 = whole["box"]
    line = [(x0 + x1) / 2, y0, (x0 + x1) / 2, y1]
    text = ",".join(map(str, line))
    told = client.get(f"/api/findings/{finding}/parts", params={"line": text}).json()
    assert sum(told["areas"]) == whole["area"]
    assert len(told["areas"]) == 2
    picture = client.get(f"/picture/parts/{finding}", params={"line": text})
    with Image.open(io.BytesIO(picture.content)) as image:
        pixels = np.asarray(image)
    assert len({tuple(p) for p in pixels[pixels[..., 3] > 0].tolist()}) == 2
    assert int((pixels[..., 3] > 0).sum()) == whole["area"]
    missed = client.get(f"/api/findings/{finding}/parts?line=-9,0,-9,1").json()
    assert missed == {"areas": [], "why": "the line misses the region: draw it across"}
    assert "one piece" in client.get(f"/api/findings/{finding}/parts").json()["why"]

    before = client.get("/api/grid?limit=100").json()
    body = {"who": "ada", "finding": finding, "line": line, "key": "a-key"}
    answer = client.post("/api/split", json=body).json()
    assert client.post("/api/split", json=body).json()["id"] == answer["id"], "sent twice is once"
    parts = answer["parts"]
    shown = [client.get(f"/api/findings/{p}").json() for p in parts]
    assert sorted(p["area"] for p in shown) == sorted(told["areas"])
    assert [p["part_of"] for p in shown] == [finding, finding]
    assert all(finding not in [o["id"] for o in p["others"]] for p in shown), "the whole lies beneath"
    assert parts[1] in [o["id"] for o in shown[0]["others"]]
    for part in parts:
        for kind in ("mask", "crop"):
            assert client.get(f"/picture/{kind}/{part}").status_code == 200
        assert parts[0] not in [
            s["id"] for s in client.get(f"/api/findings/{part}/similar").json()["findings"]
        ]
    assert client.get(f"/api/findings/{finding}").json()["parts"] == parts
    assert finding not in _states(client)
    assert _states(client, "&status=split") == {finding: "split"}
    _agree(client, folder, FINDINGS + 1)
    decide(client, "rename", [parts[0]], name="cone")
    decide(client, "reject", [parts[1]], who="bob", reason="shadow")
    assert {i: s for i, s in _states(client).items() if i in (*parts, finding)} == {
        parts[0]: "confirmed", parts[1]: "rejected"
    }  # fmt: skip
    _agree(client, folder, FINDINGS + 1)
    again = {"who": "eve", "finding": finding, "line": line}
    assert client.post("/api/split", json=again).status_code == 409

    news = client.get("/api/live?status=open&after=0").json()["changed"]
    assert next(row for row in news if row["id"] == finding)["parts"] == parts
    for _ in range(2):
        undone = client.post("/api/undo", json={"who": "ada"}).json()["undone"]
    assert (undone["kind"], undone["parts"], undone["findings"]) == ("split", 2, [finding])
    after = client.get("/api/grid?limit=100").json()
    assert after == before
    assert client.get(f"/api/findings/{parts[0]}").status_code == 404
    assert client.post("/api/split", json={**body, "finding": parts[0], "key": ""}).status_code == 404
    assert Decisions.open(decisions_url(folder)).count() == 5, "everything stays on record"


def _states(client: TestClient, more: str = "") -> dict[str, str]:
    return {f["id"]: f["status"] for f in client.get(f"/api/grid?limit=100{more}").json()["findings"]}


def _agree(client: TestClient, folder: Path, findings: int) -> None:
    """Every page and the command count the same: a split finding's parts stand in its place."""
    page = client.get("/api/statistics").json()
    states = Counter(_states(client).values())
    totals, groups = page["totals"], {k: sum(v) for k, v in page["histogram"]["groups"].items()}
    assert totals["findings"] == sum(groups.values()) == states.total() == findings
    assert [r["findings"] for r in page["runs"]] == [findings]
    assert totals["rejected"] == groups["rejected"] == sum(page["reasons"].values()) == states["rejected"]
    assert totals["confirmed"] == groups["confirmed"] == states["confirmed"]
    assert totals["aside"] == groups["set aside"] == states["ignored"] + states["split"]
    assert totals["decided"] == totals["confirmed"] + totals["rejected"] + totals["aside"]
    counts = client.get("/api/queue").json()["counts"]
    assert counts.pop("parted") == len(_states(client, "&status=split")) - states["split"]
    assert counts == page["runs"][0]["status"] == {s: states[s] for s in counts}
    taxonomy = client.get("/api/taxonomy").json()
    evidence = {e["name"]: e["findings"] for e in (*taxonomy["candidates"], *taxonomy["known"])}
    named = {n["name"]: n["findings"] for n in page["names"] if not n["unnamed"]}
    assert named
    assert named.items() <= evidence.items()
    catalogue = open_catalogue(str(folder), None)
    told = catalogue.counts()
    assert {n["name"]: n["findings"] for n in page["names"]}.items() <= told["name"].items()
    assert (told["status"], sum(told["run"].values())) == (counts, findings)
    catalogue.decisions.close()


def test_marked_without_parts_is_set_aside_and_not_turned_down(client: TestClient, folder: Path) -> None:
    first, second, third, *_ = ids_of(client)
    decide(client, "split", [first])
    decide(client, "ignore", [second])
    _agree(client, folder, FINDINGS)
    groups = client.get("/api/statistics").json()["histogram"]["groups"]
    assert (sum(groups["rejected"]), sum(groups["set aside"])) == (0, 2)
    decide(client, "reject", [third], reason="shadow")
    _agree(client, folder, FINDINGS)


@pytest.mark.parametrize(
    "line", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,0,1,1", "1e9,0,0,1", "1,2,3,4;drop", "9999999,0,0,1"]
)
def test_a_line_that_is_none_is_refused(reader: TestClient, line: str) -> None:
    finding = ids_of(reader, "limit=1")[0]
    assert reader.get(f"/api/findings/{finding}/parts", params={"line": line}).status_code == 422
    assert reader.get(f"/picture/parts/{finding}", params={"line": line}).status_code == 422


@pytest.mark.parametrize(
    "more",
    [{"line": [1, 2, 3]}, {"line": [1, 2, 3, "x"]}, {"line": [1, 2, 3, 1e9]}, {"parts": []}, {"who": ""}],
)
def test_a_split_that_is_none_is_refused(client: TestClient, folder: Path, more: dict) -> None:
    body = {"who": "ada", "finding": ids_of(client, "limit=1")[0], "line": [0, 0, 1, 1], **more}
    assert client.post("/api/split", json=body).status_code == 422
    assert Decisions.open(decisions_url(folder)).count() == 0


def test_rules_beside_the_store_hold_in_the_app(folder: Path) -> None:
    from clipomaly.review.security import CSRF_HEADER, Policy
    from clipomaly.review.serve import ReviewOptions, open_review

    (folder / "taxonomy.toml").write_text("[promotion]\nmin_frames = 7\n")
    policy = Policy.make("127.0.0.1")
    app = open_review(ReviewOptions(str(folder), vocabulary="cityscapes"), policy)
    with TestClient(app, base_url="http://127.0.0.1:8470", headers={CSRF_HEADER: policy.secret}) as client:
        client.post("/api/taxonomy", json={"who": "a", "kind": "reject", "name": "x", "reason": "other"})
        assert "7" in str(client.get("/api/taxonomy").json().get("rules", ""))


def test_who_is_first_at_a_finding_keeps_it(client: TestClient) -> None:
    def claim(who: str, finding: str) -> tuple[bool, bool, dict[str, str]]:
        told = client.get(f"/api/claim?status=open&who={who}&looking={finding}").json()
        return told["free"], told["there"], told["looking"]

    first, second = ids_of(client)[:2]
    assert claim("ada", first) == (True, True, {"ada": first})
    assert claim("bob", first) == (False, True, {"ada": first})
    assert claim("ada", first)[0], "one's own"
    assert claim("bob", second) == (True, True, {"ada": first, "bob": second})
    decide(client, "reject", [first], reason="shadow")
    assert claim("ada", second)[:2] == (False, True)
    assert claim("carol", first)[:2] == (False, False), "decided: it has left the view"
    assert claim("carol", "0000000000000000-000")[:2] == (False, False)


def test_reviewers_see_each_other(client: TestClient) -> None:
    first, second = ids_of(client)[:2]
    start = client.get("/api/session").json()
    assert client.get(f"/api/live?who=bob&after={start['revision']}").json()["changed"] == []
    client.get(f"/api/live?who=ada&looking={second}")
    decide(client, "reject", [first], reason="shadow")
    news = client.get(f"/api/live?status=open&who=bob&after={start['revision']}").json()
    [row] = news["changed"]
    assert (row["id"], row["who"], row["status"], row["leaves"]) == (first, "ada", "rejected", True)
    assert news["looking"] == {"ada": second}
    assert news["counts"]["rejected"] == 1
    client.post("/api/undo", json={"who": "ada"})
    [row] = client.get(f"/api/live?status=open&who=bob&after={news['revision']}").json()["changed"]
    assert (row["id"], row["status"], row["leaves"]) == (first, "open", False)
    assert client.get("/api/session").json()["reviewers"] == ["ada"]


def test_three_reviewers_at_once_lose_nothing(client: TestClient, folder: Path) -> None:
    ids = ids_of(client)
    people = ("ada", "bob", "carol")

    def work(n: int) -> None:
        for i, finding in enumerate(ids[n::3]):
            decide(client, "ignore" if i % 2 else "confirm", [finding], who=people[n])
            client.get("/api/queue?status=open")
        client.post("/api/undo", json={"who": people[n]})

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    told = Decisions.open(decisions_url(folder)).since()
    assert len(told) == FINDINGS + 3
    assert sorted(f for d in told for f in d.findings) == sorted(ids)
    assert client.get("/api/queue").json()["counts"]["open"] == 3
    for n, who in enumerate(people):
        assert {f for d in told if d.who == who for f in d.findings} == set(ids[n::3])


def test_decisions_made_elsewhere_arrive(client: TestClient, folder: Path) -> None:
    from clipomaly.store.decisions import Decision

    first = ids_of(client)[0]
    other = Decisions.open(decisions_url(folder))
    other.append(Decision("carol", "ignore", (first,)))
    deadline = time.monotonic() + 60
    while first in ids_of(client) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert first not in ids_of(client)


# --- pictures -----------------------------------------------------------------------------------------------


def test_the_mask_is_exact(reader: TestClient, made: Path) -> None:
    store = ResultStore.open(made)
    for finding in [store.finding(i) for i in ids_of(reader)[:4]]:
        answer = reader.get(f"/picture/mask/{finding.id}")
        assert answer.headers["content-type"] == "image/png"
        shown = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")).astype(int)
        mask = finding.mask()
        x0, y0, x1, y1 = mask_box(finding.box, (mask.shape[0], mask.shape[1]))
        colored = (shown[..., :3] == finding_color(finding.name)).all(axis=-1) & (shown[..., 3] > 0)
        assert np.array_equal(colored, mask[y0:y1, x0:x1])
        assert reader.get(f"/api/findings/{finding.id}").json()["mask_box"] == [x0, y0, x1, y1]


def test_pictures_of_frames(reader: TestClient, made: Path) -> None:
    store = ResultStore.open(made)
    frame = next(f for f in store.frames() if f.copy)
    for size, shape in (("shown", (640, 360)), ("full", (640, 360)), ("small", (320, 180))):
        answer = reader.get(f"/picture/frame/{frame.id}?size={size}")
        assert answer.headers["content-type"] == "image/jpeg"
        assert "immutable" in answer.headers["cache-control"]
        assert Image.open(io.BytesIO(answer.content)).size == shape
    heat = np.asarray(Image.open(io.BytesIO(reader.get(f"/picture/score/{frame.id}").content)))
    score = store.score_map(frame.id)
    assert score is not None
    assert heat.shape == (*score.shape, 4)
    order = np.argsort(score.ravel())
    alpha = heat[..., 3].ravel()
    assert alpha[order[-1]] > alpha[order[0]], "high scores cover the picture more than low ones"


def test_a_picture_that_is_gone_is_told(reader: TestClient, made: Path) -> None:
    frame = next(f for f in ResultStore.open(made).frames() if not f.copy)
    answer = reader.get(f"/picture/frame/{frame.id}")
    assert answer.status_code == 404
    assert "does not exist" in answer.json()["error"]
    assert "immutable" not in answer.headers["cache-control"]


# --- groups, names, figures ---------------------------------------------------------------------------------


def test_groups_are_filters(client: TestClient) -> None:
    deadline = time.monotonic() + 60
    while (found := client.get("/api/groups?status=open").json())["making"] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found["groups"]
    group = found["groups"][0]
    members = client.get(f"/api/grid?status=open&cluster={group['id']}&limit=500").json()
    assert members["total"] == group["size"] >= 2
    decide(client, "confirm", [f["id"] for f in members["findings"]])
    after = client.get("/api/groups?status=open").json()["groups"]
    assert group["id"] not in [g["id"] for g in after]


def test_a_name_goes_from_candidate_to_class(folder: Path, tmp_path: Path) -> None:
    with client_of(folder, rules=Rules(min_frames=2)) as client:
        ids = ids_of(client)
        other = next(i for i in ids if i[:16] != ids[0][:16])  # of another frame
        decide(client, "rename", [ids[0]], name="wheel block")
        decide(client, "rename", [other], name="Wheel Chock")
        page = client.get("/api/taxonomy").json()
        row = next(e for e in page["candidates"] if e["name"] == "wheel block")
        assert row["lacks"] == "1 of 2 frames"
        body = {"who": "ada", "name": "wheel block"}
        refused = client.post("/api/taxonomy", json={**body, "kind": "promote"})
        assert refused.status_code == 409
        assert "not ready" in refused.json()["error"]
        merged = client.post("/api/taxonomy", json={**body, "kind": "merge", "other": "wheel chock"})
        assert "wheel block" not in [e["name"] for e in merged.json()["candidates"]]
        assert client.get(f"/api/findings/{ids[0]}").json()["label"] == "wheel chock"
        forced = client.post(
            "/api/taxonomy", json={"who": "ada", "name": "tyre", "kind": "promote", "force": True}
        ).json()
        assert forced["approved"][0]["forced"] is True
        done = client.post("/api/taxonomy", json={"who": "ada", "name": "wheel chock", "kind": "promote"})
        assert [e["forced"] for e in done.json()["approved"] if e["name"] == "wheel chock"] == [False]
        client.post(
            "/api/taxonomy", json={"who": "bob", "name": "deer", "kind": "reject", "reason": "shadow"}
        )
        answer = client.get("/api/taxonomy/export")
        assert re.fullmatch(
            r'attachment; filename="cityscapes-v\d+\.toml"', answer.headers["content-disposition"]
        )
        path = tmp_path / "exported.toml"
        path.write_bytes(answer.content)
        vocabulary = load_vocabulary(str(path))
        chock = next(k for k in vocabulary.known if k.name == "wheel chock")
        assert "wheel block" in chock.synonyms
        assert "deer" in [r.name for r in vocabulary.rejected]
        taken = client.post("/api/taxonomy", json={"who": "bob", "name": "tyre", "kind": "undo"}).json()
        assert [e["name"] for e in taken["approved"]] == ["wheel chock"]
        assert taken["changes"][0]["text"].startswith("took back: promoted tyre, against the rules")


def test_figures_agree_with_the_store(client: TestClient) -> None:
    ids = ids_of(client)
    decide(client, "confirm", ids[:3])
    decide(client, "reject", ids[3:5], who="bob", reason="reflection")
    page = client.get("/api/statistics").json()
    assert page["totals"] == {
        "runs": 1, "frames": FINDINGS // 4, "findings": FINDINGS, "decided": 5, "confirmed": 3, "rejected": 2,
        "aside": 0,
    }  # fmt: skip
    assert {k: sum(v) for k, v in page["histogram"]["groups"].items()} == {
        "confirmed": 3, "rejected": 2, "set aside": 0, "open": FINDINGS - 5,
    }  # fmt: skip
    assert page["reasons"] == {"reflection": 2}
    assert {r["who"]: r["kinds"] for r in page["reviewers"]} == {"ada": {"confirm": 1}, "bob": {"reject": 1}}
    assert sum(n["findings"] for n in page["names"]) <= FINDINGS


# --- the pages' files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query", ["", "?who=ada", "?status=open&condition=weather%3Drain&who=a%26b", "?token=none-is-asked-for"]
)
def test_the_first_address_keeps_what_was_asked(reader: TestClient, query: str) -> None:
    answer = reader.get(f"/{query}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, f"/queue{query}")


def test_the_printed_address_signs_in_and_keeps_the_name(folder: Path) -> None:
    policy = Policy.make("127.0.0.1", "a-token-of-sixteen-and-more")
    with client_of(folder, policy) as client:
        answer = client.get(f"/?token={policy.token}&who=ada")
        assert answer.status_code == 200
        assert str(answer.url).endswith("/queue?who=ada")


def test_a_folder_of_photos_is_no_clip(made: Path) -> None:
    store = ResultStore.open(made)
    [run] = store.runs()
    own = next(iter(store.frames(run.id)))
    for later, apart in ((1.5, 1.5), (-60.0, -60.0), (61.0, None), (61_896_891.0, None), (math.nan, None)):
        row = clip_row(replace(own, time=own.time + later), own)
        assert row["apart"] == apart
        assert row["index"] == own.index
    assert clip_row(own, replace(own, time=None))["apart"] is None


def test_every_element_that_scripts_name_is_there() -> None:
    for name in pages.PAGES:
        html = pages.page(name)
        there = set(re.findall(r'id="([^"]+)"', html))
        scripts = ["common.js", f"{name}.js"]
        if name in ("queue", "grid"):
            scripts += ["filters.js", "decide.js"]
        if name == "queue":
            scripts += ["viewer.js", "split.js"]
        for script in scripts:
            text = pages.assets()[script].data.decode()
            wanted = set(re.findall(r'\$\("([^"]+)"\)', text))
            assert wanted <= there, f"{name}: {script} names {wanted - there}"
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|https?://(?!www\.w3\.org)", html)
        assert "{" not in re.sub(r"\{[^}]*\}", "", html), "a place in the shell was not filled"


def test_assets_bring_nothing_from_the_network_and_write_no_markup() -> None:
    for name, asset in pages.assets().items():
        text = asset.data.decode()
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name
        for sink in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ):
            assert sink not in text, f"{name} uses {sink}"


def _luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'])
def test_colours_can_be_read(theme: str) -> None:
    css = pages.assets()["style.css"].data.decode()
    block = css[css.index(theme) :].partition("}")[0]
    color = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    pairs = [
        (text, ground)
        for text in ("text", "soft", "accent", "bad", "good", "warn")
        for ground in ("card", "ground")
    ]
    pairs += [("text", "sunk"), ("soft", "sunk"), ("on-accent", "accent")]
    for text, ground in pairs:
        high, low = sorted((_luminance(color[text]), _luminance(color[ground])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{text} on {ground}: too little contrast"
