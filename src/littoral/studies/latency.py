"""How long a trained model takes for an image, on the device that it is on. Its cost on paper is `nn/cost.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from littoral.nn.inference import BATCH_SIZE, predict_probabilities
from littoral.rows import ImageRows
from littoral.training.run import TrainedModel

REPEATS, SECONDS = 10, 0.5
"""Each of the two figures is the median of so many calls, or of as many as fit into so many seconds, one at least."""


@dataclass(frozen=True)
class Latency:
    """Median seconds an image, from pixels to probabilities: `single`, one at a time; `batched`, `batch` at a time."""

    single: float
    batched: float
    batch: int = BATCH_SIZE


def measure_latency(trained: TrainedModel, images: NDArray[np.uint8] | ImageRows) -> Latency:
    """The latency on the device and with the threads of now; of fewer images than a batch some are taken again."""
    batch = images[np.arange(BATCH_SIZE) % len(images)]

    def seconds(pixels: NDArray[np.uint8]) -> float:
        return median_seconds(lambda: predict_probabilities(trained.model, pixels, trained.image)) / len(pixels)

    return Latency(single=seconds(batch[:1]), batched=seconds(batch))


def median_seconds(call: Callable[[], object]) -> float:
    """Median duration of a call. No warm-up: the model has just been tested, and a median forgets a slow first call."""
    times: list[float] = []
    while not times or (len(times) < REPEATS and sum(times) < SECONDS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))
