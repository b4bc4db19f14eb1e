"""Regions that people cut: parts are findings of their own, with masks that are the region's; undo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("lancedb", reason='stores need the extra: pip install ".[store]"')

from clipomaly.commands.export import run_export, run_import
from clipomaly.commands.search import query_vector
from clipomaly.commands.stores import import_decisions, open_catalogue, write_results
from clipomaly.errors import StoreError
from clipomaly.export.masks import decode_rle, encode_rle
from clipomaly.records import UNNAMED
from clipomaly.store.catalogue import Catalogue, FindingFilter
from clipomaly.store.decisions import Decision, Decisions
from clipomaly.store.evidence import gather_evidence
from clipomaly.store.mining import group_matches, propose, search, undecided_clusters
from clipomaly.store.parts import cut_by_line, cut_in_pieces, part_id, part_of_number, part_tables, root_of
from clipomaly.store.results import ResultStore

from .test_store import a_frame, a_run

# --- cutting masks -----------------------------------------------------------------------------------------

coordinate = st.floats(-5, 25, allow_nan=False)


def whole(mask: np.ndarray, parts: list[np.ndarray]) -> None:
    """None is empty, none overlap, together they are the mask."""
    assert all(part.any() for part in parts)
    assert (np.sum(parts, axis=0) == mask).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), coordinate, coordinate, coordinate, coordinate)
def test_a_line_cuts_a_mask_in_two_or_misses_it(
    seed: int, x0: float, y0: float, x1: float, y1: float
) -> None:
    mask = np.random.default_rng(seed).random((12, 20)) < 0.4
    rows, columns = np.nonzero(mask)
    # by hand: the sign of the cross product at each pixel's centre
    left = [
        (x1 - x0) * (r + 0.5 - y0) < (y1 - y0) * (c + 0.5 - x0) for r, c in zip(rows, columns, strict=True)
    ]
    if (x0, y0) == (x1, y1) or all(left) or not any(left):
        with pytest.raises(StoreError):
            cut_by_line(mask, (x0, y0, x1, y1))
        return
    parts = cut_by_line(mask, (x0, y0, x1, y1))
    whole(mask, parts)
    assert sorted(int(p.sum()) for p in parts) == sorted([sum(left), len(left) - sum(left)])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
def test_pieces_are_what_hangs_together(seed: int, share: float) -> None:
    from scipy import ndimage

    coarse = np.random.default_rng(seed).random((4, 6)) < share
    mask = np.kron(coarse, np.ones((6, 6), bool)).astype(bool)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        with pytest.raises(StoreError, match="one piece"):
            cut_in_pieces(mask)
        return
    parts = cut_in_pieces(mask)
    whole(mask, parts)
    assert len(parts) == count  # each has 36 pixels at least, so none is a speck
    assert all(len(set(labels[part])) == 1 for part in parts)


def test_specks_join_the_nearest_piece() -> None:
    mask = np.zeros((40, 100), bool)
    mask[5:35, 2:40] = mask[5:35, 60:98] = True
    mask[10, 43] = mask[12, 57] = True
    parts = cut_in_pieces(mask)
    whole(mask, parts)
    assert len(parts) == 2
    [left] = [p for p in parts if p[20, 10]]
    assert left[10, 43]
    assert not left[12, 57]


# --- parts in a store --------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three frames with one, two and three findings, without names."""
    store = ResultStore.open(tmp_path / "store", create=True)
    run = store.add_run(a_run())
    with store.writer(run) as writer:
        for i in range(1, 4):
            writer.write(*a_frame(run.id, f"a/{i}", i))
    return tmp_path / "store"


@pytest.fixture
def catalogue(folder: Path) -> Iterator[Catalogue]:
    opened = open_catalogue(str(folder), None)
    yield opened
    opened.decisions.close()


def cut(catalogue: Catalogue, finding: str, x: float, who: str = "ada") -> list[str]:
    """Cut by the upright line at x."""
    [own] = catalogue.findings([finding], embeddings=False)
    parts = part_tables(finding, cut_by_line(own.mask(), (x, 0, x, 1)))
    catalogue.decisions.append(Decision(who, "split", (finding,), data={"parts": parts}))
    catalogue.refresh()
    return catalogue.parts_of(finding)


def fresh(catalogue: Catalogue) -> Catalogue:
    """Another program's view of the same store."""
    return Catalogue(ResultStore.open(catalogue.store.uri), catalogue.decisions)


