"""`--log tensorboard:DIR`: curves of a training beside its progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from littoral.errors import InputError

if TYPE_CHECKING:
    from littoral.training.loop import Observer

KIND = "tensorboard"


def log_folder(text: str | None) -> Path | None:
    """The folder that `--log` names, None where it is not given; refuses what is not `tensorboard:DIR`."""
    if text is None:
        return None
    kind, colon, folder = text.partition(":")
    if kind != KIND or not colon or not folder:
        raise InputError(f"--log must be {KIND}:DIR, with the folder that the curves go into, got {text!r}")
    return Path(folder)


@contextmanager
def drawn(log: Path | None) -> Iterator[Observer]:
    """One that writes curves into this folder; without a folder, one that does nothing."""
    from littoral.training.loop import Silent
    from littoral.training.tensorboard import TensorBoard

    if log is None:
        yield Silent()
        return
    curves = TensorBoard(log)
    try:
        yield curves
    finally:
        curves.close()


@contextmanager
def followed(title: str, quiet: bool, log: Path | None) -> Iterator[Observer]:
    """What `follow` and `drawn` give, as one."""
    from littoral.cli.progress import follow
    from littoral.training.tensorboard import Several

    with follow(title, quiet) as progress, drawn(log) as curves:
        yield Several([progress, curves])
