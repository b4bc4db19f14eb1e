"""One picture of a data set with its labels, in one convention, read when it is asked for.

    anomaly labels   0 known, 1 anomaly, 255 left out
    class labels     index into the set's vocabulary, 255 left out

Files are told by content: a `.png` that is a JPEG is read as one.
"""

from __future__ import annotations

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

__all__ = [
    "ANY_DEFECT",
    "IGNORE",
    "MASKS",
    "DataSet",
    "Kind",
    "Sample",
    "SplitError",
    "folders_of",
    "frame_name",
    "no_split",
    "parse_values",
    "pictures_in",
    "read_label",
    "splits_of",
]


class SplitError(DataError):
    """The data are there; the split that was asked for is not one of theirs."""


IGNORE = 255
Kind = Literal["anomaly", "classes", "open", "defects", "pictures"]
#: `open`: masks of anomalies and known classes beside them; `defects`: image figures and AUPRO too.

#: Masks as most sets have them.
MASKS: dict[int, int] = {0: 0, 1: 1, IGNORE: IGNORE}
#: Industrial masks: whatever is not 0 is a defect, be it 1, 255 or the number of its kind.
ANY_DEFECT: dict[int, int] = {0: 0, **dict.fromkeys(range(1, 256), 1)}


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
    good: bool = False
    """Known to show no anomaly, without a label file: all of it is known."""
    overlay_path: Path | None = None
    """Differences to add to the picture (npz, `rgb`); where they are not 0, the anomaly is."""
    measures: Mapping[int, Mapping[str, float | str]] = field(default_factory=dict)
    """Number in the instance picture → size in metres, range in metres, where it lies."""

    def image(self, side: int | None = None) -> UInt8[np.ndarray, "H W 3"]:
        """The picture, upright RGB; at `side` it may be smaller, where that is quicker to read."""
        if self.overlay_path is None:
            return read_image(self.image_path, side=side)
        image = read_image(self.image_path)
        overlay = self._overlay()
        if overlay.shape != image.shape:
            raise DataError(f"{self.overlay_path} and {self.image_path} differ in size")
        return np.clip(image + overlay, 0, 255).astype(np.uint8)

    def label(self) -> UInt8[np.ndarray, "H W"] | None:
        """The labels in our convention; None where the set gives none."""
        if self.label_path is None:
            return np.zeros(self.image().shape[:2], np.uint8) if self.good else None
        label = read_label(self.label_path, self.values)
        if self.overlay_path is None:
            return label
        pasted = self._overlay().any(axis=2)
        if pasted.shape != label.shape:
            raise DataError(f"{self.overlay_path} and {self.label_path} differ in size")
        return np.where(pasted, 1, np.where(label != 0, IGNORE, 0)).astype(np.uint8)

    def _overlay(self) -> np.ndarray:
        try:
            with np.load(str(self.overlay_path), allow_pickle=False) as file:
                return file["rgb"].astype(np.int16)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"overlay {self.overlay_path} cannot be read ({error})") from error

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
        image = self.image()
        if self.label_path is None and self.good:
            return image, np.zeros(image.shape[:2], np.uint8)
        label = self.label()
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
    unknown: tuple[str, ...] = ()
    """Names that this set holds unknown: a vocabulary that knows one of them does not fit."""
    small: bool = False
    """Things are small: components count from 50 pixels (predicted) and 10 (true) on."""
    bundled: tuple[str, str] | None = None
    """The folder inside the package that holds some of it, and the split that is meant when none is named."""


