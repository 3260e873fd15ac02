"""Seeded, stratified splits that do not leak, and label budgets. NumPy in, index arrays out.

Images that belong together (one group as the user says, or the same pixels) are never on both sides of a split.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from littoral.errors import InputError
from littoral.images.store import ImageStore

TEST_SHARE = 0.2
"""Part of the images held out for the test where the data came without a split."""


def train_test(store: ImageStore, seed: int) -> tuple[ImageStore, ImageStore]:
    """The training and the test part: as given where the data came split, else a stratified fifth for the test.

    Data that came with training and validation images alone are tested on the latter. Raises InputError, naming the
    class, where a class cannot be on both sides.
    """
    if store.split is not None:
        train_part, test_part = store.subset(np.flatnonzero(store.split == "train")), held_out(store)
    else:
        ties = tied_images(store)
        for index, name in enumerate(store.class_names):
            if len(np.unique(ties[store.labels == index])) < 2:
                apart = "images" if store.groups is None else "groups of images"
                raise InputError(
                    f"the class {name!r} needs at least 2 different {apart} to be trained and tested; "
                    "add some or leave it out"
                )
        train, test = grouped_split(store.labels, ties, TEST_SHARE, seed)
        train_part, test_part = store.subset(train), store.subset(test)
    if not len(train_part):
        raise InputError(f"{store.source} has no images to train on")
    return train_part, test_part


def held_out(store: ImageStore) -> ImageStore:
    """The test part of data that came split, or their validation part where they have no test part."""
    assert store.split is not None  # asked by the caller
    found = store.subset(np.flatnonzero(store.split == ("test" if (store.split == "test").any() else "val")))
    if not len(found):
        raise InputError(f"{store.source} came split, but has no images to test on: add a test part")
    return found


def tied_images(store: ImageStore) -> NDArray[np.int64]:
    """A number for each image; images with the same number have to stay together.

    Tied are images of one group and images with the same pixels, and what these tie in turn.
    """
    flat = np.ascontiguousarray(store.images).reshape(len(store), -1)
    same = np.unique(flat.view(np.dtype((np.void, flat.shape[1]))).ravel(), return_inverse=True)[1]
    if store.groups is None:
        return same.astype(np.int64)
    # images are one kind of node, sets of equal pixels and groups the others; what hangs together stays together
    nodes = np.arange(len(store))
    pixels, groups = len(store) + same, len(store) + same.max() + 1 + store.groups
    ends = np.concatenate([pixels, groups])
    graph = coo_array((np.ones(len(ends), bool), (np.tile(nodes, 2), ends)), shape=(ends.max() + 1,) * 2)
    return connected_components(graph, directed=False)[1][: len(store)].astype(np.int64)


def exact_duplicates(store: ImageStore) -> int:
    """How many images have the pixels of an earlier one."""
    return len(store) - len(np.unique(tied_images(replace(store, groups=None))))


def stratified_split(labels: NDArray[np.int64], share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two sorted index arrays; the second holds `share` of each class, rounded, at least one and never all of it."""
    return grouped_split(labels, np.arange(len(labels)), share, seed)


def grouped_split(
    labels: NDArray[np.int64], ties: NDArray[np.int64], share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two sorted index arrays; images with the same number in `ties` are on one side.

    The second holds `share` of each class, or as much of it as whole ties fill; at least one image of each class and
    never all of them. Raises InputError where the ties allow no such split.
    """
    rng = np.random.default_rng(seed)
    classes, index = np.unique(labels, return_inverse=True)
    _, group = np.unique(ties, return_inverse=True)
    counts = np.zeros((group.max() + 1, len(classes)), np.int64)  # images of each class in each group
    np.add.at(counts, (group, index), 1)
    total, groups_of_class = counts.sum(0), (counts > 0).sum(0)
    if (groups_of_class < 2).any():
        raise InputError("every class needs at least 2 images that may be parted, got 1; add images or leave it out")
    want = np.clip(np.round(total * share), 1, total - 1).astype(np.int64)
    taken, held = np.zeros(len(classes), np.int64), np.zeros(len(counts), bool)
    order = rng.permutation(len(counts))
    for member in order:  # as many groups as fit
        if (taken + counts[member] <= want).all():
            held[member] = True
            taken += counts[member]
    for short in np.flatnonzero(taken == 0):  # a class of large groups alone: the smallest of them
        if taken[short]:
            continue
        having = order[(counts[order, short] > 0) & ~held[order]]
        having = having[(taken + counts[having] < total).all(1)]
        if not len(having):
            raise InputError("the groups tie the classes together so that no split has every class on both sides")
        smallest = having[counts[having].sum(1).argmin()]
        held[smallest] = True
        taken += counts[smallest]
    return np.flatnonzero(~held[group]), np.flatnonzero(held[group])


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
                f"asked for {per_class} labels per class, but a class has {len(members)} training images; ask for fewer"
            )
        chosen.append(rng.permutation(members)[:per_class])  # the prefix of one permutation: hence nested
    return np.sort(np.concatenate(chosen))
