"""What `compare` and `curve` share: who does the runs, a bar for each, and what an interrupt leaves behind."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from littoral.cli.data import bar, one_of
from littoral.cli.interrupt import Interrupted, kept_in
from littoral.cli.output import say
from littoral.errors import InputError
from littoral.words import count

if TYPE_CHECKING:
    from littoral.studies.comparison import Comparison
    from littoral.studies.curve_result import LearningCurve
    from littoral.studies.one_run import Task
    from littoral.studies.running import Runner
    from littoral.training.loop import Observer
    from littoral.training.recipe import Balance


def balance_asked(
    preset: str | None, arms: list[str] | None, epochs: int | None, steps: int | None, balance: str | None
) -> Balance | None:
    """`--balance`; an unknown preset, and a length or balance that it cannot have, are refused before images are read.

    Raises InputError for them.
    """
    from littoral.training.choose import AUTO
    from littoral.training.presets import get_preset, require_length
    from littoral.training.recipe import BALANCES

    way = None if balance is None else one_of("--balance", balance, BALANCES)
    named = get_preset("swift" if preset in (None, AUTO) else preset)
    named.recipe.lasting(epochs, steps, way)
    require_length(named, named.compared if arms is None else arms, epochs, steps)
    return way


def require_preset_weights(preset: str | None, arms: list[str] | None) -> None:
    """Raise InputError, which says what to install, where weights are missing that the preset's arms need."""
    from littoral.training.choose import AUTO
    from littoral.training.presets import get_preset, require_weights

    if preset not in (None, AUTO):
        named = get_preset(preset)
        require_weights(named, named.compared if arms is None else arms)


def names_in(text: str | None) -> list[str] | None:
    """`fused, deep` as two names."""
    return None if text is None else [name.strip() for name in text.split(",")]


def require_ray(address: str | None, log: str | None = None) -> None:
    """Raise InputError, before images are read, for a cluster that is not there, and where `--log` is given too."""
    if address is None:
        return
    if log is not None:
        raise InputError("--log follows trainings in this process, --ray does them elsewhere: leave one of them out")
    from littoral.scale.cluster import require_cluster

    require_cluster(address)


class Following:
    """Runs as they go, on standard error: how many are there already, and a bar or lines for each that is trained.

    With `ray`, the address of a cluster, the runs are done there; then one bar, or a line a run, is for all of them.
    `curves`: a folder that gets a folder of curves for each run, or None. `on_features` is told of features.
    """

    def __init__(
        self,
        out: Path | None,
        quiet: bool,
        ray: str | None,
        curves: Path | None,
        stack: contextlib.ExitStack,
        on_features: Callable[[int, int], None],
    ) -> None:
        self.out = out
        self.quiet = quiet
        self.ray = ray
        self.curves = curves
        self.stack = stack
        self.on_features = on_features
        self.runs = self.asked = 0
        self.move: Callable[[int, int], None] | None = None

    def runner(self) -> Runner:
        """Who does the runs."""
        from littoral.studies.running import one_by_one

        if self.ray is None:
            return one_by_one(self.observer, self.on_features)
        from littoral.scale.studies import on_ray

        return on_ray(self.ray, self.begin, self.on_features)

    def begin(self, runs: int) -> None:
        """Follow so many runs that are done elsewhere, beside those that are there."""
        self.asked = self.runs + runs
        self.move = self.stack.enter_context(bar("runs", self.quiet))
        if not self.quiet:
            say(f"{count(runs, 'run')} on the Ray cluster {self.ray}")

    def observer(self, task: Task) -> Observer:
        """Follow one training."""
        from littoral.cli.log import followed as training_followed
        from littoral.studies.results import ResultsFolder

        self.stack.close()  # the bar of the run before
        self.runs += 1
        budget = "" if task.budget is None else f", {count(task.budget, 'label')} a class"
        title = f"run {self.runs}: {task.name}{budget}, seed {task.seed}"
        place = None
        if self.curves is not None:
            place = self.curves / ResultsFolder(self.curves).at(task.budget).file(task.name, task.seed).stem
        return self.stack.enter_context(training_followed(title, self.quiet, place))

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
def followed(out: Path | None, quiet: bool, ray: str | None, curves: Path | None = None) -> Iterator[Following]:
    """Follow a study whose folder is `out`, done on the cluster `ray` if any.

    At its end, and when it is interrupted, the folder gets its report.

    Raises Interrupted, which says what is kept.
    """
    from littoral.report.write import write_report
    from littoral.studies.results import ResultsFolder

    try:
        with bar("computing features", quiet) as on_features, contextlib.ExitStack() as stack:
            yield Following(out, quiet, ray, curves, stack, on_features)
        if out is not None:
            write_report(out)
    except Interrupted:
        if out is None:
            nothing = "nothing is kept: give --out DIR to keep the runs that were finished"
            raise Interrupted(f"interrupted; {nothing}") from None
        if (out / "results.json").exists():
            with contextlib.suppress(Interrupted):  # asked again: then without the page
                write_report(out)
        raise kept_in(out, ResultsFolder(out).count(), "finished run") from None
