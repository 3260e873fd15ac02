"""`fit --ray ADDRESS --workers N`: what goes with these options, and the workers that they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from littoral.cli.output import say
from littoral.errors import InputError
from littoral.machine import cores

if TYPE_CHECKING:
    from littoral.training.loop import Workers


@dataclass(frozen=True)
class Asked:
    """`--ray`, `--workers` and `--storage` as they were given."""

    ray: str | None
    workers: int | None
    storage: str | None

    def require(self, time_budget: float | None, unlabelled: str | None, preset: str | None, arm: str) -> None:
        """Raise InputError, before images are read, for what does not go with them and a cluster that is not there."""
        if self.ray is None:
            if self.workers is not None or self.storage is not None:
                raise InputError("--workers and --storage belong to a training on a Ray cluster: give --ray too")
            return
        if self.workers is None:
            raise InputError("--ray has several processes train the network: say how many with --workers")
        from littoral.scale.cluster import require_cluster
        from littoral.training.choose import AUTO
        from littoral.training.presets import get_preset

        others = {
            "--time-budget": time_budget is not None,
            "--unlabelled": unlabelled is not None,
            "--preset auto": preset == AUTO,
        }
        for other, given in others.items():
            if given:
                raise InputError(f"{other} is for a training in this process: leave it out, or --ray")
        if preset is not None and arm in (arms := get_preset(preset).arms) and arms[arm].linear:
            raise InputError(
                f"arm {arm} of preset {preset} is fitted at once, and there is nothing to share: leave --ray out"
            )
        require_cluster(self.ray)

    def threads(self, given: int | None) -> int | None:
        """The CPU threads of each worker: as given; else, on this machine alone, what comes to each of its cores."""
        if self.ray != "local" or self.workers is None or given is not None:
            return given
        return max(1, cores() // self.workers)

    @contextmanager
    def connected(self, target: Path, quiet: bool) -> Iterator[Workers | None]:
        """The workers, for as long as the block lasts; None where no cluster was asked for."""
        if self.ray is None or self.workers is None:
            yield None
            return
        from littoral.scale.cluster import connected
        from littoral.scale.training import RayWorkers

        storage = str(target.resolve().parent) if self.storage is None else self.storage
        with connected(self.ray):
            yield RayWorkers(self.ray, self.workers, storage, (lambda line: None) if quiet else say)
