"""The model that answers: loaded from an exported folder, or from a model file that is exported first; and its version.

Torch is needed for the second alone, and there in a process of its own, so that the server stays small.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from pydantic import TypeAdapter

from littoral.deploy.runtime import MODEL_FILE, Model, RuntimeFileError, load
from littoral.errors import InputError
from littoral.specs import ImageSpec

Outputs = Mapping[str, Shaped[np.ndarray, "n ..."]]
"""What the model says of a batch, by the names of the file's outputs: probabilities, label, accepted, …"""

Images = UInt8[np.ndarray, "n height width channels"]

VERSION_DIGITS = 12
"""Of the file's SHA-256, as the version that each answer names."""


@dataclass(frozen=True, eq=False)
class Served:
    """A model, ready to answer. `version`: the beginning of its file's SHA-256; `spec`: the form of its images."""

    model: Model
    version: str
    spec: ImageSpec

    def answer(self, images: Images) -> Outputs:
        """What the model says of images in the form of `spec`."""
        return self.model.run(images)

    @property
    def record(self) -> dict[str, Any]:
        """How the model was made, as its file says."""
        record: dict[str, Any] = json.loads(self.model.metadata["record"])
        return record


def load_served(place: Path, threads: int) -> Served:
    """The model at `place`: an exported folder or file, or a model file (.safetensors), which takes a minute.

    It has answered once when this returns. Raises InputError for what is none of these, or is broken.
    """
    if place.suffix != ".safetensors":
        return _loaded(place, threads)
    with TemporaryDirectory(prefix="littoral-serve-") as folder:
        _export(place, Path(folder) / "exported", threads)
        return _loaded(Path(folder) / "exported", threads)


def file_of(place: Path) -> Path:
    """The one file whose change means another model."""
    return place / MODEL_FILE if place.is_dir() else place


def _loaded(place: Path, threads: int) -> Served:
    try:
        model = load(place, threads)
    except RuntimeFileError as error:
        raise InputError(str(error)) from error
    spec = TypeAdapter(ImageSpec).validate_json(model.metadata["image"])
    served = Served(model, model.metadata["sha256"][:VERSION_DIGITS], spec)
    served.answer(np.zeros((1, spec.height, spec.width, spec.channels), np.uint8))
    return served


def _export(model_file: Path, folder: Path, threads: int) -> None:
    command = [sys.executable, "-m", "littoral", "export", str(model_file), "--out", str(folder), "--quiet"]
    done = subprocess.run([*command, "--threads", str(threads)], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it ended without a word"]
        raise InputError(f"{model_file} cannot be exported: {lines[-1].removeprefix('littoral: ')}")
