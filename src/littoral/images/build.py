"""An ImageTable -> decoded images of one form in an order of their own, and a list of those that could not be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from littoral.cache import IMAGES
from littoral.errors import InputError
from littoral.images import cache
from littoral.images.batch import (
    Batch,
    Encoded,
    decode_batch,
    decode_batch_to_file,
    digest_batch,
    digest_of_unreadable,
    read_sizes,
)
from littoral.images.decode import UNREADABLE
from littoral.images.parallel import in_parallel, shared_array
from littoral.images.store import ImageStore, pixel_hashes
from littoral.images.table import ImageTable
from littoral.rows import ImageRows, in_chunks
from littoral.specs import ImageSpec, Resize

SMALLEST, STEP = 8, 4
"""Sides of images are chosen from 8 up in steps of 4, so that a few max-pools divide them."""

SAMPLE = 2048
"""Heads that are read for a first guess at the size; decoding then sees the sizes of all."""

DECODER = 5
"""Changes whenever decoding comes to give other pixels or notes, so that older entries of the cache are not used."""


@dataclass(frozen=True)
class OwnForms:
    """How images lay in their files: (height, width) of each (n × 2), upright, its mode, as Pillow calls it (n), and
    whether it is the first picture of several in its file (n)."""

    sizes: NDArray[np.int32]
    modes: tuple[str, ...]
    firsts: tuple[bool, ...]


@dataclass(frozen=True)
class Built:
    """The images that could be read, with the table's name of each, and (name, reason) of each that could not.

    Where none could be read the store is empty. `own`: how the images of the store lay in their files.
    """

    store: ImageStore
    names: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]
    own: OwnForms


@dataclass(frozen=True)
class _Decoded:
    """Pixels in the table's order, the reason for each image, by number, that has none, and their own forms.

    `grey`: all channels of all images are alike.
    """

    images: NDArray[np.uint8] | ImageRows
    errors: dict[int, str]
    own: OwnForms
    grey: bool


def build_store(
    table: ImageTable,
    size: tuple[int, int] | None,
    channels: int | None,
    resize: Resize,
    largest: int,
    memory: int,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> Built:
    """Decode every image once, in `workers` processes (0: in this one), into one array of at most `memory` bytes.

    A larger one goes into a file in the cache folder. `size` None: the median height and width of all images, scaled
    down to fit `largest`, rounded to a multiple of 4. `channels` None: 1 when every image is grey throughout, colour
    files with grey pixels among them, else 3. Images that cannot be read are listed and left out; the others are put
    into an order that depends on their pixels, labels, groups and parts alone, not on where they came from.
    """
    encoded: list[Encoded] = [os.fspath(image) if isinstance(image, Path) else image for image in table.images]
    guess = size or _guessed_size(encoded, largest)
    while True:
        spec = replace(ImageSpec.unit(*guess, channels or 3), resize=resize)
        large = len(encoded) * spec.height * spec.width * spec.channels > memory
        decode = _decode_to_file if large else _decode_to_memory
        decoded = decode(encoded, spec, channels is None, table.source, workers, on_progress)
        median = _median(decoded.own.sizes)
        exact = guess if size is not None or median is None else fitting_size(median, largest)
        if exact == guess:
            break
        guess = exact

    kept = np.array([index for index in range(len(encoded)) if index not in decoded.errors], np.int64)
    classes, labels = np.unique(np.array(table.labels)[kept], return_inverse=True)
    split = None if table.split is None else np.array(table.split)[kept]
    groups = None if table.groups is None else np.unique(np.array(table.groups)[kept], return_inverse=True)[1]
    hashes = pixel_hashes(decoded.images)[kept]
    order = np.lexsort([*(column for column in (split, groups) if column is not None), labels, _ranks(hashes)])
    store = ImageStore(
        images=_chosen(decoded.images, kept[order]),
        labels=labels[order].astype(np.int64),
        class_names=tuple(str(name) for name in classes),
        split=None if split is None else split[order],
        groups=None if groups is None else groups[order],
        source=table.source,
        resize=resize,
    )
    return Built(
        store,
        tuple(table.names[index] for index in kept[order]),
        tuple((table.names[index], decoded.errors[index]) for index in sorted(decoded.errors)),
        OwnForms(
            decoded.own.sizes[kept[order]],
            tuple(decoded.own.modes[index] for index in kept[order]),
            tuple(decoded.own.firsts[index] for index in kept[order]),
        ),
    )


def fitting_size(median: tuple[float, float], largest: int) -> tuple[int, int]:
    """A (height, width) scaled down to fit `largest` and rounded to a multiple of 4, at least 8."""
    scale = min(1.0, largest / max(median))
    height, width = (max(SMALLEST, STEP * round(side * scale / STEP)) for side in median)
    return height, width


def _guessed_size(images: list[Encoded], largest: int) -> tuple[int, int]:
    """From the heads of some of the images, evenly spaced, so that most sets need to be decoded only once."""
    sizes = read_sizes(images[:: -(-len(images) // SAMPLE)])
    return fitting_size(_median(np.array(sizes)) or (largest, largest), largest)


def _median(sizes: NDArray[np.int32]) -> tuple[float, float] | None:
    """The median (height, width), (0, 0) left out; None where there is no other."""
    sizes = sizes.reshape(-1, 2)
    sizes = sizes[sizes[:, 0] > 0]
    if not len(sizes):
        return None
    height, width = np.median(sizes, axis=0)
    return float(height), float(width)


def _decode_to_memory(
    images: list[Encoded],
    spec: ImageSpec,
    choose_channels: bool,
    source: str,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> _Decoded:
    shape = (len(images), spec.height, spec.width, spec.channels)
    with shared_array(shape) if workers else nullcontext((np.zeros(shape, np.uint8), "")) as (target, file):
        decoded = _decode_into(target, file, images, spec, workers, on_progress)
    return replace(decoded, images=_first_channel(target)) if choose_channels and decoded.grey else decoded


def _decode_to_file(
    images: list[Encoded],
    spec: ImageSpec,
    choose_channels: bool,
    source: str,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> _Decoded:
    """Through the cache: images lie there in the order in which they were read first, and their digests find them."""
    digests = [digest for _, chunk in in_parallel(digest_batch, images, workers) for digest in chunk]
    order = np.argsort(np.array(digests, np.dtype("S16")), kind="stable")
    form = (DECODER, spec, choose_channels, len(images))
    key = hashlib.blake2b(repr(form).encode() + b"".join(sorted(digests)), digest_size=16).hexdigest()
    entry = IMAGES.find(key)
    mapped = None
    if entry is not None:
        with suppress(FileNotFoundError):  # another run has cleared the cache meanwhile
            mapped = cache.opened(entry)
    if entry is None or mapped is None:
        shape = (len(images), spec.height, spec.width, spec.channels)
        with cache.writing(int(np.prod(shape, dtype=np.int64)), source) as folder:
            target = np.memmap(folder / cache.FILE, np.uint8, "r+", shape=shape)
            file = str(folder / cache.FILE)
            decoded = _decode_into(target, file, images, spec, workers, on_progress)
            grey = choose_channels and decoded.grey
            # a file that could be read a moment ago: such an error is no trait of the content, and must not be kept
            for index, reason in decoded.errors.items():
                if reason.startswith(UNREADABLE) and digests[index] != digest_of_unreadable(reason):
                    raise InputError(f"an image of {source} {reason}, which a moment ago was readable; run again")
            shape = (_first_channel(target) if grey else target).shape
            target.flush()
            notes = {"source": source, "errors": decoded.errors, "grey": decoded.grey, "order": order.tolist()}
            notes |= _noted(decoded.own)
            del target, decoded
            entry = cache.keep(folder, key, shape, notes)
            mapped = cache.opened(entry)
    places = np.empty(len(images), np.int64)
    places[order] = entry.notes["order"]  # the image of the least digest is where the file has that
    image_at = np.argsort(places)
    errors = {int(image_at[int(place)]): reason for place, reason in entry.notes["errors"].items()}
    forms = entry.notes["forms"]
    numbers = np.array(entry.notes["form"], np.int64)[places].tolist()
    sizes = np.array([forms[number][:2] for number in numbers], np.int32)
    own = OwnForms(sizes, tuple(forms[number][2] for number in numbers), tuple(forms[number][3] for number in numbers))
    return _Decoded(ImageRows(mapped, places), errors, own, entry.notes["grey"])


def _noted(own: OwnForms) -> dict[str, Any]:
    """Own forms as plain values: the different ones, and which one each image has."""
    number_of: dict[tuple[int, int, str, bool], int] = {}
    form = [
        number_of.setdefault((height, width, mode, first), len(number_of))
        for (height, width), mode, first in zip(own.sizes.tolist(), own.modes, own.firsts, strict=True)
    ]
    return {"forms": list(number_of), "form": form}


def _decode_into(
    target: NDArray[np.uint8],
    file: str,
    images: list[Encoded],
    spec: ImageSpec,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> _Decoded:
    """Decode into `target`, which is mapped from `file` where there are workers."""
    errors: dict[int, str] = {}
    sizes = np.zeros((len(images), 2), np.int32)
    modes: list[str] = []
    firsts: list[bool] = []
    grey = True
    decode: Callable[[int, list[Encoded]], Batch] = partial(decode_batch, spec=spec, target=target)
    if workers:
        decode = partial(decode_batch_to_file, spec=spec, file=file, total=len(images))
    for start, batch in in_parallel(decode, images, workers):
        end = start + len(batch.sizes)
        sizes[start:end] = batch.sizes
        modes += batch.modes
        firsts += batch.firsts
        errors |= {start + number: reason for number, reason in batch.errors.items()}
        grey = grey and batch.grey
        on_progress(end, len(images))
    return _Decoded(target, errors, OwnForms(sizes, tuple(modes), tuple(firsts)), grey)


def _first_channel(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The first of three channels, written over the images from the front: no second array of that size is made."""
    n, height, width, _ = images.shape
    flat, one = images.reshape(-1), height * width
    for start, rows in in_chunks(images):
        flat[start * one : (start + len(rows)) * one] = rows[..., 0].reshape(-1)
    return flat[: n * one].reshape(n, height, width, 1)


def _chosen(images: NDArray[np.uint8] | ImageRows, order: NDArray[np.int64]) -> NDArray[np.uint8] | ImageRows:
    """The images `order`, each at most once, in that order; an array is sorted in place, without a second one."""
    if isinstance(images, ImageRows):
        return images.take(order)
    rest = np.setdiff1d(np.arange(len(images)), order, assume_unique=True)
    source = np.concatenate([order, rest])  # source[i]: what comes to place i
    moved = np.zeros(len(images), bool)
    for first in np.flatnonzero(source != np.arange(len(images))):
        if moved[first]:
            continue
        held, place = images[first].copy(), int(first)
        while (origin := int(source[place])) != first:
            images[place] = images[origin]
            moved[place] = True
            place = origin
        images[place] = held
        moved[place] = True
    return images[: len(order)]


def _ranks(keys: NDArray[np.void]) -> NDArray[np.int64]:
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)
