"""tune: a preset's recipe, widths and fusion, searched on folds of the training part; the one chosen is tested once.

How it searches is `tune_search.py`, where `tune_space.py`, and what it comes to `tune_result.py`. Optuna is the extra
[tune].
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from littoral.errors import InputError
from littoral.evaluate_model import evaluate_model
from littoral.files import write_atomically
from littoral.images.splits import grouped_folds, tied_images
from littoral.images.store import ImageStore
from littoral.studies.contestants import parts_of, with_ties
from littoral.studies.one_run import identity, surroundings
from littoral.studies.tune_folder import opened_to_tune, require_tune_folder
from littoral.studies.tune_jobs import Folds, Hire, here, trained_on
from littoral.studies.tune_result import Candidate, Tuning, best_of, front_png
from littoral.studies.tune_search import Ends, Search
from littoral.studies.tune_space import Limits, space_of
from littoral.training.presets import PRESETS, default_preset
from littoral.training.run import choose_device
from littoral.training.variant import write_preset

ANYTHING = Limits()


def require_tuning(preset: str | None, time_budget: float | None, candidates: int | None, out: Path | None) -> None:
    """Raise InputError where `tune` could not begin, whatever the images."""
    if find_spec("optuna") is None:
        raise InputError("tuning needs Optuna, which is not installed; pip install 'littoral[tune]'")
    if (time_budget is not None and not 0 < time_budget < float("inf")) or (candidates is not None and candidates < 1):
        raise InputError(
            f"a time budget is seconds above 0 and candidates are 1 or more, got {time_budget} and {candidates}"
        )
    tunable = [name for name, known in PRESETS.items() if not known.linear]
    if preset is not None and preset not in tunable:
        why = f"preset {preset} trains nothing that could be tuned" if preset in PRESETS else f"got {preset!r}"
        raise InputError(f"tuning goes on from one of {', '.join(tunable)}; {why}")
    if out is not None:
        require_tune_folder(out)


def tune(
    data: ImageStore,
    preset: str | None = None,
    limits: Limits = ANYTHING,
    time_budget: float | None = None,
    candidates: int | None = None,
    folds: int = 4,
    seed: int = 0,
    labels_per_class: int | None = None,
    device: str = "auto",
    out: str | Path | None = None,
    workers: Hire = here,
    on_candidate: Callable[[Candidate], None] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Tuning:
    """Search for a better `preset` (None: `few` or `swift`, by the number of labels) within `limits`.

    The search ends after `time_budget` seconds, the last training in them, or after so many `candidates` that were
    trained, one of which must be given. The preset itself is the first candidate, narrowed where the limits ask it. All
    choices are made on `folds` folds of the training part, in which images that belong together stay together. The best
    candidate is then trained on the whole of it and tested, which nothing else ever is.

    `workers` price and train the candidates, which they are given the training part for; the last training is done
    here. Where they do several jobs at once, what is tried depends on which is done first. `on_candidate` is told each
    candidate that is settled, those of earlier calls first.

    `out`: a folder for `results.json`, `preset.toml`, which `preset` takes elsewhere, and `front.png`, in which what is
    known of each candidate is kept from the beginning on. The same call goes on from it, and counts the seconds and
    candidates of earlier ones.

    Raises InputError without Optuna, where nothing was found within the limits, for a folder of another search, and as
    `compare` does.
    """
    if time_budget is None and candidates is None:
        raise InputError("say when to end: give a time budget in seconds, a number of candidates, or both")
    require_tuning(preset, time_budget, candidates, None if out is None else Path(out))
    start = time.monotonic()
    place = choose_device(device)
    data = with_ties(data)
    parts = parts_of(data, seed, labels_per_class)
    train = data.subset(parts.train)
    chosen = default_preset(train.labels) if preset is None else PRESETS[preset]
    space = space_of(chosen, train, limits)
    decides = identity(data, chosen, chosen.recipe, place) | {
        "labels_per_class": labels_per_class,
        "seed": seed,
        "folds": folds,
        "limits": asdict(limits),
    }
    all_folds = Folds(train, grouped_folds(train.labels, tied_images(train), folds, seed), seed, place, decides)
    sizes = {"train_images": len(parts.train), "test_images": len(parts.test)}
    settings = decides | surroundings(data) | sizes | {"time_budget": time_budget} | dict(notes or {})
    with contextlib.ExitStack() as stack:
        folder = None if out is None else stack.enter_context(opened_to_tune(Path(out)))

        def keep(candidate: Candidate, seconds: float) -> None:
            if folder is not None:
                folder.write(decides, candidate, seconds)

        def told(candidate: Candidate) -> None:
            if on_candidate is not None:
                on_candidate(candidate)

        search = Search(space, limits, folds, seed, Ends(time_budget, candidates), start, keep, told)
        if folder is not None:
            search.restore(*folder.read(decides))
        with workers(all_folds) as those:
            search.run(those)
        tried = tuple(candidate for _, candidate in sorted(search.candidates.items()))
        best = best_of(tried)
        if best is None:
            reasons = next((one.reason for one in tried if one.reason), "time was up before the first was trained")
            raise InputError(f"found no candidate within the limits and the time ({reasons}): allow more")
        trained = trained_on(all_folds, np.arange(len(train)), best.variant)
        found = Tuning(tried, best, evaluate_model(trained, data.subset(parts.test)), settings)
        if folder is not None:
            _write(found, folder.path)
    return found


def _write(found: Tuning, folder: Path) -> None:
    best, price = found.chosen, found.chosen.price
    assert price is not None  # it was trained
    expected = (
        f"{100 * found.test.accuracy:.2f} % on {found.settings['data']} "
        f"(one seed, {found.test.n:,} test images); {100 * best.accuracy:.2f} % on folds of its training part"
    )
    cost = f"{price.macs:,} MACs, {price.params:,} parameters, a file of {price.file:,} bytes"
    write_preset(
        folder / "preset.toml", replace(best.variant, expected=expected, cost=cost), "Written by littoral tune."
    )
    write_atomically(folder / "results.json", json.dumps(found.to_json(), indent=2).encode())
    write_atomically(folder / "front.png", front_png(found))
