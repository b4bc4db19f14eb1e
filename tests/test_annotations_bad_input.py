"""Files of other tools that are damaged, foreign or hostile: one line that helps, never a wrong mask."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipomaly.errors import DataError, MissingExtra, OutputError
from clipomaly.export.annotations.changes import read_changes
from clipomaly.export.annotations.shapes import Results
from clipomaly.export.annotations.table import export_results, import_changes
from clipomaly.export.masks import encode_rle
from clipomaly.export.png import encode_png
from clipomaly.export.results import RESULTS

GIVEN = {
    "coco": "instances.json",
    "labelstudio": "tasks.json",
    "cvat": "annotations.xml",
    "csv": "findings.csv",
}
GIVEN |= {"coco-panoptic": "panoptic.json", "cityscapes": "", "yolo": ""}
SIZE = (6, 9)
MASK = np.zeros(SIZE, bool)
MASK[1:4, 2:6] = True


def row(name: str = "f", **changes: Any) -> dict[str, Any]:
    outline = [2, 1, 6, 1, 6, 4, 2, 4]
    finding = {"id": 0, "name": "moose", "rle": encode_rle(MASK), "box": [2, 1, 4, 3], "polygons": [outline]}
    values = {"schema": 1, "frame": name, "source": f"in/{name}.jpg", "height": SIZE[0], "width": SIZE[1]}
    values |= {"names": ["road", "moose"], "n_known": 1, "files": {"labels": "f.labels.png"}}
    return values | {"findings": [finding]} | changes


def write_rows(folder: Path, *rows: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "f.labels.png").write_bytes(encode_png(MASK.astype(np.uint8)))
    (folder / RESULTS).write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "results", row())


def changed(form: str, results: Path, out: Path, before: str, after: str) -> Path:
    """The export with one text replaced."""
    export_results(form, results, out)
    path = out / GIVEN[form]
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")
    return path


RLE = encode_rle(MASK)["counts"]


@pytest.mark.parametrize(
    ("form", "before", "after", "message"),
    [
        ("coco", '"categories"', '"cats"', "not a COCO file"),
        ("coco", "{", "", "not valid JSON"),
        ("coco", '"image_id":1', '"image_id":5', "not a COCO file"),
        ("coco", RLE.replace("\\", "\\\\"), "0" * 99, "do not fill"),
        ("coco", RLE.replace("\\", "\\\\"), RLE[:-1].replace("\\", "\\\\"), "do not fill"),
        ("coco", RLE.replace("\\", "\\\\"), "", "damaged"),
        ("coco", '"size":[6,9]', '"size":[9,6]', "resized"),
        ("coco", '"width":9', '"width":10', "resized"),
        ("coco", "f.jpg", "g.jpg", "not a frame"),
        ("coco", '"segmentation":{', '"segmentation":[[1,2,3]],"x":{', "outline"),
        ("coco", '"segmentation":{', '"segmentation":[[1,2,3,4,1e300,5]],"x":{', "beyond"),
        ("cvat", "<annotations>", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotations>", "document type"),
        ("cvat", "</annotations>", "", "not valid XML"),
        ("cvat", 'rle="0, 12"', 'rle="0, 13"', "do not fill"),
        ("cvat", 'rle="0, 12"', 'rle="0, -1, 13"', "do not fill"),
        ("cvat", 'rle="0, 12"', 'rle="twelve"', "not numbers"),
        ("cvat", 'rle="0, 12"', f'rle="0, {10**30}"', "not numbers"),
        ("cvat", 'left="2"', 'left="6"', "beyond its picture"),
        ("cvat", 'top="1"', 'top="-1"', "beyond its picture"),
        ("cvat", 'width="4"', 'width="wide"', "a mask is damaged"),
        ("labelstudio", '"original_width":9', '"original_width":18', "resized"),
        ("labelstudio", '"image_rotation":0', '"image_rotation":90', "turned"),
        ("labelstudio", '"rle":[0,0,0', '"rle":[0,0,9', "brush mask is damaged"),
        ("labelstudio", '"rle":[0,0,0', '"rle":[999,0,0', "brush mask is damaged"),
        ("labelstudio", '"format":"rle","rle"', '"points":[[1,2,3]],"was"', "not laid out"),
        ("coco-panoptic", '"category_id":2', '"category_id":[2]', "segment of category"),
        ("labelstudio", '"data"', '"task"', "not laid out"),
        ("csv", ",12,", ",13,", "cut off"),
        ("csv", "area", "pixels", "lacks one of the columns"),
        ("csv", "\nf,", "\n../f,", "no frame of|not a frame of"),
    ],
)
def test_damaged_files_are_refused(
    form: str, before: str, after: str, message: str, results: Path, tmp_path: Path
) -> None:
    path = changed(form, results, tmp_path / "out", before, after)
    with pytest.raises(DataError, match=message):
        list(import_changes(form, path, results))


def test_a_brush_mask_that_ends_early_is_refused(results: Path, tmp_path: Path) -> None:
    export_results("labelstudio", results, tmp_path / "out")
    path = tmp_path / "out" / "tasks.json"
    tasks = json.loads(path.read_text())
    value = tasks[0]["predictions"][0]["result"][0]["value"]
    value["rle"] = value["rle"][:9]
    path.write_text(json.dumps(tasks))
    with pytest.raises(DataError, match="brush mask is damaged"):
        list(import_changes("labelstudio", path, results))


def test_panoptic_pictures_are_looked_for_in_their_folder_alone(results: Path, tmp_path: Path) -> None:
    path = changed(
        "coco-panoptic", results, tmp_path / "out", '"file_name":"f.png"', '"file_name":"../../f.png"'
    )
    with pytest.raises(OutputError, match="leave the output folder"):
        list(import_changes("coco-panoptic", path, results))


def test_maps_of_another_size_are_refused(results: Path, tmp_path: Path) -> None:
    export_results("cityscapes", results, tmp_path / "out")
    Image.new("I;16", (4, 4)).save(tmp_path / "out" / "f_gtFine_instanceIds.png")
    with pytest.raises(DataError, match="resized"):
        list(import_changes("cityscapes", tmp_path / "out", results))


@pytest.mark.parametrize(
    ("line", "message"),
    [("9 0 0 1 0 1 1", "class 9"), ("0 0.5 0.5 0.1 0.1", "boxes are not read"), ("0 a b c d e f", "outline")],
)
def test_yolo_lines_that_say_nothing_are_refused(
    line: str, message: str, results: Path, tmp_path: Path
) -> None:
    export_results("yolo", results, tmp_path / "out")
    (tmp_path / "out" / "labels" / "f.txt").write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        list(import_changes("yolo", tmp_path / "out", results))


def test_cvat_gives_a_zip_file(results: Path, tmp_path: Path) -> None:
    [path, _] = export_results("cvat", results, tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.write(path, "annotations.xml")
    assert [c.status for c in import_changes("cvat", tmp_path / "task.zip", results)] == ["unchanged"]
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.write(path, "other.xml")
    with pytest.raises(DataError, match=r"does not hold one annotations\.xml"):
        list(import_changes("cvat", tmp_path / "task.zip", results))


@pytest.mark.parametrize("form", sorted(GIVEN))
def test_a_file_that_is_not_there(form: str, results: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read|no label files"):
        list(import_changes(form, tmp_path / "missing", results))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": "../f"}, "leave the output folder"),
        ({"frame": "/etc/f"}, "leave the output folder"),
        ({"names": None}, "damaged"),
        ({"n_known": 9}, "damaged"),
        ({"height": 7}, "damaged"),
        ({"findings": [{"id": 0}]}, "damaged"),
        ({"files": {"labels": "../outside.png"}}, "no file of labels"),
        ({"files": {}}, "no file of labels"),
        ({"names": ["road"]}, "without a name"),
    ],
)
def test_results_that_lead_elsewhere_are_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "outside.png").write_bytes(encode_png(MASK.astype(np.uint8)))
    folder = write_rows(tmp_path / "results", row(**changes))
    with pytest.raises(DataError, match=message):
        export_results("coco-panoptic", folder, tmp_path / "out")
    assert not (tmp_path / "out" / "panoptic.json").exists()


def test_a_picture_that_may_be_two_frames(tmp_path: Path) -> None:
    results = Results(write_rows(tmp_path / "r", row("a/1"), row("b/1"), row("c/2")))
    with pytest.raises(DataError, match="may be any of a/1, b/1"):
        results.frame_of("1.jpg")
    assert results.frame_of("x/b/1.jpg").name == "b/1"


def test_a_frame_that_stands_twice(results: Path, tmp_path: Path) -> None:
    folder = write_rows(tmp_path / "r", row(), row())
    with pytest.raises(DataError, match="stands twice"):
        export_results("coco", folder, tmp_path / "out")
    export_results("labelstudio", results, tmp_path / "ls")
    path = tmp_path / "ls" / "tasks.json"
    tasks = json.loads(path.read_text())
    path.write_text(json.dumps([tasks[0], tasks[0]]))
    with pytest.raises(DataError, match="twice"):
        list(import_changes("labelstudio", path, results))


def test_parquet_says_what_to_install(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"\.\[parquet\]"):
        export_results("parquet", results, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_changes_of_another_schema_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"schema": 2}\n')
    with pytest.raises(DataError, match="line 1"):
        list(read_changes(tmp_path / "c.jsonl"))
