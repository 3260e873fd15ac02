"""y as users give it -> which rows are labelled, the classes, each label's number, and which rows count how much."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.class_weight import compute_class_weight

from littoral.errors import InputError

NAN = "; NaN marks a row without a label only where unlabelled=float('nan') says so"


@dataclass(frozen=True)
class Targets:
    """`labelled` (n, bool): the rows that have a label. `classes`: sorted. `index` (labelled rows, int64): of each."""

    labelled: NDArray[np.bool_]
    classes: NDArray[Any]
    index: NDArray[np.int64]


def read_targets(y: Any, unlabelled: Any = None) -> Targets:
    """Labels of any one sortable type; None, and the value `unlabelled`, mark a row without one.

    Raises InputError, in one sentence, for no labels, several a row, numbers that name no classes (continuous, NaN or
    infinite), labels of mixed type, and fewer than two classes.
    """
    if y is None:
        raise InputError(
            "a classifier requires y to be passed, but the target y is None; give one label a row, "
            "and None in place of a label that is not known"
        )
    try:
        # a column of pandas' or polars' own type may mark what is missing, of which numpy makes NaN
        own = hasattr(y, "to_numpy") and hasattr(y, "dtype") and not isinstance(y.dtype, np.dtype)
        values = np.asarray(y, object) if own else np.asarray(y)
    except ValueError as error:
        raise InputError("labels must be one a row, got lists of unequal length; multi-label is not offered") from error
    if isinstance(y, list | tuple) and values.ndim == 1 and values.dtype.kind == "U":
        values = np.array(y, object)  # else numpy makes text of a number or NaN among text
    if values.ndim == 2 and values.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected; it is taken as y.ravel()",
            DataConversionWarning,
            stacklevel=2,
        )
        values = values[:, 0]
    if values.ndim != 1:
        raise InputError(f"labels must be one a row, shape (n,), got shape {values.shape}; multi-label is not offered")
    _require_mark(unlabelled, values)
    labelled = np.array([not _same(value, unlabelled) for value in values.tolist()], bool)
    if len(values) and not labelled.any():
        raise InputError(f"all {len(values):,} rows of y are unlabelled; a classifier needs labels of two classes")
    return Targets(labelled, *index_labels(values[labelled]))


def index_labels(labels: Sequence[Any] | NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Labels of any one sortable type -> (sorted distinct classes, index of each label among them).

    Raises InputError for fewer than two classes, several labels an image, labels of mixed type, and numbers that name
    no classes.
    """
    values = np.asarray(labels)
    if values.ndim != 1:
        raise InputError(f"labels must be one a row, shape (n,), got shape {values.shape}; multi-label is not offered")
    try:
        classes, index = np.unique(values, return_inverse=True)
    except TypeError as error:
        raise InputError(f"labels must all be of one type that sorts, such as all str or all int{NAN}") from error
    if classes.dtype == object:  # of a list with text or None in it, or a table's column
        classes = np.array(classes.tolist())
    if classes.ndim != 1:
        raise InputError("labels must be one a row, got several; multi-label is not offered")
    if len(names := {str(label) for label in classes}) < len(classes):
        raise InputError(f"labels must differ as text, got {len(classes)} with {len(names)} names; rename some")
    if classes.dtype.kind in "fc" and not (np.isfinite(classes).all() and (classes == np.round(classes.real)).all()):
        raise InputError(f"labels are continuous or NaN, and this is a classifier: give a class for each image{NAN}")
    if len(classes) < 2:
        raise InputError(
            f"a classifier needs at least two classes, got {len(classes)} class{'' if len(classes) == 1 else 'es'}"
        )
    return classes, index.astype(np.int64)


def read_groups(groups: Any, rows: int) -> NDArray[np.int64]:
    """What each row belongs to, numbered from 0. Raises InputError where a row has none, or there are not so many."""
    values = np.asarray(groups, object)
    if values.shape != (rows,):
        raise InputError(f"groups must be one value a row, shape ({rows},), got shape {values.shape}")
    known: dict[Any, int] = {}
    try:
        found = [-1 if value is None or value != value else known.setdefault(value, len(known)) for value in values]
    except (TypeError, ValueError) as error:  # of lists, arrays and pandas.NA
        raise InputError("groups must be text or numbers, one a row, and none may be missing") from error
    if -1 in found:
        raise InputError(f"row {found.index(-1)} has no group; give each row one, of its own where it belongs to none")
    return np.array(found, np.int64)


