"""Videos as frames, one after the other, through PyAV (extra `[video]`).

A frame is called VIDEO#000123 after its position in the stream, so that its name stays the same whatever
step the frames are taken with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from clipomaly.errors import FrameError, MissingExtra
from clipomaly.records import Frame

__all__ = ["VIDEO_SUFFIXES", "read_video"]

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".ogv")
)


def read_video(
    path: str | Path,
    *,
    name: str,
    every: int = 1,
    skip: Callable[[str], bool] = lambda _: False,
    limit: int | None = None,
) -> Iterator[Frame]:
    """Every `every`-th frame, upright, with its time in seconds. `skip` says which names need no pixels.

    `limit` ends it after so many of these frames, the skipped ones among them.

    A video that cannot be opened, or breaks off, ends in a `FrameError` after the frames before it.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtra("av", "video", f"reading the video {path}") from error
    index = -1
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise FrameError(f"{path} holds no video stream: give a video or picture file")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for index, picture in enumerate(container.decode(stream)):
                if limit is not None and index // every >= limit:
                    break
                label = f"{name}#{index:06d}"
                if index % every or skip(label):
                    continue
                image = picture.to_ndarray(format="rgb24")
                turns = round(getattr(picture, "rotation", 0) / 90) % 4
                yield Frame(
                    np.ascontiguousarray(np.rot90(image, turns)),
                    name=label,
                    source=f"{path}#{index}",
                    time=float(picture.time) if picture.time is not None else None,
                )
    except FrameError:
        raise
    except (OSError, av.FFmpegError, MemoryError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        at = f" after frame {index}" if index >= 0 else ""
        raise FrameError(f"{path} cannot be decoded{at} ({reason}): copy it again or convert it") from error
    if index < 0:
        raise FrameError(f"{path} holds no frame: copy it again from where it came from")
