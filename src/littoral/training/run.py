"""One training run: a preset's arm and a training part -> a trained model with the record of how it was made."""

from __future__ import annotations

import datetime
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.nn.inference import predict_probabilities
from littoral.nn.model import FusionNet, seeded_model
from littoral.specs import ImageSpec
from littoral.training.loop import Checkpointing, Observer, train
from littoral.training.presets import Preset, get_arm
from littoral.training.recipe import Recipe
from littoral.version import __version__


@dataclass(frozen=True)
class TrainedModel:
    """All that a model file holds: weights, images, classes, recipe, and the record of how it was made (plain JSON)."""

    model: FusionNet
    image: ImageSpec
    class_names: tuple[str, ...]
    recipe: Recipe
    record: dict[str, Any]


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
) -> TrainedModel:
    """Train one arm of a preset on all of `store`.

    `checkpoint`: a file for the state after each epoch, from which the same call goes on with `resume`. `shown`:
    images whose accuracy is put into the history after each epoch and nowhere else.
    """
    if not 0 <= seed < 2**63:
        raise InputError(f"a seed is a whole number from 0 up, below 2**63, got {seed}")
    height, width, channels = store.images.shape[1:]
    spec = ImageSpec.unit(height, width, channels)
    config = get_arm(preset, arm, spec.shape, len(store.class_names))
    origin: dict[str, Any] = {
        "preset": preset.name,
        "arm": arm,
        "seed": seed,
        "data": store.source,
        "data_sha256": store.fingerprint(),
        "images": len(store.images),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "littoral": __version__,
    }
    identity = origin | {
        "recipe": asdict(recipe),
        "architecture": asdict(config),
        "image form": asdict(spec),
        "classes": store.class_names,
    }

    model = seeded_model(config, seed)
    history = train(
        model,
        store.images,
        store.labels,
        spec,
        recipe,
        seed,
        device,
        observer,
        checkpointing=None if checkpoint is None else Checkpointing(checkpoint, identity, resume),
        shown_accuracy=None if shown is None else lambda net: _accuracy(net, shown, spec),
    )
    record = origin | {
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "train_seconds": round(sum(epoch.seconds for epoch in history), 3),
        "images_seen": _images_seen(recipe, len(store.images)),
        "history": [asdict(epoch) for epoch in history],
    }
    return TrainedModel(model.eval(), spec, store.class_names, recipe, record)


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where torch finds one, else the CPU; any other name is torch's, such as cpu or cuda:1.

    Raises InputError for a device that torch does not know or this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"no device {name!r} here: expected auto, cpu or a GPU that torch finds") from error
    return device


def _accuracy(model: nn.Module, store: ImageStore, spec: ImageSpec) -> float:
    predicted = predict_probabilities(model, store.images, spec).argmax(1)
    return float((predicted == store.labels).mean())


def _images_seen(recipe: Recipe, images: int) -> int:
    """Images drawn in all, counting an image each time it is drawn."""
    epochs, rest = divmod(recipe.total_steps(images), recipe.steps_per_epoch(images))
    return epochs * images + min(rest * recipe.batch_size, images)
