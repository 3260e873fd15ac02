"""Arrays of any numbers -> uint8 images, and y -> labels: pure functions."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from littoral.errors import InputError, ShapeError
from littoral.images.arrays import (
    as_model_images,
    as_training_images,
    exact_pixels,
    range_of,
    shape_of_rows,
    to_pixels,
    whole_shape,
)
from littoral.images.labels import counted, read_targets
from littoral.images.paths import as_paths
from littoral.specs import ImageSpec

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(arrays(np.float64, (5, 2, 3), elements=st.floats(-1e307, 1e307)))
def test_training_numbers_fill_the_whole_range_in_order(values: np.ndarray) -> None:
    low, high = range_of(values)
    ImageSpec(2, 3, 1, (0.0,), (1.0,), value_range=(low, high))  # raises unless low < high, both finite
    pixels = to_pixels(values, (low, high))
    assert (np.diff(pixels.flatten()[np.argsort(values.flatten())].astype(int)) >= 0).all()
    if values.min() < values.max():
        assert pixels.min() == 0
        assert pixels.max() == 255


@given(FINITE)
def test_constant_numbers_have_a_range(value: float) -> None:
    low, high = range_of(np.full((3, 2, 2), value))
    assert low <= value <= high
    assert low < high


@given(arrays(np.uint8, (2, 2, 2)), st.sampled_from([np.float16, np.float32, np.float64, np.int16, np.uint64]))
def test_pixels_survive_any_type_and_scale(pixels: np.ndarray, kind: type) -> None:
    assert np.array_equal(to_pixels(pixels.astype(kind), (0.0, 255.0)), pixels)
    assert np.array_equal(to_pixels(pixels / 255 * 3 - 1, (-1.0, 2.0)), pixels)


def test_levels_are_rounded_and_clipped() -> None:
    assert to_pixels(np.array([-1e308, 0, 0.49, 0.51, 254.4, 1e308]), (0.0, 255.0)).tolist() == [0, 0, 0, 1, 254, 255]
    assert to_pixels(np.array([True, False]), range_of(np.array([True, False]))).tolist() == [255, 0]
    many = np.arange(5000.0)  # more than one chunk
    assert np.array_equal(to_pixels(many, (0.0, 4999.0)), np.rint(many / 4999 * 255))


def test_exact_pixels() -> None:
    assert exact_pixels(np.array([0, 255])).tolist() == [0, 255]
    for wrong in (np.array([-1, 2]), np.array([256]), np.array([1.0]), np.array([True])):
        with pytest.raises(InputError, match=r"takes (uint8 )?pixels"):
            exact_pixels(wrong)


@pytest.mark.parametrize(
    ("features", "image_shape", "shape"),
    [
        (1, None, (1, 1, 1)),
        (784, None, (28, 28, 1)),
        (12, None, (1, 12, 1)),
        (12, (3, 4), (3, 4, 1)),
        (12, (3, 4, 1), (3, 4, 1)),
        (12, (2, 2, 3), (2, 2, 3)),
        (3072, (1, 3072), (1, 3072, 1)),
    ],
)
def test_the_shape_of_rows(features: int, image_shape: tuple[int, ...] | None, shape: tuple[int, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert shape_of_rows(features, image_shape) == shape


def test_many_features_that_are_no_square_are_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"3,072 features .* 1×3072; give image_shape=\(height, width\[, 3\]\)"):
        assert shape_of_rows(3072, None) == (1, 3072, 1)


def test_image_shapes() -> None:
    assert whole_shape(None) is None
    assert whole_shape([np.int64(3), 4]) == (3, 4)
    for wrong in (28, "28", (28,), (28, 0), (28, 28, 2), (2.5, 3), (1, 2, 3, 4), ((1, 2), 3)):
        with pytest.raises(InputError, match="image_shape must be"):
            whole_shape(wrong)
    with pytest.raises(InputError, match=r"\(2, 2\) takes 4 features a row, got 12; colour"):
        shape_of_rows(12, (2, 2))


def test_images_for_a_model() -> None:
    assert as_training_images(np.zeros((4, 5, 6)), (5, 6, 1)).shape == (4, 5, 6, 1)
    assert as_model_images(np.zeros((4, 18)), (2, 3, 3)).shape == (4, 2, 3, 3)
    for wrong in (np.zeros((4, 17)), np.zeros((4, 3, 2, 3)), np.zeros((4, 2, 3))):
        with pytest.raises(ShapeError, match=r"takes images .* of \(2, 3, 3\)"):
            as_model_images(wrong, (2, 3, 3))
    for form in (as_training_images, as_model_images):
        with pytest.raises(InputError, match="number 3 of X holds NaN or infinity"):
            form(np.array([0, 0, 0, np.inf]).reshape(4, 1, 1), (1, 1, 1))
        for kind in (object, str, complex, "datetime64[s]"):
            with pytest.raises(InputError, match="must be real numbers"):
                form(np.zeros((4, 1, 1), int).astype(kind), (1, 1, 1))


def test_paths_are_told_from_everything_else() -> None:
    assert as_paths(np.asarray(["a", "b/c"])) == [Path("a"), Path("b/c")]
    assert as_paths(np.asarray([Path("a"), "b"], object)) == [Path("a"), Path("b")]
    assert as_paths(np.asarray(pd.Series(["a"]))) == [Path("a")]
    for other in (["a", 1], [], [1, 2], [["a"]], "a", [b"a"], [None]):
        assert as_paths(np.array(other, object)) is None


def test_labels_without_a_label_among_them() -> None:
    targets = read_targets([3, None, -1, 3])
    assert targets.labelled.tolist() == [True, False, True, True]
    assert targets.classes.tolist() == [-1, 3]
    assert targets.classes.dtype.kind == "i"
    assert targets.index.tolist() == [1, 0, 1]
    assert read_targets(pd.Series([1, pd.NA, 2], dtype=object), pd.NA).labelled.tolist() == [True, False, True]
    assert read_targets(np.array([1.0, np.nan, 2.0]), np.float64("nan")).labelled.tolist() == [True, False, True]
    assert read_targets(["a", float("nan"), "b"], float("nan")).labelled.tolist() == [True, False, True]
    assert read_targets(["a", -1, "b"], -1).classes.tolist() == ["a", "b"]
    assert read_targets(np.array(["a", "b"]), 0).labelled.all()
    for wrong in (
        [1, "a"],
        ["a", float("nan")],
        [0.5, None],
        pd.Series([1, pd.NA, 2]),
        pd.Series([1, pd.NA, 2], dtype="Int64"),
    ):
        with pytest.raises(InputError, match=r"of one type that sorts|continuous or NaN"):
            read_targets(wrong, -1)
    with pytest.raises(InputError, match=r"got 1 class$"):
        read_targets(["a", None])


def test_weights_are_the_product() -> None:
    targets = read_targets(["a", "b", None, "a"])
    assert counted(targets, None, None).weights is None
    assert counted(targets, [2, 2, 9, 2], None).weights is None  # all that count count alike
    assert counted(targets, [1, 2, 3, 4], {"a": 10}).weights.tolist() == [10, 2, 40]
    assert counted(targets, None, "balanced").weights.tolist() == [0.75, 1.5, 0.75]
    with pytest.raises(InputError, match="class_weight names 'c', which is no label; they are a, b"):
        counted(targets, None, {"c": 1})
    for wrong in ("b", 3):
        with pytest.raises(InputError, match=r"class_weight must be None.*for the labels a, b"):
            counted(targets, None, wrong)
    with pytest.raises(InputError, match="finite numbers from 0 up"):
        counted(targets, None, {"a": -1})


def test_rows_of_weight_zero_are_left_out_and_their_classes_stay() -> None:
    targets = read_targets(["a", "b", None, "a", "c", None])
    left = counted(targets, [1, 0, 0, 1, 1, 1], "balanced")
    assert left.rows.tolist() == [True, False, False, True, True, True]
    assert left.weights.tolist() == [0.75, 0.75, 1.5]  # as if they had not been given
    assert left.targets.labelled.tolist() == [True, True, True, False]
    assert left.targets.index.tolist() == [0, 0, 2]
    assert left.targets.classes.tolist() == ["a", "b", "c"]
    assert counted(targets, None, {"b": 0}).rows.tolist() == [True, False, True, True, True, True]
    for weights, by_class in ((np.zeros(6), None), ([0, 1, 1, 0, 0, 1], {"b": 0})):
        with pytest.raises(InputError, match="every weight is zero"):
            counted(targets, weights, by_class)
