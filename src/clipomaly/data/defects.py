"""Readers of industrial sets as published: good pictures and such with defects, masks, the kind of each.

A picture known to be good needs no mask: all of it counts as known. Whatever is not 0 in a mask is a defect
(sets use 1, 255 or the number of the kind). `split` is a category or several (`bottle,cable`), where a set
has them; figures are given for each category and each kind of defect too.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from clipomaly.data.images import IMAGE_SUFFIXES
from clipomaly.data.samples import (
    ANY_DEFECT,
    Sample,
    folders_of,
    frame_name,
    no_split,
    pictures_in,
    splits_of,
)
from clipomaly.errors import DataError

__all__ = ["allo", "btad", "magnetic_tile", "mvtec", "neu_seg", "visa"]

_Stems = Callable[[str], tuple[str, ...]]


def mvtec(folder: Path, split: str | None) -> list[Sample]:
    """CATEGORY/test/KIND/*.png + CATEGORY/ground_truth/KIND/*_mask.png, none for `good`. MVTec AD, MPDD."""
    return _by_category(folder, split, "good", lambda stem: (f"{stem}_mask",))


def btad(folder: Path, split: str | None) -> list[Sample]:
    """CATEGORY/test/{ok,ko}/* + CATEGORY/ground_truth/ko/*, masks of the pictures' own names. BTAD."""
    return _by_category(folder, split, "ok", lambda stem: (stem, f"{stem}_mask"))


def _by_category(folder: Path, split: str | None, good: str, masks: _Stems) -> list[Sample]:
    one = (folder / "test").is_dir()
    categories = [folder] if one else sorted(p.parent for p in folder.glob("*/test") if p.is_dir())
    if not categories:
        raise DataError(f"{folder} holds neither test/ nor CATEGORY/test/")
    if one:
        no_split(split)
    elif split is not None:
        known = [c.name for c in categories]
        wanted = {splits_of(part.strip(), known)[0] for part in split.split(",")}
        categories = [c for c in categories if c.name in wanted]
    samples = []
    for category in categories:
        for kind in sorted(p for p in (category / "test").iterdir() if p.is_dir() and p.name[0] != "."):
            for image in pictures_in(kind, deep=False):
                label = None
                if kind.name != good:
                    place = category / "ground_truth" / kind.name
                    label = _beside(place, masks(image.stem))
                name = f"{kind.name}/{image.stem}" if one else f"{category.name}/{kind.name}/{image.stem}"
                about = {} if one else {"category": category.name}
                samples.append(_sample(name, image, label, {**about, "defect": kind.name}))
    return samples


def visa(folder: Path, split: str | None) -> list[Sample]:
    """split_csv/1cls.csv (object, split, label, image, mask) with CATEGORY/Data/{Images,Masks}/…; VisA.

    The test rows of the table; masks number the kinds of defects from 1 on.
    """
    path = folder / "split_csv" / "1cls.csv"
    if not path.is_file():
        raise DataError(f"{path} is missing")
    try:
        with open(path, encoding="utf-8-sig", newline="") as text:
            rows = [row for row in csv.DictReader(text) if row["split"] == "test"]
        known = sorted({row["object"] for row in rows})
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error})") from error
    wanted = known if split is None else [splits_of(p.strip(), known)[0] for p in split.split(",")]
    samples = []
    for row in rows:
        if row["object"] not in wanted:
            continue
        image, mask = folder / row["image"], folder / row["mask"] if row["mask"] else None
        defect = row["label"] != "normal"
        if defect and mask is None:
            raise DataError(f"{path}: {row['image']} shows a defect, but the table names no mask")
        for file in (image, mask):
            if file is not None and not file.is_file():
                raise DataError(f"{file} is missing")
        name = f"{row['object']}/{row['label']}/{image.stem}"
        samples.append(_sample(name, image, mask if defect else None, {"category": row["object"]}))
    return samples


def neu_seg(folder: Path, split: str | None) -> list[Sample]:
    """images/ + annotations/ (or masks/), each with training/ and test/ or without. NEU-Seg, steel."""
    labels = next((folder / n for n in ("annotations", "masks") if (folder / n).is_dir()), None)
    if labels is None:
        raise DataError(f"{folder / 'annotations'} is missing, and masks/ too")
    folders_of(folder / "images")
    if not (folder / "images" / "test").is_dir():
        no_split(split)
    elif split is not None:
        splits_of(split, ("training", "test"))
    samples = []
    for image in pictures_in(folder / "images" / (split or "")):
        inner = image.relative_to(folder / "images").parent
        label = _beside(labels / inner, (image.stem,))
        samples.append(_sample(frame_name(image, folder / "images"), image, label, {}))
    return samples


def magnetic_tile(folder: Path, split: str | None) -> list[Sample]:
    """MT_KIND/Imgs/NAME.jpg + MT_KIND/Imgs/NAME.png; MT_Free has no defect. Magnetic tile defects."""
    no_split(split)
    samples = []
    for kind in sorted(p for p in folder.glob("MT_*") if p.is_dir()):
        for image in pictures_in(kind / "Imgs", deep=False):
            if image.suffix.lower() not in (".jpg", ".jpeg"):  # the PNGs are the masks
                continue
            name = kind.name.removeprefix("MT_").lower()
            label = None if name == "free" else _beside(kind / "Imgs", (image.stem,), (".png",))
            samples.append(_sample(f"{name}/{image.stem}", image, label, {"defect": name}))
    if not samples:
        raise DataError(f"{folder} holds no MT_KIND/Imgs/*.jpg")
    return samples


def allo(folder: Path, split: str | None) -> list[Sample]:
    """images/ + masks/ (or labels/), matched by their paths below; a picture without a mask is good.

    This is a layout to bring ALLO into; the archive's own was not at hand.
    """
    labels = next((folder / n for n in ("masks", "labels") if (folder / n).is_dir()), None)
    if labels is None:
        raise DataError(f"{folder / 'masks'} is missing")
    images = folder / "images"
    if split is not None and not (images / split).is_dir():
        raise DataError(f"there is no split {split!r}: {images / split} is missing")
    samples = []
    for image in pictures_in(images / (split or "")):
        inner = labels / image.relative_to(images).parent
        found = [inner / f"{image.stem}{end}" for end in (".png", "_mask.png")]
        label = next((p for p in found if p.is_file()), None)
        samples.append(_sample(frame_name(image, images), image, label, {}))
    if all(s.label_path is None for s in samples):
        raise DataError(f"{labels} holds no mask of these pictures")
    return samples


def _sample(name: str, image: Path, label: Path | None, conditions: dict[str, str]) -> Sample:
    return Sample(name, image, label, values=ANY_DEFECT, conditions=conditions, good=label is None)


def _beside(place: Path, stems: tuple[str, ...], suffixes: tuple[str, ...] | None = None) -> Path:
    """The mask of a picture, whatever its format; missing is an error, never a good picture."""
    for stem in stems:
        for suffix in suffixes or (".png", *sorted(IMAGE_SUFFIXES)):
            for end in (suffix, suffix.upper()):
                if (place / f"{stem}{end}").is_file():
                    return place / f"{stem}{end}"
    raise DataError(f"{place / f'{stems[0]}.png'} is missing")
