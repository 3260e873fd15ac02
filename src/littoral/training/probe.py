"""The probe: a linear head on features that nothing is learned in, fitted at once.

It is what a network has to beat to be worth its training. One feature is fitted by logistic regression where
nothing else is said, several by `groups.py`. Leaves to others: which features (`arms.py`).
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64, UInt8
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from littoral.errors import InputError
from littoral.nn.inference import branch_vectors
from littoral.nn.model import FusionNet
from littoral.rows import ImageRows
from littoral.specs import ImageSpec
from littoral.training.groups import MOST_SEARCHED, GroupPart, fit_groups
from littoral.training.history import EpochRecord

INVERSE_PENALTY = 1.0
"""scikit-learn's C."""

MOST_ITERATIONS = 1000

NEVER = -100.0
"""The logit of a class that has no image to learn from."""


@dataclass(frozen=True)
class ProbeFit:
    """How the fit went: scikit-learn's C, the iterations it took, and whether it came to its end in these."""

    inverse_penalty: float
    iterations: int
    converged: bool


@dataclass(frozen=True)
class GroupedProbeFit:
    """How the fit of several branches went, in the words of `groups.GroupsFit`; `judged`: how many images were."""

    groups: dict[str, GroupPart]
    penalty: float
    sharpness: float
    judged: int
    loo_accuracy: float | None
    loo_log_loss: float | None
    why: str


@dataclass(frozen=True)
class _Linear:
    """One linear layer for the classes that there were, the steps it took, and how the fit went."""

    classes: Int64[np.ndarray, " present"]
    weight: Float64[np.ndarray, "present size"]
    bias: Float64[np.ndarray, " present"]
    steps: int
    fit: ProbeFit | GroupedProbeFit


def fit_probe(
    model: FusionNet,
    images: UInt8[np.ndarray, "n height width channels"] | ImageRows,
    labels: Int64[np.ndarray, " n"],
    spec: ImageSpec,
    weights: Float64[np.ndarray, " n"] | None,
    device: torch.device,
    features: Float32[np.ndarray, "n size"] | None = None,
    grouped: bool = False,
) -> tuple[EpochRecord, ProbeFit | GroupedProbeFit]:
    """Fit the head of `model`, one linear layer on concatenated features, in place, to images as they are stored.

    `weights`: how much each image counts, one of weight 0 not at all; None: all alike. `features`: what the branches
    make of the images, one after the other, where that is known; None: it is computed, and the time that takes is part
    of the record. `grouped`: one feature is fitted by `groups.py` too, as several are, in place of logistic regression.
    Loss and accuracy of the record are those on the images that count. Raises InputError where these are of one class.
    """
    if len(np.unique(labels if weights is None else labels[weights > 0])) < 2:
        raise InputError("a probe needs images of two classes or more")
    start = time.perf_counter()
    model.to(device)
    features = branch_vectors(model, images, spec) if features is None else features
    if weights is not None and not weights.all():
        features, labels, weights = features[weights > 0], labels[weights > 0], weights[weights > 0]
    sizes = {name: feature.size for name, feature in model.config.fused_specs().items()}
    alone = len(sizes) == 1 and not grouped
    linear = _logistic(features, labels, weights) if alone else _grouped(features, sizes, labels, weights)
    lay_into_head(model, linear.classes, linear.weight, linear.bias)
    seconds = time.perf_counter() - start
    logs: Float[np.ndarray, "n present"] = log_softmax(features @ linear.weight.T.astype(np.float32) + linear.bias, 1)
    index = np.searchsorted(linear.classes, labels)
    loss = -float(logs[np.arange(len(labels)), index].mean())
    return EpochRecord(1, linear.steps, loss, float((logs.argmax(1) == index).mean()), seconds), linear.fit


def lay_into_head(
    model: FusionNet,
    classes: Int64[np.ndarray, " present"],
    weight: Float64[np.ndarray, "present size"],
    bias: Float64[np.ndarray, " present"],
) -> None:
    """Make this linear layer on the concatenated features the head of `model`; other classes never come out.

    So a model file holds the fit, and it predicts and is exported, as any network. Raises InputError where there is
    more than one linear layer behind the concatenated features.
    """
    config = model.config
    if model.head is None or config.fusion.type != "concat" or config.hidden or config.branch_heads:
        raise InputError(
            "a linear fit needs a network with concat fusion, no hidden layers and no branch heads, got "
            f"{config.fusion.type} fusion, hidden={config.hidden}, branch_heads={config.branch_heads}"
        )
    head_weight, head_bias = model.head.parameters()
    present = torch.tensor(classes, device=head_weight.device)
    with torch.no_grad():
        head_weight.zero_()
        head_bias.fill_(NEVER)
        head_weight[present] = torch.tensor(weight, dtype=torch.float32, device=head_weight.device)
        head_bias[present] = torch.tensor(bias, dtype=torch.float32, device=head_weight.device)


def _logistic(
    features: Float32[np.ndarray, "n size"],
    labels: Int64[np.ndarray, " n"],
    weights: Float64[np.ndarray, " n"] | None,
) -> _Linear:
    """Multinomial logistic regression with an L2 penalty."""
    regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=MOST_ITERATIONS)
    with threadpool_limits(torch.get_num_threads()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the record says it
        regression.fit(features.astype(np.float64), labels, sample_weight=weights)
    weight, bias = regression.coef_, regression.intercept_
    if len(weight) == 1:  # of two classes it is told how much more the second is likely
        weight, bias = np.vstack([np.zeros_like(weight), weight]), np.append(0.0, bias)
    iterations = int(regression.n_iter_.max())
    fit = ProbeFit(INVERSE_PENALTY, iterations, iterations < MOST_ITERATIONS)
    return _Linear(regression.classes_, weight, bias, iterations, fit)


def _grouped(
    features: Float32[np.ndarray, "n size"],
    sizes: dict[str, int],
    labels: Int64[np.ndarray, " n"],
    weights: Float64[np.ndarray, " n"] | None,
) -> _Linear:
    """Each branch's features as a group of their own."""
    columns = np.split(features, np.cumsum(list(sizes.values()))[:-1], axis=1)
    groups = dict(zip(sizes, columns, strict=True))
    # threads that wait for a busy core lose much on matrices as small as these
    with threadpool_limits(1 if len(labels) <= MOST_SEARCHED else torch.get_num_threads()):
        found = fit_groups(groups, labels, weights)
    fit = GroupedProbeFit(
        found.groups,
        found.penalty,
        found.sharpness,
        int(found.judged.sum()),
        found.loo_accuracy,
        found.loo_log_loss,
        found.why,
    )
    return _Linear(found.classes, found.weight, found.bias, found.evaluations, fit)
