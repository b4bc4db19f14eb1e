"""What the store gives back: frozen records of runs, frames and findings.

Ids are made from content, so the same run over the same frames has the same ids wherever it is done:

    run      settings, model, vocabulary, version and sources     12 hexadecimal digits
    frame    run and the frame's name                             16 hexadecimal digits
    finding  frame and the finding's place in it                  FRAME-003
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from clipomaly.export.masks import Rle, decode_rle
from clipomaly.records import UNNAMED

__all__ = ["StoredCandidate", "StoredFinding", "StoredFrame", "StoredRun", "finding_id", "frame_id", "run_id"]


@dataclass(frozen=True)
class StoredRun:
    """One run: which method looked at which source, with which model and vocabulary."""

    id: str
    started: float
    """Seconds since 1970, UTC."""
    method: str
    model: str
    model_hash: str
    vocabulary: str
    """Its name; `vocabulary_table` holds all of it."""
    settings: Mapping[str, Any]
    source: tuple[str, ...]
    frames: int = 0
    findings: int = 0
    vocabulary_hash: str = ""
    vocabulary_table: Mapping[str, Any] = field(default_factory=dict)
    """Known classes, candidates and rejected names, as `dataclasses.asdict` gives them."""
    version: str = ""
    space: str = ""
    """Whose vectors the embeddings are: those of other spaces are never compared with them."""
    notice: str = ""
    names: str = ""
    """`guesses` where the model's names are no more than that."""


@dataclass(frozen=True)
class StoredFrame:
    """One finished frame."""

    id: str
    run: str
    name: str
    path: str
    """Where the picture lies: a file, an address, or VIDEO#index."""
    image_size: tuple[int, int]
    """Height and width."""
    picture: str = ""
    """Hash of its pixels: the same picture in two runs is one picture."""
    time: float | None = None
    """When it was taken, seconds since 1970, UTC; None where nobody says."""
    camera: str = ""
    lat: float | None = None
    lon: float | None = None
    sequence: str = ""
    """The drive or folder that it belongs to; with `index`, its place there."""
    index: int = 0
    conditions: Mapping[str, str] = field(default_factory=dict)
    score: float = 0.0
    """The highest score of its findings."""
    findings: int = 0
    thumbnail: str | None = None
    """Key of a small picture (`ResultStore.read_file`)."""
    score_map: str | None = None
    copy: str | None = None
    """Key of the picture itself, where the source cannot be opened again (videos, addresses)."""

    @property
    def place(self) -> str:
        """Where it was taken, to about 100 m: coordinates, else the condition `place`, else the sequence.

        >>> StoredFrame("f", "r", "a", "a.jpg", (2, 2), lat=48.35381, lon=11.7861).place
        '48.354,11.786'
        """
        if self.lat is not None and self.lon is not None:
            return f"{self.lat:.3f},{self.lon:.3f}"
        return self.conditions.get("place", "") or self.sequence


@dataclass(frozen=True)
class StoredCandidate:
    """A name proposed for a finding."""

    name: str
    source: str
    score: float
    """Cosine of the region's vector with the name's."""
    rank: int
    margin: float = 0.0


@dataclass(frozen=True, eq=False)
class StoredFinding:
    """One finding as the run saw it; what people made of it is in the decisions."""

    id: str
    run: str
    frame: str
    name: str | None
    name_source: str | None
    score: float
    """Mean unknown score over the region."""
    area: int
    """Pixels."""
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1; the last two lie outside."""
    rle: Rle
    confidence: float = 0.0
    nearest_known: str = ""
    nearest_similarity: float = float("nan")
    candidates: tuple[StoredCandidate, ...] = ()
    embedding: Float[np.ndarray, " d"] | None = None
    """Unit vector, float32; stored in 16 bits."""
    thumbnail: str | None = None
    number: int = 0
    """Its place in the frame."""

    @property
    def label(self) -> str:
        """What to write on a picture."""
        return self.name or UNNAMED

    def mask(self) -> Bool[np.ndarray, "H W"]:
        """The mask on the whole frame."""
        return decode_rle(self.rle)


def run_id(parts: Mapping[str, Any]) -> str:
    """The run's id, from everything that its results depend on.

    >>> run_id({"settings": "ab", "source": ["x"]}) == run_id({"source": ["x"], "settings": "ab"})
    True
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def frame_id(run: str, name: str) -> str:
    """The frame's id."""
    return hashlib.sha256(f"{run}\0{name}".encode("utf-8", "replace")).hexdigest()[:16]


def finding_id(frame: str, number: int) -> str:
    """The finding's id.

    >>> finding_id("00ff00ff00ff00ff", 3)
    '00ff00ff00ff00ff-003'
    """
    return f"{frame}-{number:03d}"
