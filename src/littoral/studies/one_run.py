"""One run of a study, an arm trained with a seed and tested once, and what decides it: a folder tells runs by that.

Which runs a study has, and what they come to together, is left to `compare.py` and `curve.py`.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import littoral
from littoral.evaluation.metrics import evaluate
from littoral.images.store import ImageStore
from littoral.nn.cost import Cost, config_cost
from littoral.nn.inference import predict_from_vectors, predict_with_heads
from littoral.studies.contestants import Contestant, Parts
from littoral.studies.latency import Latency, measure_latency
from littoral.studies.results import StoredRun
from littoral.training.beforehand import Beforehand, features_beforehand
from littoral.training.loop import Observer
from littoral.training.presets import Preset
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel, fit_arm
from littoral.version import __version__

DECIDES = ("images", "nn", "training")
"""The rooms of the package whose code decides what a run comes to."""


@dataclass(frozen=True)
class Task:
    """A run to be done: who, by the name that it goes by in the result, with which seed, and on which images."""

    name: str
    contestant: Contestant
    seed: int
    parts: Parts

    @property
    def made(self) -> dict[str, Any]:
        """What decides the run besides the study that it belongs to and its seed, as plain JSON."""
        rows = [
            hashlib.sha256(part.astype(np.int64).tobytes()).hexdigest() for part in (self.parts.train, self.parts.test)
        ]
        return {
            "training images": rows[0],
            "test images": rows[1],
            "recipe": asdict(self.contestant.recipe),
            "architecture": asdict(self.contestant.config),
        }


def identity(data: ImageStore, preset: Preset, recipe: Recipe, place: torch.device) -> dict[str, Any]:
    """What all runs of a study share, as plain JSON: code, libraries, machine, images, preset and recipe."""
    return {
        "littoral": __version__,
        "code": _code(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "device": str(place),
        "data_sha256": data.fingerprint(),
        "preset": preset.name,
        "recipe": asdict(recipe),
    }


def surroundings(data: ImageStore) -> dict[str, Any]:
    """What a result says besides, and no run depends on."""
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "data": data.source,
        "classes": list(data.class_names),
    }


def known_features(
    data: ImageStore, tasks: Iterable[Task], place: torch.device, on_features: Callable[[int, int], None]
) -> Beforehand | None:
    """The features of all images that these runs need, of the arms that take them; None where there is no such arm."""
    takers = [task for task in tasks if task.contestant.on_features]
    if not takers:
        return None
    rows = np.concatenate([rows for task in takers for rows in (task.parts.train, task.parts.test)])
    configs = {task.name: task.contestant.config for task in takers}
    return features_beforehand(list(configs.values()), data.images, rows, data.spec(), data.source, place, on_features)


def one_run(
    data: ImageStore,
    task: Task,
    study: dict[str, Any],
    place: torch.device,
    observer: Observer,
    latency: Latency | None,
    features: Beforehand | None = None,
) -> tuple[StoredRun, TrainedModel]:
    """Train and test once. `study`: see `identity`; `latency` where it was measured on another run of the arm.

    `features`: what `known_features` gave for all runs of the study.
    """
    arm, parts = task.contestant, task.parts
    train, test = data.subset(parts.train), data.subset(parts.test)
    opinions: dict[str, NDArray[np.float32]] = {}
    if features is not None and arm.on_features:
        of_train, of_test = (features.of(arm.config, rows) for rows in (parts.train, parts.test))
        trained = fit_arm(arm.preset, arm.arm, arm.recipe, train, task.seed, place, observer, features=of_train)
        probabilities = predict_from_vectors(trained.model, of_test)
    else:
        trained = fit_arm(arm.preset, arm.arm, arm.recipe, train, task.seed, place, observer)
        probabilities, opinions = predict_with_heads(trained.model, test.images, trained.image)
    run = StoredRun(
        arm=task.name,
        seed=task.seed,
        study=study,
        made=task.made,
        figures=_figures(trained, test, probabilities, config_cost(arm.config), latency),
        index=parts.test,
        labels=test.labels,
        probabilities=probabilities,
        opinions=opinions,
    )
    return run, trained


def _code() -> str:
    """SHA-256 over the code that decides what a run comes to: two versions of a checkout are not told by its number."""
    package, digest = Path(littoral.__file__).parent, hashlib.sha256()
    for file in sorted(file for room in DECIDES for file in (package / room).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _figures(
    trained: TrainedModel, test: ImageStore, probabilities: NDArray[np.float32], cost: Cost, latency: Latency | None
) -> dict[str, Any]:
    """What a run comes to, as plain JSON."""
    found = evaluate(probabilities, test.labels, test.class_names)
    return {
        "accuracy": found.accuracy,
        "n": found.n,
        "ci95": list(found.ci95),
        "balanced_accuracy": found.balanced_accuracy,
        "macro_f1": found.macro_f1,
        "seconds": trained.record["train_seconds"],
        "params": cost.params,
        "macs": cost.macs,
        "latency": asdict(measure_latency(trained, test.images) if latency is None else latency),
    }
