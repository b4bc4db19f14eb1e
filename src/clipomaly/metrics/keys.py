"""Order-preserving keys: unsigned integers in the order of the scores, and back.

A float of sign 0 gets its highest bit set, one of sign 1 has all bits inverted; −0.0 and 0.0 share a key.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clipomaly.errors import MetricError

__all__ = ["keys_of", "next_above", "scores_of"]

_STRIP = 1 << 16  # pixels turned into keys at once


def keys_of(scores: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Unsigned integers in the order of the scores; −0.0 and 0.0 share one."""
    scores = scores.reshape(-1)
    out = np.empty(scores.size, np.uint32 if dtype.itemsize == 4 else np.uint64)
    for start in range(0, scores.size, _STRIP):  # large arrays between would cost more than the arithmetic
        part = slice(start, start + _STRIP)
        if not _keys_into(out[part], scores[part], dtype):
            raise MetricError(_refusal(scores, dtype))
    return out


def _keys_into(key: np.ndarray, scores: np.ndarray, dtype: np.dtype) -> bool:
    """The keys of some scores; False where they are not finite or do not fit."""
    with np.errstate(over="ignore"):  # refused just below
        exact = scores.astype(dtype, copy=False)
    if not np.isfinite(exact).all():
        return False
    if not np.can_cast(scores.dtype, dtype, "safe") and not np.array_equal(exact, scores):
        return False
    np.add(exact, dtype.type(0), out=key.view(dtype))  # −0.0 + 0.0 is 0.0
    top = 8 * dtype.itemsize - 1
    signed: Any = key.view(np.int32 if top == 31 else np.int64)
    flip = (signed >> top).view(key.dtype)  # all ones where negative
    flip |= key.dtype.type(1 << top)
    key ^= flip
    return True


def _refusal(scores: np.ndarray, dtype: np.dtype) -> str:
    """Why scores have no keys, and what to do."""
    with np.errstate(over="ignore"):
        exact = scores.astype(dtype)
    if np.isfinite(exact).all():
        return (
            f"scores of type {scores.dtype} do not fit {dtype} exactly: round them yourself with"
            f" scores.astype(np.{dtype}); PixelCounts(np.float64) keeps pixel metrics exact"
        )
    bad = int(np.count_nonzero(~np.isfinite(scores)))
    if bad == 0:
        return f"scores exceed {dtype}: count them with PixelCounts(np.float64)"
    return f"{bad} scores are not finite (NaN or infinity): repair the method, or mark them 255"


def scores_of(keys: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The inverse of `keys_of`."""
    unsigned = np.uint32 if dtype.itemsize == 4 else np.uint64
    top = unsigned(1 << (8 * dtype.itemsize - 1))
    keys = keys.astype(unsigned)
    return np.where(keys & top, keys ^ top, ~keys).view(dtype)


def next_above(scores: np.ndarray) -> np.ndarray:
    """The next representable number above each score."""
    with np.errstate(over="ignore"):  # above the largest finite number lies infinity, which flags nothing
        return np.nextafter(scores, scores.dtype.type(np.inf))
