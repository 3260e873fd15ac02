"""Arrays as users hold them -> (n, height, width, channels) uint8: which shape an image has, and what its numbers mean.

uint8 numbers are pixels as they are stored. Any others are mapped to 0..255 by one affine range, which is chosen on the
training images (`range_of`) and travels with the model (`ImageSpec.value_range`).
"""

from __future__ import annotations

import math
import operator
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError, ShapeError

Shape = tuple[int, int, int]
"""(height, width, channels) of one image."""

OUT_OF_REACH = 0.05
"""Share of numbers that may lie far outside a range."""

ROW_WARNING_FROM = 64
"""So many features that are no square are more likely images with their sides forgotten than measurements."""


def whole_shape(image_shape: Any) -> tuple[int, ...] | None:
    """`image_shape` as users give it, (height, width) or (height, width, 1 or 3), as ints; None stays None.

    Raises InputError for anything else.
    """
    if image_shape is None:
        return None
    try:
        sides = tuple(operator.index(side) for side in image_shape)
    except TypeError:
        sides = ()
    if len(sides) not in (2, 3) or min(sides) < 1 or sides[2:] not in ((), (1,), (3,)):
        raise InputError(
            f"image_shape must be (height, width) or (height, width, 1 or 3) in whole pixels, got {image_shape!r}"
        )
    return sides


def shape_of_rows(features: int, image_shape: tuple[int, ...] | None) -> Shape:
    """The shape of images that lie flattened in rows of so many features, as `numpy.reshape` flattens them.

    Without `image_shape`, a square number is a square grey image, any other number an image one pixel high. Warns of
    64 features or more that are no square. Raises InputError where `image_shape` holds another number of values.
    """
    if image_shape is not None:
        if math.prod(image_shape) != features:
            raise InputError(
                f"image_shape {image_shape} takes {math.prod(image_shape):,} features a row, got {features:,}; "
                "colour images need (height, width, 3)"
            )
        return (image_shape[0], image_shape[1], image_shape[2] if len(image_shape) == 3 else 1)
    side = math.isqrt(features)
    if side * side == features:
        return (side, side, 1)
    if features >= ROW_WARNING_FROM:
        warnings.warn(
            f"the {features:,} features of X are no square number, so each row is taken as an image of 1×{features}; "
            f"give image_shape=(height, width[, 3]) if it is another, image_shape=(1, {features}) if it is right",
            stacklevel=2,
        )
    return (1, features, 1)


def as_training_images(values: NDArray[Any], image_shape: tuple[int, ...] | None) -> NDArray[Any]:
    """Numbers of shape (n, features), (n, height, width) or (n, height, width, 1 or 3) -> a view with four axes.

    Raises InputError for numbers that are not real and finite, for other shapes, and where `image_shape` differs.
    """
    if values.ndim == 2:
        images = values.reshape(len(values), *shape_of_rows(values.shape[1], image_shape))
    else:
        images = _with_channels(values)
        if image_shape is not None and images.shape[1 : 1 + len(image_shape)] != image_shape:
            raise InputError(
                f"image_shape is {image_shape}, but the images of X are {images.shape[1:]}; "
                "resize them, or leave image_shape out"
            )
    return _real_and_finite(images)


def as_model_images(values: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """As `as_training_images`, for a model that takes images of `shape`; raises ShapeError for any other size."""
    if values.ndim == 2:
        if values.shape[1] != math.prod(shape):
            raise ShapeError(
                f"this model takes images (height, width, channels) of {shape}, "
                f"or {math.prod(shape):,} features a row, got {values.shape[1]:,} features"
            )
        images = values.reshape(len(values), *shape)
    else:
        images = _with_channels(values)
        if images.shape[1:] != shape:
            raise ShapeError(
                f"this model takes images (height, width, channels) of {shape}, got {images.shape[1:]}; "
                "resize them to that"
            )
    return _real_and_finite(images)


def range_of(values: NDArray[Any]) -> tuple[float, float]:
    """The smallest and the largest number: what pixels 0 and 255 stand for. Low is below high for constant values too.

    Raises InputError where the two are further apart than a float64 can say.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:  # any range would do; this one does not overflow, and has 0 at one end
        low, high = min(low, 0.0), max(high, 0.0) or float(low == 0)
    if not math.isfinite(high - low):
        raise InputError(f"the numbers of X lie too far apart to be mapped to 0..255, from {low} to {high}; scale them")
    return low, high


def to_pixels(values: NDArray[Any], value_range: tuple[float, float]) -> NDArray[np.uint8]:
    """Real numbers -> uint8 of the same shape: low -> 0, high -> 255, rounded between them, clipped outside."""
    low, high = value_range
    pixels = np.empty(values.shape, np.uint8)
    with np.errstate(over="ignore"):  # numbers far outside become infinite, and are clipped
        for start in range(0, len(values), 1024):  # so that the whole is never in memory as float64
            scaled = (values[start : start + 1024].astype(np.float64) - low) / (high - low) * 255
            pixels[start : start + 1024] = np.clip(np.rint(scaled), 0, 255)
    return pixels


def require_in_reach(values: NDArray[Any], value_range: tuple[float, float]) -> None:
    """Raise InputError where the numbers cannot be on the scale of `value_range`: clipping would leave little of them.

    That is where more than one in twenty lies further outside than the range is wide; some wild ones are clipped.
    """
    low, high = value_range
    far = 0
    for start in range(0, len(values), 1024):
        some = values[start : start + 1024].astype(np.float64)
        far += int(((some < low - (high - low)) | (some > high + (high - low))).sum())
    if far > OUT_OF_REACH * values.size:
        raise InputError(
            f"the model was fitted on numbers from {low:g} to {high:g}, and {far / values.size:.0%} of these lie far "
            f"outside, from {values.min():g} to {values.max():g}; bring them to that scale"
        )


def exact_pixels(values: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8, or whole numbers of another integer type from 0 to 255, as the same numbers in uint8.

    Raises InputError for others: what they mean cannot be told from them.
    """
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype.kind not in "iu":
        raise InputError(
            f"this model takes uint8 pixels (0 to 255), as it was fitted on, got {values.dtype}; "
            f"bring them to that scale and use .astype('uint8'), or fit on {values.dtype}"
        )
    if values.min() < 0 or values.max() > 255:
        raise InputError(
            f"this model takes pixels from 0 to 255, got {values.dtype} from {values.min()} to {values.max()}"
        )
    return values.astype(np.uint8)


def _with_channels(values: NDArray[Any]) -> NDArray[Any]:
    images = values[..., None] if values.ndim == 3 else values
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise InputError(
            "images must have shape (n, height, width), (n, height, width, 1 or 3) or flattened (n, features), "
            f"with no axis empty, got {values.shape}"
        )
    return images


def _real_and_finite(images: NDArray[Any]) -> NDArray[Any]:
    if images.dtype.kind not in "biuf":
        raise InputError(f"images must be real numbers, got an array of {images.dtype}")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        first = int(np.argmin(np.isfinite(images).reshape(len(images), -1).all(1)))
        raise InputError(
            f"images must be finite, but number {first} of X holds NaN or infinity; mend it or leave it out"
        )
    return images
