"""curve: the arms of a preset against the number of labels, on budgets of which each holds the smaller ones.

With a folder it goes on from the runs that are finished there, as `compare.py` does. What it comes to is
`curve_result.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from littoral.errors import InputError
from littoral.files import write_atomically
from littoral.images.store import ImageStore
from littoral.model_file import load_model, model_from_bytes
from littoral.studies.advice import too_few
from littoral.studies.auto import Asked, kept_preset, known_preset, preset_for, recipe_of
from littoral.studies.contestants import contestants, parts_of, runtime_of, seeds_from, with_ties, within_budget
from littoral.studies.curve_findings import class_errors
from littoral.studies.curve_plot import curve_png
from littoral.studies.curve_result import LearningCurve
from littoral.studies.judge import judged
from littoral.studies.label_next import LabelNext, label_next
from littoral.studies.one_run import Study, Task, identity, surroundings
from littoral.studies.pictures import pictures, remove_pictures, write_pictures
from littoral.studies.pools import mean_opinion, pool_features, pool_of, pool_of_rest
from littoral.studies.results import WRITTEN_OF_BUDGETS, ResultsFolder, opened, require_results_folder
from littoral.studies.running import Finished, Runner, arms_with_runs, done, found, one_by_one
from littoral.training.beforehand import Beforehand
from littoral.training.recipe import Balance
from littoral.training.run import TrainedModel, choose_device
from littoral.words import count

FIRST, MOST = 5, 6
"""The smallest budget where nobody names any, and how many there are at most."""

NEAR = 1.25
"""The step to the last of these budgets is of so many times at least."""

JUDGES = ("shallow", "deep")
"""The arms whose disagreement says which images to label next; their models are kept."""


PICTURES = 24
"""Pictures of images to label next that are kept for a report."""


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
    preset: Asked = None,
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
    runner: Runner | None = None,
    on_run: Callable[[LearningCurve], None] | None = None,
    on_plan: Callable[[str], None] | None = None,
    notes: Mapping[str, Any] | None = None,
    on_features: Callable[[int, int], None] = lambda done, total: None,
) -> LearningCurve:
    """Train each of `arms` (None: the preset's own choice) at each of `budgets` with each seed; test each run once.

    `budgets`: labels a class; None: see `default_budgets`. With one seed all budgets have the same test images, and the
    images of a smaller one are among those of a larger one. `preset` None: `few` or `swift`, by the number of labels of
    the largest budget, on which `auto` tries some too. `unlabelled` (m, height, width, channels): images of the form of
    `data`, among which to find those to label next; None: the training images that the largest budget leaves over.
    `names`: what each of these images, or of `data`, is called. `on_plan` is told before training what so few budgets
    or seeds leave unsaid.
    `on_features` is told (images done, images in all) while features of those images are computed. The rest is as in
    `compare`.

    `out`: a folder for each finished run, the models of the arms shallow and deep, `results.json`, and at the end
    `curve.png` and `label_next.csv`. The same call goes on from the runs that are there; more seeds, arms and budgets
    add runs.

    Raises InputError for a budget that a class cannot fill, before anything is trained, and as `compare` does.
    """
    if budgets is not None and (not budgets or min(budgets) < 1 or len(set(budgets)) < len(budgets)):
        raise InputError(f"budgets must be one or more different numbers from 1 up, got {list(budgets)}")
    chosen, choice = known_preset(preset, None if out is None else Path(out))
    place = choose_device(device)
    if out is not None:
        require_results_folder(Path(out), of_budgets=True)
    data = with_ties(data)
    # a split or budget that cannot be is refused before hours of training
    whole = {seed: parts_of(data, seed, None) for seed in seeds_from(first_seed, seeds)}
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
    if chosen is None:
        chosen, choice = preset_for(preset, data.subset(parts[largest][first_seed].train), first_seed, place)
    recipe = recipe_of(chosen, choice, arms, epochs, steps, balance)
    those = contestants(data, chosen, recipe, arms, (), balance)
    study = Study(data, identity(data, chosen, recipe, place), place)
    given = {
        "budgets": list(amounts),
        "drawn_from": whole[first_seed].drawn_from,
        "test_images": len(whole[first_seed].test),
        "seeds": list(whole),
        "onnxruntime": runtime_of(those, place),
        "auto": None if choice is None else asdict(choice),
    }
    settings = study.identity | surroundings(data) | given | dict(notes or {})
    tasks = [
        Task(
            name,
            arm,
            seed,
            parts[amount][seed],
            budget=amount,
            keep=name in JUDGES and (out is not None or amount == largest),  # in a folder for larger budgets to come
        )
        for seed in whole
        for amount in amounts
        for name, arm in those.items()
    ]
    finished: list[Finished] = []

    def result() -> LearningCurve:
        points = {amount: arms_with_runs(those, finished, amount) for amount in amounts}
        return LearningCurve(points, complete=False, settings=settings, folder=None if out is None else Path(out))

    with contextlib.ExitStack() as stack:
        folder = None if out is None else stack.enter_context(opened(Path(out), of_budgets=True))

        def tell(so_far: LearningCurve) -> None:
            if folder is not None:
                if not so_far.complete:  # what an earlier call left is not of these results
                    for name in WRITTEN_OF_BUDGETS:
                        (folder.path / name).unlink(missing_ok=True)
                    remove_pictures(folder.path)
                folder.write_results(so_far.to_json())
            if on_run is not None:
                on_run(so_far)

        if folder is not None:
            was = kept_preset(folder.path) if preset is None and folder.count() else None
            if was not in (None, chosen.name):
                raise InputError(
                    f"{folder.path} holds runs of preset {was}, and with {count(largest, 'label')} a class "
                    f"{chosen.name} is taken where none is named: give --preset {was}, or name another folder"
                )
            finished += found(study, tasks, folder)
            if 0 < len(finished) < len(tasks):
                tell(result())
        if on_plan is not None and len(finished) < len(tasks):
            for line in too_few(len(amounts), seeds):
                on_plan(line)
        for news in done(study, tasks, finished, folder, one_by_one() if runner is None else runner):
            finished.append(news if folder is None else replace(news, model=None))  # the folder has it
            if len(finished) < len(tasks):
                tell(result())

        def opinion(name: str, of_pool: Beforehand | None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
            those = [it for it in finished if it.task.name == name and it.task.budget == largest]
            return mean_opinion(pool, {it.task.seed: _model(it, folder) for it in those}, place, of_pool)

        following: LabelNext | None = None
        if set(JUDGES) <= set(those):
            judges = [those[name].config for name in JUDGES if those[name].on_features]
            of_pool = pool_features(pool, judges, data, place, on_features) if judges else None
            (rows, shallow), (_, deep) = (opinion(name, of_pool) for name in JUDGES)
            following = label_next(shallow, deep, rows, pool.names, data.class_names)
        so_far = result()
        classes = class_errors(judged(so_far.points[largest]), data.labels, data.class_names)
        whole_result = replace(so_far, complete=True, classes=classes, label_next=following)
        tell(whole_result)
        if folder is not None:
            write_atomically(folder.path / "curve.png", curve_png(whole_result))
            # what an earlier call left, with other arms or images, is not of these results
            if following is None:
                (folder.path / "label_next.csv").unlink(missing_ok=True)
            else:
                write_atomically(folder.path / "label_next.csv", following.to_csv().encode())
            if following is None or not following.images:
                remove_pictures(folder.path)
            else:
                rows = np.sort(np.array([image.row for image in following.images[:PICTURES]], np.int64))
                write_pictures(folder.path, pictures(pool.images, rows, pool.names))
    return whole_result


def _model(finished: Finished, folder: ResultsFolder | None) -> TrainedModel:
    """The model of a run, from the folder where there is one."""
    task = finished.task
    if folder is not None:
        return load_model(folder.at(task.budget).model(task.name, task.seed))
    assert finished.model is not None  # the task asked to keep it
    return model_from_bytes(finished.model, task.name)
