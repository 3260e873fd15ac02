"""An arm's runs -> what the page says of classes: who is taken for whom, what is missed, and how sure the arm is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from littoral.evaluation.calibration import reliability
from littoral.evaluation.intervals import wilson
from littoral.studies.pooled import Pooled
from littoral.studies.stored import StoredRun

SHOWN, CONFUSED = 25, 20
"""Classes that a matrix shows, those with most mistakes, and pairs of classes that a list names."""


def confusions(arms: Mapping[str, Pooled]) -> dict[str, Any]:
    """`shown`: numbers of the classes in the matrices, ascending; `arms`: by name the `matrix` of these, added over
    seeds, and `confused`: [label, told, count] of the most frequent mistakes among all classes."""
    whole = {name: arm.confusion() for name, arm in arms.items()}
    total: Any = sum(whole.values())
    wrong = total - np.diag(np.diag(total))
    most = np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind="stable")[:SHOWN]
    shown = np.sort(most)
    return {
        "shown": shown.tolist(),
        "arms": {
            name: {"matrix": matrix[np.ix_(shown, shown)].tolist(), "confused": _confused(matrix)}
            for name, matrix in whole.items()
        },
    }


def class_figures(arms: Mapping[str, Pooled], seeds: Mapping[str, int], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Of each class its `name`, `support` (test images of one seed) and `recall`: (share, low, high) of each arm.

    The share is the mean over seeds, the interval Wilson's over the images of one seed: other seeds see the same ones.
    """
    whole = {name: arm.confusion() for name, arm in arms.items()}
    first = next(iter(arms))
    return [
        {
            "name": label,
            "support": round(int(whole[first][number].sum()) / seeds[first]),
            "recall": {name: _recall(matrix[number], number, seeds[name]) for name, matrix in whole.items()},
        }
        for number, label in enumerate(classes)
    ]


def calibration(runs: Sequence[StoredRun]) -> list[tuple[int, float, float]]:
    """(images, confidence, accuracy) of each bin, over the answers of all seeds together."""
    probabilities = np.concatenate([run.probabilities for run in runs])
    bins = reliability(probabilities, np.concatenate([run.labels for run in runs]))
    return [(one.images, one.confidence, one.accuracy) for one in bins]


def _recall(row: Any, number: int, seeds: int) -> tuple[float, float, float] | None:
    """None where no image is of this class."""
    total, right = int(row.sum()), int(row[number])
    if not total:
        return None
    images = max(1, round(total / seeds))
    low, high = wilson(min(images, round(right / seeds)), images)
    return right / total, low, high


def _confused(matrix: Any) -> list[tuple[int, int, int]]:
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[: min(CONFUSED, np.count_nonzero(wrong))].tolist()
    pairs = [divmod(cell, len(matrix)) for cell in order]
    return [(label, told, int(wrong[label, told])) for label, told in pairs]
