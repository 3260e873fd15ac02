"""FusionClassifier: presets as a scikit-learn classifier on image arrays, flattened images and paths."""

from __future__ import annotations

import math
import os
import threading
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from littoral.calibrate import Fit, fit_calibrated, require_max_error
from littoral.errors import InputError, ModelFileError
from littoral.images.arrays import whole_shape
from littoral.images.given import kept_if_ended, pixels_in_form, read_given, rows_of, training_store
from littoral.images.labels import counted, read_groups, read_targets
from littoral.images.load import LARGEST
from littoral.images.seen import remember
from littoral.model_file import load_model, model_bytes, model_from_bytes, require_model_place, save_model
from littoral.nn.inference import predict_answers
from littoral.nn.plain_torch import plain_torch
from littoral.parameters import named_preset, seconds_of, seed_of, stages_of, way_of, whole_number
from littoral.training import presets
from littoral.training.choose import AUTO, choose_preset, side_to_try
from littoral.training.loop import Observer, Silent
from littoral.training.presets import default_preset, get_arm, get_preset, require_length, require_weights
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel, calibrated, choose_device, fit_arm
from littoral.training.tuning import TUNING, Tuning, finetuned, require_tunable
from littoral.tried_tuning import with_tuning

ONE_FIT = threading.RLock()
"""Held while a network is trained: two that drew from torch's one generator by turns would not repeat."""


class FusionClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Image classifier that trains one arm of a preset.

    Parameters
    ----------
    preset, arm : the model (a name, or a preset's file) and which part of it, see `littoral presets`; arm `fused`
        trains all branches. None: `few` or `swift`, by the number of labels. `auto`: the best of `few`, `probe` and
        `transfer` on some of the images, by cross-validation, which takes a minute or two; `model_.record["auto"]` says
        why.
    epochs, steps : length of training, in passes over the images or in batches; both None: the preset's own. What is
        fitted at once, `probe` and `transfer` without `tune`, has none.
    time_budget : seconds that training may take, in place of these; `model_.recipe.steps` tells what it came to.
    tune : None, `last`, `taps` or `all`: which stages of the pretrained network of preset `transfer` are trained on,
        after its head was fitted, for `epochs` or `steps`; kept only where held-out labels say that it helps, which
        `model_.record["tuning"]` tells (docs/pretrained.md).
    device : `auto` (a GPU where there is one), `cpu`, or a GPU's name.
    random_state : None, an int from 0 up, below 2**32, or a numpy RandomState; the same int gives the same weights on
        the same machine and threads, and is the `--seed` of the command line.
    image_shape : (height, width) or (height, width, 1 or 3). Of flattened X: None means a square grey image where the
        number of features is a square, else an image one pixel high. Of paths: the size that images are brought to,
        None means their own median, at most 64 on the longer side (`transfer`: 160). Of other X: what the images must
        be.
    class_weight : None, `balanced` (inverse to a class's number of images), or a dict from label to weight, 1 for a
        label that is not in it.
    calibrate : which images to calibrate on: `holdout` (a sixth of them is kept out of the training), `folds` (each
        told by a training on others, in twice the time of the training on top of it), `auto` (the former from 10,000
        images on) or `none`. A calibrated model is as sure as it should be; a saved one says which answers it accepts.
        Where `auto` cannot part the images there is no calibration, with a UserWarning, and
        `model_.record["not_calibrated"]` says why.
    max_error : share of errors that accepted answers may have.
    unlabelled : the value in y that marks a row without a label, besides None. Preset `few` trains on such rows too,
        unless a check finds that they do harm; the others leave them out. `model_.record["unlabelled"]` tells.

    Attributes
    ----------
    classes_ : the labels, sorted. model_ : the TrainedModel that a model file holds.
    n_features_in_, feature_names_in_ : where X was flattened, the latter where it was a table with names.

    A pickle holds the bytes of the model file, and is read onto the CPU.
    """

    def __init__(
        self,
        preset: str | os.PathLike[str] | None = None,
        arm: str = "fused",
        epochs: int | None = None,
        steps: int | None = None,
        time_budget: float | None = None,
        device: str = "auto",
        random_state: Any = None,
        image_shape: tuple[int, ...] | None = None,
        class_weight: Any = None,
        unlabelled: Any = None,
        calibrate: str = "none",
        max_error: float = 0.01,
        tune: str | None = None,
    ) -> None:
        self.preset = preset
        self.arm = arm
        self.epochs = epochs
        self.steps = steps
        self.time_budget = time_budget
        self.device = device
        self.random_state = random_state
        self.image_shape = image_shape
        self.class_weight = class_weight
        self.unlabelled = unlabelled
        self.calibrate = calibrate
        self.max_error = max_error
        self.tune = tune

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, observer: Observer | None = None, groups: Any = None
    ) -> Self:
        """Train on images X and labels y (n) of any one type; `sample_weight` (n): how much each image counts.

        Rows whose weight, or whose class's, is 0 are left out before anything looks at them, as if they had not been
        given, and `classes_` still has their labels, which nothing was learned of. The weights count in the training
        alone: the choice of `auto`, the trial of `tune` and the calibration count the other images alike.

        `observer`: who is told how the training goes, such as an experiment tracker.

        `groups` (n): the person or thing that each image shows, where several show one. Images of one group are then
        kept together where some are held out: for the calibration, the choice of `auto`, the trial of `tune`, the votes
        of heads and the check of images without a label. Without it these are surer than new people or things allow.

        In threads, one fit waits for the other.

        X: (n, height, width) or (n, height, width, 1 or 3), or (n, features) flattened, or n paths (str or Path). uint8
        is taken as the pixels that it is; of other numbers the smallest becomes 0 and the largest 255.

        Raises InputError (a ValueError) for images, labels, weights or parameters that cannot be used; for flattened X
        scikit-learn's own ValueError and TypeError. Where it fails or is interrupted, what an earlier fit made stays.
        """
        with ONE_FIT, plain_torch(), kept_if_ended(self):
            return self._fitted(X, y, sample_weight, observer, groups)

    def _fitted(self, X: Any, y: Any, sample_weight: Any, observer: Observer | None, groups: Any) -> Self:
        if not isinstance(self.arm, str):
            raise InputError(f"arm must be the name of one, got {self.arm!r}")
        if observer is not None and not all(hasattr(observer, name) for name in ("on_start", "on_steps", "on_epoch")):
            raise InputError(f"observer must have the methods of lt.Observer, got {observer!r}")
        automatic = self.preset == AUTO
        named = None if self.preset is None or automatic else named_preset(self.preset)
        length = whole_number("epochs", self.epochs), whole_number("steps", self.steps)
        TUNING.lasting(*length)  # what no recipe can have is refused before images are read
        budget = seconds_of(self.time_budget)
        if budget is not None and length != (None, None):
            raise InputError("a time budget sets the steps by itself: give no epochs and no steps beside it")
        seed, device = seed_of(self.random_state), choose_device(self.device)
        way = way_of(self.calibrate)
        require_max_error(self.max_error)
        stages = stages_of(self.tune)
        if named is not None:
            require_weights(named, [self.arm])
            if stages is None:
                require_length(named, [self.arm], *length, budget)
        if stages is not None and named is None:
            raise InputError("tune trains on a pretrained network: give preset transfer, or another that has one")
        given = read_given(self, X, reset=True)
        targets = read_targets(y, self.unlabelled)
        if len(targets.labelled) != len(given):
            raise InputError(f"each of the {len(given)} images needs one label, got {len(targets.labelled)} labels")
        count = counted(targets, sample_weight, self.class_weight)
        targets, weights = count.targets, count.weights
        belongs = None if groups is None else read_groups(groups, len(given))[count.rows]
        given = rows_of(given, count.rows)
        largest = LARGEST if named is None else max(named.largest, LARGEST)
        store, mapped, others = training_store(given, targets, belongs, whole_shape(self.image_shape), largest)
        choice = None
        if automatic:
            side = side_to_try(store) if isinstance(given, list) and self.image_shape is None else None
            larger = None if side is None else training_store(given, targets, belongs, None, side)
            choice = choose_preset(store, seed, device, None if larger is None else larger[0])
            named = get_preset(choice.preset)
            if named.largest > LARGEST:  # files are read so for it
                shape = whole_shape(self.image_shape)
                store, mapped, others = larger or training_store(given, targets, belongs, shape, named.largest)
            if named.linear:
                budget, length = None, (None, None)  # it is fitted at once, which is within any
        preset = default_preset(store.labels) if named is None else named

        tuning = None if stages is None else Tuning(stages, TUNING.lasting(*length))
        if tuning is not None:
            require_tunable(preset, self.arm, get_arm(preset, self.arm, store.spec().shape, len(store.class_names)))

        def trained(rows: NDArray[np.int64], recipe: Recipe, seconds: float | None, follow: Observer) -> TrainedModel:
            return fit_arm(
                preset,
                self.arm,
                recipe,
                store if len(rows) == len(store) else store.subset(rows),
                seed,
                device,
                follow,
                sample_weight=None if weights is None else weights[rows],
                time_budget=seconds,
                unlabelled=others,
            )

        def tune(probe: TrainedModel, rows: NDArray[np.int64], tuning: Tuning) -> TrainedModel:
            weighed = None if weights is None else weights[rows]
            return finetuned(probe, tuning, store.subset(rows), seed, device, observer or Silent(), weighed)

        fit = Fit(
            first=lambda rows: trained(rows, preset.recipe.lasting(*length), budget, observer or Silent()),
            again=lambda rows, like: trained(rows, like.recipe, None, Silent()),
        )
        if tuning is not None:
            fit = with_tuning(fit, tune, tuning, store, seed, tell=lambda line: None)
        model = fit_calibrated(fit, store, seed, way, float(self.max_error), tell=lambda line: None)
        if why := model.record.get("not_calibrated"):
            warnings.warn(f"the model is not calibrated: {why}", UserWarning, stacklevel=2)
        model.record.update(
            auto=None if choice is None else asdict(choice),
            trained_on=remember(store.images),
            mapped=mapped,
            features=self.__dict__.get("n_features_in_"),
            feature_names=[str(name) for name in self.__dict__.get("feature_names_in_", ())],
            label_type=targets.classes.dtype.name if targets.classes.dtype.kind in "iubf" else None,
        )
        if others is not None and model.record["unlabelled"]["used"]:
            model.record["trained_on_unlabelled"] = remember(others)
        self.model_ = model
        self.classes_ = targets.classes
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probability of each class, (n, classes), in the order of `classes_`; X in any of the forms that `fit` takes.

        After the temperature where the model was calibrated.

        Arrays must have the model's image size; files are brought to it. A model fitted on uint8 or on files takes
        uint8, or whole numbers of another integer type from 0 to 255; one fitted on other numbers maps all numbers by
        the range that it was fitted on, and clips what lies outside.

        Raises ShapeError for images of another size or number of channels, InputError for other numbers, ImageError
        for a file that cannot be read.
        """
        check_is_fitted(self)
        form = self.model_.image
        given = read_given(self, X, reset=False)
        pixels = pixels_in_form(given, form, self.model_.record.get("mapped", False))
        with plain_torch():
            return predict_answers(calibrated(self.model_), pixels, form).probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable label of each image, (n), of the type that `fit` was given."""
        best = self.predict_proba(X).argmax(1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def save(self, path: str | Path) -> None:
        """Write the trained model to one `.safetensors` model file; labels that are numbers keep their type.

        Raises InputError for a place that cannot be written, and for one where a file of another kind is.
        """
        check_is_fitted(self)
        require_model_place(Path(path))
        save_model(self.model_, Path(path))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags  # the tags for one axis and for strings mean features, not paths

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        return state | {"model_": model_bytes(state["model_"])} if "model_" in state else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        model = {"model_": model_from_bytes(state["model_"], "this pickle")} if "model_" in state else {}
        super().__setstate__(state | model)


def _labels(trained: TrainedModel) -> NDArray[Any]:
    """The class names, as the type that the record names."""
    names = trained.class_names
    kind = trained.record.get("label_type")
    if kind == "bool":
        return np.array([name == "True" for name in names])
    if kind in {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)} | {
        "float16",
        "float32",
        "float64",
    }:
        try:
            return np.array(names).astype(kind)
        except (ValueError, OverflowError) as error:
            raise ModelFileError(f"the class names {', '.join(names)} are not of the recorded type {kind}") from error
    return np.array(names)


def _recipe_of(preset: str) -> Recipe | None:
    """The recipe of a preset; None for one that this version does not know, such as one that came from a file."""
    return presets.PRESETS[preset].recipe if preset in presets.PRESETS else None


def _require_record(record: dict[str, Any], path: Path) -> None:
    """Raise ModelFileError where what is read of a record is of another type than it was written with."""
    kinds: dict[str, tuple[type, ...]] = {
        "preset": (str,),
        "arm": (str,),
        "seed": (int, type(None)),
        "features": (int, type(None)),
        "feature_names": (list, type(None)),
        "label_type": (str, type(None)),
        "tuning": (dict, type(None)),
    }
    for name, kind in kinds.items():
        if not isinstance(value := record.get(name), kind):
            raise ModelFileError(f"{path} has unusable metadata at record.{name}: {value!r}")
    if record.get("tuning") and not {"kept", "stages"} <= record["tuning"].keys():
        raise ModelFileError(f"{path} has unusable metadata at record.tuning: {record['tuning']!r}")


def _has_length_of(recipe: Recipe, usual: Recipe | None) -> bool:
    """Whether a training was as long as is usual; a length that was asked for has no least number of steps."""
    if recipe.min_steps or usual is None:
        return recipe.min_steps > 0
    return (recipe.epochs, recipe.steps, 0) == (usual.epochs, usual.steps, usual.min_steps)


def load(path: str | Path) -> FusionClassifier:
    """A model file as a fitted FusionClassifier, which takes X in the forms that the saved one took.

    Its labels are of the type that it was fitted with where a FusionClassifier with labels that are numbers saved it,
    else text: the class names that the file holds. Class weights and the value for "unlabelled" are not in a file,
    nor is the file of a preset that came from one: to fit anew, give it again.

    Raises ModelFileError for a file that is no whole, unchanged model file.
    """
    trained = load_model(Path(path))
    record, form = trained.record, trained.image
    if not {"preset", "arm"} <= record.keys():
        raise ModelFileError(f"{path} does not say which preset and arm it was made with")
    _require_record(record, Path(path))
    shape = (form.height, form.width, form.channels)
    features, names = record.get("features"), record.get("feature_names")
    if features not in (None, math.prod(shape)) or (names and len(names) != features):
        raise ModelFileError(f"{path} contradicts itself: its record names features that do not fit its image form")
    tuning = record.get("tuning")
    own = _has_length_of(trained.recipe, TUNING if tuning and tuning["kept"] else _recipe_of(record["preset"]))
    classifier = FusionClassifier(
        preset=record["preset"],
        arm=record["arm"],
        epochs=None if own else trained.recipe.epochs,
        steps=None if own else trained.recipe.steps,
        random_state=record.get("seed"),
        image_shape=None if features is None else shape,
        calibrate="none" if trained.calibration is None else trained.calibration.way,
        max_error=0.01 if trained.calibration is None else trained.calibration.max_error,
        tune=None if tuning is None else tuning["stages"],
    )
    classifier.model_ = trained
    classifier.classes_ = _labels(trained)
    if features is not None:
        classifier.n_features_in_ = features
    if names:
        classifier.feature_names_in_ = np.array(names, object)
    return classifier
