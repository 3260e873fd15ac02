"""DATA as a user names it -> decoded images, and what has to be said about them before anything is trained."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from littoral.errors import InputError
from littoral.images.build import build_store, choose_size
from littoral.images.builtin import NAMES, load_named
from littoral.images.sources import read_table
from littoral.images.splits import exact_duplicates
from littoral.images.store import ImageStore

LARGEST = 64
"""Longer side that images are scaled down to where no size is asked for: larger ones cost much on a laptop."""


PARALLEL_FROM = 1000
"""Image files from which on starting worker processes pays."""


@dataclass(frozen=True)
class Reading:
    """How to read a folder or table.

    `size`: (height, width), None: the images' own median, at most 64 on the longer side. `channels`: 1 or 3, None: 1
    when all images are grey. The others as in `read_table`.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    group_column: str | None = None
    group_from: str | None = None
    allow_outside: bool = False


@dataclass(frozen=True)
class Loaded:
    """Images with what was found on the way: files passed over, files unreadable with the reason, equal images."""

    store: ImageStore
    skipped: int
    unreadable: tuple[tuple[str, str], ...]
    duplicates: int

    def remarks(self) -> list[str]:
        """What a person should know before any accuracy is shown, a sentence each; none when all is plain."""
        lines = []
        if self.skipped:
            lines.append(f"{self.skipped:,} files passed over: hidden, no images, or beside the class folders")
        if self.unreadable:
            name, reason = self.unreadable[0]
            more = "" if len(self.unreadable) == 1 else f" (and {len(self.unreadable) - 1:,} more)"
            lines.append(f"{len(self.unreadable):,} images left out: {name} {reason}{more}")
        if self.duplicates:
            lines.append(f"{self.duplicates:,} images equal another one; equal images stay on one side of a split")
        if self.store.split is not None and {"val", "test"} <= set(self.store.split.tolist()):
            lines.append(
                f"{int((self.store.split == 'val').sum()):,} validation images are kept out of training and test"
            )
        return lines


def load_data(
    data: str,
    reading: Reading = Reading(),
    workers: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Loaded:
    """A built-in name, a folder, or a .csv, .parquet or .npz file. Raises InputError for anything else.

    `workers`: processes for decoding where there are many files; 0 decodes in this one. The images are put into an
    order of their own, so that the same images give the same training, wherever they come from.
    """
    if data in NAMES:
        if reading != Reading():
            raise InputError(f"{data} is built in: its size, channels and groups are settled; leave the options out")
        return Loaded(load_named(data), 0, (), 0)
    place = Path(data)
    if not place.exists():
        raise InputError(
            f"unknown data {data!r}: expected {', '.join(NAMES)}, or a folder, .csv, .parquet or .npz that exists"
        )
    table = read_table(place, reading.group_column, reading.group_from, reading.allow_outside)
    files = all(isinstance(image, Path) for image in table.images)
    workers = workers if files and len(table.images) >= PARALLEL_FROM else 0
    height, width = reading.size or choose_size(table, LARGEST, workers)
    built = build_store(table, height, width, reading.channels, workers, on_progress)
    store = canonical(built.store)
    return Loaded(store, table.skipped, built.unreadable, exact_duplicates(store))


def load_images(
    place: str | Path, size: tuple[int, int] | None = None, channels: int | None = None, workers: int = 0
) -> ImageStore:
    """The images of a folder (`CLASS/image` or `train|val|test/CLASS/image`), .csv, .parquet or .npz.

    `size`: (height, width), None: their own median, at most 64 on the longer side. `channels`: 1 or 3, None: 1 when all
    are grey. `workers`: processes for decoding; a script that asks for some needs `if __name__ == "__main__":`.
    Images that cannot be read are left out, with a warning that counts them. Raises InputError for other places.
    """
    loaded = load_data(str(place), Reading(size=size, channels=channels), workers)
    if loaded.unreadable:
        warnings.warn(f"{place}: {loaded.remarks()[bool(loaded.skipped)]}", stacklevel=2)
    return loaded.store


def canonical(store: ImageStore) -> ImageStore:
    """The same images in an order that depends on their pixels and labels alone, not on file names or the source."""
    flat = np.ascontiguousarray(store.images).reshape(len(store), -1)
    keys = flat.view(np.dtype((np.void, flat.shape[1]))).ravel()
    return store.subset(np.lexsort((store.labels, np.unique(keys, return_inverse=True)[1])))
