"""Answers that are kept back: from which confidence on few enough are wrong, and what that costs in answers.

The bound is Clopper and Pearson's (The use of confidence or fiducial limits, Biometrika 1934). Thresholds are tried in
an order that no label decides, until the first that fails, so that all that hold do so together at the level of one
(fixed sequence testing: Angelopoulos et al., Learn then test, 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from littoral.evaluation.intervals import wilson

LEVEL = 0.95
"""How sure a bound is."""

FIRST = 0.5
"""Part of the images, the surest, that is asked first whether it holds a bound."""

STEPS = 100
"""Into how many steps all images are cut, from the first part to the whole."""

COVERAGES = (1.0, 0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.5)
"""Parts of the images, the surest of them, that a table of errors is made for."""


def most_errors(wrong: int, total: int, level: float = LEVEL) -> float:
    """The share of errors that is not exceeded, with the confidence `level`, where `wrong` of `total` were seen."""
    return 1.0 if wrong >= total else float(stats.beta.ppf(level, wrong + 1, total - wrong))


def images_needed(max_error: float, level: float = LEVEL) -> int:
    """How many images it takes, none of them wrong, for the bound to reach down to this share: ln 0.05 / ln(1 - e)."""
    return math.ceil(math.log(1 - level) / math.log1p(-max_error))


def reject_threshold(confidence: NDArray[Any], right: NDArray[np.bool_], max_error: float) -> float | None:
    """The least confidence from which on at most `max_error` of the answers are wrong, or None where no bound says so.

    `confidence` (n) of the answers and whether each is `right`. First the surest half is asked, or as many as a bound
    needs, then a hundredth of the images more each time. 0: all may be accepted.
    """
    images, first = len(confidence), images_needed(max_error)
    descending = -np.sort(-confidence)
    found = None
    counts = {max(first, math.ceil(images * step / STEPS)) for step in range(int(FIRST * STEPS), STEPS + 1)}
    for accepted in sorted(counts if first <= images else ()):
        threshold = 0.0 if accepted == images else float(descending[accepted - 1])
        kept = confidence >= threshold
        if most_errors(int((~right[kept]).sum()), int(kept.sum())) > max_error:
            break
        found = threshold
    return found


@dataclass(frozen=True)
class CoverageRow:
    """The surest images, a share `coverage` of all: `n` of them, how many `wrong`, and their accuracy (Wilson).

    `confidence` is the least among them, and all images that are as sure are counted.
    """

    coverage: float
    confidence: float
    n: int
    wrong: int
    accuracy: float
    ci95: tuple[float, float]


def coverage_table(confidence: NDArray[Any], right: NDArray[np.bool_]) -> list[CoverageRow]:
    """What is right among the surest images, for several shares of them."""
    descending = -np.sort(-confidence)
    rows = []
    for coverage in COVERAGES:
        kept = np.flatnonzero(confidence >= descending[math.ceil(coverage * len(descending)) - 1])
        rows.append(_row(coverage, kept, confidence, right))
    return rows


def accepted_row(accepted: NDArray[np.bool_], confidence: NDArray[Any], right: NDArray[np.bool_]) -> CoverageRow | None:
    """The same of the images that were accepted; None where none was."""
    kept = np.flatnonzero(accepted)
    return _row(len(kept) / len(accepted), kept, confidence, right) if len(kept) else None


def _row(coverage: float, kept: NDArray[np.int64], confidence: NDArray[Any], right: NDArray[np.bool_]) -> CoverageRow:
    correct = int(right[kept].sum())
    least = float(confidence[kept].min())
    return CoverageRow(coverage, least, len(kept), len(kept) - correct, correct / len(kept), wilson(correct, len(kept)))