def rows_of(catalogue: Catalogue) -> dict[str, dict]:
    return {str(i): {k: v for k, v in catalogue.row(str(i)).items() if k != "cluster"} for i in catalogue.ids}


def test_parts_are_findings_and_undo_makes_one_again(catalogue: Catalogue) -> None:
    before = rows_of(catalogue)
    finding = catalogue.query(order="-area")[0]
    [own] = catalogue.findings([finding])
    middle = (own.box[0] + own.box[2]) / 2
    first, second = cut(catalogue, finding, middle)
    parts = catalogue.findings([first, second])
    whole(own.mask(), [p.mask() for p in parts])
    for part in parts:
        row = catalogue.row(part.id)
        rows, columns = np.nonzero(part.mask())
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert row["box"] == part.box == box
        assert row["area"] == part.area == part.mask().sum()
        assert row["share"] == pytest.approx(part.area / 600)
        assert (row["status"], row["name"], row["frame"]) == ("open", UNNAMED, own.frame)
        assert part.embedding is not None
        assert np.allclose(part.embedding, own.embedding)
        assert root_of(part.id) == finding
    assert catalogue.status_of(finding) == "split"
    assert len(catalogue) == len(before) + 2

    # each by itself
    catalogue.decisions.append(Decision("ada", "rename", (first,), name="cone"))
    catalogue.decisions.append(Decision("bob", "reject", (second,), reason="shadow"))
    catalogue.refresh()
    assert (catalogue.name_of(first), catalogue.status_of(first)) == ("cone", "confirmed")
    assert catalogue.status_of(second) == "rejected"
    assert catalogue.query(FindingFilter(name="cone")) == [first]
    evidence = gather_evidence(catalogue)["cone"]
    assert (evidence.findings, evidence.confirmed, evidence.sources) == (1, 1, ("human",))
    assert rows_of(fresh(catalogue)) == rows_of(catalogue)

    # undone, in the order of one's own decisions; bob's stays on record and comes back with the cut
    catalogue.decisions.undo("ada")
    undone = catalogue.decisions.undo("ada")
    assert undone is not None
    catalogue.refresh()
    assert rows_of(catalogue) == before
    assert catalogue.findings([first, second]) == []
    catalogue.decisions.undo("eve", undone.id)
    catalogue.refresh()
    assert [catalogue.status_of(p) for p in (first, second)] == ["open", "rejected"]
    assert rows_of(fresh(catalogue)) == rows_of(catalogue)


def test_a_part_can_be_cut_again(catalogue: Catalogue) -> None:
    finding = catalogue.query(order="-area")[0]
    [own] = catalogue.findings([finding])
    x0, _, x1, _ = own.box
    first, second = cut(catalogue, finding, x0 + 2)
    third, fourth = cut(catalogue, first, x1 - 2)
    assert sorted(catalogue.shown(finding)) == sorted([second, third, fourth])
    whole(own.mask(), [f.mask() for f in catalogue.findings([second, third, fourth])])
    frame = catalogue.with_parts(catalogue.store.findings_of(own.frame))
    assert len({f.number for f in frame}) == len(frame), "numbers tell the findings of a frame apart"
    numbers = {f.id: f.number for f in frame}
    decision, number = part_of_number(numbers[third]) or (0, 0)
    assert part_id(first, decision, number) == third
    assert rows_of(fresh(catalogue)) == rows_of(catalogue)
    # confirming the whole after all takes the parts away, theirs too
    catalogue.decisions.append(Decision("bob", "confirm", (finding,)))
    catalogue.refresh()
    assert catalogue.shown(finding) == [finding]
    assert not [i for i in catalogue.ids if "-s" in i]
    deep = finding
    for _ in range(4):
        deep = part_id(deep, 999_999, 0)
    with pytest.raises(StoreError, match="often enough"):
        part_tables(deep, [np.ones((2, 2), bool)] * 2)


