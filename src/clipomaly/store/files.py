"""Where a store lies, and its small files (thumbnails, score maps): below its folder or object-store address.

findings, ~/findings, file:///data/findings    a folder
s3://bucket/findings, gs://…, abfss://…        an object store
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from clipomaly.errors import OutputError, StoreError
from clipomaly.export.files import write_whole

__all__ = ["StoreFiles", "brief", "local_folder", "not_written", "store_address"]

_KEY = re.compile(r"[a-z0-9_-]+(/[a-z0-9_-]+)*\.[a-z0-9]+")
_HALF = re.compile(r"(s3|gs|az|abfss?|file):/?[^/]")


def store_address(uri: str | Path) -> str:
    """The address in one form: without a slash at its end, a folder with its home written out.

    >>> store_address("s3://bucket/findings/")
    's3://bucket/findings'
    """
    text = str(uri)
    half = _HALF.match(text)
    if half is not None and not Path(text).exists():
        raise StoreError(f"{text} is neither a folder nor an address: write {half[1]}://…")
    if "://" not in text:
        return str(Path(text).expanduser())
    scheme, _, rest = text.partition("://")
    return f"{scheme}://{rest.rstrip('/')}" if rest.strip("/") else text


def local_folder(uri: str | Path) -> Path | None:
    """The folder of a store that lies in one; None for an object store.

    >>> local_folder("file:///data/findings"), local_folder("s3://bucket/findings")
    (PosixPath('/data/findings'), None)
    """
    text = store_address(uri)
    if text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    return None if "://" in text else Path(text)


def brief(error: BaseException) -> str:
    """What an object store answered, without the request that Lance quotes around it.

    >>> brief(OSError("… <Code>NoSuchBucket</Code><Message>The bucket does not exist</Message> …"))
    'NoSuchBucket: The bucket does not exist'
    """
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    code = re.search(r"<Code>(.*?)</Code>(?:\s*<Message>(.*?)</Message>)?", text)
    if code is not None:
        return f"{code[1]}: {code[2]}" if code[2] else code[1]
    for told in ("Connection refused", "dns error", "timed out", "No object store provider found"):
        if told.casefold() in text.casefold():
            return f"no such kind of address: {text[:200]}" if told.startswith("No ") else told
    return text[:200]


_FIXES = (
    (
        ("Permission denied", "Operation not permitted", "Read-only file system"),
        "writing is not allowed there: choose another folder or change its permissions",
    ),
    (
        ("No space left", "Disk quota", "quota exceeded"),
        "the disk is full: free some space, then run again; finished frames stay",
    ),
    (
        ("Not a directory", "File exists", "Is a directory"),
        "a file stands where a folder is needed: choose another folder",
    ),
)


def not_written(place: str, error: BaseException) -> StoreError:
    """One line that says what to do.

    >>> print(not_written("findings", PermissionError(13, "Permission denied", "findings")))
    cannot write to findings: writing is not allowed there: choose another folder or change its permissions
    """
    text = str(error)
    for signs, fix in _FIXES:
        if "://" not in place and any(sign.casefold() in text.casefold() for sign in signs):
            return StoreError(f"cannot write to {place}: {fix}")
    return StoreError(
        f"cannot write to {place} ({brief(error)}): check its disk and rights, then run again; "
        "finished frames stay"
    )


class StoreFiles:
    """Reads and writes by key (`thumbnails/ab/abcd.jpg`); a key can never lead elsewhere.

    >>> StoreFiles("runs").path("thumbnails/ab/abcd.jpg").as_posix()
    'runs/thumbnails/ab/abcd.jpg'
    """

    def __init__(self, uri: str) -> None:
        self.folder = local_folder(uri)
        self._filesystem: Any = None
        if self.folder is None:
            from pyarrow import fs

            try:
                self._filesystem, self._root = fs.FileSystem.from_uri(store_address(uri))
            except (OSError, ValueError) as error:
                raise StoreError(
                    f"{uri} cannot be opened ({brief(error)}): check the address and its keys"
                ) from error

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
        try:
            with self._filesystem.open_output_stream(f"{self._root}/{key}") as stream:
                stream.write(data)
        except OSError as error:
            raise OutputError(
                f"cannot write {key} to the store ({brief(error)}): check its rights"
            ) from error

    def read(self, key: str) -> bytes:
        """The file's bytes."""
        data = self.find(key)
        if data is None:
            raise StoreError(f"{key} cannot be read from the store: was it deleted?")
        return data

    def find(self, key: str) -> bytes | None:
        """The file's bytes; None where there is no such file."""
        self._check(key)
        try:
            if self.folder is not None:
                return (self.folder / key).read_bytes()
            with self._filesystem.open_input_stream(f"{self._root}/{key}") as stream:
                data: bytes = stream.read()
                return data
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"{key} cannot be read from the store ({brief(error)})") from error

    @staticmethod
    def _check(key: str) -> None:
        if not _KEY.fullmatch(key):
            raise StoreError(f"{key!r} is no key of a file in a store")
