"""DATA as a user names it -> decoded images, and what has to be said about them before anything is trained."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from littoral.errors import InputError
from littoral.images.build import OwnForms, build_store
from littoral.images.duplicates import Duplicates, find_duplicates
from littoral.images.named import NAMES, load_named
from littoral.images.packed import PackedImage
from littoral.images.sources import read_table
from littoral.images.splits import straddling
from littoral.images.store import ImageStore
from littoral.images.table import ImageTable
from littoral.machine import memory_bytes
from littoral.rows import in_chunks
from littoral.specs import Resize
from littoral.words import count, path_text

DARK = 64
"""16-bit pictures of which none is brighter than this, of 256 levels, are told of: 12 bits in 16 come to 17 levels."""

LARGEST = 64
"""Longer side that images are scaled down to where no size is asked for: larger ones cost much on a laptop."""

NAMED = 10
"""Unreadable images that are named one by one; the rest is counted."""

PARALLEL_FROM_FILES, PARALLEL_FROM_BYTES = 4000, 10_000_000
"""Starting worker processes takes half a second, and pays from so many images or so many bytes of them on."""


@dataclass(frozen=True)
class Reading:
    """How to read a folder or table.

    `size`: (height, width), None: the images' own median, at most `largest` on the longer side. `channels`: 1 or 3,
    None: 1 when all images are grey. `resize`: see ImageSpec. `memory`: bytes of images that are held in memory, more
    are kept in a file in the cache folder; None: a quarter of this machine's. `largest`: the longer side that images
    are scaled down to where no size is given. The others as in `read_table`.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    resize: Resize = "pad"
    group_column: str | None = None
    group_from: str | None = None
    allow_outside: bool = False
    memory: int | None = None
    largest: int = LARGEST


@dataclass(frozen=True)
class Loaded:
    """Images with what was found on the way.

    `names`: what a message calls each image. `skipped`: files passed over. `unreadable`: (name, reason) of images left
    out. `duplicates`: what was tied; None: not looked for, as in a set known by name. `across`: test images that are
    (nearly) equal to a training image, in data that came split. `own`: how images lay in their files; None: not known.
    `listed`: images of each (class, part), readable or not; the part is "" where the data came unsplit.
    `empty`: class folders without an image.
    """

    store: ImageStore
    names: tuple[str, ...] = ()
    skipped: int = 0
    unreadable: tuple[tuple[str, str], ...] = ()
    duplicates: Duplicates | None = None
    across: int = 0
    own: OwnForms | None = None
    listed: Mapping[tuple[str, str], int] = field(default_factory=dict)
    empty: tuple[str, ...] = ()

    def left_out(self) -> str:
        """Which images could not be read, the first ten by name, in a sentence; empty when there are none."""
        if not self.unreadable:
            return ""
        shown = "; ".join(f"{name} {reason}" for name, reason in self.unreadable[:NAMED])
        more = f"; and {len(self.unreadable) - NAMED:,} more" if len(self.unreadable) > NAMED else ""
        return f"{count(len(self.unreadable), 'image')} left out: {shown}{more}"

    def remarks(self) -> list[str]:
        """What a person should know before any accuracy is shown, a sentence each; none when all is plain."""
        lines = []
        if self.skipped:
            lines.append(
                f"{count(self.skipped, 'file')} passed over: hidden, no images, links, or beside the class folders"
            )
        if self.empty:
            lines.append(f"folders without an image, which make no class: {', '.join(self.empty[:NAMED])}")
        if self.unreadable:
            lines.append(self.left_out())
        if self.own is not None and any(self.own.firsts):
            lines.append(
                f"{count(sum(self.own.firsts), 'file')} with several pages or frames, of which the first is read"
            )
        if self.own is not None and (level := self._brightest_of_16_bits(self.own)) < DARK:
            lines.append(
                f"16-bit images come to {level + 1} of 256 levels, since none is brighter: "
                "scale their pixels to the full range of 16 bits first"
            )
        if self.duplicates is not None and self.store.split is None and self.duplicates.remark():
            lines.append(self.duplicates.remark())
        elif self.duplicates is not None and self.store.split is not None and self.duplicates.declined:
            lines.append(
                "test images that are nearly equal to a training image are not counted, "
                f"since {self.duplicates.declined}: see that both parts do not show the same things"
            )
        if self.across:
            lines.append(
                f"{count(self.across, 'test image is', 'test images are')} equal or nearly equal to a training image: "
                "the accuracy will look better than it is, so take them out of one part"
            )
        if self.store.split is not None and {"val", "test"} <= set(self.store.split.tolist()):
            validation = int((self.store.split == "val").sum())
            kept_out = count(validation, "validation image is", "validation images are")
            lines.append(f"{kept_out} kept out of training and test")
        return lines

    def may_surprise(self) -> bool:
        """Whether images were left out, are read in part, come out dark, make no class, or are in both parts."""
        if self.unreadable or self.empty or self.across:
            return True
        return self.own is not None and (any(self.own.firsts) or self._brightest_of_16_bits(self.own) < DARK)

    def _brightest_of_16_bits(self, own: OwnForms) -> int:
        """The largest value of all images that had 16 bits, 255 where there is none."""
        rows = np.array([mode == "I;16" for mode in own.modes], bool)
        if not rows.any():
            return 255
        return max(
            int(images[rows[start : start + len(images)]].max(initial=0))
            for start, images in in_chunks(self.store.images)
        )


