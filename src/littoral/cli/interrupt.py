"""Ctrl-C and SIGTERM as one exception that only `cli/` knows and that no library on the way takes for its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from littoral.words import count


class Interrupted(BaseException):
    """The person or the system asked to stop; the text says what is kept."""


def kept_in(out: Path, number: int, noun: str) -> Interrupted:
    """What to raise where work that goes on from its folder is stopped. `noun`: of what `out` holds so many."""
    if not number:
        return Interrupted(f"interrupted before the first {noun}: the same command starts again")
    return Interrupted(f"interrupted; {out} holds {count(number, noun)}: the same command goes on from there")


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it, SIGINT and SIGTERM raise Interrupted."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted("interrupted")

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
