"""The training loop: one function from a fresh model and stored images to trained weights and their history.

Leaves to others: what to train (`presets.py`), what becomes of the weights (`run.py`), how progress looks (`cli/`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor, nn

from littoral.errors import TrainingError
from littoral.nn.inputs import to_input
from littoral.rows import ImageRows
from littoral.specs import ImageSpec
from littoral.training.checkpoint import load_checkpoint, save_checkpoint
from littoral.training.feed import balanced_order, feed
from littoral.training.history import EpochRecord
from littoral.training.optim import KerasAdam
from littoral.training.recipe import Recipe

REPORT_EVERY = 10
"""Steps between two reports. Losses stay on the device until then, so that a GPU is not made to wait at each step."""


@dataclass(frozen=True)
class Plan:
    """How much there is to train: said to the observer before the first step."""

    images: int
    steps: int
    steps_per_epoch: int
    start_step: int


@runtime_checkable
class Observer(Protocol):
    """Who wants to follow a training. It is told, and changes nothing."""

    def on_start(self, plan: Plan) -> None:
        """Before the first step."""

    def on_steps(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        """Every few steps: the step reached, and this epoch's mean loss, accuracy and speed so far."""

    def on_epoch(self, record: EpochRecord) -> None:
        """After each epoch, before its checkpoint."""


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


def train(
    model: nn.Module,
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
) -> list[EpochRecord]:
    """Train `model` in place on `device` and return its history.

    The same model, images, recipe, seed, machine and number of threads give bit-equal weights. All random numbers of
    an epoch come from (seed, epoch), so a run that goes on from a checkpoint draws what the unbroken run would have.
    `weights`: the weight of each image in the loss, of mean 1; None: all alike. `shown_accuracy` is called after each
    epoch, outside the timing; nothing reads its value but the history.

    Raises TrainingError, naming the step, when the loss is no longer finite.
    """
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = KerasAdam(model.parameters(), recipe)
    history: list[EpochRecord] = []
    if checkpointing is not None and checkpointing.resume and checkpointing.path.exists():
        history = load_checkpoint(checkpointing.path, checkpointing.identity, model, optimiser)

    pixels, targets = feed(images, device), torch.tensor(labels, device=device)
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float32, device=device)
    total, per_epoch = recipe.total_steps(len(images)), recipe.steps_per_epoch(len(images))
    step = history[-1].step if history else 0
    observer.on_start(Plan(len(images), total, per_epoch, step))
    # a GPU's convolutions are repeatable only when cuDNN is told so; a CPU's are anyway
    cudnn = torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False)
    with cudnn, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        while step < total:
            epoch = len(history) + 1
            rng = np.random.default_rng([seed, epoch])
            torch.manual_seed(int(rng.integers(2**63)))  # for layers that draw, such as dropout
            balanced = recipe.balance == "sampler"
            order = balanced_order(labels, rng) if balanced else rng.permutation(len(images))
            batches = torch.split(torch.from_numpy(order).to(device), recipe.batch_size)[: total - step]
            losses = torch.zeros(len(batches), device=device)
            correct = torch.zeros((), dtype=torch.int64, device=device)
            seen = reported = 0

            model.train()
            start = time.perf_counter()
            for number, batch in enumerate(batches, start=1):
                logits = model(to_input(pixels(batch), spec))
                if weight is None:
                    loss = F.cross_entropy(logits, targets[batch])
                else:
                    loss = (F.cross_entropy(logits, targets[batch], reduction="none") * weight[batch]).mean()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step(step + number)

                losses[number - 1] = loss.detach()
                correct += (logits.detach().argmax(1) == targets[batch]).sum()
                seen += len(batch)
                if number % REPORT_EVERY == 0 or number == len(batches):
                    _require_finite(losses[reported:number], first_step=step + reported + 1)
                    reported = number
                    seconds = time.perf_counter() - start
                    mean_loss, accuracy = losses[:number].mean().item(), correct.item() / seen
                    observer.on_steps(epoch, step + number, mean_loss, accuracy, seen / seconds)
            step += len(batches)

            shown = None if shown_accuracy is None else shown_accuracy(model)
            history.append(EpochRecord(epoch, step, mean_loss, accuracy, seconds, shown))
            observer.on_epoch(history[-1])
            if checkpointing is not None:
                save_checkpoint(checkpointing.path, checkpointing.identity, model, optimiser, history)
    return history


def _require_finite(losses: Tensor, first_step: int) -> None:
    finite = losses.isfinite()
    if not finite.all():
        step = first_step + int((~finite).int().argmax())
        raise TrainingError(
            f"the loss is no longer finite at step {step} ({losses[step - first_step].item()}); "
            "use a lower learning rate, or look for broken images"
        )
