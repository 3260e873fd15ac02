"""The images of a study that a page may show, kept small beside its runs: so that a page needs no data.

Which ones they are is `notable.py`; how they look on a page is `report/`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from littoral.errors import InputError
from littoral.files import write_atomically
from littoral.rows import ImageRows
from littoral.studies.stored import npz

MOST = 400
"""Pictures that are kept of a study."""

SIDE = 64
"""Longer side in pixels that larger images are scaled down to."""


@dataclass(frozen=True)
class Pictures:
    """`rows` (n): which images of the data, ascending; `pixels`: what they show; `names` (n): what they are called."""

    rows: Int64[np.ndarray, " n"]
    pixels: UInt8[np.ndarray, "n height width channels"]
    names: tuple[str, ...]


def pictures(
    images: UInt8[np.ndarray, "all height width channels"] | ImageRows,
    rows: Int64[np.ndarray, " n"],
    names: Sequence[str],
) -> Pictures:
    """The images `rows`, at most SIDE pixels a side; without `names` they are called by their numbers."""
    small = [_small(image) for image in np.asarray(images[rows])]
    called = [names[row] if names else f"image {row}" for row in rows.tolist()]
    return Pictures(rows, np.stack(small), tuple(called))


def write_pictures(folder: Path, kept: Pictures) -> None:
    """Keep them in the study's folder, over those that are there."""
    # as bytes of UTF-8: a file's name may hold what is no Unicode text
    names = np.array([name.encode("utf-8", "backslashreplace") for name in kept.names])
    content = npz({"rows": kept.rows, "pixels": kept.pixels, "names": names}, packed=True)
    write_atomically(folder / "pictures.npz", content)


def remove_pictures(folder: Path) -> None:
    """Leave none of an earlier call in a study's folder."""
    (folder / "pictures.npz").unlink(missing_ok=True)


def read_pictures(folder: Path) -> Pictures | None:
    """Those of the study; None where none were kept. Raises InputError for a file that is damaged."""
    path = folder / "pictures.npz"
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            names = tuple(name.decode() for name in arrays["names"].tolist())
            found = Pictures(arrays["rows"], arrays["pixels"], names)
        whole = found.pixels.ndim == 4 and len(found.rows) == len(found.pixels) == len(names)
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, AttributeError, BadZipFile):
        whole = False
    if not whole:
        raise InputError(f"{path} is not the whole file of a study's pictures: delete it, and call compare again")
    return found


def _small(image: UInt8[np.ndarray, "height width channels"]) -> UInt8[np.ndarray, "rows columns channels"]:
    if max(image.shape[:2]) <= SIDE:
        return image
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(picture).reshape(picture.height, picture.width, image.shape[2])
