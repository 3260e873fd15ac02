"""The exported form of a model, whichever form it has: a model file is exported first, for as long as it is needed.

Torch is needed for that alone, and there in a process of its own, so that whoever runs the model stays small.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from littoral.deploy.runtime import MODEL_FILE
from littoral.errors import InputError

MODEL_SUFFIX = ".safetensors"
"""How a model file ends, which has to be exported."""


@contextmanager
def exported(place: Path, threads: int) -> Iterator[Path]:
    """An exported folder or file: `place` itself or, while the block lasts, what the model file `place` becomes.

    That takes a minute. Raises InputError for a model file that cannot be exported.
    """
    if place.suffix != MODEL_SUFFIX:
        yield place
        return
    with TemporaryDirectory(prefix="littoral-exported-") as folder:
        target = Path(folder) / "exported"
        command = [sys.executable, "-m", "littoral", "export", str(place), "--out", str(target), "--quiet"]
        done = subprocess.run([*command, "--threads", str(threads)], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it ended without a word"]
            raise InputError(f"{place} cannot be exported: {lines[-1].removeprefix('littoral: ')}")
        yield target


def file_of(place: Path) -> Path:
    """The one file of a model in any form: the same file, the same model."""
    return place / MODEL_FILE if place.is_dir() else place
