"""Which preset for these images: a trained one and those that train nothing, tried on the same few training images.

Choosing sees training images alone. What it costs is bounded: `MOST_IMAGES` images are looked at, and the trainings
have `SECONDS` together. Leaves to others: reading the images larger for a preset that takes them so (`cli/auto.py`,
`estimator.py`), and what is done with the choice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int64

from littoral.errors import InputError
from littoral.images.splits import each_class_in_turn, grouped_folds, label_budget, tied_images, train_test_rows
from littoral.images.store import ImageStore
from littoral.nn.inference import predict_from_vectors, predict_probabilities
from littoral.training.beforehand import features_beforehand
from littoral.training.loop import Silent
from littoral.training.presets import FEW_LABELS, Preset, default_preset, get_arm, get_preset, require_weights
from littoral.training.run import fit_arm

AUTO = "auto"
"""What is given in place of a preset's name to have one chosen."""

MOST_IMAGES = 600
"""Training images that are looked at, as many of each class as can be."""

FOLDS = 3

SECONDS = 60.0
"""For the trainings of all folds together, of no more steps than the preset has. What trains nothing takes as long as
its features: some ms an image."""

CHECKED = "few"
"""The preset that is trained for the check, where it is the default; with more labels no check is needed."""

UNTRAINED = ("probe", "transfer")
"""Of equal ones the first is taken, after the trained one."""

UNCHECKED = ("transfer", "probe")
"""With one label a class, or groups that no folds part, nothing can be checked; then the first of these that can be."""


@dataclass(frozen=True)
class Choice:
    """The preset, and what was tried: by preset, the share (0 to 1) of `images` that fits of the others told right.

    `refused`: why a preset could not be tried. `seconds`: what the choosing took. `why`: all of it in words.
    """

    preset: str
    accuracies: Mapping[str, float]
    refused: Mapping[str, str]
    images: int
    seconds: float
    why: str


@dataclass(frozen=True)
class Larger:
    """The same images as some data, less scaled down; `rows`: which of them each image of the data is, in its order."""

    store: ImageStore
    rows: Int64[np.ndarray, " n"]


def choice_for(
    data: ImageStore,
    seed: int,
    labels_per_class: int | None,
    device: torch.device,
    larger: Larger | None = None,
) -> Choice:
    """The preset for the training part of these images, or for so many labels a class of it; see `choose_preset`.

    The labels looked at are among those that a fit to `data` would have. A split depends on the pixels: images that are
    tested on where they are `larger` are not looked at either. Where that leaves a class without any, all are tried as
    they are in `data`.
    """
    train, _ = train_test_rows(data, seed)
    if labels_per_class is not None:
        train = train[label_budget(data.labels[train], labels_per_class, seed)]
    if larger is not None:
        also, _ = train_test_rows(larger.store, seed)
        both = train[np.isin(larger.rows[train], also)]
        if np.array_equal(np.unique(data.labels[both]), np.unique(data.labels[train])):
            train = both
        else:
            larger = None
    large = None if larger is None else larger.store.subset(larger.rows[train])
    return choose_preset(data.subset(train), seed, device, large)


def side_to_try(store: ImageStore) -> int | None:
    """The longer side at which a preset is tried that takes larger images than these; None where there is none.

    None too where reading them again would cost too much, with more than `FEW_LABELS` images a class.
    """
    usual = default_preset(store.labels)
    if usual.name != CHECKED or max(store.images.shape[1:3]) < usual.largest:
        return None
    side = max(preset.largest for preset in (usual, *_able(store)[0].values()))
    return side if side > usual.largest else None