@dataclass(frozen=True)
class Counted:
    """What there is to learn from. `rows` (n, bool): those that count, with a label or without.

    `targets`: of these rows, with all classes, also those of which no row counts. `weights`: how much each labelled one
    counts, above 0; None where all count alike.
    """

    rows: NDArray[np.bool_]
    targets: Targets
    weights: NDArray[np.float64] | None


def counted(targets: Targets, sample_weight: Any, class_weight: Any) -> Counted:
    """The rows that count, a labelled one by its own weight times that of its class; rows of weight 0 are left out.

    `sample_weight`: numbers from 0 up, (n,), unlabelled rows among them, which it only keeps (above 0) or leaves out;
    None: 1 each. `class_weight`: None, "balanced" (inverse to the number of labelled rows of the class that have a
    weight), or a dict from label to number, 1 where it names none. Raises InputError for weights of another length,
    negative, not finite or all zero, and for labels that nobody has.
    """
    own = np.ones(len(targets.labelled)) if sample_weight is None else _own_weights(targets, sample_weight)
    _require_weights(own)
    weights = own[targets.labelled]
    _require_weights(weights)  # all zero where only rows without a label have one
    known = targets.index[weights > 0] if class_weight == "balanced" else np.arange(len(targets.classes))
    present = np.unique(known)
    by_class = np.zeros(len(targets.classes))
    try:
        by_class[present] = compute_class_weight(
            class_weight, classes=targets.classes[present], y=targets.classes[known]
        )
    except (ValueError, TypeError) as error:
        labels = targets.classes.tolist()
        if isinstance(class_weight, dict) and (strange := [label for label in class_weight if label not in labels]):
            raise InputError(
                f"class_weight names {strange[0]!r}, which is no label; they are {', '.join(map(str, labels))}"
            ) from error
        raise InputError(
            "class_weight must be None, 'balanced' or a dict from each label to a number, "
            f"got {class_weight!r} for the labels {', '.join(map(str, targets.classes))}"
        ) from error
    weights = weights * by_class[targets.index]
    _require_weights(weights)
    kept = weights > 0
    rows = own != 0
    rows[targets.labelled] = kept
    weights = weights[kept]
    return Counted(
        rows,
        Targets(targets.labelled[rows], targets.classes, targets.index[kept]),
        None if (weights == weights[0]).all() else weights,
    )


def _own_weights(targets: Targets, sample_weight: Any) -> NDArray[np.float64]:
    try:
        own = np.asarray(sample_weight, np.float64)
    except (ValueError, TypeError) as error:
        raise InputError("sample_weight must be numbers, one a row") from error
    if own.shape != targets.labelled.shape:
        raise InputError(
            f"sample_weight must be one number a row, shape {targets.labelled.shape}, got shape {own.shape}"
        )
    return own


def _require_weights(weights: NDArray[np.float64]) -> None:
    if not np.isfinite(weights).all() or weights.min() < 0:
        raise InputError(
            f"weights must be finite numbers from 0 up, got some from {weights.min()} to {weights.max()}; "
            "look at sample_weight and class_weight"
        )
    if not weights.any():
        raise InputError("every weight is zero, so nothing could be learned; some rows have to count")


def _require_mark(unlabelled: Any, values: NDArray[Any]) -> None:
    """Raise InputError for a value that could mark no row of such labels, or that marks others than it names."""
    if np.ndim(unlabelled):
        raise InputError(f"unlabelled must be one value, got {unlabelled!r}")
    kinds = {"U": "text", "b": "a truth value"}
    kind = np.asarray(unlabelled).dtype.kind
    if kind in kinds and values.dtype.kind in "iufb" and values.dtype.kind != kind:
        raise InputError(
            f"unlabelled is {unlabelled!r}, {kinds[kind]}, and the labels are {values.dtype}; give one of these"
        )


def _same(value: Any, unlabelled: Any) -> bool:
    """Whether a label is None or the value for "unlabelled"; where that is NaN, every NaN is."""
    if value is None or value is unlabelled:
        return True
    if isinstance(unlabelled, float) and np.isnan(unlabelled):
        return isinstance(value, float) and bool(np.isnan(value))
    try:
        return unlabelled is not None and bool(value == unlabelled)
    except (TypeError, ValueError):  # of pandas.NA and the like, which are neither equal to a thing nor unequal
        return False
