"""What a search comes to: the candidates, those that no other beats in everything, and the one chosen, tested once."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from littoral.evaluation.metrics import Evaluation
from littoral.studies.tune_space import Price
from littoral.training.variant import Variant

SCHEMA = 1
"""Version of the JSON that `Tuning.to_json` gives."""


@dataclass(frozen=True)
class Candidate:
    """A variant that was tried. `folds`: its accuracy (0 to 1) on each fold of the training part that it came to.

    `fate`: `whole` with every fold; `stopped` where others did better on as many, or time was up; `refused` where it
    costs too much or cannot be, and was not trained, with the `reason`. `seconds`: of its trainings.
    """

    number: int
    variant: Variant
    price: Price | None
    folds: tuple[float, ...]
    fate: Literal["whole", "stopped", "refused"]
    reason: str = ""
    seconds: float = 0.0

    @property
    def accuracy(self) -> float:
        """Mean over its folds; 0 without any."""
        return float(np.mean(self.folds)) if self.folds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values. No candidate has a figure of the test part: none was tested on it."""
        return {
            "number": self.number,
            "fate": self.fate,
            "reason": self.reason,
            "accuracy": self.accuracy if self.folds else None,
            "folds": list(self.folds),
            "seconds": self.seconds,
            "price": None if self.price is None else asdict(self.price),
            "variant": asdict(self.variant),
        }


@dataclass(frozen=True)
class Tuning:
    """All candidates in the order in which they were tried, the one chosen, and its figures on the test part."""

    candidates: tuple[Candidate, ...]
    chosen: Candidate
    test: Evaluation
    settings: dict[str, Any]

    @property
    def front(self) -> tuple[Candidate, ...]:
        """The candidates with every fold that no other beats in accuracy, MACs and latency at once; best first."""
        return pareto(self.candidates)

    def to_json(self) -> dict[str, Any]:
        """Plain values; docs/json.md lists the fields."""
        return {
            "schema": SCHEMA,
            **self.settings,
            "candidates": [candidate.to_json() for candidate in self.candidates],
            "front": [candidate.number for candidate in self.front],
            "chosen": self.chosen.number,
            "test": {"accuracy": self.test.accuracy, "n": self.test.n, "ci95": list(self.test.ci95)},
        }


def pareto(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Of those with every fold, the ones that no other beats in all of accuracy, MACs and latency; best first."""
    whole = [candidate for candidate in candidates if candidate.fate == "whole"]
    table = np.array([_figures(candidate) for candidate in whole]).reshape(-1, 3)
    beaten = [bool(((table <= row).all(1) & (table < row).any(1)).any()) for row in table]
    return tuple(
        sorted((one for one, out in zip(whole, beaten, strict=True) if not out), key=lambda one: -one.accuracy)
    )


def front_png(found: Tuning) -> bytes:
    """A PNG file's content: error on the folds against MACs and against latency, on log axes; the front is joined."""
    from matplotlib.figure import Figure  # without pyplot: drawn by Agg, and no window system is asked for

    whole = np.array([_figures(one) for one in found.candidates if one.fate == "whole"])
    front, chosen = np.array([_figures(one) for one in found.front]), np.array([_figures(found.chosen)])
    figure = Figure(figsize=(9, 4), dpi=150, layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for place, column, scale, name in ((axes[0], 1, 1.0, "multiply-accumulates"), (axes[1], 2, 1e3, "ms an image")):
        place.plot(scale * whole[:, column], 100 * whole[:, 0], "o", color="#56b4e9", markersize=4, label="tried")
        order = front[front[:, column].argsort()]
        place.plot(scale * order[:, column], 100 * order[:, 0], "o-", color="#0072b2", markersize=4, label="front")
        place.plot(scale * chosen[:, column], 100 * chosen[:, 0], "*", color="#d55e00", markersize=12, label="chosen")
        place.set(xscale="log", xlabel=name)
        place.grid(which="major", alpha=0.25)
    axes[0].set_ylabel("error on held-out folds, %")
    axes[0].legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _figures(candidate: Candidate) -> tuple[float, float, float]:
    """Error, MACs and latency: of each, less is better."""
    assert candidate.price is not None  # it was trained
    return 1 - candidate.accuracy, float(candidate.price.macs), candidate.price.latency
