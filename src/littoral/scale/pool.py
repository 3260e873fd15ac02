"""Parts on a Ray cluster: a pool of workers, each an actor with the model loaded, that are handed one after the other.

Whoever is ready gets the next part, and a part whose worker is lost is done again by another. So a part never waits for
a worker that has no room, and the pool grows as room comes. What a part is, is left to others.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from littoral.errors import InputError
from littoral.memory import keep_freed_memory
from littoral.scale.parts import Part
from littoral.scale.predictor import Predictor, Setting
from littoral.scale.tasks import LOOK_AROUND_EVERY, RETRIES, Needs, ready_of, require_room, room_for

LOOK_EVERY = 0.05
"""Seconds between two looks for finished parts. In between Python sleeps, so that Ctrl-C is heard at once."""


class Worker:
    """The actor: `prepare` first, which may raise InputError, then as many parts as come."""

    def prepare(self, setting: Setting) -> None:
        """Load the model."""
        keep_freed_memory()  # as the command line does for its own process
        self._predictor = Predictor(setting)

    def predict(self, part: Part) -> bytes:
        """One part, see `Predictor.predict`."""
        return self._predictor.predict(part)


def predicted_by_workers(
    setting: Setting, parts: Iterable[tuple[int, Part]], workers: int | None
) -> Generator[tuple[int, bytes]]:
    """(number, content of its file) of each part, as soon as it is there. For within `connected`.

    `workers`: how many; None: as many as the cluster has room for, each with `setting.threads` CPUs. An error that a
    part raises is raised here; then, and where nobody asks for more, the workers are ended.

    Raises InputError where no machine has so many CPUs, or is left, and where workers are lost again and again.
    """
    import ray

    needs = Needs(setting.threads)
    require_room(needs, "worker")
    room = room_for(needs)
    model = ray.put(setting)
    actor: Any = ray.remote(Worker).options(num_cpus=setting.threads)
    left = deque(parts)
    pool = min(workers or room, len(left))
    busy: dict[Any, tuple[Any, int | None, Part]] = {}  # what a call will give -> its worker, and which part that is
    calls: Counter[Any] = Counter()  # that are with each worker
    lost: Counter[int | None] = Counter()

    def begin(worker: Any) -> None:
        busy[worker.prepare.remote(model)] = (worker, None, ())
        calls[worker] += 1

    def hand_out(worker: Any) -> None:
        ahead = 2 if len(left) > pool else 1  # so that it need not wait for news from here, but for the last parts
        while left and calls[worker] < ahead:
            number, part = left.popleft()
            busy[worker.predict.remote(part)] = (worker, number, part)
            calls[worker] += 1

    for _ in range(pool):
        begin(actor.remote())
    looked_around = time.monotonic()
    asker = ThreadPoolExecutor(1)
    try:
        while left or any(number is not None for _, number, _ in busy.values()):
            ready = ready_of(list(busy), asker)
            for call in ready:
                worker, number, part = busy.pop(call)
                calls[worker] -= 1
                content, reason = _outcome(call)
                if reason is None:
                    hand_out(worker)
                    if number is not None:
                        yield number, content
                    continue
                lost[number] += 1
                if lost[number] > (RETRIES * pool if number is None else RETRIES):
                    raise InputError(f"the cluster lost workers again and again, and gives up: {reason}")
                if number is not None:
                    left.appendleft((number, part))
                if not calls[worker]:
                    begin(actor.remote())
            if ready:
                looked_around = time.monotonic()
                continue
            if time.monotonic() - looked_around > LOOK_AROUND_EVERY:
                require_room(needs, "worker")
                looked_around = time.monotonic()
            time.sleep(LOOK_EVERY)
    finally:
        asker.shutdown()
        for worker, _, _ in busy.values():
            ray.kill(worker)


def _outcome(call: Any) -> tuple[Any, str | None]:
    """What a call gave, or why its worker is lost; raises what the call raised."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(call), None
    except RayTaskError as error:
        raise error.cause from None
    except RayError as error:
        return None, str(error).split("\n")[0]
