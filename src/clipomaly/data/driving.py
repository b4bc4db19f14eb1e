"""Readers of driving sets with class labels: (folder, split) → samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from clipomaly.data.samples import IGNORE, Sample, folders_of, pictures_in, splits_of
from clipomaly.errors import DataError

__all__ = ["CITYSCAPES_TRAIN_IDS", "camvid", "cityscapes", "mapillary"]

#: Cityscapes label id → trainId; all others are left out.
CITYSCAPES_TRAIN_IDS: Final[dict[int, int]] = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13,
    27: 14, 28: 15, 31: 16, 32: 17, 33: 18,
}  # fmt: skip

#: Beginning of a class name of Mapillary Vistas (1.2 and 2.0) → Cityscapes trainId; the longest one counts,
#: and what none fits is left out.
_MAPILLARY: Final[dict[str, int]] = {
    "construction--flat--road": 0, "construction--flat--crosswalk-plain": 0, "marking--": 0,
    "construction--flat--road-shoulder": IGNORE, "construction--flat--sidewalk": 1,
    "construction--structure--building": 2, "construction--barrier--wall": 3,
    "construction--barrier--fence": 4, "object--support--pole": 5, "object--support--utility-pole": 5,
    "object--traffic-light": 6, "object--traffic-sign": 7, "object--traffic-sign--back": IGNORE,
    "nature--vegetation": 8, "nature--terrain": 9, "nature--sky": 10, "human--person": 11,
    "human--rider": 12, "object--vehicle--car": 13, "object--vehicle--truck": 14, "object--vehicle--bus": 15,
    "object--vehicle--on-rails": 16, "object--vehicle--motorcycle": 17, "object--vehicle--bicycle": 18,
    "object--vehicle--caravan": IGNORE,
}  # fmt: skip


def camvid(folder: Path, split: str | None) -> list[Sample]:
    """SPLIT/images + SPLIT/labels, or SPLIT + SPLITannot; 0 to 10, 11 is void."""
    values = {**{c: c for c in range(11)}, 11: IGNORE, IGNORE: IGNORE}
    samples = []
    for part in splits_of(split, ("train", "val", "test")):
        if (folder / part / "images").is_dir():
            images, labels = folder / part / "images", folder / part / "labels"
        else:
            images, labels = folder / part, folder / f"{part}annot"
        folders_of(images, labels)
        for image in pictures_in(images, deep=False):
            label = labels / f"{image.stem}.png"
            if not label.is_file():
                raise DataError(f"{label} is missing")
            samples.append(Sample(f"{part}/{image.stem}", image, label, values=values))
    return samples


def cityscapes(folder: Path, split: str | None) -> list[Sample]:
    """leftImg8bit/SPLIT/CITY/*_leftImg8bit.png + gtFine/SPLIT/CITY/*_gtFine_labelIds.png or labelTrainIds."""
    by_id = {v: CITYSCAPES_TRAIN_IDS.get(v, IGNORE) for v in range(256)}
    by_train_id = {**{c: c for c in range(19)}, IGNORE: IGNORE}
    samples = []
    for part in splits_of(split, ("train", "val")):
        images, labels = folder / "leftImg8bit" / part, folder / "gtFine" / part
        folders_of(images, labels)
        for image in pictures_in(images):
            stem = image.stem.removesuffix("_leftImg8bit")
            base = labels / image.parent.relative_to(images)
            by_kind = {base / f"{stem}_gtFine_labelIds.png": by_id}
            by_kind[base / f"{stem}_gtFine_labelTrainIds.png"] = by_train_id
            label = next((path for path in by_kind if path.is_file()), None)
            if label is None:
                raise DataError(f"{next(iter(by_kind))} is missing")
            samples.append(Sample(f"{part}/{stem}", image, label, values=by_kind[label]))
    return samples


def mapillary(folder: Path, split: str | None) -> list[Sample]:
    """SPLIT/images/*.jpg + SPLIT/{v2.0,v1.2,}/labels/*.png (palette) + config_VERSION.json: Mapillary Vistas.

    Its classes are read as those of Cityscapes, by their names in the config file; what has no counterpart
    there is left out.
    """
    samples = []
    for part in splits_of(split, ("training", "validation")):
        images = folder / part / "images"
        folders_of(images)
        versions = [v for v in ("v2.0", "v1.2", "") if (folder / part / v / "labels").is_dir()]
        if not versions:
            raise DataError(f"{folder / part / 'v1.2' / 'labels'} is missing")
        values = _mapillary_values(folder, versions[0])
        for image in pictures_in(images, deep=False):
            label = folder / part / versions[0] / "labels" / f"{image.stem}.png"
            if not label.is_file():
                raise DataError(f"{label} is missing")
            samples.append(Sample(f"{part}/{image.stem}", image, label, values=values))
    return samples


def _mapillary_values(folder: Path, version: str) -> dict[int, int]:
    wanted = [folder / f"config_{version}.json"] if version else []
    path = next((p for p in (*wanted, folder / "config.json") if p.is_file()), None)
    if path is None:
        raise DataError(f"{(*wanted, folder / 'config.json')[0]} is missing: it says what the numbers mean")
    try:
        names = [str(label["name"]) for label in json.loads(path.read_text("utf-8"))["labels"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error})") from error
    return {**{i: mapillary_class(name) for i, name in enumerate(names)}, IGNORE: IGNORE}


def mapillary_class(name: str) -> int:
    """The Cityscapes trainId of a class of Mapillary Vistas, or 255.

    >>> mapillary_class("human--rider--bicyclist"), mapillary_class("animal--bird")
    (12, 255)
    """
    fitting = [prefix for prefix in _MAPILLARY if name.startswith(prefix)]
    return _MAPILLARY[max(fitting, key=len)] if fitting else IGNORE
