"""One training run: a preset's arm and a training part -> a trained model with the record of how it was made."""

from __future__ import annotations

import datetime
import hashlib
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8
from torch import Tensor, nn

from littoral.errors import InputError
from littoral.images.splits import tied_images
from littoral.images.store import ImageStore
from littoral.nn.calibrated import CalibratedNet, Calibration
from littoral.nn.inference import predict_opinions, predict_probabilities
from littoral.nn.model import FusionNet, FusionNetConfig, seeded_model
from littoral.nn.onnx_session import runtime_for
from littoral.nn.own_code import own_code
from littoral.specs import ImageSpec
from littoral.training.budget import WARM_UP_SHARE, TimeBudget
from littoral.training.checkpoint import planned_steps, read_checkpoint
from littoral.training.feed import class_balanced_weights
from littoral.training.history import EpochRecord
from littoral.training.loop import Checkpointing, Observer, Plan, Silent, Workers, train
from littoral.training.precision import precision_on
from littoral.training.presets import Preset, get_arm
from littoral.training.probe import fit_probe
from littoral.training.recipe import Recipe
from littoral.training.semi import Unlabelled, check_spreading, train_with_unlabelled
from littoral.training.votes import MOST_IMAGES, steps_of_fold, votes_out_of_fold
from littoral.version import __version__

TOLD_FOR_THE_CLOCK = 64
"""Images that are told to see how long it takes."""


@dataclass(frozen=True)
class TrainedModel:
    """All that a model file holds: weights, images, classes, recipe, and the record of how it was made (plain JSON).

    `calibration`, where the model was calibrated, and the tensors that go with it.
    """

    model: FusionNet
    image: ImageSpec
    class_names: tuple[str, ...]
    recipe: Recipe
    record: dict[str, Any]
    calibration: Calibration | None = None
    calibration_tensors: Mapping[str, Tensor] = field(default_factory=dict)


def calibrated(trained: TrainedModel) -> CalibratedNet:
    """The network of a trained model with its calibration, ready to answer, where the model's weights are."""
    return CalibratedNet(trained.model, trained.calibration, trained.calibration_tensors).eval()


