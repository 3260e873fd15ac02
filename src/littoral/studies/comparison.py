"""What a comparison comes to: its arms, and the differences between them. Training is left to `compare.py`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError
from littoral.evaluation.paired import Difference
from littoral.studies.judge import pair_json, pairs, power_after
from littoral.studies.runs import Arm, one_test_set

SCHEMA = 1
"""Version of the JSON that `Comparison.to_json` gives."""


@dataclass(frozen=True)
class Comparison:
    """The arms that have at least one run, and what they were given. `complete` once every arm has every seed.

    `asked`: how many arms there will be. `power_before`: which difference should show, in words, as said before
    training; None for one arm. `folder`: where the runs are kept; None: nowhere.
    """

    arms: tuple[Arm, ...]
    complete: bool
    asked: int
    settings: dict[str, Any]
    power_before: str | None = None
    folder: Path | None = None

    @property
    def one_test_set(self) -> bool:
        """Whether all runs were tested on the same images, as in data that came split; else each seed has its own."""
        return one_test_set(self.arms)

    @property
    def pairs(self) -> tuple[Difference, ...]:
        """`fused` (else the first arm) less each other arm, judged together; `evaluation.paired.verdict` has words."""
        return pairs(self.arms, self.settings["drawn_from"])

    @property
    def power_after(self) -> str | None:
        """The same from the first two seeds; None until every arm has them, and where no third was asked for."""
        seeds = self.settings["seeds"]
        first = [replace(arm, runs=tuple(run for run in arm.runs if run.seed in seeds[:2])) for arm in self.arms]
        if len(seeds) < 3 or len(first) < max(self.asked, 2) or any(len(arm.runs) < 2 for arm in first):
            return None
        return power_after(first, len(seeds), self.settings["drawn_from"])

    @property
    def finished(self) -> int:
        """How many runs there are."""
        return sum(len(arm.runs) for arm in self.arms)

    def correct(self, arm: str) -> NDArray[np.bool_]:
        """Whether each run of an arm told each test image right, (seeds, images), in the order of the arm's runs.

        Rows of different arms and of the same seed can be compared image by image. Raises InputError for an arm that
        has no run, and where each seed has its own test images: `Run.correct` and `Run.index` are each seed's.
        """
        found = [one for one in self.arms if one.name == arm]
        if not found:
            raise InputError(f"no arm {arm!r} in this comparison: expected one of {[one.name for one in self.arms]}")
        if not self.one_test_set:
            raise InputError(
                "each seed was tested on images of its own, so that there is no table of seeds and images; "
                "give data that come split, or take the runs one by one"
            )
        return np.stack([run.correct for run in found[0].runs])

    def report(self, place: str | Path, markdown: bool = False) -> Path:
        """Write report.html and results.json into the folder `place`, made when its parent exists; return the page.

        The page shows classes, confusions and single images where the runs were kept, by `compare(out=...)`; else it
        says that it leaves them out. `markdown`: report.md too. Raises InputError where `place` has other results.
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
            "arms": [arm.to_json() for arm in self.arms],
            "power": {"before": self.power_before, "after_two_seeds": self.power_after},
            "pairs": [pair_json(difference) for difference in self.pairs],
        }