def choose_preset(store: ImageStore, seed: int, device: torch.device, large: ImageStore | None = None) -> Choice:
    """The preset of the best cross-validated accuracy among `few`, `probe` and `transfer`.

    `store`: training images; `large`: the same ones, in the same order, for a preset that takes larger images than
    `few`. Folds keep together what must not be parted; where there are none such, `UNCHECKED` says which preset it is.
    With more than `FEW_LABELS` images a class nothing is tried: there are enough to train a network.
    """
    start = time.perf_counter()
    trained = default_preset(store.labels)
    if trained.name != CHECKED:
        why = f"{trained.name}, since more than {FEW_LABELS:,} images a class are enough to train a network"
        return Choice(trained.name, {}, {}, 0, 0.0, why)
    some = each_class_in_turn(store.labels, max(MOST_IMAGES, 2 * len(store.class_names)))
    part = store.subset(some)
    seen = {
        name: part if large is None or get_preset(name).largest <= trained.largest else large.subset(some)
        for name in UNTRAINED
    }
    able, refused = _able(part)
    ties = tied_images(part)
    least = min(len(np.unique(ties[part.labels == label])) for label in np.unique(part.labels))
    by_rule = next((name for name in UNCHECKED if name in able), trained.name)
    if least < 2:
        why = f"{by_rule}, by rule: with one image of a class there is nothing to check on"
        return Choice(by_rule, {}, refused, 0, time.perf_counter() - start, why)
    try:
        folds = grouped_folds(part.labels, ties, min(FOLDS, least), seed)
    except InputError as error:
        why = f"{by_rule}, by rule, as there is nothing to check on: {error}"
        return Choice(by_rule, {}, refused, 0, time.perf_counter() - start, why)
    right = {}
    right[trained.name], share = _trained_right(trained, part, folds, seed, device)
    right |= {name: _fitted_right(preset, seen[name], folds, seed, device) for name, preset in able.items()}
    accuracies = {name: float(found.mean()) for name, found in right.items()}
    best = max(accuracies, key=lambda name: accuracies[name])  # of equal ones the first
    seconds = time.perf_counter() - start
    told = ", ".join(
        f"{name} {100 * share:.1f} %{_size(seen.get(name, part), part)}" for name, share in accuracies.items()
    )
    cut = "" if share == 1 else f", enough for {max(1, round(100 * share))} % of its steps"
    why = (
        f"{best}, by {folds.max() + 1}-fold cross-validation on {len(part):,} training images: {told} "
        f"({trained.name} had at most {SECONDS / (folds.max() + 1):.0f} s a fold{cut}); it took {seconds:.0f} s"
    )
    return Choice(best, accuracies, refused, len(part), seconds, why)


def _size(seen: ImageStore, part: ImageStore) -> str:
    """How large the images were, where that is another size than that of `part`."""
    height, width = seen.images.shape[1:3]
    return "" if seen is part else f" at {height}×{width} pixels"


def _able(part: ImageStore) -> tuple[dict[str, Preset], dict[str, str]]:
    """The presets without training that can be, and why the others cannot."""
    able, refused = {}, {}
    for name in UNTRAINED:
        preset = get_preset(name)
        try:
            require_weights(preset, ["fused"])
            get_arm(preset, "fused", part.spec().shape, len(part.class_names))
            able[name] = preset
        except InputError as error:
            refused[name] = str(error)
    return able, refused


def _trained_right(
    preset: Preset, part: ImageStore, folds: Int64[np.ndarray, " n"], seed: int, device: torch.device
) -> tuple[Bool[np.ndarray, " n"], float]:
    """Which images a network tells right that was trained on the other folds, within its share of the time.

    And the share of its steps, 0 to 1, that it had time for, the least of all folds.
    """
    right, share = np.zeros(len(part), bool), 1.0
    for fold in range(folds.max() + 1):
        known, told = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        budget = SECONDS / (int(folds.max()) + 1)
        most = preset.recipe.total_steps(len(known))
        images = part.subset(known)
        model = fit_arm(
            preset, "fused", preset.recipe, images, seed, device, Silent(), time_budget=budget, most_steps=most
        )
        share = min(share, model.record["steps"] / most)
        probabilities = predict_probabilities(model.model, part.subset(told).images, model.image)
        right[told] = probabilities.argmax(1) == part.labels[told]
    return right, share


def _fitted_right(
    preset: Preset, part: ImageStore, folds: Int64[np.ndarray, " n"], seed: int, device: torch.device
) -> Bool[np.ndarray, " n"]:
    """The same of a preset without training."""
    config = get_arm(preset, "fused", part.spec().shape, len(part.class_names))
    rows = np.arange(len(part))
    features = features_beforehand([config], part.images, rows, part.spec(), part.source, device).of(config, rows)
    right = np.zeros(len(part), bool)
    for fold in range(folds.max() + 1):
        known, told = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        images, vectors = part.subset(known), features[known]
        model = fit_arm(preset, "fused", preset.recipe, images, seed, device, Silent(), features=vectors)
        right[told] = predict_from_vectors(model.model, features[told]).argmax(1) == part.labels[told]
    return right
