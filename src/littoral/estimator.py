"""FusionClassifier: presets as a scikit-learn classifier on image arrays."""

from __future__ import annotations

import operator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from littoral.errors import InputError, ModelFileError, ShapeError
from littoral.images.seen import remember
from littoral.images.store import ImageStore, as_images, index_labels
from littoral.model_file import load_model, save_model
from littoral.nn.inference import predict_probabilities
from littoral.training.loop import Silent
from littoral.training.presets import DEFAULT, get_preset
from littoral.training.run import TrainedModel, choose_device, fit_arm


class FusionClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Image classifier that trains one arm of a preset.

    Parameters: `preset` and `arm` (see `littoral presets`; `fused` trains both branches), `epochs` or `steps` (the
    preset's own length when both are None), `device` (`auto`, `cpu`, or a GPU's name), `random_state` (None, an int or
    a numpy RandomState; the same int gives the same weights on the same machine and threads).

    After `fit`: `classes_` (the labels, sorted) and `model_` (the TrainedModel that a model file holds).
    """

    def __init__(
        self,
        preset: str = DEFAULT,
        arm: str = "fused",
        epochs: int | None = None,
        steps: int | None = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.preset = preset
        self.arm = arm
        self.epochs = epochs
        self.steps = steps
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Train on images X, uint8 (n, height, width) or (n, height, width, 1 or 3), and labels y (n) of any one type.

        Raises InputError for images or labels that cannot be used, and for unknown presets and arms.
        """
        images = as_images(X)
        classes, labels = index_labels(_targets(y))
        store = ImageStore(images, labels, tuple(str(label) for label in classes))
        preset = get_preset(self.preset)
        self.model_: TrainedModel = fit_arm(
            preset,
            self.arm,
            preset.recipe.lasting(_whole("epochs", self.epochs), _whole("steps", self.steps)),
            store,
            _seed(self.random_state),
            choose_device(self.device),
            Silent(),
        )
        self.model_.record["trained_on"] = remember(store)
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probability of each class, (n, classes), in the order of `classes_`; X as for `fit`, of the same image size.

        Raises ShapeError for images of another size or number of channels.
        """
        check_is_fitted(self)
        images = as_images(X)
        expected = (self.model_.image.height, self.model_.image.width, self.model_.image.channels)
        if images.shape[1:] != expected:
            raise ShapeError(
                f"this model takes images (height, width, channels) of {expected}, got {images.shape[1:]}; "
                "resize them to that"
            )
        return predict_probabilities(self.model_.model, images, self.model_.image)

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable label of each image, (n), of the type that `fit` was given."""
        best = self.predict_proba(X).argmax(1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def save(self, path: str | Path) -> None:
        """Write the trained model to one `.safetensors` model file; labels that are numbers keep their type."""
        check_is_fitted(self)
        kept = {"label_type": self.classes_.dtype.name} if self.classes_.dtype.kind in "iubf" else {}
        save_model(replace(self.model_, record=self.model_.record | kept), Path(path))


def _labels(trained: TrainedModel) -> NDArray[Any]:
    """The class names, as the type that the record names."""
    names = trained.class_names
    kind = trained.record.get("label_type")
    if kind == "bool":
        return np.array([name == "True" for name in names])
    if kind in {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)} | {"float32", "float64"}:
        try:
            return np.array(names).astype(kind)
        except (ValueError, OverflowError) as error:
            raise ModelFileError(f"the class names {', '.join(names)} are not of the recorded type {kind}") from error
    return np.array(names)


def _whole(name: str, value: Any) -> int | None:
    """A whole number of any integer type, such as numpy's, as an int."""
    try:
        return None if value is None else operator.index(value)
    except TypeError as error:
        raise InputError(f"{name} must be a whole number or None, got {value!r}") from error


def _targets(y: Any) -> Any:
    """The labels, unless they are numbers that name no classes."""
    values = np.asarray(y)
    if values.dtype.kind in "fc" and not (np.isfinite(values).all() and (values == np.round(values.real)).all()):
        raise InputError("labels are continuous or NaN, and this is a classifier: give a class for each image")
    return values


def _seed(random_state: Any) -> int:
    """An int is the seed itself, so that it names the same run as `--seed`; anything else is drawn from."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError as error:
        raise InputError(f"random_state must be None, an int or a numpy RandomState, got {random_state!r}") from error


def load(path: str | Path) -> FusionClassifier:
    """A model file as a fitted FusionClassifier.

    Its labels are of the type that it was fitted with where a FusionClassifier with labels that are numbers saved it,
    else text: the class names that the file holds.

    Raises ModelFileError for a file that is no whole, unchanged model file.
    """
    trained = load_model(Path(path))
    record = trained.record
    if not {"preset", "arm"} <= record.keys():
        raise ModelFileError(f"{path} does not say which preset and arm it was made with")
    classifier = FusionClassifier(
        preset=record["preset"],
        arm=record["arm"],
        epochs=trained.recipe.epochs,
        steps=trained.recipe.steps,
        random_state=record.get("seed"),
    )
    classifier.model_ = trained
    classifier.classes_ = _labels(trained)
    return classifier
