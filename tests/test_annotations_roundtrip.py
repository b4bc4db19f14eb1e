"""Findings go to other tools and come back: equal pixel by pixel, and what people changed is told exactly."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageDraw

from clipomaly.errors import ConfigError, OutputError
from clipomaly.export.annotations.changes import Annotation, Change, compare, read_changes, write_changes
from clipomaly.export.annotations.cityscapes import CITYSCAPES_IDS, label_ids
from clipomaly.export.annotations.labelstudio import decode_brush, encode_brush
from clipomaly.export.annotations.outlines import fill_polygon
from clipomaly.export.annotations.shapes import Results, mask_box, picture_name, row_runs, runs_mask
from clipomaly.export.annotations.table import FORMATS, export_results, import_changes
from clipomaly.export.annotations.tables import guard_cell, unguard_cell
from clipomaly.export.annotations.yolo import yaml_text
from clipomaly.export.masks import encode_rle, region_polygons
from clipomaly.export.png import encode_png
from clipomaly.export.results import RESULTS, frame_row, to_line
from clipomaly.records import UNNAMED, Candidate, Finding, Frame, Prediction, Region, Result

KNOWN = ("road", "sky", "car")
#: What `import` is given, below the folder that was exported.
GIVEN = {
    "coco": "instances.json",
    "coco-panoptic": "panoptic.json",
    "cityscapes": "",
    "labelstudio": "tasks.json",
    "cvat": "annotations.xml",
    "yolo": "",
    "csv": "findings.csv",
    "parquet": "findings.parquet",
}
HERE = [name for name in GIVEN if name != "parquet"]
LAYERED = ["coco", "labelstudio", "cvat", "yolo", "csv"]  # findings may overlap in these
NASTY = [
    'a "b" & <c>',
    '=HYPERLINK("http://x")',
    "'quoted",
    "-1, ; \t tab",
    "é 日本 😀",
    "]]>\x07",
    "two\nlines",
    "../../up",
]


def finding(mask: np.ndarray, name: str | None) -> Finding:
    x, y, width, height = mask_box(mask)
    region = Region((x, y, width, height), mask[y : y + height, x : x + width], 0.8, mask.shape)
    candidates = (Candidate(name or "deer", "dictionary", 0.3, 0.1, 0),)
    return Finding(region, name, 0.7, candidates, "road", -0.25)


def add_frame(folder: Path, name: str, masks: Sequence[np.ndarray], names: Sequence[str | None]) -> None:
    """One more line of `results.jsonl`, and its label map: a sky over a road, and what was found."""
    size = masks[0].shape if masks else (6, 8)
    entered = tuple(dict.fromkeys(n for n in names if n is not None))
    labels = np.zeros(size, np.int64)
    labels[: size[0] // 2] = 1
    for mask, called in zip(masks, names, strict=True):
        if called is not None:
            labels[mask] = len(KNOWN) + entered.index(called)
    found = tuple(finding(m, n) for m, n in zip(masks, names, strict=True))
    prediction = Prediction(
        np.full(size, 0.5, np.float32), np.zeros(size, bool), labels, KNOWN + entered, len(KNOWN), found
    )
    frame = Frame(np.zeros((*size, 3), np.uint8), name=name, source=f"in/{name}.jpg")
    files = {"labels": f"{name}.labels.png"}
    path = folder / files["labels"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(labels.astype(np.uint16)))
    row = frame_row(Result(frame, prediction, {}), files=files, score_scale=(0, 1), policies={})
    with open(folder / RESULTS, "ab") as file:
        file.write(to_line(row))


def box(size: tuple[int, int], x: int, y: int, width: int, height: int) -> np.ndarray:
    out = np.zeros(size, bool)
    out[y : y + height, x : x + width] = True
    return out


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three frames: a named and an unnamed thing with a hole, nothing, and one thing."""
    folder, size = tmp_path / "results", (24, 37)
    ring = box(size, 3, 14, 9, 8) & ~box(size, 5, 16, 4, 3)
    add_frame(folder, "a/1", [box(size, 20, 3, 8, 6), ring], ["moose", None])
    add_frame(folder, "a/2", [], [])
    add_frame(folder, "b/1", [box((5, 7), 2, 2, 1, 1)], ["hay bale"])
    return folder


