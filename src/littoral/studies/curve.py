"""curve: the arms of a preset against the number of labels, on budgets of which each holds the smaller ones.

With a folder it goes on from the runs that are finished there, as `compare.py` does. What it comes to is
`curve_result.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError
from littoral.files import write_atomically
from littoral.images.duplicates import find_duplicates
from littoral.images.store import ImageStore
from littoral.model_file import can_be_slim, load_model, save_model
from littoral.nn.cost import config_cost
from littoral.studies.contestants import contestants, parts_of, within_budget
from littoral.studies.curve_findings import class_errors
from littoral.studies.curve_plot import curve_png
from littoral.studies.curve_result import LearningCurve
from littoral.studies.judge import judged
from littoral.studies.label_next import LabelNext, label_next
from littoral.studies.latency import Latency
from littoral.studies.one_run import Task, identity, known_features, one_run, surroundings
from littoral.studies.pools import mean_opinion, pool_features, pool_of, pool_of_rest
from littoral.studies.results import ResultsFolder, StoredRun, opened, require_results_folder
from littoral.studies.runs import Arm, Run, run_of
from littoral.training.beforehand import Beforehand
from littoral.training.loop import Observer, Silent
from littoral.training.presets import default_preset, get_preset
from littoral.training.recipe import Balance
from littoral.training.run import TrainedModel, choose_device

FIRST, MOST = 5, 6
"""The smallest budget where nobody names any, and how many there are at most."""

NEAR = 1.25
"""The step to the last of these budgets is of so many times at least."""

JUDGES = ("shallow", "deep")
"""The arms whose disagreement says which images to label next; their models are kept."""


def default_budgets(least: int) -> tuple[int, ...]:
    """From 5 up to `least`, the images of the smallest class: each twice the one before, or 4, 8, … times.

    With fewer than 20 images they begin at a quarter of them.
    """
    start, factor = FIRST if least >= 4 * FIRST else max(1, least // 4), 2
    while start * factor ** (MOST - 1) * NEAR <= least:
        factor *= 2
    found = [start * factor**step for step in range(MOST - 1)]
    return (*(budget for budget in found if budget * NEAR <= least), least)


def curve(
    data: ImageStore,
    preset: str | None = None,
    arms: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    seeds: int = 3,
    first_seed: int = 0,
    epochs: int | None = None,
    steps: int | None = None,
    balance: Balance | None = None,
    unlabelled: NDArray[np.uint8] | None = None,
    names: Sequence[str] = (),
    device: str = "auto",
    out: str | Path | None = None,
    observer: Callable[[str, int, int], Observer] | None = None,
    on_run: Callable[[LearningCurve], None] | None = None,
    notes: Mapping[str, Any] | None = None,
    on_features: Callable[[int, int], None] = lambda done, total: None,
) -> LearningCurve:
    """Train each of `arms` (None: the preset's own choice) at each of `budgets` with each seed; test each run once.

    `budgets`: labels a class; None: see `default_budgets`. With one seed all budgets have the same test images, and the
    images of a smaller one are among those of a larger one. `preset` None: `few` or `swift`, by the number of labels of
    the largest budget. `unlabelled` (m, height, width, channels): images of the form of `data`, among which to find
    those to label next; None: the training images that the largest budget leaves over. `names`: what each of these
    images, or of `data`, is called. `observer` gives one for (arm, budget, seed). The rest is as in `compare`.

    `out`: a folder for each finished run, the models of the arms shallow and deep, `results.json`, and at the end
    `curve.png` and `label_next.csv`. The same call goes on from the runs that are there; more seeds, arms and budgets
    add runs.

    Raises InputError for a budget that a class cannot fill, before anything is trained, and as `compare` does.
    """
    if seeds < 1:
        raise InputError(f"seeds must be at least 1, got {seeds}")
    if first_seed < 0:
        raise InputError(f"a seed is a whole number from 0 up, got {first_seed}")
    if budgets is not None and (not budgets or min(budgets) < 1 or len(set(budgets)) < len(budgets)):
        raise InputError(f"budgets must be one or more different numbers from 1 up, got {list(budgets)}")
    named = None if preset is None else get_preset(preset)
    place = choose_device(device)
    if out is not None:
        require_results_folder(Path(out))
    if data.split is None and data.ties is None:
        data = replace(data, ties=find_duplicates(data.images).ties)  # once, not for each seed
    # a split or budget that cannot be is refused before hours of training
    whole = {seed: parts_of(data, seed, None) for seed in range(first_seed, first_seed + seeds)}
    least = min(int(np.unique(data.labels[part.train], return_counts=True)[1].min()) for part in whole.values())
    amounts = default_budgets(least) if budgets is None else tuple(sorted(budgets))
    parts = {
        amount: {seed: within_budget(data, part, seed, amount) for seed, part in whole.items()} for amount in amounts
    }
    largest = amounts[-1]
    pool = (
        pool_of_rest(data, whole, parts[largest], names)
        if unlabelled is None
        else pool_of(data, unlabelled, list(whole), names)
    )
    chosen = default_preset(data.labels[parts[largest][first_seed].train]) if named is None else named
    recipe = chosen.recipe.lasting(epochs, steps, balance)
    those = contestants(data, chosen, recipe, arms, (), balance)
    costs = {name: config_cost(arm.config) for name, arm in those.items()}
    study = identity(data, chosen, recipe, place)
    given = {"budgets": list(amounts), "test_images": len(whole[first_seed].test), "seeds": list(whole)}
    settings = study | surroundings(data) | given | dict(notes or {})
    tasks = {
        (amount, name, seed): Task(name, arm, seed, parts[amount][seed])
        for seed in whole
        for amount in amounts
        for name, arm in those.items()
    }
    runs: dict[tuple[int, str, int], Run] = {}
    latencies: dict[str, Latency] = {}
    models: dict[tuple[str, int], TrainedModel] = {}  # of the judges at the largest budget, as far as trained now

    def take(amount: int, run: StoredRun) -> None:
        runs[amount, run.arm, run.seed] = run_of(run)
        latencies.setdefault(run.arm, Latency(**run.figures["latency"]))

    def result() -> LearningCurve:
        found = {
            (amount, name): tuple(runs[amount, name, seed] for seed in whole if (amount, name, seed) in runs)
            for amount in amounts
            for name in those
        }
        points = {
            amount: tuple(
                Arm(name, cost.params, cost.macs, latencies[name], found[amount, name])
                for name, cost in costs.items()
                if found[amount, name]
            )
            for amount in amounts
        }
        return LearningCurve(points, complete=False, settings=settings)

    with contextlib.ExitStack() as stack:
        folder = None if out is None else stack.enter_context(opened(Path(out), of_budgets=True))

        def tell(so_far: LearningCurve) -> None:
            if folder is not None:
                folder.write_results(so_far.to_json())
            if on_run is not None:
                on_run(so_far)

        if folder is not None:
            for amount in sorted({*folder.budgets(), *amounts}):
                made = {(name, seed): task.made for (of, name, seed), task in tasks.items() if of == amount}
                for stored in folder.at(amount).asked(study, made):
                    if stored.arm not in JUDGES or _model_file(folder, amount, stored.arm, stored.seed).exists():
                        take(amount, stored)
            if 0 < len(runs) < len(tasks):
                tell(result())
        missing = [task for key, task in tasks.items() if key not in runs]
        features = known_features(data, missing, place, on_features)
        for (amount, name, seed), task in tasks.items():
            if (amount, name, seed) in runs:
                continue
            follow = Silent() if observer is None else observer(name, amount, seed)
            run, trained = one_run(data, task, study, place, follow, latencies.get(name), features)
            if name in JUDGES and amount == largest:
                models[name, seed] = trained
            if folder is not None:
                folder.at(amount).write(run)
                if name in JUDGES:
                    save_model(trained, _model_file(folder, amount, name, seed), can_be_slim(trained.model.config))
            take(amount, run)
            if len(runs) < len(tasks):
                tell(result())

        def opinion(name: str, of_pool: Beforehand | None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
            for seed in whole:
                if (name, seed) not in models and folder is not None:
                    models[name, seed] = load_model(_model_file(folder, largest, name, seed))
            return mean_opinion(pool, {seed: models[name, seed] for seed in whole}, place, of_pool)

        following: LabelNext | None = None
        if set(JUDGES) <= set(those):
            judges = [those[name].config for name in JUDGES if those[name].on_features]
            of_pool = pool_features(pool, judges, data, place, on_features) if judges else None
            (rows, shallow), (_, deep) = (opinion(name, of_pool) for name in JUDGES)
            following = label_next(shallow, deep, rows, pool.names, data.class_names)
        so_far = result()
        classes = class_errors(judged(so_far.points[largest]), data.labels, data.class_names)
        finished = replace(so_far, complete=True, classes=classes, label_next=following)
        tell(finished)
        if folder is not None:
            write_atomically(folder.path / "curve.png", curve_png(finished))
            if following is not None:
                write_atomically(folder.path / "label_next.csv", following.to_csv().encode())
    return finished


def _model_file(folder: ResultsFolder, budget: int, arm: str, seed: int) -> Path:
    """Where the model of a run is kept: beside it."""
    return folder.at(budget).file(arm, seed).with_suffix(".safetensors")
