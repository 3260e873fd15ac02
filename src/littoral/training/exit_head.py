"""The opinion of an exit, fitted to the features before the cut once the network is trained; gradients stop there."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int64
from torch import Tensor

from littoral.nn.early import ExitHead

EPOCHS, BATCH, LEARNING_RATE, WEIGHT_DECAY, DROPOUT, LABEL_SMOOTHING = 6, 256, 5e-3, 0.05, 0.2, 0.1
"""Smoothing keeps wrong answers from being very clear: of `strong`'s images held out, 89 % exit with it before one is
harmed, 79 % without. More passes or a wider layer change little."""

LEAST_STEPS = 300


def fit_exit_head(
    features: Float32[np.ndarray, "n size"], labels: Int64[np.ndarray, " n"], classes: int, seed: int
) -> ExitHead:
    """A head that tells these labels from these features; the same for the same seed.

    Each feature is centred, all are scaled alike, and both are folded into the weights.
    """
    mean = torch.from_numpy(features.mean(0))
    spread = float(np.sqrt(features.var(0).mean())) or 1.0
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        head = ExitHead(features.shape[1], classes)
        _train(head, features, labels, mean, spread)
    with torch.no_grad():
        head.hidden.weight.div_(spread)
        head.hidden.bias.sub_(head.hidden.weight @ mean)
    return head.eval().requires_grad_(False)


def _train(
    head: ExitHead,
    features: Float32[np.ndarray, "n size"],
    labels: Int64[np.ndarray, " n"],
    mean: Tensor,
    spread: float,
) -> None:
    x, y = torch.from_numpy(features), torch.from_numpy(labels)
    count = max(1, len(x) // BATCH)
    epochs = max(EPOCHS, -(-LEAST_STEPS // count))
    optimiser = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=epochs * count)
    for _ in range(epochs):
        for rows in torch.randperm(len(x))[: count * BATCH].chunk(count):
            given = F.dropout((x[rows] - mean) / spread, DROPOUT)
            loss = F.cross_entropy(head(given), y[rows], label_smoothing=LABEL_SMOOTHING)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
