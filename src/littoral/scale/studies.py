"""The runs of a study as tasks of a Ray cluster: the same figures as one after the other, on as many machines.

What a run is, is left to `studies/one_run.py`; how calls get to the cluster, to `tasks.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from littoral.scale.cluster import connected
from littoral.scale.process import in_memory, plain_arrays, prepared
from littoral.scale.tasks import Needs, require_room, results
from littoral.studies.latency import Latency
from littoral.studies.one_run import Done, Study, Task, known_features, one_run
from littoral.studies.running import Runner
from littoral.studies.stored import StoredRun
from littoral.training.beforehand import Beforehand
from littoral.training.loop import Observer, Silent

Do = Callable[[Study, Task, Observer, Latency | None, Beforehand | None], Done]
"""What is done for a task, on whichever machine it comes to: `one_run`."""


@dataclass(frozen=True)
class _Shared:
    """What all tasks of a study need, on every machine once: with the tasks, of which each is told its number."""

    study: Study
    tasks: tuple[Task, ...]
    latencies: Mapping[str, Latency]
    features: Beforehand | None
    do: Do


def on_ray(
    address: str,
    begin: Callable[[int], object] | None = None,
    on_features: Callable[[int, int], None] = lambda done, total: None,
    do: Do = one_run,
) -> Runner:
    """Each task on the cluster at `address` (see `connected`), as many at once as there is room for.

    A run takes as many CPUs as the study has threads, and computes with exactly so many; on a GPU it takes one. `begin`
    is told the number of tasks once the cluster is there. Features that several runs take are computed here, once, as
    `one_by_one` does, of which `on_features` is told (images done, images in all). Of an arm whose latency is not known
    yet, each run measures it, beside whatever else its machine does.

    The runner raises InputError where there is no such cluster, or a machine of it has another version or code.
    """

    def run(study: Study, tasks: Sequence[Task], latencies: Mapping[str, Latency]) -> Iterator[Done]:
        if not tasks:
            return
        needs = Needs(study.identity["threads"], gpus=int(study.place.type == "cuda"))
        with connected(address):
            require_room(needs)  # else it is told after the features, which may take minutes
            if begin is not None:
                begin(len(tasks))
            features = known_features(study, tasks, on_features)
            shared = _Shared(
                replace(study, data=in_memory(study.data)),
                tuple(replace(task, contestant=task.contestant.alone) for task in tasks),
                dict(latencies),
                None if features is None else plain_arrays(features),
                do,
            )
            for number, (stored, model) in results(_task, shared, len(tasks), needs):
                yield Done(tasks[number], stored, model)

    return run


def _task(shared: _Shared, number: int) -> tuple[StoredRun, bytes | None]:
    """One task, on its machine."""
    study, task = shared.study, shared.tasks[number]
    study = replace(study, place=prepared(study.identity, study.place))
    done = shared.do(study, task, Silent(), shared.latencies.get(task.name), shared.features)
    return done.run, done.model
