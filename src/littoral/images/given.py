"""X as scikit-learn's users give it to an estimator -> pixels: the form it came in, what a fit settles, what it keeps.

Leaves to others: what shapes and numbers mean (`arrays.py`), and reading files (`paths.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from littoral.errors import InputError
from littoral.images.arrays import as_model_images, as_training_images, exact_pixels, range_of, to_pixels
from littoral.images.paths import as_paths, read_paths, read_training_paths
from littoral.specs import ImageSpec

FLATTENED = ("n_features_in_", "feature_names_in_")
"""What scikit-learn learns of rows of features, and of nothing else."""


def read_given(estimator: BaseEstimator, X: Any, reset: bool) -> NDArray[Any] | list[Path]:
    """X as paths, as an array of two axes that scikit-learn has looked at, or of three and more that nobody has.

    `reset`: in a fit, where the estimator learns what rows of features are called and how many they are.
    """
    try:
        values = np.asarray(X)
    except ValueError as error:
        raise InputError("the images of X are not all of one shape; resize them, or give paths of files") from error
    paths = as_paths(values)
    if paths is None and values.ndim < 3:
        checked: NDArray[Any] = validate_data(estimator, X, reset=reset)
        return checked
    if reset:  # after a fit on rows of features
        for name in FLATTENED:
            estimator.__dict__.pop(name, None)
    return values if paths is None else paths


def pixels_to_fit(
    given: NDArray[Any] | list[Path], image_shape: tuple[int, ...] | None, largest: int
) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    """The images (n, height, width, channels), and the range that their numbers were mapped by; None: they are pixels.

    `largest`: the longer side that files are brought to at most, where no shape is given.
    """
    if isinstance(given, list):
        return read_training_paths(given, image_shape, largest), None
    images = as_training_images(given, image_shape)
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images), None
    value_range = range_of(images)
    return to_pixels(images, value_range), value_range


def pixels_in_form(given: NDArray[Any] | list[Path], form: ImageSpec, mapped: bool) -> NDArray[np.uint8]:
    """The images in the form that a fit has settled. `mapped`: by its range, where it was fitted on other numbers.

    Raises ShapeError for images of another size or number of channels, InputError for other numbers, ImageError for a
    file that cannot be read.
    """
    if isinstance(given, list):
        return read_paths(given, form)
    images = as_model_images(given, (form.height, form.width, form.channels))
    return to_pixels(images, form.value_range) if mapped else exact_pixels(images)
