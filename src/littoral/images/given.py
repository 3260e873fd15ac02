"""X as scikit-learn's users give it to an estimator -> pixels: the form it came in, what a fit settles, what it keeps.

Leaves to others: what shapes and numbers mean (`arrays.py`), and reading files (`paths.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from littoral.errors import InputError
from littoral.images.arrays import (
    as_model_images,
    as_training_images,
    exact_pixels,
    range_of,
    require_in_reach,
    to_pixels,
)
from littoral.images.labels import Targets
from littoral.images.paths import as_paths, read_paths, read_training_paths
from littoral.images.store import ImageStore
from littoral.specs import ImageSpec

FLATTENED = ("n_features_in_", "feature_names_in_")
"""What scikit-learn learns of rows of features, and of nothing else."""


@contextmanager
def kept_if_ended(estimator: BaseEstimator) -> Iterator[None]:
    """An estimator stays as it was where the fit inside fails or is interrupted: an earlier fit goes on to answer."""
    before = dict(estimator.__dict__)
    try:
        yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(before)
        raise


def read_given(estimator: BaseEstimator, X: Any, reset: bool) -> NDArray[Any] | list[Path]:
    """X as paths, as an array of two axes that scikit-learn has looked at, or of three and more that nobody has.

    `reset`: in a fit, where the estimator learns what rows of features are called and how many they are.
    """
    try:
        values = np.asarray(X)
        column = values.dtype == object and values.ndim == 1 and len(values) > 0
        if column and all(isinstance(image, np.ndarray) for image in values):
            values = X = np.stack(values.tolist())  # a table's column of images
    except ValueError as error:
        raise InputError("the images of X are not all of one shape; resize them, or give paths of files") from error
    except (RuntimeError, TypeError) as error:  # of tensors that numpy cannot hold
        raise InputError(f"X cannot be read as an array of numpy: {error}") from error
    if values.shape == (0,):  # such as the files of a pattern that none has
        raise InputError("X is empty: expected images, or paths of files")
    paths = as_paths(values)
    if paths is None and values.ndim < 3:
        _require_no_slip(X, values)
        checked: NDArray[Any] = validate_data(estimator, X, reset=reset)
        return checked
    if reset:  # after a fit on rows of features
        for name in FLATTENED:
            estimator.__dict__.pop(name, None)
    return values if paths is None else paths


def _require_no_slip(X: Any, values: NDArray[Any]) -> None:
    """Raise InputError for what is nearly images or paths, of which scikit-learn would say that it is no table."""
    if isinstance(X, ImageStore):
        raise InputError("X is an ImageStore: give its .images as X and its .labels as y")
    if isinstance(X, str | Path):
        raise InputError(f"X is one path, {str(X)!r}: expected a list of paths, one an image")
    if values.dtype.kind not in "UTO" or values.size == 0:
        return
    is_path = [isinstance(item, str | Path) for item in values.ravel().tolist()]
    if values.ndim == 2 and values.shape[1] == 1 and all(is_path):
        raise InputError("X is a table of one column of paths: expected one axis, as of df['path'] or X[:, 0]")
    if values.ndim == 1 and any(is_path):
        row = is_path.index(False)
        raise InputError(f"row {row} of X is {values[row]!r}, while others are paths; mend it or leave it out of X")


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
    if not mapped:
        return exact_pixels(images)
    require_in_reach(images, form.value_range)
    return to_pixels(images, form.value_range)


def training_store(
    given: NDArray[Any] | list[Path],
    targets: Targets,
    groups: NDArray[np.int64] | None,
    image_shape: tuple[int, ...] | None,
    largest: int,
) -> tuple[ImageStore, bool, NDArray[np.uint8] | None]:
    """The labelled images with their labels, whether their numbers were mapped to 0..255, and the other images.

    `groups` (n): what each row belongs to.
    """
    pixels, value_range = pixels_to_fit(rows_of(given, targets.labelled), image_shape, largest)
    mapped = value_range is not None
    store = ImageStore(
        pixels,
        targets.index,
        tuple(str(label) for label in targets.classes),
        source="files" if isinstance(given, list) else "arrays",
        value_range=value_range or ImageStore.value_range,
        groups=None if groups is None else groups[targets.labelled],
    )
    if targets.labelled.all():
        return store, mapped, None
    return store, mapped, pixels_in_form(rows_of(given, ~targets.labelled), store.spec(), mapped)


def rows_of(given: NDArray[Any] | list[Path], chosen: NDArray[np.bool_]) -> NDArray[Any] | list[Path]:
    """Some of the images, as they were given."""
    if chosen.all():
        return given
    return [given[row] for row in np.flatnonzero(chosen)] if isinstance(given, list) else given[chosen]
