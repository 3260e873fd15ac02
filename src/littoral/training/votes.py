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
from jaxtyping import Float32, Float64

from littoral.errors import InputError
from littoral.images.splits import each_class_in_turn, grouped_folds, tied_images
from littoral.images.store import ImageStore
from littoral.nn.inference import predict_opinions
from littoral.nn.model import FusionNet
from littoral.training.feed import class_balanced_weights
from littoral.training.loop import Observer, Plan, Silent, train
from littoral.training.recipe import Recipe
from littoral.training.stacking import believed_votes

FOLDS = 3

SHARE = 0.2
"""Of the recipe's steps, for the networks of all folds together."""

LEAST_STEPS = 50
"""Of each fold's network. Shorter ones were not tried, and would give the simplest features nearly all votes."""

MOST_IMAGES = 3000
"""Images that are voted on. A few votes need no more, and however many images there are, it takes no longer."""

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


def steps_of_fold(total: int) -> int:
    """The steps of each fold's network, of so many in all; 0 where they are too few to learn votes by."""
    length = round(SHARE * total / FOLDS)
    return length if length >= LEAST_STEPS else 0


def votes_out_of_fold(
    fresh: Callable[[], FusionNet],
    store: ImageStore,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    observer: Observer,
    weights: Float64[np.ndarray, " n"] | None,
) -> LearnedVotes:
    """The votes that are best for images of each of three folds, told by a network trained on the other two.

    `fresh` makes a network with its first weights, and with the votes that are held to where few images speak against
    them. `recipe` says how long all of it takes, the training of the kept network too. `weights`: how much each image
    counts, or None; those of weight 0 are left out. Images that belong together are in one fold.
    """
    start = time.perf_counter()
    total = recipe.total_steps(len(store))
    length = steps_of_fold(total)
    if not length:
        return LearnedVotes(None, 0, 0, 0, 0.0, f"{total} steps have no share for networks of {FOLDS} folds")
    counts = np.ones(len(store)) if weights is None else weights
    rows = np.flatnonzero(counts)
    rows = rows[each_class_in_turn(store.labels[rows], MOST_IMAGES)]
    part, counts = store.subset(rows), counts[rows] / counts[rows].mean()
    try:
        fold = grouped_folds(part.labels, tied_images(part), FOLDS, seed)
    except InputError as error:
        return LearnedVotes(None, 0, 0, 0, time.perf_counter() - start, str(error))
    observer.on_start(Plan(len(part), FOLDS * length, FOLDS * length, 0, "votes"))
    short, spec = recipe.lasting(steps=length), store.spec()
    told: list[Float32[np.ndarray, "heads m classes"]] = []
    for number in range(FOLDS):
        known, held = part.subset(np.flatnonzero(fold != number)), part.subset(np.flatnonzero(fold == number))
        own = None if weights is None else counts[fold != number] / counts[fold != number].mean()
        model = fresh()
        believed, names = model.votes.double().numpy(), model.voters
        follow = _AsOne(observer, number * length)
        train(model, known.images, known.labels, spec, short, seed, device, follow, weights=own)
        told.append(predict_opinions(model, held.images, spec))
    order = np.argsort(fold, kind="stable")
    if recipe.balance == "sampler":
        counts = counts * class_balanced_weights(part.labels)
    opinions = np.concatenate(told, axis=1).astype(np.float64)
    best = believed_votes(opinions, part.labels[order], counts[order], believed, BELIEF)
    votes = dict(zip(names, best.tolist(), strict=True))
    return LearnedVotes(votes, len(part), FOLDS, FOLDS * length, time.perf_counter() - start)


class _AsOne(Silent):
    """Lets an observer follow several trainings as one; `before`: the steps of those that are done."""

    def __init__(self, observer: Observer, before: int) -> None:
        self.observer = observer
        self.before = before

    def on_steps(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        """The step reached in all of them."""
        self.observer.on_steps(1, self.before + step, loss, accuracy, images_per_second)
