"""The exported form of a model, whichever form it has: a model file is exported first, for as long as it is needed.

Torch is needed for that alone, and there in a process of its own, so that whoever runs the model stays small.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from littoral.deploy.runtime import MODEL_FILE
from littoral.errors import InputError

PAGE_FILE = "model.json"
"""What a page that lies beside an exported model knows of it."""


def is_model_file(place: Path) -> bool:
    """Whether `place` is a model file, which has to be exported: by its ending, else by how safetensors begin."""
    if place.suffix == ".safetensors":
        return True
    try:
        if not place.is_file():
            return False
        with open(place, "rb") as file:
            return file.read(9)[4:] == b"\0\0\0\0{"  # the high half of the header's length, then the header
    except OSError:  # whoever loads it says why
        return False


@contextmanager
def exported(
    place: Path, threads: int, exporting: Callable[[subprocess.Popen[str]], None] | None = None
) -> Iterator[Path]:
    """An exported folder or file: `place` itself or, while the block lasts, what the model file `place` becomes.

    That takes a minute; `exporting` is told of the process that does it, so that it can be ended. Raises InputError for
    a model file that cannot be exported.
    """
    if not is_model_file(place):
        yield place
        return
    with TemporaryDirectory(prefix="littoral-exported-") as folder:
        target = Path(folder) / "exported"
        _export(place, target, threads, exporting)
        yield target


def file_of(place: Path) -> Path:
    """The one file of a model in any form: the same file, the same model."""
    return place / MODEL_FILE if place.is_dir() else place


def _export(
    model_file: Path, folder: Path, threads: int, exporting: Callable[[subprocess.Popen[str]], None] | None
) -> None:
    # -P: a queue.py in the folder where somebody works is not Python's
    command = [sys.executable, "-P", "-m", "littoral", "export", str(model_file), "--out", str(folder), "--quiet"]
    command += ["--threads", str(threads)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            if exporting is not None:
                exporting(process)
            _, told = process.communicate()
        except BaseException:  # interrupted too: nobody waits for it any longer
            process.kill()
            raise
    if process.returncode:
        lines = told.strip().splitlines() or ["it ended without a word"]
        raise InputError(f"{model_file} cannot be exported: {lines[-1].removeprefix('littoral: ')}")
