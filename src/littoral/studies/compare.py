"""compare: the arms of a preset, trained on the same images with the same seeds, side by side.

With a folder it goes on from the runs that are finished there. What it comes to is `comparison.py`, the folder is
`results.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from littoral.errors import InputError
from littoral.images.duplicates import find_duplicates
from littoral.images.store import ImageStore
from littoral.nn.cost import config_cost
from littoral.studies.comparison import Comparison
from littoral.studies.contestants import contestants, parts_of
from littoral.studies.for_report import keep_pictures, looks
from littoral.studies.judge import power_after, power_before
from littoral.studies.latency import Latency
from littoral.studies.one_run import Task, identity, known_features, one_run, surroundings
from littoral.studies.results import StoredRun, opened, require_results_folder
from littoral.studies.runs import Arm, Run, run_of
from littoral.training.loop import Observer, Silent
from littoral.training.presets import default_preset, get_preset
from littoral.training.recipe import Balance
from littoral.training.run import choose_device

EXPECTED_ERROR = 0.05
"""Where nobody says how many images the arms will get wrong."""


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
    names: Sequence[str] = (),
    on_features: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Train each of `arms` (None: the preset's choice) with `seeds` seeds, from `first_seed` up; test each run once.

    `preset` None: `few` or `swift`, by the number of labels. `beside`: arms of other presets, each `PRESET:ARM`, or
    `PRESET:ARM@EPOCHS` for another length than that preset's own; `epochs` and `steps` are not theirs.

    With one seed all arms see the same split, the same label budget (`labels_per_class` images of each class when
    given) and the same order of images. `observer` gives one for (arm, seed); `on_run` is told the result so far, also
    before the first training where `out` holds finished runs. `on_power` is told what differences will show: before the
    first training, if the arms err on the share `expected_error` of the images, and again from the first two seeds.

    `out`: a folder in which each finished run is kept, with what was predicted for each test image, beside
    `results.json`. The same call goes on from the runs that are there, and comes to the same as if it had never been
    cut off; more seeds and more arms add runs. `notes`: what `results.json` is to hold besides, such as a command.
    `on_features` is told (images done, images in all) while the features are computed that arms without training share,
    once for all runs; the cache keeps them.

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
    study = identity(data, chosen, recipe, place) | {"labels_per_class": labels_per_class}
    settings = (
        study
        | surroundings(data)
        | {
            "train_images": len(first.train),
            "test_images": len(first.test),
            "beside": {name: asdict(those[name].recipe) for name in beside},
            "seeds": list(parts),
            **(notes or {}),
        }
    )
    tasks = {(name, seed): Task(name, arm, seed, parts[seed]) for seed in parts for name, arm in those.items()}
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
        return Comparison(tuple(found), sum(len(arm.runs) for arm in found) == len(tasks), settings)

    with contextlib.ExitStack() as stack:
        folder = None if out is None else stack.enter_context(opened(Path(out)))

        def tell() -> None:
            so_far = result()
            if folder is not None:
                folder.write_results(so_far.to_json())
            if on_run is not None:
                on_run(so_far)

        if folder is not None:
            for stored in folder.asked(study, {key: task.made for key, task in tasks.items()}):
                take(stored)
            if latencies:
                tell()
            stack.callback(lambda: keep_pictures(folder, data, runs, names))
        if on_power is not None and len(those) > 1:
            same = all(np.array_equal(part.test, first.test) for part in parts.values())
            on_power(power_before(seeds, len(first.train), len(first.test), same, expected_error))
        missing = [task for (name, seed), task in tasks.items() if seed not in runs[name]]
        features = known_features(data, missing, place, on_features)
        for (name, seed), task in tasks.items():
            if seed in runs[name]:
                continue
            follow = Silent() if observer is None else observer(name, seed)
            run, trained = one_run(data, task, study, place, follow, latencies.get(name), features)
            if folder is not None and seed == first_seed:
                run = replace(run, looks=looks(trained, data.subset(run.index), run.index))
            if folder is not None:
                folder.write(run)
            take(run)
            tell()
            if on_power is not None and seeds > 2 and (name, seed) == (list(those)[-1], first_seed + 1):
                on_power(power_after(result().arms, seeds, len(first.train)))
    return result()
