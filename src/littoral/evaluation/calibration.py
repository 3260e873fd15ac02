"""Whether a model is as sure as it should be, and the temperature that makes it so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

BINS = 15

BELIEF = 0.5
"""How far, as a standard deviation of its logarithm, a temperature is believed to lie from 1 before images are seen; it
says something only where they are few, and all told right: without it the temperature would be 0."""

FARTHEST = 3.0
"""How far the logarithm of a temperature may lie from 0."""


@dataclass(frozen=True)
class Bin:
    """`images` of similar confidence: its mean, and the share of them that were told right, both 0 to 1."""

    images: int
    confidence: float
    accuracy: float


def reliability(probabilities: NDArray[Any], labels: NDArray[np.int64]) -> list[Bin]:
    """Confidence beside accuracy, over bins that hold equally many images, the least confident first.

    Images are sorted by the probability of their predicted class and cut into 15 bins, or as many as there are images
    (Nguyen and O'Connor 2015, equal-mass form). Of equally sure images the mean counts, whatever their order.
    """
    confidence = probabilities.max(1).astype(np.float64)
    alike = np.unique(confidence, return_inverse=True)[1]
    told = probabilities.argmax(1) == labels
    correct = (np.bincount(alike, told) / np.bincount(alike))[alike]
    order = np.argsort(confidence, kind="stable")
    bins = np.array_split(order, min(BINS, len(order)))
    return [Bin(len(b), float(confidence[b].mean()), float(correct[b].mean())) for b in bins]


def expected_calibration_error(probabilities: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Mean distance between confidence and accuracy over the bins of `reliability`, each counting by its images."""
    bins = reliability(probabilities, labels)
    return sum(one.images * abs(one.confidence - one.accuracy) for one in bins) / len(labels)


def best_temperature(logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """The T of the least log-loss of softmax(logits / T), plus the cost of a T that is unlikely.

    Guo et al., On calibration of modern neural networks, 2017. `logits` (n × classes) may be log-probabilities.
    """
    rows = np.arange(len(labels))
    wide = logits.astype(np.float64)

    def cost(log_temperature: float) -> float:
        logs = log_softmax(wide / np.exp(log_temperature), axis=1)
        return float(-logs[rows, labels].sum() + (log_temperature / BELIEF) ** 2 / 2)

    return float(np.exp(minimize_scalar(cost, bounds=(-FARTHEST, FARTHEST), method="bounded").x))
