"""Anybody's score maps: one array a frame, as a file that is named like the frame.

    .npy .npz      any real numbers; an npz holds one two-dimensional array, or one called `score`
    .png .tif      8, 16 or 32 bits, one channel; our own 16-bit png carries its scale as a text
    .hdf5 .h5      a data set `value`, as SegmentMeIfYouCan's code writes (needs h5py)

A folder made by `clipomaly segment` or `clipomaly evaluate --keep-maps` is read as it is: there only the
score maps count. Names are compared without suffixes (`.score`, `_labels_semantic`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Shaped, UInt8

from clipomaly.data.datasets import DATASETS, Sample, open_dataset
from clipomaly.data.samples import parse_values
from clipomaly.data.sources import natural_key
from clipomaly.errors import DataError, MissingExtra
from clipomaly.evaluate.folder import MAPS
from clipomaly.evaluate.result import ROWS

_A = TypeVar("_A")
_B = TypeVar("_B")

__all__ = ["SCORE_SUFFIXES", "LabelledMap", "find_scores", "match_maps", "parse_values", "read_score"]

SCORE_SUFFIXES = (".npy", ".npz", ".png", ".tif", ".tiff", ".hdf5", ".h5")
_LABEL_ENDS = ("_labels_semantic", "_labels", "_label", "_mask", "_gt")
_LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class LabelledMap:
    """A frame's score map and labels, not yet read."""

    name: str
    score_path: Path
    label: Sample

    def load(self) -> tuple[Shaped[np.ndarray, "H W"], UInt8[np.ndarray, "H W"]]:
        """Both, which must have one size."""
        score, label = read_score(self.score_path), self.label.label()
        if label is None:
            raise DataError(f"frame {self.name} has no labels: leave it out")
        if score.shape != label.shape:
            (h, w), (lh, lw) = score.shape, label.shape
            raise DataError(
                f"{self.score_path} is {w}×{h}, its labels {lw}×{lh}: save score maps at the labels' size"
            )
        return score, label


def find_scores(folder: Path) -> dict[str, Path]:
    """Score maps below a folder by frame name."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: give the one that holds the score maps")
    folder = _maps_of(folder)
    files = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in SCORE_SUFFIXES and p.is_file()]
    files = [p for p in files if not any(part.startswith(".") for part in p.relative_to(folder).parts)]
    ours = [p for p in files if p.stem.endswith(".score")]
    out: dict[str, Path] = {}
    for path in ours or files:
        name = path.relative_to(folder).with_suffix("").as_posix().removesuffix(".score")
        if name in out:
            raise DataError(f"{out[name]} and {path} are score maps of one frame: keep one of them")
        out[name] = path
    if not out:
        raise DataError(f"{folder} holds no score map ({', '.join(SCORE_SUFFIXES)})")
    return out


def _maps_of(folder: Path) -> Path:
    """Of an evaluation's folder, where its maps are: beside them lie rows.npz and others' arrays."""
    if (folder / ROWS).is_file() and not (folder / MAPS).is_dir():
        raise DataError(f"{folder} is an evaluation that kept no score maps: run it again with --keep-maps")
    if (folder / ROWS).is_file():
        return folder / MAPS
    methods = sorted(p.parent.name for p in folder.glob(f"*/{ROWS}"))
    if methods:
        raise DataError(
            f"{folder} holds evaluations of {', '.join(methods)}: give one, such as {folder / methods[0]}"
        )
    return folder


def match_maps(
    scores: Path,
    labels: Path,
    *,
    dataset: str | None = None,
    values: Mapping[int, int],
    subset: bool = False,
    tell: Callable[[str], object] = lambda _: None,
) -> list[LabelledMap]:
    """Score maps with the labels of the same frames, in order.

    `labels` is a folder of label pictures, or the root of the data set `dataset`. `subset` leaves out frames
    that lack one of the two, and says so to `tell`; otherwise they are an error.
    """
    maps = find_scores(scores)
    truths = _dataset_labels(dataset, labels) if dataset is not None else _folder_labels(labels, values)
    maps, truths = _by_common_names(maps, truths)
    both = sorted(maps.keys() & truths.keys(), key=natural_key)
    if not both:
        raise DataError(
            f"no score map has labels of its name: scores are called {_some(maps)}, labels {_some(truths)}"
        )
    for have, lack, what in ((truths, maps, "score map"), (maps, truths, "labels")):
        missing = sorted(have.keys() - lack.keys(), key=natural_key)
        if missing and subset:
            tell(f"--subset: {len(missing)} of {len(have)} frames were left out: no {what}")
        elif missing:
            have_no = "frame has no" if len(missing) == 1 else "frames have no"
            raise DataError(
                f"{len(missing)} {have_no} {what} ({_some(missing)}): complete them, or take only frames "
                "that have both with --subset"
            )
    return [LabelledMap(name, maps[name], truths[name]) for name in both]


def _dataset_labels(dataset: str, root: Path) -> dict[str, Sample]:
    if dataset in DATASETS and DATASETS[dataset].kind not in ("anomaly", "defects", "open"):
        raise DataError(f"data set {dataset} has no anomaly masks: name one that has, or leave --dataset out")
    samples = open_dataset(dataset, root)
    return {s.name: s for s in samples if s.label_path is not None or s.good}


def _folder_labels(folder: Path, values: Mapping[int, int]) -> dict[str, Sample]:
    """NAME.png, NAME_labels_semantic.png, or RoadAnomaly's NAME.labels/labels_semantic.png."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: give the one that holds the label pictures")
    out: dict[str, Sample] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.suffix.lower() not in _LABEL_SUFFIXES or path.stem.endswith("_color"):
            continue
        if relative.parent.suffix == ".labels":
            if relative.stem != "labels_semantic":
                continue
            name = relative.parent.with_suffix("").as_posix()
        else:
            name = relative.with_suffix("").as_posix()
            end = next((e for e in _LABEL_ENDS if name.endswith(e)), "")
            name = name.removesuffix(end)
        if name in out:
            raise DataError(f"{out[name].label_path} and {path} are labels of one frame: keep one of them")
        out[name] = Sample(name, path, path, values=values)
    if not out:
        raise DataError(f"{folder} holds no label picture ({', '.join(_LABEL_SUFFIXES)})")
    return out


