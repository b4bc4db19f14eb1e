"""Named photographs: what an open vocabulary is measured on, and held by.

    FOLDER/NAME/*.jpg          a folder a name
    FOLDER/*_NAME.jpg          or a name in each file name: `n02129165_lion.jpg`, `lion_0001.jpg`, `lion.jpg`
    FILE.tar                   the same inside a tar file

They fall into three parts by a hash of their names, so that no part sees another's pictures:
half `keep` the old meaning (their names are not used), a quarter `choose`s, a quarter `report`s.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from clipomaly.data.images import IMAGE_SUFFIXES, read_image
from clipomaly.data.sources import natural_key
from clipomaly.errors import DataError

__all__ = ["Photo", "PhotoSet", "name_of", "open_photos"]


@dataclass(frozen=True)
class Photo:
    """One photograph, not yet read."""

    key: str
    name: str
    read: Callable[[], UInt8[np.ndarray, "_ _ 3"]]

    @property
    def part(self) -> str:
        """`keep`, `choose` or `report`, by a hash of its key."""
        number = hashlib.sha256(self.key.encode()).digest()[0] % 4
        return ("keep", "keep", "choose", "report")[number]


@dataclass(frozen=True)
class PhotoSet:
    """Photographs and the names they go by."""

    photos: tuple[Photo, ...]
    names: tuple[str, ...]

    def of(self, part: str, at_most: int = 0) -> tuple[Photo, ...]:
        """One part, thinned evenly to at most so many."""
        mine = tuple(p for p in self.photos if p.part == part)
        if at_most and len(mine) > at_most:
            return tuple(mine[i] for i in np.linspace(0, len(mine) - 1, at_most).astype(int))
        return mine


def name_of(stem: str) -> str:
    """The name in a file name.

    >>> name_of("n02129165_lion"), name_of("traffic_cone_0003"), name_of("lion")
    ('lion', 'traffic cone', 'lion')
    """
    stem = re.sub(r"^n\d{6,}_", "", stem)
    return re.sub(r"[\s_-]+", " ", re.sub(r"[\s_-]*\d+$", "", stem)).strip().lower()


def open_photos(path: Path) -> PhotoSet:
    """The photographs of a folder or a tar file, sorted."""
    if path.is_dir():
        files = sorted(
            (f for f in path.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES),
            key=lambda f: natural_key(str(f)),
        )
        photos = [
            Photo(
                str(f.relative_to(path)),
                name_of(f.stem) if f.parent == path else f.parent.name.replace("_", " ").strip().lower(),
                lambda f=f: read_image(f),  # type: ignore[misc]
            )
            for f in files
        ]
    elif path.is_file() and tarfile.is_tarfile(path):
        photos = _from_tar(path)
    else:
        raise DataError(f"{path} is neither a folder nor a tar file of named photographs")
    photos = [p for p in photos if p.name]
    if not photos:
        raise DataError(f"{path} holds no named photograph: FOLDER/NAME/*.jpg, or the name in the file name")
    return PhotoSet(tuple(photos), tuple(sorted({p.name for p in photos})))


def _from_tar(path: Path) -> list[Photo]:
    photos = []
    with tarfile.open(path) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: natural_key(m.name)):
            file = Path(member.name)
            if not member.isfile() or file.suffix.lower() not in IMAGE_SUFFIXES:
                continue
            stream = tar.extractfile(member)
            assert stream is not None
            data = stream.read()
            photos.append(Photo(member.name, name_of(file.stem), lambda data=data: _decode(data)))  # type: ignore[misc]
    return photos


def _decode(data: bytes) -> UInt8[np.ndarray, "_ _ 3"]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise DataError("a photograph of the tar file cannot be decoded")
    return picture[:, :, ::-1].copy()
