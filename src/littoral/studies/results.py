"""The folder of a study: `results.json`, and in `runs/` one file for each finished run, from which a study goes on.

Where a study has several label budgets, the runs with 10 labels a class are in `runs/10/`.

What is in a run's file is `stored.py`. What a study is, and what its runs are made of, is not known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from littoral.differing import differences, in_words
from littoral.errors import InputError
from littoral.files import held_alone, require_folder, require_none_of, write_atomically
from littoral.studies.stored import StoredRun, read_run, run_bytes
from littoral.words import count

WRITTEN = ("results.json", "report.html", "pictures.npz")
"""What is written beside the runs of any study."""

WRITTEN_OF_BUDGETS = ("curve.png", "label_next.csv")
"""And of one of several budgets."""


@dataclass(frozen=True)
class ResultsFolder:
    """The folder at `path`. Reading needs no lock: files are written whole. Who writes holds it, by `opened`.

    `budget`: labels a class, in a study of several budgets, whose runs lie in a folder for each; else None.
    """

    path: Path
    budget: int | None = None

    def at(self, budget: int | None) -> ResultsFolder:
        """The same folder, for the runs with so many labels a class; None: of a study of one budget."""
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

    def count(self) -> int:
        """How many finished runs there are, of all budgets."""
        return sum(len(self.at(budget).finished()) for budget in (None, *self.budgets()))

    def model(self, arm: str, seed: int) -> Path:
        """Where the model of a run lies, in studies that keep it: beside the run."""
        return self.file(arm, seed).with_suffix(".safetensors")

    def read(self, arm: str, seed: int) -> StoredRun:
        """A finished run; raises InputError, which names the file, where it is not whole."""
        return read_run(self.file(arm, seed), arm, seed)

    def write(self, run: StoredRun) -> None:
        """Keep a finished run, whole or not at all."""
        self.runs.mkdir(exist_ok=True)
        write_atomically(self.file(run.arm, run.seed), run_bytes(run))

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
            at, kind = f" at {count(self.budget, 'label')} a class", "learning curve"
        for arm, seed in self.finished():
            run = self.read(arm, seed)
            found = differences(run.study, study)
            if not found and (arm, seed) in made:
                found = [f"of arm {arm}{at}, {line}" for line in differences(run.made, made[arm, seed])]
            if found:
                raise InputError(
                    f"{self.path} holds runs of another {kind}: {in_words(found)}: "
                    f"name another folder, or delete {self.path}"
                )
            if (arm, seed) in made:
                yield run


def require_results_folder(path: Path, of_budgets: bool = False) -> None:
    """Raise InputError unless a study could begin or go on in the folder `path`, with nothing of others replaced.

    `of_budgets`: for a study of several budgets.
    """
    require_folder(path)
    results = path / "results.json"
    if not (path / "runs").is_dir() or not (results.exists() or ResultsFolder(path).count()):
        require_none_of(WRITTEN + (WRITTEN_OF_BUDGETS if of_budgets else ()), path, "runs")


@contextmanager
def opened(path: Path, of_budgets: bool = False) -> Iterator[ResultsFolder]:
    """The folder, made where it is missing, and nobody else's meanwhile; raises InputError where somebody has it.

    `of_budgets`: for a study of several budgets. A folder that holds runs of the other kind is refused too.

    On Windows, and on file systems that know no locks, two may be at work in it at once: each file is whole all the
    same, and runs that both do are equal.
    """
    require_results_folder(path, of_budgets)
    (path / "runs").mkdir(parents=True, exist_ok=True)
    with held_alone(path / ".lock", str(path)):
        folder = ResultsFolder(path)
        if folder.finished() if of_budgets else folder.budgets():
            found = "a comparison, not of a learning curve" if of_budgets else "a learning curve, not of a comparison"
            raise InputError(f"{path} holds runs of {found}: name another folder, or delete {path}")
        yield folder
