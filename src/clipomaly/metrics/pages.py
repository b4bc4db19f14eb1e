"""Scores of one class of pixels, kept in order, exactly, in bounded memory.

A float32 becomes a 32-bit key with the same order. The upper 16 bits of the key name a *page*, the lower 16
bits are what the page keeps: 2 bytes a pixel, put in page order by one radix pass a batch. Past the memory
limit the owner calls `spill`: pages go to an unnamed temporary file, merged with what is there, each as
loose entries or as (value, count) pairs, whichever is shorter. A page holds at most 65 536 pairs, so neither
memory nor disk grows without end. float64 works the same way with 48 lower bits kept in 8 bytes a pixel.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from clipomaly.errors import MetricError

_BATCH = 1 << 21  # pixels put in page order at once: the radix pass stays near the cache
_PAGES = 1 << 16
_DENSE = 1 << 12  # entries from which counting beats sorting inside a page

Pairs = tuple[np.ndarray, np.ndarray]  # distinct values (ascending), their counts


# --- order-preserving keys ---------------------------------------------------------------------------------


def keys_of(scores: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Unsigned integers in the order of the scores; −0.0 and 0.0 share one."""
    with np.errstate(over="ignore"):  # refused just below
        exact = scores.astype(dtype, copy=False)
    if not np.isfinite(exact).all():
        bad = int(np.count_nonzero(~np.isfinite(scores)))
        if bad == 0:
            raise MetricError(f"scores exceed {dtype}: count them with PixelCounts(np.float64)")
        raise MetricError(
            f"{bad} scores are not finite (NaN or infinity): repair the method, or mark them 255"
        )
    if not np.can_cast(scores.dtype, dtype, "safe") and not np.array_equal(exact, scores):
        raise MetricError(
            f"scores of type {scores.dtype} do not fit {dtype} exactly: round them yourself with"
            f" scores.astype(np.{dtype}); PixelCounts(np.float64) keeps pixel metrics exact"
        )
    plain = exact + dtype.type(0)  # −0.0 + 0.0 is 0.0
    signed, unsigned = (np.int32, np.uint32) if dtype.itemsize == 4 else (np.int64, np.uint64)
    flip = plain.view(signed) >> signed(8 * dtype.itemsize - 1)  # all ones where negative
    key = plain.view(unsigned)
    key ^= flip.view(unsigned) | unsigned(1 << (8 * dtype.itemsize - 1))
    return key


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


# --- one class of pixels -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
    """Entries in page order: `pages[i]` holds `low[bounds[i]:bounds[i + 1]]`, each once or `counts` times."""

    pages: np.ndarray
    bounds: np.ndarray
    low: np.ndarray
    counts: np.ndarray | None = None

    @property
    def bytes(self) -> int:
        return sum(a.nbytes for a in (self.pages, self.bounds, self.low, self.counts) if a is not None)

    @property
    def weights(self) -> np.ndarray:
        """Pixels per page."""
        if self.counts is None:
            return np.diff(self.bounds)
        return np.add.reduceat(self.counts, self.bounds[:-1])


