"""How sure a figure is: intervals for one accuracy and for a mean over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from littoral.errors import InputError


def wilson(correct: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share, `correct` of `total` (Wilson 1927): sound for shares near 0 and 1 too.

    It speaks of new images from the same source and of this one trained model, not of other seeds.
    """
    if not 0 <= correct <= total or total < 1:
        raise InputError(f"an interval needs 0 ≤ correct ≤ total and total ≥ 1, got {correct} of {total}")
    interval = stats.binomtest(correct, total).proportion_ci(level, method="wilson")
    return (float(interval.low), float(interval.high))


def mean_over_seeds(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Student's t interval for the mean of runs that differ by their seed alone; it needs two or more.

    It speaks of new seeds on these test images, not of new images.
    """
    if len(values) < 2:
        raise InputError(f"an interval over seeds needs at least two runs, got {len(values)}")
    mean, error = float(np.mean(values)), float(stats.sem(values))
    reach = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * error
    return (mean - reach, mean + reach)
