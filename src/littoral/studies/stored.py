"""A finished run of a study and its file: what decided it, what came out, and what was predicted for each test image.

The file is an npz archive of numbers and of JSON as text; nothing in it is ever unpickled. Where it lies is
`results.py`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError

FORMAT = "littoral-run-1"

OPINION = "opinion."
"""What the names of the arrays with a head's probabilities begin with."""

ANSWER = "answer"
"""What the maps of the model's answer, all heads together, go by."""

LOOK, LOOKED_AT = "look.", "looked_at"
"""The same of the maps of where it looks, and the name of the array with their images."""


@dataclass(frozen=True)
class Looks:
    """What `occlusion.py` finds on the images `index` (m, rows of the data): by answer, m × rows × columns, in bits."""

    index: NDArray[np.int64]
    maps: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class StoredRun:
    """A finished run: what decided it, what came out, and what was predicted for each test image.

    `study`: what all runs of a folder share; `made`: what decided this one besides; `figures`: what came out, with the
    cost. All three are plain JSON. `index` (n): rows of the test images in the data that were loaded; `labels` (n):
    their classes; `probabilities` (n × classes); `opinions`: the same of each head alone, where there are several;
    `looks`: where it looks on a few images, None where that was not asked.
    """

    arm: str
    seed: int
    study: Mapping[str, Any]
    made: Mapping[str, Any]
    figures: Mapping[str, Any]
    index: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    opinions: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    looks: Looks | None = None

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each test image was told right, (n)."""
        right: NDArray[np.bool_] = self.probabilities.argmax(1) == self.labels
        return right


def run_bytes(run: StoredRun) -> bytes:
    """The content of a run's file."""
    record = {
        "format": FORMAT,
        "arm": run.arm,
        "seed": run.seed,
        "study": run.study,
        "made": run.made,
        "figures": run.figures,
    }
    arrays: dict[str, NDArray[Any]] = {
        "record": np.array(json.dumps(record)),
        "index": run.index,
        "labels": run.labels,
        "probabilities": run.probabilities,
    }
    arrays |= {OPINION + name: values for name, values in run.opinions.items()}
    if run.looks is not None:
        arrays |= {LOOKED_AT: run.looks.index} | {LOOK + name: maps for name, maps in run.looks.maps.items()}
    return npz(arrays)


def read_run(path: Path, arm: str, seed: int) -> StoredRun:
    """The run of this arm and seed from its file; raises InputError, which names the file, where it is not whole."""
    try:
        with ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise BadZipFile
        with np.load(path, allow_pickle=False) as arrays:
            record = json.loads(str(arrays["record"]))
            run = StoredRun(
                record["arm"],
                record["seed"],
                record["study"],
                record["made"],
                record["figures"],
                arrays["index"],
                arrays["labels"],
                arrays["probabilities"],
                _beginning(OPINION, arrays),
                Looks(arrays[LOOKED_AT], _beginning(LOOK, arrays)) if LOOKED_AT in arrays else None,
            )
        whole = record["format"] == FORMAT and (run.arm, run.seed) == (arm, seed)
    except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, BadZipFile):
        whole = False
    if not whole:
        raise InputError(f"{path} is not the whole file of a finished run: delete it, and the run is done again")
    return run


def npz(arrays: Mapping[str, NDArray[Any]], packed: bool = False) -> bytes:
    """The arrays as the content of an npz file, compressed where `packed`; equal arrays make equal files."""
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        for name, values in arrays.items():
            member = ZipInfo(f"{name}.npy")  # of no date
            member.compress_type = ZIP_DEFLATED if packed else ZIP_STORED
            with archive.open(member, "w") as place:
                np.lib.format.write_array(place, values, allow_pickle=False)
    return content.getvalue()


def _beginning(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}
