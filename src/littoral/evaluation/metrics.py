"""Figures of one model on labelled images: accuracy with its interval, confusion, each class alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from littoral.errors import InputError
from littoral.evaluation.abstention import CoverageRow, accepted_row, coverage_table
from littoral.evaluation.calibration import expected_calibration_error
from littoral.evaluation.intervals import wilson


@dataclass(frozen=True)
class ClassFigures:
    """One class: `support` images of it, and precision, recall and F1 (0 to 1; 0 where undefined)."""

    name: str
    support: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Evaluation:
    """Figures from 0 to 1. `confusion[i][j]`: images of class i that were called class j.

    `balanced_accuracy` and `macro_f1` are means over the classes that have images, each counting alike. `coverage`:
    what is right among the surest; `accepted`: among those that the model accepts, None where it accepts none or has no
    threshold.
    """

    accuracy: float
    n: int
    ci95: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    ece: float
    per_class: list[ClassFigures]
    confusion: list[list[int]]
    coverage: list[CoverageRow]
    accepted: CoverageRow | None


def evaluate(
    probabilities: NDArray[Any],
    labels: NDArray[np.int64],
    class_names: tuple[str, ...],
    accepted: NDArray[np.bool_] | None = None,
) -> Evaluation:
    """Compare predicted probabilities (n × classes) with the true class indices (n); `accepted` (n): which count.

    Raises InputError when there is nothing to compare or the shapes do not fit.
    """
    if len(labels) < 1 or probabilities.shape != (len(labels), len(class_names)):
        raise InputError(
            f"expected probabilities of shape ({len(labels)}, {len(class_names)}) and at least one image, "
            f"got {probabilities.shape}"
        )
    if not np.isfinite(probabilities).all():
        raise InputError("expected probabilities from 0 to 1, got some that are no numbers")
    predicted = probabilities.argmax(1)
    every = np.arange(len(class_names))
    correct = int((predicted == labels).sum())
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    present = support > 0
    confidence, right = probabilities.max(1), predicted == labels
    return Evaluation(
        accuracy=correct / len(labels),
        n=len(labels),
        ci95=wilson(correct, len(labels)),
        balanced_accuracy=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        ece=expected_calibration_error(probabilities, labels),
        per_class=[
            ClassFigures(name, int(support[i]), float(precision[i]), float(recall[i]), float(f1[i]))
            for i, name in enumerate(class_names)
        ],
        confusion=confusion_matrix(labels, predicted, labels=every).tolist(),
        coverage=coverage_table(confidence, right),
        accepted=None if accepted is None else accepted_row(accepted, confidence, right),
    )
