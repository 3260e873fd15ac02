"""What is wrong, or odd, with labelled images: loaded images -> an Audit. Wrong labels need training: `studies/`.

It judges what is in the data, and not how that looks on a page: `report/`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from littoral.images.build import OwnForms
from littoral.images.load import Loaded
from littoral.images.store import ImageStore, pixel_hashes
from littoral.images.table import PART_NAMES
from littoral.rows import in_chunks

FAR = 4
"""A longer side of so many times the median's, or of less than this part of it, is odd."""

BLOWN_UP = 2
"""So is an image smaller than the median's half that has to be magnified this much."""

ELONGATED = 2
"""So is one whose longer side, in shorter sides, is so many times the median's: much becomes border or is lost."""

RARE = 0.1
"""A mode, and grey among colour or the reverse, is odd where at most this share of the images, or one, has it."""

EVEN = 8
"""Levels of 255 between the darkest and brightest pixel of a blank image, and between the channels of a grey one."""

PLAIN_MODES = ("L", "RGB", "P")
"""Modes, as Pillow calls them, that lose nothing when they are read."""

MODE_REASONS: Mapping[str, str] = {
    "1": "1 bit, black and white alone",
    "I;16": "16-bit grey, brought to 8 bits",
    "LA": "transparency, laid over white",
    "PA": "transparency, laid over white",
    "RGBA": "transparency, laid over white",
    "CMYK": "CMYK, turned to RGB without its colour profile",
}
"""Why another mode is worth a look."""


@dataclass(frozen=True)
class Item:
    """One image: its number in the store, what a message calls it, its class, and its part ("" in data unsplit)."""

    index: int
    name: str
    label: str
    part: str


@dataclass(frozen=True)
class Cluster:
    """Images that are equal (`exact`: by every pixel, once they have the size of all) or nearly equal to each other."""

    items: tuple[Item, ...]
    kind: Literal["exact", "near"]

    @property
    def across_classes(self) -> bool:
        """Whether one picture has several labels."""
        return len({item.label for item in self.items}) > 1

    @property
    def across_parts(self) -> bool:
        """Whether one picture is in several parts of data that came split."""
        return len({item.part for item in self.items}) > 1

    @property
    def where(self) -> str:
        """ "inside a class", "across classes", "across parts" or "across classes and parts"."""
        across = [word for word, is_so in (("classes", self.across_classes), ("parts", self.across_parts)) if is_so]
        return f"across {' and '.join(across)}" if across else "inside a class"


@dataclass(frozen=True)
class Odd:
    """An image and why it is odd, in a phrase."""

    item: Item
    reason: str


@dataclass(frozen=True)
class ClassCount:
    """Images of a class that can be read, how many others cannot, and the readable of each part (none: unsplit)."""

    name: str
    images: int
    unreadable: int
    parts: Mapping[str, int]


@dataclass(frozen=True)
class Audit:
    """What was found in labelled images.

    `images`: how many can be read. `skipped`: files passed over. `unreadable`: (name, reason). `form`: (height, width,
    channels) that images were brought to; `median`: the median (height, width) of their own; None: not known. `modes`:
    images of each mode in their files. `grey`: images without colour, where there are three channels. `declined`: why
    near-duplicates were not looked for, "" where they were. `groups_across`: groups with images in several parts.
    `firsts`: images of whose file nothing but the first of several pages or frames is read.

    Clusters are sorted: several classes first, then several parts, then by size; images all blank make none.
    """

    source: str
    images: int
    skipped: int
    unreadable: tuple[tuple[str, str], ...]
    classes: tuple[ClassCount, ...]
    form: tuple[int, int, int]
    median: tuple[float, float] | None
    modes: Mapping[str, int]
    grey: int | None
    clusters: tuple[Cluster, ...]
    declined: str
    odd_sizes: tuple[Odd, ...]
    odd_modes: tuple[Odd, ...]
    blank: tuple[Item, ...]
    groups_across: int
    firsts: tuple[Item, ...]

    @property
    def imbalance(self) -> float | None:
        """Images of the largest class for each of the smallest; None where a class has none, or there is no class."""
        counts = [found.images for found in self.classes]
        return max(counts) / min(counts) if min(counts, default=0) else None


def audit_images(loaded: Loaded) -> Audit:
    """Look at images and at what was found while they were read (see `inspect_data`). Reads no file."""
    store, own = loaded.store, loaded.own
    spread, tint = _spread_and_tint(store)
    blank = spread <= EVEN
    items = Items(store, loaded.names)
    height, width, channels = store.images.shape[1:]
    return Audit(
        source=store.source,
        images=len(store),
        skipped=loaded.skipped,
        unreadable=loaded.unreadable,
        classes=_classes(store, loaded.listed),
        form=(height, width, channels),
        median=_median_size(own.sizes) if own is not None and len(store) else None,
        modes={} if own is None else dict(Counter(own.modes).most_common()),
        grey=None if tint is None else int((tint <= EVEN).sum()),
        clusters=_clusters(store, blank, items),
        declined="" if loaded.duplicates is None else loaded.duplicates.declined,
        odd_sizes=_by_name(() if own is None or not len(store) else _odd_sizes(own.sizes, (height, width), items)),
        odd_modes=_by_name((*_odd_modes(own, items), *_odd_colours(tint, blank, items))),
        blank=_items_by_name(blank, items),
        groups_across=_groups_across(store),
        firsts=() if own is None else _items_by_name(np.array(own.firsts, bool), items),
    )


