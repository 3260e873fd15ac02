"""Ridge regression on one-hot labels with its leave-one-out predictions in closed form, for every penalty almost free.

One eigendecomposition, of the smaller of the Gram matrix of the features and that of the images, gives all of them:
of n images with p features it costs min(n, p)³, and each penalty then n · min(n, p) · classes. The prediction for an
image that was left out is y - e / (1 - h), e being its residual and h its leverage in the fit of all images (Allen,
The relationship between variable selection and data augmentation and a method for prediction, Technometrics 1974;
Golub, Heath and Wahba, Generalized cross-validation, Technometrics 1979). The intercept is not penalised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from scipy.linalg import eigh
from scipy.optimize import minimize

from littoral.training.targets import Targets, expected_sharpness, judged_loss

EXPECTED_LEVEL = 3.0
"""Mean squared length of the feature vectors over the penalty, before anything is known; at one label a class ten
times of it changed accuracy by less than a point, and a tenth by less than three."""

LEVEL_SPREAD = 3.0
"""How far, as a standard deviation of its logarithm, the level is believed to lie from the expected one."""

BLOCK = 4096
"""Rows, or columns, of single precision that are brought to double at a time."""

FARTHEST = 8.0
"""How far the logarithms of level and sharpness may go from what is expected."""


@dataclass(frozen=True)
class Spectrum:
    """Features (n × p, of mean 0, times the roots of the counts) as far as predictions for the same images need them.

    `left`: their left singular vectors; `squares`: the singular values, squared, all above 0; `right`: the right
    singular vectors, None where there are no more images than features.
    """

    left: Float[np.ndarray, "n rank"]
    squares: Float64[np.ndarray, " rank"]
    right: Float64[np.ndarray, "p rank"] | None = None

    @property
    def mean_square(self) -> float:
        """Mean squared length of a feature vector."""
        return float(self.squares.sum()) / len(self.left)


def spectrum(features: Float[np.ndarray, "n p"]) -> Spectrum:
    """By the Gram matrix of the images where there are fewer of them (the dual), else by that of the features."""
    n, p = features.shape
    gram = gram_in_double(features if n <= p else features.T)
    squares, vectors = eigh(gram, driver="evd", overwrite_a=True, check_finite=False)
    kept = squares > squares[-1] * max(n, p) * np.finfo(np.float64).eps  # what is left of 0 by rounding
    squares, vectors = squares[kept], vectors[:, kept]
    if n <= p:
        return Spectrum(vectors, squares)
    return Spectrum(features @ (vectors / np.sqrt(squares)).astype(features.dtype), squares, vectors)


def gram_in_double(rows: Float[np.ndarray, "n p"]) -> Float64[np.ndarray, "n n"]:
    """rows @ rows.T, summed in double precision, whatever they are held in.

    In single precision the sums are so coarse that the small directions of many images drown in them.
    """
    if rows.dtype == np.float64:
        return np.asarray(rows @ rows.T)
    gram = np.zeros((len(rows), len(rows)))
    for start in range(0, rows.shape[1], BLOCK):
        block = rows[:, start : start + BLOCK].astype(np.float64)
        gram += block @ block.T
    return gram


def leave_one_out(
    spectrum: Spectrum, targets: Targets, penalty: float
) -> tuple[Float64[np.ndarray, "n classes"], Float64[np.ndarray, "n classes"]]:
    """The prediction for each image of the ridge regression of all others, and its slope by log(penalty).

    Exact for features that stay as they are: an image's part in their mean and spread is not taken back, and needs no
    label. What is left out is the image with its whole count.
    """
    shrink = spectrum.squares / (spectrum.squares + penalty)
    bend = -shrink * (1 - shrink)  # its slope by log(penalty)
    along = spectrum.left.T @ targets.centred
    both = spectrum.left @ np.hstack([shrink[:, None] * along, bend[:, None] * along]) / targets.roots[:, None]
    fitted, slope = both[:, : targets.classes] + targets.base_rates, both[:, targets.classes :]
    leverage, lean = (np.square(spectrum.left) @ np.stack([shrink, bend], axis=1)).T
    rest = 1 - targets.shares - leverage
    error = (targets.one_hot - fitted) / rest[:, None]
    return targets.one_hot - error, (slope - error * lean[:, None]) / rest[:, None]


def coefficients(
    features: Float[np.ndarray, "n p"], spectrum: Spectrum, targets: Targets, penalty: float
) -> Float64[np.ndarray, "p classes"]:
    """The ridge regression of all images; its intercept is `targets.base_rates`. `features`: those of the spectrum."""
    firm = (spectrum.squares + penalty)[:, None]
    if spectrum.right is None:
        return _transposed_times(features, spectrum.left @ (spectrum.left.T @ targets.centred / firm))
    # by way of `left` in single precision, what it lacks would be magnified as the smallest directions are
    return np.asarray(spectrum.right @ (spectrum.right.T @ _transposed_times(features, targets.centred) / firm))


def _transposed_times(
    features: Float[np.ndarray, "n p"], columns: Float64[np.ndarray, "n classes"]
) -> Float64[np.ndarray, "p classes"]:
    """features.T @ columns, summed in double precision."""
    if features.dtype == np.float64:
        return np.asarray(features.T @ columns)
    product = np.zeros((features.shape[1], columns.shape[1]))
    for start in range(0, len(features), BLOCK):
        rows = slice(start, start + BLOCK)
        product += features[rows].T.astype(np.float64) @ columns[rows]
    return product


@dataclass(frozen=True)
class Tuned:
    """A ridge regression whose penalty and sharpness were found: its leave-one-out scores, times the sharpness."""

    penalty: float
    sharpness: float
    left_out: Float64[np.ndarray, "n classes"]
    evaluations: int


def tuned(spectrum: Spectrum, targets: Targets) -> Tuned:
    """The penalty and sharpness of the least leave-one-out log-loss plus what unlikely ones cost.

    Where no image is judged, as at one label a class, they are the expected ones.
    """
    expected = math.log(EXPECTED_LEVEL)

    def penalty_of(level: float) -> float:
        return spectrum.mean_square / math.exp(level)

    def cost(at: Float64[np.ndarray, " 2"]) -> tuple[float, Float64[np.ndarray, " 2"]]:
        level, log_sharpness = at
        left_out, slope = leave_one_out(spectrum, targets, penalty_of(level))
        loss = judged_loss(left_out, targets, log_sharpness)
        by_level = -float((loss.by_scores * slope).sum())
        away = (level - expected) / LEVEL_SPREAD
        return loss.value + away**2 / 2, np.array([by_level + away / LEVEL_SPREAD, loss.by_log_sharpness])

    start = np.array([expected, math.log(expected_sharpness(targets.classes))])
    bounds = [(middle - FARTHEST, middle + FARTHEST) for middle in start]
    found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-6})
    level, log_sharpness = found.x
    left_out, _ = leave_one_out(spectrum, targets, penalty_of(level))
    sharpness = math.exp(log_sharpness)
    return Tuned(penalty_of(level), sharpness, sharpness * left_out, int(found.nfev))
