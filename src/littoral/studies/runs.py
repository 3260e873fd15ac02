"""The finished runs of a study, arm by arm: plain values. Files are `results.py`, what follows from them `judge.py`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from littoral.evaluation.intervals import mean_over_seeds
from littoral.studies.latency import Latency
from littoral.studies.results import StoredRun


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
        """Over seeds when there are two or more runs (Student's t, cut at 0 and 1); with one, over images (Wilson)."""
        if len(self.runs) == 1:
            return self.runs[0].ci95
        low, high = mean_over_seeds([run.accuracy for run in self.runs])
        return (max(low, 0.0), min(high, 1.0))

    @property
    def ci95_over(self) -> Literal["seeds", "images"]:
        """What the interval speaks of."""
        return "images" if len(self.runs) == 1 else "seeds"

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
