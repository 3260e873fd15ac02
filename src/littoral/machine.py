"""What of the machine this process may use: in a container, or where it is bound to some cores, that is not all.

How it keeps its own memory is left to `memory.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

CPU_LIMIT, MEMORY_LIMIT = Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/memory.max")
"""Where Linux says what a container is allowed: of so many microseconds how many on a core; bytes. "max": all."""

UNKNOWN_MEMORY = 8_000_000_000
"""Bytes that a system is taken to have which does not tell, such as Windows."""


def cores() -> int:
    """How many cores this process may use, at least 1; a part of one counts as one."""
    try:
        there = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        there = os.cpu_count() or 1
    quota, _, period = _told(CPU_LIMIT).partition(" ")
    if quota.isdigit() and period.isdigit() and int(period):
        there = min(there, -(-int(quota) // int(period)))
    return max(1, there)


def memory_bytes() -> int:
    """How many bytes of memory this machine has, or this container is allowed."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        there = UNKNOWN_MEMORY
    allowed = _told(MEMORY_LIMIT)
    return min(there, int(allowed)) if allowed.isdigit() else there


def _told(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
