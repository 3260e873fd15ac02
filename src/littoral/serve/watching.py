"""The model that answers now, and how a changed file takes its place: loaded beside the old one, which goes on.

Requests keep the model that they began with, so none is dropped; where the new file is broken the old model stays.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from littoral.deploy.exported import file_of
from littoral.deploy.runtime import DEEP_FILE, SHALLOW_FILE
from littoral.serve.served import Served, load_served

LOG = logging.getLogger("littoral.serve")

EVERY = 1.0
"""Seconds between looks at the file. A change is taken when two looks find the same: once it is written."""

Mark = tuple[tuple[int, int, int], ...] | None
"""When each file was changed, its size and its number; None where one is not there."""


class Current:
    """The model that answers. `on_change` is told whether a changed file was taken."""

    def __init__(
        self, place: Path, threads: int, split: bool, on_change: Callable[[bool], None], every: float = EVERY
    ) -> None:
        self._place = place
        self._threads = threads
        self._split = split
        self._on_change = on_change
        self._every = every
        self._files = [file_of(place), *(place / name for name in (SHALLOW_FILE, DEEP_FILE) if split)]
        self._taken = _mark(self._files)
        self._exporting: subprocess.Popen[str] | None = None
        self.served: Served = load_served(place, threads, split)

    async def watch(self) -> None:
        """Look after the file until cancelled; an export that is under way then is ended."""
        before = self._taken
        try:
            while True:
                await asyncio.sleep(self._every)
                mark = _mark(self._files)
                if mark == before and mark != self._taken:
                    self._taken = mark
                    if mark is None:
                        self._keep(f"{' or '.join(map(str, self._files))} is gone")
                    else:
                        await self._take()
                before = mark
        finally:
            if self._exporting is not None:
                self._exporting.kill()

    async def _take(self) -> None:
        try:
            served = await asyncio.to_thread(load_served, self._place, self._threads, self._split, self._note)
        except Exception as error:  # of onnxruntime's many kinds too: whatever is wrong with it, the old one answers
            self._keep(str(error))
            return
        LOG.info("model changed", extra={"told": {"before": self.served.version, "model": served.version}})
        self.served = served
        self._on_change(True)

    def _keep(self, reason: str) -> None:
        LOG.error("model kept", extra={"told": {"model": self.served.version, "reason": reason}})
        self._on_change(False)

    def _note(self, process: subprocess.Popen[str]) -> None:
        self._exporting = process


def _mark(files: Sequence[Path]) -> Mark:
    try:
        found = [file.stat() for file in files]
    except OSError:
        return None
    return tuple((about.st_mtime_ns, about.st_size, about.st_ino) for about in found)
