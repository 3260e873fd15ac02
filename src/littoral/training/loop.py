"""The training loop: one function from a fresh model and stored images to trained weights and their history.

Leaves to others: what to train (`presets.py`), what becomes of the weights (`run.py`), how progress looks (`cli/`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor, nn

from littoral.errors import TrainingError
from littoral.nn.inputs import to_input
from littoral.nn.model import FUSED, FusionNet
from littoral.rows import ImageRows
from littoral.specs import ImageSpec
from littoral.training.augment import draw, moved
from littoral.training.budget import TimeBudget
from littoral.training.checkpoint import load_checkpoint, save_checkpoint
from littoral.training.feed import feed, order_of
from littoral.training.history import EpochRecord
from littoral.training.optim import WeightAverage, optimiser_of
from littoral.training.precision import precision_on
from littoral.training.recipe import Recipe
from littoral.training.share import ALONE, Share

REPORT_EVERY = 10
"""Steps between two reports. Losses stay on the device until then, so that a GPU is not made to wait at each step."""


@dataclass(frozen=True)
class Plan:
    """How much there is to train: said to the observer before the first step.

    `purpose`: `votes` for the networks of folds that votes are learned from, before the network itself; else empty.
    """

    images: int
    steps: int
    steps_per_epoch: int
    start_step: int
    purpose: str = ""


@runtime_checkable
class Observer(Protocol):
    """Who wants to follow a training. It is told, and changes nothing."""

    def on_start(self, plan: Plan) -> None:
        """Before the first step."""

    def on_steps(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        """Every few steps: the step reached, and this epoch's mean loss, accuracy and speed so far."""

    def on_epoch(self, record: EpochRecord) -> None:
        """After each epoch and its checkpoint."""


