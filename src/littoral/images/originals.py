"""The files that public data sets are published as -> their parts, as arrays. Nothing in them is executed."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError
from littoral.images.idx import read_idx

Parts = dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]
"""For each of train, val and test that there is: images (n, height, width, channels) and the label of each, (n)."""

IDX_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}

CIFAR_ARCHIVE = "cifar-10-binary.tar.gz"
CIFAR_FOLDER = "cifar-10-batches-bin"
CIFAR_BATCHES = {
    "train": tuple(f"{CIFAR_FOLDER}/data_batch_{number}.bin" for number in range(1, 6)),
    "test": (f"{CIFAR_FOLDER}/test_batch.bin",),
}
_SIDE = 32
_CIFAR_ROW = 1 + 3 * _SIDE * _SIDE  # a label, then the red, the green and the blue pixels, row by row


def read_idx_parts(files: Mapping[str, Path]) -> Parts:
    """The four files of MNIST and of those made like it, by their names. Raises InputError as `read_idx`."""
    parts = {}
    for part, (images_name, labels_name) in IDX_FILES.items():
        images = read_idx(files[images_name].read_bytes(), str(files[images_name]), axes=3)
        labels = read_idx(files[labels_name].read_bytes(), str(files[labels_name]), axes=1)
        parts[part] = (images[..., None], labels.astype(np.int64))
    return parts


def read_cifar10(files: Mapping[str, Path]) -> Parts:
    """CIFAR-10's binary version: its archive, read without unpacking it to disk, or the unpacked batches.

    Raises InputError for an archive that is damaged or lacks a batch, and for a batch that holds no whole images.
    """
    if CIFAR_ARCHIVE in files:
        batches = dict(_from_archive(files[CIFAR_ARCHIVE]))
    else:
        batches = {name: _cifar_rows(file.read_bytes(), str(file)) for name, file in files.items()}
    parts = {}
    for part, names in CIFAR_BATCHES.items():
        if missing := [name for name in names if name not in batches]:
            raise InputError(f"{CIFAR_ARCHIVE} holds no {missing[0]}; get it anew")
        sizes = [len(batches[name]) for name in names]
        images = np.empty((sum(sizes), _SIDE, _SIDE, 3), np.uint8)
        labels = np.empty(sum(sizes), np.int64)
        start = 0
        for name, size in zip(names, sizes, strict=True):
            rows = batches.pop(name)
            labels[start : start + size] = rows[:, 0]
            images[start : start + size] = rows[:, 1:].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
            start += size
        parts[part] = (images, labels)
    return parts


def read_medmnist(files: Mapping[str, Path]) -> Parts:
    """The one .npz of a MedMNIST set: `train_images`, `train_labels`, and so on for val and test.

    Raises InputError for a file that is none, holds pickled objects, or has more than one label an image.
    """
    (file,) = files.values()
    parts = {}
    try:
        with np.load(file, allow_pickle=False) as arrays:
            found = {part: (arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in ("train", "val", "test")}
    except MemoryError:  # says nothing of the file
        raise
    except Exception as error:  # of many kinds (ValueError, KeyError, EOFError, BadZipFile, …), on bad bytes
        raise InputError(f"{file} is no MedMNIST file: expected arrays train_images, train_labels, …") from error
    for part, (images, labels) in found.items():
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or labels.dtype.kind not in "iu":
            raise InputError(
                f"{file}: expected {part}_images of uint8, 2-D each, and whole {part}_labels, "
                f"got {images.dtype} of shape {images.shape} and {labels.dtype}"
            )
        if labels.shape not in ((len(images),), (len(images), 1)):
            raise InputError(f"{file}: expected one label for each of {len(images)} images, got {labels.shape}")
        parts[part] = (images if images.ndim == 4 else images[..., None], labels.reshape(-1).astype(np.int64))
    return parts


def _from_archive(archive: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """(name, rows) of each batch, in one pass: going back in a compressed archive means reading it again."""
    wanted = {name for names in CIFAR_BATCHES.values() for name in names}
    try:
        with tarfile.open(archive, "r|gz") as opened:
            for member in opened:
                content = opened.extractfile(member) if member.isfile() and member.name in wanted else None
                if content is not None:
                    yield member.name, _cifar_rows(content.read(), f"{archive}, {member.name}")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{archive} is no .tar.gz, or is cut short; get it anew") from error


def _cifar_rows(content: bytes, name: str) -> NDArray[np.uint8]:
    if not content or len(content) % _CIFAR_ROW:
        raise InputError(f"{name} should hold images of {_CIFAR_ROW:,} bytes, but has {len(content):,} bytes")
    return np.frombuffer(content, np.uint8).reshape(-1, _CIFAR_ROW)