def there_and_back(form: str, folder: Path, out: Path) -> list[Change]:
    export_results(form, folder, out)
    return list(import_changes(form, out / GIVEN[form], folder))


# --- lossless ----------------------------------------------------------------------------------------------

PARTS = hnp.arrays(
    np.int8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=19), elements=st.integers(0, 4)
)


@pytest.mark.parametrize("form", HERE)
@settings(max_examples=10, deadline=None)
@given(parts=PARTS, names=st.lists(st.sampled_from([None, "moose", *NASTY]), min_size=4, max_size=4))
@example(parts=np.ones((1, 1), np.int8), names=["moose"] * 4)  # one pixel, the whole picture
@example(parts=np.ones((7, 13), np.int8), names=[None] * 4)
@example(parts=np.indices((9, 11)).sum(0).astype(np.int8) % 2, names=[None] * 4)
@example(
    parts=np.arange(8 * 15, dtype=np.int8).reshape(8, 15), names=["moose", None] * 60
)  # 119 of one pixel
def test_a_round_trip_changes_nothing(form: str, parts: np.ndarray, names: list[str | None]) -> None:
    masks = [parts == v for v in np.unique(parts) if v > 0]
    with tempfile.TemporaryDirectory() as folder:
        add_frame(Path(folder) / "r", "f", masks or [], names[: len(masks)])
        back = there_and_back(form, Path(folder) / "r", Path(folder) / "out")
    assert [(c.status, c.name, c.finding) for c in back] == [
        ("unchanged", name, i) for i, name in enumerate(names[: len(masks)])
    ]
    for change, mask in zip(back, masks, strict=True):
        np.testing.assert_array_equal(change.mask(), mask)


@pytest.mark.parametrize("form", LAYERED)
def test_findings_that_overlap_stay_apart(form: str, tmp_path: Path) -> None:
    size = (12, 17)
    masks = [box(size, 2, 2, 8, 8), box(size, 2, 2, 8, 8), box(size, 3, 3, 9, 8)]
    add_frame(tmp_path / "r", "f", masks, ["moose", "deer", "moose"])
    back = there_and_back(form, tmp_path / "r", tmp_path / "out")
    assert [(c.status, c.name) for c in back] == [("unchanged", n) for n in ("moose", "deer", "moose")]


@pytest.mark.parametrize("form", ["coco-panoptic", "cityscapes"])
def test_maps_refuse_findings_that_overlap(form: str, tmp_path: Path) -> None:
    size = (12, 17)
    add_frame(tmp_path / "r", "a", [box(size, 2, 2, 8, 8)], ["moose"])
    add_frame(tmp_path / "r", "f", [box(size, 2, 2, 8, 8), box(size, 3, 3, 9, 8)], ["moose", "deer"])
    with pytest.raises(OutputError, match="overlap, which no map can hold: export coco"):
        export_results(form, tmp_path / "r", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.*"))  # nothing of the frame before it


def test_yolo_draws_outlines_that_the_results_lack(results: Path, tmp_path: Path) -> None:
    file = results / "results.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    for finding in (f for row in rows for f in row["findings"]):
        del finding["polygons"]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert [c.status for c in there_and_back("yolo", results, tmp_path / "out")] == ["unchanged"] * 3


def test_parquet_comes_back_too(results: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    back = there_and_back("parquet", results, tmp_path / "out")
    assert [c.status for c in back] == ["unchanged"] * 3


# --- what people change ------------------------------------------------------------------------------------


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), "utf-8")


