"""Which places of an image an answer rests on, by covering one after the other. What answers is given as a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Float32, Int64, Shaped, UInt8

Answer = Callable[[UInt8[np.ndarray, "n height width channels"]], Mapping[str, Float32[np.ndarray, "n classes"]]]
"""Images -> probabilities, by the name of what gives them."""

CELLS = 10
"""Places along the longer side; each is covered by a square twice as wide as their distance."""

LEAST = 1e-30
"""Probabilities below it are taken for it, so that evidence stays a number."""


def occlusion(
    answer: Answer, images: UInt8[np.ndarray, "n height width channels"], classes: Int64[np.ndarray, " n"]
) -> dict[str, Float32[np.ndarray, "n rows columns"]]:
    """Evidence for `classes` (one an image), in bits, that each answer loses when a place is covered.

    Above 0 what lies there speaks for the class, below 0 against it. Evidence is log2(p / (1 - p)), which still moves
    where p is close to 1 (weight of evidence, Robnik-Šikonja and Kononenko 2008, doi:10.1109/TKDE.2007.190734);
    covering is that of Zeiler and Fergus 2014, with the mean colour of the image's border, as images are padded. One
    image is answered rows × columns + 1 times.
    """
    lost: dict[str, list[Float32[np.ndarray, "rows columns"]]] = {}
    for image, label in zip(images, classes, strict=True):
        variants, (rows, columns) = covered(image)
        for name, probabilities in answer(np.concatenate([image[None], variants])).items():
            found = evidence(probabilities, int(label))
            lost.setdefault(name, []).append((found[0] - found[1:]).reshape(rows, columns).astype(np.float32))
    return {name: np.stack(maps) for name, maps in lost.items()}


def covered(
    image: UInt8[np.ndarray, "height width channels"],
) -> tuple[UInt8[np.ndarray, "places height width channels"], tuple[int, int]]:
    """The image with each place covered, row by row, and how many rows and columns of places there are."""
    height, width, _ = image.shape
    cell = max(1.0, max(height, width) / CELLS)
    rows, columns = max(1, round(height / cell)), max(1, round(width / cell))
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]).mean(0).round().astype(np.uint8)
    variants = np.repeat(image[None], rows * columns, axis=0)
    for number in range(rows * columns):
        top, bottom = _reach(number // columns, rows, height)
        left, right = _reach(number % columns, columns, width)
        variants[number, top:bottom, left:right] = border
    return variants, (rows, columns)


def evidence(probabilities: Shaped[np.ndarray, "n classes"], label: int) -> Float[np.ndarray, " n"]:
    """log2(p / (1 - p)) of the class `label`; 1 - p is added up from the others, so that it does not vanish."""
    exact = probabilities.astype(np.float64)
    others = np.delete(exact, label, axis=1).sum(1)
    found: Float[np.ndarray, " n"] = np.log2(np.maximum(exact[:, label], LEAST) / np.maximum(others, LEAST))
    return found


def _reach(number: int, of: int, side: int) -> tuple[int, int]:
    """First and last-but-one pixel that are covered for place `number`: two cells around its middle."""
    cell = side / of
    return max(0, round((number - 0.5) * cell)), min(side, round((number + 1.5) * cell))
