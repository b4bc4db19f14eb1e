"""Texts to token numbers, the same for both runtimes (the `tokenizers` library; no torch).

CLIP reads a text up to its first end token, so padding is free: batches are padded to their longest text.
SigLIP reads the last of `context` positions, so every text is padded to the full length; its texts are lower
case, and the first SigLIP was also trained without punctuation.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from clipomaly.encoders.folder import TOKENIZER_FILE
from clipomaly.encoders.seam import EncoderSpec
from clipomaly.errors import ConfigError, ModelError

__all__ = ["Tokens", "prepare_text"]

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
BATCH = 64


def prepare_text(text: str, casing: str) -> str:
    """The wording that a model was trained on: `as-is`, `lower`, or `canonical` (lower, no punctuation).

    >>> prepare_text("A Photo of a  cone.", "canonical")
    'a photo of a cone'
    """
    if casing == "as-is":
        return text
    text = text.lower()
    return " ".join(text.translate(_NO_PUNCTUATION).split()) if casing == "canonical" else text


class Tokens:
    """A tokenizer file with the model's rules for length and padding."""

    def __init__(self, folder: Path, spec: EncoderSpec) -> None:
        from tokenizers import Tokenizer

        path = folder / TOKENIZER_FILE
        if not path.is_file():
            raise ModelError(f"model folder {folder} has no {TOKENIZER_FILE}: copy it from the checkpoint")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises a bare Exception
            raise ModelError(f"cannot read {path}: {error}") from error
        self._tokenizer.enable_truncation(spec.context)
        self._tokenizer.no_padding()
        self._pad = int(str(spec.extra.get("pad_id", 0)))
        self._casing = str(spec.extra.get("casing", "as-is"))
        self._full = spec.kind == "siglip"
        self._context = spec.context

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token numbers of each text, not padded."""
        for text in texts:
            if not text.strip():
                raise ConfigError("an empty text has no vector: give every name at least one letter")
        wordings = [prepare_text(text, self._casing) for text in texts]
        return [e.ids for e in self._tokenizer.encode_batch(wordings)]

    def batches(
        self, texts: Sequence[str], size: int = BATCH
    ) -> Iterator[tuple[list[int], Int[np.ndarray, "b t"]]]:
        """(which texts, their padded token numbers), short texts first so that little is padding."""
        ids = self.ids(texts)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for first in range(0, len(order), size):
            chunk = order[first : first + size]
            length = self._context if self._full else max(len(ids[i]) for i in chunk)
            batch = np.full((len(chunk), length), self._pad, np.int64)
            for row, i in enumerate(chunk):
                batch[row, : len(ids[i])] = ids[i]
            yield chunk, batch
