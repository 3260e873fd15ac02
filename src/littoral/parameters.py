"""Parameters as a person gives them to an estimator -> what they mean, or an InputError in one sentence."""

from __future__ import annotations

import math
import numbers
import operator
import os
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from littoral.errors import InputError
from littoral.held_out import WAYS, Way
from littoral.training.presets import Preset, get_preset
from littoral.training.run import require_seed
from littoral.training.tuning import STAGES, Stages


def named_preset(name: Any) -> Preset:
    """The preset of this name or file; raises InputError for what is neither text nor a path."""
    if not isinstance(name, str | os.PathLike):
        raise InputError(f"preset must be the name of one, a preset's file or None, got {name!r}")
    return get_preset(name)


def whole_number(name: str, value: Any) -> int | None:
    """A whole number of any integer type, such as numpy's, as an int."""
    try:
        return None if value is None else operator.index(value)
    except TypeError as error:
        raise InputError(f"{name} must be a whole number or None, got {value!r}") from error


def stages_of(name: Any) -> Stages | None:
    """The stages that `tune` names."""
    for stages in (None, *STAGES):
        if isinstance(name, str | None) and name == stages:
            return stages
    raise InputError(f"tune must be None or one of {', '.join(STAGES)}, got {name!r}")


def way_of(name: Any) -> Way:
    """The way of calibrating that `calibrate` names."""
    for way in WAYS:
        if isinstance(name, str) and name == way:
            return way
    raise InputError(f"calibrate must be one of {', '.join(WAYS)}, got {name!r}")


def seconds_of(time_budget: Any) -> float | None:
    """A number of any type, such as numpy's, as a float."""
    if time_budget is None:
        return None
    seconds = float(time_budget) if isinstance(time_budget, numbers.Real) else math.nan
    if not 0 < seconds < math.inf:
        raise InputError(f"time_budget must be a positive number of seconds or None, got {time_budget!r}")
    return seconds


def seed_of(random_state: Any) -> int:
    """An int is the seed itself, so that it names the same run as `--seed`; anything else is drawn from."""
    if isinstance(random_state, int | np.integer):
        require_seed(int(random_state))
        return int(random_state)
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError as error:
        raise InputError(f"random_state must be None, an int or a numpy RandomState, got {random_state!r}") from error
