"""Public data sets of road frames in their own layouts: which frames are taken, and how each is labelled."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from clipomaly.errors import DataError
from clipomaly.training.mini.labels import CITYSCAPES, IGNORE
from clipomaly.training.mini.pack import read_labels, read_rgb
from clipomaly.training.mini.road_labels import CARS, among, fit, idd_labels, label_of, people_only, plain
from clipomaly.training.mini.teachers import Teacher

__all__ = ["SOURCES", "UNLABELLED", "Frame", "Source"]

Frame = tuple[str, Callable[[Teacher], tuple[np.ndarray, np.ndarray]]]
"""A name, and what reads the image and its labels with a teacher's help."""


@dataclass(frozen=True)
class Source:
    """One data set: its frames, and what has to be said of it."""

    key: str
    """Its option, without the dashes."""
    layout: str
    """The files below the folder that is given."""
    labels: str
    terms: str
    frames: Callable[[Path], list[Frame]]


def listed(folder: Path, pattern: str, source: Source) -> list[Path]:
    """The files of a data set, or an error that says what was expected."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; --{source.key} wants {source.layout}")
    found = sorted(folder.glob(pattern))
    if not found:
        raise DataError(f"{folder}: no {pattern}; --{source.key} wants {source.layout}")
    return found


def checked(path: Path, mate: Path, source: Source) -> Path:
    """The truth that belongs to an image, if it is there."""
    if not mate.is_file():
        raise DataError(f"{mate}: missing: {path.name} has no labels; --{source.key} wants {source.layout}")
    return mate


# Cattle, goats, dogs or birds in plain view, or too dark to tell, found by eye: mini is to call them unknown.
ANIMALS = {
    "idd_108_119180",
    "idd_135_330189",
    "idd_146_000624",
    "idd_237_frame53249",
    "idd_315_frame4876",
    "idd_36_021106",
    "idd_377_frame20380",
    "idd_37_016164",
    "idd_439_frame86749",
    "idd_465_0001055",
    "idd_470_0047082",
    "idd_502_frame77158",
    "idd_512_frame5267",
    "idd_513_frame1379",
    "idd_543_frame5345",
    "idd_544_0003865",
    "idd_75_455758",
    "idd_85_553957",
}


def idd_frames(folder: Path) -> list[Frame]:
    """IDD Lite's train split without the frames that show animals."""

    def read(path: Path, mate: Path, teacher: Teacher) -> tuple[np.ndarray, np.ndarray]:
        image, truth = read_rgb(path), read_labels(mate)
        return image, people_only(idd_labels(teacher(image, (640, 960)), truth), truth)

    frames: list[Frame] = []
    for path in listed(folder, "leftImg8bit/train/*/*_image.jpg", IDD):
        name = f"idd_{path.parent.name}_{path.name.removesuffix('_image.jpg')}"
        if name not in ANIMALS:
            truth = folder / "gtFine" / "train" / path.parent.name
            mate = truth / path.name.replace("_image.jpg", "_label.png")
            frames.append((name, partial(read, path, checked(path, mate, IDD))))
    return frames


