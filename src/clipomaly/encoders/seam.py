"""The seam between pictures, words and numbers.

An encoder turns pictures into `DenseFeatures` (unit patch vectors and one summary vector) and texts into
unit vectors of the same space. numpy outside, whatever runs inside: ONNX Runtime (`encoders/onnx.py`, the
default) or torch (`encoders/transformers.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.records import DenseFeatures

__all__ = ["Encoder", "EncoderSpec"]


@dataclass(frozen=True)
class EncoderSpec:
    """What an encoder is; written as `encoder.json` beside exported graphs."""

    name: str
    kind: str
    """`clip` or `siglip`: decides how texts are padded."""
    width: int
    """Length of the shared vectors."""
    patch: int
    """Pixels a side of one grid cell."""
    image_size: tuple[int, int]
    """Height and width that the model was trained on (its position grid × patch)."""
    working_long_side: int
    """Pixels of the longer side at which a frame is encoded in one piece; beyond it, tiles (if asked for)."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    temperature: float
    """τ of the softmax over known classes."""
    variant: str = "vanilla"
    """Last-block variant, a key of `encoders.attention.VARIANTS`."""
    context: int = 77
    """Tokens of a text at most."""
    templates: tuple[str, ...] = ("a photo of a {}.",)
    fingerprint: str = ""
    """Hash of the weights and the variant: the cache key of text vectors, and part of every result."""
    parameters: int = 0
    extra: dict[str, object] = field(default_factory=dict)
    """Anything a model card wants to carry (`pasted_outliers`, terms…). `names` set to `guesses` has names
    shown with a question mark and without their probability."""

    @property
    def least_side(self) -> int:
        """Pictures are enlarged to this longer side at least: the trained size, or what the folder says."""
        return int(str(self.extra.get("least_side", max(self.image_size))))


@runtime_checkable
class Encoder(Protocol):
    """Pictures and texts into one space of unit vectors."""

    spec: EncoderSpec

    def encode_images(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], *, least_side: int | None = None
    ) -> list[DenseFeatures]:
        """Dense features of pictures of any size and aspect, one record each, in order.

        `least_side`: enlarge pictures to this longer side at least; None: the spec's own.
        """

    def encode_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Unit vectors of texts, in order."""
