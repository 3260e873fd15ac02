"""What `compare` and `curve` share: who does the runs, a bar for each, and what an interrupt leaves behind."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from littoral.cli.data import bar, one_of
from littoral.cli.interrupt import Interrupted
from littoral.cli.output import say
from littoral.cli.progress import follow
from littoral.words import count

if TYPE_CHECKING:
    from littoral.studies.comparison import Comparison
    from littoral.studies.curve_result import LearningCurve
    from littoral.studies.one_run import Task
    from littoral.studies.running import Runner
    from littoral.training.loop import Observer
    from littoral.training.recipe import Balance


def balance_asked(preset: str | None, epochs: int | None, steps: int | None, balance: str | None) -> Balance | None:
    """`--balance`; an unknown preset, and a length or balance that it cannot have, are refused before images are read.

    Raises InputError for them.
    """
    from littoral.training.presets import get_preset
    from littoral.training.recipe import BALANCES

    way = None if balance is None else one_of("--balance", balance, BALANCES)
    get_preset("swift" if preset is None else preset).recipe.lasting(epochs, steps, way)
    return way


def names_in(text: str | None) -> list[str] | None:
    """`fused, deep` as two names."""
    return None if text is None else [name.strip() for name in text.split(",")]


def require_ray(address: str | None) -> None:
    """Raise InputError, before images are read, where `--ray` names a cluster that is not there."""
    if address is not None:
        from littoral.scale.cluster import require_cluster

        require_cluster(address)


class Following:
    """Runs as they go, on standard error: how many are there already, and a bar or lines for each that is trained.

    With `ray`, the address of a cluster, the runs are done there; then one bar, or a line a run, is for all of them.
    """

    def __init__(self, out: Path | None, quiet: bool, ray: str | None, stack: contextlib.ExitStack) -> None:
        self.out = out
        self.quiet = quiet
        self.ray = ray
        self.stack = stack
        self.runs = self.asked = 0
        self.move: Callable[[int, int], None] | None = None

    def runner(self) -> Runner:
        """Who does the runs."""
        from littoral.studies.running import one_by_one

        if self.ray is None:
            return one_by_one(self.observer)
        from littoral.scale.studies import on_ray

        return on_ray(self.ray, self.begin)

    def begin(self, runs: int) -> None:
        """Follow so many runs that are done elsewhere, beside those that are there."""
        self.asked = self.runs + runs
        self.move = self.stack.enter_context(bar("runs", self.quiet))
        if not self.quiet:
            say(f"{count(runs, 'run')} on the Ray cluster {self.ray}")

    def observer(self, task: Task) -> Observer:
        """Follow one training."""
        self.stack.close()  # the bar of the run before
        self.runs += 1
        budget = "" if task.budget is None else f", {count(task.budget, 'label')} a class"
        title = f"run {self.runs}: {task.name}{budget}, seed {task.seed}"
        return self.stack.enter_context(follow(title, self.quiet))

    def told(self, result: Comparison | LearningCurve) -> None:
        """Take note of the result so far, and say how many runs there were before the first training."""
        if self.move is not None:
            self.move(result.finished, self.asked)
            if not self.quiet and not sys.stderr.isatty():
                say(f"{result.finished:,} of {count(self.asked, 'run')} done")
        elif not self.runs and not self.quiet:
            say(f"{self.out}: {count(result.finished, 'finished run')} found")
        self.runs = result.finished


@contextlib.contextmanager
def followed(
    out: Path | None, quiet: bool, ray: str | None, when_stopped: Callable[[Path], object]
) -> Iterator[Following]:
    """Follow a study whose folder is `out`, done on the cluster `ray` if any; when interrupted, say what is kept.

    `when_stopped` is called with the folder then, where it holds a finished run. Raises Interrupted.
    """
    from littoral.studies.results import ResultsFolder

    with contextlib.ExitStack() as stack:
        try:
            yield Following(out, quiet, ray, stack)
        except Interrupted:
            stack.close()
            kept = "nothing is kept: give --out DIR to keep the runs that were finished"
            if out is not None:
                finished = ResultsFolder(out).count()
                kept = f"{out} holds {count(finished, 'finished run')}: the same command goes on from there"
                if finished and (out / "results.json").exists():  # not if the very first run has just been written
                    when_stopped(out)
            raise Interrupted(f"interrupted; {kept}") from None
