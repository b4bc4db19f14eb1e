"""Readers of road anomaly sets: (folder, split) → samples, laid out as their authors publish them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from clipomaly.data.samples import (
    IGNORE,
    MASKS,
    Sample,
    folders_of,
    frame_name,
    no_split,
    pictures_in,
    read_label,
    splits_of,
)
from clipomaly.errors import DataError

__all__ = [
    "bdd_anomaly",
    "fishyscapes",
    "fishyscapes_static",
    "lost_and_found",
    "masks",
    "road_anomaly",
    "street_hazards",
]

_ROAD_ANOMALY = {0: 0, 1: 0, 2: 1, IGNORE: IGNORE}
#: `labelIds`: 0 nothing said, 1 free road, each kind of obstacle a number of its own from 2 on.
_LOST_AND_FOUND = {0: IGNORE, 1: 0, **dict.fromkeys(range(2, 255), 1), IGNORE: IGNORE}
_KNOWN_OBSTACLES = (
    "15_Rechbergstr_Deckenpfronn", "01_Hanns_Klemm_Str_45_000006", "01_Hanns_Klemm_Str_45_000007",
    "10_Schlossberg_9_000004",
)  # fmt: skip
#: 1 unlabelled (the sky among it), 2 to 13 known classes, 14 anomaly: as the PNGs have it.
_STREET_HAZARDS = {0: IGNORE, **dict.fromkeys(range(1, 14), 0), 14: 1, IGNORE: IGNORE}
_BDD_UNKNOWN = (16, 17, 18)
_BDD = {**dict.fromkeys(range(16), 0), **dict.fromkeys(_BDD_UNKNOWN, 1), IGNORE: IGNORE}


def road_anomaly(folder: Path, split: str | None) -> list[Sample]:
    """frames/NAME.jpg + frames/NAME.labels/labels_semantic.png, or the layout of `masks`."""
    no_split(split)
    if folder.name == "frames" and next(folder.glob("*.labels"), None) is not None:
        folder = folder.parent  # named by its inner folder
    if not (folder / "frames").is_dir():
        if (folder / "images").is_dir():
            samples = masks(folder, split)
            # Both conventions are in use: as published, anomalies are 2 and the rest is 0 or 1.
            marked = any(s.label_path is not None and _holds(s.label_path, (2,)) for s in samples)
            return [replace(s, values=_ROAD_ANOMALY if marked else MASKS) for s in samples]
        raise DataError(f"{folder} has neither frames/ (as published) nor images/ with labels_masks/")
    samples = []
    for image in pictures_in(folder / "frames", deep=False):
        label = image.with_suffix(".labels") / "labels_semantic.png"
        if not label.is_file():
            raise DataError(f"{label} is missing")
        samples.append(Sample(image.stem, image, label, values=_ROAD_ANOMALY))
    return samples


def masks(folder: Path, split: str | None) -> list[Sample]:
    """images/NAME.* + labels_masks/NAME_labels_semantic.png (or NAME.png), 0 known, 1 anomaly, 255 left out.

    Frames without a label are those of a hidden test: they stay, without one. `split` is the beginning of
    the names, as in `validation`.
    """
    samples = labelled(folder / "images", folder / "labels_masks", MASKS)
    if all(s.label_path is None for s in samples):
        raise DataError(
            f"{folder / 'labels_masks'} holds no label of these pictures (NAME_labels_semantic.png)"
        )
    if split is not None:
        samples = [s for s in samples if s.name.startswith(split)]
        if not samples:
            raise DataError(f"no picture's name begins with {split!r}")
    return samples


def labelled(images: Path, labels: Path, values: Mapping[int, int]) -> list[Sample]:
    """Pictures and the labels of the same stem, where there are any."""
    folders_of(images, labels)
    samples = []
    for image in pictures_in(images):
        base = labels / image.relative_to(images).parent
        stems = (f"{image.stem}_labels_semantic.png", f"{image.stem}_labels.png", f"{image.stem}.png")
        label = next((base / stem for stem in stems if (base / stem).is_file()), None)
        samples.append(Sample(frame_name(image, images), image, label, values=values))
    return samples


def fishyscapes(folder: Path, split: str | None) -> list[Sample]:
    """Fishyscapes Lost & Found as published, or one of the layouts that people convert it to.

    NNNN_SEQUENCE_…_labels.png (of the zip, anywhere below) + leftImg8bit/{train,test}/SEQUENCE/….png of Lost
    and Found; original/ + labels/; images/ + labels_masks/. A frame of the set shows no anomaly: it counts.
    """
    if (folder / "images").is_dir():
        return masks(folder, split)
    no_split(split)
    if (folder / "original").is_dir():
        return _complete(labelled(folder / "original", folder / "labels", MASKS))
    found = [p for p in sorted(folder.rglob("*_labels.png")) if re.match(r"\d{4}_", p.name)]
    if not found:
        raise DataError(f"{folder} holds no label NNNN_…_labels.png, and neither images/ nor original/")
    pictures = {p.name: p for p in folder.rglob("*_leftImg8bit.png")}
    samples = []
    for label in found:
        base = label.name.partition("_")[2].removesuffix("_labels.png") + "_leftImg8bit.png"
        if base not in pictures:
            raise DataError(f"{base} is missing below {folder}: put leftImg8bit/ of Lost and Found there")
        samples.append(Sample(label.name.removesuffix("_labels.png"), pictures[base], label, values=MASKS))
    return samples


def fishyscapes_static(folder: Path, split: str | None) -> list[Sample]:
    """Fishyscapes Static: overlays and the Cityscapes pictures they belong on, or converted pictures.

    NNNN_CITY_…_rgb.npz (what to add to the picture) + NNNN_CITY_…_labels.png (0, or left out) +
    leftImg8bit/val/CITY/….png of Cityscapes; original/ + labels/; images/ + labels_masks/.
    """
    overlays = sorted(folder.rglob("*_rgb.npz"))
    if not overlays:
        return fishyscapes(folder, split)
    no_split(split)
    pictures = {p.name: p for p in folder.rglob("*_leftImg8bit.png")}
    samples = []
    for overlay in overlays:
        stem = overlay.name.removesuffix("_rgb.npz")
        label, base = overlay.with_name(f"{stem}_labels.png"), f"{stem.partition('_')[2]}_leftImg8bit.png"
        if not label.is_file():
            raise DataError(f"{label} is missing")
        if base not in pictures:
            raise DataError(f"{base} is missing below {folder}: put leftImg8bit/val of Cityscapes there")
        every = {v: v for v in range(256)}
        samples.append(Sample(stem, pictures[base], label, values=every, overlay_path=overlay))
    return samples


def lost_and_found(folder: Path, split: str | None) -> list[Sample]:
    """leftImg8bit/SPLIT/SEQUENCE/*_leftImg8bit.png + gtCoarse/SPLIT/SEQUENCE/*_gtCoarse_labelIds.png.

    Only the free road (1) counts as known: what lies beside it was not labelled (0). Frames whose labels
    are all 0 stay out, and the split `test-no-known` leaves out those with children and bicycles, as in the
    code of SegmentMeIfYouCan.
    """
    samples = []
    for name in splits_of(split, ("train", "test", "test-no-known") if split else ("train", "test")):
        part = name.removesuffix("-no-known")
        images, labels = folder / "leftImg8bit" / part, folder / "gtCoarse" / part
        folders_of(images, labels)
        for image in pictures_in(images):
            stem = image.stem.removesuffix("_leftImg8bit")
            if part != name and stem.startswith(_KNOWN_OBSTACLES):
                continue
            label = labels / image.parent.relative_to(images) / f"{stem}_gtCoarse_labelIds.png"
            if not label.is_file():
                raise DataError(f"{label} is missing")
            if _holds(label, range(1, 255)):
                samples.append(Sample(f"{part}/{stem}", image, label, values=_LOST_AND_FOUND))
    if not samples:
        raise DataError(f"{folder / 'gtCoarse'} holds no frame with a labelled pixel")
    return samples


def street_hazards(folder: Path, split: str | None) -> list[Sample]:
    """test/images/test/TOWN/*.png + test/annotations/test/TOWN/*.png; training and validation in train/.

    The label files count from 1 (unlabelled) to 14 (anomaly); the authors' code subtracts 1 on reading.
    """
    [part] = splits_of(split or "test", ("test", "training", "validation"))
    outer = "test" if part == "test" else "train"
    root = folder / outer if (folder / outer / "images").is_dir() else folder
    images, labels = root / "images" / part, root / "annotations" / part
    folders_of(images, labels)
    samples = [replace(s, values=_STREET_HAZARDS) for s in labelled(images, labels, {})]
    return [
        replace(s, conditions={"town": s.name.partition("/")[0]} if "/" in s.name else {})
        for s in _complete(samples)
    ]


def bdd_anomaly(folder: Path, split: str | None) -> list[Sample]:
    """BDD100K segmentation, of which motorcycle, train and bicycle are the unknown.

    seg/images/PART/NAME.jpg + seg/labels/PART/NAME_train_id.png (or train_labels/, or images/10k and
    labels/sem_seg/masks of later releases). As published, `test` is every frame of train and val that shows
    one of the three; `training` and `validation` are the others. All labels are looked through for that.
    """
    [part] = splits_of(split or "test", ("test", "training", "validation"))
    places = (
        ("seg/images", "seg/labels"), ("seg/images", "seg/train_labels"), ("images", "labels"),
        ("images/10k", "labels/sem_seg/masks"),
    )  # fmt: skip
    found = next(
        ((a, b) for a, b in places if (folder / a / "train").is_dir() and (folder / b).is_dir()), None
    )
    if found is None:
        raise DataError(f"{folder / 'seg' / 'images' / 'train'} or {folder / 'seg' / 'labels'} is missing")
    samples = []
    for inner in ("train", "val"):
        if part == {"train": "validation", "val": "training"}[inner]:
            continue
        images, labels = folder / found[0] / inner, folder / found[1] / inner
        folders_of(images, labels)
        for image in pictures_in(images, deep=False):
            names = (f"{image.stem}_train_id.png", f"{image.stem}.png")
            label = next((labels / n for n in names if (labels / n).is_file()), None)
            if label is not None and _holds(label, _BDD_UNKNOWN) == (part == "test"):
                samples.append(Sample(f"{inner}/{image.stem}", image, label, values=_BDD))
    if not samples:
        raise DataError(f"{folder / found[1]} holds no label NAME_train_id.png of this split")
    return samples


def _complete(samples: list[Sample]) -> list[Sample]:
    """Every picture must have its label."""
    for sample in samples:
        if sample.label_path is None:
            raise DataError(f"the label of {sample.image_path} is missing")
    return samples


def _holds(path: Path, values: range | tuple[int, ...]) -> bool:
    return bool(np.isin(read_label(path, {v: v for v in range(256)}), list(values)).any())
