"""Seeded, stratified splits that do not leak, and label budgets. NumPy in, index arrays out.

Images that belong together (one group as the user says, or nearly the same pixels) are never on both sides of a split.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from littoral.errors import InputError
from littoral.images.duplicates import find_duplicates
from littoral.images.store import ImageStore
from littoral.words import count

TEST_SHARE = 0.2
"""Part of the images held out for the test where the data came without a split."""

ATTEMPTS = 20
"""Orders in which groups are tried before it is said that they allow no split."""


def train_test(store: ImageStore, seed: int) -> tuple[ImageStore, ImageStore]:
    """The training and the test part, of the rows that `train_test_rows` tells."""
    train, test = train_test_rows(store, seed)
    return store.subset(train), store.subset(test)


def train_test_rows(store: ImageStore, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorted rows of the training and of the test part: as given where the data came split, else a stratified fifth.

    Data that came with training and validation images alone are tested on the latter. Raises InputError, naming the
    class, where a class cannot be on both sides, or has no training image in data that came split.
    """
    if store.split is not None:
        train, test = np.flatnonzero(store.split == "train"), held_out(store)
        if not len(train):
            raise InputError(f"{store.source} has no images to train on: add a train part")
        untrained = np.setdiff1d(store.labels[test], store.labels[train])
        if len(untrained):
            name = store.class_names[untrained[0]]
            raise InputError(f"the class {name!r} has test images but none to train on: add some or leave it out")
        return train, test
    ties = tied_images(store)
    for index, name in enumerate(store.class_names):
        own = ties[store.labels == index]
        if len(np.unique(own)) < 2:
            needs = f"the class {name!r} needs at least 2 different"
            if store.groups is None:
                raise InputError(f"{needs} images to be trained and tested; add some or leave it out")
            raise InputError(
                f"{needs} groups of images to be trained and tested, and its {count(len(own), 'image')} make one: add "
                "some, group them otherwise or leave it out"
            )
    return grouped_split(store.labels, ties, TEST_SHARE, seed)


def straddling(store: ImageStore) -> tuple[int, int]:
    """In data that came split: test images of a group, and test images tied to an image, that training has too."""
    if store.split is None:
        return 0, 0
    train, test = store.split == "train", store.split == _test_part(store.split)
    if not test.any():
        raise InputError(f"{store.source} came split, but has no images to test on: add a test part")

    def across(column: NDArray[np.int64] | None) -> int:
        return 0 if column is None else int(np.isin(column[test], column[train]).sum())

    return across(store.groups), across(store.ties)


def _test_part(split: NDArray[np.str_]) -> str:
    return "test" if "test" in split else "val"


def held_out(store: ImageStore) -> NDArray[np.int64]:
    """Rows of the test part of data that came split, or of their validation part where they have no test part."""
    assert store.split is not None  # asked by the caller
    found = np.flatnonzero(store.split == _test_part(store.split))
    if not len(found):
        raise InputError(f"{store.source} came split, but has no images to test on: add a test part")
    return found


def tied_images(store: ImageStore) -> NDArray[np.int64]:
    """A number for each image; images with the same number have to stay together.

    Tied are images of one group, images that are equal or nearly so, and what these tie in turn.
    """
    same = find_duplicates(store.images).ties if store.ties is None else store.ties
    if store.groups is None:
        return same
    # images are one kind of node, sets of (nearly) equal ones and groups the others; what hangs together stays together
    nodes = np.arange(len(store))
    equal, groups = len(store) + same, len(store) + same.max() + 1 + store.groups
    ends = np.concatenate([equal, groups])
    graph = coo_array((np.ones(len(ends), bool), (np.tile(nodes, 2), ends)), shape=(ends.max() + 1,) * 2)
    return connected_components(graph, directed=False)[1][: len(store)].astype(np.int64)


