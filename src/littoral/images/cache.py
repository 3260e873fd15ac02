"""Decoded images in the cache, by their content: for sets too large for memory, and for the next run on them.

An entry has `images.bin` (uint8, n × height × width × channels). This file knows no table and decodes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from littoral.cache import IMAGES, Entry

FILE = "images.bin"

Shape = tuple[int, int, int, int]


def opened(entry: Entry) -> NDArray[np.uint8]:
    """The images, mapped from the file: read when touched, not writable."""
    return np.memmap(entry.folder / FILE, np.uint8, "r", shape=tuple(entry.notes["shape"]))


@contextmanager
def writing(size: int, source: str) -> Iterator[Path]:
    """A fresh folder with an `images.bin` of `size` bytes; see Room.writing."""
    with IMAGES.writing({FILE: size}, source) as folder:
        yield folder


def keep(folder: Path, key: str, shape: Shape, notes: dict[str, Any]) -> Entry:
    """Give a finished folder its name, the file cut to what it came to; see Room.keep."""
    os.truncate(folder / FILE, int(np.prod(shape, dtype=np.int64)))
    return IMAGES.keep(folder, key, notes | {"shape": shape})
