"""Data sets as sorted lists of samples: pictures, and labels in one convention, read when they are asked for.

    anomaly labels   0 known, 1 anomaly, 255 left out
    class labels     index into the set's vocabulary, 255 left out

Nothing is downloaded. A reader that does not find its folder's parts says which, and where they come from.
Files are told by content: a `.png` that is a JPEG is read as one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8, UInt16

from clipomaly.data.images import IMAGE_SUFFIXES, read_image
from clipomaly.data.sources import natural_key
from clipomaly.errors import DataError

__all__ = ["CITYSCAPES_TRAIN_IDS", "DATASETS", "DataSet", "Sample", "open_dataset", "read_label"]

IGNORE = 255
Kind = Literal["anomaly", "classes", "open", "pictures"]
#: `open`: masks of anomalies and known classes beside them.

#: Cityscapes label id → trainId; all others are left out.
CITYSCAPES_TRAIN_IDS: dict[int, int] = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13,
    27: 14, 28: 15, 31: 16, 32: 17, 33: 18,
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One picture of a data set, not yet read."""

    name: str
    image_path: Path
    label_path: Path | None = None
    names: tuple[str, ...] = ()
    """What the anomalies in it are called, where the set says so."""
    values: Mapping[int, int] = field(default_factory=dict)
    """Value in the label file → value in our convention."""
    class_path: Path | None = None
    """Known classes by their place in `vocabulary`, where a set has them beside the masks of anomalies."""
    instance_path: Path | None = None
    """Numbers of things, 16 bits; `things` names some of them."""
    things: Mapping[int, str] = field(default_factory=dict)
    """Number in the instance picture → what that anomaly is called."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """Light, weather, surface …: figures are given by each."""
    vocabulary: str | None = None
    """The shipped vocabulary that its classes index, where it is not the same for the whole set."""

    def image(self) -> UInt8[np.ndarray, "H W 3"]:
        """The picture, upright RGB."""
        return read_image(self.image_path)

    def label(self) -> UInt8[np.ndarray, "H W"] | None:
        """The labels in our convention; None where the set gives none."""
        return None if self.label_path is None else read_label(self.label_path, self.values)

    def classes(self) -> UInt8[np.ndarray, "H W"] | None:
        """Known classes, 255 elsewhere; None where they do not stand beside the masks."""
        return None if self.class_path is None else read_label(self.class_path, {v: v for v in range(256)})

    def instances(self) -> UInt16[np.ndarray, "H W"] | None:
        """Numbers of things; None where the set has none."""
        import cv2

        if self.instance_path is None:
            return None
        numbers = cv2.imread(str(self.instance_path), cv2.IMREAD_UNCHANGED)
        if numbers is None or numbers.ndim != 2:
            raise DataError(f"{self.instance_path} cannot be read as a picture of numbers")
        return numbers.astype(np.uint16)

    def load(self) -> tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"] | None]:
        """Picture and labels, which must have one size."""
        image, label = self.image(), self.label()
        if label is not None and label.shape != image.shape[:2]:
            (h, w), (lh, lw) = image.shape[:2], label.shape
            raise DataError(
                f"{self.label_path} is {lw}×{lh}, its picture {w}×{h}: they do not belong together"
            )
        return image, label


@dataclass(frozen=True)
class DataSet:
    """How one data set is laid out and where it comes from."""

    title: str
    kind: Kind
    read: Callable[[Path, str | None], list[Sample]]
    """(folder, split) → samples in order."""
    source: str
    """Whom to ask for it."""
    vocabulary: str | None = None
    """The shipped vocabulary that class labels index."""


def open_dataset(name: str, folder: str | Path, split: str | None = None) -> list[Sample]:
    """The samples of a data set, sorted; `split` where the set has several (all of it otherwise)."""
    if name not in DATASETS:
        raise DataError(f"unknown data set {name!r}: use one of {', '.join(DATASETS)}")
    dataset, folder = DATASETS[name], Path(folder)
    if not folder.is_dir():
        raise DataError(f"data set {name}: {folder} is not a folder. Get it from: {dataset.source}")
    try:
        samples = dataset.read(folder, split)
    except DataError as error:
        raise DataError(f"data set {name}: {error}. Get it from: {dataset.source}") from error
    return sorted(samples, key=lambda s: natural_key(s.name))


def read_label(path: str | Path, values: Mapping[int, int]) -> UInt8[np.ndarray, "H W"]:
    """A label picture with its values replaced; a value that the set does not know is an error.

    Grey, palette (the index counts), 16-bit, and colour pictures whose channels are equal.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            plain = picture.convert(picture.mode[:-1]) if picture.mode in ("LA", "RGBA") else picture
            raw = np.asarray(plain)
    except Exception as error:  # decoders raise nearly anything on damaged data
        raise DataError(f"label {path} cannot be read ({' '.join(str(error).split())})") from error
    if raw.ndim == 3:
        if (raw != raw[:, :, :1]).any():
            raise DataError(f"label {path} is a colour picture: use the file with class numbers")
        raw = raw[:, :, 0]
    raw = raw.astype(np.int64)
    if raw.min() < 0 or raw.max() > 255:
        raise DataError(f"label {path} holds the value {int(raw.max())}: class numbers are below 256")
    table = np.full(256, -1, np.int16)
    for old, new in values.items():
        table[old] = new
    found = np.flatnonzero(np.bincount(raw.ravel(), minlength=256))
    strange = [int(v) for v in found if table[v] < 0]
    if strange:
        raise DataError(
            f"label {path} holds the value {strange[0]}, this set knows {sorted(values)}: another set, or a "
            "label picture that was saved with loss"
        )
    return table[raw].astype(np.uint8)


