"""Paths of image files in place of arrays -> their pixels in one form, one image a path: none is left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from littoral.errors import ImageError, InputError
from littoral.images.batch import Encoded, decode_batch, read_sizes
from littoral.images.build import fitting_size
from littoral.images.load import LARGEST
from littoral.machine import memory_bytes
from littoral.specs import ImageSpec

BATCH = 500
"""Images that are decoded from one piece of news to the next."""


def as_paths(values: NDArray[Any]) -> list[Path] | None:
    """The paths, where `values` is one axis of nothing but str and Path; None where it is something else."""
    if values.ndim != 1 or values.dtype.kind not in "UTO" or not len(values):
        return None
    items = values.tolist()
    return [Path(item) for item in items] if all(isinstance(item, str | Path) for item in items) else None


def read_training_paths(
    paths: Sequence[Path], image_shape: tuple[int, ...] | None, largest: int = LARGEST
) -> NDArray[np.uint8]:
    """The images (n, height, width, channels), in the order of `paths`.

    Without `image_shape`, the size is the images' own median, at most `largest` on the longer side and rounded to a
    multiple of 4. Without channels in it, they are 1 when every image is grey throughout, else 3. Raises ImageError,
    with the name, for an image that cannot be read.
    """
    if image_shape is None:
        sizes = np.array(read_sizes(_encoded(paths)) or [(largest, largest)])  # of none: decoding will name the reason
        image_shape = fitting_size((float(np.median(sizes[:, 0])), float(np.median(sizes[:, 1]))), largest)
    height, width, *channels = image_shape
    images = read_paths(paths, ImageSpec.unit(height, width, channels[0] if channels else 3))
    if not channels and (images == images[..., :1]).all():
        images = np.ascontiguousarray(images[..., :1])
    return images


def read_paths(paths: Sequence[Path], spec: ImageSpec) -> NDArray[np.uint8]:
    """The images (n, height, width, channels) in the form of `spec`, in the order of `paths`.

    Raises ImageError, with the name, for an image that cannot be read, and InputError where they would not find room in
    half of this machine's memory.
    """
    images = _room(len(paths), spec)
    errors = decode_batch(0, _encoded(paths), spec, images).errors
    if errors:
        number, reason = min(errors.items())
        raise ImageError(f"{paths[number]} {reason}; every row needs an image, so mend it or leave it out of X")
    return images


def _room(count: int, spec: ImageSpec) -> NDArray[np.uint8]:
    shape = (count, spec.height, spec.width, spec.channels)
    if prod(shape) > memory_bytes() // 2:
        raise InputError(
            f"{count:,} images of {spec.height}×{spec.width}×{spec.channels} take {prod(shape) / 1e9:.1f} GB, "
            "over half of this machine's memory: take fewer, or a smaller size"
        )
    return np.empty(shape, np.uint8)


def read_readable(
    paths: Sequence[Path], spec: ImageSpec, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[NDArray[np.uint8], list[Path], tuple[str, ...]]:
    """The images that can be read (m, height, width, channels), their paths, and a reason for each of the others.

    Raises InputError where they would not find room in half of this machine's memory.
    """
    images = _room(len(paths), spec)
    errors: dict[int, str] = {}
    for start in range(0, len(paths), BATCH):
        some = paths[start : start + BATCH]
        found = decode_batch(start, _encoded(some), spec, images).errors
        errors |= {start + number: reason for number, reason in found.items()}
        on_progress(start + len(some), len(paths))
    reasons = tuple(f"{paths[number]} {reason}" for number, reason in sorted(errors.items()))
    if not errors:
        return images, list(paths), reasons
    kept = [number for number in range(len(paths)) if number not in errors]
    return images[kept], [paths[number] for number in kept], reasons


def _encoded(paths: Sequence[Path]) -> list[Encoded]:
    return [os.fspath(path) for path in paths]
