"""Labels as numbers to fit, and how well scores tell them: the log-loss of their softmax at a sharpness to be found.

What the linear maths of `ridge.py` and `scales.py` share; it knows nothing of features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from scipy.special import log_softmax

SHARPNESS_SPREAD = 0.4
"""How far, as a standard deviation of its logarithm, the sharpness is believed to lie from `expected_sharpness`."""


@dataclass(frozen=True)
class Targets:
    """`labels` from 0 to `classes` - 1, each present; `counts`: how much each image counts, above 0.

    Of a class with one image, leaving it out leaves nothing to know the class by, so such an image is not judged.
    """

    labels: Int64[np.ndarray, " n"]
    classes: int
    counts: Float64[np.ndarray, " n"]

    @cached_property
    def one_hot(self) -> Float64[np.ndarray, "n classes"]:
        """1 at the label, else 0."""
        return np.asarray(np.eye(self.classes)[self.labels])

    @cached_property
    def shares(self) -> Float64[np.ndarray, " n"]:
        """The counts, brought to a sum of 1."""
        return np.asarray(self.counts / self.counts.sum())

    @cached_property
    def roots(self) -> Float64[np.ndarray, " n"]:
        """The roots of the counts: rows times these make weighted least squares plain."""
        return np.asarray(np.sqrt(self.counts))

    @cached_property
    def base_rates(self) -> Float64[np.ndarray, " classes"]:
        """The share of each class."""
        return np.asarray(self.shares @ self.one_hot)

    @cached_property
    def centred(self) -> Float64[np.ndarray, "n classes"]:
        """One-hot labels less the base rates, times the roots of the counts."""
        return np.asarray(self.roots[:, None] * (self.one_hot - self.base_rates))

    @cached_property
    def judged(self) -> Bool[np.ndarray, " n"]:
        """Which images' predictions count when a fit is judged: those of classes with two images or more."""
        return np.asarray(np.bincount(self.labels)[self.labels] > 1)

    def part(self, rows: Int64[np.ndarray, " m"]) -> Targets:
        """Those of some images, among which every class is."""
        return Targets(self.labels[rows], self.classes, self.counts[rows])


def expected_sharpness(classes: int) -> float:
    """What ridge scores of one-hot targets are to be multiplied by for a softmax, before anything is known.

    4 ln(classes) is within a factor of 2 of what many labels of 2, 10 and 20 classes gave.
    """
    return 4 * math.log(classes)


def losses(scores: Float[np.ndarray, "n classes"], targets: Targets) -> Float64[np.ndarray, " m"]:
    """-log softmax(scores) at the label, for each judged image."""
    logs: Float64[np.ndarray, "n classes"] = log_softmax(scores, axis=1)
    return np.asarray(-logs[np.arange(len(logs)), targets.labels][targets.judged])


@dataclass(frozen=True)
class JudgedLoss:
    """The sum over judged images of count × log-loss, with its slopes by the scores and by the log of the sharpness."""

    value: float
    by_scores: Float64[np.ndarray, "n classes"]
    by_log_sharpness: float


def judged_loss(scores: Float64[np.ndarray, "n classes"], targets: Targets, log_sharpness: float) -> JudgedLoss:
    """The log-loss of softmax(sharpness × scores), plus what an unlikely sharpness costs."""
    sharpness = math.exp(log_sharpness)
    logs: Float64[np.ndarray, "n classes"] = log_softmax(sharpness * scores, axis=1)
    counts = targets.counts * targets.judged
    value = -float(counts @ logs[np.arange(len(logs)), targets.labels])
    slope = counts[:, None] * (np.exp(logs) - targets.one_hot)
    away = (log_sharpness - math.log(expected_sharpness(targets.classes))) / SHARPNESS_SPREAD
    return JudgedLoss(
        value + away**2 / 2,
        sharpness * slope,
        sharpness * float((slope * scores).sum()) + away / SHARPNESS_SPREAD,
    )
