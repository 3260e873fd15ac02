"""tune: a preset's recipe, widths and fusion, searched on folds of the training part; the one chosen is tested once.

Optuna says what to try (extra [tune]). A candidate is trained fold after fold, and given up where, with as many folds,
it is not among the better half (asynchronous successive halving; Li et al., MLSys 2020): the folds are the rungs.
Where the search goes is `tune_space.py`, what it comes to `tune_result.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from littoral.errors import InputError, TrainingError
from littoral.evaluate_model import evaluate_model
from littoral.files import require_folder, write_atomically
from littoral.images.splits import grouped_folds, tied_images
from littoral.images.store import ImageStore
from littoral.studies.contestants import parts_of, with_ties
from littoral.studies.one_run import identity, surroundings
from littoral.studies.tune_result import Candidate, Tuning, front_png
from littoral.studies.tune_space import (
    Limits,
    changeable,
    first_candidate,
    fused_of,
    largest_factor,
    price_of,
    suggested,
)
from littoral.training.loop import Silent
from littoral.training.presets import PRESETS, Preset, default_preset
from littoral.training.run import choose_device, fit_arm
from littoral.training.variant import Variant, variant_preset, write_preset

if TYPE_CHECKING:
    from optuna.trial import Trial

ANYTHING = Limits()

HALVES = 2
"""One of so many candidates goes on from each rung."""

PATIENCE = 20
"""So many times the candidates asked for are looked at, at most, since those beyond the limits do not count."""

RESERVE = 1.25
"""Part of the time is kept for the last training: as long as the folds of the best take, by this."""


@dataclass(frozen=True)
class _Folds:
    """The training part with the fold of each image, and all that one training on it takes."""

    data: ImageStore
    fold: NDArray[np.int64]
    seed: int
    place: torch.device

    @property
    def number(self) -> int:
        return int(self.fold.max()) + 1

    def accuracy(self, preset: Preset, held: int) -> float:
        """Of the preset's fused network, trained on the images of all other folds, on those of the fold `held`."""
        train, rest = (
            self.data.subset(np.flatnonzero(self.fold != held)),
            self.data.subset(np.flatnonzero(self.fold == held)),
        )
        trained = fit_arm(preset, "fused", preset.recipe, train, self.seed, self.place, Silent())
        return evaluate_model(trained, rest).accuracy


