"""Arrays of an uncompressed `.npz` as views of the file's pages: nothing is copied, nothing is summed up.

`numpy.load` reads every byte into new memory and checks its sum. That is right for a file that somebody else
wrote; what a run has just written itself lies in the system's memory still, and is looked at there.
"""

from __future__ import annotations

import io
import mmap
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy

from clipomaly.errors import DataError

__all__ = ["MappedArrays"]

_LOCAL = 30
"""Bytes of a local header before the member's name; the lengths of name and extra field end it."""
_HEADER = 1 << 12


class MappedArrays:
    """Read-only arrays by name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "a.npz", x=np.arange(3, dtype=np.int16))
    ...     int(MappedArrays(Path(folder) / "a.npz")["x"].sum())
    3
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with open(path, "rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            with ZipFile(file) as members:
                self._members = {info.filename.removesuffix(".npy"): info for info in members.infolist()}

    def get(self, name: str) -> np.ndarray | None:
        """The array of a name; None where there is none."""
        return self[name] if name in self._members else None

    def __getitem__(self, name: str) -> np.ndarray:
        info = self._members[name]
        if info.compress_type != ZIP_STORED:
            raise DataError(f"{self._path} is compressed: its arrays are read with numpy.load")
        header = info.header_offset
        lengths = (int.from_bytes(self._bytes[header + at : header + at + 2], "little") for at in (26, 28))
        start = header + _LOCAL + sum(lengths)
        head = io.BytesIO(self._bytes[start : start + _HEADER])
        read = npy.read_array_header_1_0 if npy.read_magic(head) == (1, 0) else npy.read_array_header_2_0
        shape, by_column, dtype = read(head)
        array = np.ndarray(shape, dtype, self._bytes, start + head.tell(), order="F" if by_column else "C")
        array.flags.writeable = False
        return array
