"""Opinions of several classifiers joined: how much each one's log-probabilities count, by what they told left out.

Stacked generalization, Wolpert, Neural Networks 1992, as a logarithmic opinion pool; with votes that are 0 or more and
add up to 1, as Breiman, Stacked regressions, Machine Learning 1996, found best, and that hold to what was believed
before. Groups of features (`groups.py`) and heads of networks (`votes.py`) are joined so.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax


def believed_votes(
    left_out: Float64[np.ndarray, "voters n classes"],
    labels: Int64[np.ndarray, " n"],
    counts: Float64[np.ndarray, " n"],
    believed: Float64[np.ndarray, " voters"],
    belief: float,
) -> Float64[np.ndarray, " voters"]:
    """The votes v > 0, Σ v = 1, of the least Σ -count log softmax(Σ v log p) at the labels - belief Σ believed log v.

    The second sum is the logarithm of a Dirichlet distribution whose mode is `believed`, shares that add up to 1;
    `belief` is how many images it is worth. `left_out`: the log-probabilities that each voter gives an image that it
    was not fitted on; `counts`: how often each image counts.
    """
    at_label = left_out[:, np.arange(len(labels)), labels]

    def cost(logits: Float64[np.ndarray, " voters"]) -> tuple[float, Float64[np.ndarray, " voters"]]:
        votes = softmax(logits)
        together = np.tensordot(votes, left_out, 1)
        logs = log_softmax(together, axis=1)
        expected = np.einsum("nc,gnc->gn", np.exp(logs), left_out)
        by_votes = (expected - at_label) @ counts
        slope = votes * (by_votes - votes @ by_votes) - belief * (believed - votes)
        loss = -float(counts @ logs[np.arange(len(logs)), labels])
        return loss - belief * float(believed @ np.log(np.maximum(votes, 1e-300))), slope

    found = minimize(cost, np.log(believed), jac=True, method="L-BFGS-B")
    votes: Float64[np.ndarray, " voters"] = softmax(found.x)
    return votes
