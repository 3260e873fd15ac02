"""The probe: a linear head on features that nothing is learned in, fitted at once by logistic regression.

It is what a network has to beat to be worth its training. Leaves to others: which features (`arms.py`).
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from littoral.errors import InputError
from littoral.nn.inference import branch_vectors
from littoral.nn.model import FusionNet
from littoral.rows import ImageRows
from littoral.specs import ImageSpec
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


def fit_probe(
    model: FusionNet,
    images: UInt8[np.ndarray, "n height width channels"] | ImageRows,
    labels: Int64[np.ndarray, " n"],
    spec: ImageSpec,
    weights: Float64[np.ndarray, " n"] | None,
    device: torch.device,
) -> tuple[EpochRecord, ProbeFit]:
    """Fit the head of `model` in place: multinomial logistic regression with an L2 penalty, images as they are stored.

    `weights`: how much each image counts, or None. Raises InputError where all images are of one class.
    """
    if len(np.unique(labels)) < 2:
        raise InputError("a probe needs images of two classes or more")
    assert model.head is not None  # the arm's network has one
    start = time.perf_counter()
    model.to(device)
    features = branch_vectors(model, images, spec).astype(np.float64)
    regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=MOST_ITERATIONS)
    with threadpool_limits(torch.get_num_threads()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the record says it
        regression.fit(features, labels, sample_weight=weights)
    weight, bias = regression.coef_, regression.intercept_
    if len(weight) == 1:  # of two classes it is told how much more the second is likely
        weight, bias = np.vstack([np.zeros_like(weight), weight]), np.append(0.0, bias)
    head_weight, head_bias = model.head.parameters()
    present = torch.tensor(regression.classes_, device=device)
    with torch.no_grad():
        head_weight.zero_()
        head_bias.fill_(NEVER)
        head_weight[present] = torch.tensor(weight, dtype=torch.float32, device=device)
        head_bias[present] = torch.tensor(bias, dtype=torch.float32, device=device)
    seconds = time.perf_counter() - start
    probability = regression.predict_proba(features)
    index = np.searchsorted(regression.classes_, labels)
    loss = float(-np.log(np.maximum(probability[np.arange(len(labels)), index], 1e-300)).mean())
    iterations = int(regression.n_iter_.max())
    record = EpochRecord(1, iterations, loss, float((probability.argmax(1) == index).mean()), seconds)
    return record, ProbeFit(INVERSE_PENALTY, iterations, iterations < MOST_ITERATIONS)