def coco_edits(out: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        ids = {c["name"]: c["id"] for c in data["categories"]}
        data["categories"].append({"id": 99, "name": "pallet"})
        first, ring, bale = data["annotations"]
        first["category_id"] = 99
        ring["segmentation"] = encode_rle(box((24, 37), 3, 14, 9, 8))
        new = {"id": 7, "image_id": bale["image_id"], "category_id": ids[UNNAMED]}
        new["segmentation"] = [[0, 0, 2, 0, 2, 1, 0, 1]]
        data["annotations"] = [first, ring, new]

    edit_json(out / "instances.json", change)


def labelstudio_edits(out: Path) -> None:
    def change(tasks: list[dict[str, Any]]) -> None:
        for task in tasks:
            task["annotations"] = task.pop("predictions")
        first, ring = tasks[0]["annotations"][0]["result"]
        first["value"]["brushlabels"] = ["pallet"]
        ring["value"]["rle"] = encode_brush(box((24, 37), 3, 14, 9, 8))
        [bale] = tasks[2]["annotations"][0]["result"]
        corners = [[0, 0], [200 / 7, 0], [200 / 7, 20], [0, 20]]
        value = {"points": corners, "polygonlabels": [UNNAMED]}
        tasks[2]["annotations"][0]["result"] = [bale | {"id": "x", "type": "polygonlabels", "value": value}]

    edit_json(out / "tasks.json", change)


def cvat_edits(out: Path) -> None:
    tree = ElementTree.parse(out / "annotations.xml")
    images = tree.getroot().findall("image")
    first, ring = images[0].findall("mask")
    first.set("label", "pallet")
    ring.set("rle", "0, 72")
    images[2].remove(images[2].findall("mask")[0])
    ElementTree.SubElement(images[2], "box", label=UNNAMED, occluded="0", xtl="0", ytl="0", xbr="2", ybr="1")
    tree.write(out / "annotations.xml")


def csv_edits(out: Path) -> None:
    path = out / "findings.csv"
    rows = list(csv.reader(io.StringIO(path.read_text("utf-8"), newline="")))
    at = {name: i for i, name in enumerate(rows[0])}
    rows[1][at["name"]] = "pallet"
    rows[2][at["area"]], rows[2][at["rle"]] = "72", encode_rle(box((24, 37), 3, 14, 9, 8))["counts"]
    rows[4][at["finding"]] = rows[4][at["name"]] = ""
    rows[4][at["area"]], rows[4][at["rle"]] = "2", guard_cell(encode_rle(box((5, 7), 0, 0, 2, 1))["counts"])
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows)


def yolo_edits(out: Path) -> None:
    names = (out / "classes.txt").read_text("utf-8").splitlines()
    (out / "classes.txt").write_text("\n".join([*names, "pallet"]) + "\n", "utf-8")
    path = out / "labels" / "a" / "1.txt"
    first, ring = path.read_text().splitlines()
    whole = " ".join(f"{v:.6f}" for x, y in ((3, 14), (12, 14), (12, 22), (3, 22)) for v in (x / 37, y / 24))
    path.write_text(f"{len(names)} {first.split(maxsplit=1)[1]}\n{ring.split()[0]} {whole} 0.0811 0.9166\n")
    (out / "labels" / "b" / "1.txt").write_text(f"{names.index(UNNAMED)} 0 0 0.285715 0 0.285715 0.2 0 0.2\n")


