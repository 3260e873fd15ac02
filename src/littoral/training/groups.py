"""A linear classifier on several groups of features that is as good as the best of them with few labels or with many.

Two opinions, their log-probabilities averaged: one ridge regression on all groups, each with a scale of its own
(`scales.py`), and the groups' own ridge regressions, joined by votes (`stacking.py`). All that is chosen is chosen by
leave-one-out on the labels given, and holds to a belief before: that every feature counts alike. With one label a class
nothing can be left out, and the belief is all there is. The average was ahead of either and of a choice between them
by leave-one-out (benchmarks/probe). All of it is one linear layer in the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from scipy.special import log_softmax

from littoral.errors import InputError
from littoral.images.splits import each_class_in_turn
from littoral.training.ridge import Tuned, coefficients, spectrum, tuned
from littoral.training.scales import search_scales
from littoral.training.stacking import believed_votes
from littoral.training.targets import Targets, losses

MOST_SEARCHED = 1000
"""Images that scales are searched on; more are fitted with what was found on these, as many of each class as can be."""

ENOUGH_JUDGED = 50
"""Images that have to be judged before a group is left out: with fewer, good groups looked as bad as noise."""

BELIEF = 3.0
"""How many images it is worth that votes were believed to go by size. Without any, votes learned from two labels in
each of two classes lost 13 points (benchmarks/probe)."""

LARGE = 2**27
"""Numbers in all features from which on they are held in single precision (a gigabyte in double)."""


@dataclass(frozen=True)
class GroupPart:
    """What became of a group. `scale`: of its standardised features in the joint regression, the largest being 1.

    `vote`: of its own regression beside the joint one. Both are 0 where it was left out. `loo_accuracy` and
    `loo_log_loss` are those of its own regression, each image told by a fit of the others; None where none could be.
    """

    scale: float
    vote: float
    loo_accuracy: float | None
    loo_log_loss: float | None


@dataclass(frozen=True)
class GroupsFit:
    """One linear layer on the raw features of all groups, one after the other, and how it came about.

    The logits of `classes` (the labels that there were, sorted) are features @ weight.T + bias, and their softmax the
    probabilities. `loo_log_probabilities`: each image told by a fit of the others, with the features' mean and spread,
    scales, penalties, votes and sharpness as they are; it says something where `judged`. `penalty` and `sharpness` are
    those of the joint regression; `evaluations`: of the log-loss, for all of it. `why` says in words what was chosen.
    """

    groups: dict[str, GroupPart]
    classes: Int64[np.ndarray, " classes"]
    weight: Float64[np.ndarray, "classes size"]
    bias: Float64[np.ndarray, " classes"]
    penalty: float
    sharpness: float
    loo_log_probabilities: Float64[np.ndarray, "n classes"]
    judged: Bool[np.ndarray, " n"]
    loo_accuracy: float | None
    loo_log_loss: float | None
    evaluations: int
    why: str


def fit_groups(
    groups: Mapping[str, Float[np.ndarray, "n _"]],
    labels: Int64[np.ndarray, " n"],
    counts: Float64[np.ndarray, " n"] | None = None,
) -> GroupsFit:
    """Fit the classifier to features of n images, by group, and their labels, whole numbers of any two or more kinds.

    `counts`: how much each image counts, above 0; None: all alike. Raises InputError where there is one class, a row
    is missing, or no feature differs between images.
    """
    classes, index = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError("a linear classifier needs images of two classes or more")
    if wrong := [name for name, features in groups.items() if len(features) != len(labels)]:
        raise InputError(
            f"each group needs a row for each of {len(labels)} labels, got {len(groups[wrong[0]])} in {wrong[0]!r}"
        )
    targets = Targets(index.astype(np.int64), len(classes), np.ones(len(labels)) if counts is None else counts)
    small = len(labels) * sum(features.shape[1] for features in groups.values()) < LARGE
    parts = {
        name: _standardised(features.astype(np.float64 if small else np.float32), targets)
        for name, features in groups.items()
    }
    alone = {name: _Ridge.of(part.rows, targets) for name, part in parts.items() if part.varies}
    if not alone:
        raise InputError("no feature differs between the images: a linear classifier has nothing to go by")

    kept = _kept(alone, targets)
    evaluations = sum(ridge.tuned.evaluations for ridge in alone.values())
    squares, searched = np.ones(1), False
    if len(kept) > 1:
        rows = each_class_in_turn(targets.labels, max(MOST_SEARCHED, targets.classes))
        found = search_scales([_centred_part(parts[name].rows, rows, targets) for name in kept], targets.part(rows))
        squares, evaluations = found.squares / found.squares.max(), evaluations + found.evaluations
        searched = bool(targets.part(rows).judged.any())
    scales = dict(zip(kept, np.sqrt(squares), strict=True))
    together = np.concatenate([parts[name].rows * parts[name].rows.dtype.type(scales[name]) for name in kept], axis=1)
    joint = _Ridge.of(together, targets) if len(kept) > 1 else alone[kept[0]]

    opinions = np.stack([log_softmax(alone[name].tuned.left_out, axis=1) for name in kept])
    counts = targets.counts * targets.judged
    size = np.array([float(parts[name].rows.shape[1]) for name in kept])
    votes = dict(zip(kept, believed_votes(opinions, targets.labels, counts, size / size.sum(), BELIEF), strict=True))
    stacked = np.tensordot(np.array(list(votes.values())), opinions, 1)
    left_out = log_softmax(log_softmax(joint.tuned.left_out, axis=1) / 2 + stacked / 2, axis=1)

    weight, start = [], 0
    bias = targets.base_rates * joint.tuned.sharpness / 2
    for name, part in parts.items():
        own = np.zeros((part.rows.shape[1], len(classes)))
        if name in scales:
            end = start + len(own)
            own += scales[name] * joint.tuned.sharpness / 2 * joint.weight[start:end]
            own += votes[name] * alone[name].tuned.sharpness / 2 * alone[name].weight
            bias = bias + votes[name] * alone[name].tuned.sharpness / 2 * targets.base_rates
            start = end
        own /= part.spread[:, None]
        bias = bias - part.mean @ own
        weight.append(own.T)

    told = {name: _told(ridge.tuned.left_out, targets) for name, ridge in alone.items()}
    accuracy, log_loss = _told(left_out, targets)
    return GroupsFit(
        {
            name: GroupPart(float(scales.get(name, 0.0)), float(votes.get(name, 0.0)), *told.get(name, (None, None)))
            for name in groups
        },
        classes.astype(np.int64),
        np.concatenate(weight, axis=1),
        bias,
        joint.tuned.penalty,
        joint.tuned.sharpness,
        left_out,
        targets.judged,
        accuracy,
        log_loss,
        evaluations + (joint.tuned.evaluations if len(kept) > 1 else 0),
        _why(list(groups), kept, targets, searched),
    )


@dataclass(frozen=True)
class _Standardised:
    """(features - mean) / spread, times the roots of the counts."""

    rows: Float[np.ndarray, "n size"]
    mean: Float64[np.ndarray, " size"]
    spread: Float64[np.ndarray, " size"]

    @property
    def varies(self) -> bool:
        return bool(self.rows.any())


def _standardised(features: Float[np.ndarray, "n size"], targets: Targets) -> _Standardised:
    """Spread is the root of a feature's variance plus the mean variance of its group.

    So a feature that hardly moves in a few images does not become a large one by chance. Divided by the deviation
    alone, gradients of MNIST with a label a class told 38 % right, and so 52 %.
    """
    mean = np.asarray(targets.shares @ features, dtype=np.float64)
    centred = features - mean.astype(features.dtype)
    variance = np.asarray(targets.shares @ np.square(centred), dtype=np.float64)
    spread = np.sqrt(variance + variance.mean())
    # a group of constants, whatever rounding left of them
    still = np.sqrt(variance.mean()) <= 8 * np.finfo(features.dtype).eps * np.abs(mean).max()
    spread = np.ones_like(spread) if still else spread
    rows = np.zeros_like(features) if still else centred / spread.astype(features.dtype)
    return _Standardised(rows * targets.roots[:, None].astype(features.dtype), mean, spread)


@dataclass(frozen=True)
class _Ridge:
    """One ridge regression, tuned: p × classes weights on the features it was given, its intercept the base rates."""

    tuned: Tuned
    weight: Float64[np.ndarray, "p classes"]

    @classmethod
    def of(cls, features: Float[np.ndarray, "n p"], targets: Targets) -> _Ridge:
        decomposed = spectrum(features)
        found = tuned(decomposed, targets)
        return cls(found, coefficients(features, decomposed, targets, found.penalty))


def _kept(alone: Mapping[str, _Ridge], targets: Targets) -> list[str]:
    """The groups that alone, left out, tell more than the base rates; all where few are judged, or none does."""
    if targets.judged.sum() < ENOUGH_JUDGED:
        return list(alone)
    counts = targets.counts[targets.judged]
    chance = np.average(losses(np.log(targets.base_rates) + np.zeros_like(targets.one_hot), targets), weights=counts)
    useful = [
        name
        for name, ridge in alone.items()
        if np.average(losses(ridge.tuned.left_out, targets), weights=counts) < chance
    ]
    return useful or list(alone)


def _centred_part(
    rows: Float[np.ndarray, "n size"], index: Int64[np.ndarray, " m"], targets: Targets
) -> Float[np.ndarray, "m size"]:
    """Some of the standardised rows, of mean 0 by themselves."""
    if len(index) == len(rows):
        return rows
    part = targets.part(index)
    roots = part.roots[:, None].astype(rows.dtype)
    plain = rows[index] / roots
    return np.asarray((plain - (part.shares @ plain).astype(rows.dtype)) * roots)


def _told(scores: Float64[np.ndarray, "n classes"], targets: Targets) -> tuple[float | None, float | None]:
    """Accuracy and mean log-loss on the judged images, by count; None where there are none."""
    if not targets.judged.any():
        return None, None
    counts = targets.counts[targets.judged]
    right = (scores.argmax(1) == targets.labels)[targets.judged]
    return float(np.average(right, weights=counts)), float(np.average(losses(scores, targets), weights=counts))


def _why(names: list[str], kept: list[str], targets: Targets, searched: bool) -> str:
    """What was chosen, in words. `searched`: whether scales were, on images that can be judged."""
    judged = int(targets.judged.sum())
    if not judged:
        return "one label a class, so nothing can be left out: every feature counts alike"
    left = [name for name in names if name not in kept]
    chosen = "scales, votes and penalties" if searched or len(kept) < 2 else "votes and penalties"
    words = f"{chosen} by leave-one-out on {judged} images"
    if len(kept) > 1 and not searched:
        words += f"; {MOST_SEARCHED} images are one of each class or fewer, so scales are all alike"
    return words + (f"; left out, telling less than the shares of the classes: {', '.join(left)}" if left else "")