def load_data(
    data: str,
    reading: Reading = Reading(),
    workers: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    data_dir: Path | None = None,
    on_download: Callable[[int, int], None] = lambda done, total: None,
    on_compared: Callable[[int, int], None] = lambda done, total: None,
    least_classes: int = 2,
) -> Loaded:
    """A name that `load_named` knows, a folder, or a .csv, .parquet, .npz or IDX file. InputError for anything else.

    `workers`: processes for decoding where there is much to decode; 0 decodes in this one. `data_dir` and
    `on_download`: for a name, as in `load_named`. `on_compared`: how far the search for near-duplicates is.
    `least_classes`: 2, as a training needs them; 1 where nothing is trained.
    """
    if data in NAMES:
        _require_plain(data, reading)
        return Loaded(load_named(data, data_dir, on_download))
    table = _table(data, reading, data_dir)
    if least_classes > 1:
        table.require_two_classes()
    loaded = _decoded(table, data, reading, workers, on_progress, on_compared)
    store = loaded.store
    if not len(store):
        name, reason = loaded.unreadable[0]
        raise InputError(f"none of the {count(len(table.images), 'image')} of {data} can be read; {name} {reason}")
    if len(store.class_names) < least_classes:
        name, reason = loaded.unreadable[0]
        raise InputError(
            f"{data}: {count(len(store), 'image')} can be read, all of the class {store.class_names[0]!r}, "
            f"and two classes are needed; {name} {reason}"
        )
    groups_across, across = straddling(store)
    if groups_across:
        raise InputError(
            f"{data} came split, but {groups_across:,} of its test images are of groups that are trained on too: "
            "split it by groups, or leave the split out"
        )
    return replace(loaded, across=across)


def inspect_data(
    data: str,
    reading: Reading = Reading(),
    workers: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    data_dir: Path | None = None,
    on_download: Callable[[int, int], None] = lambda done, total: None,
    on_compared: Callable[[int, int], None] = lambda done, total: None,
) -> Loaded:
    """As `load_data`, for looking at what is there: duplicates are looked for in sets known by name too.

    One class alone, groups on both sides of a split, a split without a part and a set of which no image can be read
    (the store is empty then) are not refused.
    """
    if data in NAMES:
        _require_plain(data, reading)
        store = load_named(data, data_dir, on_download)
        duplicates = find_duplicates(store.images, on_compared)
        parts = [""] * len(store) if store.split is None else store.split.tolist()
        listed = Counter(zip([store.class_names[label] for label in store.labels], parts, strict=True))
        return Loaded(replace(store, ties=duplicates.ties), duplicates=duplicates, listed=listed)
    return _decoded(_table(data, reading, data_dir), data, reading, workers, on_progress, on_compared)