def fit_arm(
    preset: Preset,
    arm: str,
    recipe: Recipe,
    store: ImageStore,
    seed: int,
    device: torch.device,
    observer: Observer,
    checkpoint: Path | None = None,
    resume: bool = False,
    shown: ImageStore | None = None,
    sample_weight: Float64[np.ndarray, " n"] | None = None,
    time_budget: float | None = None,
    unlabelled: UInt8[np.ndarray, "m height width channels"] | None = None,
    features: Float32[np.ndarray, "n size"] | None = None,
    workers: Workers | None = None,
    most_steps: int | None = None,
) -> TrainedModel:
    """Train one arm of a preset on all of `store`; `sample_weight`: how much each image counts, None: all alike.

    `time_budget`: seconds that training may take. In place of the recipe's length a number of steps is set once, after
    a few steps for the clock, and kept in the recipe of the result: the same call with that many steps and no budget
    gives the same weights. Where the machine becomes so slow that the budget would be passed by 5 %, the run is stopped
    before, and `stopped_early` in the record says so. A run that goes on from a checkpoint keeps the steps set then.
    `most_steps`: steps that are set at most, however long the budget is.

    `unlabelled`: images of the same form without a label. Presets that can train on them do (see `semi.py`), and
    `unlabelled` in the record tells what became of them; the others leave them out. Such a run keeps no checkpoint.

    An arm with one linear head is fitted at once, by `probe.py`: the recipe's length is not asked, no batch is drawn,
    and `probe` in the record tells how it went. `features`: what the branches of such an arm make of the images, see
    `beforehand.py`; None: it is computed here. Where the recipe has votes learned, and there are heads to vote, `votes`
    in the record tells what was learned; steps for that are of the recipe's length, and the others the network's. Where
    images without a label are trained on, the votes are fixed.

    `checkpoint`: a file for the state after each epoch, from which the same call goes on with `resume`. `shown`:
    images whose accuracy is put into the history after each epoch and nowhere else. `workers`: who trains the network
    together, each a part of every batch; there is no time budget then, `shown` is not asked, and other trainings,
    such as those for learned votes, are done here.
    """
    require_seed(seed)
    spec = store.spec()
    recipe = recipe.balanced_for(store.labels)
    config = get_arm(preset, arm, spec.shape, len(store.class_names))
    linear = preset.arms[arm].linear
    by_class = recipe.balance == "loss" or (linear and recipe.balance == "sampler")  # where nothing is drawn
    weights = image_weights(store, by_class, sample_weight)
    voting = recipe.votes == "learned" and config.branch_heads
    if linear and (time_budget is not None or workers is not None):
        other = "the workers" if time_budget is None else "the time budget"
        raise InputError(f"arm {arm} is fitted at once and not in steps: leave {other} out")
    if workers is not None and (time_budget is not None or unlabelled is not None):
        raise InputError("several workers train without a time budget and without images that have no label")
    budget = None
    if time_budget is not None:
        planned = (
            planned_steps(checkpoint, time_budget)
            if resume and checkpoint is not None and checkpoint.exists()
            else None
        )
        if planned is None:
            budget = TimeBudget.starting_now(time_budget)
            planned = _steps_within(budget, config, store, spec, recipe, seed, device, weights, voting)
            if most_steps is not None:
                planned = min(planned, most_steps)
        recipe = recipe.lasting(steps=planned)
    origin: dict[str, Any] = {
        "preset": preset.name,
        "arm": arm,
        "seed": seed,
        "data": store.source,
        "data_sha256": store.fingerprint(),
        "images": len(store.images),
        "weights_sha256": None if sample_weight is None else hashlib.sha256(sample_weight.tobytes()).hexdigest(),
        "device": str(device),
        "precision": precision_on(device, recipe.precision),
        "threads": torch.get_num_threads(),
        "workers": 1 if workers is None else workers.count,
        "torch": torch.__version__,
        "littoral": __version__,
    }
    identity = origin | {
        "recipe": asdict(recipe),
        "architecture": asdict(config),
        "branches": list(config.branches),  # whose order the above does not tell
        "own code": own_code(config),
        "image form": asdict(spec),
        "classes": store.class_names,
        "time_budget": time_budget,
    }

    left_out = None if unlabelled is None else asdict(Unlabelled(len(unlabelled), used=False))
    checking = 0.0
    if unlabelled is not None and len(unlabelled) and preset.unlabelled is not None and not linear:
        if time_budget is not None or sample_weight is not None or recipe.balance != "none":
            raise InputError(
                "with images without a label there are no time budgets, image weights and balancing of classes yet: "
                "leave one of the two out"
            )
        start = time.perf_counter()
        images = np.concatenate([store.images[:], unlabelled])
        classes = len(store.class_names)

        def fresh(number: int) -> FusionNet:
            return seeded_model(config, number)

        checked = check_spreading(fresh, images, store.labels, tied_images(store), classes, spec, recipe, seed, device)
        found = asdict(checked) | {"sha256": hashlib.sha256(unlabelled.tobytes()).hexdigest()}
        if checked.used:
            model, history = train_with_unlabelled(
                fresh, images, store.labels, classes, spec, recipe, preset.unlabelled, seed, device, observer
            )
            # with the check and the spreading
            record = _record(origin, recipe, history, store) | {"train_seconds": _since(start), "unlabelled": found}
            return TrainedModel(model.eval(), spec, store.class_names, replace(recipe, votes="fixed"), record)
        left_out, checking, checkpoint = found, _since(start), None
    model = seeded_model(config, seed)
    if linear:
        fitted, fit = fit_probe(
            model, store.images, store.labels, spec, weights, device, features, preset.arms[arm].grouped
        )
        observer.on_start(Plan(len(store.images), fitted.step, fitted.step, 0))
        observer.on_epoch(fitted)
        record = _record(origin, recipe, [fitted], store) | {"unlabelled": left_out, "probe": asdict(fit)}
        record |= {"onnxruntime": runtime_for(config.branches.values(), device)}
        record |= {"images_seen": len(store), "steps": 0, "stopped_early": False, "time_budget": None}
        return TrainedModel(model.eval(), spec, store.class_names, recipe, record)
    checkpointing = None if checkpoint is None else Checkpointing(checkpoint, identity, resume)
    if checkpointing is not None and resume and checkpointing.path.exists():
        read_checkpoint(checkpointing.path, identity)  # that of another run is refused before anything is trained
    votes, lasting = None, recipe
    if voting:
        votes = votes_out_of_fold(lambda: seeded_model(config, seed), store, recipe, seed, device, observer, weights)
        if votes.votes is not None:
            model.votes.copy_(torch.tensor(list(votes.votes.values())))
            lasting = recipe.lasting(steps=recipe.total_steps(len(store)) - votes.steps)
    if workers is not None:
        history = workers.train(
            model, store.images, store.labels, spec, lasting, seed, device, observer, weights, checkpointing
        )
    else:
        history = train(
            model,
            store.images,
            store.labels,
            spec,
            lasting,
            seed,
            device,
            observer,
            weights=weights,
            checkpointing=checkpointing,
            shown_accuracy=None if shown is None else lambda net: _accuracy(net, shown, spec),
            budget=budget,
        )
    record = _record(origin, recipe, history, store, 0 if votes is None else votes.steps)
    record |= {"time_budget": time_budget, "unlabelled": left_out}
    if votes is not None:
        record |= {"votes": asdict(votes)}
    beside = checking + (0.0 if votes is None else votes.seconds)
    record |= {"train_seconds": round(record["train_seconds"] + beside, 3)}
    return TrainedModel(model.eval(), spec, store.class_names, recipe, record)


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)