class Silent:
    """An observer that does nothing."""

    def on_start(self, plan: Plan) -> None:
        """Nothing."""

    def on_steps(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        """Nothing."""

    def on_epoch(self, record: EpochRecord) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Checkpointing:
    """Where to keep the state after every epoch, what run it belongs to, and whether to go on from it."""

    path: Path
    identity: dict[str, object]
    resume: bool = False


@runtime_checkable
class Workers(Protocol):
    """Processes that train one model together, wherever they are; see `share.py`."""

    @property
    def count(self) -> int:
        """How many there are."""

    def train(
        self,
        model: FusionNet,
        images: UInt8[np.ndarray, "n height width channels"] | ImageRows,
        labels: Int64[np.ndarray, " n"],
        spec: ImageSpec,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        observer: Observer,
        weights: Float64[np.ndarray, " n"] | None,
        checkpointing: Checkpointing | None,
    ) -> list[EpochRecord]:
        """As the function `train`, done by all of them; `model` ends here, and so do the checkpoints."""


def train(
    model: FusionNet,
    images: UInt8[np.ndarray, "n height width channels"] | ImageRows,
    labels: Int64[np.ndarray, " n"],
    spec: ImageSpec,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    observer: Observer,
    weights: Float64[np.ndarray, " n"] | None = None,
    checkpointing: Checkpointing | None = None,
    shown_accuracy: Callable[[nn.Module], float] | None = None,
    budget: TimeBudget | None = None,
    rates: Mapping[str, float] | None = None,
    share: Share = ALONE,
) -> list[EpochRecord]:
    """Train `model` in place on `device` and return its history.

    The same model, images, recipe, seed, machine and number of threads give bit-equal weights. All random numbers of
    an epoch come from (seed, epoch), so a run that goes on from a checkpoint draws what the unbroken run would have.
    `weights`: the weight of each image in the loss, of mean 1; None: all alike. `shown_accuracy` is called after each
    epoch, outside the timing; nothing reads its value but the history. `budget`: the run is stopped, before its last
    step, where it would take longer than that. `rates`: the part of the recipe's rate that each parameter that learns,
    by name, does so at; None: all of it. `share`: which part this process does of a training by several.

    Raises TrainingError, naming the step, when the loss is no longer finite.
    """
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    total, per_epoch = recipe.total_steps(len(images)), recipe.steps_per_epoch(len(images))
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    own_rates = None if rates is None else [rates[name] for name in learning]
    optimiser = optimiser_of(recipe, list(learning.values()), total, own_rates)
    average = WeightAverage(model, recipe.average) if recipe.average else None
    memory = (optimiser,) if average is None else (optimiser, average)
    history: list[EpochRecord] = []
    if checkpointing is not None and checkpointing.resume and checkpointing.path.exists():
        history = load_checkpoint(checkpointing.path, checkpointing.identity, model, memory)

    pixels, targets = feed(images, device), torch.tensor(labels, device=device)
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float32, device=device)
    opinions_of = share.opinions(model)
    step = history[-1].step if history else 0
    observer.on_start(Plan(len(images), total, per_epoch, step))
    half = precision_on(device, recipe.precision) == "bfloat16"
    # a GPU's convolutions are repeatable only when cuDNN is told so; a CPU's are anyway
    cudnn = torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False)
    with cudnn, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        while step < total and not (budget is not None and budget.over and history):  # one step at least
            epoch = len(history) + 1
            rng = np.random.default_rng([seed, epoch])
            _seed(int(rng.integers(2**63)), device)  # for layers that draw, such as dropout
            order = torch.from_numpy(order_of(recipe, labels, rng)).to(device)
            batches = torch.split(order, recipe.batch_size)[: total - step]
            moves = None
            if recipe.augment is not None:  # for the whole epoch at once, so that no batch waits for its numbers
                chance = torch.Generator().manual_seed(int(rng.integers(2**63)))
                moves = draw(recipe.augment, len(order), chance).to(device)
            losses = torch.zeros(len(batches), device=device)
            correct = torch.zeros((), dtype=torch.int64, device=device)
            seen = reported = 0

            model.train()
            start = time.perf_counter()
            for number, batch in enumerate(batches, start=1):
                part = share.part(len(batch))
                mine = batch[part]
                x = to_input(pixels(mine), spec)
                if moves is not None:
                    x = moved(x, moves.part(seen + part.start, seen + part.stop))
                with torch.autocast(device.type, torch.bfloat16, enabled=half):
                    opinions = {name: logits.float() for name, logits in opinions_of(x).items()}
                loss = loss_of(opinions, targets[mine], recipe, None if weight is None else weight[mine])
                loss = loss * (len(mine) / len(batch))  # the sum over all workers is the loss of the batch
                (loss * share.workers).backward()  # type: ignore[no-untyped-call]  # gradients are averaged
                optimiser.step(step + number)
                if average is not None:
                    average.update(model, step + number)

                losses[number - 1] = loss.detach()
                logits = model.combined({name: opinion.detach() for name, opinion in opinions.items()})
                correct += (logits.argmax(1) == targets[mine]).sum()
                seen += len(batch)
                late = budget is not None and budget.over
                if number % REPORT_EVERY == 0 or number == len(batches) or late:
                    _require_finite(share.summed(losses[reported:number]), first_step=step + reported + 1)
                    reported = number
                    right = share.summed(correct.clone()).item()
                    seconds = time.perf_counter() - start
                    mean_loss, accuracy = losses[:number].mean().item(), right / seen
                    observer.on_steps(epoch, step + number, mean_loss, accuracy, seen / seconds)
                if late:
                    break
            step += number

            shown = None if shown_accuracy is None else shown_accuracy(model)
            history.append(EpochRecord(epoch, step, mean_loss, accuracy, seconds, shown))
            if checkpointing is not None:
                save_checkpoint(checkpointing.path, checkpointing.identity, model, memory, history)
            observer.on_epoch(history[-1])
    if average is not None:
        average.lay_into(model)
    return history


def _seed(seed: int, device: torch.device) -> None:
    """For the generators that a training draws from, which it puts back; those of other devices are the caller's."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def loss_of(
    opinions: Mapping[str, Float[Tensor, "batch classes"]],
    targets: Int64[Tensor, " batch"],
    recipe: Recipe,
    weight: Float[Tensor, " batch"] | None,
) -> Float[Tensor, ""]:
    """The loss of a batch: that of the head over the fused vector, and the recipe's part of those of the branches.

    Where there is no fused vector, it is the mean of those of the branches. `weight`: how much each image counts.
    """

    def cross_entropy(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, ""]:
        if weight is None:
            return F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
        each = F.cross_entropy(logits, targets, reduction="none", label_smoothing=recipe.label_smoothing)
        return (each * weight).mean()

    branches = [cross_entropy(logits) for name, logits in opinions.items() if name != FUSED]
    if FUSED not in opinions:
        return torch.stack(branches).mean()
    loss = cross_entropy(opinions[FUSED])
    return loss + recipe.branch_loss * torch.stack(branches).mean() if branches else loss


def _require_finite(losses: Tensor, first_step: int) -> None:
    finite = losses.isfinite()
    if not finite.all():
        step = first_step + int((~finite).int().argmax())
        raise TrainingError(
            f"the loss is no longer finite at step {step} ({losses[step - first_step].item()}); "
            "use a lower learning rate, or look for broken images"
        )
