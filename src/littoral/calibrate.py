"""A training -> a trained model that knows how far to believe it, by images that it was not trained on.

Those are held out where there are many; where there are few, each is told by a network that was trained on the others.
The test part has no say in it.
"""

from __future__ import annotations

import numbers
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from littoral.errors import InputError
from littoral.evaluation.abstention import images_needed, reject_threshold
from littoral.evaluation.calibration import best_temperature
from littoral.held_out import Way, held_parts
from littoral.images.store import ImageStore
from littoral.nn.calibrated import Calibration
from littoral.nn.inference import answers_from_vectors, predict_answers
from littoral.training.beforehand import can_be_beforehand
from littoral.training.measures import fit_measures
from littoral.training.run import TrainedModel, calibrated

Vectors = Float32[np.ndarray, "n size"]
"""What the branches make of images, all features of one after the other."""

ORDINARY = 0.995
"""Share of ordinary images that are not called novel. One image in two hundred lost is little beside the two in a
hundred that may be turned away in all, and the novel images are told apart by far more than their tail."""

TINY = float(np.finfo(np.float32).tiny)

DIGITS = 1e6
"""Confidences are rounded down to a millionth: a threshold just at 1 would hang on how a machine rounds."""


@dataclass(frozen=True)
class Fit:
    """The training that is to be calibrated, as functions of the rows of the images to train on.

    `first` gives the model that is kept; `again` trains one like the model given, by its recipe, to tell what was left
    out.
    """

    first: Callable[[NDArray[np.int64]], TrainedModel]
    again: Callable[[NDArray[np.int64], TrainedModel], TrainedModel]


def fit_calibrated(
    fit: Fit,
    store: ImageStore,
    seed: int,
    way: Way,
    max_error: float,
    tell: Callable[[str], None],
    features: Vectors | None = None,
) -> TrainedModel:
    """Train on `store`, or a part of it, and calibrate on the rest; `tell` is told in a sentence what is done.

    `holdout`: a sixth of the images, 10,000 at most, is held out of the training, stratified, images that belong
    together on one side. `folds`: the model is trained on all, then three others for as many passes each on two thirds.
    `auto`: the former from 10,000 images on, the latter below; where the images cannot be parted so, the model is
    trained without a calibration, and `tell` and `not_calibrated` in the record say why. Asked for by name, that raises
    InputError.

    `features`: what the branches make of all images of `store` where nothing in them learns, and it is known. They are
    of no use to a model whose network was tuned.
    """
    require_max_error(max_error)
    every = np.arange(len(store))
    if way == "none":
        return fit.first(every)
    try:
        parts = held_parts(store, seed, way)
    except InputError as error:
        if way != "auto":
            raise InputError(f"cannot calibrate: {error}") from error
        tell(f"no calibration: {error}")
        trained = fit.first(every)
        return replace(trained, record=trained.record | {"not_calibrated": str(error)})
    if len(parts) == 1:
        return _on_the_rest(fit, store, parts[0], seed, max_error, tell, features)
    return _out_of_fold(fit, store, parts, seed, max_error, tell, features)


def require_max_error(max_error: Any) -> None:
    """Raise InputError unless it is a share of errors that can be asked for."""
    if not isinstance(max_error, numbers.Real) or not 0 < float(max_error) < 1:
        raise InputError(f"the largest share of errors is a number between 0 and 1, such as 0.01, got {max_error!r}")


def _on_the_rest(
    fit: Fit,
    store: ImageStore,
    held: NDArray[np.int64],
    seed: int,
    max_error: float,
    tell: Callable[[str], None],
    features: Vectors | None,
) -> TrainedModel:
    tell(f"{len(held):,} of {len(store):,} training images are held out to calibrate on")
    known = np.setdiff1d(np.arange(len(store)), held)
    trained = fit.first(known)
    features = features if can_be_beforehand(trained.model.config) else None
    start = time.perf_counter()
    tell("calibrating")
    tensors = fit_measures(trained.model, store.subset(known), trained.image, seed, _of(features, known))
    told = _tell(_draft(trained, tensors), store.subset(held), _of(features, held))
    return _settled(trained, tensors, told, "holdout", max_error, start)


