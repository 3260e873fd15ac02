"""What is known of a training after each of its epochs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochRecord:
    """One pass over the images. `loss` and `accuracy` are means over its training batches, as they were trained on.

    `seconds` count training alone. `shown_accuracy` is on images that only the display sees, where there are any.
    """

    epoch: int
    step: int
    loss: float
    accuracy: float
    seconds: float
    shown_accuracy: float | None = None
