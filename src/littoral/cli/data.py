"""DATA and the options that say how to read it: read with a bar, what was found said before anything else."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from littoral.cli.output import say
from littoral.errors import InputError
from littoral.machine import cores
from littoral.specs import ImageSpec, Resize
from littoral.words import count, duration

Choice = TypeVar("Choice", bound=str)

LINE_SECONDS = 60.0
"""Between two lines where there is no terminal."""

RESIZES: tuple[Resize, ...] = get_args(Resize)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from littoral.images.load import Loaded


def read_data(
    data: str,
    size: tuple[int, int] | None,
    channels: int | None,
    resize: str,
    group: str | None,
    group_from: str | None,
    allow_outside: bool,
    memory: float | None,
    data_dir: Path | None,
    strict: bool,
    quiet: bool,
    largest: int | None = None,
    as_found: bool = False,
    least_classes: int = 2,
) -> Loaded:
    """The images of DATA, at most `largest` on the longer side where no size is given.

    What a person should know of them goes to standard error.

    Raises InputError for data that cannot be used, and with `strict` for images that cannot be read. `as_found`: only
    for what cannot be looked at, and nothing is said. `least_classes`: see `load_data`.
    """
    from littoral.images.load import Reading, inspect_data, load_data
    from littoral.images.named import NAMES

    way = one_of("--resize", resize, RESIZES)
    if memory is not None and not memory >= 0:
        raise InputError(f"--memory must be gigabytes from 0 up, got {memory}")
    limit = None if memory is None else int(min(memory, 1e9) * 1e9)
    reading = Reading(size, channels, way, group, group_from, allow_outside, limit)
    if largest is not None and data not in NAMES:
        reading = replace(reading, largest=largest)
    workers = cores()
    with (
        bar("downloading (bytes)", quiet) as on_download,
        bar("reading images", quiet) as on_read,
        bar("comparing images", quiet) as on_compared,
    ):
        if as_found:
            return inspect_data(data, reading, workers, on_read, data_dir, on_download, on_compared)
        loaded = load_data(data, reading, workers, on_read, data_dir, on_download, on_compared, least_classes)
    if strict and loaded.unreadable:
        raise InputError(f"{loaded.left_out()}; mend or remove them, or leave --strict out")
    for line in loaded.remarks():
        say(f"{data}: {line}")
    return loaded


def read_for_model(
    data: str,
    form: ImageSpec,
    group: str | None,
    group_from: str | None,
    allow_outside: bool,
    memory: float | None,
    data_dir: Path | None,
    strict: bool,
    quiet: bool,
) -> Loaded:
    """The images of DATA in the form that a model takes; a set known by name has a form of its own. As `read_data`.

    One class alone will do: the model knows the others.
    """
    from littoral.images.named import NAMES

    where = group, group_from, allow_outside, memory, data_dir, strict, quiet
    if data in NAMES:
        return read_data(data, None, None, "pad", *where)
    return read_data(data, (form.height, form.width), form.channels, form.resize, *where, least_classes=1)


def require_place(out: Path, data: str) -> None:
    """Refuse a folder for results that cannot be, or that lies where the next reading would find its pictures."""
    from littoral.files import require_folder
    from littoral.images.named import NAMES

    if data not in NAMES and Path(data).is_dir() and out.resolve().is_relative_to(Path(data).resolve()):
        raise InputError(f"--out {out} lies in {data}: its pictures would be taken for data; name a folder outside")
    require_folder(out)


def read_unlabelled(place: Path, spec: ImageSpec, quiet: bool) -> tuple[NDArray[np.uint8], list[Path]]:
    """The images of a folder in the form of `spec`, and their paths; what cannot be read is named on standard error."""
    from littoral.images.paths import read_readable
    from littoral.images.sources import image_files

    files, _ = image_files([place])
    with bar("reading images without a label", quiet) as on_progress:
        images, kept, unreadable = read_readable(files, spec, on_progress)
    if unreadable:
        say(f"{place}: {count(len(unreadable), 'image')} left out: {'; '.join(unreadable[:10])}")
    return images, kept


def data_json(loaded: Loaded) -> dict[str, Any]:
    """What `--json` says of the data: images left out, and (nearly) equal ones."""
    found = loaded.duplicates
    duplicates = found and {
        "exact": found.exact,
        "near": found.near,
        "largest_cluster": found.largest,
        "declined": found.declined or None,
        "across": loaded.across,
    }
    return {"unreadable": unreadable_json(loaded), "duplicates": duplicates}


def unreadable_json(loaded: Loaded) -> list[dict[str, str]]:
    """The images left out, as `--json` lists them."""
    return [{"path": name, "error": reason} for name, reason in loaded.unreadable]


def one_of(option: str, value: str, known: tuple[Choice, ...]) -> Choice:
    """`value`, when it is among those known; raises InputError, with these, when it is not."""
    for choice in known:
        if value == choice:
            return choice
    raise InputError(f"{option} must be one of {', '.join(known)}, got {value!r}")


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
    """A function of (done, total) that moves a bar on a terminal, and elsewhere says a line a minute."""
    if quiet:
        yield lambda done, total: None
        return
    if not sys.stderr.isatty():
        yield _line_a_minute(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn())
    # rich would take what is printed to standard output meanwhile, and show it on standard error
    progress = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    task = progress.add_task("", total=None)

    def move(done: int, total: int) -> None:
        progress.start()  # shown from the first news on
        progress.update(task, completed=done, total=total or None)
        if done == total:
            progress.stop()

    try:
        yield move
    finally:
        progress.stop()


def _line_a_minute(title: str) -> Callable[[int, int], None]:
    """A function of (done, total) that says how far it is, for a log; nothing of what is over within a minute."""
    start = last = time.monotonic()
    found: int | None = None  # done before, where it goes on

    def tell(done: int, total: int) -> None:
        nonlocal last, found
        found = done if found is None else found
        now = time.monotonic()
        if now - last >= LINE_SECONDS and found < done < total:
            last = now
            left = duration((now - start) / (done - found) * (total - done))
            say(f"{title}: {done:,} of {total:,}, {left} left")

    return tell
