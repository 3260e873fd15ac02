"""Images without a label that a study may name: which of them each seed may judge, and what its models say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8

from littoral.errors import InputError
from littoral.images.store import ImageStore, pixel_hashes
from littoral.nn.inference import predict_from_vectors, predict_probabilities
from littoral.nn.model import FusionNetConfig
from littoral.rows import ImageRows
from littoral.studies.contestants import Parts
from littoral.training.beforehand import Beforehand, features_beforehand
from littoral.training.run import TrainedModel


@dataclass(frozen=True)
class Pool:
    """`rows`: by seed, the rows of `images` without a label for it; `names`: of each image, or none."""

    images: UInt8[np.ndarray, "n height width channels"] | ImageRows
    rows: Mapping[int, Int64[np.ndarray, " m"]]
    names: Sequence[str]


def pool_of_rest(
    data: ImageStore, whole: Mapping[int, Parts], within: Mapping[int, Parts], names: Sequence[str]
) -> Pool:
    """The training images that a budget leaves over with the first seed; names are those of `data`, or none.

    Another seed judges those of them that it leaves over too.
    """
    check_names(len(data), names)
    rest = {seed: np.setdiff1d(part.train, within[seed].train) for seed, part in whole.items()}
    first = next(iter(rest.values()))
    return Pool(data.images, {seed: np.intersect1d(rows, first) for seed, rows in rest.items()}, names)


def pool_of(
    data: ImageStore,
    images: UInt8[np.ndarray, "n height width channels"],
    seeds: Sequence[int],
    names: Sequence[str],
) -> Pool:
    """The same `images` for every seed, each once, but for those that equal an image of `data`.

    Raises InputError for images of another form than those of `data`.
    """
    if images.dtype != np.uint8 or images.shape[1:] != data.images.shape[1:]:
        raise InputError(
            f"images without a label must be uint8 (m, height, width, channels) as the others are, "
            f"{('m', *data.images.shape[1:])}, got {images.dtype} of shape {images.shape}"
        )
    check_names(len(images), names)
    hashes = pixel_hashes(images)
    once = np.unique(hashes, return_index=True)[1]
    rows = np.sort(once[~np.isin(hashes[once], pixel_hashes(data.images))]).astype(np.int64)
    return Pool(images, dict.fromkeys(seeds, rows), names)


def pool_features(
    pool: Pool,
    configs: Sequence[FusionNetConfig],
    data: ImageStore,
    place: torch.device,
    on_progress: Callable[[int, int], None],
) -> Beforehand | None:
    """What these networks fuse of all images that a seed may judge, computed once; None where there is no such image.

    `data`: the images that the study trains on, which are of the same form.
    """
    rows = np.concatenate(list(pool.rows.values()))
    if not len(rows):
        return None
    return features_beforehand(configs, pool.images, rows, data.spec(), data.source, place, on_progress)


def mean_opinion(
    pool: Pool, models: Mapping[int, TrainedModel], place: torch.device, features: Beforehand | None = None
) -> tuple[Int64[np.ndarray, " n"], Float64[np.ndarray, "n classes"]]:
    """Rows that a seed may judge, and the mean probabilities that the models of these seeds give each of them.

    `features`: see `pool_features`; None: the models see the images.
    """
    classes = len(next(iter(models.values())).class_names)
    total, judges = np.zeros((len(pool.images), classes)), np.zeros(len(pool.images), np.int64)
    for seed, trained in models.items():
        rows = pool.rows[seed]
        model = trained.model.to(place)
        if features is not None:
            total[rows] += predict_from_vectors(model, features.of(model.config, rows))
        else:
            images = pool.images.take(rows) if isinstance(pool.images, ImageRows) else pool.images[rows]
            total[rows] += predict_probabilities(model, images, trained.image)
        judges[rows] += 1
    found = np.flatnonzero(judges)
    return found, total[found] / judges[found, None]


def check_names(images: int, names: Sequence[str]) -> None:
    """Raise InputError unless there is a name for each image, or none at all."""
    if names and len(names) != images:
        raise InputError(f"names must be one for each of the {images} images that may be named, got {len(names)}")
