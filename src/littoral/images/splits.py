"""Seeded, stratified splits and label budgets over class indices. NumPy in, index arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError
from littoral.images.store import ImageStore

TEST_SHARE = 0.2
"""Part of the images held out for the test where the data came without a split."""


def train_test(store: ImageStore, seed: int) -> tuple[ImageStore, ImageStore]:
    """The training and the test part: as given where the data came split, else a stratified fifth for the test."""
    if store.split is not None:
        train, test = (np.flatnonzero(store.split == part) for part in ("train", "test"))
    else:
        train, test = stratified_split(store.labels, TEST_SHARE, seed)
    if not len(train) or not len(test):
        raise InputError(f"need images to train on and to test on, got {len(train)} and {len(test)}")
    return store.subset(train), store.subset(test)


def stratified_split(labels: NDArray[np.int64], share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two sorted index arrays; the second holds `share` of each class, rounded, at least one and never all of it.

    Raises InputError for a class with one image, which cannot be on both sides.
    """
    rng = np.random.default_rng(seed)
    second = []
    for members in _members(labels):
        if len(members) < 2:
            raise InputError("every class needs at least 2 images to be split, got 1; add images or leave it out")
        count = min(max(round(len(members) * share), 1), len(members) - 1)
        second.append(rng.permutation(members)[:count])
    chosen = np.sort(np.concatenate(second))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def label_budget(labels: NDArray[np.int64], per_class: int, seed: int) -> NDArray[np.int64]:
    """Sorted indices of `per_class` images of each class that occurs.

    Budgets of one seed are nested: the images of 10 a class are among those of 30.

    Raises InputError when a class has fewer images than that.
    """
    if per_class < 1:
        raise InputError(f"labels per class must be at least 1, got {per_class}")
    rng = np.random.default_rng(seed)
    chosen = []
    for members in _members(labels):
        if len(members) < per_class:
            raise InputError(
                f"asked for {per_class} labels per class, but a class has {len(members)} training images; ask for fewer"
            )
        chosen.append(rng.permutation(members)[:per_class])  # the prefix of one permutation: hence nested
    return np.sort(np.concatenate(chosen))


def _members(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]
