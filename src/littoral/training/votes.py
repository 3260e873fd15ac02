"""How much each head's opinion counts, learned from images that the heads were not trained on.

Three networks are trained for a short while, each on two thirds of the images, and tell the last third. How good each
head is in the end, they cannot say; which of them to believe on such images, they can (benchmarks/fusion).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8

from littoral.errors import InputError
from littoral.images.splits import grouped_folds
from littoral.nn.inference import predict_opinions
from littoral.nn.model import FusionNet
from littoral.rows import ImageRows
from littoral.specs import ImageSpec
from littoral.training.loop import Observer, Plan, Silent, train
from littoral.training.recipe import Recipe
from littoral.training.stacking import believed_votes

FOLDS = 3

SHARE = 0.2
"""Of the recipe's steps, for the networks of all folds together."""

BELIEF = 10.0
"""How many images it is worth that votes are as in a network whose votes are not learned."""


@dataclass(frozen=True)
class LearnedVotes:
    """`votes`: by head, in their order; None, with the `reason`, where there were no folds to learn them from.

    `images` were voted on, each by a network that was not trained on it; `steps`: of the networks of all folds, which
    took so many `seconds` together.
    """

    votes: dict[str, float] | None
    images: int
    folds: int
    steps: int
    seconds: float
    reason: str | None = None


def votes_out_of_fold(
    fresh: Callable[[], FusionNet],
    images: UInt8[np.ndarray, "n height width channels"] | ImageRows,
    labels: Int64[np.ndarray, " n"],
    ties: Int64[np.ndarray, " n"],
    spec: ImageSpec,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    observer: Observer,
    weights: Float64[np.ndarray, " n"] | None,
) -> LearnedVotes:
    """The votes that are best for images of each of three folds, told by a network trained on the other two.

    `fresh` makes a network with its first weights, and with the votes that are held to where few images speak against
    them. Images with the same number in `ties` are in one fold. `weights`: how much each image counts, on average 1, or
    None; those of weight 0 are left out.
    """
    start = time.perf_counter()
    counts = np.ones(len(labels)) if weights is None else weights
    counted = np.flatnonzero(counts)
    length = round(SHARE * recipe.total_steps(len(labels)) / FOLDS)
    if not length:
        return LearnedVotes(None, 0, 0, 0, 0.0, "so short a training has no share for networks of folds")
    try:
        fold = grouped_folds(labels[counted], ties[counted], FOLDS, seed)
    except InputError as error:
        return LearnedVotes(None, 0, 0, 0, time.perf_counter() - start, str(error))
    observer.on_start(Plan(len(counted), FOLDS * length, FOLDS * length, 0, "votes"))
    told: list[Float32[np.ndarray, "heads m classes"]] = []
    for number in range(FOLDS):
        known, held = counted[fold != number], counted[fold == number]
        part = None if weights is None else weights[known] / weights[known].mean()
        model = fresh()
        believed, names = model.votes.double().numpy(), model.voters
        rows = images.take(known) if isinstance(images, ImageRows) else images[known]
        follow = _AsOne(observer, number * length)
        train(model, rows, labels[known], spec, recipe.lasting(steps=length), seed, device, follow, weights=part)
        kept = images.take(held) if isinstance(images, ImageRows) else images[held]
        told.append(predict_opinions(model, kept, spec))
    order = counted[np.argsort(fold, kind="stable")]
    opinions = np.concatenate(told, axis=1).astype(np.float64)
    best = believed_votes(opinions, labels[order], counts[order], believed, BELIEF)
    votes = dict(zip(names, best.tolist(), strict=True))
    return LearnedVotes(votes, len(counted), FOLDS, FOLDS * length, time.perf_counter() - start)


class _AsOne(Silent):
    """Lets an observer follow several trainings as one; `before`: the steps of those that are done."""

    def __init__(self, observer: Observer, before: int) -> None:
        self.observer = observer
        self.before = before

    def on_steps(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        """The step reached in all of them."""
        self.observer.on_steps(1, self.before + step, loss, accuracy, images_per_second)
