"""FusionFeatures: images -> features as a scikit-learn transformer, for a classifier or an index of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from littoral.errors import InputError
from littoral.estimator import FusionClassifier
from littoral.images.arrays import whole_shape
from littoral.images.given import kept_if_ended, pixels_in_form, pixels_to_fit, read_given
from littoral.images.load import LARGEST
from littoral.model_file import can_be_slim, load_model, model_bytes, model_from_bytes
from littoral.nn.backbone import BackboneConfig
from littoral.nn.branch import BranchConfig
from littoral.nn.networks import BUILT_IN
from littoral.nn.onnx_session import in_sessions
from littoral.nn.plain_torch import plain_torch
from littoral.specs import ImageSpec
from littoral.training.extract import (
    BACKBONE_SIDE,
    LIGHT,
    SHORT_NAMES,
    Branches,
    extracted,
    named_branches,
    require_known,
)
from littoral.training.run import TrainedModel, choose_device

CLONED = ("_sklearn_output_config", "_metadata_request")
"""What scikit-learn's own clone takes over besides the parameters: what `set_output` and metadata requests set."""


class FusionFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Features of images, of several branches side by side: those of fixed and frozen branches, or of a trained model.

    Parameters
    ----------
    branches : short names of branches (`hog`, `lbp`, `colours`, `moments`, `gabor`, `scattering`,
        `efficientnet-lite0`), or a dict from names of one's own to the descriptions of branches that learn nothing;
        None: `hog`, `lbp`, `colours` and `moments`, which need no weights.
    model : in place of branches: a model file, or a fitted FusionClassifier, whose branches' features are given. A
        clone of this transformer shares it, and a pickle holds it.
    standardise : each number less its mean over the images of the fit, divided by its standard deviation.
    device : `auto` (a GPU where there is one), `cpu`, or a GPU's name; a FusionClassifier's model stays where it is.
    image_shape : as in FusionClassifier; paths are brought to at most 160 on the longer side for pretrained networks.

    Attributes
    ----------
    groups_ : numbers an image of each group: `BRANCH.TAP` of branches, `BRANCH` of a model.
    image_ : the form that images are brought to. scaler_ : scikit-learn's StandardScaler, or None.
    n_features_in_, feature_names_in_ : where X was flattened, the latter where it was a table with names.

    A pickle holds no weights of pretrained networks, but for those in a FusionClassifier given as `model`.
    """

    def __init__(
        self,
        branches: Any = None,
        model: Any = None,
        standardise: bool = True,
        device: str = "auto",
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.branches = branches
        self.model = model
        self.standardise = standardise
        self.device = device
        self.image_shape = image_shape

    def fit(self, X: Any, y: Any = None) -> Self:
        """Settle the form of images, and learn the mean and deviation of each feature; X as FusionClassifier takes it.

        `y` is not looked at. Raises InputError (a ValueError) for images and parameters that cannot be used, and where
        pretrained weights are missing. Where it fails or is interrupted, what an earlier fit made stays.
        """
        with plain_torch(), kept_if_ended(self):
            self._fitted(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.float32]:
        """The features of X, (n, size), and the fit on it, each image being looked at once."""
        with plain_torch(), kept_if_ended(self):
            pixels, features = self._fitted(X)
            features = self._extracted(pixels) if features is None else features
        return features if self.scaler_ is None else np.asarray(self.scaler_.transform(features), np.float32)

    def transform(self, X: Any) -> NDArray[np.float32]:
        """The features of X, (n, size), group by group in the order of `groups_`.

        Raises ShapeError for images of another size or number of channels than those of the fit, InputError for other
        numbers, ImageError for a file that cannot be read.
        """
        check_is_fitted(self)
        pixels = pixels_in_form(read_given(self, X, reset=False), self.image_, self.mapped_)
        with plain_torch():
            features = self._extracted(pixels)
        return features if self.scaler_ is None else np.asarray(self.scaler_.transform(features), np.float32)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Group and number of each feature, such as `hog.fine_12`; pixels have no part in them.

        Raises InputError (a ValueError) for `input_features` that are not those of the fit.
        """
        check_is_fitted(self)
        expected, names = self.__dict__.get("n_features_in_"), self.__dict__.get("feature_names_in_")
        if input_features is not None and names is not None and list(names) != list(input_features):
            raise InputError(
                "input_features is not equal to feature_names_in_: give the names that the fit saw, or None"
            )
        if input_features is not None and expected not in (None, len(input_features)):
            raise InputError(f"input_features should have length equal to {expected}, got {len(input_features)}")
        return np.array([f"{group}_{at}" for group, size in self.groups_.items() for at in range(size)], object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []  # always float32
        return tags

    def __sklearn_clone__(self) -> Self:
        """An unfitted one that shares the trained model: scikit-learn's own clone would take its training from it."""
        fresh = type(self)(**self.get_params(deep=False))
        for name in CLONED:
            if name in self.__dict__:
                fresh.__dict__[name] = deepcopy(self.__dict__[name])
        return fresh

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("network_", None)
        if "model_" in state:
            trained = state["model_"]
            in_model = isinstance(self.model, FusionClassifier) and self.model.__dict__.get("model_") is trained
            state["model_"] = None if in_model else model_bytes(trained, can_be_slim(trained.model.config))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "groups_" not in state:
            return
        if self.branches_ is not None:
            self.network_ = Branches(self.branches_, self.image_.shape)
        else:
            kept = state["model_"]
            self.model_ = self.model.model_ if kept is None else model_from_bytes(kept, "this pickle")

    def _fitted(self, X: Any) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        """The images of a fit, and their features where it needed them."""
        choose_device(self.device)
        given = read_given(self, X, reset=True)
        settled = self._settled_by_branches if self.model is None else self._settled_by_model
        pixels = settled(given)
        self.scaler_ = None
        if not self.standardise:
            return pixels, None
        features = self._extracted(pixels)
        self.scaler_ = StandardScaler().fit(features)
        return pixels, features

    def _settled_by_model(self, given: NDArray[Any] | list[Path]) -> NDArray[np.uint8]:
        if self.branches is not None or self.image_shape is not None:
            raise InputError("a model has branches and an image shape of its own: give neither beside it")
        self.__dict__.pop("network_", None)  # of a fit with other parameters
        self.branches_: dict[str, BranchConfig] | None = None
        self.model_ = self._trained()
        self.image_: ImageSpec = self.model_.image
        self.mapped_ = bool(self.model_.record.get("mapped", False))
        self.groups_ = {name: spec.size for name, spec in self.model_.model.config.fused_specs().items()}
        return pixels_in_form(given, self.image_, self.mapped_)

    def _trained(self) -> TrainedModel:
        if isinstance(self.model, FusionClassifier):
            check_is_fitted(self.model)
            return self.model.model_
        if isinstance(self.model, str | Path):
            trained = load_model(Path(self.model))
            trained.model.to(choose_device(self.device))
            return trained
        raise InputError(f"model must be a model file or a fitted FusionClassifier, got {type(self.model).__name__}")

    def _settled_by_branches(self, given: NDArray[Any] | list[Path]) -> NDArray[np.uint8]:
        chosen = _chosen(self.branches)
        pretrained = any(name in BUILT_IN or isinstance(chosen[name], BackboneConfig) for name in chosen)
        largest = BACKBONE_SIDE if pretrained else LARGEST
        pixels, value_range = pixels_to_fit(given, whole_shape(self.image_shape), largest)
        form = ImageSpec.unit(*pixels.shape[1:])
        self.image_ = form if value_range is None else replace(form, value_range=value_range)
        self.mapped_ = value_range is not None
        known = named_branches([name for name, branch in chosen.items() if branch is None], form.shape)
        branches = {name: known[name] if branch is None else branch for name, branch in chosen.items()}
        self.branches_ = branches
        self.__dict__.pop("model_", None)  # of a fit with other parameters
        self.network_ = Branches(branches, form.shape)
        self.groups_ = self.network_.sizes
        return pixels

    def _extracted(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The features as they are."""
        if self.branches_ is None:
            network = self.model_.model
            device = next(network.parameters()).device
            with in_sessions(network, len(pixels)):
                return extracted(network.branch_features, self.groups_, pixels, self.image_, device)
        device = choose_device(self.device)
        with in_sessions(self.network_.to(device), len(pixels)):
            return extracted(self.network_, self.groups_, pixels, self.image_, device)


def _chosen(branches: Any) -> dict[str, BranchConfig | None]:
    """The branches by name: with their descriptions, or None for those that a short name alone describes."""
    if branches is None:
        branches = LIGHT
    if isinstance(branches, Mapping):
        if branches and all(isinstance(branch, BranchConfig) for branch in branches.values()):
            return {str(name): branch for name, branch in branches.items()}
    elif isinstance(branches, list | tuple) and all(isinstance(name, str) for name in branches):
        require_known(branches)
        return dict.fromkeys(branches)
    raise InputError(
        f"branches must be a list of names ({', '.join(SHORT_NAMES)}) or a dict from names to descriptions of "
        f"branches, got {branches!r}"
    )
