"""What a learning curve comes to: accuracies by budget and arm, and what follows. Training is left to `curve.py`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from littoral.evaluation.paired import Difference
from littoral.studies import advice
from littoral.studies.curve_findings import ClassErrors, Fit, Points, fits, pairs_of_budgets
from littoral.studies.judge import judged, pair_json
from littoral.studies.label_next import LabelNext
from littoral.studies.runs import one_test_set

SCHEMA = 1
"""Version of the JSON that `LearningCurve.to_json` gives."""


@dataclass(frozen=True)
class LearningCurve:
    """The arms that have at least one run, by budget, and what was given. `complete` once every run is there.

    What is said of all budgets together, from `fits` to `advice`, is empty before that. `classes`: errors of the
    judged arm at the largest budget. `label_next`: None where one of the arms shallow and deep is missing. `folder`:
    where the runs are kept; None: nowhere.
    """

    points: Points
    complete: bool
    settings: dict[str, Any]
    classes: tuple[ClassErrors, ...] = ()
    label_next: LabelNext | None = None
    folder: Path | None = None

    @property
    def one_test_set(self) -> bool:
        """Whether all runs were tested on the same images, as in data that came split; else each seed has its own."""
        return one_test_set([arm for arms in self.points.values() for arm in arms])

    @property
    def finished(self) -> int:
        """How many runs there are."""
        return sum(len(arm.runs) for arms in self.points.values() for arm in arms)

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        """A curve for each arm, with three budgets or more."""
        return fits(self.points) if self.complete else ()

    @cached_property
    def pairs(self) -> dict[int, tuple[Difference, ...]]:
        """By budget, `fused` (else the first arm) less each other arm, all judged together."""
        return pairs_of_budgets(self.points, self.settings["drawn_from"]) if self.complete else {}

    @property
    def advice(self) -> tuple[str, ...]:
        """What a person should know and do, a sentence each."""
        if not self.complete:
            return ()
        largest = max(self.points)
        arm = judged(self.points[largest])
        fit = next((fit for fit in self.fits if fit.arm == arm.name), None)
        return (
            advice.of_doubling(fit),
            *advice.of_pairs(self.pairs),
            advice.of_classes(arm.name, largest, self.classes, 1 - arm.mean),
            advice.of_images(self.label_next),
        )

    def report(self, place: str | Path, markdown: bool = False) -> Path:
        """Write report.html and results.json into the folder `place`, made when its parent exists; return the page.

        It shows images to label next where the runs were kept, by `curve(out=...)`; else it says that it leaves them
        out. `markdown`: report.md too. Raises InputError where `place` has other results.
        """
        from littoral.report.write import write_result  # for who calls from Python; nothing else here knows of pages

        return write_result(self.to_json(), self.folder, Path(place), markdown)[0][0]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `results.json` holds them; docs/json.md lists the fields."""
        return {
            "schema": SCHEMA,
            "complete": self.complete,
            **self.settings,
            "one_test_set": self.one_test_set,
            "arms": list(
                {
                    arm.name: {
                        "name": arm.name,
                        "params": arm.params,
                        "macs": arm.macs,
                        "latency": asdict(arm.latency),
                    }
                    for arms in self.points.values()
                    for arm in arms
                }.values()
            ),
            "points": [
                {
                    "budget": budget,
                    "arm": arm.name,
                    "mean": arm.mean,
                    "ci95": list(arm.ci95),
                    "ci95_over": arm.ci95_over,
                    "runs": [run.to_json() for run in arm.runs],
                }
                for budget, arms in self.points.items()
                for arm in arms
            ],
            "curves": [fit.to_json() for fit in self.fits],
            "pairs": [{"budget": budget} | pair_json(pair) for budget, found in self.pairs.items() for pair in found],
            "class_errors": [asdict(found) | {"ci95": list(found.ci95)} for found in self.classes],
            "label_next": None if self.label_next is None else self.label_next.to_json(),
            "advice": list(self.advice),
        }
