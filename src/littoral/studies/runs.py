"""The finished runs of a study, arm by arm: plain values. Files are `results.py`, what follows from them `judge.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import ceil, floor, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from littoral.evaluation.intervals import wilson
from littoral.studies.latency import Latency
from littoral.studies.stored import StoredRun

LEAST_SEEDS = 3
"""Runs that an interval over seeds takes: of two, Student's t, with one degree of freedom, mostly reaches 0 and 1."""


@dataclass(frozen=True)
class Run:
    """One training: figures (0 to 1) on `n` test images, `ci95` (Wilson) of the accuracy; seconds of training.

    `index` (n): rows of the test images in the data that were given; `correct` (n): whether each was told right.
    """

    seed: int
    accuracy: float
    n: int
    ci95: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    seconds: float
    index: NDArray[np.int64] = field(repr=False, compare=False)
    correct: NDArray[np.bool_] = field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The figures, without what is said of each image."""
        return {
            "seed": self.seed,
            "accuracy": self.accuracy,
            "n": self.n,
            "ci95": list(self.ci95),
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "seconds": self.seconds,
        }


def run_of(stored: StoredRun) -> Run:
    """What a comparison holds of a finished run: figures, and which images were told right."""
    figures = stored.figures
    return Run(
        seed=stored.seed,
        accuracy=figures["accuracy"],
        n=figures["n"],
        ci95=(figures["ci95"][0], figures["ci95"][1]),
        balanced_accuracy=figures["balanced_accuracy"],
        macro_f1=figures["macro_f1"],
        seconds=figures["seconds"],
        index=stored.index,
        correct=stored.correct,
    )


@dataclass(frozen=True)
class Arm:
    """One contestant, its cost and its runs. `macs`: multiply-accumulates of one forward pass on one image."""

    name: str
    params: int
    macs: int
    latency: Latency
    runs: tuple[Run, ...]

    @property
    def mean(self) -> float:
        """Mean test accuracy over the runs."""
        return float(np.mean([run.accuracy for run in self.runs]))

    @property
    def mean_balanced_accuracy(self) -> float:
        """Mean balanced accuracy over the runs: every class counts alike."""
        return float(np.mean([run.balanced_accuracy for run in self.runs]))

    @property
    def mean_macro_f1(self) -> float:
        """Mean macro F1 over the runs."""
        return float(np.mean([run.macro_f1 for run in self.runs]))

    @property
    def ci95(self) -> tuple[float, float]:
        """Of the mean: over seeds with three runs or more (Student's t, cut at 0 and 1), else over images (Wilson).

        Over the images of one run, since other seeds may be tested on the same ones. An accuracy p on n images is known
        to 1/n at best, and that on images of its own varies by p(1 - p)/n at least: runs that agree by chance do not
        make it surer than that. Runs that each hold out some of the same few images count as the images that they have
        seen together would, tested once each: of 20 runs on 40 of 200 images, as 5 (simulated: 95 % of such intervals
        hold the truth, 70 % of those by the number of runs).
        """
        images, mean = self.runs[0].n, self.mean
        if self.ci95_over == "images":
            right = round(mean * images, 6)  # may lie between two whole numbers, with two runs
            return (wilson(floor(right), images)[0], wilson(ceil(right), images)[1])
        seen = len(np.unique(np.concatenate([run.index for run in self.runs])))
        own = seen > images
        floor_of_one = max(mean * (1 - mean) / images if own else 0.0, 1 / images**2)
        variance = max(float(np.var([run.accuracy for run in self.runs], ddof=1)), floor_of_one)
        count = seen / images if own else len(self.runs)
        reach = float(stats.t.ppf(0.975, len(self.runs) - 1)) * sqrt(variance / count)
        return (max(mean - reach, 0.0), min(mean + reach, 1.0))

    @property
    def ci95_over(self) -> Literal["seeds", "images"]:
        """What the interval speaks of."""
        return "images" if len(self.runs) < LEAST_SEEDS else "seeds"

    def to_json(self) -> dict[str, Any]:
        """The arm as `results.json` holds it."""
        return {
            "name": self.name,
            "params": self.params,
            "macs": self.macs,
            "latency": asdict(self.latency),
            "runs": [run.to_json() for run in self.runs],
            "mean": self.mean,
            "ci95": list(self.ci95),
            "ci95_over": self.ci95_over,
            "mean_balanced_accuracy": self.mean_balanced_accuracy,
            "mean_macro_f1": self.mean_macro_f1,
        }


def one_test_set(arms: Sequence[Arm]) -> bool:
    """Whether all runs were tested on the same images, as in data that came split; else each seed has its own."""
    runs = [run for arm in arms for run in arm.runs]
    return all(np.array_equal(run.index, runs[0].index) for run in runs)


def intervals_in_words(seeds: int, one_test_set: bool | None) -> str:
    """What the intervals of arms with so many runs speak of, after "intervals are".

    `one_test_set`: as the function of this name; None, where it is not known, leaves it unsaid.
    """
    if seeds == 1:
        return "over test images, for this one seed: other seeds may differ by more"
    tested = {True: ", on the same test images", False: ", each on a test part of its own", None: ""}[one_test_set]
    if seeds < LEAST_SEEDS:
        return f"over test images, for these {seeds} seeds{tested}: other seeds may differ by more"
    return f"of the mean over {seeds} seeds{tested}"