def test_parts_follow_new_frames_and_merged_names(catalogue: Catalogue) -> None:
    finding = catalogue.query(order="-area")[0]
    first, second = cut(catalogue, finding, catalogue.row(finding)["box"][0] + 3)
    catalogue.decisions.append(Decision("ada", "rename", (first,), name="cone"))
    run = catalogue.store.runs()[0]
    with catalogue.store.writer(run) as writer:
        writer.write(*a_frame(run.id, "a/9", 2))
    catalogue.decisions.append(Decision("ada", "merge_names", name="cone", other="pylon"))
    assert catalogue.refresh()
    assert catalogue.name_of(first) == "pylon"
    assert catalogue.name_of(second) == UNNAMED
    assert len(catalogue) == 10
    assert rows_of(fresh(catalogue)) == rows_of(catalogue)


def test_searching_and_mining_know_parts(catalogue: Catalogue) -> None:
    finding = catalogue.query(order="-area")[0]
    vector, space = query_vector(catalogue, finding)
    first, second = cut(catalogue, finding, catalogue.row(finding)["box"][0] + 3)
    for where in (None, FindingFilter(status="open")):
        found = search(catalogue, vector, where, limit=20, space=space)
        assert {m.finding for m in found[:2]} == {first, second}
        assert finding not in {m.finding for m in found}
        assert len(found) == 7
    only = search(catalogue, vector, FindingFilter(status="split"), limit=20, space=space)
    assert [m.finding for m in only] == [finding]
    grouped = group_matches(catalogue, found, 0.999)
    assert grouped[0].more == (found[1].finding,), "parts have one vector: they stand together"
    own, _ = query_vector(catalogue, first)
    alike = search(catalogue, own, limit=20, space=space, leave_out=[first])
    assert not {first, second, finding} & {m.finding for m in alike}
    proposals = propose(catalogue, 10)
    assert len(proposals) == 3
    assert finding not in {p.finding for p in proposals}
    clusters = undecided_clusters(catalogue, reach=-1.0)
    assert {first, second} <= set(clusters[0].findings)
    assert finding not in clusters[0].findings


def test_bad_cuts_are_refused() -> None:
    part = part_tables("f-000", [np.ones((2, 2), bool)])[0]
    for findings, parts, told in (
        (("a", "b"), [part, part], "one finding"),
        (("a",), [part], "two parts"),
        (("a",), [part, {"rle": part["rle"]}], "area and box"),
    ):
        with pytest.raises(StoreError, match=told):
            Decision("ada", "split", findings, data={"parts": parts})
    decisions = Decisions.open("sqlite://")
    decisions.append(Decision("ada", "split", ("a",)))
    assert decisions.state("a").parts == (), "without parts it is only a mark"


def test_exports_hold_the_parts_and_imports_find_them(
    folder: Path, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Store → results → COCO: the parts, pixel by pixel; corrected there → decisions about them."""
    finding = catalogue.query(order="-area")[0]
    [own] = catalogue.findings([finding])
    first, second = cut(catalogue, finding, own.box[0] + 3)
    run = catalogue.store.runs()[0].id
    write_results(str(folder), None, run, tmp_path / "results", as_found=False)
    run_export("coco", tmp_path / "results", tmp_path / "coco", pictures="", overwrite=False)
    path = tmp_path / "coco" / "instances.json"
    coco = json.loads(path.read_text("utf-8"))
    assert len(coco["annotations"]) == 7
    masks = {f.id: f.mask() for f in catalogue.findings([first, second])}
    place = {}
    for key, mask in masks.items():
        same = [a for a in coco["annotations"] if (decode_rle(a["segmentation"]) == mask).all()]
        assert any(a["area"] == mask.sum() for a in same)
        place[key] = same[-1]
    category = {"id": 99, "name": "cone", "supercategory": ""}
    coco["categories"].append(category)
    place[first]["category_id"] = 99
    coco["annotations"].remove(place[second])
    path.write_text(json.dumps(coco))
    changes = tmp_path / "changes.jsonl"
    run_import("coco", path, tmp_path / "results", changes, pictures="", overwrite=False)
    import_decisions(str(folder), None, None, changes, "bob", {"format": "coco", "file": str(path)})
    catalogue.refresh()
    assert (catalogue.name_of(first), catalogue.status_of(second)) == ("cone", "rejected")
    assert catalogue.status_of(finding) == "split"
    write_results(str(folder), None, run, tmp_path / "as-found", as_found=True)
    rows = [json.loads(line) for line in (tmp_path / "as-found" / "results.jsonl").read_text().splitlines()]
    assert [f["rle"] for r in rows for f in r["findings"]].count(dict(encode_rle(own.mask()))) >= 1
    assert sum(len(r["findings"]) for r in rows) == 6
