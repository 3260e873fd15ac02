"""Whether a model is as sure as it should be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15


def expected_calibration_error(probabilities: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Mean distance between confidence and accuracy, over bins that hold equally many images (0 to 1).

    Images are sorted by the probability of their predicted class and cut into 15 bins, or as many as there are images;
    bins count by their images (Nguyen and O'Connor 2015, equal-mass form).
    """
    confidence = probabilities.max(1).astype(np.float64)
    correct = probabilities.argmax(1) == labels
    order = np.argsort(confidence, kind="stable")
    bins = np.array_split(order, min(BINS, len(order)))
    return float(sum(len(b) * abs(confidence[b].mean() - correct[b].mean()) for b in bins) / len(order))
