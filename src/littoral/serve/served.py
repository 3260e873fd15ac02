"""The model that answers: loaded from an exported folder, or from a model file that is exported first; and its version.

Torch is needed for the second alone, and there in a process of its own, so that the server stays small.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from pydantic import TypeAdapter

from littoral.deploy.exported import exported, is_model_file
from littoral.deploy.runtime import MODEL_FILE, Model, RuntimeFileError, SplitModel, load, load_split
from littoral.errors import InputError
from littoral.specs import ImageSpec

Outputs = Mapping[str, Shaped[np.ndarray, "n ..."]]
"""What the model says of a batch, by the names of the file's outputs: probabilities, label, accepted, …"""

Images = UInt8[np.ndarray, "n height width channels"]

VERSION_DIGITS = 12
"""Of the file's SHA-256, as the version that each answer names."""


@dataclass(frozen=True, eq=False)
class Served:
    """A model, ready to answer. `version`: the beginning of its file's SHA-256; `spec`: the form of its images.

    `split`: the same model in two files, which then answers; None: the one file does.
    """

    model: Model
    version: str
    spec: ImageSpec
    split: SplitModel | None = None

    def answer(self, images: Images) -> Outputs:
        """What the model says of images in the form of `spec`."""
        return (self.split or self.model).run(images)

    def whole(self) -> Served:
        """The model of the one file: no image exits, so that answers can be compared."""
        return self if self.split is None else replace(self, split=None)

    @property
    def record(self) -> dict[str, Any]:
        """How the model was made, as its file says."""
        record: dict[str, Any] = json.loads(self.model.metadata["record"])
        return record


def load_served(
    place: Path, threads: int, split: bool = False, exporting: Callable[[subprocess.Popen[str]], None] | None = None
) -> Served:
    """The model at `place`: an exported folder or file, or a model file, which takes a minute.

    `split`: of a folder, the two files of a split answer. `exporting`: told of the process that exports a model file,
    so that it can be ended. The model has answered once when this returns. Raises InputError for what is none of these,
    or is broken.
    """
    if split and is_model_file(place):
        raise InputError(f"a split is served from a folder that `littoral export --split` wrote, got {place}")
    with exported(place, threads, exporting) as form:
        return _loaded(form, threads, split)


def _loaded(place: Path, threads: int, split: bool = False) -> Served:
    try:
        model = load(place, threads)
        halves = load_split(place, threads) if split else None
    except RuntimeFileError as error:
        raise InputError(str(error)) from error
    if halves is not None and halves.metadata["source_sha256"] != model.metadata["source_sha256"]:
        raise InputError(f"the split in {place} is of another model than {MODEL_FILE}: export with --split anew")
    spec = TypeAdapter(ImageSpec).validate_json(model.metadata["image"])
    served = Served(model, model.metadata["sha256"][:VERSION_DIGITS], spec, halves)
    blank = np.zeros((1, spec.height, spec.width, spec.channels), np.uint8)
    served.answer(blank)
    served.whole().answer(blank)
    return served
