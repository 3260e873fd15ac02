"""How much each group of features counts in one ridge regression on all: scales found by leave-one-out.

Features of several groups, each group times its scale s, have the kernel Σ s² K of the groups' kernels. The
leave-one-out log-loss and its slopes by all scales cost one inverse and one product of n × n matrices, however many
groups there are, so that a quasi-Newton search is quick. Many scales fitted to few labels are fitted to chance (Cawley
and Talbot, On over-fitting in model selection, JMLR 2010; for kernels, plain sums are hard to beat: Gönen and Alpaydın,
Multiple kernel learning algorithms, JMLR 2011). So scales away from 1 cost as much as if they had been drawn from a
log-normal distribution: a few labels leave them near 1, and many move them freely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from scipy.linalg import cho_factor
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from littoral.training.ridge import EXPECTED_LEVEL, FARTHEST, LEVEL_SPREAD, gram_in_double
from littoral.training.targets import Targets, expected_sharpness, judged_loss

SCALE_SPREAD = 0.7
"""Standard deviation of the logarithm of a squared scale: from 0.5 to 1 accuracy hardly changed (benchmarks/probe)."""


@dataclass(frozen=True)
class Scales:
    """`squares`: the squared scale of each group, 1 before anything is known; `evaluations` of the log-loss it took."""

    squares: Float64[np.ndarray, " groups"]
    evaluations: int


def kernel_leave_one_out(
    kernel: Float64[np.ndarray, "n n"], targets: Targets
) -> tuple[Float64[np.ndarray, "n classes"], Float64[np.ndarray, "n n"], Float64[np.ndarray, " n"]]:
    """What `ridge.leave_one_out` gives at a penalty of 1, from the kernel; with it, (kernel + 1)⁻¹ and 1 - leverage."""
    system = kernel.copy()
    system[np.diag_indices_from(system)] += 1
    factor, lower = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
    inverse, _ = dpotri(factor, lower=lower, overwrite_c=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    rest = inverse.diagonal() - targets.shares
    error = (inverse @ targets.centred) / targets.roots[:, None] / rest[:, None]
    return targets.one_hot - error, inverse, rest


def kernel_slopes(
    kernels: Sequence[Float64[np.ndarray, "n n"]],
    inverse: Float64[np.ndarray, "n n"],
    rest: Float64[np.ndarray, " n"],
    targets: Targets,
    by_scores: Float64[np.ndarray, "n classes"],
) -> Float64[np.ndarray, " groups"]:
    """How a loss moves with each kernel's part in their sum, from its slope by the leave-one-out predictions.

    With Q = (K + 1)⁻¹ and dQ = -Q dK Q it is -⟨K_g, Q A (Q Y)ᵀ + Q diag(c) Q⟩, A and c being the loss's slopes by Q Y
    and by the diagonal of Q.
    """
    solved = inverse @ targets.centred
    by_solved = -by_scores / (targets.roots * rest)[:, None]
    by_diagonal = -(by_solved * solved).sum(1) / rest
    by_kernel = (inverse @ by_solved) @ solved.T + (inverse * by_diagonal) @ inverse
    return np.array([-np.vdot(kernel, by_kernel) for kernel in kernels])


def search_scales(features: Sequence[Float[np.ndarray, "n _"]], targets: Targets) -> Scales:
    """The squared scales of the least leave-one-out log-loss plus what unlikely ones cost.

    `features` of each group: of mean 0, times the roots of the counts. Where no image is judged all scales are 1.
    """
    kernels = [gram_in_double(group) for group in features]
    # a mean squared length of 1 for all together, so that the level is what multiplies it at a penalty of 1
    whole = sum(float(kernel.trace()) for kernel in kernels) / len(targets.labels)
    expected = math.log(EXPECTED_LEVEL)

    def cost(at: Float64[np.ndarray, " _"]) -> tuple[float, Float64[np.ndarray, " _"]]:
        level, log_sharpness, logs = at[0], at[1], at[2:]
        parts = np.exp(level + logs) / whole
        kernel = sum((part * one for part, one in zip(parts, kernels, strict=True)), np.zeros_like(kernels[0]))
        left_out, inverse, rest = kernel_leave_one_out(kernel, targets)
        loss = judged_loss(left_out, targets, log_sharpness)
        by_logs = parts * kernel_slopes(kernels, inverse, rest, targets, loss.by_scores)
        away = (level - expected) / LEVEL_SPREAD
        slope = [by_logs.sum() + away / LEVEL_SPREAD, loss.by_log_sharpness, *(by_logs + logs / SCALE_SPREAD**2)]
        return loss.value + away**2 / 2 + float(logs @ logs) / (2 * SCALE_SPREAD**2), np.array(slope)

    start = np.zeros(2 + len(kernels))
    start[:2] = expected, math.log(expected_sharpness(targets.classes))
    bounds = [(middle - FARTHEST, middle + FARTHEST) for middle in start]
    found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-5, "maxfun": 40})
    return Scales(np.exp(found.x[2:]), int(found.nfev))