STUFF = ("sidewalk", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain")
EVERY = 14  # neighbours are 5 m apart


def crack_frames(folder: Path) -> list[Frame]:
    """One frame in fourteen; potholes and the watermark are ignored, cracks are road."""

    def mask(stem: str, kind: str) -> np.ndarray:
        m = cv2.imread(f"{stem}_{kind}.png", cv2.IMREAD_UNCHANGED)
        if m is None:
            raise DataError(f"{stem}_{kind}.png: missing or damaged; --{CRACKS.key} wants {CRACKS.layout}")
        return (m if m.ndim == 2 else m[..., :3].max(-1)) > 127

    def read(place: Path, teacher: Teacher) -> tuple[np.ndarray, np.ndarray]:
        stem = str(place / place.name)
        image, lane, pothole = read_rgb(Path(stem + "_RAW.jpg")), mask(stem, "LANE"), mask(stem, "POTHOLE")
        h, w = image.shape[:2]
        p = teacher(image, (480, 672))
        label = plain(p, ("road", *STUFF, *CARS), 0.7)
        label[lane] = label_of("road")
        label[lane & (p[CITYSCAPES.index("road")] < 0.2)] = IGNORE  # a cone, a car's shadow
        label[cv2.dilate(pothole.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0] = IGNORE
        label[: round(0.11 * h), round(0.8 * w) :] = IGNORE  # the watermark
        return image, label

    places = sorted(listed(folder, "Dataset/[0-9]*_*", CRACKS), key=lambda p: int(p.name.split("_")[0]))
    return [("brazil_" + place.name, partial(read, place)) for place in places[::EVERY]]


NIGHT = 150  # mean of the upper third: these pictures are bright
BY_NIGHT = ("road", "pole", "traffic light", "person", "car", "vegetation")
MISTAKEN = "FLIR_00578"  # a cage on a trailer that the teacher takes for a house


def roadscene_frames(folder: Path) -> list[Frame]:
    """California by day and by night; no labels of its own."""

    def read(path: Path, teacher: Teacher) -> tuple[np.ndarray, np.ndarray]:
        image = fit_image(read_rgb(path))
        p = teacher(image, (768, 1152))
        if image[: len(image) // 3].mean() < NIGHT:  # the teacher calls a night sky a house
            return image, plain(p, BY_NIGHT, 0.75)
        return image, plain(p, CITYSCAPES, 0.65)

    paths = listed(folder, "crop_HR_visible/*.jpg", ROADSCENE)
    return [("roadscene_" + path.stem, partial(read, path)) for path in paths if MISTAKEN not in path.stem]


AURA_CLASSES: dict[int, str | tuple[str, ...]] = {  # our label, or a choice for the teacher
    1: ("road", "sidewalk"),
    2: "sidewalk",
    3: "sidewalk",
    4: "road",
    5: ("road", "sidewalk"),
    7: "terrain",
    8: ("road", "sidewalk"),
    10: "sidewalk",
    11: "road",
    12: "road",
    13: ("building", "wall", "fence"),
    14: CARS,
    15: "camvid bicyclist",
    16: "bicycle",
    17: "camvid bicyclist",
    18: "motorcycle",
    19: "person",
    20: "traffic sign",
    21: "traffic light",
    22: "vegetation",
    23: "sky",
    24: ("pole",),
}


def aura_frames(folder: Path) -> list[Frame]:
    """Frames with true labels, and the front views. Side views look at pavements: statues, sunshades."""

    def read(path: Path, mate: Path, teacher: Teacher) -> tuple[np.ndarray, np.ndarray]:
        image, truth = fit(read_rgb(path), read_labels(mate))
        p = teacher(image, (768, 1152))
        label = np.full(truth.shape, IGNORE, np.uint8)
        for key, ours in AURA_CLASSES.items():
            at = truth == key
            label[at] = label_of(ours) if isinstance(ours, str) else among(p, ours, 0.4)[at]
        return image, label

    frames: list[Frame] = []
    for path in listed(folder, "dataset/**/images/*", AURA):
        parts = path.relative_to(folder).parts[1:-2]
        if path.suffix not in (".png", ".jpg") or "side" in parts:
            continue
        name = f"aura_{'_'.join(parts)}_{path.stem}".replace("train_validate", "t")
        if "semantic" in parts:
            mate = path.parent.parent / "annotations" / path.name
            frames.append((name, partial(read, path, checked(path, mate, AURA))))
        else:
            frames.append((name, partial(teach, path)))
    return frames


KITTI_IDS = {
    7: "road",
    8: "sidewalk",
    11: "building",
    12: "wall",
    13: "fence",
    17: "pole",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
    22: "terrain",
    23: "sky",
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}


def kitti_frames(folder: Path) -> list[Frame]:
    """KITTI's own labels, in Cityscapes' ids."""
    table = np.full(256, IGNORE, np.uint8)
    table[list(KITTI_IDS)] = [label_of(name) for name in KITTI_IDS.values()]

    def read(path: Path, mate: Path, teacher: Teacher) -> tuple[np.ndarray, np.ndarray]:
        return read_rgb(path), table[read_labels(mate)]

    frames: list[Frame] = []
    for path in listed(folder, "training/image_2/*.png", KITTI):
        mate = checked(path, folder / "training" / "semantic" / path.name, KITTI)
        frames.append(("kittisem_" + path.stem, partial(read, path, mate)))
    return frames


def fit_image(image: np.ndarray) -> np.ndarray:
    """A picture alone, no longer than frames are kept."""
    return fit(image, np.zeros(image.shape[:2], np.uint8))[0]


def teach(path: Path, teacher: Teacher) -> tuple[np.ndarray, np.ndarray]:
    """A picture with nothing but the teacher's labels."""
    image = fit_image(read_rgb(path))
    return image, plain(teacher(image, (768, 1152)), CITYSCAPES, 0.65)


def unlabelled_frames(folder: Path) -> list[Frame]:
    """Any pictures by day, named after their folder."""
    prefix = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "more"
    paths = [p for p in listed(folder, "*", UNLABELLED) if p.suffix.lower() in (".jpg", ".jpeg", ".png")]
    if not paths:
        raise DataError(f"{folder}: no pictures; --{UNLABELLED.key} wants {UNLABELLED.layout}")
    return [(f"{prefix}_{path.stem}", partial(teach, path)) for path in paths]


IDD = Source(
    "idd-lite",
    "leftImg8bit/train/*/NAME_image.jpg and gtFine/train/*/NAME_label.png (the folder idd20k_lite)",
    "true outlines of seven groups; the teacher chooses the class inside a group",
    "the data set's own: by registration, research use",
    idd_frames,
)
CRACKS = Source(
    "cracks",
    "Dataset/ID/ID_RAW.jpg, ID_LANE.png and ID_POTHOLE.png "
    "(the repository Cracks-and-Potholes-in-Road-Images-Dataset)",
    "true lane; the teacher beside it",
    "MIT",
    crack_frames,
)
ROADSCENE = Source(
    "roadscene",
    "crop_HR_visible/NAME.jpg (the repository RoadScene)",
    "the teacher",
    "none stated; cut from FLIR's thermal data set, whose own terms apply",
    roadscene_frames,
)
AURA = Source(
    "aura",
    "dataset/semantic/*/images/NAME.png with annotations/NAME.png, dataset/bb/*/front/images/NAME.jpg "
    "(the repository aura_dataset)",
    "true for the semantic part; the teacher for the front views",
    "MIT",
    aura_frames,
)
KITTI = Source(
    "kitti-semantic",
    "training/image_2/NAME.png and training/semantic/NAME.png (the folder data_semantics)",
    "true",
    "CC BY-NC-SA 3.0",
    kitti_frames,
)
SOURCES = (IDD, CRACKS, ROADSCENE, AURA, KITTI)
UNLABELLED = Source(
    "unlabelled",
    "pictures (.jpg, .jpeg, .png) of roads by day",
    "the teacher",
    "the folder's own",
    unlabelled_frames,
)