def grouped_split(
    labels: NDArray[np.int64], ties: NDArray[np.int64], share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two sorted index arrays; images with the same number in `ties` are on one side.

    The second holds `share` of each class, or as much of it as whole ties fill; at least one image of each class and
    never all of them. Raises InputError where no such split is found.
    """
    rng = np.random.default_rng(seed)
    classes, label = np.unique(labels, return_inverse=True)
    groups, group = np.unique(ties, return_inverse=True)
    # each group as its classes and how many images of each; groups are many and mostly of one image
    pairs, count = np.unique(group * len(classes) + label, return_counts=True)
    starts = np.searchsorted(pairs // len(classes), np.arange(len(groups) + 1))
    members = [
        (pairs[a:b] % len(classes), count[a:b]) for a, b in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    ]
    total = np.bincount(label)
    want = np.minimum(np.maximum(np.round(total * share), 1), total - 1).astype(np.int64)
    for _ in range(ATTEMPTS):
        held = _fill(members, total, want, rng.permutation(len(groups)))
        if held is not None:
            return np.flatnonzero(~held[group]), np.flatnonzero(held[group])
    raise InputError(
        "found no split with every class on both sides: every class needs images in two groups or more; "
        "add images, leave a class out, or group otherwise"
    )


def _fill(
    members: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
    total: NDArray[np.int64],
    want: NDArray[np.int64],
    order: NDArray[np.int64],
) -> NDArray[np.bool_] | None:
    """Which groups are held out, taken in this order as long as they fit; None when a class is left without."""
    taken, held = np.zeros_like(total), np.zeros(len(members), bool)
    for number in order:
        kinds, count = members[number]
        if (taken[kinds] + count <= want[kinds]).all():
            held[number] = True
            taken[kinds] += count
    if (taken > 0).all():
        return held
    for number in sorted(order, key=lambda number: int(members[number][1].sum())):  # large groups: the smallest first
        kinds, count = members[number]
        if not held[number] and (taken[kinds] == 0).any() and (taken[kinds] + count < total[kinds]).all():
            held[number] = True
            taken[kinds] += count
    return held if (taken > 0).all() else None


def each_class_in_turn(labels: NDArray[np.int64], at_most: int) -> NDArray[np.int64]:
    """Rows of so many images at most, rising: the first of each class, then the second of each, and so on."""
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    turn = np.empty(len(order), dtype=np.int64)
    turn[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen: NDArray[np.int64] = np.sort(np.argsort(turn, kind="stable")[:at_most])
    return chosen


def label_budget(labels: NDArray[np.int64], per_class: int, seed: int) -> NDArray[np.int64]:
    """Sorted indices of `per_class` images of each class that occurs.

    Budgets of one seed are nested: the images of 10 a class are among those of 30. Raises InputError when a class has
    fewer images than that.
    """
    if per_class < 1:
        raise InputError(f"labels per class must be at least 1, got {per_class}")
    rng = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < per_class:
            raise InputError(
                f"asked for {per_class} labels per class, but a class has {count(len(members), 'training image')}; "
                "ask for fewer"
            )
        chosen.append(rng.permutation(members)[:per_class])  # the prefix of one permutation: hence nested
    return np.sort(np.concatenate(chosen))


def grouped_folds(labels: NDArray[np.int64], ties: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """A fold for each image, 0 to `folds` - 1: stratified by class; images with the same number in `ties` share one.

    Raises InputError where a class has fewer different ties than folds, or would be missing outside of a fold.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    labels, ties = np.unique(labels, return_inverse=True)[1], np.unique(ties, return_inverse=True)[1]
    pairs = np.unique(np.stack([labels, ties]), axis=1)
    least = int(np.bincount(pairs[0]).min())
    if not 2 <= folds <= least:
        raise InputError(f"{folds} folds need a class to have as many different images or groups; one has {least}")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = np.zeros(len(labels), np.int64)
    for number, (_, held) in enumerate(splitter.split(np.zeros(len(labels)), labels, ties)):
        fold[held] = number
    for number in range(folds):
        if len(np.unique(labels[fold != number])) <= labels.max():
            raise InputError(f"found no {folds} folds that leave every class something to learn from; add images")
    return fold
