"""The optimiser of a recipe."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from littoral.training.recipe import Recipe


class KerasAdam:
    """Adam (Kingma and Ba 2015) in the form of its section 2's last remark, which is what Keras computes.

    There epsilon is added to the root of the uncorrected second moment. PyTorch adds it to the corrected one; with
    epsilon / sqrt(1 - beta2^t) in its place at step t, both are the same.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], recipe: Recipe) -> None:
        self.epsilon = recipe.epsilon
        self.beta2 = recipe.betas[1]
        self.adam = torch.optim.Adam(
            parameters, lr=recipe.learning_rate, betas=recipe.betas, eps=recipe.epsilon, fused=True
        )

    def step(self, number: int) -> None:
        """Update the parameters from their gradients, then clear these. `number` counts updates from 1."""
        self.adam.param_groups[0]["eps"] = self.epsilon / math.sqrt(1 - self.beta2**number)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that the optimiser remembers between steps, by name."""
        return {
            f"{index}.{name}": value
            for index, state in self.adam.state_dict()["state"].items()
            for name, value in state.items()
        }

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Go on from what `tensors` returned, for parameters of the same shapes in the same order."""
        for index, parameter in enumerate(self.adam.param_groups[0]["params"]):
            self.adam.state[parameter] = {
                "step": tensors[f"{index}.step"].to(parameter.device),
                # in the parameter's own memory layout, which the fused update takes for granted
                "exp_avg": torch.empty_like(parameter).copy_(tensors[f"{index}.exp_avg"]),
                "exp_avg_sq": torch.empty_like(parameter).copy_(tensors[f"{index}.exp_avg_sq"]),
            }
