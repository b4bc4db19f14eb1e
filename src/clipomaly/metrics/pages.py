"""Scores of one class of pixels, kept in order, exactly, in bounded memory.

A float32 becomes a 32-bit key with the same order. The upper 16 bits of the key name a *page*, the lower 16
bits are what the page keeps: 2 bytes a pixel, put in page order by one radix pass a batch. Past the memory
limit the owner calls `spill`: pages go to unnamed temporary files, merged with what is there, each as loose
entries or as (value, count) pairs, whichever is shorter. A page holds at most 65 536 pairs, so neither memory
nor disk grows without end. float64 works the same way with 48 lower bits kept in 8 bytes a pixel.

Reading goes by spans of pages: sparse neighbours together, and sorted; a crowded page alone, and counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipomaly.errors import MetricError
from clipomaly.metrics.keys import keys_of, scores_of

_PIECE = 1 << 18  # pixels put in page order at once: the radix pass stays in the cache, three times as fast
_BATCH = 1 << 21  # … where pages are so many that pieces would be cut too finely to be read again quickly
_THIN = 512  # entries a page in a piece from which that holds
_PAGES = 1 << 16
_DENSE = 1 << 15  # entries from which counting beats sorting inside a page
_SPAN = 1 << 16  # entries up to which neighbouring pages are read together

Pairs = tuple[np.ndarray, np.ndarray]  # distinct keys, ascending, and their counts


# --- one class of pixels -----------------------------------------------------------------------------------


class _OnDisk:
    """An array in an unnamed temporary file: appended to, and read by slices."""

    def __init__(self, dtype: np.dtype, folder: str | None) -> None:
        self.dtype = dtype
        self.nbytes = 0  # of memory
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as the array)

    def append(self, part: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(part, self.dtype).data)

    def __getitem__(self, where: slice) -> np.ndarray:
        self._file.seek(where.start * self.dtype.itemsize)
        return np.frombuffer(self._file.read((where.stop - where.start) * self.dtype.itemsize), self.dtype)


@dataclass(frozen=True)
class _Run:
    """Entries in page order: `pages[i]` holds `low[bounds[i]:bounds[i + 1]]`, each once or `counts` times."""

    pages: np.ndarray
    bounds: np.ndarray
    weights: np.ndarray  # pixels per page
    low: np.ndarray | _OnDisk
    counts: np.ndarray | _OnDisk | None = None

    @property
    def bytes(self) -> int:
        """Memory held."""
        parts = (self.pages, self.bounds, self.weights, self.low, self.counts)
        return sum(part.nbytes for part in parts if part is not None)


@dataclass(frozen=True)
class Span:
    """All entries of one class in a span of pages: loose keys, and tallied ones."""

    first: int  # the lowest key a page of this span may hold
    wide: np.dtype  # of keys
    loose: np.ndarray  # in a span of one page of float32 its 16 lower bits, else keys
    tallied: list[Pairs]

    @property
    def _one_page(self) -> bool:
        return self.loose.dtype == np.uint16

    @property
    def _dense(self) -> bool:
        return self._one_page and self.loose.size + sum(keys.size for keys, _ in self.tallied) > _DENSE

    def _table(self) -> np.ndarray:
        """The number of pixels at each of the 65 536 keys of one page."""
        table = np.bincount(self.loose, minlength=_PAGES)
        for keys, number in self.tallied:
            table[keys - keys.dtype.type(self.first)] += number
        return table

    def _keys(self, loose: np.ndarray) -> np.ndarray:
        return loose.astype(self.wide) + self.wide.type(self.first) if self._one_page else loose

    def _sorted(self) -> np.ndarray:
        """Loose entries in order; 16 bits by a radix pass, ten times as fast."""
        return np.sort(self.loose, kind="stable" if self._one_page else None)

    def tally(self) -> Pairs:
        """Distinct keys, ascending, and how many pixels have each."""
        if self._dense:
            table = self._table()
            occupied = np.flatnonzero(table)
            return self._keys(occupied), table[occupied]
        if not self.tallied:
            loose = self._sorted()
            start = np.flatnonzero(_starts(loose))
            return self._keys(loose[start]), np.diff(start, append=loose.size)
        keys = np.concatenate([self._keys(self.loose), *(keys for keys, _ in self.tallied)])
        number = np.concatenate([np.ones(self.loose.size, np.int64), *(n for _, n in self.tallied)])
        order = np.argsort(keys, kind="stable")
        keys, number = keys[order], number[order]
        start = np.flatnonzero(_starts(keys))
        return keys[start], np.add.reduceat(number, start) if start.size else number

    def rank(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many pixels of the span are ≥ each key of `at`, and how many are equal to it."""
        if self._dense:
            table = self._table()
            at = at - at.dtype.type(self.first)
            up_to = np.cumsum(table)
            return up_to[-1] - up_to[at] + table[at], table[at]
        if self.tallied:
            keys, number = self.tally()
            below = np.concatenate([[0], np.cumsum(number)])
            left, right = np.searchsorted(keys, at, "left"), np.searchsorted(keys, at, "right")
            return below[-1] - below[left], below[right] - below[left]
        loose = self._sorted()
        if self._one_page:
            at = (at - at.dtype.type(self.first)).astype(np.uint16)
        left, right = np.searchsorted(loose, at, "left"), np.searchsorted(loose, at, "right")
        return loose.size - left, right - left


