"""What is fitted to the features of a trained network: a read-out of each side, and what ordinary images look like.

Leaves to others: temperatures and thresholds, which need images that the network was not trained on (`calibrate.py`).
"""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits
from torch import Tensor

from littoral.images.store import ImageStore
from littoral.nn.calibrated import MOST_DIRECTIONS, side_sizes
from littoral.nn.inference import branch_vectors
from littoral.nn.model import FusionNet
from littoral.specs import ImageSpec
from littoral.training.probe import NEVER

MOST_IMAGES = 10_000
"""Images that are looked at: enough for a few dozen directions and a linear map of some hundred numbers."""

MOST_NUMBERS = 2**26
"""Numbers in all features that are held at once (a quarter of a gigabyte)."""

IMAGES_A_DIRECTION = 10
"""As few images a direction of the model of novelty as it is fitted with."""

ROUNDING = 1e-5
"""Of a feature vector's squared length: as much of it as may come from single precision."""

ITERATIONS = 100
"""Of the fit of a read-out. Where it would go on, it gains nothing that can be seen."""


def fit_measures(
    model: FusionNet,
    store: ImageStore,
    spec: ImageSpec,
    seed: int,
    features: Float32[np.ndarray, "n size"] | None = None,
) -> dict[str, Tensor]:
    """The tensors of a calibration, see `CalibratedNet`, from images that `model` was trained on, by `seed` some.

    Novelty is such that its median over them is 1. `features`: the `branch_vectors` of these images, where they are
    known.
    """
    sizes = {name: feature.size for name, feature in model.config.fused_specs().items()}
    most = min(len(store), MOST_IMAGES, max(MOST_NUMBERS // sum(sizes.values()), 1))
    some = np.sort(np.random.default_rng(seed).permutation(len(store))[:most])
    part = store.subset(some)
    features = branch_vectors(model, part.images, spec) if features is None else features[some]
    classes = model.config.classes
    fitted = _named("novelty", fit_novelty(features, part.labels, list(sizes.values()), classes, seed))
    sides = side_sizes(model.config)
    if sides is not None:
        cut = sides[0]
        fitted |= _named("shallow", fit_read_out(features[:, :cut], part.labels, classes))
        fitted |= _named("deep", fit_read_out(features[:, cut:], part.labels, classes))
    return fitted


def directions_for(images: int, size: int) -> int:
    """How many directions the model of novelty has."""
    return max(1, min(MOST_DIRECTIONS, images // IMAGES_A_DIRECTION, size))


def fit_read_out(
    features: Float32[np.ndarray, "n size"], labels: Int64[np.ndarray, " n"], classes: int
) -> dict[str, Float[np.ndarray, "..."]]:
    """`weight` (classes × size) and `bias` of a multinomial logistic regression; scikit-learn's C is 1.

    A class without an image never comes out.
    """
    mean, spread = features.mean(0), _spread(features, [features.shape[1]])
    weight = np.zeros((classes, features.shape[1]))
    bias = np.full(classes, NEVER)
    present = np.unique(labels)
    if len(present) < 2:
        bias[present] = 0.0
        return {"weight": weight, "bias": bias}
    regression = LogisticRegression(max_iter=ITERATIONS)
    with threadpool_limits(torch.get_num_threads()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit((features - mean) / spread, labels)
    found, shift = regression.coef_, regression.intercept_
    if len(found) == 1:  # of two classes it is told how much more the second is likely
        found, shift = np.vstack([-found / 2, found / 2]), np.append(-shift / 2, shift / 2)
    weight[present] = found / spread
    bias[present] = shift - weight[present] @ mean
    return {"weight": weight, "bias": bias}


def fit_novelty(
    features: Float32[np.ndarray, "n size"], labels: Int64[np.ndarray, " n"], sizes: list[int], classes: int, seed: int
) -> dict[str, Float[np.ndarray, "..."]]:
    """The tensors of `Novelty`. `sizes`: of the branches' features, which stand one after the other.

    Both parts of the score are divided by their medians, so that they count alike: of digits that were turned, cut up,
    inverted or made of noise their sum found more than either alone (docs/architecture.md).
    """
    mean = features.mean(0)
    scale = 1 / _spread(features, sizes)
    z = (features - mean) * scale
    count = directions_for(*features.shape)
    directions = randomized_svd(z, count, random_state=seed)[2]
    y = z @ directions.T
    means = {label: y[labels == label].mean(0) for label in np.unique(labels)}
    rest = y - np.stack([means[label] for label in labels])
    covariance = rest.T @ rest / len(y)
    # a ten-thousandth of the mean variance where there is none
    covariance = covariance + (1e-4 * np.trace(covariance) / count + np.finfo(np.float32).tiny) * np.eye(count)
    whitening = np.linalg.inv(np.linalg.cholesky(covariance.astype(np.float64)))
    some = next(iter(means.values()))
    centres = np.stack([means.get(label, some) for label in range(classes)]) @ whitening.T
    white = y @ whitening.T
    inside = np.min([np.square(white - centre).sum(1) for centre in centres], axis=0)
    outside = np.maximum(np.square(z).sum(1) - np.square(y).sum(1), 0)
    medians = np.array([np.median(inside), np.median(outside)])
    told = medians > ROUNDING * np.square(z).sum(1).mean()  # what rounding leaves tells nothing
    parts = np.where(told, 1 / np.maximum(medians, np.finfo(np.float32).tiny), 0) if told.any() else np.ones(2)
    level = np.median(parts[0] * inside + parts[1] * outside)
    parts = parts / level if level > 0 else parts
    return {
        "mean": mean,
        "scale": scale,
        "directions": directions,
        "whitening": whitening,
        "centres": centres,
        "parts": parts,
    }


def _spread(features: Float32[np.ndarray, "n size"], sizes: list[int]) -> Float64[np.ndarray, " size"]:
    """The root of each number's variance plus the mean variance of its branch; 1 where nothing in a branch varies.

    So branches of other units count alike, and a number that hardly moves does not become a large one by chance.
    """
    variance = features.var(0, dtype=np.float64)
    ends = np.cumsum([0, *sizes])
    for start, end in pairwise(ends):
        variance[start:end] += variance[start:end].mean()
    return np.sqrt(np.where(variance > 0, variance, 1.0))


def _named(name: str, arrays: dict[str, Float[np.ndarray, "..."]]) -> dict[str, Tensor]:
    return {f"{name}.{key}": torch.tensor(np.asarray(value), dtype=torch.float32) for key, value in arrays.items()}
