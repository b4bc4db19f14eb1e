"""Outlier exposure: things of another data set, pasted into ordinary frames.

A thing is cut from a photograph by its alpha channel where it has one, else by GrabCut from the middle of
the picture, else as a round shape. One paste in four is cut from another ordinary frame and counts as
ordinary, so that a pasted edge alone means nothing. What belongs on a road by its file name (`car`, `tree`,
`house` …) is not pasted as an outlier.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.data.images import IMAGE_SUFFIXES
from clipomaly.data.sources import natural_key
from clipomaly.errors import DataError

__all__ = ["ORDINARY_WORDS", "Cutout", "list_cutouts", "paste_into"]

#: Words in a file's name that say: this is ordinary on or beside a road, or a whole scene.
_ORDINARY = (
    "car cars cab taxi bus minibus trolleybus trolley truck van minivan pickup jeep limousine limo "
    "convertible ambulance engine wagon racer bicycle bike motorcycle moped scooter tricycle train tram "
    "streetcar tractor trailer vehicle locomotive freight streetsign sign light meter pole flagpole fence "
    "wall wheel mirror grille building house church mosque palace castle barn boathouse greenhouse "
    "monastery library prison stupa dome bridge viaduct dam pier breakwater lighthouse beacon obelisk "
    "steel arch triumphal megalith cliff dwelling patio planetarium restaurant shop store bakery "
    "bookstore theater cinema tobacco confectionery grocery butcher barbershop toyshop shoe-shop tree "
    "plant lakeside seashore alp valley volcano promontory sandbar geyser coral reef bubble maze hay "
    "person man woman groom ballplayer diver suit gown jean jersey web site menu comic crossword jigsaw "
    "scoreboard hook home window shade screen curtain shower tile roof thatch vault manhole maypole totem "
    "street road racecar go-kart snowmobile golfcart forklift plow harvester thresher "
)
ORDINARY_WORDS = frozenset(_ORDINARY.split())


@dataclass(frozen=True, eq=False)
class Cutout:
    """A thing with its mask, 0…1."""

    name: str
    image: UInt8[np.ndarray, "h w 3"]
    alpha: Float[np.ndarray, "h w"]


def list_cutouts(source: Path, *, side: int = 160, limit: int | None = None) -> list[Cutout]:
    """Every thing of a folder or a .tar of pictures, in order of their names."""
    files = _files(source)
    kept = [(name, data) for name, data in files if not _ordinary(name)]
    if not kept:
        raise DataError(
            f"{source} holds no picture of something to paste: give a folder or a .tar of pictures"
        )
    return [cut for name, data in kept[:limit] if (cut := _cut(name, data, side)) is not None]


def _files(source: Path) -> list[tuple[str, bytes]]:
    if source.is_dir():
        paths = [p for p in source.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES]
        return [(p.name, p.read_bytes()) for p in sorted(paths, key=lambda p: natural_key(p.as_posix()))]
    try:
        with tarfile.open(source) as archive:
            found = []
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None and Path(member.name).suffix.lower() in IMAGE_SUFFIXES:
                    found.append((Path(member.name).name, file.read()))
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"outliers {source}: neither a folder nor a .tar of pictures ({error})") from error
    return sorted(found, key=lambda item: natural_key(item[0]))


def _ordinary(name: str) -> bool:
    return bool(set(re.findall(r"[a-z]+", Path(name).stem.lower())) & ORDINARY_WORDS)


def _cut(name: str, data: bytes, side: int) -> Cutout | None:
    """The thing in a picture; None for a picture that cannot be read."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.ndim != 3 or found.dtype != np.uint8:
        return None
    picture: np.ndarray = found
    scale = side / max(picture.shape[:2])
    size = (max(8, round(picture.shape[1] * scale)), max(8, round(picture.shape[0] * scale)))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    rgb = np.ascontiguousarray(picture[:, :, 2::-1])
    alpha = picture[:, :, 3].astype(np.float32) / 255 if picture.shape[2] == 4 else _grab(rgb)
    ys, xs = np.flatnonzero((alpha > 0.5).any(1)), np.flatnonzero((alpha > 0.5).any(0))
    if not len(ys):
        return None
    box = slice(max(0, ys[0] - 2), ys[-1] + 3), slice(max(0, xs[0] - 2), xs[-1] + 3)
    return Cutout(name, rgb[box], np.ascontiguousarray(alpha[box]))


