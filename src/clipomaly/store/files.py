"""The store's small files (thumbnails, score maps): below its folder, or below its object-store address."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from clipomaly.errors import StoreError
from clipomaly.export.files import write_whole

__all__ = ["StoreFiles"]

_KEY = re.compile(r"[a-z0-9_-]+(/[a-z0-9_-]+)*\.[a-z0-9]+")


class StoreFiles:
    """Reads and writes by key (`thumbnails/ab/abcd.jpg`); a key can never lead elsewhere.

    >>> StoreFiles("runs").path("thumbnails/ab/abcd.jpg").as_posix()
    'runs/thumbnails/ab/abcd.jpg'
    """

    def __init__(self, uri: str) -> None:
        self.folder: Path | None = None
        self._filesystem: Any = None
        if "://" in uri and not uri.startswith("file://"):
            from pyarrow import fs

            try:
                self._filesystem, self._root = fs.FileSystem.from_uri(uri)
            except (OSError, ValueError) as error:
                raise StoreError(
                    f"{uri} cannot be opened ({error}): check the address and its keys"
                ) from error
        else:
            self.folder = Path(uri.removeprefix("file://"))

    def path(self, key: str) -> Path:
        """The local file of a key; only where the store is a folder."""
        self._check(key)
        if self.folder is None:
            raise StoreError(f"{key} lies in an object store: use read")
        return self.folder / key

    def write(self, key: str, data: bytes) -> None:
        """Write a file that appears whole or not at all."""
        self._check(key)
        if self.folder is not None:
            write_whole(self.folder / key, data)
            return
        with self._filesystem.open_output_stream(f"{self._root}/{key}") as stream:
            stream.write(data)

    def read(self, key: str) -> bytes:
        """The file's bytes."""
        self._check(key)
        try:
            if self.folder is not None:
                return (self.folder / key).read_bytes()
            with self._filesystem.open_input_stream(f"{self._root}/{key}") as stream:
                data: bytes = stream.read()
                return data
        except OSError as error:
            raise StoreError(f"{key} cannot be read from the store: was it deleted?") from error

    @staticmethod
    def _check(key: str) -> None:
        if not _KEY.fullmatch(key):
            raise StoreError(f"{key!r} is no key of a file in a store")
