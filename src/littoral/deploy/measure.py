"""How long calls take, by turns, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

BATCHES = (1, 32)

WARM_UPS, ROUNDS, SECONDS = 2, 100, 3.0
"""Calls that are not counted; then so many rounds, or as many as fit into so many seconds, ten at least."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds a call of `form` took on a batch of so many images: the median, and what 95 % stay under."""

    form: str
    batch: int
    p50: float
    p95: float


def measured(
    forms: Mapping[str, Callable[[NDArray[np.uint8]], object]],
    images: NDArray[np.uint8],
    batches: tuple[int, ...] = BATCHES,
) -> list[Latency]:
    """Each form on batches of these images, from pixels, uint8 (n, height, width, channels), to answers.

    Where there are fewer than a batch some come again.
    """
    found = []
    for batch in batches:
        pixels = np.ascontiguousarray(images[np.arange(batch) % len(images)])
        times = alternated({form: partial(call, pixels) for form, call in forms.items()})
        for form, seconds in times.items():
            p50, p95 = (1000 * float(value) for value in np.percentile(seconds, (50, 95)))
            found.append(Latency(form, batch, p50, p95))
    return found


@dataclass(frozen=True)
class MeanTime:
    """Milliseconds an image of `form` where so many come at once: the mean over images, the median over rounds."""

    form: str
    batch: int
    ms: float


def mean_times(
    forms: Mapping[str, tuple[Callable[[NDArray[np.uint8]], object], NDArray[np.uint8]]], batch: int
) -> list[MeanTime]:
    """Each form on all of its own images, batch by batch; for forms that take longer on some images than on others."""

    def through(call: Callable[[NDArray[np.uint8]], object], images: NDArray[np.uint8]) -> None:
        for start in range(0, len(images), batch):
            call(images[start : start + batch])

    times = alternated({form: partial(through, call, images) for form, (call, images) in forms.items()})
    return [
        MeanTime(form, batch, 1000 * float(np.median(seconds)) / len(forms[form][1])) for form, seconds in times.items()
    ]


def alternated(calls: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each call in each round; every round has each call once."""
    for _ in range(WARM_UPS):
        for call in calls.values():
            call()
    times: dict[str, list[float]] = {form: [] for form in calls}
    begin = time.perf_counter()
    for number in range(ROUNDS):
        if number >= 10 and time.perf_counter() - begin > SECONDS:
            break
        for form, call in calls.items():
            start = time.perf_counter()
            call()
            times[form].append(time.perf_counter() - start)
    return times
