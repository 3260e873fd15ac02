"""Recipe: everything that decides a training besides the model, the images and the seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int64

from littoral.errors import InputError

Balance = Literal["none", "loss", "sampler", "auto"]

BALANCES: tuple[Balance, ...] = get_args(Balance)

UNBALANCED = 2.0
"""Classes are called unbalanced where the largest has more than so many times the images of the smallest."""


@dataclass(frozen=True)
class Recipe:
    """How long and how to train. Exactly one of `epochs` (passes over the images) and `steps` (batches) is set.

    Loss: cross-entropy. Optimiser: Adam as Keras computes it (see `optim.py`), whose defaults these are.

    `balance`: what is done about classes of unequal size. `loss` weighs an image's loss inversely to the size of its
    class, `sampler` draws every class equally often, `auto` is `loss` where classes are unbalanced, else `none`.
    """

    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 128
    optimiser: Literal["adam"] = "adam"
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-7
    balance: Balance = "none"

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

    def lasting(self, epochs: int | None = None, steps: int | None = None, balance: Balance | None = None) -> Recipe:
        """The same recipe with what is given in place of its own. Raises InputError when both lengths are."""
        recipe = self if epochs is None and steps is None else replace(self, epochs=epochs, steps=steps)
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
        return self.epochs * self.steps_per_epoch(images)

    def steps_per_epoch(self, images: int) -> int:
        """Batches in one pass over this many images."""
        return -(-images // self.batch_size)
