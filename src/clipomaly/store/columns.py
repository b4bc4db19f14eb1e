"""Columns of the catalogue: texts as codes, numbers, and what is derived from frames."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Integer

__all__ = ["Texts", "flat", "numbers", "pictures_of", "places_of", "top"]


class Texts:
    """A column of texts as codes of a few distinct ones."""

    def __init__(self, values: Iterable[str]) -> None:
        encoded = pa.array(values, pa.string()).fill_null("").dictionary_encode()
        self.codes: Integer[np.ndarray, " n"] = encoded.indices.to_numpy(zero_copy_only=False).astype(
            np.int32
        )
        self.words: list[str] = encoded.dictionary.to_pylist()
        self.code_of = {word: i for i, word in enumerate(self.words)}

    def equal(self, word: str) -> Bool[np.ndarray, " n"]:
        return self.codes == self.code_of.get(word, -1)

    def containing(self, part: str) -> Bool[np.ndarray, " n"]:
        part = part.casefold()
        hit = np.array([part in word.casefold() for word in self.words], bool)
        return hit[self.codes] if len(hit) else np.zeros(len(self.codes), bool)

    def code(self, word: str) -> int:
        """The word's code, new if it has none."""
        if word not in self.code_of:
            self.code_of[word] = len(self.words)
            self.words.append(word)
        return self.code_of[word]


def flat(column: Any) -> Any:
    if isinstance(column, pa.ChunkedArray):
        return (
            column.chunk(0)
            if column.num_chunks == 1
            else pa.concat_arrays(column.chunks)
            if (column.num_chunks)
            else pa.array([], column.type)
        )
    return column


def numbers(column: Any) -> np.ndarray:
    return np.asarray(column.to_numpy(), np.float64)


def places_of(frames: pa.Table) -> Any:
    """`StoredFrame.place`, for all frames at once."""
    import json

    lat, lon = numbers(frames["lat"]), numbers(frames["lon"])
    conditions, sequences = frames["conditions"].to_pylist(), frames["sequence"].to_pylist()
    kept: dict[str, str] = {}
    out = []
    for a, b, text, sequence in zip(lat.tolist(), lon.tolist(), conditions, sequences, strict=True):
        if a == a and b == b:
            out.append(f"{a:.3f},{b:.3f}")
            continue
        if text not in kept:
            kept[text] = json.loads(text).get("place", "")
        out.append(kept[text] or sequence)
    return pa.array(out, pa.string())


def pictures_of(frames: pa.Table) -> Any:
    """The hash of the pixels; where an older store has none, the path."""
    return pc.if_else(pc.equal(flat(frames["picture"]), ""), flat(frames["path"]), flat(frames["picture"]))


def top(column: Texts, mask: Bool[np.ndarray, " n"], limit: int) -> dict[str, int]:
    counts = np.bincount(column.codes[mask], minlength=len(column.words))
    order = np.argsort(-counts, kind="stable")[:limit]
    return {column.words[i]: int(counts[i]) for i in order if counts[i]}
