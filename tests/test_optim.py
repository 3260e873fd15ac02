"""The loss, the optimiser and the average of weights against the formulas that they are named after."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from littoral.training.loop import loss_of
from littoral.training.optim import KerasAdam, OneCycleAdamW, WeightAverage, one_cycle, optimiser_of
from littoral.training.recipe import Recipe

# --- the rate ---


@pytest.mark.parametrize("warmup", [0.05, 0.2, 0.5, 0.9])
def test_the_rate_rises_to_its_peak_of_1_where_the_warm_up_ends_and_falls_from_there(warmup: float) -> None:
    assert one_cycle(warmup, warmup) == pytest.approx(1)
    assert one_cycle(0.0, warmup) == pytest.approx(0.1)
    assert one_cycle(1.0, warmup) == pytest.approx(0.01)
    rising = [one_cycle(done, warmup) for done in np.linspace(0, warmup, 20)[:-1].tolist()]
    falling = [one_cycle(done, warmup) for done in np.linspace(warmup, 1, 20).tolist()]
    assert (np.diff(rising) > 0).all()
    assert (np.diff(falling) < 0).all()


def test_the_rate_rises_and_falls_in_straight_lines() -> None:
    np.testing.assert_allclose([one_cycle(done, 0.2) for done in (0.05, 0.1, 0.15)], [0.325, 0.55, 0.775])
    np.testing.assert_allclose([one_cycle(done, 0.2) for done in (0.4, 0.6, 0.8)], [0.7525, 0.505, 0.2575])


# --- the optimiser ---


def test_each_step_is_adamw_at_the_rate_of_that_step() -> None:
    recipe = Recipe(
        steps=9,
        optimiser="adamw",
        learning_rate=0.03,
        betas=(0.8, 0.95),
        epsilon=1e-6,
        weight_decay=0.2,
        warmup=0.3,
    )
    start = torch.randn(7, 5, dtype=torch.float64)
    parameter = nn.Parameter(start.clone())
    optimiser = optimiser_of(recipe, [parameter], steps=9)
    assert isinstance(optimiser, OneCycleAdamW)
    by_hand, first, second = start.numpy().copy(), np.zeros((7, 5)), np.zeros((7, 5))
    for step in range(1, 10):
        parameter.grad = torch.randn(7, 5, dtype=torch.float64)
        slope = parameter.grad.numpy().copy()
        optimiser.step(step)
        assert parameter.grad is None
        rate = 0.03 * one_cycle(step / 10, 0.3)
        first = 0.8 * first + 0.2 * slope
        second = 0.95 * second + 0.05 * slope**2
        by_hand *= 1 - rate * 0.2
        by_hand -= rate * (first / (1 - 0.8**step)) / (np.sqrt(second / (1 - 0.95**step)) + 1e-6)
        np.testing.assert_allclose(parameter.detach(), by_hand, atol=1e-9)


def test_the_published_recipe_keeps_adam_at_a_constant_rate() -> None:
    optimiser = optimiser_of(Recipe(epochs=1), [nn.Parameter(torch.ones(2))], steps=5)
    assert isinstance(optimiser, KerasAdam)
    assert optimiser.adam.param_groups[0]["weight_decay"] == 0


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_an_optimiser_goes_on_from_its_tensors(kind: str) -> None:
    recipe = Recipe(steps=6, optimiser=kind, weight_decay=0.1 if kind == "adamw" else 0.0)
    slopes = torch.randn(6, 2, 3, 4, 4)

    def walk(parameter: nn.Parameter, steps: range, tensors: dict[str, torch.Tensor] | None = None) -> dict:
        optimiser = optimiser_of(recipe, [parameter], steps=6)
        if tensors is not None:
            optimiser.load_tensors(tensors)
        for step in steps:
            parameter.grad = slopes[step].to(memory_format=torch.channels_last)
            optimiser.step(step + 1)
        return {name: value.clone() for name, value in optimiser.tensors().items()}

    def fresh() -> nn.Parameter:
        return nn.Parameter(torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last))

    whole, broken = fresh(), fresh()
    walk(whole, range(6))
    half = walk(broken, range(3))
    walk(broken, range(3, 6), {name: value.contiguous() for name, value in half.items()})
    assert torch.equal(whole, broken)


# --- the average of the weights ---


def test_the_average_is_the_one_that_is_computed_by_hand() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    average = WeightAverage(model, decay=0.3)
    by_hand = {name: value.double() for name, value in model.state_dict().items() if value.is_floating_point()}
    assert "1.running_var" in by_hand
    for number in range(1, 6):  # 1/10, 2/11, 3/12, 0.3 and 0.3 are kept
        with torch.no_grad():
            for value in model.parameters():
                value.add_(torch.randn_like(value))
        model(torch.randn(8, 3))
        average.update(model, number)
        kept = min(0.3, number / (9 + number))
        state = model.state_dict()
        by_hand = {name: kept * value + (1 - kept) * state[name] for name, value in by_hand.items()}
    assert int(model[1].num_batches_tracked) == 5
    average.lay_into(model)
    for name, value in by_hand.items():
        torch.testing.assert_close(model.state_dict()[name], value.float())
    assert int(model[1].num_batches_tracked) == 5


def test_the_average_leaves_the_weights_alone_and_goes_on_from_its_tensors() -> None:
    model, other = nn.Linear(3, 4), nn.Linear(3, 4)
    before = model.weight.detach().clone()
    average = WeightAverage(model, decay=0.9)
    average.update(other, 1)
    assert torch.equal(model.weight, before)
    again = WeightAverage(other, decay=0.9)
    again.load_tensors({name: value.clone() for name, value in average.tensors().items()})
    for one in (average, again):
        one.update(other, 2)
    assert all(torch.equal(value, again.tensors()[name]) for name, value in average.tensors().items())


# --- the loss ---


def cross_entropies(logits: np.ndarray, targets: np.ndarray, smoothing: float) -> np.ndarray:
    """Of each image: its target is 1 - smoothing on its class, and smoothing shared by all classes."""
    logits = logits.astype(float)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -(1 - smoothing) * log_p[np.arange(len(targets)), targets] - smoothing * log_p.mean(1)


@pytest.fixture
def opinions() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(0, 2, (6, 4)).astype(np.float32) for name in ("fused", "shallow", "deep")}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("branch_loss", [0.0, 0.7])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_that_of_the_fused_head_and_a_part_of_the_mean_of_the_others(
    opinions: dict[str, np.ndarray], smoothing: float, branch_loss: float, weighted: bool
) -> None:
    targets = np.array([0, 1, 2, 3, 1, 1])
    weight = np.array([0, 1, 2, 0.5, 1.5, 1], np.float32) if weighted else None
    recipe = Recipe(steps=1, label_smoothing=smoothing, branch_loss=branch_loss)
    each = {
        name: (cross_entropies(logits, targets, smoothing) * (1 if weight is None else weight)).mean()
        for name, logits in opinions.items()
    }
    given = {name: torch.tensor(logits) for name, logits in opinions.items()}
    loss = loss_of(given, torch.tensor(targets), recipe, None if weight is None else torch.tensor(weight))
    assert loss.item() == pytest.approx(each["fused"] + branch_loss * (each["shallow"] + each["deep"]) / 2, rel=1e-5)
    alone = loss_of({"fused": given["fused"]}, torch.tensor(targets), recipe, None)
    expected = nn.functional.cross_entropy(given["fused"], torch.tensor(targets), label_smoothing=smoothing)
    assert alone.item() == pytest.approx(expected.item())
