"""How much each head's opinion counts, learned from images that the heads were not trained on.

Stacking: Wolpert, Stacked generalization, Neural Networks 1992; with votes that are 0 or more and add up to 1, as
Breiman, Stacked regressions, Machine Learning 1996, found best. One head alone may get all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from scipy.optimize import LinearConstraint, minimize
from scipy.special import log_softmax, softmax

from littoral.errors import InputError
from littoral.images.splits import grouped_folds
from littoral.nn.inference import predict_opinions
from littoral.nn.model import FusionNet
from littoral.rows import ImageRows
from littoral.specs import ImageSpec
from littoral.training.loop import Silent, train
from littoral.training.recipe import Recipe

FOLDS = 3

LENGTH = 1 / 3
"""Part of the recipe's steps that each fold's network is trained for, so that all together cost one training."""


@dataclass(frozen=True)
class LearnedVotes:
    """`votes`: by head, in their order; None, with the `reason`, where there were no folds to learn them from.

    `images` were voted on, each by a network that was not trained on it; `seconds` it took.
    """

    votes: dict[str, float] | None
    images: int
    folds: int
    seconds: float
    reason: str | None = None


def best_votes(
    log_probabilities: Float64[np.ndarray, "heads n classes"], labels: Int64[np.ndarray, " n"]
) -> Float64[np.ndarray, " heads"]:
    """The votes v ≥ 0, Σ v = 1, of the least mean -log softmax(Σ v_i log p_i) at the labels.

    That is how `FusionNet.combined` joins opinions. The function is convex: there is one least value.
    """
    heads, n, _ = log_probabilities.shape
    at_label = log_probabilities[:, np.arange(n), labels]

    def loss_and_slope(votes: Float64[np.ndarray, " heads"]) -> tuple[float, Float64[np.ndarray, " heads"]]:
        together = np.tensordot(votes, log_probabilities, 1)
        loss = -log_softmax(together, axis=1)[np.arange(n), labels].mean()
        expected = (softmax(together, axis=1) * log_probabilities).sum(2)
        return float(loss), (expected - at_label).mean(1)

    found = minimize(
        loss_and_slope,
        np.full(heads, 1 / heads),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * heads,
        constraints=LinearConstraint(np.ones((1, heads)), 1, 1),
        tol=1e-10,
    )
    clipped = np.clip(found.x, 0, 1)
    votes: Float64[np.ndarray, " heads"] = clipped / clipped.sum()
    return votes


def votes_out_of_fold(
    fresh: Callable[[], FusionNet],
    images: UInt8[np.ndarray, "n height width channels"] | ImageRows,
    labels: Int64[np.ndarray, " n"],
    ties: Int64[np.ndarray, " n"],
    spec: ImageSpec,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    weights: Float64[np.ndarray, " n"] | None,
) -> LearnedVotes:
    """The votes that are best for images of each of three folds, told by a network trained on the other two.

    `fresh` makes a network with its first weights. Images with the same number in `ties` are in one fold. `weights`:
    how much each image counts in training, or None.
    """
    start = time.perf_counter()
    try:
        fold = grouped_folds(labels, ties, FOLDS, seed)
    except InputError as error:
        return LearnedVotes(None, 0, 0, time.perf_counter() - start, str(error))
    short = recipe.lasting(steps=max(1, round(LENGTH * recipe.total_steps(len(labels)))))
    told: list[Float32[np.ndarray, "heads m classes"]] = []
    for number in range(FOLDS):
        known, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        part = None if weights is None else weights[known] / weights[known].mean()
        model = fresh()
        names = model.voters
        rows = images.take(known) if isinstance(images, ImageRows) else images[known]
        train(model, rows, labels[known], spec, short, seed, device, Silent(), weights=part)
        kept = images.take(held) if isinstance(images, ImageRows) else images[held]
        told.append(predict_opinions(model, kept, spec))
    order = np.argsort(fold, kind="stable")
    best = best_votes(np.concatenate(told, axis=1).astype(np.float64), labels[order])
    votes = dict(zip(names, best.tolist(), strict=True))
    return LearnedVotes(votes, len(labels), FOLDS, time.perf_counter() - start)
