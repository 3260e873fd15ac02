"""ImageRows: rows of an array that lies in a file, read when they are asked for.

What a store too large for memory holds in place of an array. It knows nothing of images beyond their bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


class ImageRows:
    """The rows `index` of `source` (n × height × width × channels, uint8, memory-mapped), as an array reads.

    `rows[3:9]` and `rows[array_of_numbers]` read these rows into memory; `take` chooses rows and reads nothing.
    """

    def __init__(self, source: NDArray[np.uint8], index: NDArray[np.int64]) -> None:
        self.source = source
        self.index = index
        self.dtype = source.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, height, width, channels)"""
        return (len(self.index), *self.source.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.source.ndim

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: slice | NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.uint8]:
        return np.asarray(self.source[self.index[key]])

    def take(self, index: NDArray[np.int64]) -> ImageRows:
        """These rows of the rows, unread."""
        return ImageRows(self.source, self.index[index])


CHUNK = 4_000_000
"""Bytes that are in memory at once where the number of rows does not matter."""


def in_chunks(
    images: NDArray[np.uint8] | ImageRows, size: int | None = None
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(number of its first row, rows) for each `size` rows, so that the whole is never in memory twice.

    `size` None: rows of CHUNK bytes together, or one row where that is more.
    """
    size = size or max(1, CHUNK // max(1, math.prod(images.shape[1:])))
    for start in range(0, len(images), size):
        yield start, np.ascontiguousarray(images[start : start + size])