def _record(
    origin: dict[str, Any], recipe: Recipe, history: Sequence[EpochRecord], store: ImageStore, beside: int = 0
) -> dict[str, Any]:
    """`beside`: steps of the recipe that went to other networks than that of the history."""
    steps = history[-1].step + beside
    return origin | {
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "train_seconds": round(sum(epoch.seconds for epoch in history), 3),
        "images_seen": recipe.images_seen(len(store.images), steps),
        "steps": steps,
        "stopped_early": steps < recipe.total_steps(len(store.images)),
        "history": [asdict(epoch) for epoch in history],
        "tuning": None,
    }


def _steps_within(
    budget: TimeBudget,
    config: FusionNetConfig,
    store: ImageStore,
    spec: ImageSpec,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    weights: Float64[np.ndarray, " n"] | None,
    voting: bool,
) -> int:
    """How many steps the budget allows, from the time that a few of them take on a model that is then forgotten.

    `voting`: where the steps are enough to learn votes, there is time kept for telling the images that are voted on.
    """
    scratch = seeded_model(config, seed)

    def seconds_for(steps: int) -> float:
        start = time.perf_counter()
        short = recipe.lasting(steps=steps)
        train(scratch, store.images, store.labels, spec, short, seed, device, Silent(), weights=weights)
        return time.perf_counter() - start

    first = seconds_for(2) / 2  # with all that is done once
    steps = max(3, int((WARM_UP_SHARE * budget.seconds - budget.spent) / first))
    a_step = seconds_for(steps) / steps
    planned = budget.steps(a_step)
    if not voting or not steps_of_fold(planned):
        return planned
    some, start = store.images[:TOLD_FOR_THE_CLOCK], time.perf_counter()
    predict_opinions(scratch, some, spec)
    an_image = (time.perf_counter() - start) / len(some)
    return budget.steps(a_step, an_image * min(len(store), MOST_IMAGES))


def require_seed(seed: int) -> None:
    """Raise InputError unless all that draws here, NumPy and scikit-learn too, can start from it."""
    if not 0 <= seed < 2**32:
        raise InputError(f"a seed is a whole number from 0 up, below 2**32, got {seed}")


def choose_device(name: Any) -> torch.device:
    """`auto` is the GPU where torch finds one, else the CPU; any other name is torch's, such as cpu or cuda:1.

    Raises InputError for a device that torch does not know or this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(f"no device {name!r} here: expected auto, cpu or a GPU that torch finds") from error
    return device


def image_weights(
    store: ImageStore, by_class: bool, sample_weight: Float64[np.ndarray, " n"] | None
) -> Float64[np.ndarray, " n"] | None:
    """The weight of each image in the loss, of mean 1, or None where all weigh alike."""
    weights = class_balanced_weights(store.labels) if by_class else None
    if sample_weight is None:
        return weights
    if sample_weight.shape != (len(store),) or not np.isfinite(sample_weight).all() or (sample_weight < 0).any():
        raise InputError(
            f"sample_weight must be {len(store)} finite numbers from 0 up, one an image, "
            f"got shape {sample_weight.shape}, from {sample_weight.min(initial=0)} to {sample_weight.max(initial=0)}"
        )
    weights = sample_weight if weights is None else weights * sample_weight
    if not weights.sum() > 0:
        raise InputError("sample_weight is 0 for every image; some have to count")
    normalised: Float64[np.ndarray, " n"] = weights / weights.mean()
    return normalised


def _accuracy(model: nn.Module, store: ImageStore, spec: ImageSpec) -> float:
    predicted = predict_probabilities(model, store.images, spec).argmax(1)
    return float((predicted == store.labels).mean())