def _by_common_names(one: dict[str, _A], other: dict[str, _B]) -> tuple[dict[str, _A], dict[str, _B]]:
    """By path; where paths never agree (other folders), by the last part, if that tells frames apart."""
    if one.keys() & other.keys():
        return one, other
    short_one = {name.rsplit("/", 1)[-1]: value for name, value in one.items()}
    short_other = {name.rsplit("/", 1)[-1]: value for name, value in other.items()}
    if len(short_one) == len(one) and len(short_other) == len(other):
        return short_one, short_other
    return one, other


def _some(names: Iterable[str]) -> str:
    few: Sequence[str] = sorted(names, key=natural_key)
    return ", ".join(few[:3]) + (" …" if len(few) > 3 else "")


def read_score(path: Path) -> Shaped[np.ndarray, "H W"]:
    """One score map, exactly as it was saved."""
    suffix = path.suffix.lower()
    try:
        if suffix in (".npy", ".npz"):
            score = _numpy(path)
        elif suffix in (".hdf5", ".h5"):
            score = _hdf5(path)
        else:
            score = _picture(path)
    except (OSError, ValueError, EOFError, KeyError, SyntaxError) as error:
        raise DataError(f"score map {path} cannot be read ({' '.join(str(error).split())})") from error
    score = np.squeeze(score)
    if score.ndim != 2 or score.dtype.kind not in "fiub":
        raise DataError(f"score map {path} is {score.dtype} {score.shape}: save one number a pixel, [H, W]")
    if score.dtype == np.bool_:
        return score.view(np.uint8)
    return score if score.dtype != np.float16 else score.astype(np.float32)


def _numpy(path: Path) -> np.ndarray:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded as file:
        if "score" in file:
            return file["score"]
        if len(file.files) != 1:
            raise DataError(f"{path} holds {', '.join(file.files)}: call the score map `score`")
        return file[file.files[0]]


def _hdf5(path: Path) -> np.ndarray:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra("h5py", "smiyc", "reading HDF5 score maps") from error
    with h5py.File(path, "r") as file:
        if "value" not in file:
            raise DataError(f"{path} holds {', '.join(file)}: call the score map `value`")
        return np.asarray(file["value"])


def _picture(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as picture:
        if picture.mode in ("P", "RGB", "RGBA", "CMYK", "YCbCr"):
            raise DataError(f"score map {path} is a colour picture: save one channel of 16 bits")
        levels = np.asarray(picture)
        scale = getattr(picture, "text", {}).get("score_scale") if path.suffix.lower() == ".png" else None
    if scale is None:
        return levels
    low, high = (float(v) for v in scale.split())
    return (low + levels.astype(np.float64) * ((high - low) / 65535)).astype(np.float32)