def _starts(ordered: np.ndarray) -> np.ndarray:
    """True where a new value begins."""
    new = np.ones(ordered.size, bool)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return new


class OrderedScores:
    """The scores of one class: recent keys, runs in memory, and two runs on disk."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self.wide = np.dtype(np.uint32 if dtype.itemsize == 4 else np.uint64)
        self.low = np.dtype(np.uint16 if dtype.itemsize == 4 else np.uint64)
        self.shift = 8 * dtype.itemsize - 16
        self.size = 0
        self._recent: list[np.ndarray] = []
        self._n_recent = 0
        self._batch = _PIECE
        self._runs: list[_Run] = []
        self._stored: list[_Run] = []
        self._index: Index | None = None

    @property
    def bytes(self) -> int:
        """Memory held by entries."""
        return sum(run.bytes for run in self._runs) + self._n_recent * self.wide.itemsize

    def push(self, keys: np.ndarray) -> None:
        """Take the keys of some pixels."""
        self.size += keys.size
        self._index = None
        start = 0
        while start < keys.size:
            part = keys[start : start + self._batch]  # which `_order` may change
            start += part.size
            self._recent.append(part)
            self._n_recent += part.size
            if self._n_recent >= self._batch:
                self._order()

    def merge(self, other: OrderedScores) -> Iterator[None]:
        """Take all of another; pauses after each piece, so that the owner may spill."""
        other._order()
        for run in [*other._runs, *other._stored]:
            for piece in _pieces(run):
                self.size += int(piece.weights.sum())
                self._index = None
                self._runs.append(piece)
                yield

    def _order(self) -> None:
        """Put the recent keys in page order: the radix pass."""
        if not self._n_recent:
            return
        keys = np.concatenate(self._recent) if len(self._recent) > 1 else self._recent[0]
        self._recent, self._n_recent = [], 0
        page = (keys >> keys.dtype.type(self.shift)).astype(np.uint16)
        per_page = np.bincount(page, minlength=_PAGES)
        pages = np.flatnonzero(per_page)
        self._batch = _BATCH if pages.size * _THIN > _PIECE else _PIECE
        low = keys.astype(self.low) if self.low == np.uint16 else keys & self.wide.type((1 << self.shift) - 1)
        low = low[np.argsort(page, kind="stable")]
        self._runs.append(_Run(pages.astype(np.uint16), *_bounds(per_page[pages]), low))

    def spill(self, folder: str | None) -> None:
        """Move the runs to disk, merged with those there."""
        self._order()
        if not self._runs:
            return
        index = self.index()
        loose, tallied, number_of = (_OnDisk(d, folder) for d in (self.low, self.low, np.dtype(np.int64)))
        entries = np.zeros((2, _PAGES), np.int64)  # loose and tallied ones by page
        weights = np.zeros(_PAGES, np.int64)  # of tallied ones
        for first, last in spans(index.occupied, index.per_page):
            span = index.read(first, last)
            keys, number = span.tally()
            page = (keys >> self.wide.type(self.shift)).astype(np.int64) - first
            distinct = np.bincount(page, minlength=last - first + 1)
            weight = np.bincount(page, weights=number, minlength=last - first + 1).astype(np.int64)
            paired = distinct * (self.low.itemsize + number.itemsize) < weight * self.low.itemsize
            for known, _ in span.tallied:  # once tallied, always: counts do not shrink
                paired[(known >> self.wide.type(self.shift)).astype(np.int64) - first] = True
            low = keys & self.wide.type((1 << self.shift) - 1)
            as_pair = paired[page]
            loose.append(np.repeat(low[~as_pair], number[~as_pair]))
            tallied.append(low[as_pair])
            number_of.append(number[as_pair])
            here = slice(first, last + 1)
            entries[0, here], entries[1, here] = np.where(paired, 0, weight), np.where(paired, distinct, 0)
            weights[here] = np.where(paired, weight, 0)
        self._runs, self._index, self._stored = [], None, []
        pages = np.flatnonzero(entries[0])
        self._stored.append(_Run(pages.astype(np.uint16), *_bounds(entries[0, pages]), loose))
        pages = np.flatnonzero(entries[1])
        bounds, _ = _bounds(entries[1, pages])
        self._stored.append(_Run(pages.astype(np.uint16), bounds, weights[pages], tallied, number_of))

    def unordered(self) -> np.ndarray | None:
        """All keys as they came, while they are few enough not to be in page order yet."""
        if self._runs or self._stored:
            return None
        return np.concatenate([np.empty(0, self.wide), *self._recent])

    def index(self) -> Index:
        """Where everything lies; valid until more is taken."""
        self._order()
        if self._index is None:
            self._index = Index([*self._runs, *self._stored], self.wide, self.shift)
        return self._index

    def score(self, keys: np.ndarray) -> np.ndarray:
        """The scores of keys."""
        return scores_of(keys, self.dtype)

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
        key = keys_of(np.array([first], self.dtype), self.dtype)
        page = int(key[0]) >> self.shift
        index = self.index()
        return int(index.per_page[page + 1 :].sum()) + int(index.read(page, page).rank(key)[0][0])

    def ranked(self, k: int) -> float:
        """The (k+1)-th highest score."""
        index = self.index()
        falling = np.cumsum(index.per_page[::-1])
        position = int(np.searchsorted(falling, k, "right"))
        page = _PAGES - 1 - position
        inside = k - (int(falling[position - 1]) if position else 0)
        keys, number = index.read(page, page).tally()
        at = int(np.searchsorted(np.cumsum(number[::-1]), inside, "right"))
        return float(self.score(keys[::-1][at : at + 1])[0])

    def histogram(self, edges: np.ndarray) -> np.ndarray:
        """Counts between edges, as numpy.histogram counts."""
        total = np.zeros(len(edges) - 1, np.int64)
        index = self.index()
        for first, last in spans(index.occupied, index.per_page):
            keys, number = index.read(first, last).tally()
            scores = self.score(keys).astype(np.float64)
            slot = np.searchsorted(edges, scores, "right") - 1
            slot[scores == edges[-1]] = len(edges) - 2
            inside = (slot >= 0) & (slot < len(total))
            np.add.at(total, slot[inside], number[inside])
        return total

    def __getstate__(self) -> dict[str, Any]:
        self._order()
        runs = [piece for run in [*self._runs, *self._stored] for piece in _pieces(run)]
        return {**self.__dict__, "_runs": runs, "_stored": [], "_index": None}


def _bounds(per_page: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the pages of a run begin and end, and their sizes again."""
    return np.concatenate([[0], np.cumsum(per_page)]), per_page