# --- readers: (folder, split) → samples ---------------------------------------------------------------------

_MASKS = {0: 0, 1: 1, IGNORE: IGNORE}
_ROAD_ANOMALY = {0: 0, 1: 0, 2: 1, IGNORE: IGNORE}


def _road_anomaly(folder: Path, split: str | None) -> list[Sample]:
    """frames/NAME.jpg + frames/NAME.labels/labels_semantic.png, or the layout of `_masks`."""
    _no_split(split)
    if not (folder / "frames").is_dir():
        if (folder / "images").is_dir():
            samples = _masks(folder, split)
            # Both conventions are in use: as published, anomalies are 2 and the rest may be 1.
            marked = any(s.label_path is not None and _holds(s.label_path, 2) for s in samples)
            return [_replaced(s, _ROAD_ANOMALY if marked else _MASKS) for s in samples]
        raise DataError(f"{folder} has neither frames/ (as published) nor images/ with labels_masks/")
    samples = []
    for image in _pictures(folder / "frames", deep=False):
        label = image.with_suffix(".labels") / "labels_semantic.png"
        if not label.is_file():
            raise DataError(f"{label} is missing")
        samples.append(Sample(image.stem, image, label, values=_ROAD_ANOMALY))
    return samples


def _masks(folder: Path, split: str | None) -> list[Sample]:
    """images/NAME.* + labels_masks/NAME_labels_semantic.png (or NAME.png), 0 known, 1 anomaly, 255 left out.

    Frames without a label are those of a hidden test: they stay, without one. `split` is the beginning of
    the names, as in `validation`.
    """
    images, masks = folder / "images", folder / "labels_masks"
    if not images.is_dir():
        raise DataError(f"{images} is missing")
    if not masks.is_dir():
        raise DataError(f"{masks} is missing")
    samples = []
    for image in _pictures(images):
        base = masks / image.relative_to(images).parent
        stems = (f"{image.stem}_labels_semantic.png", f"{image.stem}_labels.png", f"{image.stem}.png")
        label = next((base / stem for stem in stems if (base / stem).is_file()), None)
        samples.append(Sample(_name(image, images), image, label, values=_MASKS))
    if all(s.label_path is None for s in samples):
        raise DataError(f"{masks} holds no label of these pictures (NAME_labels_semantic.png)")
    if split is not None:
        samples = [s for s in samples if s.name.startswith(split)]
        if not samples:
            raise DataError(f"no picture's name begins with {split!r}")
    return samples


