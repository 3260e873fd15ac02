"""Writing a file whole or not at all: a crash, a kill or a full disk leaves the old file as it was. One at a time."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from littoral.errors import InputError


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`; see `written_atomically`."""
    with written_atomically(path) as handle:
        handle.write(content)


@contextmanager
def written_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to be written in the block: temporary, in the same folder, flushed to disk before it takes the name.

    Where the block is left by an error, the old file stays. Raises InputError when the folder does not exist or cannot
    be written.
    """
    path = _resolved(path)  # a link stays one: what it points to is replaced
    temporary = _temporary(path)
    try:
        try:
            with open(temporary, "w+b") as handle:
                with suppress(OSError):  # nobody else is to read what only its owner could
                    temporary.chmod(stat.S_IMODE(path.stat().st_mode))
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose a place that can be written") from error


def require_writable(path: Path) -> None:
    """Raise InputError unless a file could be written at `path` now: asked before hours are spent on its content."""
    resolved = _resolved(path)
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; name a file")
    if path.exists() and not path.is_file():
        raise InputError(f"cannot write {path}: it is a device or a pipe; name a file")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
    probe = _temporary(resolved)
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose a place that can be written") from error


def require_folder(path: Path) -> None:
    """Raise InputError unless `path` is a folder that can be written, or could be made in one that is there."""
    if path.exists() and not path.is_dir():
        raise InputError(f"cannot write into {path}: it is a file; name a folder")
    require_writable(path / "results.json" if path.is_dir() else path)


def require_none_of(names: Sequence[str], folder: Path, without: str) -> None:
    """Raise InputError where one of these files is in `folder`, in which they would be replaced.

    `without`: what is not there beside it, which would tell that it may be.
    """
    for path in (folder / name for name in names):
        if path.exists():
            raise InputError(f"{path} is there already, without {without}: name another folder, or move it elsewhere")


@contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """Hold the file `lock`; whoever asks for it meanwhile, in this process or another, waits.

    It is let go when the process ends, in whatever way. The file stays: were it deleted, one could hold the old file
    and another a new one. Nothing is held on Windows, and on file systems that know no locks.
    """
    with open(lock, "ab") as handle:
        if sys.platform != "win32":
            import fcntl

            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def held_alone(lock: Path, what: str) -> Iterator[None]:
    """Hold the file `lock`; raises InputError, which names `what`, while somebody else holds it.

    As in `one_at_a_time`, it is let go when the process ends, in whatever way, the file stays, and nothing is held on
    Windows and on file systems that know no locks.
    """
    with open(lock, "ab") as handle:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"{what} is in use by another run: wait until it ends, or name another") from error
            except OSError:  # no locks here
                pass
        yield


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a name that no file can have
        raise InputError(f"cannot write {str(path)!r}: {error}; choose another place") from error


def _temporary(path: Path) -> Path:
    return path.with_name(f".littoral-{secrets.token_hex(8)}.tmp")  # the name itself may be as long as a name can be
