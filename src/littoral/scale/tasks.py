"""Many calls of one function on a Ray cluster: what they share is sent once, and each result comes when it is there.

What the calls are is left to `studies.py` and others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from littoral.errors import InputError
from littoral.words import count

Shared = TypeVar("Shared")
Result = TypeVar("Result")

AHEAD = 1000
"""Calls that are with the cluster at once, at most: enough for any to be busy."""

RETRIES = 3
"""Times that a call is done again whose machine, or process, was lost."""

LOOK_EVERY = 0.05
"""Seconds between two looks for results. In between Python sleeps, so that Ctrl-C is heard at once."""


@dataclass(frozen=True)
class Needs:
    """What one call occupies: CPUs, which is the threads that it computes with, and GPUs."""

    cpus: int
    gpus: int = 0


def results(
    call: Callable[[Shared, int], Result], shared: Shared, calls: int, needs: Needs
) -> Iterator[tuple[int, Result]]:
    """`call(shared, number)` for each number below `calls`, in parallel; (number, result) as soon as it is there.

    For within `connected`. `shared` is sent to each machine once. A call is done again where its machine is lost. An
    error that a call raises is raised here; then, and where nobody asks for more results, the rest is given up.

    Raises InputError where no machine has so many CPUs or GPUs, and for a call that is lost again and again.
    """
    import ray

    _require_room(needs)
    place = ray.put(shared)
    remote = ray.remote(call).options(num_cpus=needs.cpus, num_gpus=needs.gpus, max_retries=RETRIES)
    waiting: dict[Any, int] = {}
    following = 0
    try:
        while following < calls or waiting:
            while following < calls and len(waiting) < AHEAD:
                waiting[remote.remote(place, following)] = following
                following += 1
            ready, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
            for reference in ready:
                yield waiting.pop(reference), _result(reference)
            if not ready:
                time.sleep(LOOK_EVERY)
    finally:
        for reference in waiting:
            ray.cancel(reference)


def _result(reference: Any) -> Any:
    """What a call gave; raises what it raised."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from None
    except RayError as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"the cluster lost a task {count(RETRIES + 1, 'time')}, and gives up: {reason}") from error


def _require_room(needs: Needs) -> None:
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    machines = [node["Resources"] for node in nodes if node["Alive"]]
    if not any(machine.get("CPU", 0) >= needs.cpus and machine.get("GPU", 0) >= needs.gpus for machine in machines):
        gpus = f" and {count(needs.gpus, 'GPU')}" if needs.gpus else ""
        most = max((machine.get("CPU", 0) for machine in machines), default=0)
        raise InputError(
            f"each training takes {count(needs.cpus, 'CPU')}{gpus}, and no machine of the cluster has them "
            f"(the largest has {most:g} CPUs): give --threads, which is the CPUs of one training"
        )
