"""Whether a model is as sure as it should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True)
class Bin:
    """`images` of similar confidence: its mean, and the share of them that were told right, both 0 to 1."""

    images: int
    confidence: float
    accuracy: float


def reliability(probabilities: NDArray[Any], labels: NDArray[np.int64]) -> list[Bin]:
    """Confidence beside accuracy, over bins that hold equally many images, the least confident first.

    Images are sorted by the probability of their predicted class and cut into 15 bins, or as many as there are images
    (Nguyen and O'Connor 2015, equal-mass form).
    """
    confidence = probabilities.max(1).astype(np.float64)
    correct = probabilities.argmax(1) == labels
    order = np.argsort(confidence, kind="stable")
    bins = np.array_split(order, min(BINS, len(order)))
    return [Bin(len(b), float(confidence[b].mean()), float(correct[b].mean())) for b in bins]


def expected_calibration_error(probabilities: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Mean distance between confidence and accuracy over the bins of `reliability`, each counting by its images."""
    bins = reliability(probabilities, labels)
    return sum(one.images * abs(one.confidence - one.accuracy) for one in bins) / len(labels)
