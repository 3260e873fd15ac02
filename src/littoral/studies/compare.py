"""compare: the arms of a preset, trained on the same images with the same seeds, side by side.

With a folder it goes on from the runs that are finished there. What it comes to is `comparison.py`, the folder is
`results.py`, how runs are done is `running.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.studies.auto import Asked, known_preset, preset_for, recipe_of
from littoral.studies.comparison import Comparison
from littoral.studies.contestants import contestants, parts_of, require_beside, runtime_of, seeds_from, with_ties
from littoral.studies.for_report import keep_pictures
from littoral.studies.judge import power_before
from littoral.studies.one_run import Study, Task, identity, surroundings
from littoral.studies.pools import check_names
from littoral.studies.results import opened, require_results_folder
from littoral.studies.running import Finished, Runner, arms_with_runs, done, found, one_by_one
from littoral.training.recipe import Balance
from littoral.training.run import choose_device

EXPECTED_ERROR = 0.05
"""Where nobody says how many images the arms will get wrong."""


def compare(
    data: ImageStore,
    preset: Asked = None,
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
    runner: Runner | None = None,
    on_run: Callable[[Comparison], None] | None = None,
    on_power: Callable[[str], None] | None = None,
    expected_error: float = EXPECTED_ERROR,
    notes: Mapping[str, Any] | None = None,
    names: Sequence[str] = (),
) -> Comparison:
    """Train each of `arms` (None: the preset's choice) with `seeds` seeds, from `first_seed` up; test each run once.

    `preset`: a name, or a Preset of one's own; None: `few` or `swift`, by the number of labels; `auto`: see `auto.py`.
    `beside`: arms of other presets, each `PRESET:ARM`, or `PRESET:ARM@EPOCHS` for another length than that preset's
    own; `epochs` and `steps` are not theirs.

    With one seed all arms see the same split, the same label budget (`labels_per_class` images of each class when
    given) and the same order of images. `runner` does the runs; None: one after the other, see `running.py`. `on_run`
    is told the result so far, also before the first training where `out` holds finished runs. `on_power` is told what
    differences will show: before the first training, if the arms err on the share `expected_error` of the images, and
    again from the first two seeds.

    `out`: a folder in which each finished run is kept, with what was predicted for each test image, beside
    `results.json`. The same call goes on from the runs that are there, and comes to the same as if it had never been
    cut off; more seeds and more arms add runs. `notes`: what `results.json` is to hold besides, such as a command.
    Raises InputError for unknown names, for numbers that cannot be, and for a folder that holds another comparison,
    that somebody else is at work in, or that has a damaged file.
    """
    if not 0 < expected_error <= 0.5:
        raise InputError(f"expected_error is a share above 0 and up to 0.5, got {expected_error}")
    check_names(len(data), names)
    require_beside(beside, balance)
    chosen, choice = known_preset(preset, None if out is None else Path(out))
    place = choose_device(device)
    if out is not None:
        require_results_folder(Path(out))
    data = with_ties(data)
    # a split or budget that cannot be is refused before hours of training
    parts = {seed: parts_of(data, seed, labels_per_class) for seed in seeds_from(first_seed, seeds)}
    first = parts[first_seed]
    if chosen is None:
        chosen, choice = preset_for(preset, data.subset(first.train), first_seed, place)
    recipe = recipe_of(chosen, choice, arms, epochs, steps, balance)
    those = contestants(data, chosen, recipe, arms, beside, balance)
    study = Study(data, identity(data, chosen, recipe, place) | {"labels_per_class": labels_per_class}, place)
    power = None
    if len(those) > 1:
        if len(first.test) < 2:
            raise InputError(
                f"a comparison needs two test images or more, and {data.source} has {len(first.test)}: "
                "add some, or name one arm alone"
            )
        same = all(np.array_equal(part.test, first.test) for part in parts.values())
        power = power_before(seeds, len(those), first.drawn_from, len(first.test), same, expected_error)
    settings = (
        study.identity
        | surroundings(data)
        | {
            "train_images": len(first.train),
            "drawn_from": first.drawn_from,
            "test_images": len(first.test),
            "beside": {name: asdict(those[name].recipe) for name in beside},
            "seeds": list(parts),
            "onnxruntime": runtime_of(those, place),
            "auto": None if choice is None else asdict(choice),
            "expected_error": expected_error,
            **(notes or {}),
        }
    )
    tasks = [
        Task(name, arm, seed, parts[seed], looks=out is not None and seed == first_seed)
        for seed in parts
        for name, arm in those.items()
    ]
    finished: list[Finished] = []
    place_of_runs = None if out is None else Path(out)

    def result() -> Comparison:
        arms, complete = arms_with_runs(those, finished), len(finished) == len(tasks)
        return Comparison(arms, complete, len(those), settings, power, place_of_runs)

    with contextlib.ExitStack() as stack:
        folder = None if out is None else stack.enter_context(opened(Path(out)))

        def tell() -> None:
            so_far = result()
            if folder is not None:
                folder.write_results(so_far.to_json())
            if on_run is not None:
                on_run(so_far)

        if folder is not None:
            finished += found(study, tasks, folder)
            if finished:
                tell()
            stack.callback(lambda: keep_pictures(folder, data, result().arms, names))
        told: str | None = None

        def forecast() -> None:
            nonlocal told
            now = result().power_after or power
            if on_power is not None and now is not None and now != told:
                on_power(now)
            told = now

        if len(finished) < len(tasks):
            forecast()
        for news in done(study, tasks, finished, folder, one_by_one() if runner is None else runner):
            finished.append(news)
            tell()
            forecast()
    return result()