def panoptic_edits(out: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["categories"].append({"id": 99, "name": "pallet", "isthing": 1})
        unnamed = next(c["id"] for c in data["categories"] if c["name"] == UNNAMED)
        segments = {s.get("finding"): s for s in data["annotations"][0]["segments_info"]}
        segments[0]["category_id"] = 99
        paint(out / "panoptic" / "a" / "1.png", box((24, 37), 3, 14, 9, 8), [segments[1]["id"], 0, 0])
        bale = next(s for s in data["annotations"][2]["segments_info"] if "finding" in s)
        data["annotations"][2]["segments_info"].remove(bale)
        data["annotations"][2]["segments_info"].append({"id": 200, "category_id": unnamed})
        paint(out / "panoptic" / "b" / "1.png", box((5, 7), 0, 0, 2, 1), [200, 0, 0])

    edit_json(out / "panoptic.json", change)


def paint(path: Path, mask: np.ndarray, value: Any) -> None:
    pixels = np.array(Image.open(path))
    pixels[mask] = value
    Image.fromarray(pixels).save(path)


def cityscapes_edits(out: Path) -> None:
    edit_json(out / "labels.json", lambda rows: rows.append({"name": "pallet", "id": 60}))
    labels = {row["name"]: row["id"] for row in json.loads((out / "labels.json").read_text())}
    first = out / "a" / "1_gtFine_instanceIds.png"
    paint(first, box((24, 37), 20, 3, 8, 6), 60_000)
    paint(first, box((24, 37), 3, 14, 9, 8), 1000 * labels[UNNAMED])
    last = out / "b" / "1_gtFine_instanceIds.png"
    paint(last, box((5, 7), 2, 2, 1, 1), 7)
    paint(last, box((5, 7), 0, 0, 2, 1), 1000 * labels[UNNAMED])


EDITS = {
    "coco": coco_edits,
    "coco-panoptic": panoptic_edits,
    "cityscapes": cityscapes_edits,
    "labelstudio": labelstudio_edits,
    "cvat": cvat_edits,
    "yolo": yolo_edits,
    "csv": csv_edits,
}


@pytest.mark.parametrize("form", HERE)
def test_what_people_changed_is_told(form: str, results: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_results(form, results, out)
    EDITS[form](out)
    changes = list(import_changes(form, out / GIVEN[form], results))
    assert [(c.frame, c.finding, c.status, c.name, c.previous) for c in changes] == [
        ("a/1", 0, "renamed", "pallet", "moose"),
        ("a/1", 1, "mask changed", None, None),
        ("b/1", 0, "removed", "hay bale", "hay bale"),
        ("b/1", None, "added", None, None),
    ]
    np.testing.assert_array_equal(changes[1].mask(), box((24, 37), 3, 14, 9, 8))
    np.testing.assert_array_equal(changes[2].mask(), box((5, 7), 2, 2, 1, 1))
    np.testing.assert_array_equal(changes[3].mask(), box((5, 7), 0, 0, 2, 1))
    counts = write_changes(tmp_path / "c.jsonl", changes, {"format": form})
    assert counts == {"renamed": 1, "mask changed": 1, "removed": 1, "added": 1}
    assert list(read_changes(tmp_path / "c.jsonl")) == changes
    row = json.loads((tmp_path / "c.jsonl").read_text().splitlines()[1])
    assert (row["area"], row["box"], row["format"]) == (72, [3, 14, 9, 8], form)


def test_matching_prefers_numbers_then_equal_masks_then_overlap(results: Path) -> None:
    frame = Results(results).frame_named("a/1")
    assert frame is not None
    moose, ring = (s.mask() for s in frame.shapes)
    size = frame.size

    def told(*annotations: Annotation) -> list[tuple[str, str | None]]:
        return [(c.status, c.name) for c in compare(frame, annotations)]

    far = box(size, 0, 0, 2, 2)
    assert told(Annotation(ring, "moose", 0), Annotation(moose, UNNAMED, 1)) == [
        ("mask changed", "moose"),
        ("mask changed", None),
    ]
    assert told(Annotation(far, "moose", 0)) == [("mask changed", "moose"), ("removed", None)]
    assert told(Annotation(far, "moose", 9))[0] == ("removed", "moose"), "9 is no finding of this frame"
    # a copy keeps its original's number: the original is the one that fits
    copied = told(Annotation(far, "calf", 0), Annotation(moose, "moose", 0), Annotation(ring, "", None))
    assert copied == [("unchanged", "moose"), ("unchanged", None), ("added", "calf")]
    most, half = box(size, 20, 3, 8, 5), box(size, 20, 3, 8, 3)
    assert told(Annotation(half, "b"), Annotation(most, "a"), Annotation(ring, "x")) == [
        ("renamed and mask changed", "a"),
        ("renamed", "x"),
        ("added", "b"),
    ]
    less = box(size, 20, 3, 8, 2)
    assert [s for s, _ in told(Annotation(less, "a"))] == ["removed", "removed", "added"]
    assert told(Annotation(np.zeros(size, bool), "nothing", 0))[0] == ("removed", "moose")


def test_frames_that_the_file_does_not_speak_of_are_left_alone(results: Path, tmp_path: Path) -> None:
    export_results("coco", results, tmp_path / "out")

    def only_the_last(data: dict[str, Any]) -> None:
        data["images"] = data["images"][-1:]
        data["annotations"] = []

    edit_json(tmp_path / "out" / "instances.json", only_the_last)
    changes = list(import_changes("coco", tmp_path / "out" / "instances.json", results))
    assert [(c.frame, c.status) for c in changes] == [("b/1", "removed")]


def test_label_studio_takes_the_newest_annotation_that_stands(results: Path, tmp_path: Path) -> None:
    export_results("labelstudio", results, tmp_path / "out")

    def annotate(tasks: list[dict[str, Any]]) -> None:
        task = tasks[0]
        del task["data"]["frame"]
        task["data"]["image"] = "/data/upload/3/0123abcd-1.jpg"
        del tasks[1:]
        old, new, gone = (json.loads(json.dumps(task["predictions"][0])) for _ in range(3))
        new["result"][0]["value"]["brushlabels"] = ["elk"]
        old["updated_at"], new["updated_at"], gone["updated_at"] = "2024-01-01", "2024-01-02", "2024-01-03"
        gone["was_cancelled"], gone["result"] = True, []
        task["annotations"] = [new, old, gone]
        task["data"]["image"] = "/data/local-files/?d=a/0123abcd-1.jpg"

    edit_json(tmp_path / "out" / "tasks.json", annotate)
    changes = list(import_changes("labelstudio", tmp_path / "out" / "tasks.json", results))
    assert [(c.frame, c.name, c.status) for c in changes] == [
        ("a/1", "elk", "renamed"),
        ("a/1", None, "unchanged"),
    ]


# --- what the formats say ----------------------------------------------------------------------------------


def test_coco_is_read_by_pycocotools(results: Path, tmp_path: Path) -> None:
    coco_module = pytest.importorskip("pycocotools.coco")
    [path] = export_results("coco", results, tmp_path / "out", prefix="photos/")
    coco = coco_module.COCO(str(path))
    assert [i["file_name"] for i in coco.dataset["images"]] == [
        "photos/a/1.jpg",
        "photos/a/2.jpg",
        "photos/b/1.jpg",
    ]
    expected = [s for f in Results(results).frames() for s in f.shapes]
    for annotation, shape in zip(coco.dataset["annotations"], expected, strict=True):
        np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), shape.mask())
        assert annotation["area"] == shape.row["area"]
        assert annotation["bbox"] == shape.row["box"]
    names = [c["name"] for c in coco.loadCats(coco.getCatIds())]
    assert names == ["road", "sky", "car", "hay bale", "moose", UNNAMED]
    assert {c.status for c in import_changes("coco", path, results, prefix="photos/")} == {"unchanged"}