def _named(folder: Path, split: str | None) -> list[Sample]:
    """Pictures whose file names say what is in them: `traffic_cone0003.jpg` shows a traffic cone."""
    _no_split(split)
    where = folder / "images" if (folder / "images").is_dir() else folder
    samples = []
    for image in _pictures(where):
        word = re.sub(r"[\s_-]+", " ", re.sub(r"[\d_-]*$", "", image.stem)).strip().lower()
        if not word:
            raise DataError(f"{image} does not begin with a name")
        samples.append(Sample(_name(image, where), image, names=(word,)))
    return samples


def _camvid(folder: Path, split: str | None) -> list[Sample]:
    """SPLIT/images + SPLIT/labels, or SPLIT + SPLITannot; 0 to 10, 11 is void."""
    values = {**{c: c for c in range(11)}, 11: IGNORE, IGNORE: IGNORE}
    samples = []
    for part in _splits(split, ("train", "val", "test")):
        if (folder / part / "images").is_dir():
            images, labels = folder / part / "images", folder / part / "labels"
        else:
            images, labels = folder / part, folder / f"{part}annot"
        for place in (images, labels):
            if not place.is_dir():
                raise DataError(f"{place} is missing")
        for image in _pictures(images, deep=False):
            label = labels / f"{image.stem}.png"
            if not label.is_file():
                raise DataError(f"{label} is missing")
            samples.append(Sample(f"{part}/{image.stem}", image, label, values=values))
    return samples


def _cityscapes(folder: Path, split: str | None) -> list[Sample]:
    """leftImg8bit/SPLIT/CITY/*_leftImg8bit.png + gtFine/SPLIT/CITY/*_gtFine_labelIds.png or labelTrainIds."""
    by_id = {v: CITYSCAPES_TRAIN_IDS.get(v, IGNORE) for v in range(256)}
    by_train_id = {**{c: c for c in range(19)}, IGNORE: IGNORE}
    samples = []
    for part in _splits(split, ("train", "val")):
        images, labels = folder / "leftImg8bit" / part, folder / "gtFine" / part
        for place in (images, labels):
            if not place.is_dir():
                raise DataError(f"{place} is missing")
        for image in _pictures(images):
            stem = image.stem.removesuffix("_leftImg8bit")
            base = labels / image.parent.relative_to(images)
            by_kind = {base / f"{stem}_gtFine_labelIds.png": by_id}
            by_kind[base / f"{stem}_gtFine_labelTrainIds.png"] = by_train_id
            label = next((path for path in by_kind if path.is_file()), None)
            if label is None:
                raise DataError(f"{next(iter(by_kind))} is missing")
            samples.append(Sample(f"{part}/{stem}", image, label, values=by_kind[label]))
    return samples


def _proving_ground(folder: Path, split: str | None) -> list[Sample]:
    """A pack of rendered frames, or a folder of packs, whose names are the splits (`road`, `apron`)."""
    packs = (
        [folder] if (folder / "pack.json").is_file() else sorted(p.parent for p in folder.glob("*/pack.json"))
    )
    if not packs:
        raise DataError(f"{folder / 'pack.json'} is missing")
    if split is not None:
        packs = [p for p in packs if p.name == split]
        if not packs:
            raise DataError(f"{folder} holds no pack called {split!r}")
    samples = []
    for pack in packs:
        for path in sorted((pack / "frames").glob("*.json")):
            try:
                about = json.loads(path.read_text("utf-8"))
                things = {int(u["instance"]): str(u["name"]) for u in about["unknowns"]}
                conditions = {k: v for k, v in about["conditions"].items() if isinstance(v, str)}
                conditions["pavement"] = "wet" if about["conditions"]["wet"] > 0.3 else "dry"
                vocabulary = str(about["vocabulary"])
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(f"{path} is damaged ({error}): render the pack anew") from error
            name = path.stem
            sample = Sample(
                name if len(packs) == 1 else f"{pack.name}/{name}",
                pack / "images" / f"{name}.jpg",
                pack / "labels_masks" / f"{name}_labels_semantic.png",
                values=_MASKS,
                class_path=pack / "labels" / f"{name}.png",
                instance_path=pack / "instances" / f"{name}.png",
                things=things,
                conditions=conditions,
                vocabulary=vocabulary,
            )
            for part in (sample.image_path, sample.label_path, sample.class_path, sample.instance_path):
                if part is not None and not part.is_file():
                    raise DataError(f"{part} is missing")
            samples.append(sample)
    vocabularies = sorted({s.vocabulary for s in samples if s.vocabulary})
    if len(vocabularies) > 1:
        raise DataError(
            f"the packs index different vocabularies ({', '.join(vocabularies)}): take one of them, "
            f"split {' or '.join(p.name for p in packs)}"
        )
    if not samples:
        raise DataError(f"{packs[0] / 'frames'} holds no frame")
    return samples


