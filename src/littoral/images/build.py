"""An ImageTable -> decoded images of one form, with a list of those that could not be read."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from littoral.errors import ImageError, InputError
from littoral.images.decode import FORMATS, decode_bytes, decode_file, fit_to_spec
from littoral.images.parallel import in_parallel
from littoral.images.store import ImageStore
from littoral.images.table import ImageTable
from littoral.specs import ImageSpec

SMALLEST, STEP = 8, 4
"""Sides of images are chosen from 8 up in steps of 4, so that a few max-pools divide them."""

Encoded = Path | bytes | NDArray[np.uint8]


@dataclass(frozen=True)
class Built:
    """The images that could be read, and (name, reason) of each that could not."""

    store: ImageStore
    unreadable: tuple[tuple[str, str], ...]


def choose_size(table: ImageTable, largest: int, workers: int = 0) -> tuple[int, int]:
    """Height and width: the medians of all images, scaled down to fit `largest`, rounded to a multiple of 4.

    Images whose head cannot be read are left out; raises InputError when none can.
    """
    sizes = [size for _, chunk in in_parallel(_sizes, table.images, workers) for size in chunk if size is not None]
    if not sizes:
        raise InputError(f"none of the {len(table.images)} images of {table.source} can be read")
    height, width = np.median(np.array(sizes), axis=0)
    scale = min(1.0, largest / max(height, width))
    return _rounded(height * scale), _rounded(width * scale)


def build_store(
    table: ImageTable,
    height: int,
    width: int,
    channels: int | None = None,
    workers: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Built:
    """Decode every image once, in `workers` processes (0: in this one), into one array.

    `channels` None: 1 when every image is grey throughout, colour files with grey pixels among them, else 3.
    Images that cannot be read are listed and left out. Raises InputError when fewer than two classes are left.
    """
    spec = ImageSpec.unit(height, width, channels or 3)
    images = np.empty((len(table.images), height, width, spec.channels), np.uint8)
    errors: dict[int, str] = {}
    for start, (pixels, failed) in in_parallel(partial(_decode_all, spec=spec), table.images, workers):
        images[start : start + len(pixels)] = pixels
        errors |= {start + offset: reason for offset, reason in failed.items()}
        on_progress(start + len(pixels), len(images))

    kept = np.array([index for index in range(len(images)) if index not in errors], np.int64)
    if errors:
        images = images[kept]
    if channels is None and (images == images[..., :1]).all():
        images = np.ascontiguousarray(images[..., :1])
    classes, labels = np.unique(np.array(table.labels)[kept], return_inverse=True)
    if len(classes) < 2:
        index = min(errors, default=None)
        reason = "" if index is None else f"; {table.names[index]} {errors[index]}"
        raise InputError(
            f"{table.source}: {len(kept)} images can be read, of {len(classes)} class(es), and two are needed{reason}"
        )
    store = ImageStore(
        images=images,
        labels=labels.astype(np.int64),
        class_names=tuple(str(name) for name in classes),
        split=None if table.split is None else np.array(table.split)[kept],
        groups=None if table.groups is None else np.unique(np.array(table.groups)[kept], return_inverse=True)[1],
        source=table.source,
    )
    return Built(store, tuple((table.names[index], errors[index]) for index in sorted(errors)))


def _decode_all(images: list[Encoded], spec: ImageSpec) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Pixels of each image, (n, height, width, channels), and the reason for each, by number, that has none."""
    pixels = np.zeros((len(images), spec.height, spec.width, spec.channels), np.uint8)
    errors = {}
    for number, image in enumerate(images):
        try:
            pixels[number] = _decode(image, spec)
        except ImageError as error:
            errors[number] = str(error)
    return pixels, errors


def _decode(image: Encoded, spec: ImageSpec) -> NDArray[np.uint8]:
    if isinstance(image, Path):
        return decode_file(image, spec)
    if isinstance(image, bytes):
        return decode_bytes(image, spec)
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    return fit_to_spec(picture.convert("L" if spec.channels == 1 else "RGB"), spec)


def _sizes(images: list[Encoded]) -> list[tuple[int, int] | None]:
    """(height, width) from the head of each file, turned as its EXIF orientation says; None where there is no head."""
    sizes: list[tuple[int, int] | None] = []
    for image in images:
        if isinstance(image, np.ndarray):
            sizes.append((image.shape[0], image.shape[1]))
            continue
        if isinstance(image, Path) and not image.is_file():
            sizes.append(None)
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(image if isinstance(image, Path) else BytesIO(image), formats=FORMATS) as opened:
                    turned = opened.getexif().get(0x0112, 1) in (5, 6, 7, 8)
                    size = (opened.height, opened.width)
                    sizes.append(size[::-1] if turned else size)
        except Exception:  # of many kinds, on bad bytes; decoding will name the reason
            sizes.append(None)
    return sizes


def _rounded(side: float) -> int:
    return max(SMALLEST, STEP * round(side / STEP))
