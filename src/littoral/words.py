"""Counts, shares and names as a person reads them."""

from __future__ import annotations

import os
from collections.abc import Sequence


def printable(text: str) -> str:
    """Text in which what cannot be shown, or would steer a terminal, is written as its escape, such as \\x1b."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def path_text(path: str | os.PathLike[str]) -> str:
    """A path as text that can be written, whatever bytes a file's name has, such as caf\\xe9."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def count(number: int, noun: str, plural: str = "") -> str:
    """1 image; 1,200 images; 2 classes, where the plural is given."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would use: 42 s, 12 min, 1.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def shortened(text: str, most: int) -> str:
    """At most so many characters; what is left out is in the middle, since names differ at their ends."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[-tail:] if tail else ''}"


def listed(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def percent(share: float) -> str:
    """0.9923 -> 99.23"""
    return f"{100 * share:.2f}"


def interval(ends: Sequence[float]) -> str:
    """(0.9904, 0.9938) -> 99.04 to 99.38"""
    return f"{percent(ends[0])} to {percent(ends[1])}"


def points(difference: float) -> str:
    """0.0021 -> +0.21, in percentage points with its sign"""
    return f"{100 * difference:+.2f}"


def points_interval(ends: Sequence[float]) -> str:
    """(-0.001, 0.0034) -> -0.10 to +0.34"""
    return f"{points(ends[0])} to {points(ends[1])}"
