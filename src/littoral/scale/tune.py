"""The jobs of a search as tasks of a Ray cluster: as many at once as there is room for, the same folder, the same end.

What is tried, and what goes on, is decided here, in `studies/tune_search.py`; what a job is, in `tune_jobs.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from littoral.scale.cluster import connected
from littoral.scale.process import in_memory, prepared
from littoral.scale.tasks import Calls, LostError, Needs, result_of, room_for, under_way
from littoral.studies.tune_jobs import Folds, Hire, Job, Outcome, Workers, work

Do = Callable[[Folds, Job], Outcome]
"""What is done for a job, on whichever machine it comes to: `work`."""


@dataclass(frozen=True)
class _Shared:
    """What all jobs of a search need, on every machine once."""

    folds: Folds
    do: Do


def on_ray(address: str, begin: Callable[[int], object] | None = None, do: Do = work) -> Hire:
    """Each job on the cluster at `address` (see `connected`), as many at once as there is room for now.

    A job takes as many CPUs as the search has threads, and computes with exactly so many; on a GPU it takes one. It is
    done again where its machine is lost, and a candidate that is lost again and again is given up with the reason.
    `begin` is told how many jobs there is room for, once the cluster is there. Latencies are measured where the job is
    done, beside whatever else its machine does.

    Raises InputError where there is no such cluster, or a machine of it has another version or code.
    """

    @contextmanager
    def hire(folds: Folds) -> Iterator[Workers]:
        needs = Needs(folds.identity["threads"], gpus=int(folds.place.type == "cuda"))
        shared = _Shared(replace(folds, data=in_memory(folds.data)), do)
        with connected(address), under_way(_job, shared, needs) as calls:
            if begin is not None:
                begin(room_for(needs))
            yield _Cluster(calls)

    return hire


class _Cluster:
    """The machines of a cluster as workers."""

    def __init__(self, calls: Calls[Job]) -> None:
        self.calls = calls

    def places(self) -> int:
        """As many as the machines that are there now have room for."""
        return max(1, room_for(self.calls.needs))

    def begin(self, job: Job) -> None:
        """Hand it to the cluster."""
        self.calls.begin(job)

    def finished(self) -> tuple[Job, Outcome]:
        """Wait for the next that is done, or that the cluster gives up."""
        job, reference = self.calls.finished()
        try:
            outcome: Outcome = result_of(reference)
        except LostError as lost:
            outcome = Outcome(failure=str(lost))
        return job, outcome


def _job(shared: _Shared, job: Job) -> Outcome:
    """One job, on its machine."""
    folds = shared.folds
    return shared.do(replace(folds, place=prepared(folds.identity, folds.place)), job)
