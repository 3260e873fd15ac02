"""The state of a run after an epoch, in one safetensors file, so that a run that was cut off can go on.

It holds weights, the optimiser's memory, the history, and the identity of the run: a checkpoint of another run is
refused. Random state needs no place here, since each epoch draws from (seed, epoch). Nothing is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from littoral.differing import differences, in_words
from littoral.errors import InputError
from littoral.files import write_atomically
from littoral.training.history import EpochRecord

FORMAT = "littoral-checkpoint-2"


@runtime_checkable
class Memory(Protocol):
    """What a training remembers beside the weights, such as an optimiser."""

    def tensors(self) -> dict[str, Tensor]:
        """All of it, by name."""

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned."""


def apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same, each in memory of its own: a file cannot say that two layers of a network share their weights."""
    seen: set[int] = set()
    found = {}
    for name, value in tensors.items():
        place = value.untyped_storage().data_ptr()
        found[name] = value.clone() if place in seen else value
        seen.add(place)
    return found


def save_checkpoint(
    path: Path, identity: dict[str, object], model: nn.Module, memory: Sequence[Memory], history: Sequence[EpochRecord]
) -> None:
    """Write the state over the last one, whole or not at all."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, part in enumerate(memory):
        tensors |= {f"memory{number}.{name}": value for name, value in part.tensors().items()}
    state = {"identity": identity, "history": [asdict(record) for record in history]}
    metadata = {"format": FORMAT, "state": json.dumps(state)}
    write_atomically(path, save(apart({name: value.cpu().contiguous() for name, value in tensors.items()}), metadata))


def load_checkpoint(
    path: Path, identity: dict[str, object], model: nn.Module, memory: Sequence[Memory]
) -> list[EpochRecord]:
    """Bring model and memory to the stored state; return the history up to there.

    Raises InputError as `read_checkpoint`.
    """
    state, tensors = read_checkpoint(path, identity)
    model.load_state_dict(_under("model.", tensors))
    for number, part in enumerate(memory):
        part.load_tensors(_under(f"memory{number}.", tensors))
    return [EpochRecord(**record) for record in state["history"]]


def read_checkpoint(path: Path, identity: dict[str, object]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The stored state, plain JSON, and tensors.

    Raises InputError when the file is no checkpoint of ours, or belongs to a run with another identity; it names what
    differs.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a whole checkpoint; delete it to start again") from error
    if metadata.get("format") != FORMAT or "state" not in metadata:
        raise InputError(f"{path} is not a littoral checkpoint; delete it to start again")
    state: dict[str, Any] = json.loads(metadata["state"])
    if found := differences(state["identity"], identity):
        raise InputError(
            f"the checkpoint {path} belongs to another run: {in_words(found)}; "
            "give the options of that run, or delete it to start again"
        )
    return state, tensors


def planned_steps(path: Path, time_budget: float) -> int | None:
    """The steps that were set for the run behind a checkpoint by this time budget; None where it is of another run."""
    identity = _identity(path)
    steps: int | None = identity.get("recipe", {}).get("steps") if identity.get("time_budget") == time_budget else None
    return steps


def preset_behind(path: Path) -> str | None:
    """The name of the preset of the run behind a checkpoint; None where there is none, or it cannot be read."""
    name: str | None = _identity(path).get("preset")
    return name


def _identity(path: Path) -> dict[str, Any]:
    """Which run a checkpoint is of; empty where there is none that can be read."""
    try:
        with safe_open(path, framework="pt") as file:
            state: dict[str, Any] = json.loads((file.metadata() or {}).get("state", "{}"))
    except (SafetensorError, OSError):
        return {}
    found: dict[str, Any] = state.get("identity", {})
    return found


def _under(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
