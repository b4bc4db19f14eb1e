"""The nouns of the story: frozen records that hold numpy and check themselves when they are made.

    Frame → DenseFeatures → (score) → Region → Candidate → Finding → Prediction → Result

Adapters (store, exports, the web app) import these; these import nothing of ours but the errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8

__all__ = [
    "UNNAMED",
    "Candidate",
    "DenseFeatures",
    "Finding",
    "Frame",
    "Prediction",
    "Region",
    "Result",
    "names_are_guesses",
    "shown_name",
]

#: The name that a finding bears when no candidate beat the known classes by the margin.
UNNAMED = "unknown object"


def names_are_guesses(provenance: Mapping[str, Any]) -> bool:
    """Whether the model's folder says that its names are guesses, so that pictures and reports show it.

    >>> names_are_guesses({"model": "mini", "names": "guesses"}), names_are_guesses({"model": "a CLIP"})
    (True, False)
    """
    return provenance.get("names") == "guesses"


def shown_name(name: str | None, guessed: bool) -> str:
    """A finding's name as people see it; records keep it as it is.

    >>> shown_name("moose", True), shown_name("moose", False), shown_name(None, True)
    ('moose?', 'moose', 'unknown object')
    """
    if name is None:
        return UNNAMED
    return f"{name}?" if guessed else name


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture, upright RGB, with what is known about it.

    >>> Frame(np.zeros((4, 6, 3), np.uint8), name="a.jpg").size
    (4, 6)
    """

    image: UInt8[np.ndarray, "H W 3"]
    name: str
    source: str = ""
    """Where it came from: a path, an address, or a video with a position."""
    time: float | None = None
    """Seconds since the start of its sequence, where there is one."""
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(
            self.image.dtype == np.uint8 and self.image.ndim == 3 and self.image.shape[2] == 3,
            f"frame {self.name}: image must be uint8 [H, W, 3], not {self.image.dtype} {self.image.shape}",
        )
        _require(min(self.image.shape[:2]) > 0, f"frame {self.name}: image is empty")
        _require(bool(self.name), "a frame needs a name")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True, eq=False)
