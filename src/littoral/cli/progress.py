"""Training as it goes, on standard error: a live bar on a terminal, a plain line an epoch elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn

from littoral.cli.output import say
from littoral.training.history import EpochRecord
from littoral.training.loop import Observer, Plan, Silent
from littoral.words import count, duration

WIDE, MEDIUM = 110, 76
"""Columns from which on there is room beside the figures: for a title, a bar and the speed; for a bar."""

PLAIN_LINE_SECONDS = 10.0
"""Where there is no terminal, epochs shorter than this share a line, so that a log stays readable."""


class Bar:
    """One live line: epoch, loss, accuracy, speed and time left; a line that stays for each epoch."""

    def __init__(self, progress: Progress, title: str) -> None:
        self.progress = progress
        self.title = title
        self.task: TaskID | None = None
        self.left = _TimeLeft()

    def on_start(self, plan: Plan) -> None:
        """Show the bar."""
        self.left = _TimeLeft(plan)
        self.epochs = -(-plan.steps // plan.steps_per_epoch)
        self.purpose = f"{plan.purpose}  " if plan.purpose else ""
        if self.task is not None:  # of a training before this one
            self.progress.remove_task(self.task)
        self.task = self.progress.add_task(self.title, total=plan.steps, completed=plan.start_step, figures="starting")

    def on_steps(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        """Move the bar."""
        if self.task is None:
            return
        speed = f"{images_per_second:,.0f} img/s  " if self.progress.console.width >= WIDE else ""
        figures = (
            f"{self.purpose}epoch {epoch}/{self.epochs}  loss {loss:.4f}  acc {100 * accuracy:.2f} %  "
            f"{speed}{self.left.text(step)} left"
        )
        self.progress.update(self.task, completed=step, figures=figures)

    def on_epoch(self, record: EpochRecord) -> None:
        """Leave a line."""
        title = f"{self.title}  " if self.progress.console.width >= MEDIUM else ""
        self.progress.console.print(f"{title}{_epoch_line(record, self.epochs)}", highlight=False, markup=False)


class Lines:
    """A plain line an epoch, or every ten seconds where epochs are short; always one for the last."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.last = 0.0
        self.left = _TimeLeft()

    def on_start(self, plan: Plan) -> None:
        """Say what is to be done."""
        self.plan = plan
        self.left = _TimeLeft(plan)
        self.epochs = -(-plan.steps // plan.steps_per_epoch)
        resumed = f", going on from step {plan.start_step:,}" if plan.start_step else ""
        what = f"{self.title}, {plan.purpose}" if plan.purpose else self.title
        say(f"{what}: {plan.images:,} images, {count(self.epochs, 'epoch')}, {plan.steps:,} steps{resumed}")

    def on_steps(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        """Nothing: a line a few steps is too many for a log."""

    def on_epoch(self, record: EpochRecord) -> None:
        """A line, unless the last one is fresh."""
        now = time.monotonic()
        if now - self.last >= PLAIN_LINE_SECONDS or record.step == self.plan.steps:
            self.last = now
            left = "" if record.step == self.plan.steps else f"  {self.left.text(record.step)} left"
            say(f"{self.title}  {_epoch_line(record, self.epochs)}{left}")


@contextmanager
def follow(title: str, quiet: bool) -> Iterator[Observer]:
    """An observer that fits where standard error goes."""
    if quiet:
        yield Silent()
    elif not sys.stderr.isatty():
        yield Lines(title)
    else:
        console = Console(stderr=True)
        name, figures = TextColumn("{task.description}"), TextColumn("{task.fields[figures]}")
        columns: tuple[ProgressColumn, ...] = (figures,)
        if console.width >= MEDIUM:
            columns = (BarColumn(bar_width=10), figures)
        if console.width >= WIDE:
            columns = (name, BarColumn(bar_width=20), figures)
        with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
            yield Bar(progress, title)


class _TimeLeft:
    """Time left from the mean speed since the start of this process's part of the run."""

    def __init__(self, plan: Plan | None = None) -> None:
        self.plan = plan
        self.start = time.monotonic()

    def text(self, step: int) -> str:
        """Such as 4 s, 12 min or 1.5 h."""
        if self.plan is None or step <= self.plan.start_step:
            return "?"
        seconds = (time.monotonic() - self.start) / (step - self.plan.start_step) * (self.plan.steps - step)
        return duration(seconds)


def _epoch_line(record: EpochRecord, epochs: int) -> str:
    shown = "" if record.shown_accuracy is None else f"  test {100 * record.shown_accuracy:.2f} %"
    return (
        f"epoch {record.epoch}/{epochs}  loss {record.loss:.4f}  acc {100 * record.accuracy:.2f} %{shown}  "
        f"{record.seconds:.1f} s"
    )