def _grab(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """GrabCut at half the size, from the middle; its largest piece. A round shape where that fails."""
    small = np.ascontiguousarray(cv2.pyrDown(rgb)[:, :, ::-1])
    h, w = small.shape[:2]
    mask = np.zeros((h, w), np.uint8)
    box = (round(0.08 * w), round(0.08 * h), round(0.84 * w), round(0.84 * h))
    cv2.setRNGSeed(0)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(small, mask, box, background, foreground, 2, cv2.GC_INIT_WITH_RECT)
    except cv2.error:
        mask[:] = 0
    found = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(found)
    if count > 1:
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        found = (pieces == largest).astype(np.uint8)
    if not 0.06 < found.mean() < 0.7:
        y, x = np.mgrid[:h, :w]
        found = ((2 * y / h - 1) ** 2 + (2 * x / w - 1) ** 2 < 0.6).astype(np.uint8)
    return cv2.resize(found.astype(np.float32), rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def paste_into(
    frame: UInt8[np.ndarray, "H W 3"],
    cutouts: Sequence[Cutout],
    other: UInt8[np.ndarray, "_ _ 3"],
    rng: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]:
    """The frame with one to three things, and what each pixel is: 0 ordinary, 1 outlier, 255 an edge between.

    >>> thing = Cutout("ball", np.full((20, 20, 3), 255, np.uint8), np.ones((20, 20), np.float32))
    >>> road = np.zeros((64, 96, 3), np.uint8)
    >>> image, label = paste_into(road, [thing], road, np.random.default_rng(1))
    >>> image.shape, sorted(set(label.ravel().tolist())) in ([0, 1], [0, 1, 255])
    ((64, 96, 3), True)
    """
    image, label = frame.copy(), np.zeros(frame.shape[:2], np.uint8)
    count = int(rng.integers(1, 4))
    for i in range(count):
        if i > 0 and rng.random() < 0.25:  # the first one is always an outlier
            _paste(image, label, _piece_of(other, rng), rng, ordinary=True)
        else:
            _paste(image, label, cutouts[int(rng.integers(len(cutouts)))], rng, ordinary=False)
    return image, label


def _piece_of(frame: UInt8[np.ndarray, "_ _ 3"], rng: np.random.Generator) -> Cutout:
    h, w = (int(rng.uniform(0.15, 0.4) * side) for side in frame.shape[:2])
    y, x = (int(rng.integers(side - n + 1)) for side, n in zip(frame.shape[:2], (h, w), strict=True))
    yy, xx = np.mgrid[:h, :w]
    round_ = ((2 * yy / h - 1) ** 2 + (2 * xx / w - 1) ** 2 < rng.uniform(0.6, 1.2)).astype(np.float32)
    return Cutout("", frame[y : y + h, x : x + w], round_)


def _paste(
    image: np.ndarray, label: np.ndarray, thing: Cutout, rng: np.random.Generator, ordinary: bool
) -> None:
    height, width = label.shape
    side = float(np.exp(rng.uniform(np.log(0.06), np.log(0.45)))) * width
    scale = side / np.sqrt(thing.alpha.size)
    h = int(np.clip(thing.alpha.shape[0] * scale, 8, 0.9 * height))
    w = int(np.clip(thing.alpha.shape[1] * scale, 8, 0.9 * width))
    shrinks = h < thing.alpha.shape[0]
    cut = cv2.resize(thing.image, (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    alpha = cv2.GaussianBlur(cv2.resize(thing.alpha, (w, h)), (0, 0), rng.uniform(0.5, 1.5))
    if rng.random() < 0.5:
        cut, alpha = cut[:, ::-1], alpha[:, ::-1]
    y = int(np.clip(rng.normal(0.62, 0.2) * height - h / 2, 0, height - h))
    x = int(rng.integers(0, width - w + 1))
    ground = image[y : y + h, x : x + w].astype(np.float32)
    colour = cut.astype(np.float32)
    if rng.random() < 0.6:  # brought nearer to the frame's light
        mix = rng.uniform(0.2, 0.7)
        colour += mix * (ground.mean((0, 1)) - colour.mean((0, 1)))
    a = alpha[..., None]
    image[y : y + h, x : x + w] = np.clip(colour * a + ground * (1 - a), 0, 255).astype(np.uint8)
    view = label[y : y + h, x : x + w]
    view[alpha > 0.5] = 0 if ordinary else 1
    view[(alpha > 0.15) & (alpha <= 0.5)] = 255
