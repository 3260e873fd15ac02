"""The optimiser of a recipe, and the average of the weights along the way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from littoral.errors import InputError
from littoral.training.recipe import Recipe


@runtime_checkable
class Optimiser(Protocol):
    """What the loop needs of one, whatever its rule."""

    def step(self, number: int) -> None:
        """Update the parameters from their gradients, then clear these. `number` counts updates from 1."""

    def tensors(self) -> dict[str, Tensor]:
        """All that it remembers between steps, by name."""

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned, for parameters of the same shapes in the same order."""


def optimiser_of(
    recipe: Recipe, parameters: Sequence[nn.Parameter], steps: int, rates: Sequence[float] | None = None
) -> Optimiser:
    """The optimiser that a recipe asks for, over `steps` steps in all.

    `rates`: the part of the recipe's rate that each parameter learns at, with AdamW alone; None: all of it.
    """
    if recipe.optimiser == "adam":
        if rates is not None:
            raise InputError("rates of their own are for adamw, got adam: set the recipe's optimiser")
        return KerasAdam(parameters, recipe)
    return OneCycleAdamW(parameters, recipe, steps, [1.0] * len(parameters) if rates is None else rates)


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

    def tensors(self) -> dict[str, Tensor]:
        """All that the optimiser remembers between steps, by name."""
        return _remembered(self.adam)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned, for parameters of the same shapes in the same order."""
        _remind(self.adam, tensors)


class OneCycleAdamW:
    """AdamW (Loshchilov and Hutter 2019), its rate rising and falling once in straight lines (Smith 2018).

    The rate rises from a tenth of the recipe's over the first `warmup` of the steps, then falls to a hundredth.
    `rates`: the part of it that each parameter learns at.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], recipe: Recipe, steps: int, rates: Sequence[float]) -> None:
        self.recipe = recipe
        self.steps = steps
        self.rates = sorted(set(rates), reverse=True)
        learning = list(zip(parameters, rates, strict=True))
        self.adam = torch.optim.AdamW(
            [{"params": [parameter for parameter, own in learning if own == rate]} for rate in self.rates],
            lr=recipe.learning_rate,
            betas=recipe.betas,
            eps=recipe.epsilon,
            weight_decay=recipe.weight_decay,
            fused=True,
        )

    def step(self, number: int) -> None:
        """Update the parameters from their gradients, then clear these. `number` counts updates from 1."""
        rate = self.recipe.learning_rate * one_cycle(number / (self.steps + 1), self.recipe.warmup)
        for group, part in zip(self.adam.param_groups, self.rates, strict=True):
            group["lr"] = rate * part
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """All that the optimiser remembers between steps, by name."""
        return _remembered(self.adam)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned, for parameters of the same shapes in the same order."""
        _remind(self.adam, tensors)


def one_cycle(done: float, warmup: float) -> float:
    """The rate, as a share of its peak, when a share of the steps is done: 0.1 up to 1, then down to 0.01."""
    if done < warmup:
        return 0.1 + 0.9 * done / warmup
    return 0.01 + 0.99 * (1 - done) / (1 - warmup)


class WeightAverage:
    """The exponential moving average of a model's weights and of what its batch-norm layers measured.

    At update t, counted from 0, the average keeps the smaller of `decay` and (1 + t) / (10 + t) of itself, so that the
    first weights are soon forgotten (as in Inception's training code; Szegedy et al. 2016).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.names = [name for name, value in model.state_dict().items() if value.is_floating_point()]
        self.values = [value.clone() for value in self._of(model)]

    def update(self, model: nn.Module, number: int) -> None:
        """Take in the weights after step `number`, counted from 1."""
        kept = min(self.decay, number / (9 + number))
        torch._foreach_lerp_(self.values, self._of(model), 1 - kept)

    def lay_into(self, model: nn.Module) -> None:
        """Make the average the model's weights."""
        with torch.no_grad():
            for value, average in zip(self._of(model), self.values, strict=True):
                value.copy_(average)

    def tensors(self) -> dict[str, Tensor]:
        """The average, by the weights' names."""
        return dict(zip(self.names, self.values, strict=True))

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned."""
        for name, value in zip(self.names, self.values, strict=True):
            value.copy_(tensors[name])

    def _of(self, model: nn.Module) -> list[Tensor]:
        state = model.state_dict()
        return [state[name] for name in self.names]


def _remembered(adam: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{index}.{name}": value for index, state in adam.state_dict()["state"].items() for name, value in state.items()
    }


def _remind(adam: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [parameter for group in adam.param_groups for parameter in group["params"]]
    for index, parameter in enumerate(parameters):
        if f"{index}.step" not in tensors:  # no loss reaches it
            continue
        adam.state[parameter] = {
            "step": tensors[f"{index}.step"].to(parameter.device),
            # in the parameter's own memory layout, which the fused update takes for granted
            "exp_avg": torch.empty_like(parameter).copy_(tensors[f"{index}.exp_avg"]),
            "exp_avg_sq": torch.empty_like(parameter).copy_(tensors[f"{index}.exp_avg_sq"]),
        }
