"""The folder of a study: `results.json`, and in `runs/` one file for each finished run, from which a study goes on.

Where a study has several label budgets, the runs with 10 labels a class are in `runs/10/`.

A run's file is an npz archive of numbers and of JSON as text; nothing in it is ever unpickled. What a study is, and
what its runs are made of, is not known here.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError
from littoral.files import held_alone, require_folder, write_atomically

FORMAT = "littoral-run-1"

OPINION = "opinion."
"""What the names of the arrays with a head's probabilities begin with."""

ANSWER = "answer"
"""What the maps of the model's answer, all heads together, go by."""

LOOK, LOOKED_AT = "look.", "looked_at"
"""The same of the maps of where it looks, and the name of the array with their images."""

SHOWN = 8
"""Differences that are named one by one; the rest is counted."""

OPTIONS = {
    "data_sha256": "the images",
    "littoral": "the version of littoral",
    "code": "the code of littoral",
    "torch": "the version of torch",
    "numpy": "the version of numpy",
    "preset": "--preset",
    "recipe.epochs": "--epochs",
    "recipe.steps": "--steps",
    "recipe.balance": "--balance",
    "labels_per_class": "--labels-per-class",
    "threads": "--threads",
    "device": "--device",
}
"""What a person calls a field in which two studies differ; any other goes by its own name."""


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


@dataclass(frozen=True)
class ResultsFolder:
    """The folder at `path`. Reading needs no lock: files are written whole. Who writes holds it, by `opened`.

    `budget`: labels a class, in a study of several budgets, whose runs lie in a folder for each; else None.
    """

    path: Path
    budget: int | None = None

    def at(self, budget: int) -> ResultsFolder:
        """The same folder, for the runs with so many labels a class."""
        return replace(self, budget=budget)

    def budgets(self) -> list[int]:
        """The budgets that have runs, sorted; none in a study of one."""
        names = {path.parent.name for path in self.path.glob("runs/*/*.npz")}
        return sorted(int(name) for name in names if re.fullmatch(r"[1-9][0-9]*", name))

    @property
    def runs(self) -> Path:
        """Where the runs of this budget lie."""
        return self.path / "runs" if self.budget is None else self.path / "runs" / str(self.budget)

    def file(self, arm: str, seed: int) -> Path:
        """Where a run lies. Any name of an arm becomes one that every file system takes, in small letters."""
        safe = re.sub(r"[^a-z0-9_.-]", lambda found: "".join(f"%{byte:02x}" for byte in found[0].encode()), arm)
        return self.runs / f"{safe}-s{seed}.npz"

    def finished(self) -> list[tuple[str, int]]:
        """Arm and seed of each run that is there, by the names of the files, sorted."""
        found = []
        for path in self.runs.glob("*.npz"):
            if name := re.fullmatch(r"(.+)-s(\d+)", path.stem):
                arm, seed = unquote(name[1]), int(name[2])
                if self.file(arm, seed) == path:  # else a copy or a file of somebody else
                    found.append((arm, seed))
        return sorted(found)

    def read(self, arm: str, seed: int) -> StoredRun:
        """A finished run; raises InputError, which names the file, where it is not whole."""
        path = self.file(arm, seed)
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

    def write(self, run: StoredRun) -> None:
        """Keep a finished run, whole or not at all."""
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
        self.runs.mkdir(exist_ok=True)
        write_atomically(self.file(run.arm, run.seed), npz(arrays))

    def write_results(self, document: Mapping[str, Any]) -> None:
        """Write `results.json` over the last one."""
        write_atomically(self.path / "results.json", json.dumps(document, indent=2).encode())

    def asked(self, study: Mapping[str, Any], made: Mapping[tuple[str, int], Mapping[str, Any]]) -> Iterator[StoredRun]:
        """The runs that are there, of those asked for: by arm and seed, with what decides each besides the study.

        Raises InputError, which says what differs, where any run that is there belongs to another study, or one that
        is asked for was made otherwise.
        """
        at, kind = "", "comparison"
        if self.budget is not None:
            at, kind = f" at {self.budget} labels a class", "learning curve"
        for arm, seed in self.finished():
            run = self.read(arm, seed)
            found = differences(run.study, study)
            if not found and (arm, seed) in made:
                found = [f"of arm {arm}{at}, {line}" for line in differences(run.made, made[arm, seed])]
            if found:
                more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
                raise InputError(
                    f"{self.path} holds runs of another {kind}: {'; '.join(found[:SHOWN])}{more}: "
                    f"name another folder, or delete {self.path}"
                )
            if (arm, seed) in made:
                yield run


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


def require_results_folder(path: Path) -> None:
    """Raise InputError unless a study could begin or go on in the folder `path`."""
    require_folder(path)
    if (path / "results.json").exists() and not (path / "runs").is_dir():
        raise InputError(f"{path / 'results.json'} is there already, without runs: name another folder, or delete it")


@contextmanager
def opened(path: Path, of_budgets: bool = False) -> Iterator[ResultsFolder]:
    """The folder, made where it is missing, and nobody else's meanwhile; raises InputError where somebody has it.

    `of_budgets`: for a study of several budgets. A folder that holds runs of the other kind is refused too.

    On Windows, and on file systems that know no locks, two may be at work in it at once: each file is whole all the
    same, and runs that both do are equal.
    """
    require_results_folder(path)
    (path / "runs").mkdir(parents=True, exist_ok=True)
    with held_alone(path / ".lock", str(path)):
        folder = ResultsFolder(path)
        if folder.finished() if of_budgets else folder.budgets():
            found = "a comparison, not of a learning curve" if of_budgets else "a learning curve, not of a comparison"
            raise InputError(f"{path} holds runs of {found}: name another folder, or delete {path}")
        yield folder


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The fields in which two nested mappings differ, such as `--epochs was 1, is 2`, in the order of `now`."""
    before, after = _flat(was), _flat(json.loads(json.dumps(now)))
    fields = [name for name in after | before if before.get(name) != after.get(name)]
    return [
        f"{OPTIONS.get(name, name)} was {_shown(before.get(name))}, is {_shown(after.get(name))}" for name in fields
    ]


def _beginning(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def _shown(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return f"{text[:12]}…" if re.fullmatch(r"[0-9a-f]{64}", text) else text
