"""Road frames for mini out of tiny folders in each data set's layout; the teacher is a function."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from clipomaly.errors import ConfigError, DataError, ModelError
from clipomaly.training.mini.labels import CITYSCAPES, IGNORE, LABELS
from clipomaly.training.mini.road_labels import fit, idd_labels, label_of, people_only, thin_uprights
from clipomaly.training.mini.road_sources import AURA, CRACKS, IDD, KITTI, ROADSCENE, SOURCES, UNLABELLED
from clipomaly.training.mini.roads import RoadFolder, is_held, main, make_roads
from clipomaly.training.mini.teachers import Segmenter

H, W = 60, 100


def says(**masses: float) -> np.ndarray:
    """Probabilities [19] with these masses."""
    p = np.zeros(len(CITYSCAPES), np.float32)
    for name, mass in masses.items():
        p[CITYSCAPES.index(name.replace("_", " "))] = mass
    return p


class Everywhere:
    """A teacher that says the same of every pixel, and counts how often it is asked."""

    def __init__(self, **masses: float) -> None:
        self.p, self.asked = says(**masses), 0

    def __call__(self, image: np.ndarray, sides: tuple[int, ...]) -> np.ndarray:
        self.asked += 1
        return np.broadcast_to(self.p[:, None, None], (len(self.p), *image.shape[:2])).copy()


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


def picture(value: int = 120, h: int = H, w: int = W) -> np.ndarray:
    return np.full((h, w, 3), value, np.uint8)


def made(folder: Path, name: str) -> np.ndarray:
    """The labels of a frame; its picture has the same size."""
    label = cv2.imread(str(folder / "labels" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    image = cv2.imread(str(folder / "images" / f"{name}.jpg"))
    assert label is not None
    assert image is not None
    assert image.shape[:2] == label.shape
    return label


def names(folder: Path) -> list[str]:
    images = sorted(p.stem for p in (folder / "images").iterdir())
    assert images == sorted(p.stem for p in (folder / "labels").iterdir())
    return images


def write_idd(root: Path, *names: str) -> Path:
    truth = np.zeros((H, W), np.uint8)
    truth[:20] = 6
    for name in names:
        save(root / "leftImg8bit" / "train" / f"{name}_image.jpg", picture())
        save(root / "gtFine" / "train" / f"{name}_label.png", truth)
    return root


def write_cracks(root: Path, count: int) -> Path:
    lane, hole = np.zeros((H, W), np.uint8), np.zeros((H, W), np.uint8)
    lane[30:], hole[40:42, 50:52] = 255, 255
    for k in range(count):
        stem = f"Dataset/{900 + k}_RS_1/{900 + k}_RS_1"
        save(root / f"{stem}_RAW.jpg", picture())
        save(root / f"{stem}_LANE.png", np.dstack([lane] * 3))
        save(root / f"{stem}_POTHOLE.png", hole)
    return root


def write_aura(root: Path) -> Path:
    truth = np.full((H, W), 4, np.uint8)
    truth[:30] = 23
    truth[30:40, :10] = 13
    save(root / "dataset/semantic/train_validate/images/84.png", picture())
    save(root / "dataset/semantic/train_validate/annotations/84.png", truth)
    save(root / "dataset/bb/test/front/images/2022.jpg", picture())
    save(root / "dataset/bb/test/side/images/2021.jpg", picture())
    return root


def test_idd_lite_keeps_true_groups_and_leaves_out_named_animals(tmp_path: Path) -> None:
    root = write_idd(tmp_path / "idd20k_lite", "0/024541", "36/021106", "108/119180")
    folder = RoadFolder.open(tmp_path / "out")
    make_roads([(IDD, root)], Everywhere(person=0.9), folder)
    assert names(tmp_path / "out") == ["idd_0_024541"], "36_021106 and 108_119180 show animals"
    label = made(tmp_path / "out", "idd_0_024541")
    assert (label[:20] == label_of("sky")).all()
    assert (label[20:] == label_of("road")).all(), "what the outline says is not the teacher's to change"


def test_inside_a_group_of_idd_the_teacher_chooses() -> None:
    truth = np.repeat(np.arange(6, dtype=np.uint8), 10)[:, None].repeat(W, 1)
    p = np.zeros((19, *truth.shape), np.float32)
    p[:] = says(
        road=0.1, sidewalk=0.25, terrain=0.05, rider=0.25, car=0.2, truck=0.18, wall=0.3, building=0.3
    )[:, None, None]
    label = idd_labels(p, truth)
    of = [LABELS[int(label[10 * k + 5, 50])] for k in range(6)]
    assert of == ["road", "sidewalk", "rider", "camvid car", "wall", "building"]
    p[CITYSCAPES.index("terrain")] = 0.7
    assert (idd_labels(p, truth)[:10] == IGNORE).all(), "drivable, but the teacher is sure that it is grass"


def test_a_pole_is_thin_and_upright() -> None:
    mask = np.zeros((100, 200), np.uint8)
    mask[20:80, 50:52] = 1
    mask[40:80, 100:160] = 1
    found = thin_uprights(mask)
    assert found[20:80, 50:52].all()
    assert not found[:, 60:].any()


def test_animals_are_no_people_and_riders_sit_on_two_wheelers() -> None:
    truth = np.zeros((100, 200), np.uint8)
    label = np.full(truth.shape, label_of("road"), np.uint8)

    def living(y: int, x: int, h: int, w: int, ours: int) -> np.ndarray:
        at = np.zeros(truth.shape, bool)
        at[y : y + h, x : x + w] = True
        truth[at], label[at] = 2, ours
        return at

    walker = living(10, 10, 30, 10, label_of("person"))
    cow = living(10, 40, 20, 40, label_of("person"))
    goat = living(10, 100, 20, 15, IGNORE)
    seated = living(10, 150, 30, 12, IGNORE)
    truth[40:60, 140:170], label[40:60, 140:170] = 3, label_of("motorcycle")
    out = people_only(label, truth)
    assert (out[walker] == label_of("person")).all()
    assert (out[cow] == IGNORE).all(), "wider than people are"
    assert (out[goat] == IGNORE).all(), "the teacher finds nobody"
    assert (out[seated] == label_of("rider")).all()


def test_cracks_take_one_frame_in_fourteen_with_its_true_lane(tmp_path: Path) -> None:
    root = write_cracks(tmp_path / "cracks", 29)
    teacher = Everywhere(vegetation=0.75, road=0.2)
    make_roads([(CRACKS, root)], teacher, RoadFolder.open(tmp_path / "out"))
    assert names(tmp_path / "out") == ["brazil_900_RS_1", "brazil_914_RS_1", "brazil_928_RS_1"]
    label = made(tmp_path / "out", "brazil_914_RS_1")
    assert label[50, 20] == label_of("road")
    assert label[20, 20] == label_of("vegetation")
    assert (label[38:44, 48:54] == IGNORE).all(), "a pothole and its rim"
    assert (label[:7, 80:] == IGNORE).all(), "the watermark"


def test_roadscene_by_night_has_no_houses(tmp_path: Path) -> None:
    for name, value in (("FLIR_00001", 220), ("FLIR_00002", 60), ("FLIR_00578", 220)):
        save(tmp_path / "RoadScene" / "crop_HR_visible" / f"{name}.jpg", picture(value))
    out = tmp_path / "out"
    make_roads([(ROADSCENE, tmp_path / "RoadScene")], Everywhere(building=0.8), RoadFolder.open(out))
    assert names(out) == ["roadscene_FLIR_00001"]
    assert (made(out, "roadscene_FLIR_00001") == label_of("building")).all()
    assert (out / "left_out.txt").read_text() == "roadscene_FLIR_00002\n", (
        "nothing labelled: not worth a place"
    )


def test_aura_takes_true_labels_and_front_views(tmp_path: Path) -> None:
    root = write_aura(tmp_path / "aura")
    make_roads([(AURA, root)], Everywhere(fence=0.7), RoadFolder.open(tmp_path / "out"))
    assert names(tmp_path / "out") == ["aura_bb_test_front_2022", "aura_semantic_t_84"]
    label = made(tmp_path / "out", "aura_semantic_t_84")
    assert [LABELS[i] for i in (label[5, 5], label[35, 5], label[50, 50])] == ["sky", "fence", "road"]
    assert (made(tmp_path / "out", "aura_bb_test_front_2022") == label_of("fence")).all()


def test_kitti_ids_become_our_labels_and_large_frames_shrink(tmp_path: Path) -> None:
    truth = np.full((375, 1242), 7, np.uint8)
    truth[:100], truth[100:120], truth[120:140] = 23, 5, 33
    save(tmp_path / "k/training/image_2/000000_10.png", picture(90, 375, 1242))
    save(tmp_path / "k/training/semantic/000000_10.png", truth)
    teacher = Everywhere(car=1.0)
    make_roads([(KITTI, tmp_path / "k")], teacher, RoadFolder.open(tmp_path / "out"))
    label = made(tmp_path / "out", "kittisem_000000_10")
    assert label.shape == (290, 960)
    assert [int(label[y, 5]) for y in (10, 85, 100, 200)] == [
        label_of("sky"),
        IGNORE,
        label_of("bicycle"),
        label_of("road"),
    ]
    assert teacher.asked == 0


def test_shrinking_keeps_labels_whole() -> None:
    label = np.where(np.arange(2000) < 1000, 3, 9).astype(np.uint8)[None].repeat(500, 0)
    image, small = fit(np.zeros((500, 2000, 3), np.uint8), label)
    assert image.shape == (240, 960, 3)
    assert set(np.unique(small)) == {3, 9}


def test_any_pictures_are_named_after_their_folder_and_resumed(tmp_path: Path) -> None:
    for k in range(4):
        save(tmp_path / "My drive" / f"{k}.png", picture())
    (tmp_path / "My drive" / "notes.txt").write_text("no picture")
    given, out, teacher = [(UNLABELLED, tmp_path / "My drive")], tmp_path / "out", Everywhere(road=0.9)
    make_roads(given, teacher, RoadFolder.open(out), limit=3)
    assert len(names(out)) == 3
    rows = make_roads(given, teacher, RoadFolder.open(out))
    assert teacher.asked == 4, "three were there"
    assert rows[0]["source"] == "unlabelled My drive"
    assert rows[0]["pixels"] == {"road": 4 * H * W}
    again = Everywhere(sky=0.3)
    make_roads(given, again, RoadFolder.open(out))
    assert again.asked == 0


def test_frames_without_labels_are_not_asked_about_twice(tmp_path: Path) -> None:
    save(tmp_path / "drive" / "0.jpg", picture())
    teacher = Everywhere(road=0.3)
    for _ in range(2):
        rows = make_roads([(UNLABELLED, tmp_path / "drive")], teacher, RoadFolder.open(tmp_path / "out"))
    assert teacher.asked == 1
    assert (rows[0]["frames"], rows[0]["too few labels"]) == (0, 1)


def test_every_25th_frame_is_held_apart_even_if_it_came_earlier(tmp_path: Path) -> None:
    for k in range(60):
        save(tmp_path / "d" / f"{k}.png", picture(h=16, w=16))
    given, teacher = [(UNLABELLED, tmp_path / "d")], Everywhere(road=0.9)
    make_roads(given, teacher, RoadFolder.open(tmp_path / "out"))
    rows = make_roads(given, teacher, RoadFolder.open(tmp_path / "out", tmp_path / "held"))
    held = names(tmp_path / "held")
    assert held
    assert all(is_held(n) for n in held)
    assert not any(is_held(n) for n in names(tmp_path / "out"))
    assert teacher.asked == 60
    assert rows[0]["held"] == len(held)
    assert rows[0]["frames"] == 60 - len(held)
    with pytest.raises(ConfigError, match="held apart need another"):
        RoadFolder.open(tmp_path / "out", tmp_path / "out")


@pytest.mark.parametrize("source", [*SOURCES, UNLABELLED], ids=lambda s: s.key)
def test_a_missing_or_wrong_folder_is_told_with_what_was_expected(source, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "nowhere", tmp_path / "empty"):
        with pytest.raises(DataError) as error:
            source.frames(folder)
        assert f"--{source.key} wants {source.layout}" in str(error.value)


def test_a_frame_without_its_labels_is_told_before_any_work(tmp_path: Path) -> None:
    root = write_idd(tmp_path / "idd", "0/1", "0/2")
    (root / "gtFine" / "train" / "0" / "2_label.png").unlink()
    drive, teacher = tmp_path / "drive", Everywhere(road=0.9)
    save(drive / "a.jpg", picture())
    with pytest.raises(DataError, match=r"2_label\.png: missing"):
        make_roads([(UNLABELLED, drive), (IDD, root)], teacher, RoadFolder.open(tmp_path / "out"))
    assert teacher.asked == 0


def test_two_folders_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a/drive", "b/drive"):
        save(tmp_path / folder / "0.jpg", picture())
    given = [(UNLABELLED, tmp_path / "a" / "drive"), (UNLABELLED, tmp_path / "b" / "drive")]
    with pytest.raises(ConfigError, match="both have a frame drive_0"):
        make_roads(given, Everywhere(road=0.9), RoadFolder.open(tmp_path / "out"))


def test_a_missing_or_foreign_teacher_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file; --teacher wants"):
        Segmenter(tmp_path / "teacher.onnx")
    (tmp_path / "teacher.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="cannot open this teacher"):
        Segmenter(tmp_path / "teacher.onnx")


def test_the_command_prints_counts_and_lists_its_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from clipomaly.training.mini import roads

    monkeypatch.setattr(roads, "Segmenter", lambda path: Everywhere(vegetation=0.9, road=0.1))
    out, t = str(tmp_path / "out"), ["--teacher", "t.onnx"]
    main([*t, "--idd-lite", str(write_idd(tmp_path / "idd", "0/1")), "--out", out])
    main([*t, "--cracks", str(write_cracks(tmp_path / "cracks", 1)), "--out", out])
    listed = json.loads((tmp_path / "out" / "sources.json").read_text())
    assert listed["teacher"] == "t.onnx"
    assert [(s["source"], s["frames"]) for s in listed["sources"]] == [("cracks", 1), ("idd-lite", 1)]
    assert listed["sources"][1]["pixels"] == {"ignored": 40 * W, "sky": 20 * W}
    shown = capsys.readouterr().out
    assert "idd-lite" in shown
    assert "sky" in shown
    with pytest.raises(SystemExit, match="nowhere: no such folder; --aura wants"):
        main([*t, "--aura", "nowhere", "--out", out])
    with pytest.raises(SystemExit):
        main([*t, "--out", out])
    assert "give at least one of --idd-lite" in capsys.readouterr().err
