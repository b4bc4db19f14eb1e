"""What AnomalyCLIP learns from: inspection pictures, or synthetic ones, as the model reads them.

source    a folder (`data/industrial.py` says which layouts), or `synthetic:COUNT`
windows   squares of half the shorter side cut from each picture: where a set shows a defect in every
          picture, they are what teaches and tests the image score. A window with a defect on less than
          one hundredth of it, but on some of it, is neither and is left out.
held      every tenth picture is held back from learning; its good pixels fix the threshold
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from clipomaly.data.industrial import inspection_samples
from clipomaly.errors import ConfigError, DataError
from clipomaly.training.anomalyclip.synthetic import synthetic_picture

__all__ = ["Picture", "check_source", "cut_windows", "is_held", "read_pictures"]


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture with its mask (1: defect)."""

    name: str
    image: UInt8[np.ndarray, "H W 3"]
    mask: UInt8[np.ndarray, "H W"]

    @property
    def defective(self) -> bool:
        """Whether it shows a defect."""
        return bool(self.mask.any())


def read_pictures(
    source: str, *, defects: tuple[int, ...] = (), windows: int = 0, seed: int = 0
) -> Iterator[Picture]:
    """The pictures of a source, in order; then the windows of each behind it."""
    for picture in _read(source, defects, seed):
        yield picture
        yield from cut_windows(picture, windows, seed)


def check_source(source: str, defects: tuple[int, ...] = ()) -> None:
    """Say what is wrong with a source, before anything is computed."""
    if source.startswith("synthetic:"):
        _count(source)
    elif not inspection_samples(source, defects):
        raise DataError(f"{source} holds no picture: check the folder's layout (docs/methods/anomalyclip.md)")


def _count(source: str) -> int:
    count = source.partition(":")[2]
    if not count.isdecimal() or int(count) < 2:
        raise ConfigError(f"--data {source!r} is not valid: write synthetic:COUNT, such as synthetic:400")
    return int(count)


def _read(source: str, defects: tuple[int, ...], seed: int) -> Iterator[Picture]:
    if source.startswith("synthetic:"):
        for index in range(_count(source)):
            yield Picture(f"synthetic{index:05d}", *synthetic_picture(seed, index))
        return
    for sample in inspection_samples(source, defects):
        image, mask = sample.load()
        if mask is None:
            mask = np.zeros(image.shape[:2], np.uint8)
        yield Picture(sample.name, image, mask)


def cut_windows(picture: Picture, count: int, seed: int = 0) -> Iterator[Picture]:
    """Random squares of half the shorter side."""
    rng = np.random.default_rng((seed, zlib.crc32(picture.name.encode())))
    side = min(picture.mask.shape) // 2
    if count and side < 16:
        raise DataError(f"{picture.name} is too small to cut windows from: use --windows 0")
    for n in range(count):
        top, left = (int(rng.integers(0, size - side + 1)) for size in picture.mask.shape)
        image = picture.image[top : top + side, left : left + side]
        mask = picture.mask[top : top + side, left : left + side]
        if 0 < mask.mean() < 0.01:
            continue
        yield Picture(f"{picture.name}#{n}", image, mask)


def is_held(name: str) -> bool:
    """Whether a picture is held back: by its name, the same in every run; windows go with their picture."""
    return zlib.crc32(name.partition("#")[0].encode()) % 10 == 0