def test_panoptic_segments_cover_every_pixel_once(results: Path, tmp_path: Path) -> None:
    [path] = export_results("coco-panoptic", results, tmp_path / "out")
    data = json.loads(path.read_text())
    for annotation in data["annotations"]:
        rgb = np.asarray(Image.open(tmp_path / "out" / "panoptic" / annotation["file_name"])).astype(int)
        ids, counts = np.unique(rgb @ [1, 256, 65536], return_counts=True)
        told = {s["id"]: s["area"] for s in annotation["segments_info"]}
        assert told == dict(zip(ids.tolist(), counts.tolist(), strict=True))
        assert 0 not in told


def test_pixels_of_a_name_outside_its_findings_are_a_crowd(tmp_path: Path) -> None:
    add_frame(tmp_path / "r", "f", [box((6, 8), 0, 0, 2, 2), box((6, 8), 5, 5, 1, 1)], ["moose", "deer"])
    labels = np.zeros((6, 8), np.uint8)
    labels[2:4] = KNOWN.index("car") + 1  # moose, where there is no finding
    (tmp_path / "r" / "f.labels.png").write_bytes(encode_png(labels))
    for form in ("coco-panoptic", "cityscapes"):
        back = there_and_back(form, tmp_path / "r", tmp_path / form)
        assert [c.status for c in back] == ["unchanged"] * 2
    data = json.loads((tmp_path / "coco-panoptic" / "panoptic.json").read_text())
    crowds = [s for s in data["annotations"][0]["segments_info"] if s["iscrowd"]]
    assert [s["area"] for s in crowds] == [16]
    instances = np.asarray(Image.open(tmp_path / "cityscapes" / "f_gtFine_instanceIds.png"))
    assert np.all(instances[2:4] == label_ids(Results(tmp_path / "r"))["moose"])


