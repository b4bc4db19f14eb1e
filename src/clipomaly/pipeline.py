"""From a picture to named anomalies: settings in, an encoder and a method opened once, results out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly._version import __version__
from clipomaly.config import Settings, load_settings
from clipomaly.data.images import read_image
from clipomaly.data.sources import UnreadableFrame
from clipomaly.encoders.seam import Encoder
from clipomaly.methods.seam import Method
from clipomaly.methods.table import open_method
from clipomaly.records import Frame, Result
from clipomaly.vocabulary import Vocabulary, load_vocabulary

__all__ = ["Failure", "Pipeline"]


@dataclass(frozen=True)
class Failure:
    """A frame that could not be processed, and why; the others go on."""

    name: str
    source: str
    reason: str


class Pipeline:
    """Opens everything once; then call it with pictures.

    >>> import numpy as np
    >>> pipeline = Pipeline()
    >>> result = pipeline(np.full((90, 160, 3), 128, np.uint8))
    >>> result.prediction.names[:2]
    ('road', 'sidewalk')
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        encoder: Encoder | None = None,
        vocabulary: Vocabulary | None = None,
        threads: int | None = None,
        **overrides: Any,
    ) -> None:
        if settings is None:
            settings = load_settings(overrides=overrides)
        elif overrides:
            raise TypeError("give settings or single values, not both")
        self.settings = settings
        self.vocabulary = vocabulary or load_vocabulary(settings.vocabulary)
        opened = open_method(settings, self.vocabulary, encoder=encoder, threads=threads)
        self.method: Method = opened.method
        self.encoder: Encoder | None = opened.encoder
        """What the method sees with; None where it sees with something else."""
        self.notices: tuple[str, ...] = opened.notices
        """What a person should know before trusting the results: no calibrated threshold, say."""
        self.provenance = {
            "run": settings.id,
            "version": __version__,
            "method": settings.method,
            "vocabulary": self.vocabulary.name,
            "vocabulary_hash": self.vocabulary.hash,
            **opened.provenance,
        }

    def __call__(self, picture: str | Path | np.ndarray | Frame) -> Result:
        """One picture: a path, an RGB array or a frame."""
        if isinstance(picture, Frame):
            frame = picture
        elif isinstance(picture, np.ndarray):
            frame = Frame(picture, name="picture")
        else:
            frame = Frame(read_image(picture), name=Path(picture).name, source=str(picture))
        [prediction] = self.method.predict([frame.image], self.vocabulary)
        return Result(frame, prediction, self.provenance)

    def run(self, frames: Iterable[Frame | UnreadableFrame], *, jobs: int = 1) -> Iterator[Result | Failure]:
        """Many frames, in order; a frame that fails does not stop the others.

        With `jobs` above 1 that many frames are under way at once, in threads: the heavy parts leave
        Python's lock, and the model is held in memory once.
        """
        if jobs <= 1:
            yield from map(self._safely, frames)
            return
        with ThreadPoolExecutor(jobs) as pool:
            waiting: deque[Future[Result | Failure]] = deque()
            for frame in frames:
                waiting.append(pool.submit(self._safely, frame))
                if len(waiting) >= 2 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _safely(self, frame: Frame | UnreadableFrame) -> Result | Failure:
        if isinstance(frame, UnreadableFrame):
            return Failure(frame.name, frame.source, str(frame))
        try:
            return self(frame)
        except MemoryError:
            h, w = frame.size
            return Failure(frame.name, frame.source, f"out of memory at {w}×{h}: use a smaller --long-side")