def read_label(path: str | Path, values: Mapping[int, int]) -> UInt8[np.ndarray, "H W"]:
    """A label picture with its values replaced; a value that the set does not know is an error.

    Grey, palette (the index counts), 1 bit, 16 bits, and colour pictures whose channels are equal. A mask of
    defects that was saved with loss is cut at half; other labels saved with loss are refused by their values.
    """
    import cv2
    from PIL import Image

    try:
        with Image.open(path) as picture:
            lossy = picture.format == "JPEG"
            plain = picture.convert(picture.mode[:-1]) if picture.mode in ("LA", "RGBA") else picture
            raw = np.asarray(plain)
    except Exception as error:  # decoders raise nearly anything on damaged data
        raise DataError(f"label {path} cannot be read ({' '.join(str(error).split())})") from error
    if raw.ndim == 3:
        if (raw != raw[:, :, :1]).any():
            raise DataError(f"label {path} is a colour picture: use the file with class numbers")
        raw = raw[:, :, 0]
    if raw.dtype not in (np.uint8, np.bool_) and (raw.min() < 0 or raw.max() > 255):
        raise DataError(f"label {path} holds the value {int(raw.max())}: class numbers are below 256")
    raw = np.ascontiguousarray(raw, np.uint8)
    if lossy and values == ANY_DEFECT:
        if 0 < raw.max() < 128:
            raise DataError(f"label {path} was saved with loss: its values cannot be told apart")
        raw = np.where(raw >= 128, np.uint8(255), np.uint8(0))
    found = np.flatnonzero(cv2.calcHist([raw], [0], None, [256], [0, 256]))
    strange = [int(v) for v in found if int(v) not in values]
    if strange:
        raise DataError(
            f"label {path} holds the value {strange[0]}, this set knows {_values_text(values)}: another "
            f"set, or a label picture that was saved with loss{_values_fix(values, strange)}"
        )
    table = np.zeros(256, np.uint8)
    for old, new in values.items():
        table[old] = new
    return cv2.LUT(raw, table)


def _values_text(values: Mapping[int, int]) -> str:
    known = sorted(values)
    return str(known) if len(known) <= 40 else f"{known[0]} to {known[-1]}"


def _values_fix(values: Mapping[int, int], strange: Sequence[int]) -> str:
    """How to say what the values of a mask mean; nothing for classes, or where there are too many.

    >>> _values_fix(MASKS, [200])
    '. Say what its values mean, as in --values 0=0,1=1,200=1,255=255'
    """
    if not set(values.values()) <= {0, 1, IGNORE} or len(strange) > 8:
        return ""
    told = {**values, **dict.fromkeys(strange, 1)}
    published = ""
    if list(strange) == [2]:
        told = {0: 0, 1: 0, 2: 1, IGNORE: IGNORE}
        published = " (RoadAnomaly's), or read it as road-anomaly (metrics: --dataset road-anomaly)"
    text = ",".join(f"{old}={new}" for old, new in sorted(told.items()))
    return f". Say what its values mean, as in --values {text}{published}"


def parse_values(text: str) -> dict[int, int]:
    """What the values in label files mean: `0=0,1=0,2=1,255=255` maps value 2 to anomaly.

    >>> parse_values("0=0, 2=1")
    {0: 0, 2: 1}
    """
    out = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)\s*=\s*(0|1|255)\s*", part)
        if not found or int(found[1]) > 255:
            raise DataError(
                f"label values {text!r} are not valid: write pairs such as 0=0,1=1,255=255, "
                "the value in the file first, then 0 (known), 1 (anomaly) or 255 (left out)"
            )
        out[int(found[1])] = int(found[2])
    return out


# --- what readers share -------------------------------------------------------------------------------------


def folders_of(*wanted: Path) -> None:
    """All of these folders must be there."""
    for folder in wanted:
        if not folder.is_dir():
            raise DataError(f"{folder} is missing")


def pictures_in(folder: Path, *, deep: bool = True) -> list[Path]:
    """Pictures of a folder in natural order; none is an error."""
    if not folder.is_dir():
        raise DataError(f"{folder} is missing")
    found = (p for p in (folder.rglob("*") if deep else folder.iterdir()) if not p.name.startswith("."))
    pictures = [p for p in found if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
    if not pictures:
        raise DataError(f"{folder} holds no picture")
    return sorted(pictures, key=lambda p: natural_key(p.as_posix()))


def frame_name(image: Path, folder: Path) -> str:
    """A picture's name: its path below a folder, without its suffix."""
    return image.relative_to(folder).with_suffix("").as_posix()


def splits_of(split: str | None, known: Sequence[str]) -> Sequence[str]:
    """The one that was asked for, or all."""
    if split is None:
        return known
    if split not in known:
        raise SplitError(f"there is no split {split!r}; it has {', '.join(known)}")
    return (split,)


def no_split(split: str | None) -> None:
    """For sets of one part."""
    if split is not None:
        raise SplitError(f"there is no split {split!r}; it has only one part")
