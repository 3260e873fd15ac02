"""IDX files, the form MNIST came in -> arrays, and pairs of them (images, labels) -> an ImageTable.

An IDX file is two zero bytes, the type of its elements, the number of axes, each axis's size as a big-endian 32-bit
number, and the elements. Only bytes (type 0x08) are read, plain or gzipped.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError
from littoral.images.table import PART_NAMES, ImageTable

_UINT8 = 0x08
_CHUNK = 1 << 20
_IMAGES = re.compile(r"(?P<stem>.+)-images(?P<mark>[-.])idx3-ubyte(?:\.gz)?")
_PARTS = PART_NAMES | {"t10k": "test"}


def read_idx(content: bytes, name: str, axes: int) -> NDArray[np.uint8]:
    """The bytes of an IDX file of uint8, plain or gzipped -> a read-only array with so many axes.

    Raises InputError, calling the file `name`, for another type or number of axes, and for a file that is not exactly
    as long as its head says.
    """
    try:
        with gzip.open(io.BytesIO(content)) if content[:2] == b"\x1f\x8b" else io.BytesIO(content) as file:
            head = file.read(4 + 4 * axes)
            if len(head) < 4 or head[:2] != b"\0\0":
                raise InputError(f"{name} is no IDX file: expected two zero bytes at its start, got {head[:2]!r}")
            if head[2] != _UINT8:
                raise InputError(f"{name} holds elements of type 0x{head[2]:02x}: expected bytes, type 0x08")
            if head[3] != axes:
                raise InputError(f"{name} holds an array with {head[3]} axes: expected {axes}")
            if len(head) < 4 + 4 * axes:
                raise InputError(f"{name} is cut short within its head; get it anew")
            sizes = [int(size) for size in np.frombuffer(head, ">u4", offset=4)]
            elements = _read_up_to(file, math.prod(sizes) + 1)
    except (EOFError, OSError, zlib.error) as error:  # of gzip
        raise InputError(f"{name} is a gzip file that is cut short or damaged; get it anew") from error
    if len(elements) != math.prod(sizes):
        shape = " × ".join(map(str, sizes))
        amount = f"{len(elements):,}" if len(elements) < math.prod(sizes) else "more"
        raise InputError(f"{name} should hold {shape} bytes after its head, but holds {amount}; get it anew")
    return np.frombuffer(elements, np.uint8).reshape(sizes)


def _read_up_to(file: io.BufferedIOBase, size: int) -> bytes:
    """In pieces, so that a head that claims more than there is cannot have memory set aside for it."""
    pieces = []
    while size and (piece := file.read(min(size, _CHUNK))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def is_idx_images(file: Path) -> bool:
    """Whether a file is named as IDX images are: `X-images-idx3-ubyte` or `X-images.idx3-ubyte`, maybe with `.gz`."""
    return _IMAGES.fullmatch(file.name) is not None


def read_idx_pair(images_file: Path) -> ImageTable:
    """The images of one IDX file with the labels that lie beside it, such as `X-labels-idx1-ubyte` or its `.gz`.

    Raises InputError where there is no such file, the numbers of images and labels differ, or one cannot be read.
    """
    images, labels = _read_pair(images_file)
    return _table([("", images, labels)], str(images_file), skipped=0)


def read_idx_folder(folder: Path) -> ImageTable | None:
    """The IDX pairs of a folder, each a part: `train-images-idx3-ubyte` trains, `t10k-…` or `test-…` tests.

    A part may be called by any name that a folder of one may have. None when the folder holds no IDX images. Raises
    InputError for IDX images of other names, for two pairs of one part, and as `read_idx_pair`.
    """
    found = sorted(file for file in folder.iterdir() if file.is_file() and is_idx_images(file))
    if not found:
        return None
    pairs: dict[str, Path] = {}
    for file in found:
        stem = _stem(file)
        part = _PARTS.get(stem.lower())
        if part is None:
            raise InputError(
                f"{folder} holds {file.name}, whose name starts with none of {', '.join(_PARTS)}: "
                "rename it, or name one images file instead of the folder"
            )
        other = pairs.setdefault(part, file)
        if _stem(other) != stem:
            raise InputError(f"{folder} holds two {part} parts, {other.name} and {file.name}; keep one of them")
    parts = [(part, *_read_pair(file)) for part, file in pairs.items()]
    others = sum(file.is_file() or file.is_symlink() for file in folder.iterdir()) - 2 * len(parts)
    return _table(parts, str(folder), others)


def _read_pair(images_file: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (n, height, width, 1) and labels (n)."""
    match = _IMAGES.fullmatch(images_file.name)
    assert match is not None  # asked by the caller
    beside = [f"{match['stem']}-labels{mark}idx1-ubyte{suffix}" for mark in "-." for suffix in ("", ".gz")]
    labels_file = next((file for file in map(images_file.with_name, beside) if file.is_file()), None)
    if labels_file is None:
        raise InputError(f"{images_file} has no labels beside it: expected {beside[0]} or {beside[1]}")
    images = read_idx(_content(images_file), str(images_file), axes=3)
    labels = read_idx(_content(labels_file), str(labels_file), axes=1)
    if len(images) != len(labels):
        raise InputError(f"{images_file} holds {len(images):,} images, but {labels_file.name} {len(labels):,} labels")
    if 0 in images.shape:
        raise InputError(f"{images_file} holds no images: its shape is {images.shape}")
    return images[..., None], labels


def _table(parts: Iterable[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]], source: str, skipped: int) -> ImageTable:
    """(part, images, labels), with no part where the data did not come split -> one row an image."""
    rows = [
        (image, f"{part} image {number}".strip(), str(label), part)
        for part, images, labels in parts
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True), start=1)
    ]
    images, names, labels, split = zip(*rows, strict=True)
    parts_of = split if any(split) else None
    return ImageTable(images, names, labels, None, parts_of, source, skipped, paths=False)


def _stem(images_file: Path) -> str:
    match = _IMAGES.fullmatch(images_file.name)
    assert match is not None  # asked by the caller
    return match["stem"]


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
