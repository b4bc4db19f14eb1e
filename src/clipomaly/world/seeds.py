"""Seeds that keep the splits apart: what `test` is built from can never occur in `train`.

Every seed of a build is odd in `test` and even in `train`, and every seed of a texture lies in blocks of 4096
that alternate between them (a texture uses the seeds after its own for its octaves). Builds that are costly
and common (cars, people, trees) come from a stock of a few dozen for each split, built once a process.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from clipomaly.world.things import Thing

SPLITS: tuple[str, ...] = ("train", "test")
_BLOCK = 4096


def split_index(split: str) -> int:
    """0 for train, 1 for test."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: one of {', '.join(SPLITS)}")
    return SPLITS.index(split)


def texture_seed(rng: np.random.Generator, split: str) -> int:
    """The first of a block of seeds for noise.

    >>> [texture_seed(np.random.default_rng(0), s) // 4096 % 2 for s in ("train", "test")]
    [0, 1]
    """
    return _BLOCK * (2 * int(rng.integers(1 << 18)) + split_index(split))


def tile_of(seed: int) -> int:
    """Which random tile a texture seed reads: the tiles of the two splits differ.

    >>> {tile_of(s) for s in range(4096)} & {tile_of(s) for s in range(4096, 8192)}
    set()
    """
    return (seed // _BLOCK % 2) * 4 + seed % 4


def build_seed(rng: np.random.Generator, split: str) -> int:
    """A seed for one build of a thing.

    >>> build_seed(np.random.default_rng(0), "test") % 2
    1
    """
    return 2 * int(rng.integers(1 << 40)) + split_index(split)


def stock(
    builder: Callable[..., Thing], rng: np.random.Generator, split: str, count: int = 24, **options: object
) -> Thing:
    """One of `count` builds of a common thing."""
    return _stocked(
        builder, 2 * int(rng.integers(count)) + split_index(split), tuple(sorted(options.items()))
    )


@functools.lru_cache(maxsize=400)
def _stocked(builder: Callable[..., Thing], seed: int, options: tuple[tuple[str, object], ...]) -> Thing:
    return builder(np.random.default_rng([seed, 7]), **dict(options))
