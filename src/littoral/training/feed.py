"""Stored images -> the batches of one epoch on the device: which images, in which order, with which weight."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from littoral.rows import ImageRows
from littoral.training.recipe import Recipe


def feed(
    images: UInt8[np.ndarray, "n height width channels"] | ImageRows, device: torch.device
) -> Callable[[Int64[Tensor, " batch"]], UInt8[Tensor, "batch height width channels"]]:
    """A function from the numbers of a batch's images (on the device) to their pixels (there too).

    Images in memory are moved to the device once; images in a file are read batch by batch.
    """
    if isinstance(images, ImageRows):
        return lambda batch: torch.from_numpy(images[batch.cpu().numpy()]).to(device)
    # torch can share the memory of an array that may be written and lies in one piece; of others it needs a copy
    shared = images.flags.writeable and images.flags.c_contiguous
    data = (torch.from_numpy(images) if shared else torch.tensor(images)).to(device)
    return lambda batch: data[batch]


def order_of(recipe: Recipe, labels: Int64[np.ndarray, " n"], rng: np.random.Generator) -> Int64[np.ndarray, " drawn"]:
    """The numbers of the images of one epoch, in the order in which they are drawn: one pass, or as many as it takes.

    With full batches a pass that is longer than an epoch loses its last images, others each time.
    """

    def one_pass() -> Int64[np.ndarray, " n"]:
        return balanced_order(labels, rng) if recipe.balance == "sampler" else rng.permutation(len(labels))

    if not recipe.full_batches:
        return one_pass()
    needed = recipe.steps_per_epoch(len(labels)) * recipe.batch_size
    passes = [one_pass() for _ in range(-(-needed // len(labels)))]
    return np.concatenate(passes)[:needed]


def balanced_order(labels: Int64[np.ndarray, " n"], rng: np.random.Generator) -> Int64[np.ndarray, " n"]:
    """n numbers of images, shuffled, with every class that occurs drawn equally often (a difference of 1 at most).

    Each image of a class is drawn once before any is drawn again.
    """
    classes = np.unique(labels)
    shares = np.full(len(classes), len(labels) // len(classes))
    shares[rng.permutation(len(classes))[: len(labels) % len(classes)]] += 1
    drawn = []
    for label, share in zip(classes, shares, strict=True):
        members = np.flatnonzero(labels == label)
        rounds = [rng.permutation(members) for _ in range(-(-share // len(members)))]
        drawn.append(np.concatenate([*rounds, members[:0]])[:share])
    return rng.permutation(np.concatenate(drawn))


def class_balanced_weights(labels: Int64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """A weight an image, inverse to the size of its class; of mean 1 (scikit-learn's `class_weight="balanced"`)."""
    classes, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return (len(labels) / (len(classes) * counts))[index]
