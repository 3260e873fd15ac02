"""A time budget -> a number of steps: a few steps are trained for the clock alone, and forgotten."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from littoral.errors import InputError

WARM_UP_SHARE = 0.05
"""Part of the budget that the warm-up may take."""

MARGIN = 0.92
"""Part of what is left that steps are planned for. Machines do not keep their speed; a run may be 5 % over, no more."""

OVER = 1.04
"""Share of the budget at which a run that became slow is stopped: 5 % less what the last steps may take."""


@dataclass(frozen=True)
class TimeBudget:
    """Seconds that a training may take, with its warm-up; the clock runs from `started` (`time.perf_counter`)."""

    seconds: float
    started: float

    @classmethod
    def starting_now(cls, seconds: float) -> TimeBudget:
        """A budget whose clock starts now; raises InputError for one that is no positive number."""
        if not 0 < seconds < math.inf:
            raise InputError(f"a time budget is a positive number of seconds, got {seconds}")
        return cls(seconds, time.perf_counter())

    @property
    def spent(self) -> float:
        """Seconds gone by."""
        return time.perf_counter() - self.started

    @property
    def over(self) -> bool:
        """Whether a run has to stop here."""
        return self.spent > OVER * self.seconds

    def steps(self, seconds_per_step: float, beside: float = 0.0) -> int:
        """How many steps fit into what is left, less seconds for what is done beside them; at least one."""
        return max(1, int(MARGIN * (self.seconds - self.spent - beside) / seconds_per_step))
