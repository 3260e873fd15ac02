"""Finished runs -> what may be said of one arm against the others, and what a comparison of this size can show at all.

The statistics are `evaluation/paired.py` and `evaluation/power.py`; here runs are laid side by side for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Bool

from littoral.evaluation.paired import (
    Difference,
    judged_together,
    paired_difference,
    resampled_difference,
    verdict,
)
from littoral.evaluation.power import (
    power_in_words,
    smallest_difference,
    smallest_difference_after,
    smallest_difference_of_splits,
    stated_disagreement,
)
from littoral.studies.notable import judged_among
from littoral.studies.runs import Arm, Run


def judged(arms: Sequence[Arm]) -> Arm:
    """The arm, one of one or more, that is set against the others: see `judged_among`."""
    name = judged_among([arm.name for arm in arms])
    return next(arm for arm in arms if arm.name == name)


def pairs(arms: Sequence[Arm], training_part: int) -> tuple[Difference, ...]:
    """The judged arm less each other arm, on the seeds that both have, p adjusted for all of them (Holm).

    `training_part`: its images, before labels are drawn from it.

    Where each seed has a split of its own, two or more seeds are compared by their accuracies; a pair that has but one
    is compared image by image.
    """
    if len(arms) < 2:
        return ()
    ours = judged(arms)
    found = [_pair(ours, arm, training_part) for arm in arms if arm is not ours]
    return judged_together([difference for difference in found if difference is not None])


def pair_json(difference: Difference) -> dict[str, Any]:
    """The pair as `results.json` holds it."""
    return asdict(difference) | {"ci95": list(difference.ci95), "verdict": verdict(difference)}


def pair_from_json(pair: Mapping[str, Any]) -> Difference:
    """The pair of which `pair_json` made this; fields that it does not know are left aside."""
    values = {name: pair[name] for name in Difference.__dataclass_fields__}
    return Difference(**(values | {"ci95": (pair["ci95"][0], pair["ci95"][1])}))


def power_before(
    seeds: int, arms: int, training_part: int, test_images: int, one_test_set: bool, expected_error: float
) -> str:
    """Before training: the smallest difference that will show, if arms err on so many images (a share)."""
    share, pairs = stated_disagreement(expected_error), arms - 1
    if one_test_set or seeds == 1:
        smallest = smallest_difference(seeds, test_images, share, pairs)
    else:
        smallest = smallest_difference_of_splits(seeds, training_part, test_images, share, pairs)
    return power_in_words(seeds, test_images, smallest, expected_error)


def power_after(arms: Sequence[Arm], seeds: int, training_part: int) -> str:
    """The same from the finished seeds, two or more, for the pair that is hardest to tell apart."""
    first, pairs = judged(arms), len(arms) - 1
    found = []
    for other in arms:
        ours, theirs = _shared(first, other)
        if other is first or len(ours) < 2:
            continue
        images = ours[0].n
        if _same_images(ours):
            a, b = _matrix(ours), _matrix(theirs)
            if (a != b).any():
                found.append(smallest_difference_after(a, b, seeds, images, pairs))
        else:
            share = float(np.mean([np.mean(one.correct != two.correct) for one, two in zip(ours, theirs, strict=True)]))
            if share:
                found.append(smallest_difference_of_splits(seeds, training_part, images, share, pairs))
    if not found:
        return "no two arms disagreed on any image so far: nothing more can be said of what will show"
    return f"{power_in_words(seeds, first.runs[0].n, max(found))}, to judge by {len(first.runs)} of them"


def _pair(first: Arm, other: Arm, training_part: int) -> Difference | None:
    ours, theirs = _shared(first, other)
    if not ours or ours[0].n < 2:
        return None
    if len(ours) == 1 or _same_images(ours):
        return paired_difference(first.name, other.name, _matrix(ours), _matrix(theirs))
    accuracies = [run.accuracy for run in ours], [run.accuracy for run in theirs]
    return resampled_difference(first.name, other.name, *accuracies, training_part, ours[0].n)


def _shared(one: Arm, other: Arm) -> tuple[list[Run], list[Run]]:
    """The runs of the seeds that both have, in the same order."""
    theirs = {run.seed: run for run in other.runs}
    ours = [run for run in one.runs if run.seed in theirs]
    return ours, [theirs[run.seed] for run in ours]


def _same_images(runs: Sequence[Run]) -> bool:
    return all(np.array_equal(run.index, runs[0].index) for run in runs)


def _matrix(runs: Sequence[Run]) -> Bool[np.ndarray, "seeds images"]:
    return np.stack([run.correct for run in runs])
