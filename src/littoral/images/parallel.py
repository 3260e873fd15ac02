"""A function over many items in worker processes, in order. The workers know nothing of torch.

They start through forkserver: nothing forks once torch may have run threads.
"""

from __future__ import annotations

import math
import mmap
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError

CHUNKS, FEWEST, MOST = 32, 8, 512
"""Items that a worker is given at once: a 32nd of its share, so that none waits long for the others at the end, but so
many that handing them over costs little."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    function: Callable[[int, list[Item]], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[int, Result]]:
    """(number of its first item, result) for each chunk of items, in order; `workers` 0 computes in this process.

    `function` is given the number of the chunk's first item, and the chunk. It and the items have to be picklable where
    there are workers.
    """
    size = min(max(FEWEST, len(items) // (CHUNKS * max(workers, 1))), MOST)
    starts = range(0, len(items), size)
    chunks = [list(items[start : start + size]) for start in starts]
    if not workers:
        yield from zip(starts, map(function, starts, chunks), strict=True)
        return
    context = multiprocessing.get_context("forkserver")
    ear, mouth = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_the_parent, initargs=(ear,))
    begun = False
    try:
        for found in zip(starts, pool.map(function, starts, chunks), strict=True):
            begun = True
            yield found
    except BrokenProcessPool as error:
        if not begun:
            raise InputError(
                "a process that reads images could not be started or was killed: a script needs "
                'if __name__ == "__main__": around what it runs; else give a smaller size, or run it where more memory '
                "is free"
            ) from error
        raise InputError(
            "a process that reads images was killed, most likely for want of memory: "
            "give a smaller size, or run it where more is free"
        ) from error
    except BaseException:
        mouth.close()  # whoever is in the middle of many photographs drops them
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        mouth.close()
        ear.close()


@contextmanager
def shared_array(shape: tuple[int, ...]) -> Iterator[tuple[NDArray[np.uint8], str]]:
    """A uint8 array, zero at first, and a file name under which workers can map its memory while the block lasts.

    The array stays when the block has ended. On Linux the file is nothing but memory, elsewhere it lies in the folder
    for temporary files until then.
    """
    size = math.prod(shape)
    if sys.platform == "linux":
        file = os.memfd_create("littoral")
        name = f"/proc/{os.getpid()}/fd/{file}"
    else:
        file, name = tempfile.mkstemp()
    try:
        os.truncate(file, size)
        yield np.frombuffer(mmap.mmap(file, size), np.uint8).reshape(shape), name
    finally:
        os.close(file)
        if not name.startswith("/proc"):
            os.unlink(name)


def _end_with_the_parent(ear: Connection) -> None:
    """What a worker does first: it leaves interrupts to the parent, and ends when the parent hangs up or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_at_silence, args=(ear,), daemon=True).start()


def _end_at_silence(ear: Connection) -> None:
    with suppress(EOFError, OSError):
        ear.recv_bytes()
    os._exit(1)
