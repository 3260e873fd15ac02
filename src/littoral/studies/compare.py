"""compare: the arms of a preset, trained on the same images with the same seeds, side by side."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from littoral.errors import InputError
from littoral.evaluate_model import evaluate_model
from littoral.evaluation.intervals import mean_over_seeds
from littoral.evaluation.metrics import Evaluation
from littoral.images.duplicates import find_duplicates
from littoral.images.splits import label_budget, train_test
from littoral.images.store import ImageStore
from littoral.nn.cost import config_cost
from littoral.training.arms import DEFAULT_ARMS
from littoral.training.loop import Observer, Silent
from littoral.training.presets import Preset, default_preset, get_arm, get_preset
from littoral.training.recipe import Balance, Recipe
from littoral.training.run import choose_device, fit_arm
from littoral.version import __version__

SCHEMA = 1
"""Version of the JSON that `Comparison.to_json` gives."""


@dataclass(frozen=True)
class Run:
    """One training: figures (0 to 1) on `n` test images, `ci95` (Wilson) of the accuracy; seconds of training."""

    seed: int
    accuracy: float
    n: int
    ci95: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    seconds: float


@dataclass(frozen=True)
class Arm:
    """One contestant, its cost and its runs. `macs`: multiply-accumulates of one forward pass on one image."""

    name: str
    params: int
    macs: int
    runs: tuple[Run, ...]

    @property
    def mean(self) -> float:
        """Mean test accuracy over the runs."""
        return float(np.mean([run.accuracy for run in self.runs]))

    @property
    def mean_balanced_accuracy(self) -> float:
        """Mean balanced accuracy over the runs: every class counts alike."""
        return float(np.mean([run.balanced_accuracy for run in self.runs]))

    @property
    def mean_macro_f1(self) -> float:
        """Mean macro F1 over the runs."""
        return float(np.mean([run.macro_f1 for run in self.runs]))

    @property
    def ci95(self) -> tuple[float, float]:
        """Over seeds when there are two or more runs (Student's t, cut at 0 and 1); with one, over images (Wilson)."""
        if len(self.runs) == 1:
            return self.runs[0].ci95
        low, high = mean_over_seeds([run.accuracy for run in self.runs])
        return (max(low, 0.0), min(high, 1.0))

    @property
    def ci95_over(self) -> Literal["seeds", "images"]:
        """What the interval speaks of."""
        return "images" if len(self.runs) == 1 else "seeds"


@dataclass(frozen=True)
class Comparison:
    """The arms that have at least one run, and what they were given. `complete` once every arm has every seed."""

    arms: tuple[Arm, ...]
    complete: bool
    settings: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `results.json` holds them beside the command; docs/json.md lists the fields."""
        arms = [
            asdict(arm)
            | {
                "mean": arm.mean,
                "ci95": list(arm.ci95),
                "ci95_over": arm.ci95_over,
                "mean_balanced_accuracy": arm.mean_balanced_accuracy,
                "mean_macro_f1": arm.mean_macro_f1,
            }
            for arm in self.arms
        ]
        return {"schema": SCHEMA, "complete": self.complete, **self.settings, "arms": arms, "pairs": []}


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
    observer: Callable[[str, int], Observer] | None = None,
    on_run: Callable[[Comparison], None] | None = None,
) -> Comparison:
    """Train each of `arms` with `seeds` seeds, from `first_seed` up; test each run once.

    `arms` None: fused, shallow, deep and matched; `littoral presets` lists the others.

    `preset` None: `few` or `swift`, by the number of labels. `beside`: arms of other presets, each `PRESET:ARM`, or
    `PRESET:ARM@EPOCHS` for another length than that preset's own; `epochs` and `steps` are not theirs.

    With one seed all arms see the same split, the same label budget (`labels_per_class` images of each class when
    given) and the same order of images. `observer` gives one for (arm, seed); `on_run` is told the result so far.

    Raises InputError for unknown names and for numbers that cannot be.
    """
    if seeds < 1:
        raise InputError(f"seeds must be at least 1, got {seeds}")
    if first_seed < 0:
        raise InputError(f"a seed is a whole number from 0 up, got {first_seed}")
    named = None if preset is None else get_preset(preset)
    place = choose_device(device)
    if data.split is None and data.ties is None:
        data = replace(data, ties=find_duplicates(data.images).ties)  # once, not for each seed
    for seed in range(first_seed, first_seed + seeds):
        # a split or budget that cannot be is refused before hours of training
        train_part, _ = _parts(data, seed, labels_per_class)
    chosen = default_preset(train_part.labels) if named is None else named
    recipe = chosen.recipe.lasting(epochs, steps, balance)
    height, width, channels = data.images.shape[1:]
    shape, classes = (channels, height, width), len(data.class_names)
    own = tuple(arms) if arms is not None else DEFAULT_ARMS
    names = (*own, *beside)
    others = {name: _contestant(name, balance) for name in beside}
    if not own or len(set(names)) < len(names):
        raise InputError(f"arms must be one or more different names, got {list(names)}")
    contestants = {name: (chosen, name, recipe) for name in own} | others
    costs = {name: config_cost(get_arm(of, arm, shape, classes)) for name, (of, arm, _) in contestants.items()}
    runs: dict[str, list[Run]] = {name: [] for name in names}
    settings: dict[str, Any] = {
        "littoral": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(place),
        "data": data.source,
        "data_sha256": data.fingerprint(),
        "preset": chosen.name,
        "recipe": asdict(recipe),
        "beside": {name: asdict(contestants[name][2]) for name in beside},
        "seeds": list(range(first_seed, first_seed + seeds)),
        "labels_per_class": labels_per_class,
    }

    def result() -> Comparison:
        found = tuple(Arm(name, costs[name].params, costs[name].macs, tuple(runs[name])) for name in names)
        return Comparison(
            arms=tuple(arm for arm in found if arm.runs),
            complete=all(len(arm.runs) == seeds for arm in found),
            settings=settings,
        )

    for seed in settings["seeds"]:
        train_part, test_part = _parts(data, seed, labels_per_class)
        settings |= {"train_images": len(train_part), "test_images": len(test_part)}
        for name in names:
            follow = Silent() if observer is None else observer(name, seed)
            of, arm, how = contestants[name]
            trained = fit_arm(of, arm, how, train_part, seed, place, follow)
            figures = evaluate_model(trained, test_part)
            seconds = trained.record["train_seconds"]
            runs[name].append(_run(seed, figures, seconds))
            if on_run is not None:
                on_run(result())
    return result()


def _contestant(text: str, balance: Balance | None) -> tuple[Preset, str, Recipe]:
    """`PRESET:ARM` or `PRESET:ARM@EPOCHS` as preset, arm and recipe."""
    match = re.fullmatch(r"([^:@]+):([^:@]+)(?:@(\d{1,6}))?", text)
    if match is None:
        raise InputError(f"expected PRESET:ARM or PRESET:ARM@EPOCHS, such as article:fused@1, got {text!r}")
    preset = get_preset(match[1])
    return preset, match[2], preset.recipe.lasting(epochs=int(match[3]) if match[3] else None, balance=balance)


def _run(seed: int, figures: Evaluation, seconds: float) -> Run:
    return Run(seed, figures.accuracy, figures.n, figures.ci95, figures.balanced_accuracy, figures.macro_f1, seconds)


def _parts(data: ImageStore, seed: int, labels_per_class: int | None) -> tuple[ImageStore, ImageStore]:
    train_part, test_part = train_test(data, seed)
    if labels_per_class is not None:
        train_part = train_part.subset(label_budget(train_part.labels, labels_per_class, seed))
    return train_part, test_part
