"""Opinions of several classifiers joined: how much each one's log-probabilities count, by what they told left out.

Stacked generalization, Wolpert, Neural Networks 1992, as a logarithmic opinion pool. `votes.py` learns the votes of
networks' heads from many images; here there may be few, and the votes hold to what was believed before.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from littoral.training.targets import Targets

BELIEF = 3.0
"""How many images the belief before is worth. Without any, votes learned from two labels in each of two classes
lost 13 points (benchmarks/probe)."""


def believed_votes(
    left_out: Float64[np.ndarray, "groups n classes"],
    targets: Targets,
    believed: Float64[np.ndarray, " groups"],
) -> Float64[np.ndarray, " groups"]:
    """The votes v > 0, Σ v = 1, of the least Σ -log softmax(Σ v log p) at the labels - BELIEF Σ believed log v.

    The second sum is the logarithm of a Dirichlet distribution whose mode is `believed`, shares that add up to 1.
    `left_out`: the log-probabilities that each group gives an image that it was not fitted on.
    """
    counts = targets.counts * targets.judged
    at_label = left_out[:, np.arange(len(targets.labels)), targets.labels]

    def cost(logits: Float64[np.ndarray, " groups"]) -> tuple[float, Float64[np.ndarray, " groups"]]:
        votes = softmax(logits)
        together = np.tensordot(votes, left_out, 1)
        logs = log_softmax(together, axis=1)
        expected = np.einsum("nc,gnc->gn", np.exp(logs), left_out)
        by_votes = (expected - at_label) @ counts
        slope = votes * (by_votes - votes @ by_votes) - BELIEF * (believed - votes)
        loss = -float(counts @ logs[np.arange(len(logs)), targets.labels])
        return loss - BELIEF * float(believed @ np.log(np.maximum(votes, 1e-300))), slope

    found = minimize(cost, np.log(believed), jac=True, method="L-BFGS-B")
    votes: Float64[np.ndarray, " groups"] = softmax(found.x)
    return votes
