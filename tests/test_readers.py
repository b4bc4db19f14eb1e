"""Data sets: layouts, label conventions, and what is said when something is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipomaly.data.datasets import CITYSCAPES_TRAIN_IDS, DATASETS, open_dataset, read_label
from clipomaly.errors import DataError
from clipomaly.vocabulary import load_vocabulary

PICTURE = np.random.default_rng(0).integers(0, 256, (7, 11, 3), np.uint8)


def write(path: Path, array: np.ndarray, kind: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, kind, **({"quality": 95} if kind == "JPEG" else {}))


def label(*values: int, size: tuple[int, int] = (7, 11)) -> np.ndarray:
    return np.resize(np.array(values, np.uint8), size)


@pytest.fixture
def road_anomaly(tmp_path: Path) -> Path:
    for name in ("b10", "b2"):
        write(tmp_path / "frames" / f"{name}.jpg", PICTURE)
        write(tmp_path / "frames" / f"{name}.labels" / "labels_semantic.png", label(0, 1, 2, 255))
        write(tmp_path / "frames" / f"{name}.labels" / "labels_instance.png", label(0, 3))
    return tmp_path


def test_road_anomaly_marks_anomalies_with_two(road_anomaly: Path) -> None:
    samples = open_dataset("road-anomaly", road_anomaly)
    assert [s.name for s in samples] == ["b2", "b10"]
    image, mask = samples[0].load()
    assert image.shape == (7, 11, 3)
    np.testing.assert_array_equal(mask, label(0, 0, 1, 255))


@pytest.mark.parametrize(("frames", "expected"), [([(0, 1), (1, 2)], (0, 1)), ([(0, 1), (0, 255)], (1, 255))])
def test_road_anomaly_in_the_benchmarks_layout_goes_by_the_whole_set(
    tmp_path: Path, frames: list[tuple[int, int]], expected: tuple[int, int]
) -> None:
    for i, values in enumerate(frames):
        write(tmp_path / "images" / f"{i}.webp", PICTURE)
        write(tmp_path / "labels_masks" / f"{i}.png", label(*values))
    first, second = open_dataset("road-anomaly", tmp_path)
    # Where any frame holds a 2, 1 is no anomaly in any of them.
    assert (first.label() == 1).any() == (expected == (1, 255))
    assert (second.label() == expected[1]).any()


def test_smiyc_layout_keeps_frames_without_a_label(tmp_path: Path) -> None:
    write(tmp_path / "images" / "validation_1.webp", PICTURE)
    write(tmp_path / "images" / "validation_2.jpg", PICTURE)
    write(tmp_path / "images" / "cow0001.jpg", PICTURE)
    write(tmp_path / "labels_masks" / "validation_1_labels_semantic.png", label(0, 1, 255))
    write(tmp_path / "labels_masks" / "validation_1_labels_semantic_color.png", PICTURE)
    write(tmp_path / "labels_masks" / "validation_2_labels_semantic.png", label(0))
    samples = open_dataset("anomaly-track", tmp_path)
    assert [(s.name, s.label_path is not None) for s in samples] == [
        ("cow0001", False),
        ("validation_1", True),
        ("validation_2", True),
    ]
    assert samples[0].label() is None
    np.testing.assert_array_equal(samples[1].label(), label(0, 1, 255))
    assert not samples[2].label().any()  # a frame without positives is a frame like others
    assert len(open_dataset("obstacle-track", tmp_path, "validation")) == 2
    with pytest.raises(DataError, match="'train'"):
        open_dataset("fishyscapes", tmp_path, "train")


@pytest.mark.parametrize("layout", ["{}/images,{}/labels", "{},{}annot"])
def test_camvid_layouts(tmp_path: Path, layout: str) -> None:
    images, labels = (part.format("val") for part in layout.split(","))
    write(tmp_path / images / "a.png", PICTURE)
    write(tmp_path / labels / "a.png", label(0, 10, 11))
    (sample,) = open_dataset("camvid", tmp_path, "val")
    assert sample.name == "val/a"
    np.testing.assert_array_equal(sample.label(), label(0, 10, 255))
    with pytest.raises(DataError, match="train"):
        open_dataset("camvid", tmp_path)
    with pytest.raises(DataError, match="it has train, val, test"):
        open_dataset("camvid", tmp_path, "validation")


def test_cityscapes_maps_label_ids_to_train_ids(tmp_path: Path) -> None:
    base = "aachen/aachen_000000_000019"
    write(tmp_path / "leftImg8bit/val" / f"{base}_leftImg8bit.png", PICTURE)
    write(tmp_path / "gtFine/val" / f"{base}_gtFine_labelTrainIds.png", label(0, 18, 255))
    assert (open_dataset("cityscapes", tmp_path, "val")[0].label() == label(0, 18, 255)).all()
    write(tmp_path / "gtFine/val" / f"{base}_gtFine_labelIds.png", label(7, 33, 0, 255))
    (sample,) = open_dataset("cityscapes", tmp_path, "val")
    assert sample.name == "val/aachen_000000_000019"
    np.testing.assert_array_equal(sample.label(), label(0, 18, 255, 255))


def test_train_ids_are_the_vocabularys_classes() -> None:
    assert sorted(CITYSCAPES_TRAIN_IDS.values()) == list(range(19))
    for dataset in DATASETS.values():
        if dataset.vocabulary is not None:
            known = load_vocabulary(dataset.vocabulary).known
            assert [c.id for c in known] == list(range(len(known)))


def test_names_come_from_file_names(tmp_path: Path) -> None:
    for name in ("boat_trailer0002", "elephant0001", "hay-bale_03"):
        write(tmp_path / f"{name}.jpg", PICTURE)
    assert [s.names for s in open_dataset("names", tmp_path)] == [
        ("boat trailer",),
        ("elephant",),
        ("hay bale",),
    ]


def test_a_folder_is_listed_deeply_and_in_natural_order(tmp_path: Path) -> None:
    for name in ("b/f10.jpg", "b/f9.png", "a.jpg"):
        write(tmp_path / name, PICTURE)
    (tmp_path / "notes.txt").write_text("not a picture")
    assert [s.name for s in open_dataset("folder", tmp_path)] == ["a", "b/f9", "b/f10"]


def test_a_jpeg_called_png_is_read_by_its_content(tmp_path: Path) -> None:
    write(tmp_path / "a.png", PICTURE, "JPEG")
    (sample,) = open_dataset("folder", tmp_path)
    image, mask = sample.load()
    assert mask is None
    assert np.abs(image.astype(int) - PICTURE).mean() < 60


def test_label_files_of_every_kind_give_the_same(tmp_path: Path) -> None:
    plain = label(0, 1, 255)
    grey3 = np.repeat(plain[:, :, None], 3, axis=2)
    alpha = np.dstack([grey3, np.full(plain.shape, 255, np.uint8)])
    palette = Image.fromarray(plain, mode="P")
    palette.putpalette([9, 80, 7] * 256)
    files = {"grey": Image.fromarray(plain), "colour": Image.fromarray(grey3), "palette": palette}
    files |= {"alpha": Image.fromarray(alpha), "deep": Image.fromarray(plain.astype(np.uint16))}
    for name, picture in files.items():
        picture.save(tmp_path / f"{name}.png")
        got = read_label(tmp_path / f"{name}.png", {0: 0, 1: 1, 255: 255})
        np.testing.assert_array_equal(got, plain, err_msg=name)


def test_labels_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write(path, PICTURE)
    with pytest.raises(DataError, match="colour picture"):
        read_label(path, {0: 0})
    write(path, label(0, 7))
    with pytest.raises(DataError, match="holds the value 7"):
        read_label(path, {0: 0, 1: 1})
    Image.fromarray(np.full((3, 3), 900, np.uint16)).save(path)
    with pytest.raises(DataError, match="900"):
        read_label(path, {0: 0})
    path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="cannot be read"):
        read_label(path, {0: 0})


def test_a_label_of_another_size_is_refused(road_anomaly: Path) -> None:
    write(road_anomaly / "frames/b2.labels/labels_semantic.png", label(0, 2, size=(5, 5)))
    with pytest.raises(DataError, match="5×5, its picture 11×7"):
        open_dataset("road-anomaly", road_anomaly)[0].load()


@pytest.mark.parametrize("name", DATASETS)
def test_what_is_missing_is_named_with_where_to_get_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder") as error:
        open_dataset(name, tmp_path / "nowhere")
    assert DATASETS[name].source in str(error.value)
    with pytest.raises(DataError) as error:
        open_dataset(name, tmp_path)
    assert str(tmp_path) in str(error.value)
    assert DATASETS[name].source in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_set_is_an_error_that_lists_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="road-anomaly, anomaly-track"):
        open_dataset("roadanomaly", tmp_path)


@pytest.mark.shared
def test_development_data_is_read(shared_dir: Path) -> None:
    data = shared_dir / "data"
    anomalies = open_dataset("road-anomaly", data / "eval/road_anomaly_visible")
    assert len(anomalies) == 32
    image, mask = anomalies[0].load()
    assert image.shape == (720, 1280, 3)
    assert set(np.unique(mask)) == {0, 1}
    assert [len(open_dataset("camvid", data / "train/camvid", s)) for s in ("train", "val", "test")] == [
        367,
        101,
        233,
    ]
    image, classes = open_dataset("camvid", data / "train/camvid", "val")[0].load()
    assert image.shape == (360, 480, 3)
    assert set(np.unique(classes)) <= {*range(11), 255}
    named = open_dataset("names", data / "eval/anomaly_track_names")
    assert len(named) == 100
    assert {"boat trailer", "elephant", "zebra"} <= {s.names[0] for s in named}