@dataclass(frozen=True)
class _Page:
    """All that is known of one page: loose entries, and tallied ones."""

    loose: list[np.ndarray]
    tallied: list[Pairs]

    @property
    def n_loose(self) -> int:
        return sum(part.size for part in self.loose)

    def entries(self, low: np.dtype) -> np.ndarray:
        return np.concatenate(self.loose) if self.loose else np.empty(0, low)

    def dense(self) -> np.ndarray:
        """The number of pixels at each of the 65 536 values of a float32 page."""
        counts = np.bincount(self.entries(np.dtype(np.uint16)), minlength=_PAGES)
        for values, number in self.tallied:
            counts[values] += number
        return counts

    def tally(self, low: np.dtype) -> Pairs:
        """Distinct values, ascending, and their counts."""
        if low == np.uint16 and (self.tallied or self.n_loose > _DENSE):
            counts = self.dense()
            values = np.flatnonzero(counts)
            return values.astype(low), counts[values]
        entries = self.entries(low)
        values = np.concatenate([entries, *(v for v, _ in self.tallied)])
        number = np.concatenate([np.ones(entries.size, np.int64), *(c for _, c in self.tallied)])
        order = np.argsort(values, kind="stable")
        values, number = values[order], number[order]
        first = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
        return values[first], np.add.reduceat(number, first)

    def rank(self, at: np.ndarray, low: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of this page that are ≥, and that are =, each value of `at`."""
        if low == np.uint16 and (self.tallied or self.n_loose > _DENSE):
            counts = self.dense()
            from_here = np.cumsum(counts[::-1])[::-1]
            return from_here[at], counts[at]
        if not self.tallied:
            entries = np.sort(self.entries(low))
            left, right = np.searchsorted(entries, at, "left"), np.searchsorted(entries, at, "right")
            return entries.size - left, right - left
        values, number = self.tally(low)
        below = np.concatenate([[0], np.cumsum(number)])
        left, right = np.searchsorted(values, at, "left"), np.searchsorted(values, at, "right")
        return below[-1] - below[left], below[right] - below[left]


class OrderedScores:
    """The scores of one class: recent keys, runs in memory, and one file of pages."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self.shift = 8 * dtype.itemsize - 16
        self.low = np.dtype(np.uint16 if dtype.itemsize == 4 else np.uint64)
        self.size = 0
        self._recent: list[np.ndarray] = []
        self._n_recent = 0
        self._runs: list[_Run] = []
        self._stored: _Stored | None = None
        self._index: _Index | None = None

    @property
    def bytes(self) -> int:
        """Memory held by entries."""
        return sum(run.bytes for run in self._runs) + self._n_recent * self.dtype.itemsize

    def push(self, keys: np.ndarray) -> None:
        self.size += keys.size
        self._index = None
        for start in range(0, keys.size, _BATCH):
            part = keys[start : start + _BATCH]
            self._recent.append(part)
            self._n_recent += part.size
            if self._n_recent >= _BATCH:
                self._order()

    def take(self, run: _Run) -> None:
        self.size += int(run.weights.sum())
        self._index = None
        self._runs.append(run)

    def _order(self) -> None:
        """Put the recent keys in page order: the radix pass."""
        if not self._n_recent:
            return
        keys = np.concatenate(self._recent) if len(self._recent) > 1 else self._recent[0]
        self._recent, self._n_recent = [], 0
        page = (keys >> keys.dtype.type(self.shift)).astype(np.uint16)
        per_page = np.bincount(page, minlength=_PAGES)
        pages = np.flatnonzero(per_page)
        order = np.argsort(page, kind="stable")
        if self.dtype.itemsize == 4:
            low = keys.astype(np.uint16)  # the lower half
        else:
            low = keys & np.uint64((1 << 48) - 1)
        bounds = np.concatenate([[0], np.cumsum(per_page[pages])])
        self._runs.append(_Run(pages.astype(np.uint16), bounds, low[order]))

    def spill(self, folder: str | None) -> None:
        """Move the runs to disk, merged with the pages there."""
        self._order()
        if not self._runs:
            return
        index = self.index()
        stored = _Stored(self.low, tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 (it outlives this call)
        for page in index.occupied:
            stored.append(int(page), index.read(int(page)))
        self._runs, self._index = [], None
        if self._stored is not None:
            self._stored.close()
        self._stored = stored

    def unordered(self) -> np.ndarray | None:
        """All keys as they came, while they are few enough not to be in page order yet."""
        if self._runs or self._stored is not None:
            return None
        return np.concatenate(
            [np.empty(0, keys_of(np.empty(0, self.dtype), self.dtype).dtype), *self._recent]
        )

    def index(self) -> _Index:
        self._order()
        if self._index is None:
            self._index = _Index(self._runs, self._stored)
        return self._index

    def all_runs(self) -> Iterator[_Run]:
        """Everything as runs in memory, those on disk a piece at a time."""
        self._order()
        yield from self._runs
        if self._stored is not None:
            yield from self._stored.runs()

    def score(self, page: int, low: np.ndarray) -> np.ndarray:
        wide = np.dtype(np.uint32 if self.dtype.itemsize == 4 else np.uint64)
        return scores_of(np.bitwise_or(low.astype(wide), wide.type(page << self.shift)), self.dtype)

    def count_from(self, threshold: float) -> int:
        """Pixels with `score >= threshold`."""
        if np.isnan(threshold):
            raise MetricError("the threshold is not a number: choose a finite one")
        # The comparison is made in the scores' own numbers: the lowest of them that is ≥ the threshold.
        with np.errstate(over="ignore"):
            first = self.dtype.type(threshold)
        if float(first) < threshold:
            first = np.nextafter(first, self.dtype.type(np.inf))
        if first == np.inf:
            return 0
        if first == -np.inf:
            return self.size
        key = int(keys_of(np.array([first], self.dtype), self.dtype)[0])
        page, low = key >> self.shift, key & ((1 << self.shift) - 1)
        index = self.index()
        above = int(index.per_page[page + 1 :].sum())
        if not index.per_page[page]:
            return above
        return above + int(index.read(page).rank(np.array([low], self.low), self.low)[0][0])

    def ranked(self, k: int) -> float:
        """The (k+1)-th highest score."""
        index = self.index()
        falling = np.cumsum(index.per_page[::-1])
        position = int(np.searchsorted(falling, k, "right"))
        page = _PAGES - 1 - position
        inside = k - (int(falling[position - 1]) if position else 0)
        values, number = index.read(page).tally(self.low)
        at = int(np.searchsorted(np.cumsum(number[::-1]), inside, "right"))
        return float(self.score(page, values[::-1][at : at + 1])[0])

    def histogram(self, edges: np.ndarray) -> np.ndarray:
        """Counts between edges, as numpy.histogram counts."""
        total = np.zeros(len(edges) - 1, np.int64)
        index = self.index()
        for page in index.occupied:
            values, number = index.read(int(page)).tally(self.low)
            scores = self.score(int(page), values).astype(np.float64)
            slot = np.searchsorted(edges, scores, "right") - 1
            slot[scores == edges[-1]] = len(edges) - 2
            inside = (slot >= 0) & (slot < len(total))
            np.add.at(total, slot[inside], number[inside])
        return total

    def __getstate__(self) -> dict[str, Any]:
        runs = list(self.all_runs())  # first: it puts the recent keys in order
        return {**self.__dict__, "_runs": runs, "_stored": None, "_index": None}


class _Index:
    """Where each page's entries lie, over all runs and the file."""

    def __init__(self, runs: list[_Run], stored: _Stored | None) -> None:
        self._runs, self._stored = runs, stored
        self.per_page = np.zeros(_PAGES, np.int64) if stored is None else stored.weight.copy()
        for run in runs:
            self.per_page[run.pages] += run.weights
        self.occupied = np.flatnonzero(self.per_page)
        page = np.concatenate([np.empty(0, np.uint16), *(run.pages for run in runs)])
        order = np.argsort(page, kind="stable")
        self._edges = np.searchsorted(page[order], np.arange(_PAGES + 1))
        self._run = np.repeat(np.arange(len(runs)), [run.pages.size for run in runs])[order]
        self._start = np.concatenate([np.empty(0, np.int64), *(run.bounds[:-1] for run in runs)])[order]
        self._stop = np.concatenate([np.empty(0, np.int64), *(run.bounds[1:] for run in runs)])[order]

    def read(self, page: int) -> _Page:
        rows = slice(self._edges[page], self._edges[page + 1])
        loose: list[np.ndarray] = []
        tallied: list[Pairs] = []
        where = zip(
            self._run[rows].tolist(), self._start[rows].tolist(), self._stop[rows].tolist(), strict=True
        )
        for number, start, stop in where:
            run = self._runs[number]
            if run.counts is None:
                loose.append(run.low[start:stop])
            else:
                tallied.append((run.low[start:stop], run.counts[start:stop]))
        if self._stored is not None:
            self._stored.read(page, loose, tallied)
        return _Page(loose, tallied)


class _Stored:
    """Pages in a temporary file, each as loose entries or as pairs, whichever is shorter."""

    def __init__(self, low: np.dtype, file: BinaryIO | Any) -> None:
        self._low, self._file = low, file
        self.weight = np.zeros(_PAGES, np.int64)
        self._offset = np.zeros(_PAGES, np.int64)
        self._length = np.zeros(_PAGES, np.int64)
        self._paired = np.zeros(_PAGES, bool)
        self._end = 0

    def append(self, page: int, content: _Page) -> None:
        values, number = content.tally(self._low)
        pair = self._low.itemsize + number.itemsize
        if content.tallied or values.size * pair < content.n_loose * self._low.itemsize:
            blocks = [values, number]
            self._paired[page] = True
        else:
            blocks = [content.entries(self._low)]
        self._length[page], self.weight[page] = blocks[0].size, number.sum()
        self._offset[page] = self._end
        for block in blocks:
            self._end += self._file.write(np.ascontiguousarray(block).data)

    def read(self, page: int, loose: list[np.ndarray], tallied: list[Pairs]) -> None:
        length = int(self._length[page])
        if not length:
            return
        self._file.seek(int(self._offset[page]))
        values = np.frombuffer(self._file.read(length * self._low.itemsize), self._low)
        if self._paired[page]:
            tallied.append((values, np.frombuffer(self._file.read(length * 8), np.int64)))
        else:
            loose.append(values)

    def runs(self, piece: int = 32 << 20) -> Iterator[_Run]:
        """The content as runs of about `piece` bytes."""
        for paired in (False, True):
            pages: list[int] = []
            parts: list[Pairs | np.ndarray] = []
            held = 0
            for page in np.flatnonzero((self._length > 0) & (self._paired == paired)):
                loose: list[np.ndarray] = []
                tallied: list[Pairs] = []
                self.read(int(page), loose, tallied)
                pages.append(int(page))
                parts += tallied if paired else loose
                held += int(self._length[page]) * (self._low.itemsize + 8 * paired)
                if held >= piece:
                    yield _as_run(pages, parts, paired)
                    pages, parts, held = [], [], 0
            if pages:
                yield _as_run(pages, parts, paired)

    def close(self) -> None:
        self._file.close()


def _as_run(pages: list[int], parts: list[Any], paired: bool) -> _Run:
    values = [part[0] for part in parts] if paired else parts
    bounds = np.concatenate([[0], np.cumsum([v.size for v in values])])
    counts = np.concatenate([part[1] for part in parts]) if paired else None
    return _Run(np.array(pages, np.uint16), bounds, np.concatenate(values), counts)
