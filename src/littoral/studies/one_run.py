"""One run of a study, an arm trained with a seed and tested once, and what decides it: a folder tells runs by that.

Which runs a study has is left to `compare.py` and `curve.py`, where and in which order they are done to `running.py`.
"""

from __future__ import annotations

import hashlib
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
from littoral.machine import cores
from littoral.model_file import can_be_slim, model_bytes
from littoral.nn.cost import Cost
from littoral.nn.inference import predict_from_vectors, predict_with_heads
from littoral.studies.contestants import Contestant, Parts
from littoral.studies.for_report import looks
from littoral.studies.latency import Latency, measure_latency
from littoral.studies.stored import StoredRun
from littoral.training.beforehand import Beforehand, features_beforehand
from littoral.training.loop import Observer
from littoral.training.presets import Preset
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel, fit_arm
from littoral.version import __version__

DECIDES = ("images", "nn", "training")
"""The rooms of the package whose code decides what a run comes to."""


@dataclass(frozen=True)
class Study:
    """What all runs of a study share: the images, what tells it from other studies (see `identity`), and the device."""

    data: ImageStore
    identity: dict[str, Any]
    place: torch.device


@dataclass(frozen=True)
class Task:
    """A run to be done: who, by the name that it goes by in the result, with which seed, and on which images.

    `budget`: labels a class, in a study of several budgets; else None. `looks`: whether it is asked where the model
    looks. `keep`: whether the model is wanted afterwards.
    """

    name: str
    contestant: Contestant
    seed: int
    parts: Parts
    budget: int | None = None
    looks: bool = False
    keep: bool = False

    @property
    def key(self) -> tuple[int | None, str, int]:
        """What tells it from the other tasks of a study."""
        return self.budget, self.name, self.seed

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
            "branches": list(self.contestant.config.branches),  # whose order the above does not tell
            "own code": self.contestant.own_code,
            "onnxruntime": self.contestant.runtime,
        }


@dataclass(frozen=True)
class Done:
    """A task and what came out; `model`: the content of a model file where the task asked to keep it, else None."""

    task: Task
    run: StoredRun
    model: bytes | None = None


def identity(data: ImageStore, preset: Preset, recipe: Recipe, place: torch.device) -> dict[str, Any]:
    """What all runs of a study share, as plain JSON: code, libraries, machine, images, preset and recipe."""
    return software() | {
        "threads": torch.get_num_threads(),
        "device": str(place),
        "data_sha256": data.fingerprint(),
        "preset": preset.name,
        "recipe": asdict(recipe),
    }


def software() -> dict[str, str]:
    """The code, the libraries and the kind of machine that decide what a run comes to."""
    return {
        "littoral": __version__,
        "code": _code(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
    }


def surroundings(data: ImageStore) -> dict[str, Any]:
    """What a result says besides, and no run depends on."""
    return {
        "python": platform.python_version(),
        "cores": cores(),
        "data": data.source,
        "classes": list(data.class_names),
    }


def known_features(study: Study, tasks: Iterable[Task], on_features: Callable[[int, int], None]) -> Beforehand | None:
    """The features of all images that these runs need, of the arms that take them; None where there is no such arm."""
    takers = [task for task in tasks if task.contestant.on_features]
    if not takers:
        return None
    data = study.data
    rows = np.concatenate([rows for task in takers for rows in (task.parts.train, task.parts.test)])
    configs = list({task.name: task.contestant.config for task in takers}.values())
    return features_beforehand(configs, data.images, rows, data.spec(), data.source, study.place, on_features)


def one_run(
    study: Study, task: Task, observer: Observer, latency: Latency | None, features: Beforehand | None = None
) -> Done:
    """Train and test once. `latency` where it was measured on another run of the arm.

    `features`: what `known_features` gave for the runs of the study.
    """
    arm, parts, data = task.contestant, task.parts, study.data
    train, test = data.subset(parts.train), data.subset(parts.test)
    opinions: dict[str, NDArray[np.float32]] = {}
    if features is not None and arm.on_features:
        of_train, of_test = (features.of(arm.config, rows) for rows in (parts.train, parts.test))
        trained = fit_arm(arm.preset, arm.arm, arm.recipe, train, task.seed, study.place, observer, features=of_train)
        probabilities = predict_from_vectors(trained.model, of_test)
    else:
        trained = fit_arm(arm.preset, arm.arm, arm.recipe, train, task.seed, study.place, observer)
        probabilities, opinions = predict_with_heads(trained.model, test.images, trained.image)
    run = StoredRun(
        arm=task.name,
        seed=task.seed,
        study=study.identity,
        made=task.made,
        figures=_figures(trained, test, probabilities, arm.cost, latency),
        index=parts.test,
        labels=test.labels,
        probabilities=probabilities,
        opinions=opinions,
        looks=looks(trained, test, parts.test) if task.looks else None,
    )
    return Done(task, run, model_bytes(trained, can_be_slim(arm.config)) if task.keep else None)


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
