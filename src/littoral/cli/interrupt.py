"""Ctrl-C and SIGTERM as one exception that only `cli/` knows and that no library on the way takes for its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """The person or the system asked to stop; the text says what is kept."""


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