def _out_of_fold(
    fit: Fit,
    store: ImageStore,
    parts: list[NDArray[np.int64]],
    seed: int,
    max_error: float,
    tell: Callable[[str], None],
    features: Vectors | None,
) -> TrainedModel:
    every = np.arange(len(store))
    trained = fit.first(every)
    features = features if can_be_beforehand(trained.model.config) else None
    start = time.perf_counter()
    steps = trained.recipe.total_steps(len(store))
    told = []
    for number, held in enumerate(parts, start=1):
        known = np.setdiff1d(every, held)
        tell(
            f"calibrating, {number} of {len(parts)}: a training on {len(known):,} images tells the other {len(held):,}"
        )
        short = trained.recipe.lasting(steps=max(1, round(steps * len(known) / len(store))))
        other = fit.again(known, replace(trained, recipe=short))
        tensors = fit_measures(other.model, store.subset(known), other.image, seed, _of(features, known))
        told.append(_tell(_draft(other, tensors), store.subset(held), _of(features, held)))
    tensors = fit_measures(trained.model, store, trained.image, seed, features)
    return _settled(trained, tensors, _together(told), "folds", max_error, start)


@dataclass(frozen=True)
class _Told:
    """What was said of images not trained on. `novelty` has a median of 1, which was `level` before it was divided."""

    labels: NDArray[np.int64]
    logs: NDArray[np.float64]
    sides: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    novelty: NDArray[np.float64]
    level: float


def _of(features: Vectors | None, rows: NDArray[np.int64]) -> Vectors | None:
    return None if features is None else features[rows]


def _tell(trained: TrainedModel, held: ImageStore, features: Vectors | None) -> _Told:
    net = calibrated(trained)
    answers = (
        predict_answers(net, held.images, trained.image) if features is None else answers_from_vectors(net, features)
    )
    assert answers.novelty is not None  # a draft has a model of it
    sides = None
    if answers.shallow_probabilities is not None and answers.deep_probabilities is not None:
        sides = _logs(answers.shallow_probabilities), _logs(answers.deep_probabilities)
    level = max(float(np.median(answers.novelty)), TINY)
    novelty = answers.novelty.astype(np.float64) / level
    return _Told(held.labels, _logs(answers.probabilities), sides, novelty, level)


def _together(parts: list[_Told]) -> _Told:
    sides = [part.sides for part in parts if part.sides is not None]
    return _Told(
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.logs for part in parts]),
        (np.concatenate([s[0] for s in sides]), np.concatenate([s[1] for s in sides])) if sides else None,
        np.concatenate([part.novelty for part in parts]),
        float(np.mean([part.level for part in parts])),
    )


def _logs(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.log(np.maximum(probabilities, TINY)).astype(np.float64)


def _draft(trained: TrainedModel, tensors: dict[str, Tensor]) -> TrainedModel:
    """With what was fitted, and no temperature and threshold yet."""
    directions = len(tensors["novelty.directions"])
    draft = Calibration(1.0, "holdout", images=1, max_error=0.5, most_novelty=1.0, directions=directions)
    return replace(trained, calibration=draft, calibration_tensors=tensors)


def _settled(
    trained: TrainedModel,
    tensors: dict[str, Tensor],
    told: _Told,
    way: Literal["holdout", "folds"],
    max_error: float,
    start: float,
) -> TrainedModel:
    """The temperatures and thresholds that these images give."""
    tensors = dict(tensors)
    tensors["novelty.parts"] = tensors["novelty.parts"] / told.level
    if told.sides is not None:
        for name, logs in zip(("shallow", "deep"), told.sides, strict=True):
            temperature = best_temperature(logs, told.labels)
            for part in ("weight", "bias"):
                tensors[f"{name}.{part}"] = tensors[f"{name}.{part}"] / temperature
    temperature = best_temperature(told.logs, told.labels)
    probabilities = softmax(told.logs / temperature, axis=1)
    most_novelty = max(float(np.float32(np.quantile(told.novelty, ORDINARY, method="higher"))), TINY)
    usual = told.novelty <= most_novelty
    confidence = np.floor(probabilities.max(1) * DIGITS) / DIGITS
    right = told.logs.argmax(1) == told.labels
    least = reject_threshold(confidence[usual], right[usual], max_error)
    needed = images_needed(max_error)
    calibration = Calibration(
        temperature,
        way,
        len(told.labels),
        max_error,
        least_confidence=least,
        coverage=None if least is None else float((usual & (confidence >= least)).mean()),
        needed=needed if int(usual.sum()) < needed else None,
        most_novelty=most_novelty,
        directions=len(tensors["novelty.directions"]),
        seconds=round(time.perf_counter() - start, 3),
    )
    return replace(trained, calibration=calibration, calibration_tensors=tensors)