def _table(data: str, reading: Reading, data_dir: Path | None) -> ImageTable:
    """The table of images at a place that is no set known by name; raises InputError where there is none."""
    if data_dir is not None:
        raise InputError(f"--data-dir is for the files of a set known by name, and {data!r} is none; leave it out")
    place = Path(data)
    if not data or not place.exists():
        if any(mark in data for mark in ("/", os.sep)) or place.suffix:
            raise InputError(f"no such file or folder: {data}")
        raise InputError(
            f"unknown data {data!r}: expected {', '.join(NAMES)}, "
            "or a folder, .csv, .parquet, .npz or IDX images file that exists"
        )
    return read_table(place, reading.group_column, reading.group_from, reading.allow_outside)


def _decoded(
    table: ImageTable,
    data: str,
    reading: Reading,
    workers: int,
    on_progress: Callable[[int, int], None],
    on_compared: Callable[[int, int], None],
) -> Loaded:
    """The images of a table, with what was found on the way and nothing refused."""
    built = build_store(
        table,
        reading.size,
        reading.channels,
        reading.resize,
        reading.largest,
        quarter_of_memory() if reading.memory is None else reading.memory,
        workers if _is_much(table) else 0,
        on_progress,
    )
    duplicates = find_duplicates(built.store.images, on_compared) if len(built.store) else None
    # source as given: a folder ./kmnist is not the set kmnist
    store = replace(built.store, source=path_text(data), ties=None if duplicates is None else duplicates.ties)
    listed = Counter(zip(table.labels, table.split or [""] * len(table.labels), strict=True))
    return Loaded(
        store,
        built.names,
        table.skipped,
        built.unreadable,
        duplicates,
        own=built.own,
        listed=listed,
        empty=table.empty,
    )


def load_images(
    place: str | Path,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    resize: Resize = "pad",
    group_column: str | None = None,
    group_from: str | None = None,
    allow_outside: bool = False,
    workers: int = 0,
    data_dir: Path | None = None,
) -> ImageStore:
    """The images of a folder (`CLASS/image` or `train|val|test/CLASS/image`), .csv, .parquet, .npz or IDX file.

    A folder may hold IDX pairs too. A text may name a public set, such as "kmnist": its files are looked for in
    `data_dir` first, and downloaded where no place has them; a Path is never taken for a name.

    `size`: (height, width), None: their own median, at most 64 on the longer side. `channels`: 1 or 3, None: 1 when all
    are grey. `resize`, `group_column`, `group_from` and `allow_outside`: as `--resize`, `--group`, `--group-from` and
    `--allow-outside`. `workers`: processes for decoding; a script that asks for some needs
    `if __name__ == "__main__":`.
    Images that cannot be read are left out, with a warning that names them. A warning tells too of files of which the
    first picture alone is read, of 16-bit images that come out dark, of class folders without an image, and of test
    images that are among the training images. Raises InputError for other places.
    """
    reading = Reading(size, channels, resize, group_column, group_from, allow_outside)
    data = f"./{place}" if isinstance(place, Path) and str(place) in NAMES else str(place)
    loaded = load_data(data, reading, workers, data_dir=data_dir)
    if loaded.may_surprise():
        warnings.warn(f"{place}: {'. '.join(loaded.remarks())}", stacklevel=2)
    return loaded.store


def quarter_of_memory() -> int:
    """A quarter, in bytes, of this machine's memory, or of what its container is allowed."""
    return memory_bytes() // 4


def _require_plain(data: str, reading: Reading) -> None:
    if reading != Reading():
        raise InputError(f"{data} is built in: its size, channels and groups are settled; leave the options out")


def _is_much(table: ImageTable) -> bool:
    """Whether decoding takes long enough for worker processes to pay."""
    files: dict[str | Path, None] = {}
    for image in table.images:
        if not isinstance(image, Path | PackedImage):
            return False  # bytes and pixels would have to be sent to them
        files[image.file if isinstance(image, PackedImage) else image] = None
    if len(table.images) >= PARALLEL_FROM_FILES:
        return True
    total = 0
    for file in files:
        try:
            total += os.stat(file).st_size
        except OSError:
            continue
        if total >= PARALLEL_FROM_BYTES:
            return True
    return False
