"""Training on few labels and many images without: labels are spread over a graph of all images and then trained on.

The graph joins images that the trained network finds alike, by the features of all its branches: shallow features tell
apart what deep ones confuse, and the other way round. Spreading and training take turns, since a network that was
trained on the spread labels gives better features.

Leaves to others: the spreading (`propagate.py`), the training (`loop.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from littoral.errors import InputError
from littoral.images.splits import grouped_folds
from littoral.nn.inference import branch_vectors, predict_probabilities
from littoral.nn.model import FusionNet
from littoral.specs import ImageSpec
from littoral.training.history import EpochRecord
from littoral.training.loop import Observer, Silent, train
from littoral.training.propagate import propagate, similarity_graph
from littoral.training.recipe import Recipe

ROUNDS = 5
"""Times that labels are spread and trained on. Four were looked at one by one: the error fell to the last of them."""

COMPONENTS = 100
"""Principal components of the features that images are compared by."""

MANY_NUMBERS = 4096
"""Numbers in the features up to which all their principal components are found, exactly; of more, those needed."""

CHECKED_ON = 10_000
"""Images without label, at most, that the check spreads labels over."""

CHECK_SHARE = 1 / 3
"""The check trains for this part of the recipe's steps."""


@dataclass(frozen=True)
class Unlabelled:
    """What became of the images without a label. `used`: they were trained on.

    `held_out`: labels that the check kept back, in two halves; of these `alone` were told right by a network trained on
    the other half alone, `spread` by spreading the labels of the other half. None where nothing could be checked: a
    class has but one label, or images that belong together, which no two halves part.
    """

    images: int
    used: bool
    held_out: int | None = None
    alone: int | None = None
    spread: int | None = None


def check_spreading(
    fresh: Callable[[int], FusionNet],
    images: UInt8[np.ndarray, "n height width channels"],
    labels: Int64[np.ndarray, " m"],
    ties: Int64[np.ndarray, " m"],
    classes: int,
    spec: ImageSpec,
    recipe: Recipe,
    seed: int,
    device: torch.device,
) -> Unlabelled:
    """Whether images without a label are of use: each half of the labels is told by the other, with and without them.

    `images`, of which the first m have `labels`. `ties`: a number for each label; images of the same number stay on one
    side, see `tied_images`. They are to be left out where spreading tells fewer held-out labels right than the labels
    alone.
    """
    m, unlabelled = len(labels), len(images) - len(labels)
    rng = np.random.default_rng([seed, 1])
    try:
        half = _halves(labels, ties, seed, rng)
    except InputError:
        return Unlabelled(unlabelled, used=True)
    some = m + np.sort(rng.permutation(unlabelled)[:CHECKED_ON])
    short = recipe.lasting(steps=max(1, round(CHECK_SHARE * recipe.total_steps(m // 2))))
    alone = spread = 0
    for held in (0, 1):
        known, kept = np.flatnonzero(half != held), np.flatnonzero(half == held)
        model = fresh(seed)
        train(model, images[known], labels[known], spec, short, seed, device, Silent())
        alone += int((predict_probabilities(model, images[kept], spec).argmax(1) == labels[kept]).sum())
        shares = _spread(model, images[np.concatenate([known, kept, some])], labels[known], classes, spec)
        told = shares[len(known) : len(known) + len(kept)].argmax(1)
        spread += int((told == labels[kept]).sum())
    return Unlabelled(unlabelled, spread >= alone, m, alone, spread)


def train_with_unlabelled(
    fresh: Callable[[int], FusionNet],
    images: UInt8[np.ndarray, "n height width channels"],
    labels: Int64[np.ndarray, " m"],
    classes: int,
    spec: ImageSpec,
    recipe: Recipe,
    after: Recipe,
    seed: int,
    device: torch.device,
    observer: Observer,
) -> tuple[FusionNet, list[EpochRecord]]:
    """A network trained on `images`, of which the first m have `labels`: the others by spread labels.

    `fresh` makes a network from a seed. `recipe` is the training on the labels, `after` that on spread labels, which
    count the less the less they are sure. Votes of heads are those that `fresh` gives, in both.
    """
    m = len(labels)
    model = fresh(seed)
    history = train(model, images[:m], labels, spec, recipe, seed, device, observer)
    for number in range(1, ROUNDS + 1):
        shares = _spread(model, images, labels, classes, spec)
        shares[:m] = np.eye(classes)[labels]
        weights = sureness(shares)
        more = train(
            model,
            images,
            shares.argmax(1),
            spec,
            after,
            seed + number,
            device,
            observer,
            weights=weights / weights.mean(),
        )
        first, last = len(history), history[-1].step
        history += [replace(record, epoch=record.epoch + first, step=record.step + last) for record in more]
    return model, history


def sureness(shares: Float64[np.ndarray, "n classes"]) -> Float64[np.ndarray, " n"]:
    """One less the entropy over that of no knowledge: 1 where a row names one class, 0 where all are alike."""
    entropy = -(shares * np.log(np.maximum(shares, 1e-12))).sum(1)
    sure: Float64[np.ndarray, " n"] = np.clip(1 - entropy / np.log(shares.shape[1]), 0, 1)
    return sure


def _halves(
    labels: Int64[np.ndarray, " m"], ties: Int64[np.ndarray, " m"], seed: int, rng: np.random.Generator
) -> Int64[np.ndarray, " m"]:
    """0 or 1 for each label, half of each class, as near as ties allow; InputError where there are no such halves."""
    if len(np.unique(ties)) < len(ties) or np.unique(labels, return_counts=True)[1].min() < 2:
        return grouped_folds(labels, ties, 2, seed)
    half = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        half[members] = np.arange(len(members)) % 2
    return half


def _spread(
    model: FusionNet,
    images: UInt8[np.ndarray, "n height width channels"],
    labels: Int64[np.ndarray, " m"],
    classes: int,
    spec: ImageSpec,
) -> Float64[np.ndarray, "n classes"]:
    """The share of each class in each image, from the labels of the first m, by what `model` finds alike."""
    # NumPy and scikit-learn have threads of their own, which would go against torch's number and wait for each other
    with threadpool_limits(torch.get_num_threads()):
        graph = similarity_graph(_features(model, images, spec))
        return propagate(graph, np.arange(len(labels)), labels, classes)


def _features(
    model: FusionNet, images: UInt8[np.ndarray, "n height width channels"], spec: ImageSpec
) -> Float32[np.ndarray, "n size"]:
    """The features of all fused branches, one after the other, as their principal components."""
    found = branch_vectors(model, images, spec)
    components = min(COMPONENTS, *found.shape)
    solver = "covariance_eigh" if found.shape[1] <= MANY_NUMBERS else "randomized"
    reduced: Float32[np.ndarray, "n size"] = PCA(components, svd_solver=solver, random_state=0).fit_transform(found)
    return reduced.astype(np.float32)
