"""The tasks of a study, done by whoever does them, each kept in a folder as it comes; what is there is not done again.

Here they are done one after the other in this process; another `Runner` may do them elsewhere. What one run is, is left
to `one_run.py`, and what they come to together to `compare.py` and `curve.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from littoral.files import write_atomically
from littoral.studies.contestants import Contestant
from littoral.studies.latency import Latency
from littoral.studies.one_run import Done, Study, Task, known_features, one_run
from littoral.studies.results import ResultsFolder
from littoral.studies.runs import Arm, Run, run_of
from littoral.studies.stored import StoredRun
from littoral.training.loop import Observer, Silent

Runner = Callable[[Study, Sequence[Task], Mapping[str, Latency]], Iterator[Done]]
"""Does all these tasks, in an order of its own, and gives each as soon as it is done.

The latencies are those of arms, by name, that were measured already: of them `one_run` measures none again.
"""


@dataclass(frozen=True)
class Finished:
    """A task that is done, without what was predicted; `model` as in `Done`, of one that was done just now."""

    task: Task
    run: Run
    latency: Latency
    model: bytes | None = None


def one_by_one(
    observer: Callable[[Task], Observer] | None = None,
    on_features: Callable[[int, int], None] = lambda done, total: None,
) -> Runner:
    """One task after the other, in their order, in this process; `observer` gives one for each training.

    `on_features` is told (images done, images in all) while features are computed that several runs take.
    """

    def run(study: Study, tasks: Sequence[Task], latencies: Mapping[str, Latency]) -> Iterator[Done]:
        known = dict(latencies)
        features = known_features(study, tasks, on_features)
        for task in tasks:
            follow = Silent() if observer is None else observer(task)
            done = one_run(study, task, follow, known.get(task.name), features)
            known.setdefault(task.name, _latency(done.run))
            yield done

    return run


def found(study: Study, tasks: Sequence[Task], folder: ResultsFolder) -> Iterator[Finished]:
    """The tasks that were done before and lie in the folder, with their models where these are wanted.

    Raises InputError, which says what differs, where any run that is there, also one that is not asked for, is of
    another study or was made otherwise.
    """
    for budget in dict.fromkeys([*folder.budgets(), *(task.budget for task in tasks)]):
        at, those = folder.at(budget), {(task.name, task.seed): task for task in tasks if task.budget == budget}
        for run in at.asked(study.identity, {who: task.made for who, task in those.items()}):
            task = those[run.arm, run.seed]
            if not task.keep or at.model(run.arm, run.seed).exists():
                yield Finished(task, run_of(run), _latency(run))


def done(
    study: Study, tasks: Sequence[Task], before: Sequence[Finished], folder: ResultsFolder | None, runner: Runner
) -> Iterator[Finished]:
    """The tasks that are not among those finished `before`, as they are done, each kept in the folder first."""
    were = {finished.task.key for finished in before}
    latencies = {finished.task.name: finished.latency for finished in before}
    for it in runner(study, [task for task in tasks if task.key not in were], latencies):
        if folder is not None:
            at = folder.at(it.task.budget)
            at.write(it.run)
            if it.model is not None:
                write_atomically(at.model(it.task.name, it.task.seed), it.model)
        yield Finished(it.task, run_of(it.run), _latency(it.run), it.model)


def arms_with_runs(
    those: Mapping[str, Contestant], finished: Iterable[Finished], budget: int | None = None
) -> tuple[Arm, ...]:
    """Of the tasks with this budget, the arms that have a run, in the order of `those`, and their runs by seed."""
    by_arm: dict[str, list[Finished]] = {name: [] for name in those}
    for it in finished:
        if it.task.budget == budget:
            by_arm[it.task.name].append(it)
    return tuple(
        Arm(
            name,
            those[name].cost.params,
            those[name].cost.macs,
            found[0].latency,
            tuple(it.run for it in sorted(found, key=lambda it: it.task.seed)),
        )
        for name, found in by_arm.items()
        if found
    )


def _latency(run: StoredRun) -> Latency:
    return Latency(**run.figures["latency"])
