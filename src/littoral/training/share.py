"""Which part of every batch this process computes, where several train one model together.

Each takes the same images in the same order and computes its own piece of a batch; gradients are averaged by torch's
DistributedDataParallel, so that every process makes the step of the whole batch. Leaves to others: starting the
processes and connecting them (torch.distributed), and what becomes of the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from littoral.errors import InputError
from littoral.nn.model import FusionNet
from littoral.training.recipe import Recipe

LEAST = 2
"""Images of a batch that each process gets at least: of one alone, batch normalisation knows no spread."""


@dataclass(frozen=True)
class Share:
    """The part of process `rank`, counted from 0, of `workers`; of one alone it is all."""

    rank: int = 0
    workers: int = 1

    def part(self, images: int) -> slice:
        """Where its images lie in a batch of so many: parts follow each other, and differ by one image at most."""
        return slice(images * self.rank // self.workers, images * (self.rank + 1) // self.workers)

    def opinions(self, model: FusionNet) -> Callable[[Tensor], dict[str, Tensor]]:
        """`model.opinions`, with the gradients that follow averaged over all processes.

        Batch normalisation is over the images of each process; what it remembers for evaluation is what process 0 saw.
        """
        if self.workers == 1:
            return model.opinions
        # of branches that are used only in part some parameters get no gradient, which has to be looked for
        averaged: DistributedDataParallel = DistributedDataParallel(_Opinions(model), find_unused_parameters=True)
        return averaged

    def summed(self, values: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """The sum over all processes, in place of the values; each has to call it at the same point."""
        if self.workers > 1:
            torch.distributed.all_reduce(values)
        return values


ALONE = Share()


class _Opinions(nn.Module):
    """A model whose `forward` gives what training asks for, since DistributedDataParallel watches over `forward`."""

    def __init__(self, model: FusionNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        return self.model.opinions(x)


def require_enough(recipe: Recipe, images: int, workers: int) -> None:
    """Raise InputError where the smallest batch of a training on so many images cannot be parted among `workers`."""
    rest = 0 if recipe.full_batches else images % recipe.batch_size
    smallest = rest if rest and recipe.total_steps(images) >= recipe.steps_per_epoch(images) else recipe.batch_size
    if smallest < LEAST * workers:
        raise InputError(
            f"{workers} workers need {LEAST} images each of every batch, and the smallest of this training has "
            f"{smallest}: give {max(1, smallest // LEAST)} or fewer"
        )
