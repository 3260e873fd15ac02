"""Images of requests that come at the same time -> one call of the model, without waiting for more.

A place in the queue is taken before an image is decoded and given back when it is answered, so that what is bounded is
all images in the server. Leaves to others: how long a request may take (api.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from littoral.serve.served import Images, Outputs, Served

TURNS = 8
"""Turns of the event loop that a call waits for images that have a place and are not there yet: under a millisecond."""


class FullError(Exception):
    """There is no room for so many images now."""


@dataclass(eq=False)
class _Job:
    served: Served
    images: Images
    done: asyncio.Future[Outputs]


class Batcher:
    """A queue before the model. `held`: images that have a place now.

    `on_batch` is told how many images went into each call.
    """

    def __init__(self, waiting: int, at_once: int, on_batch: Callable[[int], None]) -> None:
        self.held = 0
        self._waiting = waiting
        self._at_once = at_once
        self._on_batch = on_batch
        self._jobs: deque[_Job] = deque()
        self._queued = 0
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "model")

    @property
    def full(self) -> bool:
        """Whether there is no room for one image more."""
        return self.held >= self._waiting

    @contextlib.contextmanager
    def place(self, images: int) -> Iterator[None]:
        """Room for so many images while the block lasts; raises FullError where there is none."""
        if self.held + images > self._waiting:
            raise FullError
        self.held += images
        try:
            yield
        finally:
            self.held -= images

    async def answer(self, served: Served, images: Images) -> Outputs:
        """What `served` says of these images, in calls of `at_once`, each with those of other requests for the model.

        Where the caller gives up before their turn, they are never looked at.
        """
        if len(images) <= self._at_once:
            return await self._asked(served, images)
        starts = range(0, len(images), self._at_once)
        parts = await asyncio.gather(*(self._asked(served, images[start : start + self._at_once]) for start in starts))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _asked(self, served: Served, images: Images) -> asyncio.Future[Outputs]:
        job = _Job(served, images, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._queued += len(images)
        self._arrived.set()
        return job.done

    async def run(self) -> None:
        """Answer what comes, until cancelled: batch after batch, in a thread."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._arrived.wait()
                await self._company()
                jobs = self._next()
                if not jobs:
                    self._arrived.clear()
                    continue
                pixels = jobs[0].images if len(jobs) == 1 else np.concatenate([job.images for job in jobs])
                self._on_batch(len(pixels))
                try:
                    outputs = await loop.run_in_executor(self._thread, jobs[0].served.answer, pixels)
                except Exception as error:  # what the runtime could not do concerns those who asked, and no others
                    _fail(jobs, error)
                else:
                    _share(jobs, outputs)
        finally:
            self._thread.shutdown(wait=False)

    async def _company(self) -> None:
        """Let images that are being read now join: a call costs as much as several images in it."""
        for _ in range(TURNS):
            if self._queued >= min(self.held, self._at_once):
                return
            await asyncio.sleep(0)

    def _next(self) -> list[_Job]:
        """The jobs of the next call, for one model, up to `at_once` images; none where none wait."""
        jobs: list[_Job] = []
        images = 0
        while self._jobs:
            job = self._jobs[0]
            if job.done.done():  # given up
                self._queued -= len(self._jobs.popleft().images)
                continue
            if jobs and (job.served is not jobs[0].served or images + len(job.images) > self._at_once):
                break
            jobs.append(self._jobs.popleft())
            images += len(job.images)
            self._queued -= len(job.images)
        return jobs


def _share(jobs: list[_Job], outputs: Outputs) -> None:
    start = 0
    for job in jobs:
        end = start + len(job.images)
        if not job.done.done():
            job.done.set_result({name: values[start:end] for name, values in outputs.items()})
        start = end


def _fail(jobs: list[_Job], error: Exception) -> None:
    for job in jobs:
        if not job.done.done():
            job.done.set_exception(error)
