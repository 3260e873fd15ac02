"""What is costly to make, kept in a folder on disk by its content: one cache with a room for each kind of thing.

An entry is a folder `KEY/` with files of known sizes and `entry.json`. It is made under another name and moved into
place when it is whole, so a half-written entry is never used, and of two runs that make the same one at once, the later
takes the earlier's. How to read and write the files is known to those who make them.
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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from littoral.errors import InputError

ABOUT = "entry.json"
UNFINISHED = ".tmp"
SECONDS_OF_A_DAY = 86_400


@dataclass(frozen=True)
class Entry:
    """A whole entry: its folder, the sizes of its files in bytes, by name, and what its maker noted of it."""

    folder: Path
    sizes: dict[str, int]
    notes: dict[str, Any]

    @property
    def bytes(self) -> int:
        """Size of its files on disk."""
        return sum(self.sizes.values())


@dataclass(frozen=True)
class Room:
    """A folder of the cache for one kind of thing. `files`: a pattern that the names of its files match.

    `smaller`: what a person can do where the disk has no room for it.
    """

    name: str
    files: str
    smaller: str

    @property
    def folder(self) -> Path:
        """Its place: in $LITTORAL_CACHE, else in `littoral` in $XDG_CACHE_HOME or ~/.cache."""
        own = os.environ.get("LITTORAL_CACHE")
        return (Path(own) if own else cache_folder("LITTORAL_CACHE")) / self.name

    def find(self, key: str) -> Entry | None:
        """The whole entry of that key, None when there is none."""
        folder = self.folder / key
        try:
            about = json.loads((folder / ABOUT).read_text())
            entry = Entry(folder, dict(about["sizes"]), about["notes"])
            whole = all((folder / name).stat().st_size == size for name, size in entry.sizes.items())
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return entry if whole else None

    @contextlib.contextmanager
    def writing(self, sizes: Mapping[str, int], what: str) -> Iterator[Path]:
        """A fresh folder with files of these sizes, all of it reserved on disk; gone when the block ends.

        Raises InputError, which names `what`, where the disk has no room or the folder cannot be written: a mapped file
        on a full disk would kill the process instead.
        """
        folder = self.folder / f"{secrets.token_hex(8)}.{socket.gethostname()}.{os.getpid()}{UNFINISHED}"
        try:
            folder.mkdir(parents=True)
            for name, size in sizes.items():
                with open(folder / name, "wb") as handle:
                    if sys.platform == "linux" and size:
                        os.posix_fallocate(handle.fileno(), 0, size)
                    else:
                        handle.truncate(size)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise InputError(
                f"the {self.name} of {what} need {sum(sizes.values()) / 1e9:.1f} GB in {self.folder}: "
                f"{error.strerror}; set LITTORAL_CACHE to a folder with room, or {self.smaller}"
            ) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # where it was kept, it has another name by now

    def keep(self, folder: Path, key: str, notes: dict[str, Any]) -> Entry:
        """Give a finished folder its name; where another run was faster, its entry is taken instead."""
        sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
        (folder / ABOUT).write_text(json.dumps({"sizes": sizes, "notes": notes, "made": int(time.time())}))
        final = self.folder / key
        try:
            folder.rename(final)
        except OSError:  # there is one by that name
            entry = self.find(key)
            if entry is None:  # but it is damaged: out of the way with it
                shutil.rmtree(final, ignore_errors=True)
                folder.rename(final)
            else:
                return entry
        return Entry(final, sizes, notes)

    def entries(self) -> list[Entry]:
        """All whole entries, the largest first."""
        places = [place for place in self.folder.glob("*") if place.suffix != UNFINISHED and self._is_ours(place)]
        found = [self.find(place.name) for place in places]
        return sorted((entry for entry in found if entry is not None), key=lambda entry: -entry.bytes)

    def clear(self) -> int:
        """Delete all entries, damaged ones, and what runs that are no more left unfinished; return the bytes set free.

        A run that has an entry open goes on: its file is there until it ends.
        """
        freed = 0
        for place in self.folder.glob("*"):
            if not self._is_ours(place) or _at_work(place):
                continue
            for file in list(place.iterdir()):
                with contextlib.suppress(OSError):  # another run may clear too
                    size = file.stat().st_size
                    file.unlink()
                    freed += size
            with contextlib.suppress(OSError):
                place.rmdir()
        return freed

    def _is_ours(self, place: Path) -> bool:
        """Whether a folder is one that this file makes: the cache may have been put where other things lie."""
        named = re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{16}\..+\.\d+\.tmp", place.name)
        if named is None or place.is_symlink() or not place.is_dir():
            return False
        return all(file.name == ABOUT or re.fullmatch(self.files, file.name) for file in place.iterdir())


def cache_folder(otherwise: str) -> Path:
    """`littoral` in $XDG_CACHE_HOME or ~/.cache. Raises InputError, which names another variable to set, where no home
    folder is known."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "littoral"
    except RuntimeError as error:
        raise InputError(f"no home folder is known to keep files in; set {otherwise} to a folder") from error


IMAGES = Room("images", r"images\.bin", "give a smaller --size")
FEATURES = Room("features", r"\d+\.npy", "take fewer taps, or pool them")
ROOMS = (IMAGES, FEATURES)
"""All rooms there are. Every entry's notes say its `source` and its `shape`, the number of images first."""


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