class DenseFeatures:
    """Unit feature vectors on a patch grid, and one for the whole picture.

    The grid may reach beyond the picture (its sides are padded to whole patches): `extent` says how many
    grid rows and columns the picture covers, so pixel (y, x) lies at grid position
    ((y + ½) · extent[0] / H − ½, (x + ½) · extent[1] / W − ½).
    """

    patches: Float[np.ndarray, "h w d"]
    summary: Float[np.ndarray, " d"]
    image_size: tuple[int, int]
    extent: tuple[float, float]

    def __post_init__(self) -> None:
        _require(self.patches.ndim == 3, f"patches must be [h, w, d], not {self.patches.shape}")
        h, w, d = self.patches.shape
        _require(self.summary.shape == (d,), f"summary must be [{d}], not {self.summary.shape}")
        _require(
            0 < self.extent[0] <= h + 1e-6 and 0 < self.extent[1] <= w + 1e-6,
            f"extent {self.extent} does not fit the grid {h}×{w}",
        )
        if self.patches.size:
            probe = self.patches.reshape(-1, d)[:: max(1, h * w // 64)]
            _require(bool(np.isfinite(probe).all()), "patch features are not finite")
            _require(
                bool(np.allclose(np.linalg.norm(probe, axis=1), 1.0, atol=1e-3)),
                "patch features must have unit length",
            )


@dataclass(frozen=True, eq=False)
class Region:
    """One connected unknown region: its box, and its mask inside the box.

    `box` is (x, y, width, height) in pixels of the frame.
    """

    box: tuple[int, int, int, int]
    mask: Bool[np.ndarray, "bh bw"]
    score: float
    """Mean unknown score over the region."""
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        x, y, width, height = self.box
        _require(self.mask.dtype == np.bool_, "a region's mask is boolean")
        _require(self.mask.shape == (height, width), f"mask {self.mask.shape} does not fit box {self.box}")
        _require(
            x >= 0 and y >= 0 and x + width <= self.image_size[1] and y + height <= self.image_size[0],
            f"box {self.box} reaches beyond the image {self.image_size}",
        )
        _require(bool(self.mask.any()), "a region has at least one pixel")

    @property
    def area(self) -> int:
        """Pixels in the region."""
        return int(np.count_nonzero(self.mask))

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the box, to index an image with."""
        x, y, width, height = self.box
        return slice(y, y + height), slice(x, x + width)

    def trimmed(self) -> Region:
        """The same pixels in the smallest box that holds them.

        >>> Region((2, 3, 4, 2), np.array([[0, 0, 1, 0], [0, 1, 1, 0]], bool), 1.0, (9, 9)).trimmed().box
        (3, 3, 2, 2)
        """
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        box = (self.box[0] + x0, self.box[1] + y0, x1 - x0, y1 - y0)
        return replace(self, box=box, mask=self.mask[y0:y1, x0:x1])

    def full_mask(self) -> Bool[np.ndarray, "H W"]:
        """The mask on the whole frame."""
        out = np.zeros(self.image_size, bool)
        out[self.slices] = self.mask
        return out


@dataclass(frozen=True)
class Candidate:
    """A name proposed for a region, and everything that speaks for it."""

    name: str
    source: str
    """Where the name came from: `dictionary`, `tags`, `ram`, `human`, `vocabulary`…"""
    similarity: float
    """Cosine of the region's vector with the name's text vector."""
    margin: float
    """Similarity minus that of the region's best known class: above zero, the name explains it better."""
    rank: int
    """0 is the region's best candidate."""

    def __post_init__(self) -> None:
        _require(bool(self.name.strip()), "a candidate needs a name")
        _require(self.rank >= 0, "ranks start at 0")


@dataclass(frozen=True, eq=False)
class Finding:
    """An unknown region with its name, or without one, and the evidence."""

    region: Region
    name: str | None
    """The name that entered the vocabulary for this region; None is an unknown object without a name."""
    confidence: float
    """Probability of the name over the known classes and all names that entered, averaged over the region."""
    candidates: tuple[Candidate, ...] = ()
    """Runners-up included, best first."""
    nearest_known: str = ""
    """The known class that comes closest to this region."""
    nearest_known_similarity: float = float("nan")
    embedding: Float[np.ndarray, " d"] | None = None
    """Unit vector of the region as the encoder saw it (its dense features, pooled), where there is one."""

    def __post_init__(self) -> None:
        _require(self.name is None or bool(self.name.strip()), "a finding's name is a word or None")
        ranks = [c.rank for c in self.candidates]
        _require(ranks == sorted(ranks), "candidates come best first")

    @property
    def label(self) -> str:
        """What to write on a picture."""
        return self.name or UNNAMED

    @property
    def name_source(self) -> str | None:
        """Where the chosen name came from."""
        return next((c.source for c in self.candidates if c.name == self.name), None)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a method says about one frame."""

    score: Float[np.ndarray, "H W"]
    """Higher is more unknown. The continuous map that benchmarks read."""
    unknown: Bool[np.ndarray, "H W"]
    labels: Integer[np.ndarray, "H W"]
    """Index into `names`: the first `n_known` are the known classes, the rest names that entered."""
    names: tuple[str, ...]
    n_known: int
    findings: tuple[Finding, ...] = ()
    threshold: float = float("nan")
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time of each stage."""

    def __post_init__(self) -> None:
        size = self.score.shape
        _require(self.score.ndim == 2 and self.score.dtype == np.float32, "score must be float32 [H, W]")
        _require(self.unknown.shape == size and self.unknown.dtype == np.bool_, "unknown must be bool [H, W]")
        _require(self.labels.shape == size, "labels must be [H, W]")
        _require(0 <= self.n_known <= len(self.names), "n_known counts the first names")
        _require(len(set(self.names)) == len(self.names), "names must be distinct")
        if self.labels.size:
            _require(int(self.labels.max()) < max(1, len(self.names)), "a label lies beyond the names")


@dataclass(frozen=True, eq=False)
class Result:
    """A prediction with its frame and where it came from: what is written, stored and shown."""

    frame: Frame
    prediction: Prediction
    provenance: Mapping[str, str]
    """`run`, `method`, `model`, `model_hash`, `vocabulary`, `vocabulary_hash`, `version`…; `names` is
    `guesses` where the model's names are no more than that."""
