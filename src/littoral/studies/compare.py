"""compare: the arms of a preset, trained on the same images with the same seeds, side by side.

With a folder it goes on from the runs that are finished there. What it comes to is `comparison.py`, the folder is
`results.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import littoral
from littoral.errors import InputError
from littoral.evaluation.metrics import evaluate
from littoral.images.duplicates import find_duplicates
from littoral.images.store import ImageStore
from littoral.nn.cost import Cost, config_cost
from littoral.nn.inference import predict_with_heads
from littoral.studies.comparison import Comparison
from littoral.studies.contestants import Contestant, Parts, contestants, parts_of
from littoral.studies.judge import power_after, power_before
from littoral.studies.latency import Latency, measure_latency
from littoral.studies.results import StoredRun, opened, require_results_folder
from littoral.studies.runs import Arm, Run, run_of
from littoral.training.loop import Observer, Silent
from littoral.training.presets import default_preset, get_preset
from littoral.training.recipe import Balance
from littoral.training.run import TrainedModel, choose_device, fit_arm
from littoral.version import __version__

EXPECTED_ERROR = 0.05
"""Where nobody says how many images the arms will get wrong."""

DECIDES = ("images", "nn", "training")
"""The rooms of the package whose code decides what a run comes to."""


def compare(
    data: ImageStore,
    preset: str | None = None,
    arms: Sequence[str] | None = None,
    seeds: int = 5,
    first_seed: int = 0,
    epochs: int | None = None,
    steps: int | None = None,
    balance: Balance | None = None,
    labels_per_class: int | None = None,
    beside: Sequence[str] = (),
    device: str = "auto",
    out: str | Path | None = None,
    observer: Callable[[str, int], Observer] | None = None,
    on_run: Callable[[Comparison], None] | None = None,
    on_power: Callable[[str], None] | None = None,
    expected_error: float = EXPECTED_ERROR,
    notes: Mapping[str, Any] | None = None,
) -> Comparison:
    """Train each of `arms` (None: `DEFAULT_ARMS`) with `seeds` seeds, from `first_seed` up; test each run once.

    `preset` None: `few` or `swift`, by the number of labels. `beside`: arms of other presets, each `PRESET:ARM`, or
    `PRESET:ARM@EPOCHS` for another length than that preset's own; `epochs` and `steps` are not theirs.

    With one seed all arms see the same split, the same label budget (`labels_per_class` images of each class when
    given) and the same order of images. `observer` gives one for (arm, seed); `on_run` is told the result so far, also
    before the first training where `out` holds finished runs. `on_power` is told what differences will show: before the
    first training, if the arms err on the share `expected_error` of the images, and again from the first two seeds.

    `out`: a folder in which each finished run is kept, with what was predicted for each test image, beside
    `results.json`. The same call goes on from the runs that are there, and comes to the same as if it had never been
    cut off; more seeds and more arms add runs. `notes`: what `results.json` is to hold besides, such as a command.

    Raises InputError for unknown names, for numbers that cannot be, and for a folder that holds another comparison,
    that somebody else is at work in, or that has a damaged file.
    """
    if seeds < 1:
        raise InputError(f"seeds must be at least 1, got {seeds}")
    if not 0 < expected_error <= 0.5:
        raise InputError(f"expected_error is a share above 0 and up to 0.5, got {expected_error}")
    if first_seed < 0:
        raise InputError(f"a seed is a whole number from 0 up, got {first_seed}")
    named = None if preset is None else get_preset(preset)
    place = choose_device(device)
    if out is not None:
        require_results_folder(Path(out))
    if data.split is None and data.ties is None:
        data = replace(data, ties=find_duplicates(data.images).ties)  # once, not for each seed
    # a split or budget that cannot be is refused before hours of training
    parts = {seed: parts_of(data, seed, labels_per_class) for seed in range(first_seed, first_seed + seeds)}
    first = parts[first_seed]
    chosen = default_preset(data.labels[first.train]) if named is None else named
    recipe = chosen.recipe.lasting(epochs, steps, balance)
    those = contestants(data, chosen, recipe, arms, beside, balance)
    costs = {name: config_cost(arm.config) for name, arm in those.items()}
    study: dict[str, Any] = {
        "littoral": __version__,
        "code": _code(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "device": str(place),
        "data_sha256": data.fingerprint(),
        "preset": chosen.name,
        "recipe": asdict(recipe),
        "labels_per_class": labels_per_class,
    }
    settings = study | {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "data": data.source,
        "classes": list(data.class_names),
        "train_images": len(first.train),
        "test_images": len(first.test),
        "beside": {name: asdict(those[name].recipe) for name in beside},
        "seeds": list(parts),
        **(notes or {}),
    }
    made = {(name, seed): _made(arm, parts[seed]) for seed in parts for name, arm in those.items()}
    runs: dict[str, dict[int, Run]] = {name: {} for name in those}
    latencies: dict[str, Latency] = {}

    def take(run: StoredRun) -> None:
        runs[run.arm][run.seed] = run_of(run)
        latencies.setdefault(run.arm, Latency(**run.figures["latency"]))

    def result() -> Comparison:
        found = [
            Arm(name, cost.params, cost.macs, latencies[name], tuple(runs[name][seed] for seed in sorted(runs[name])))
            for name, cost in costs.items()
            if runs[name]
        ]
        return Comparison(tuple(found), sum(len(arm.runs) for arm in found) == len(made), settings)

    if on_power is not None and len(those) > 1:
        same = all(np.array_equal(part.test, first.test) for part in parts.values())
        on_power(power_before(seeds, len(first.train), len(first.test), same, expected_error))

    with contextlib.ExitStack() as stack:
        folder = None if out is None else stack.enter_context(opened(Path(out)))

        def tell() -> None:
            so_far = result()
            if folder is not None:
                folder.write_results(so_far.to_json())
            if on_run is not None:
                on_run(so_far)

        if folder is not None:
            for stored in folder.asked(study, made):
                take(stored)
            if latencies:
                tell()
        for (name, seed), how in made.items():
            if seed in runs[name]:
                continue
            arm, follow = those[name], Silent() if observer is None else observer(name, seed)
            trained = fit_arm(arm.preset, arm.arm, arm.recipe, data.subset(parts[seed].train), seed, place, follow)
            test = data.subset(parts[seed].test)
            probabilities, opinions = predict_with_heads(trained.model, test.images, trained.image)
            run = StoredRun(
                arm=name,
                seed=seed,
                study=study,
                made=how,
                figures=_figures(trained, test, probabilities, costs[name], latencies.get(name)),
                index=parts[seed].test,
                labels=test.labels,
                probabilities=probabilities,
                opinions=opinions,
            )
            if folder is not None:
                folder.write(run)
            take(run)
            tell()
            if on_power is not None and seeds > 2 and (name, seed) == (list(those)[-1], first_seed + 1):
                on_power(power_after(result().arms, seeds, len(first.train)))
    return result()


def _made(contestant: Contestant, parts: Parts) -> dict[str, Any]:
    """What decides a run besides the study that it belongs to and its seed."""
    rows = [hashlib.sha256(part.astype(np.int64).tobytes()).hexdigest() for part in (parts.train, parts.test)]
    return {
        "training images": rows[0],
        "test images": rows[1],
        "recipe": asdict(contestant.recipe),
        "architecture": asdict(contestant.config),
    }


def _code() -> str:
    """SHA-256 over the code that decides what a run comes to: two versions of a checkout are not told by its number."""
    package, digest = Path(littoral.__file__).parent, hashlib.sha256()
    for file in sorted(file for room in DECIDES for file in (package / room).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _figures(
    trained: TrainedModel, test: ImageStore, probabilities: NDArray[np.float32], cost: Cost, latency: Latency | None
) -> dict[str, Any]:
    """What a run comes to, as plain JSON; `latency` where it was measured on another run of the arm."""
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