@settings(max_examples=25, deadline=None)
@given(PARTS)
def test_cityscapes_outlines_paint_the_label_map(parts: np.ndarray) -> None:
    masks = [parts == v for v in np.unique(parts) if v > 0]
    with tempfile.TemporaryDirectory() as folder:
        add_frame(Path(folder) / "r", "f", masks, ["moose", None, "deer", "moose"][: len(masks)])
        out = Path(folder) / "out"
        export_results("cityscapes", Path(folder) / "r", out)
        ids = label_ids(Results(Path(folder) / "r"))
        outlines = json.loads((out / "f_gtFine_polygons.json").read_text())
        canvas = Image.new("L", (outlines["imgWidth"], outlines["imgHeight"]))
        drawer = ImageDraw.Draw(canvas)
        for item in outlines["objects"]:  # as the data set's own painter does
            drawer.polygon([tuple(p) for p in item["polygon"]], fill=ids[item["label"]])
        np.testing.assert_array_equal(
            np.asarray(canvas), np.asarray(Image.open(out / "f_gtFine_labelIds.png"))
        )


def test_cityscapes_ids_are_the_data_sets_own(results: Path, tmp_path: Path) -> None:
    export_results("cityscapes", results, tmp_path / "out")
    rows = {r["name"]: r for r in json.loads((tmp_path / "out" / "labels.json").read_text())}
    assert [(rows[n]["id"], rows[n]["trainId"]) for n in KNOWN] == [(7, 0), (23, 1), (26, 2)]
    assert [(rows[n]["id"], rows[n]["trainId"]) for n in (UNNAMED, "hay bale", "moose")] == [
        (34, 255),
        (35, 255),
        (36, 255),
    ]
    assert (CITYSCAPES_IDS["unlabeled"], CITYSCAPES_IDS["bicycle"], len(CITYSCAPES_IDS)) == (0, 33, 34)
    train = np.asarray(Image.open(tmp_path / "out" / "a" / "1_gtFine_labelTrainIds.png"))
    labels = np.asarray(Image.open(tmp_path / "out" / "a" / "1_gtFine_labelIds.png"))
    for name, row in rows.items():
        assert set(train[labels == row["id"]]) <= {row["trainId"]}, name


def test_more_names_than_instances_have_ids_for(tmp_path: Path) -> None:
    names = [f"thing {i:03d}" for i in range(300)]
    masks = [np.arange(300).reshape(15, 20) == i for i in range(300)]
    add_frame(tmp_path / "r", "f", masks, names)
    back = there_and_back("cityscapes", tmp_path / "r", tmp_path / "out")
    assert [(c.status, c.name) for c in back] == [("unchanged", n) for n in names]
    labels = np.asarray(Image.open(tmp_path / "out" / "f_gtFine_labelIds.png"))
    assert labels.max() == 34 + 300


