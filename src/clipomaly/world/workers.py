"""Rendering on several cores: a process each, and none that outlives the command which began it."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from clipomaly.errors import ConfigError
from clipomaly.world.loader import one_thread

__all__ = ["each_done"]

Result = TypeVar("Result")


def each_done(
    work: Callable[[int], Result],
    numbers: Sequence[int],
    jobs: int | None = None,
    begin: Callable[[], None] = one_thread,
) -> Iterator[Result]:
    """What `work` gives for each number, as it is done; `begin` is run first in each process.

    `work` must be importable, as it is sent to the processes. One process a core unless `jobs` says
    otherwise. After an error, or a stop, what has not begun is left.

    >>> sorted(each_done(abs, [-3, 2], jobs=1))
    [2, 3]
    """
    jobs = min(jobs or os.cpu_count() or 1, max(len(numbers), 1))
    if jobs == 1:
        yield from map(work, numbers)
        return
    # Spawned, not forked: the renderer's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, context, _begin, (begin,)) as pool:
        under_way = [pool.submit(work, n) for n in numbers]
        try:
            for done in concurrent.futures.as_completed(under_way):
                yield done.result()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise ConfigError(
                "a rendering process was ended from outside, most often for want of memory (each takes about "
                "1 GB at 1280x720): the same line goes on from here, and --jobs says how many run at once"
            ) from error
        except BaseException:
            # Waits for what is under way: a second call, by the block's end, would take the first one back.
            pool.shutdown(cancel_futures=True)
            raise


def _begin(begin: Callable[[], None]) -> None:
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    begin()


def _end_with_the_command() -> None:
    """A killed command cannot tell its processes: left alone, they would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
