"""A data set -> a model file that was tested once, with a checkpoint beside it until it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray

from littoral.calibrate import Fit, fit_calibrated, require_max_error
from littoral.errors import InputError
from littoral.evaluate_model import evaluate_model
from littoral.held_out import Way
from littoral.images.named import NAMES
from littoral.images.seen import remember
from littoral.images.splits import label_budget, train_test
from littoral.images.store import ImageStore, pixel_hashes
from littoral.model_file import can_be_slim, require_model_place, save_model
from littoral.nn.model import FusionNetConfig
from littoral.training.beforehand import can_be_beforehand, features_beforehand
from littoral.training.choose import Choice
from littoral.training.loop import Observer, Workers
from littoral.training.presets import Preset, default_preset, get_arm
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel, fit_arm
from littoral.training.tensorboard import Several
from littoral.training.tuning import Tuning, finetuned, require_tunable
from littoral.tried_tuning import with_tuning

MAX_ERROR = 0.01
"""Share of errors that accepted answers may have where nobody says otherwise."""


def checkpoint_of(target: Path) -> Path:
    """Where the state of an unfinished run lies: beside the model file that it will become."""
    return Path(f"{target}.checkpoint")


def preset_for(data: ImageStore, seed: int, labels_per_class: int | None) -> Preset:
    """The preset for these images where none is named: by how many labels the training part has."""
    return default_preset(_parts(data, seed, labels_per_class)[0].labels)


def rest_of(data: ImageStore, seed: int, labels_per_class: int) -> NDArray[np.uint8]:
    """The images of the training part that a label budget leaves over; their labels are forgotten."""
    train_part, _ = train_test(data, seed)
    over = np.setdiff1d(np.arange(len(train_part)), label_budget(train_part.labels, labels_per_class, seed))
    return train_part.images[over]


def fit_file(
    data: ImageStore,
    preset: Preset,
    arm: str,
    recipe: Recipe,
    target: Path,
    seed: int,
    labels_per_class: int | None,
    device: torch.device,
    observer: Observer,
    resume: bool,
    time_budget: float | None = None,
    unlabelled: NDArray[np.uint8] | None = None,
    calibrate: Way = "none",
    max_error: float = MAX_ERROR,
    tell: Callable[[str], None] = lambda line: None,
    slim: bool = False,
    on_features: Callable[[int, int], None] = lambda done, total: None,
    choice: Choice | None = None,
    tuning: Tuning | None = None,
    workers: Workers | None = None,
    curves: Observer | None = None,
) -> TrainedModel:
    """Train on the training part of `data`, test once on the rest, write the model file; its record holds the test.

    `labels_per_class`: train on so many images of each class only. `resume`: go on from the checkpoint of the same run
    where there is one. `time_budget`: seconds that training may take, see `fit_arm`. `unlabelled`: images without a
    label to train on too, see there; such a run keeps no checkpoint. Those that are equal to a test image are left out.
    `calibrate`, `max_error`, `tell`: see `fit_calibrated`; the time budget is that of the training alone.
    `slim`: the file does without the weights of frozen pretrained networks. `on_features` is told (images done, images
    in all) while features are computed for an arm that trains nothing; the cache keeps them, and `features_seconds` of
    the record says how long it took to have those of the training part. `choice`: what chose the preset. `tuning`: how
    the pretrained network of such an arm is tuned after the fit, and kept where that helps, see `with_tuning`.
    `workers`: who trains together, the trainings of a calibration too; see `fit_arm`. `curves`: who follows, as
    `observer` does, the trainings of the model that is kept, and neither a calibration's nor a trial of the tuning.

    What cannot work is refused, with InputError, before anything is trained: among it a checkpoint that would be
    overwritten or is of a run that this one cannot go on from, and a finished model file that there is nothing to
    resume for.
    """
    height, width, channels = data.images.shape[1:]
    config = get_arm(preset, arm, (channels, height, width), len(data.class_names))
    require_max_error(max_error)
    if slim and not can_be_slim(config):
        raise InputError(f"arm {arm} of preset {preset.name} has no frozen pretrained weights: leave slim out")
    if tuning is not None:
        if slim:
            raise InputError("the weights of a tuned network are nowhere but in its model file: leave slim out")
        require_tunable(preset, arm, config)
    if preset.arms[arm].linear and time_budget is not None:
        raise InputError(
            f"arm {arm} of preset {preset.name} is fitted at once, not in steps: leave the time budget out"
        )
    require_model_place(target)
    checkpoint = checkpoint_of(target)
    if checkpoint.exists() and not resume:
        raise InputError(
            f"{checkpoint} is left from a run that was interrupted: go on from it with --resume, "
            "or delete it to start again"
        )
    if resume and target.exists() and not checkpoint.exists():
        raise InputError(f"nothing to resume: {target} is finished; leave --resume out to train it anew")

    train_part, test_part = _parts(data, seed, labels_per_class)
    if unlabelled is not None:
        unlabelled = unlabelled[~np.isin(pixel_hashes(unlabelled), pixel_hashes(test_part.images))]
    spread = unlabelled is not None and len(unlabelled) > 0 and preset.unlabelled is not None
    keeps = not preset.arms[arm].linear and not spread
    if checkpoint.exists() and not keeps:
        raise InputError(
            f"{checkpoint} is of another run, as this one, arm {arm} of preset {preset.name}, keeps none: "
            "give the options of that run, or delete it and leave --resume out"
        )
    of_train = of_test = seconds = None
    if preset.arms[arm].linear and can_be_beforehand(config):
        start = time.perf_counter()
        of_train = _features(config, train_part, device, on_features)
        seconds = round(time.perf_counter() - start, 3)
        of_test = _features(config, test_part, device, on_features)

    whole = 0  # images that the model is trained on that is kept; a trial of the tuning has fewer

    def following(rows: NDArray[np.int64]) -> Observer:
        nonlocal whole
        whole = max(whole, len(rows))
        return observer if curves is None or len(rows) < whole else Several([observer, curves])

    def first(rows: NDArray[np.int64]) -> TrainedModel:
        return fit_arm(
            preset,
            arm,
            recipe,
            train_part if len(rows) == len(train_part) else train_part.subset(rows),
            seed,
            device,
            following(rows),
            checkpoint=checkpoint,
            resume=resume,
            shown=test_part if preset.shows_test_accuracy else None,
            time_budget=time_budget,
            unlabelled=unlabelled,
            features=None if of_train is None else of_train[rows],
            workers=workers,
        )

    def again(rows: NDArray[np.int64], like: TrainedModel) -> TrainedModel:
        part, known = train_part.subset(rows), None if of_train is None else of_train[rows]
        recipe = like.recipe
        return fit_arm(
            preset, arm, recipe, part, seed, device, observer, unlabelled=unlabelled, features=known, workers=workers
        )

    def tune(probe: TrainedModel, rows: NDArray[np.int64], tuning: Tuning) -> TrainedModel:
        part, known = train_part.subset(rows), None if of_train is None else of_train[rows]
        return finetuned(probe, tuning, part, seed, device, following(rows), features=known)

    fit = Fit(first, again)
    if tuning is not None:
        fit = with_tuning(fit, tune, tuning, train_part, seed, tell)
    trained = fit_calibrated(fit, train_part, seed, calibrate, max_error, tell, of_train)
    trained.record["features_seconds"] = seconds
    trained.record["auto"] = None if choice is None else asdict(choice)
    if data.source not in NAMES:  # those of a built-in set are known by its name
        trained.record["trained_on"] = remember(train_part.images)
    if unlabelled is not None and trained.record["unlabelled"]["used"]:
        others = unlabelled
        if data.source in NAMES:
            others = others[~np.isin(pixel_hashes(others), pixel_hashes(data.images))]
        trained.record["trained_on_unlabelled"] = remember(others)
    figures = evaluate_model(trained, test_part, of_test if can_be_beforehand(trained.model.config) else None)
    trained.record["test"] = {
        "accuracy": figures.accuracy,
        "n": figures.n,
        "ci95": list(figures.ci95),
        "balanced_accuracy": figures.balanced_accuracy,
        "macro_f1": figures.macro_f1,
    }
    save_model(trained, target, slim)
    if keeps:  # any other file of that name is not of this run
        checkpoint.unlink(missing_ok=True)
    return trained


def _features(
    config: FusionNetConfig, part: ImageStore, device: torch.device, on_features: Callable[[int, int], None]
) -> Float32[np.ndarray, "n size"]:
    """What the network fuses of all images of a part, from the cache where they are there."""
    rows = np.arange(len(part))
    found = features_beforehand([config], part.images, rows, part.spec(), part.source, device, on_features)
    return found.of(config, rows)


def _parts(data: ImageStore, seed: int, labels_per_class: int | None) -> tuple[ImageStore, ImageStore]:
    train_part, test_part = train_test(data, seed)
    if labels_per_class is not None:
        train_part = train_part.subset(label_budget(train_part.labels, labels_per_class, seed))
    return train_part, test_part