@pytest.mark.parametrize(
    ("mask", "expected"),
    [  # from label-studio-sdk 2.1.2, converter.brush.mask2rle
        ([[1]], "00000004391bfc7fe0"),
        ([[0, 1, 1], [1, 0, 0], [0, 0, 1]], "00000024391bfc6016ffef8047fe"),
        (np.pad(np.ones((3, 4)), ((1, 1), (2, 1))), "0000008c391bfe2300bfff6c02fffdb00bfff87c00"),
        (np.ones((160, 161)), "00019280391bfffffffff24fffe0"),
    ],
)
def test_brush_masks_equal_the_reference(mask: Any, expected: str) -> None:
    ours = encode_brush(np.array(mask, bool))
    assert bytes(ours).hex() == expected


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=60)))
@example(np.ones((200, 201), bool))  # a run beyond 16 bits
@example(np.ones((128, 128), bool))  # exactly 16 bits
def test_masks_in_each_spelling(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_brush(encode_brush(mask), mask.shape), mask)
    np.testing.assert_array_equal(runs_mask(row_runs(mask), mask.shape, ""), mask)


def test_a_brush_mask_with_single_words() -> None:
    """Label Studio itself also writes packets of words that do not repeat."""
    alpha = [0, 9, 255, 255, 0]
    words = [v for a in alpha for v in (1, 2, 3, a)]
    bits = f"{len(words):032b}{7:05b}" + "".join(f"{s - 1:04b}" for s in (3, 4, 8, 16))
    bits += "0" + "10" + f"{len(words) - 1:08b}" + "".join(f"{w:08b}" for w in words)
    bits += "0" * (-len(bits) % 8)
    data = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert decode_brush(data, (1, 5)).tolist() == [[False, True, True, True, False]]


@settings(max_examples=25, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=15)).filter(np.any))
def test_exact_outlines_fill_to_the_region_without_its_holes(mask: np.ndarray) -> None:
    x, y, width, height = mask_box(mask)
    region = Region((x, y, width, height), mask[y : y + height, x : x + width], 0.5, mask.shape)
    filled = np.zeros(mask.shape, bool)
    for polygon in region_polygons(region, tolerance=0):
        filled |= fill_polygon(np.array(polygon, float).reshape(-1, 2), mask.shape)
    assert not (mask & ~filled).any()
    flood = np.pad(~mask, 1, constant_values=True)
    seen = np.zeros_like(flood)
    seen[0, 0] = True
    while True:  # background that is reached from outside by its sides
        grown = seen.copy()
        grown[1:] |= seen[:-1]
        grown[:-1] |= seen[1:]
        grown[:, 1:] |= seen[:, :-1]
        grown[:, :-1] |= seen[:, 1:]
        grown &= flood
        if np.array_equal(grown, seen):
            break
        seen = grown
    np.testing.assert_array_equal(filled, ~seen[1:-1, 1:-1])


def test_cvat_masks_are_rows_within_their_box(results: Path, tmp_path: Path) -> None:
    path, labels = export_results("cvat", results, tmp_path / "out")
    root = ElementTree.parse(path).getroot()
    ring = root.findall("image")[0].findall("mask")[1]
    assert {k: ring.get(k) for k in ("label", "left", "top", "width", "height")} == {
        "label": UNNAMED, "left": "3", "top": "14", "width": "9", "height": "8",
    }  # fmt: skip
    assert ring.get("rle") == "0, 20, 4, 5, 4, 5, 4, 30"
    assert [e.text for e in root.iterfind("meta/task/labels/label/name")] == [
        e["name"] for e in json.loads(labels.read_text())
    ]


