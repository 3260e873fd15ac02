"""The runs of a study as tasks of a Ray cluster: the same figures as one after the other, on as many machines.

What a run is, is left to `studies/one_run.py`; how calls get to the cluster, to `tasks.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from littoral.errors import InputError
from littoral.memory import keep_freed_memory
from littoral.rows import ImageRows
from littoral.scale.cluster import connected
from littoral.scale.tasks import Needs, results
from littoral.studies.latency import Latency
from littoral.studies.one_run import Done, Study, Task, one_run, software
from littoral.studies.results import differences
from littoral.studies.running import Runner
from littoral.studies.stored import StoredRun
from littoral.training.loop import Observer, Silent

Do = Callable[[Study, Task, Observer, Latency | None], Done]
"""What is done for a task, on whichever machine it comes to: `one_run`."""


@dataclass(frozen=True)
class _Shared:
    """What all tasks of a study need, on every machine once: with the tasks, of which each is told its number."""

    study: Study
    tasks: tuple[Task, ...]
    latencies: Mapping[str, Latency]
    do: Do


def on_ray(address: str, begin: Callable[[int], object] | None = None, do: Do = one_run) -> Runner:
    """Each task on the cluster at `address` (see `connected`), as many at once as there is room for.

    A run takes as many CPUs as the study has threads, and computes with exactly so many; on a GPU it takes one. `begin`
    is told the number of tasks once the cluster is there. Of an arm whose latency is not known yet, each run measures
    it, beside whatever else its machine does.

    The runner raises InputError where there is no such cluster, or a machine of it has another version or code.
    """

    def run(study: Study, tasks: Sequence[Task], latencies: Mapping[str, Latency]) -> Iterator[Done]:
        if not tasks:
            return
        needs = Needs(study.identity["threads"], gpus=int(study.place.type == "cuda"))
        with connected(address):
            if begin is not None:
                begin(len(tasks))
            shared = _Shared(
                _in_memory(study),
                tuple(replace(task, contestant=task.contestant.alone) for task in tasks),
                dict(latencies),
                do,
            )
            for number, (stored, model) in results(_task, shared, len(tasks), needs):
                yield Done(tasks[number], stored, model)

    return run


def _task(shared: _Shared, number: int) -> tuple[StoredRun, bytes | None]:
    """One task, on its machine."""
    study, task = shared.study, shared.tasks[number]
    other = differences({name: study.identity[name] for name in software()}, software())
    if other:
        raise InputError(f"a machine of the cluster differs from this one: {'; '.join(other)}; install the same there")
    keep_freed_memory()  # as the command line does for its own process
    torch.set_num_threads(study.identity["threads"])  # Ray has its own idea, by OMP_NUM_THREADS
    if study.place.type == "cuda":  # Ray shows a task its own GPU alone
        study = replace(study, place=torch.device("cuda"))
    done = shared.do(study, task, Silent(), shared.latencies.get(task.name))
    return done.run, done.model


def _in_memory(study: Study) -> Study:
    """The study with its images as one array: a file that they lie in is on this machine alone."""
    images: Any = study.data.images
    if isinstance(images, ImageRows):
        return replace(study, data=replace(study.data, images=images[:]))
    return study