def require_tuning(preset: str | None, time_budget: float | None, candidates: int | None, out: Path | None) -> None:
    """Raise InputError where `tune` could not begin, whatever the images."""
    if find_spec("optuna") is None:
        raise InputError("tuning needs Optuna, which is not installed; pip install 'littoral[tune]'")
    if (time_budget is not None and not 0 < time_budget < float("inf")) or (candidates is not None and candidates < 1):
        raise InputError(
            f"a time budget is seconds above 0 and candidates are 1 or more, got {time_budget} and {candidates}"
        )
    if preset is not None and preset not in PRESETS:
        raise InputError(f"tuning goes on from one of {', '.join(PRESETS)}, got {preset!r}")
    if out is not None:
        require_folder(out)


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
    on_candidate: Callable[[Candidate], None] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Tuning:
    """Search for a better `preset` (None: `few` or `swift`, by the number of labels) within `limits`.

    The search ends after `time_budget` seconds, the last training in them, or after so many `candidates` that were
    trained, one of which must be given. The preset itself is the first candidate, narrowed where the limits ask it. All
    choices are made on `folds` folds of the training part, in which images that belong together stay together. The best
    candidate is then trained on the whole of it and tested, which nothing else ever is.

    `out`: a folder for `results.json`, `preset.toml`, which `preset` takes elsewhere, and `front.png`.

    Raises InputError without Optuna, where nothing was found within the limits, and as `compare` does.
    """
    if time_budget is None and candidates is None:
        raise InputError("say when to end: give a time budget in seconds, a number of candidates, or both")
    require_tuning(preset, time_budget, candidates, None if out is None else Path(out))
    import optuna

    start = time.monotonic()
    place = choose_device(device)
    data = with_ties(data)
    parts = parts_of(data, seed, labels_per_class)
    train = data.subset(parts.train)
    chosen = default_preset(train.labels) if preset is None else PRESETS[preset]
    all_folds = _Folds(train, grouped_folds(train.labels, tied_images(train), folds, seed), seed, place)
    branches = changeable(chosen, data)
    settings = (
        identity(data, chosen, chosen.recipe, place)
        | surroundings(data)
        | {"train_images": len(parts.train), "test_images": len(parts.test), "labels_per_class": labels_per_class}
        | {"seed": seed, "folds": folds, "limits": asdict(limits), "time_budget": time_budget}
        | dict(notes or {})
    )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=HALVES),
    )
    factor = largest_factor(chosen, branches, train, limits)
    study.enqueue_trial(first_candidate(chosen, branches, factor))
    tried: list[Candidate] = []

    def time_for(seconds: float) -> bool:
        """Whether a training of so many seconds would leave time for the last one."""
        if time_budget is None:
            return True
        whole = [candidate for candidate in tried if candidate.fate == "whole"]
        last = RESERVE * max((candidate.seconds / folds for candidate in whole), default=0.0) * folds / (folds - 1)
        return time.monotonic() - start + seconds + last < time_budget

    def enough() -> bool:
        trained = sum(bool(one.folds) for one in tried)
        return candidates is not None and (trained >= candidates or len(tried) >= PATIENCE * candidates)

    while not enough():
        usual = float(np.mean([one.seconds / len(one.folds) for one in tried if one.folds] or [0.0]))
        if tried and not time_for(usual):
            break
        trial = study.ask()
        candidate = _tried(
            trial,
            suggested(trial, chosen, branches, factor, len(train)),
            all_folds,
            limits,
            time_for,
            not any(one.folds for one in tried),
        )
        tried.append(candidate)
        state = optuna.trial.TrialState.COMPLETE if candidate.fate == "whole" else optuna.trial.TrialState.PRUNED
        study.tell(trial, candidate.accuracy if candidate.fate == "whole" else None, state)
        if on_candidate is not None:
            on_candidate(candidate)
    whole = [candidate for candidate in tried if candidate.fate == "whole"]
    if not whole:
        reasons = next((one.reason for one in tried if one.reason), "time was up before the first was trained")
        raise InputError(f"found no candidate within the limits and the time ({reasons}): allow more")
    best = max(whole, key=lambda one: one.accuracy)
    trained = fit_arm(
        variant_preset("tuned", best.variant), "fused", _recipe(best.variant), train, seed, place, Silent()
    )
    found = Tuning(tuple(tried), best, evaluate_model(trained, data.subset(parts.test)), settings)
    if out is not None:
        _write(found, Path(out))
    return found


def _tried(
    trial: Trial,
    variant: Variant,
    folds: _Folds,
    limits: Limits,
    time_for: Callable[[float], bool],
    first: bool,
) -> Candidate:
    """One candidate: its price, then fold after fold, as long as it is worth it; the `first` has all, to have one."""
    try:
        config = fused_of(variant, folds.data)
    except InputError as error:
        return Candidate(trial.number, variant, None, (), "refused", str(error))
    price = price_of(config, folds.data, _recipe(variant))
    if (reason := limits.passed(price)) is not None:
        return Candidate(trial.number, variant, price, (), "refused", reason)
    preset = variant_preset("tuned", variant)
    done: list[float] = []
    start = time.monotonic()
    fate, reason = "whole", ""
    for held in range(folds.number):
        taken = (time.monotonic() - start) / max(len(done), 1)
        if not first and not time_for(taken):
            fate, reason = "stopped", "time was up"
            break
        try:
            done.append(folds.accuracy(preset, held))
        except TrainingError as error:
            fate, reason = "stopped", str(error)
            break
        trial.report(float(np.mean(done)), len(done))
        if not first and len(done) < folds.number and trial.should_prune():
            fate, reason = "stopped", f"others did better on {len(done)} of {folds.number} folds"
            break
    seconds = round(time.monotonic() - start, 3)
    if fate == "whole":
        return Candidate(trial.number, variant, price, tuple(done), "whole", "", seconds)
    return Candidate(trial.number, variant, price, tuple(done), "stopped", reason, seconds)


def _recipe(variant: Variant) -> Any:
    assert variant.recipe is not None  # each that is tried has its own
    return variant.recipe


def _write(found: Tuning, folder: Path) -> None:
    import json

    folder.mkdir(exist_ok=True)
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
