"""The points of a learning curve -> what follows from them: a fit for each arm, pairs at each budget, errors by class.

The statistics are `evaluation/`; the words for a person are `advice.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from littoral.evaluation.intervals import wilson
from littoral.evaluation.learning_curve import Curve, Expected, expected_errors, fit_curve, gain_of_doubling
from littoral.evaluation.paired import Difference, judged_together
from littoral.studies.judge import pairs
from littoral.studies.runs import Arm

Points = Mapping[int, tuple[Arm, ...]]
"""By budget, in ascending order: the arms with their runs, in the order in which they were asked for."""

LEAST_BUDGETS, LEAST_SEEDS = 3, 3
"""What a curve needs to be fitted, and what its interval needs."""

STEPS = 24
"""Places of the curve that are kept with their interval, from the smallest budget to twice the largest."""


@dataclass(frozen=True)
class Fit:
    """The curve of an arm and what it says of twice the largest budget.

    `band`: errors (0 to 1) at places from the smallest budget to twice the largest, with their intervals; empty, and
    `twice` and `gain` None, with fewer than three seeds.
    """

    arm: str
    curve: Curve
    largest: int
    band: tuple[tuple[float, Expected], ...] = ()
    twice: Expected | None = None
    gain: Expected | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values; docs/json.md lists the fields."""
        now, twice = self.curve.error(self.largest), self.curve.error(2 * self.largest)
        return {
            "arm": self.arm,
            "a": self.curve.a,
            "b": self.curve.b,
            "c": self.curve.c,
            "error": now,
            "error_at_twice": twice,
            "error_at_twice_ci95": None if self.twice is None else list(self.twice.ci95),
            "gain": now - twice,
            "gain_ci95": None if self.gain is None else list(self.gain.ci95),
            "band": [{"labels": n, "error": found.value, "ci95": list(found.ci95)} for n, found in self.band],
        }


@dataclass(frozen=True)
class ClassErrors:
    """A class at the largest budget: on the mean over seeds `wrong` of `images` test images, whole numbers.

    `error` is their share before rounding, `ci95` Wilson's interval: it speaks of new images, not of other seeds.
    """

    name: str
    error: float
    wrong: int
    images: int
    ci95: tuple[float, float]


def fits(points: Points) -> tuple[Fit, ...]:
    """A curve for each arm, where every arm has the same seeds at every budget; none for fewer than three budgets."""
    if len(points) < LEAST_BUDGETS:
        return ()
    return tuple(_fit(points, arm.name) for arm in next(iter(points.values())))


def pairs_of_budgets(points: Points, drawn_from: int) -> dict[int, tuple[Difference, ...]]:
    """At each budget the judged arm less each other one, p adjusted for all pairs of all budgets together (Holm).

    `drawn_from`: images of the training part, of which budgets are drawn.
    """
    found = {budget: pairs(arms, drawn_from) for budget, arms in points.items()}
    adjusted = iter(judged_together([pair for each in found.values() for pair in each]))
    return {budget: tuple(next(adjusted) for _ in each) for budget, each in found.items()}


def class_errors(arm: Arm, labels: Int64[np.ndarray, " all"], class_names: Sequence[str]) -> tuple[ClassErrors, ...]:
    """Each class that has test images, the highest error first. `labels`: of all rows that `Run.index` may name."""
    truth = np.concatenate([labels[run.index] for run in arm.runs])
    correct = np.concatenate([run.correct for run in arm.runs])
    found = []
    for number, name in enumerate(class_names):
        told = correct[truth == number]
        if len(told):
            error, images = float(np.mean(~told)), max(round(len(told) / len(arm.runs)), 1)
            wrong = round(error * images)
            found.append(ClassErrors(name, error, wrong, images, wilson(wrong, images)))
    return tuple(sorted(found, key=lambda each: -each.error))


def _fit(points: Points, name: str) -> Fit:
    budgets = np.array(list(points), np.float64)
    errors = np.array([_errors(arm) for arms in points.values() for arm in arms if arm.name == name])
    images = min(arm.runs[0].n for arms in points.values() for arm in arms if arm.name == name)
    curve, largest = fit_curve(budgets, errors, images), max(points)
    if errors.shape[1] < LEAST_SEEDS:
        return Fit(name, curve, largest)
    places = np.unique(np.append(np.geomspace(budgets.min(), 2 * largest, STEPS), largest))
    found = expected_errors(budgets, errors, images, places, np.random.default_rng(0))
    gain = gain_of_doubling(budgets, errors, images, np.random.default_rng(0))
    band = tuple(zip(places.tolist(), found, strict=True))
    return Fit(name, curve, largest, band, found[-1], gain)


def _errors(arm: Arm) -> Float64[np.ndarray, " seeds"]:
    return 1 - np.array([run.accuracy for run in arm.runs])
