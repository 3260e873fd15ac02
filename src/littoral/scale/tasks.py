"""Many calls of one function on a Ray cluster: what they share is sent once, and each result comes when it is there.

What the calls are is left to `studies.py` and `tune.py`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from littoral.errors import InputError
from littoral.words import count

Shared = TypeVar("Shared")
Argument = TypeVar("Argument")
Result = TypeVar("Result")

AHEAD = 1000
"""Calls that are with the cluster at once, at most: enough for any to be busy."""

RETRIES = 3
"""Times that a call is done again whose machine, or process, was lost."""

LOOK_EVERY = 0.25
"""Seconds between two looks for results, at most. In between Python sleeps, so that Ctrl-C is heard at once: within a
call of Ray that waits, an interrupt that is not KeyboardInterrupt would be lost."""

LOOK_SHARE = 0.02
"""It is looked again after such a part of what was waited: short calls are heard of soon, long ones cost no time."""

LOOK_AROUND_EVERY = 10.0
"""Seconds without a result after which it is looked whether any machine is left that could give one."""


class LostError(InputError):
    """A call whose machine, or process, was lost each time that it was done."""


@dataclass(frozen=True)
class Needs:
    """What one call occupies: CPUs, which is the threads that it computes with, and GPUs."""

    cpus: int
    gpus: int = 0


class Calls(Generic[Argument]):
    """Calls of one function, with the same `shared` and another argument each, that are under way on the cluster.

    For within `connected`; `under_way` makes them. A call is done again where its machine is lost.
    """

    def __init__(self, call: Callable[[Shared, Argument], object], shared: Shared, needs: Needs) -> None:
        import ray

        self.needs = needs
        self._place = ray.put(shared)
        self._remote = ray.remote(call).options(num_cpus=needs.cpus, num_gpus=needs.gpus, max_retries=RETRIES)
        self._waiting: dict[Any, Argument] = {}
        self._ready: deque[Any] = deque()
        self._asker = ThreadPoolExecutor(1)

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, argument: Argument) -> None:
        """Hand `call(shared, argument)` to the cluster, which does it as soon as there is room."""
        self._waiting[self._remote.remote(self._place, argument)] = argument

    def finished(self) -> tuple[Argument, Any]:
        """Wait for the next call that is done, whichever it is; its argument, and what `result_of` takes.

        Raises InputError where no machine is left that has room for one.
        """
        start = looked_around = time.monotonic()
        while not self._ready:
            ready = ready_of(list(self._waiting), self._asker)
            if ready:
                self._ready.extend(ready)
                break
            now = time.monotonic()
            if now - looked_around > LOOK_AROUND_EVERY:
                require_room(self.needs)
                looked_around = now
            time.sleep(min(max(LOOK_SHARE * (now - start), 1e-3), LOOK_EVERY))
        reference = self._ready.popleft()
        return self._waiting.pop(reference), reference

    def give_up(self) -> None:
        """End the calls that are not done."""
        import ray

        self._asker.shutdown()
        for reference in self._waiting:
            ray.cancel(reference)


@contextmanager
def under_way(call: Callable[[Shared, Argument], object], shared: Shared, needs: Needs) -> Iterator[Calls[Argument]]:
    """Calls of `call(shared, …)`, of which those that are not done at the end of the block are given up.

    `shared` is sent to each machine once. Raises InputError where no machine has so many CPUs or GPUs.
    """
    require_room(needs)
    calls = Calls(call, shared, needs)
    try:
        yield calls
    finally:
        calls.give_up()


def results(
    call: Callable[[Shared, int], Result], shared: Shared, calls: int, needs: Needs
) -> Iterator[tuple[int, Result]]:
    """`call(shared, number)` for each number below `calls`, in parallel; (number, result) as soon as it is there.

    Raises as `under_way`, `Calls.finished` and `result_of`. Then, and where nobody asks for more, the rest is given up.
    """
    with under_way(call, shared, needs) as those:
        following = 0
        while following < calls or len(those):
            while following < calls and len(those) < AHEAD:
                those.begin(following)
                following += 1
            number, reference = those.finished()
            yield number, result_of(reference)


def room_for(needs: Needs) -> int:
    """How many such calls the machines of the cluster, as they are now, can do at once."""
    cpus = [(machine.get("CPU", 0) // needs.cpus, machine.get("GPU", 0)) for machine in _machines()]
    return int(sum(min(calls, gpus // needs.gpus) if needs.gpus else calls for calls, gpus in cpus))


def require_room(needs: Needs, what: str = "training") -> None:
    """Raise InputError where no machine of the cluster has so many CPUs or GPUs; `what` it is that takes them."""
    if room_for(needs):
        return
    gpus = f" and {count(needs.gpus, 'GPU')}" if needs.gpus else ""
    if not any(machine.get("CPU", 0) for machine in _machines()):
        raise InputError(f"the cluster has no machine left for a {what}: start one and give the same command again")
    most = max(machine.get("CPU", 0) for machine in _machines())
    raise InputError(
        f"each {what} takes {count(needs.cpus, 'CPU')}{gpus}, and no machine of the cluster has them "
        f"(the largest has {most:g} CPUs): give --threads, which is the CPUs of one {what}"
    )


def ready_of(references: list[Any], asker: Executor) -> list[Any]:
    """Those of these calls that are done by now, looked for in the thread of `asker`.

    In the main thread Ray would hear Ctrl-C in the middle of looking, and lose what it raises or call it a SystemError.
    """
    import ray

    ready, _ = asker.submit(ray.wait, references, num_returns=len(references), timeout=0).result()
    return list(ready)


def result_of(reference: Any) -> Any:
    """What a call gave; raises what it raised, and LostError for one that was lost again and again."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from None
    except RayError as error:
        reason = str(error).split("\n")[0]
        raise LostError(f"the cluster lost a task {count(RETRIES + 1, 'time')}, and gives up: {reason}") from error


def _machines() -> list[dict[str, float]]:
    """What each machine of the cluster that is there has, whether it is in use or not."""
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in nodes if node["Alive"]]
