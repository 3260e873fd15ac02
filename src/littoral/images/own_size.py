"""Some images of a table as they lie in their files: upright, in their own size, grey where they are grey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from littoral.errors import ImageError
from littoral.images.decode import open_upright, quiet_pillow, read_bytes
from littoral.images.packed import PackedImage
from littoral.images.table import ImageTable

GREY = ("1", "L", "LA", "La", "I;16")
"""Pillow's words for pixels without colour."""


def own_pixels(table: ImageTable, count: int) -> list[tuple[str, NDArray[np.uint8]]]:
    """Names and pixels, uint8 (height, width, 1 or 3), of `count` images at most, spread over the table.

    What cannot be read is left out; whoever builds a store of the table names it.
    """
    found = []
    for row in np.unique(np.linspace(0, len(table.images) - 1, count).astype(np.int64)):
        try:
            found.append((table.names[row], _pixels(table.images[row])))
        except ImageError:
            continue
    return found


def _pixels(image: Path | PackedImage | bytes | NDArray[np.uint8]) -> NDArray[np.uint8]:
    if isinstance(image, np.ndarray):
        return image[..., None] if image.ndim == 2 else image
    if isinstance(image, PackedImage):
        image = image.read()
    with quiet_pillow():
        upright = open_upright(read_bytes(image) if isinstance(image, Path) else image, 3)
        grey = upright.mode in GREY
        pixels = np.asarray(upright.image.convert("L") if grey else upright.image)
    return pixels[..., None] if grey else pixels