class Items:
    """The images of a store by number, as Items. `names`: of each; none: they are called by their numbers."""

    def __init__(self, store: ImageStore, names: Sequence[str] = ()) -> None:
        self.store = store
        self.names = names

    def __getitem__(self, index: int) -> Item:
        store = self.store
        part = "" if store.split is None else str(store.split[index])
        name = self.names[index] if self.names else f"image {index}"
        return Item(index, name, store.class_names[store.labels[index]], part)


def _classes(store: ImageStore, listed: Mapping[tuple[str, str], int]) -> tuple[ClassCount, ...]:
    parts = [""] * len(store) if store.split is None else store.split.tolist()
    read = Counter(zip(store.labels.tolist(), parts, strict=True))
    by_name = Counter({(store.class_names[label], part): count for (label, part), count in read.items()})
    present = {part for _, part in [*listed, *by_name] if part}
    order = [part for part in dict.fromkeys(PART_NAMES.values()) if part in present]
    found = []
    for name in sorted({name for name, _ in [*listed, *by_name]}):
        images = sum(count for (label, _), count in by_name.items() if label == name)
        in_all = sum(count for (label, _), count in listed.items() if label == name)
        parts_of = {part: by_name[name, part] for part in order}
        found.append(ClassCount(name, images, max(in_all - images, 0), parts_of))
    return tuple(found)


def _spread_and_tint(store: ImageStore) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """For each image, the levels between its darkest and brightest pixel in the channel where they differ most, and
    those between the channels of the pixel where they differ most; None where there is one channel."""
    spread, tint = np.zeros(len(store), np.int64), np.zeros(len(store), np.int64)
    for start, rows in in_chunks(store.images):
        end = start + len(rows)
        spread[start:end] = (rows.max((1, 2)).astype(np.int64) - rows.min((1, 2))).max(1)
        tint[start:end] = (rows.max(3) - rows.min(3)).max((1, 2))
    return spread, None if store.images.shape[3] == 1 else tint


def _clusters(store: ImageStore, blank: NDArray[np.bool_], items: Items) -> tuple[Cluster, ...]:
    if store.ties is None or not len(store):
        return ()
    order = np.argsort(store.ties, kind="stable")
    starts = np.flatnonzero(np.diff(store.ties[order], prepend=-1))
    clusters = []
    for members in np.split(order, starts[1:]):
        if len(members) < 2 or blank[members].all():
            continue
        equal = len(set(pixel_hashes(store.images[members]).tolist())) == 1
        named = sorted(
            (items[index] for index in members.tolist()), key=lambda item: (item.label, item.part, item.name)
        )
        clusters.append(Cluster(tuple(named), "exact" if equal else "near"))
    return tuple(
        sorted(clusters, key=lambda it: (not it.across_classes, not it.across_parts, -len(it.items), it.items[0].name))
    )


def _odd_sizes(sizes: NDArray[np.int32], form: tuple[int, int], items: Items) -> tuple[Odd, ...]:
    height, width = _median_size(sizes)
    longer, shorter = sizes.max(1), sizes.min(1)
    usual = float(np.median(longer))
    usual_shape = float(np.median(longer / shorter))
    blown_up = np.min(np.array(form) / sizes, axis=1)
    found = []
    for index in range(len(sizes)):
        own = f"{sizes[index, 0]}×{sizes[index, 1]} pixels"
        if blown_up[index] >= BLOWN_UP and BLOWN_UP * longer[index] <= usual:
            found.append(Odd(items[index], f"{own}, blown up to {form[0]}×{form[1]}"))
        elif longer[index] > FAR * usual or FAR * longer[index] < usual:
            found.append(Odd(items[index], f"{own}, the median is {height:g}×{width:g}"))
        elif longer[index] / shorter[index] > ELONGATED * usual_shape:
            times = longer[index] / shorter[index]
            found.append(Odd(items[index], f"{own}, {times:.1f} times as long as short; the median {usual_shape:.1f}"))
    return tuple(found)


def _odd_modes(own: OwnForms | None, items: Items) -> tuple[Odd, ...]:
    if own is None:
        return ()
    counts = Counter(own.modes)
    odd = {mode for mode, count in counts.items() if mode not in PLAIN_MODES and _is_rare(count, len(own.modes))}
    return tuple(
        Odd(items[index], MODE_REASONS.get(mode, f"{mode} colours, turned to RGB"))
        for index, mode in enumerate(own.modes)
        if mode in odd
    )


def _odd_colours(tint: NDArray[np.int64] | None, blank: NDArray[np.bool_], items: Items) -> tuple[Odd, ...]:
    if tint is None:
        return ()
    grey = (tint <= EVEN) & ~blank
    coloured = (tint > EVEN) & ~blank
    for few, reason in ((grey, "grey among colour images"), (coloured, "colour among grey images")):
        if few.any() and _is_rare(int(few.sum()), int((~blank).sum())):
            return tuple(Odd(items[index], reason) for index in np.flatnonzero(few).tolist())
    return ()


def _by_name(odd: tuple[Odd, ...]) -> tuple[Odd, ...]:
    return tuple(sorted(odd, key=lambda found: found.item.name))


def _items_by_name(chosen: NDArray[np.bool_], items: Items) -> tuple[Item, ...]:
    return tuple(sorted((items[index] for index in np.flatnonzero(chosen).tolist()), key=lambda item: item.name))


def _is_rare(count: int, total: int) -> bool:
    return count <= max(1, RARE * total) and 2 * count < total


def _groups_across(store: ImageStore) -> int:
    if store.groups is None or store.split is None:
        return 0
    _, part = np.unique(store.split, return_inverse=True)
    pairs = np.unique(np.stack([store.groups, part]), axis=1)
    return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())


def _median_size(sizes: NDArray[np.int32]) -> tuple[float, float]:
    height, width = np.median(sizes, axis=0)
    return float(height), float(width)
