"""Sources: what stands on the command line, as a sorted list of frames with unique, stable names.

    pictures · folders (searched through) · quoted globs · http(s) addresses of pictures · videos ·
    `-` for a list of them on standard input, one a line

A frame's name is its path below the folder it was found in, without the suffix. It gets longer only where
two would be equal: by the folder where there are several, by the suffix where only that differs. Outputs are
called after it, so it holds no `..`, no leading slash and nothing that a file system refuses.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from clipomaly.data.fetch import fetch
from clipomaly.data.images import IMAGE_SUFFIXES, read_image
from clipomaly.data.video import VIDEO_SUFFIXES, read_video
from clipomaly.errors import ClipomalyError, FrameError, SourceError
from clipomaly.records import Frame

__all__ = ["SourceItem", "UnreadableFrame", "list_sources", "natural_key", "read_frames"]

_LONGEST_PART = 180  # bytes of a file name, so that `.overlay.jpg` still fits into 255


@dataclass(frozen=True)
class SourceItem:
    """One picture, video or address, or an argument that led to none of them."""

    name: str
    place: str
    """Path or address."""
    kind: Literal["image", "video", "url", "problem"]
    problem: str = ""
    """What is wrong, for the kind `problem`."""


class UnreadableFrame(FrameError):
    """A frame that could not be read; stands among the frames in its place."""

    def __init__(self, name: str, source: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.source = source


def read_frames(
    items: Iterable[SourceItem],
    *,
    every: int = 1,
    skip: Callable[[str], bool] = lambda _: False,
    limit: int | None = None,
) -> Iterator[Frame | UnreadableFrame]:
    """Frames one by one, as they are asked for. One that fails comes as an error, and the next ones follow.

    `every` is the step through videos; `skip` says which names are not wanted (they cost nothing).
    `limit` takes only the first frames, the skipped and the unreadable ones among them.
    """
    if every < 1:
        raise SourceError(f"cannot take every {every}th frame of a video: give 1 or more")
    seen = 0

    def counted(name: str) -> bool:
        nonlocal seen
        seen += 1
        return skip(name)

    for item in items:
        if limit is not None and seen >= limit:
            return
        if item.kind != "video" and counted(item.name):
            continue
        try:
            match item.kind:
                case "image":
                    yield Frame(read_image(item.place), name=item.name, source=item.place)
                case "url":
                    yield Frame(
                        read_image(fetch(item.place), name=item.place), name=item.name, source=item.place
                    )
                case "video":
                    left = None if limit is None else limit - seen
                    yield from read_video(item.place, name=item.name, every=every, skip=counted, limit=left)
                case "problem":
                    raise SourceError(item.problem)
        except ClipomalyError as error:
            yield UnreadableFrame(item.name, item.place, str(error))


def list_sources(
    arguments: Sequence[str],
    stdin: Iterable[str] | None = None,
    *,
    exclude: str | Path | None = None,
) -> list[SourceItem]:
    """Every picture and video that the arguments lead to, in order, each once.

    Folders are searched through and sorted as people count (2 before 10). An argument that leads nowhere
    becomes an item of the kind `problem`, so that the others go on; `SourceError` if all of them do.
    `exclude` is a folder not to look into: where the outputs go.
    """
    if not arguments:
        raise SourceError(
            "no source given: name pictures, folders, videos, addresses, or - for standard input"
        )
    finds: list[_Find] = []
    avoid = os.path.abspath(exclude) if exclude is not None else None
    for argument in arguments:
        if argument == "-":
            for line in sys.stdin if stdin is None else stdin:
                if line.strip():
                    finds += _look(line.rstrip("\r\n"), avoid, wildcards=False)
        else:
            finds += _look(argument, avoid, wildcards=True)
    seen: set[str] = set()
    finds = [f for f in finds if not (f.place in seen or seen.add(f.place))]  # type: ignore[func-returns-value]
    problems = [f for f in finds if f.kind == "problem"]
    if len(problems) == len(finds):
        if not finds:
            raise SourceError("standard input named no source: write one path or address a line")
        more = f" (and {len(problems) - 1} more like it)" if len(problems) > 1 else ""
        raise SourceError(problems[0].problem + more)
    return [SourceItem(n, f.place, f.kind, f.problem) for n, f in zip(_names(finds), finds, strict=True)]


def natural_key(path: str) -> tuple[tuple[tuple[int, int | str], ...], str]:
    """Sorts numbers inside names by value, and never leaves the order of two names to chance.

    >>> sorted(["f10.png", "f2.png", "F1.png"], key=natural_key)
    ['F1.png', 'f2.png', 'f10.png']
    """
    parts = re.split(r"([0-9]+|/)", path.replace(os.sep, "/").casefold())
    key = ((-1, "") if p == "/" else (0, int(p)) if p.isdecimal() else (1, p) for p in parts if p)
    return tuple(key), path


# --- finding -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Find:
    place: str
    kind: Literal["image", "video", "url", "problem"]
    parts: tuple[str, ...]
    """All the components that a name may be made of, suffix included."""
    root: tuple[str, ...] = ()
    """The leading components that lie outside the name: the folder it was found in."""
    problem: str = ""


def _look(argument: str, avoid: str | None, *, wildcards: bool) -> list[_Find]:
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", argument):
        return [_address(argument)]
    path = os.path.abspath(os.path.expanduser(argument))
    if os.path.isdir(path):
        return _folder(path, path, avoid) or [
            _problem(
                argument, f"folder {argument} holds no picture or video: check the path and the suffixes"
            )
        ]
    if wildcards and glob.has_magic(argument) and not os.path.lexists(path):
        root = path
        while glob.has_magic(root):
            root = os.path.dirname(root)
        found: list[_Find] = []
        for match in sorted(glob.glob(path, recursive=True), key=natural_key):
            inside = _within(match, avoid)
            if os.path.isdir(match):
                found += [] if inside or "**" in path else _folder(match, root, avoid)
            elif not inside and ("**" not in path or _kind(match)):
                found.append(_file(match, root))
        return found or [_problem(argument, f"nothing matches {argument}: check the pattern and the folder")]
    if not os.path.lexists(path):
        return [_problem(argument, f"{argument} does not exist: check the path")]
    return [_file(path, os.path.dirname(path), listed=False)]


def _problem(argument: str, message: str) -> _Find:
    return _Find(argument, "problem", _parts(os.path.abspath(argument)), problem=message)


def _within(path: str, folder: str | None) -> bool:
    return folder is not None and (path == folder or path.startswith(folder.rstrip(os.sep) + os.sep))


def _kind(path: str) -> Literal["image", "video"] | None:
    suffix = os.path.splitext(path)[1].lower()
    return "image" if suffix in IMAGE_SUFFIXES else "video" if suffix in VIDEO_SUFFIXES else None


def _parts(path: str) -> tuple[str, ...]:
    return tuple(p for p in path.replace(os.sep, "/").split("/") if p)


def _file(path: str, root: str, *, listed: bool = True) -> _Find:
    # A file named by itself is judged by its content unless its suffix says video.
    return _Find(path, _kind(path) or "image", _parts(path), _parts(root) if listed else ())


def _folder(path: str, root: str, avoid: str | None) -> list[_Find]:
    """Pictures and videos below a folder; hidden ones and links in a circle are left out.

    So are the masks of a picture NAME.jpg in NAME.labels/ beside it, as RoadAnomaly keeps them.
    """
    found: list[str] = []
    visited: set[str] = set()
    for here, folders, files in os.walk(path, followlinks=True):
        real = os.path.realpath(here)
        if real in visited or _within(here, avoid):
            folders.clear()
            continue
        visited.add(real)
        pictures = {os.path.splitext(f)[0] for f in files if _kind(f)}
        folders[:] = [
            f
            for f in folders
            if not f.startswith(".") and not (f.endswith(".labels") and f.removesuffix(".labels") in pictures)
        ]
        found += [os.path.join(here, f) for f in files if not f.startswith(".") and _kind(f)]
    return [_file(f, root) for f in sorted(found, key=natural_key)]


def _address(url: str) -> _Find:
    split = urlsplit(url)
    if split.scheme.lower() not in ("http", "https") or not split.hostname:
        return _problem(url, f"{url} is not an address that can be read: use http:// or https://")
    path = [unquote(p) for p in split.path.split("/") if p] or ["index"]
    if split.query:  # the same path may stand for many pictures
        stem, suffix = os.path.splitext(path[-1])
        path[-1] = f"{stem}-{hashlib.sha256(split.query.encode()).hexdigest()[:8]}{suffix}"
    if _kind(path[-1]) == "video":
        return _problem(url, f"{url} is a video: download it first, then give its path")
    return _Find(url, "url", tuple(p.replace("/", "_") for p in (split.hostname, *path)))


# --- naming ------------------------------------------------------------------------------------------------


def _names(finds: Sequence[_Find]) -> list[str]:
    """The shortest unique names by the rule at the top of this file."""
    roots = sorted({f.root for f in finds if f.root})
    kept = {root: _tail_length(root, roots) for root in roots}
    depth = [len(f.parts) - len(f.root) + kept[f.root] if f.root else 1 for f in finds]
    suffixed = [False] * len(finds)

    def name(i: int) -> str:
        parts = list(finds[i].parts[-depth[i] :]) or ["picture"]
        if not suffixed[i]:
            parts[-1] = os.path.splitext(parts[-1])[0]
        return "/".join(_safe(p) for p in parts)

    names = [name(i) for i in range(len(finds))]
    for _ in range(max((len(f.parts) for f in finds), default=0) + 1):
        groups: defaultdict[str, list[int]] = defaultdict(list)
        for i, n in enumerate(names):
            groups[n].append(i)
        clashes = [g for g in groups.values() if len(g) > 1]
        if not clashes:
            return names
        for group in clashes:
            same_folder = Counter(finds[i].parts[:-1] for i in group)
            for i in group:
                suffixed[i] = suffixed[i] or same_folder[finds[i].parts[:-1]] > 1
                if len(same_folder) > 1:
                    depth[i] = min(depth[i] + 1, len(finds[i].parts))
                names[i] = name(i)
    # What is left differs only in letters that file names cannot hold.
    counts = Counter(names)
    return [
        f"{n}-{hashlib.sha256(os.fsencode(f.place)).hexdigest()[:8]}" if counts[n] > 1 else n
        for n, f in zip(names, finds, strict=True)
    ]


def _tail_length(root: tuple[str, ...], roots: Sequence[tuple[str, ...]]) -> int:
    """How many of the folder's last components tell it from the others."""
    if len(roots) == 1:
        return 0
    for length in range(1, len(root) + 1):
        if sum(other[-length:] == root[-length:] for other in roots) == 1:
            return length
    return len(root)


def _safe(part: str) -> str:
    """One component of a name that every file system takes.

    >>> _safe("a:b#1"), _safe("..")
    ('a_b_1', '__')
    """
    text = part.encode("utf-8", "replace").decode("utf-8")
    text = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*#]', "_", text)
    text = re.sub(r"^[ .]+|[ .]+$", lambda m: "_" * len(m.group()), text) or "_"
    raw = text.encode()
    if len(raw) <= _LONGEST_PART:
        return text
    return f"{raw[: _LONGEST_PART - 9].decode('utf-8', 'ignore')}-{hashlib.sha256(raw).hexdigest()[:8]}"