def _folder(folder: Path, split: str | None) -> list[Sample]:
    """Every picture below a folder, without labels."""
    _no_split(split)
    return [Sample(_name(image, folder), image) for image in _pictures(folder)]


# --- helpers ------------------------------------------------------------------------------------------------


def _pictures(folder: Path, *, deep: bool = True) -> list[Path]:
    found = (p for p in (folder.rglob("*") if deep else folder.iterdir()) if not p.name.startswith("."))
    pictures = [p for p in found if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
    if not pictures:
        raise DataError(f"{folder} holds no picture")
    return sorted(pictures, key=lambda p: natural_key(p.as_posix()))


def _name(image: Path, folder: Path) -> str:
    return image.relative_to(folder).with_suffix("").as_posix()


def _splits(split: str | None, known: Sequence[str]) -> Sequence[str]:
    if split is None:
        return known
    if split not in known:
        raise DataError(f"there is no split {split!r}; it has {', '.join(known)}")
    return (split,)


def _no_split(split: str | None) -> None:
    if split is not None:
        raise DataError(f"there is no split {split!r}; it has only one part")


def _holds(path: Path, value: int) -> bool:
    return bool((read_label(path, dict.fromkeys(range(256), 0) | {value: 1}) == 1).any())


def _replaced(sample: Sample, values: Mapping[int, int]) -> Sample:
    return Sample(sample.name, sample.image_path, sample.label_path, sample.names, values)


_SMIYC = "the project SegmentMeIfYouCan (Chan et al., 2021)"

#: Every data set by name.
DATASETS: dict[str, DataSet] = {
    "road-anomaly": DataSet(
        "RoadAnomaly: 60 frames, masks of anomalies",
        "anomaly",
        _road_anomaly,
        "the project page of Detecting the Unexpected via Image Resynthesis (Lis et al., 2019), RoadAnomaly",
    ),
    "anomaly-track": DataSet(
        "SegmentMeIfYouCan AnomalyTrack", "anomaly", _masks, f"{_SMIYC}, dataset_AnomalyTrack"
    ),
    "obstacle-track": DataSet(
        "SegmentMeIfYouCan ObstacleTrack", "anomaly", _masks, f"{_SMIYC}, dataset_ObstacleTrack"
    ),
    "fishyscapes": DataSet(
        "Fishyscapes Lost & Found, and others laid out as images/ and labels_masks/",
        "anomaly",
        _masks,
        "the benchmark Fishyscapes (Blum et al., 2021); its images from the Lost and Found data set",
    ),
    "names": DataSet(
        "Pictures whose file names say what is in them",
        "pictures",
        _named,
        "your own folder of pictures called NAME0001.jpg",
    ),
    "camvid": DataSet(
        "CamVid, 11 classes",
        "classes",
        _camvid,
        "the SegNet tutorial's CamVid folder (Brostow et al., 2009; Badrinarayanan et al., 2017)",
        "camvid",
    ),
    "cityscapes": DataSet(
        "Cityscapes, 19 classes",
        "classes",
        _cityscapes,
        "the Cityscapes project (Cordts et al., 2016): leftImg8bit_trainvaltest and gtFine_trainvaltest",
        "cityscapes",
    ),
    "proving-ground": DataSet(
        "Rendered roads and aprons with exact truth",
        "open",
        _proving_ground,
        "`clipomaly world render`",
    ),
    "folder": DataSet("Any folder of pictures", "pictures", _folder, "your own pictures"),
}
