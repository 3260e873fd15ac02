"""How this process keeps memory: training frees and takes the same large buffers at every step.

glibc hands each freed one back to the system, and getting it again, page by page, was seen to cost 7 to 23 % of a
training step on two cores. Kept instead, it is there at once. A server is the other way round: it lives for long, and a
large photo now and then should leave nothing behind. The command line does this, and its processes on a cluster: a
library has no say in its host's memory.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD in malloc.h
_LARGEST_MMAP_THRESHOLD = 32 * 1024 * 1024  # glibc takes no larger one on 64 bits

_LARGE = 1024 * 1024


def keep_freed_memory() -> bool:
    """Ask glibc to keep what is freed; False, and nothing changed, on a system with another allocator."""
    return _set(2**31 - 1, _LARGEST_MMAP_THRESHOLD)


def give_back_freed_memory() -> bool:
    """Ask glibc to give large buffers back when they are freed; False as in `keep_freed_memory`."""
    return _set(_LARGE, _LARGE)


def _set(trim: int, mmap: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, trim) and mallopt(_MMAP_THRESHOLD, mmap))
