"""Recipe: everything that decides a training besides the model, the images and the seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int64

from littoral.errors import InputError

Balance = Literal["none", "loss", "sampler", "auto"]
Precision = Literal["float32", "gpu", "auto"]

BALANCES: tuple[Balance, ...] = get_args(Balance)

SHORTEST_EPOCH = 50
"""Batches of an epoch at least, where batches are full: one of a few images would be over before it was noticed."""

WARMUP = 0.2
"""Share of the steps over which a rate rises where nobody says otherwise."""

UNBALANCED = 2.0
"""Classes are called unbalanced where the largest has more than so many times the images of the smallest."""


@dataclass(frozen=True)
class Augment:
    """How far an image is moved at most. Each number is drawn evenly between minus and plus the value.

    `rotate`: degrees. `scale`: share of the size, each axis by itself. `shear`: sideways, as a share of the height.
    `shift`: share of the side, each axis by itself. `elastic`: standard deviation, as a share of the side, of a smooth
    field of displacements (normally distributed on a grid of 4 × 4 knots, cubic between; after Simard, Steinkraus and
    Platt 2003). What comes in from outside is the image's edge, drawn out. `mirror`: every second image, by chance, has
    its left and right exchanged; for images that mean the same then. Images that are shifted and mirrored alone are
    shifted by whole pixels.
    """

    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0
    mirror: bool = False

    __pydantic_config__ = {"extra": "forbid"}

    def __post_init__(self) -> None:
        strengths = (self.rotate, self.scale, self.shear, self.shift, self.elastic)
        if not all(0 <= strength < math.inf for strength in strengths) or self.scale >= 1:
            raise InputError(f"the strengths of an augmentation are 0 or more, and scale is below 1; got {self}")


@dataclass(frozen=True)
class Recipe:
    """How long and how to train. Exactly one of `epochs` (passes over the images) and `steps` (batches) is set.

    `min_steps`: passes go on until there were so many batches; with `epochs` alone. `full_batches`: a pass leaves out
    the images that do not fill the last batch, and is repeated until there were SHORTEST_EPOCH batches; repeats and all
    are then one epoch.

    `optimiser`: `adam` as Keras computes it at a constant rate, or `adamw` with `weight_decay` and a rate that rises
    over the share `warmup` of the steps and then falls; see `optim.py`. Loss: cross-entropy, its targets smoothed by
    `label_smoothing` (Szegedy et al. 2016); where branches have heads of their own, the mean of their losses times
    `branch_loss` is added. `average`: the decay of a moving average of the weights, which is what is kept in the end;
    0: the last weights are. `augment`: how images are moved, or None.

    `votes`: of heads that vote, `fixed`: half for the one over the fused vector and the rest for those of the branches,
    alike; or `learned` out of fold, see `votes.py`, for a fifth of the steps.

    `balance`: what is done about classes of unequal size. `loss` weighs an image's loss inversely to the size of its
    class, `sampler` draws every class equally often, `auto` is `loss` where classes are unbalanced, else `none`.

    `precision` of the layers' work: `float32` everywhere; `gpu`: bfloat16 on a GPU; `auto`: bfloat16 on a CPU too that
    has instructions for it. Weights, their averages, the loss and the optimiser stay float32; see `precision.py`.
    """

    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 128
    optimiser: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-7
    balance: Balance = "none"
    min_steps: int = 0
    full_batches: bool = False
    weight_decay: float = 0.0
    warmup: float = WARMUP
    label_smoothing: float = 0.0
    branch_loss: float = 1.0
    average: float = 0.0
    augment: Augment | None = None
    votes: Literal["fixed", "learned"] = "fixed"
    precision: Precision = "float32"

    __pydantic_config__ = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise InputError(f"set epochs or steps, not both and not neither; got {self.epochs} and {self.steps}")
        for name, value in (("epochs", self.epochs), ("steps", self.steps), ("batch_size", self.batch_size)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        if self.balance not in BALANCES:
            raise InputError(f"balance must be one of {', '.join(BALANCES)}, got {self.balance!r}")
        if not self.learning_rate > 0 or not self.epsilon > 0 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(
                "learning_rate and epsilon must be positive and betas in [0, 1), "
                f"got {self.learning_rate}, {self.epsilon}, {self.betas}"
            )
        if self.optimiser not in ("adam", "adamw"):
            raise InputError(f"optimiser must be adam or adamw, got {self.optimiser!r}")
        if self.votes not in ("fixed", "learned"):
            raise InputError(f"votes must be fixed or learned, got {self.votes!r}")
        if self.precision not in get_args(Precision):
            raise InputError(f"precision must be one of {', '.join(get_args(Precision))}, got {self.precision!r}")
        if not all(0 <= value < math.inf for value in (self.min_steps, self.weight_decay, self.branch_loss)):
            raise InputError(
                "min_steps, weight_decay and branch_loss are 0 or more, "
                f"got {self.min_steps}, {self.weight_decay}, {self.branch_loss}"
            )
        if not 0 < self.warmup < 1 or not 0 <= self.label_smoothing < 1 or not 0 <= self.average < 1:
            raise InputError(
                "warmup is between 0 and 1, label_smoothing and average in [0, 1), "
                f"got {self.warmup}, {self.label_smoothing}, {self.average}"
            )
        if self.steps is not None and self.min_steps:
            raise InputError(
                f"min_steps goes with epochs, since steps are the whole length: leave one of them out, "
                f"got {self.min_steps} and {self.steps}"
            )
        if self.optimiser == "adam" and (self.weight_decay, self.warmup) != (0.0, WARMUP):
            raise InputError(
                "weight_decay and warmup are adamw's, adam has neither: leave them out or set the optimiser, "
                f"got {self.weight_decay} and {self.warmup}"
            )

    def lasting(self, epochs: int | None = None, steps: int | None = None, balance: Balance | None = None) -> Recipe:
        """The same recipe with what is given in place of its own. Raises InputError when both lengths are."""
        given = epochs is not None or steps is not None
        recipe = replace(self, epochs=epochs, steps=steps, min_steps=0) if given else self
        return recipe if balance is None else replace(recipe, balance=balance)

    def balanced_for(self, labels: Int64[np.ndarray, " n"]) -> Recipe:
        """The same recipe with `auto` settled for training images of these labels."""
        if self.balance != "auto":
            return self
        counts = np.unique(labels, return_counts=True)[1]
        return replace(self, balance="loss" if counts.max() > UNBALANCED * counts.min() else "none")

    def total_steps(self, images: int) -> int:
        """Number of batches that training on this many images takes; the last batch of an epoch may be smaller."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None  # __post_init__ saw to it
        return max(self.epochs * self.steps_per_epoch(images), self.min_steps)

    def steps_per_epoch(self, images: int) -> int:
        """Batches in one epoch of this many images."""
        if self.full_batches:
            return max(images // self.batch_size, SHORTEST_EPOCH)
        return -(-images // self.batch_size)

    def images_seen(self, images: int, steps: int) -> int:
        """Images drawn in so many steps from so many, counting an image each time it is drawn."""
        if self.full_batches:
            return steps * self.batch_size
        epochs, rest = divmod(steps, self.steps_per_epoch(images))
        return epochs * images + min(rest * self.batch_size, images)