def test_names_are_data_in_every_format(tmp_path: Path) -> None:
    size = (3, len(NASTY))
    masks = [box(size, i, 1, 1, 1) for i in range(len(NASTY))]
    add_frame(tmp_path / "r", "f", masks, NASTY)
    for form in HERE:
        export_results(form, tmp_path / "r", tmp_path / form)
    with open(tmp_path / "csv" / "findings.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for key in ("frame", "name", "candidates", "rle"):
                assert not row[key].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    root = ElementTree.parse(tmp_path / "cvat" / "annotations.xml").getroot()
    assert [m.get("label") for m in root.iter("mask")] == [n.replace("\x07", "\ufffd") for n in NASTY]
    config = ElementTree.parse(tmp_path / "labelstudio" / "labeling_config.xml").getroot()
    assert len(list(config.iter("Label"))) == len(KNOWN) + len(NASTY) + 1
    lines = (tmp_path / "yolo" / "classes.txt").read_text("utf-8").split("\n")
    assert len(lines) == len(KNOWN) + len(NASTY) + 2
    yaml = pytest.importorskip("yaml")
    names = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text("utf-8"))["names"]
    assert sorted(names.values()) == sorted([*KNOWN, *NASTY, UNNAMED])
    written = {p.relative_to(tmp_path).parts[0] for p in tmp_path.rglob("*") if p.is_file()}
    assert written == {"r", *HERE}


@given(st.text())
def test_guarded_cells_come_back_and_start_no_formula(text: str) -> None:
    assert unguard_cell(guard_cell(text)) == text
    assert not guard_cell(text).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"])))
def test_yaml_reads_names_back(text: str) -> None:
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load("a: " + yaml_text(text)) == {"a": text}


@pytest.mark.parametrize(
    ("frame", "source", "expected"),
    [
        ("a/1", "photos/a/1.jpg", "a/1.jpg"),
        ("1.png", "photos/1.png", "1.png"),
        ("1", "https://example.org/x/1.webp?size=2", "1.webp"),
        ("drive#000123", "drive.mp4", "drive#000123.png"),
        ("x", "", "x.png"),
    ],
)
def test_pictures_keep_their_names(frame: str, source: str, expected: str) -> None:
    assert picture_name({"frame": frame, "source": source}) == expected


def test_pictures_are_found_again_wherever_they_lie(results: Path) -> None:
    opened = Results(results)
    for picture in (
        "a/1.jpg",
        "photos/a/1.jpg",
        "/data/local-files/?d=photos/a/1.jpg",
        "C:\\p\\a\\1.jpg",
        "a/1",
    ):
        assert opened.frame_of(picture).name == "a/1"
    assert opened.frame_of("2.jpg").name == "a/2"


# --- the command line --------------------------------------------------------------------------------------


def test_every_format_is_listed_and_tested() -> None:
    assert set(FORMATS) == set(GIVEN)
    assert set(EDITS) | {"parquet"} == set(GIVEN)


def test_a_folder_that_may_hold_corrections_is_not_touched(results: Path, tmp_path: Path) -> None:
    [path] = export_results("coco", results, tmp_path / "out")
    path.write_text("corrected")
    with pytest.raises(OutputError, match="--overwrite"):
        export_results("coco", results, tmp_path / "out")
    assert path.read_text() == "corrected"
    export_results("coco", results, tmp_path / "out", overwrite=True)
    assert list(import_changes("coco", path, results))


def test_an_unknown_format_is_told_with_those_there_are(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="coco, coco-panoptic"):
        export_results("pascal", results, tmp_path / "out")


def clipomaly(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clipomaly", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_export_and_import_from_the_command_line(results: Path, tmp_path: Path) -> None:
    done = clipomaly("export", "cvat", results, "--out", tmp_path / "cvat")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith("annotations.xml")
    cvat_edits(tmp_path / "cvat")
    arguments = ("import", "cvat", tmp_path / "cvat" / "annotations.xml", "--results", results)
    done = clipomaly(*arguments, "--out", tmp_path / "c.jsonl")
    assert done.returncode == 0, done.stderr
    assert "1 renamed, 1 mask changed, 1 removed, 1 added" in done.stderr
    assert len(list(read_changes(tmp_path / "c.jsonl"))) == 4
    again = clipomaly(*arguments, "--out", tmp_path / "c.jsonl")
    assert again.returncode == 1
    assert "--overwrite" in again.stderr