def _pieces(run: _Run, entries: int = 1 << 24) -> Iterator[_Run]:
    """A run as runs in memory, of about `entries` each (a page is not cut)."""
    if isinstance(run.low, np.ndarray):
        yield run
        return
    start = 0
    while start < run.pages.size:
        stop = int(np.searchsorted(run.bounds, run.bounds[start] + entries, "right"))
        stop = min(max(stop - 1, start + 1), run.pages.size)
        where = slice(int(run.bounds[start]), int(run.bounds[stop]))
        yield _Run(
            run.pages[start:stop],
            run.bounds[start : stop + 1] - run.bounds[start],
            run.weights[start:stop],
            run.low[where],
            None if run.counts is None else run.counts[where],
        )
        start = stop


class Index:
    """Where each page's entries lie, over all runs."""

    def __init__(self, runs: list[_Run], wide: np.dtype, shift: int) -> None:
        self._runs, self._wide, self._shift = runs, wide, shift
        self.per_page = np.zeros(_PAGES, np.int64)
        for run in runs:
            self.per_page[run.pages] += run.weights
        self.occupied = np.flatnonzero(self.per_page)
        page = np.concatenate([np.empty(0, np.uint16), *(run.pages for run in runs)])
        order = np.argsort(page, kind="stable")
        self._page = page[order]
        self._edges = np.searchsorted(self._page, np.arange(_PAGES + 1))
        self._run = np.repeat(np.arange(len(runs)), [run.pages.size for run in runs])[order]
        self._start = np.concatenate([np.empty(0, np.int64), *(run.bounds[:-1] for run in runs)])[order]
        self._stop = np.concatenate([np.empty(0, np.int64), *(run.bounds[1:] for run in runs)])[order]

    def read(self, first: int, last: int) -> Span:
        """All entries of the pages from `first` to `last`."""
        rows = slice(self._edges[first], self._edges[last + 1])
        loose: list[np.ndarray] = []
        loose_pages: list[int] = []
        tallied: list[Pairs] = []
        for page, number, start, stop in zip(
            self._page[rows].tolist(),
            self._run[rows].tolist(),
            self._start[rows].tolist(),
            self._stop[rows].tolist(),
            strict=True,
        ):
            run = self._runs[number]
            low = run.low[start:stop]
            if run.counts is None:
                loose.append(low)
                loose_pages.append(page)
            else:
                keys = low.astype(self._wide) + self._wide.type(page << self._shift)
                tallied.append((keys, run.counts[start:stop]))
        if first == last and self._shift == 16:
            return Span(first << 16, self._wide, np.concatenate([np.empty(0, np.uint16), *loose]), tallied)
        keys = np.concatenate(loose).astype(self._wide) if loose else np.empty(0, self._wide)
        if loose:
            start_of = np.array(loose_pages, self._wide) << self._wide.type(self._shift)
            keys += np.repeat(start_of, [part.size for part in loose])
        return Span(first << self._shift, self._wide, keys, tallied)


def spans(pages: np.ndarray, per_page: np.ndarray) -> list[tuple[int, int]]:
    """The pages (ascending) as spans (first, last): neighbours together while `per_page` sums to little."""
    before = np.concatenate([[0], np.cumsum(per_page)]).tolist()
    found: list[tuple[int, int]] = []
    first = last = -1
    for page in pages.tolist():
        if first >= 0 and before[page + 1] - before[first] <= _SPAN:
            last = page
            continue
        if first >= 0:
            found.append((first, last))
        first = last = page
    if first >= 0:
        found.append((first, last))
    return found
