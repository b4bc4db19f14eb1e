"""Readers of published sets: small folders in each one's layout, with the traps that occur in the wild."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipomaly.data.datasets import DATASETS, open_dataset, read_label
from clipomaly.data.driving import mapillary_class
from clipomaly.data.samples import ANY_DEFECT
from clipomaly.errors import DataError
from clipomaly.vocabulary import load_vocabulary

SIZE = (7, 11)  # odd on purpose
PICTURE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


def write(path: Path, array: np.ndarray, kind: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return path


def label(*values: int) -> np.ndarray:
    return np.resize(np.array(values, np.uint8), SIZE)


def read(name: str, folder: Path, split: str | None = None) -> dict[str, np.ndarray]:
    samples = open_dataset(name, folder, split)
    return {s.name: s.load()[1] for s in samples}


def same(found: np.ndarray, *values: int) -> None:
    np.testing.assert_array_equal(found, label(*values))


# --- road ---------------------------------------------------------------------------------------------------


def test_fishyscapes_as_published_finds_the_pictures_of_lost_and_found(tmp_path: Path) -> None:
    scene = "04_Maurener_Weg_8"
    names = [f"{scene}_000000_000030", f"{scene}_000001_000080"]
    for i, name in enumerate(names):
        write(tmp_path / f"fishyscapes_lostandfound/000{i}_{name}_labels.png", label(0, 255, 1 if i else 0))
        write(
            tmp_path / "leftImg8bit" / ("train" if i else "test") / scene / f"{name}_leftImg8bit.png", PICTURE
        )
    found = read("fishyscapes", tmp_path)
    assert list(found) == [f"0000_{names[0]}", f"0001_{names[1]}"]
    same(found[f"0000_{names[0]}"], 0, 255, 0)  # a frame without anomalies is a frame like others
    same(found[f"0001_{names[1]}"], 0, 255, 1)
    (tmp_path / f"leftImg8bit/train/{scene}/{names[1]}_leftImg8bit.png").unlink()
    with pytest.raises(DataError, match=r"000001_000080_leftImg8bit.png is missing.*Lost and Found"):
        open_dataset("fishyscapes", tmp_path)


@pytest.mark.parametrize("name", ["fishyscapes", "fishyscapes-static"])
def test_fishyscapes_as_people_convert_it(tmp_path: Path, name: str) -> None:
    write(tmp_path / "original" / "0001_a.png", PICTURE, "JPEG")  # a .png that is a JPEG
    write(tmp_path / "labels" / "0001_a.png", np.dstack([label(0, 1, 255)] * 3))  # three equal channels
    found = read(name, tmp_path)
    same(found["0001_a"], 0, 1, 255)
    (tmp_path / "labels" / "0001_a.png").unlink()
    with pytest.raises(DataError, match=r"label of .*0001_a.png is missing"):
        open_dataset(name, tmp_path)


def test_static_overlays_are_added_and_are_the_anomaly(tmp_path: Path) -> None:
    name = "frankfurt_000001_046504"
    base = np.full((*SIZE, 3), 250, np.uint8)
    write(tmp_path / "leftImg8bit/val/frankfurt" / f"{name}_leftImg8bit.png", base)
    overlay = np.zeros((*SIZE, 3), np.int16)
    overlay[2, 3] = (-200, 0, 60)
    overlay[2, 4] = (0, 0, 1)
    np.savez(tmp_path / f"0000_{name}_rgb.npz", rgb=overlay)
    void = np.zeros(SIZE, np.uint8)
    void[0], void[2, 3] = 255, 1
    write(tmp_path / f"0000_{name}_labels.png", void)
    (sample,) = open_dataset("fishyscapes-static", tmp_path)
    image, mask = sample.load()
    np.testing.assert_array_equal(image[2, 3], (50, 250, 255))  # clipped, not wrapped
    assert mask is not None
    assert mask[2, 3] == mask[2, 4] == 1
    assert (mask[0] == 255).all()
    assert (mask == 1).sum() == 2
    (tmp_path / f"0000_{name}_rgb.npz").write_bytes(b"no array")
    with pytest.raises(DataError, match="overlay"):
        sample.load()


@pytest.fixture
def lost_and_found(tmp_path: Path) -> Path:
    frames = {
        "train/01_Hanns_Klemm_Str_45/01_Hanns_Klemm_Str_45_000000_000000": (0, 1, 2, 43),
        "test/15_Rechbergstr_Deckenpfronn/15_Rechbergstr_Deckenpfronn_000000_000000": (0, 1, 40),
        "test/02_Hanns_Klemm_Str_44/02_Hanns_Klemm_Str_44_000000_000020": (0, 1, 1),
        "test/02_Hanns_Klemm_Str_44/02_Hanns_Klemm_Str_44_000000_000040": (0,),
    }
    for name, values in frames.items():
        write(tmp_path / "leftImg8bit" / f"{name}_leftImg8bit.png", PICTURE)
        write(tmp_path / "gtCoarse" / f"{name}_gtCoarse_labelIds.png", label(*values))
        write(tmp_path / "gtCoarse" / f"{name}_gtCoarse_color.png", PICTURE)
    return tmp_path


def test_lost_and_found_knows_only_the_free_road(lost_and_found: Path) -> None:
    found = read("lost-and-found", lost_and_found)
    assert len(found) == 3  # the frame without a labelled pixel stays out
    same(found["train/01_Hanns_Klemm_Str_45_000000_000000"], 255, 0, 1, 1)
    assert not (found["test/02_Hanns_Klemm_Str_44_000000_000020"] == 1).any()
    assert len(read("lost-and-found", lost_and_found, "test")) == 2
    assert [n[5:7] for n in read("lost-and-found", lost_and_found, "test-no-known")] == ["02"]
    assert DATASETS["lost-and-found"].small
    with pytest.raises(DataError, match="'val'"):
        open_dataset("lost-and-found", lost_and_found, "val")


@pytest.mark.parametrize("outer", ["test", "."])
def test_street_hazards_counts_from_one(tmp_path: Path, outer: str) -> None:
    for town in ("t5", "t6"):
        write(tmp_path / outer / "images/test" / town / "300.png", PICTURE)
        write(tmp_path / outer / "annotations/test" / town / "300.png", label(1, 8, 13, 14))
    found = read("street-hazards", tmp_path)
    assert list(found) == ["t5/300", "t6/300"]
    same(found["t5/300"], 0, 0, 0, 1)  # 13 is the traffic sign: the authors' 13 is after their − 1
    assert open_dataset("street-hazards", tmp_path)[1].conditions == {"town": "t6"}
    (tmp_path / outer / "annotations/test/t6/300.png").unlink()
    with pytest.raises(DataError, match=r"label of .*300.png is missing"):
        open_dataset("street-hazards", tmp_path)
    with pytest.raises(DataError, match="training"):
        open_dataset("street-hazards", tmp_path, "training")


@pytest.mark.parametrize(
    "places",
    [
        ("seg/images", "seg/labels", "_train_id"),
        ("seg/images", "seg/train_labels", "_train_id"),
        ("images/10k", "labels/sem_seg/masks", ""),
    ],
)
def test_bdd_anomaly_takes_the_frames_that_show_one(tmp_path: Path, places: tuple[str, str, str]) -> None:
    images, labels, end = places
    for name, values in {
        "train/a": (0, 18, 255),
        "train/b": (0, 13),
        "val/c": (5, 16),
        "val/d": (5, 5),
    }.items():
        write(tmp_path / images / f"{name}.jpg", PICTURE)
        write(tmp_path / labels / f"{name}{end}.png", label(*values))
    found = read("bdd-anomaly", tmp_path)
    assert list(found) == ["train/a", "val/c"]
    same(found["train/a"], 0, 1, 255)
    assert list(read("bdd-anomaly", tmp_path, "training")) == ["train/b"]
    assert list(read("bdd-anomaly", tmp_path, "validation")) == ["val/d"]
    known = load_vocabulary("cityscapes")
    assert all(known.index(name) is not None for name in DATASETS["bdd-anomaly"].unknown)


# --- driving ------------------------------------------------------------------------------------------------

VISTAS = (
    "animal--bird", "construction--flat--road", "marking--general", "construction--flat--sidewalk",
    "human--rider--bicyclist", "object--traffic-sign--back", "object--traffic-sign--front", "void--unlabeled",
)  # fmt: skip


@pytest.mark.parametrize(("version", "config"), [("v1.2", "config_v1.2.json"), ("", "config.json")])
def test_mapillary_is_read_by_the_names_of_its_config(tmp_path: Path, version: str, config: str) -> None:
    (tmp_path / config).write_text(json.dumps({"labels": [{"name": n} for n in VISTAS]}))
    write(tmp_path / "validation/images/a.jpg", PICTURE)
    palette = Image.fromarray(label(*range(8)), "P")
    palette.putpalette([7, 9, 250] * 256)  # colours that say nothing: the index counts
    path = tmp_path / "validation" / version / "labels" / "a.png"
    path.parent.mkdir(parents=True)
    palette.save(path)
    found = read("mapillary", tmp_path, "validation")
    same(found["validation/a"], 255, 0, 0, 1, 12, 255, 7, 255)
    (tmp_path / config).unlink()
    with pytest.raises(DataError, match="config"):
        open_dataset("mapillary", tmp_path, "validation")
    with pytest.raises(DataError, match=r"training/images is missing"):
        open_dataset("mapillary", tmp_path)


def test_mapillary_classes_of_both_versions() -> None:
    assert mapillary_class("object--traffic-light--general-single") == mapillary_class(
        "object--traffic-light"
    )
    assert mapillary_class("human--person--individual") == mapillary_class("human--person") == 11
    assert mapillary_class("object--vehicle--car") == 13 != mapillary_class("object--vehicle--caravan")


# --- industrial ---------------------------------------------------------------------------------------------


def mvtec_category(root: Path, end: str = "_mask") -> None:
    for i in range(2):
        write(root / "test/good" / f"00{i}.png", PICTURE)
        write(root / "test/scratch" / f"00{i}.png", PICTURE)
    write(root / "train/good/000.png", PICTURE)
    write(root / "ground_truth/scratch" / f"000{end}.png", label(0, 255))
    write(root / "ground_truth/scratch" / f"001{end}.png", np.dstack([label(0, 0, 3)] * 3))


@pytest.mark.parametrize("name", ["mvtec", "mpdd"])
def test_mvtec_layout(tmp_path: Path, name: str) -> None:
    for category in ("bottle", "cable"):
        mvtec_category(tmp_path / category)
    found = read(name, tmp_path)
    assert len(found) == 8  # nothing of train
    same(found["bottle/good/000"], 0)
    same(found["cable/scratch/000"], 0, 1)
    same(found["cable/scratch/001"], 0, 0, 1)
    conditions = {s.name: s.conditions for s in open_dataset(name, tmp_path, "cable")}
    assert conditions["cable/scratch/001"] == {"category": "cable", "defect": "scratch"}
    assert next(iter(read(name, tmp_path / "bottle"))) == "good/000"  # one category by itself
    with pytest.raises(DataError, match="it has bottle, cable"):
        open_dataset(name, tmp_path, "bottle,tile")
    (tmp_path / "cable/ground_truth/scratch/001_mask.png").unlink()
    with pytest.raises(DataError, match=r"001_mask.png is missing"):  # not a good picture by default
        open_dataset(name, tmp_path)


def test_btad_masks_bear_the_pictures_names(tmp_path: Path) -> None:
    write(tmp_path / "01/test/ok/0000.bmp", PICTURE)
    write(tmp_path / "01/test/ko/0001.bmp", PICTURE)
    write(tmp_path / "01/ground_truth/ko/0001.png", label(0, 255))
    write(tmp_path / "02/test/ko/0002.png", PICTURE)
    write(tmp_path / "02/ground_truth/ko/0002.PNG", label(0, 255))
    found = read("btad", tmp_path)
    assert list(found) == ["01/ko/0001", "01/ok/0000", "02/ko/0002"]
    assert not found["01/ok/0000"].any()
    same(found["02/ko/0002"], 0, 1)


def test_visa_by_its_table(tmp_path: Path) -> None:
    rows = [
        ("candle", "train", "normal", "candle/Data/Images/Normal/0000.JPG", ""),
        ("candle", "test", "normal", "candle/Data/Images/Normal/0001.JPG", ""),
        (
            "candle",
            "test",
            "anomaly",
            "candle/Data/Images/Anomaly/000.JPG",
            "candle/Data/Masks/Anomaly/000.png",
        ),
        ("pcb1", "test", "anomaly", "pcb1/Data/Images/Anomaly/000.JPG", "pcb1/Data/Masks/Anomaly/000.png"),
    ]
    for *_, image, mask in rows:
        write(tmp_path / image, PICTURE, "JPEG")
        if mask:
            write(tmp_path / mask, label(0, 1, 7))  # small numbers, by kind
    (tmp_path / "split_csv").mkdir()
    with open(tmp_path / "split_csv/1cls.csv", "w", newline="") as text:
        csv.writer(text).writerows([("object", "split", "label", "image", "mask"), *rows])
    found = read("visa", tmp_path)
    assert list(found) == ["candle/anomaly/000", "candle/normal/0001", "pcb1/anomaly/000"]
    same(found["pcb1/anomaly/000"], 0, 1, 1)
    assert list(read("visa", tmp_path, "pcb1")) == ["pcb1/anomaly/000"]
    (tmp_path / "pcb1/Data/Masks/Anomaly/000.png").unlink()
    with pytest.raises(DataError, match=r"Masks/Anomaly/000.png is missing"):
        open_dataset("visa", tmp_path)
    (tmp_path / "split_csv/1cls.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="damaged"):
        open_dataset("visa", tmp_path)


@pytest.mark.parametrize(("labels", "inner"), [("annotations", "test"), ("masks", "")])
def test_neu_seg_in_both_layouts(tmp_path: Path, labels: str, inner: str) -> None:
    write(tmp_path / "images" / inner / "000201.jpg", PICTURE)
    write(tmp_path / labels / inner / "000201.png", label(0, 1, 2, 3))
    found = read("neu-seg", tmp_path, inner or None)
    same(next(iter(found.values())), 0, 1, 1, 1)
    with pytest.raises(DataError, match="split"):
        open_dataset("neu-seg", tmp_path, "val")


def test_neu_seg_is_read_whole(shared_dir: Path) -> None:
    samples = open_dataset("neu-seg", shared_dir / "data" / "industrial" / "neu_seg")
    assert len(samples) > 500
    for sample in samples[::100]:
        image, mask = sample.load()
        assert image.shape == (200, 200, 3)
        assert mask is not None
        assert set(np.unique(mask)) == {0, 1}


def test_magnetic_tiles_keep_pictures_and_masks_in_one_folder(tmp_path: Path) -> None:
    for kind in ("Blowhole", "Free"):
        write(tmp_path / f"MT_{kind}/Imgs/exp1_num_4727.jpg", PICTURE[..., 0])  # grey
        write(tmp_path / f"MT_{kind}/Imgs/exp1_num_4727.png", label(0, 255 if kind == "Blowhole" else 0))
    found = read("magnetic-tile", tmp_path)
    assert list(found) == ["blowhole/exp1_num_4727", "free/exp1_num_4727"]
    same(found["blowhole/exp1_num_4727"], 0, 1)
    assert not found["free/exp1_num_4727"].any()
    with pytest.raises(DataError, match="Magnetic-tile-defect-datasets"):
        open_dataset("magnetic-tile", tmp_path / "MT_Free")


def test_allo_pictures_without_a_mask_are_good(tmp_path: Path) -> None:
    for name in ("test/normal/1", "test/anomaly/2"):
        write(tmp_path / "images" / f"{name}.png", PICTURE)
    write(tmp_path / "masks/test/anomaly/2.png", label(0, 255))
    found = read("allo", tmp_path, "test")
    assert {name: bool(mask.any()) for name, mask in found.items()} == {
        "test/anomaly/2": True,
        "test/normal/1": False,
    }


def test_a_defect_mask_saved_with_loss_is_cut_at_half(tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 255
    path = write(tmp_path / "mask.png", mask, "JPEG")
    assert ((read_label(path, ANY_DEFECT) == 1) == (mask == 255)).all()
    with pytest.raises(DataError, match="with loss"):
        read_label(write(tmp_path / "small.png", mask // 255, "JPEG"), ANY_DEFECT)


def test_every_reader_says_what_is_missing_and_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "something").mkdir()
    for name, dataset in DATASETS.items():
        with pytest.raises(DataError) as raised:
            open_dataset(name, tmp_path)
        assert dataset.source in str(raised.value)
        assert str(tmp_path) in str(raised.value)


# --- your own -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", ["masks", "labels", "labels_masks"])
def test_a_folder_with_masks_is_matched_by_stem(tmp_path: Path, labels: str) -> None:
    write(tmp_path / "images" / "a 1.jpeg", PICTURE)
    write(tmp_path / labels / "a 1.png", label(0, 1, 255))
    same(read("folder", tmp_path)["a 1"], 0, 1, 255)
    write(tmp_path / "images" / "b.jpg", PICTURE)
    with pytest.raises(DataError, match=r"no label of b.jpg .*masks/NAME.png"):
        open_dataset("folder", tmp_path)


def test_a_folder_with_two_kinds_of_labels_asks_which(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", PICTURE)
    write(tmp_path / "masks/a.png", label(0))
    write(tmp_path / "labels/a.png", label(0))
    with pytest.raises(DataError, match="masks and labels: which"):
        open_dataset("folder", tmp_path)
