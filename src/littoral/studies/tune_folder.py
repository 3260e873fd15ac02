"""The folder of a search: in `candidates/` a file for each, whole at any time, from which the search goes on.

Each says by itself which search it is of. What a search comes to is written beside them at its end, by `tune.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from littoral.differing import differences
from littoral.errors import InputError
from littoral.files import held_alone, require_folder, require_none_of, write_atomically
from littoral.studies.tune_result import Candidate

WRITTEN = ("results.json", "preset.toml", "front.png")
"""What is written beside the candidates, at the end."""


@dataclass(frozen=True)
class _Kept:
    """What a file says: which `search` it is of, the seconds that this had taken by then, and the candidate."""

    search: dict[str, Any]
    seconds: float
    candidate: Candidate


@dataclass(frozen=True)
class TuneFolder:
    """The folder at `path`, which has to be there to write in."""

    path: Path

    def files(self) -> list[Path]:
        """Those of the candidates, in the order of their numbers."""
        return sorted((path for path in self.path.glob("candidates/*.json") if path.stem.isdigit()), key=_number)

    def write(self, search: Mapping[str, Any], candidate: Candidate, seconds: float) -> None:
        """Keep what is known of a candidate in place of what was, whole or not at all."""
        document = {"search": dict(search), "seconds": round(seconds, 3), "candidate": candidate.to_json()}
        write_atomically(self.path / "candidates" / f"{candidate.number}.json", json.dumps(document, indent=2).encode())

    def read(self, search: Mapping[str, Any]) -> tuple[list[Candidate], float]:
        """The candidates that are there, and the seconds that the search has taken.

        Raises InputError for a file that is not whole, and, with what differs, where one is of another search.
        """
        kept = [_read(path) for path in self.files()]
        for one in kept:
            if found := differences(one.search, search):
                raise InputError(
                    f"{self.path} holds candidates of another search: {'; '.join(found)}: "
                    f"name another folder, or delete {self.path}"
                )
        return [one.candidate for one in kept], max((one.seconds for one in kept), default=0.0)


def require_tune_folder(path: Path) -> None:
    """Raise InputError unless a search could begin or go on in the folder `path`, with nothing of others replaced."""
    require_folder(path)
    results = path / "results.json"
    if not (path / "candidates").is_dir() or not (results.exists() or TuneFolder(path).files()):
        require_none_of(WRITTEN, path, "candidates")


@contextmanager
def opened_to_tune(path: Path) -> Iterator[TuneFolder]:
    """The folder, made where it is missing, and nobody else's meanwhile; raises InputError where somebody has it."""
    require_tune_folder(path)
    (path / "candidates").mkdir(parents=True, exist_ok=True)
    with held_alone(path / ".lock", str(path)):
        yield TuneFolder(path)


def _number(path: Path) -> int:
    return int(path.stem)


def _read(path: Path) -> _Kept:
    try:
        kept = TypeAdapter(_Kept).validate_json(path.read_bytes())
    except (OSError, ValidationError, InputError):
        kept = None
    if kept is None or kept.candidate.number != _number(path):
        raise InputError(f"{path} is not the whole file of a candidate: delete it, and the candidate is tried again")
    return kept
