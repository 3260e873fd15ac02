"""A function over many items in worker processes, in order. The workers know nothing of torch.

They start through forkserver: nothing forks once torch may have run threads.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

CHUNK = 64
"""Items that a worker is given at once: enough that handing them over costs little."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    function: Callable[[list[Item]], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[int, Result]]:
    """(index of its first item, result) for each chunk of items, in order; `workers` 0 computes in this process.

    `function` and the items have to be picklable where there are workers.
    """
    starts = range(0, len(items), CHUNK)
    chunks = [list(items[start : start + CHUNK]) for start in starts]
    if not workers:
        yield from zip(starts, map(function, chunks), strict=True)
        return
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts_to_the_parent)
    try:
        yield from zip(starts, pool.map(function, chunks), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
