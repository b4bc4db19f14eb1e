"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from clipomaly.errors import OutputError

__all__ = [
    "TEMPORARY_SUFFIX",
    "check_writable",
    "output_error",
    "safe_path",
    "whole_file",
    "write_whole",
]

#: What a file is called until it is complete; a killed run may leave one, the next one removes it.
TEMPORARY_SUFFIX = ".clipomaly-part"


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write into, beside the target; it takes the target's place when the block ends well.

    Readers see the old file or the new one, never a part of it.
    """
    part = path.with_name(f".{os.getpid()}-{threading.get_ident():x}{TEMPORARY_SUFFIX}")
    try:
        try:
            file = open(part, "wb")  # noqa: SIM115
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = open(part, "wb")  # noqa: SIM115
        with file:
            yield file
        os.replace(part, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            raise output_error(path, error) from error
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all."""
    with whole_file(path) as file:
        file.write(data)


def check_writable(folder: Path) -> None:
    """OutputError where nothing could be written into a folder, be it there yet or not; leaves no trace."""
    try:
        place = folder
        while not place.exists():
            place = place.parent
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise output_error(folder, error) from error


def output_error(path: Path, error: OSError) -> OutputError:
    """One line that says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        fix = "the disk is full: free some space, then run again (with --resume where the command has it)"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        fix = "writing is not allowed there: choose another --out or change its permissions"
    elif error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        fix = "a file stands where a folder is needed, or the reverse: choose another --out"
    else:
        fix = f"{error.strerror or error}: choose another --out"
    return OutputError(f"cannot write {path}: {fix}")


def safe_path(folder: Path, name: str, suffix: str) -> Path:
    """Where the output of the frame `name` goes: always below the folder.

    >>> safe_path(Path("out"), "left/0001", ".score.png").as_posix()
    'out/left/0001.score.png'
    """
    parts = name.replace("\\", "/").split("/")
    if any(p in ("", ".", "..") or "\0" in p for p in parts) or ":" in parts[0]:
        raise OutputError(
            f"frame name {name!r} would leave the output folder: use a relative path without .."
        )
    return folder.joinpath(*parts[:-1], parts[-1] + suffix)
