"""Which training images a calibration holds out, and finding them again when a model that was made so is exported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError
from littoral.images.named import NAMES
from littoral.images.splits import grouped_folds, grouped_split, label_budget, tied_images, train_test
from littoral.images.store import ImageStore, pixel_hashes
from littoral.training.run import TrainedModel

Way = Literal["auto", "holdout", "folds", "none"]

WAYS: tuple[Way, ...] = get_args(Way)

MANY = 10_000
"""Training images from which on `auto` holds some out: fewer are worth more in the training."""

HELD_OUT, MOST_HELD_OUT = 1 / 6, 10_000
"""Part of the training images that is held out, and how many at most."""

FOLDS = 3


def held_parts(store: ImageStore, seed: int, way: Way) -> list[NDArray[np.int64]]:
    """The rows of each part that is told by a training without it."""
    if way == "holdout" or (way == "auto" and len(store) >= MANY):
        share = min(HELD_OUT, MOST_HELD_OUT / len(store))
        return [grouped_split(store.labels, _ties(store), share, seed)[1]]
    fold = grouped_folds(store.labels, _ties(store), FOLDS, seed)
    return [np.flatnonzero(fold == number) for number in range(FOLDS)]


def _ties(store: ImageStore) -> NDArray[np.int64]:
    """As `tied_images`; of a public set only equal images, since to find those nearly so takes longer than `swift`."""
    if store.source in NAMES and store.ties is None:
        store = replace(store, ties=np.unique(pixel_hashes(store.images), return_inverse=True)[1].astype(np.int64))
    return tied_images(store)


@dataclass(frozen=True)
class Parted:
    """The training part of data: the images that a model was `trained` on, and those `held` out for its calibration."""

    trained: ImageStore
    held: ImageStore


def parted_again(trained: TrainedModel, data: ImageStore) -> Parted:
    """How the images were parted when this model was made by `littoral fit` of the same data.

    The parting is done again, by the seed of the record, and what it leaves to train on has to have the record's
    fingerprint. Raises InputError for a model without images held out, and for other data.
    """
    record, calibration = trained.record, trained.calibration
    if calibration is None or calibration.way != "holdout":
        raise InputError(
            "no images were held out of the model's training: make it with `littoral fit --calibrate holdout`"
        )
    lost = InputError(
        f"the images that were held out of the model's training are not found again in {data.source}: give the data "
        "that `littoral fit` was given, as it was"
    )
    try:
        part, _ = train_test(data, record["seed"])
        total = record["images"] + calibration.images
        if total < len(part):
            part = part.subset(label_budget(part.labels, total // len(np.unique(part.labels)), record["seed"]))
        (held,) = held_parts(part, record["seed"], "holdout")
    except (InputError, KeyError) as error:
        raise lost from error
    known = part.subset(np.setdiff1d(np.arange(len(part)), held))
    if known.fingerprint() != record["data_sha256"]:
        raise lost
    return Parted(known, part.subset(held))
