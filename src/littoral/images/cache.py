"""Decoded images in a folder on disk, by their content: for sets too large for memory, and for the next run on them.

An entry is a folder `KEY/` with `images.bin` (uint8, n × height × width × channels) and `entry.json`. It is made under
another name and moved into place when it is whole, so a half-written entry is never used, and of two runs that make the
same one at once, the later takes the earlier's. This file knows no table and decodes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError

IMAGES, ABOUT = "images.bin", "entry.json"
UNFINISHED = ".tmp"
SECONDS_OF_A_DAY = 86_400


@dataclass(frozen=True)
class Entry:
    """One set of decoded images: its folder, shape (n, height, width, channels), and what its maker noted of it."""

    folder: Path
    shape: tuple[int, int, int, int]
    notes: dict[str, Any]

    def open(self) -> NDArray[np.uint8]:
        """The images, mapped from the file: read when touched, not writable."""
        return np.memmap(self.folder / IMAGES, np.uint8, "r", shape=self.shape)

    @property
    def bytes(self) -> int:
        """Size of the images on disk."""
        return (self.folder / IMAGES).stat().st_size


def cache_folder() -> Path:
    """Where entries lie: $LITTORAL_CACHE, else `littoral` in $XDG_CACHE_HOME or ~/.cache; in it, `images`."""
    own = os.environ.get("LITTORAL_CACHE")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "littoral"
    return base / "images"


def find(key: str) -> Entry | None:
    """The whole entry of that key, None when there is none."""
    folder = cache_folder() / key
    try:
        about = json.loads((folder / ABOUT).read_text())
        entry = Entry(folder, tuple(about["shape"]), about["notes"])
        whole = entry.bytes == np.prod(entry.shape, dtype=np.int64)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return entry if whole else None


@contextlib.contextmanager
def writing(size: int, source: str) -> Iterator[Path]:
    """A fresh folder with an `images.bin` of `size` bytes, all of them reserved on disk; gone when the block ends.

    Raises InputError where the disk has no room or the folder cannot be written: a mapped file on a full disk would
    kill the process instead.
    """
    folder = cache_folder() / f"{secrets.token_hex(8)}.{socket.gethostname()}.{os.getpid()}{UNFINISHED}"
    try:
        folder.mkdir(parents=True)
        with open(folder / IMAGES, "wb") as handle:
            if sys.platform == "linux":
                os.posix_fallocate(handle.fileno(), 0, size)
            else:
                handle.truncate(size)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputError(
            f"the images of {source} need {size / 1e9:.1f} GB in {cache_folder()}: {error.strerror}; "
            "set LITTORAL_CACHE to a folder with room, or give a smaller --size"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # where it was kept, it has another name by now


def keep(folder: Path, key: str, shape: tuple[int, int, int, int], notes: dict[str, Any]) -> Entry:
    """Give a finished folder its name; where another run was faster, its entry is taken instead."""
    os.truncate(folder / IMAGES, int(np.prod(shape, dtype=np.int64)))
    about = {"shape": shape, "notes": notes, "made": int(time.time())}
    (folder / ABOUT).write_text(json.dumps(about))
    final = cache_folder() / key
    try:
        folder.rename(final)
    except OSError:  # there is one by that name
        entry = find(key)
        if entry is None:  # but it is damaged: out of the way with it
            shutil.rmtree(final, ignore_errors=True)
            folder.rename(final)
        else:
            return entry
    return Entry(final, shape, notes)


def entries() -> list[Entry]:
    """All whole entries, the largest first."""
    found = [find(place.name) for place in cache_folder().glob("*") if place.suffix != UNFINISHED and _is_ours(place)]
    return sorted((entry for entry in found if entry is not None), key=lambda entry: -entry.bytes)


def clear_entries() -> int:
    """Delete all entries, damaged ones, and what runs that are no more left unfinished; return the bytes set free.

    A run that has an entry open goes on: its file is there until it ends.
    """
    freed = 0
    for place in cache_folder().glob("*"):
        if not _is_ours(place) or _at_work(place):
            continue
        for file in (place / IMAGES, place / ABOUT):
            with contextlib.suppress(OSError):  # another run may clear too
                size = file.stat().st_size
                file.unlink()
                freed += size
        with contextlib.suppress(OSError):
            place.rmdir()
    return freed


def _is_ours(place: Path) -> bool:
    """Whether a folder is one that this file makes: the cache may have been put where other things lie."""
    named = re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{16}\..+\.\d+\.tmp", place.name)
    if named is None or place.is_symlink() or not place.is_dir():
        return False
    return {file.name for file in place.iterdir()} <= {IMAGES, ABOUT}


def _at_work(place: Path) -> bool:
    """Whether a run may still be writing there: one of this machine that is alive, or one of another, for a day."""
    if place.suffix != UNFINISHED:
        return False
    host, _, pid = place.stem.partition(".")[2].rpartition(".")
    if host != socket.gethostname():
        return time.time() - place.stat().st_mtime < SECONDS_OF_A_DAY
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
