"""What is done for a candidate of a search, wherever: its price is measured, and it is judged on a fold after training.

Which candidates there are, and how far each goes, is `tune_search.py`'s; another `Workers` may do the jobs elsewhere.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from littoral.errors import InputError, TrainingError
from littoral.evaluate_model import evaluate_model
from littoral.images.store import ImageStore
from littoral.studies.tune_space import Price, fused_of, price_of
from littoral.training.loop import Silent
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel, fit_arm
from littoral.training.variant import Variant, variant_preset


@dataclass(frozen=True)
class Folds:
    """The training part, and no other image, with the fold of each; and all that one training takes besides.

    `fold`: (n), from 0 up. `identity`: what tells this search from others, see `one_run.identity`.
    """

    data: ImageStore
    fold: NDArray[np.int64]
    seed: int
    place: torch.device
    identity: dict[str, Any]

    @property
    def number(self) -> int:
        """How many folds there are."""
        return int(self.fold.max()) + 1


@dataclass(frozen=True)
class Job:
    """Of the candidate with this number, train it without the fold `held` and judge it there; None: find its price."""

    number: int
    variant: Variant
    held: int | None


@dataclass(frozen=True)
class Outcome:
    """A price, or the accuracy on a fold (0 to 1); or why there is neither. `seconds`: what the training took."""

    price: Price | None = None
    accuracy: float | None = None
    seconds: float = 0.0
    failure: str = ""


class Workers(Protocol):
    """Who does jobs, one or several at once."""

    def places(self) -> int:
        """How many jobs can be under way now; 1 at least."""

    def begin(self, job: Job) -> None:
        """Take a job that is to be done."""

    def finished(self) -> tuple[Job, Outcome]:
        """Wait for the next of the jobs taken that is done, whichever it is."""


Hire = Callable[[Folds], AbstractContextManager[Workers]]
"""Workers for the jobs of a search on these folds, as long as a block lasts."""


class Here:
    """One job after the other, in this process."""

    def __init__(self, folds: Folds) -> None:
        self.folds = folds
        self.jobs: deque[Job] = deque()

    def places(self) -> int:
        """One."""
        return 1

    def begin(self, job: Job) -> None:
        """It is done when it is waited for."""
        self.jobs.append(job)

    def finished(self) -> tuple[Job, Outcome]:
        """Do the job that was taken first."""
        job = self.jobs.popleft()
        return job, work(self.folds, job)


@contextmanager
def here(folds: Folds) -> Iterator[Workers]:
    """This process alone."""
    yield Here(folds)


def work(folds: Folds, job: Job) -> Outcome:
    """Do a job. A model that cannot be, and a training that cannot go on, are outcomes, not errors."""
    if job.held is None:
        try:
            config = fused_of(job.variant, folds.data)
        except InputError as error:
            return Outcome(failure=str(error))
        return Outcome(price_of(config, folds.data, recipe_of(job.variant)))
    start = time.monotonic()
    try:
        trained = trained_on(folds, np.flatnonzero(folds.fold != job.held), job.variant)
        rest = folds.data.subset(np.flatnonzero(folds.fold == job.held))
        accuracy = evaluate_model(trained, rest).accuracy
    except (InputError, TrainingError) as error:
        return Outcome(seconds=time.monotonic() - start, failure=str(error))
    return Outcome(accuracy=accuracy, seconds=time.monotonic() - start)


def trained_on(folds: Folds, rows: NDArray[np.int64], variant: Variant) -> TrainedModel:
    """The fused network of a variant, trained on these rows of the training part; raises TrainingError."""
    preset, data = variant_preset("tuned", variant), folds.data.subset(rows)
    return fit_arm(preset, "fused", recipe_of(variant), data, folds.seed, folds.place, Silent())


def recipe_of(variant: Variant) -> Recipe:
    """The recipe of a variant that is tried, which has its own."""
    assert variant.recipe is not None  # `Space.suggested` gave it one
    return variant.recipe
