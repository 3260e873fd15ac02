"""DATA and the options that say how to read it: read with a bar, what was found said before anything else."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from littoral.cli.output import say
from littoral.errors import InputError

if TYPE_CHECKING:
    from littoral.images.load import Loaded


def read_data(
    data: str,
    size: tuple[int, int] | None,
    channels: int | None,
    group: str | None,
    group_from: str | None,
    allow_outside: bool,
    strict: bool,
    quiet: bool,
) -> Loaded:
    """The images of DATA. What a person should know of them goes to standard error.

    Raises InputError for data that cannot be used, and with `strict` for images that cannot be read.
    """
    from littoral.images.load import Reading, load_data

    with bar("reading images", quiet) as on_progress:
        loaded = load_data(
            data, Reading(size, channels, group, group_from, allow_outside), os.cpu_count() or 1, on_progress
        )
    if strict and loaded.unreadable:
        raise InputError(f"{loaded.left_out()}; mend or remove them, or leave --strict out")
    for line in loaded.remarks():
        say(f"{data}: {line}")
    return loaded


def unreadable_json(loaded: Loaded) -> list[dict[str, str]]:
    """The images left out, as `--json` lists them."""
    return [{"path": name, "error": reason} for name, reason in loaded.unreadable]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`--size`: 64 is 64×64, 48x64 is 48 high and 64 wide."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,4})(?:[x×](\d{1,4}))?", text)
    if match is None or int(match[1]) < 1 or int(match[2] or 1) < 1:
        raise InputError(f"--size must be a side such as 64, or height x width such as 48x64, got {text!r}")
    return int(match[1]), int(match[2] or match[1])


@contextmanager
def bar(title: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A function of (done, total) that moves a bar on a terminal, and does nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
