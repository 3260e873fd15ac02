"""CalibratedNet: a trained network with what was fitted after its training, so that it says how far to believe it.

Beside its probabilities it gives what the shallow and the deep side alone think, how unlike anything seen an image is,
and whether the answer is accepted. Leaves to others: fitting all that (littoral/calibrate.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from littoral.errors import InputError
from littoral.nn.fusion.concat import concatenated
from littoral.nn.model import FusionNet, FusionNetConfig

MOST_DIRECTIONS = 64
"""Of the model of novelty: enough for how features vary, few enough to cost little beside a network."""


@dataclass(frozen=True)
class Calibration:
    """What was found on images that the network, or one trained alike, was not trained on; as a model file holds it.

    `temperature`: what the logits are divided by. `way`: the images were a `holdout`, or each was told by a network
    that was trained on the other `folds`. `images`: how many there were. `max_error`: the share of wrong answers that
    accepted ones may have. `least_confidence`: the probability from which on they keep it, by a bound that holds with
    95 % confidence; `coverage`: the share of the images that were sure and usual enough. Both are None where no bound
    could be had; `needed` is the number of images that it takes at least, where there were fewer.

    `most_novelty`: the novelty up to which an image is accepted; `directions`: how many directions the model of novelty
    has. Both are None where there is no such model. `seconds`: what all this took after the training.
    """

    temperature: float
    way: Literal["holdout", "folds"]
    images: int
    max_error: float
    least_confidence: float | None = None
    coverage: float | None = None
    needed: int | None = None
    most_novelty: float | None = None
    directions: int | None = None
    seconds: float = 0.0

    __pydantic_config__ = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise InputError(f"a temperature is a positive number, got {self.temperature}")
        if self.way not in ("holdout", "folds"):
            raise InputError(f"a calibration is by holdout or folds, got {self.way!r}")
        if self.images < 1 or (self.needed is not None and self.needed < 1):
            raise InputError(f"a calibration counts its images from 1 up, got {self.images} and needed {self.needed}")
        if not 0 < self.max_error < 1:
            raise InputError(f"max_error is a share between 0 and 1, got {self.max_error}")
        for name, share in (("least_confidence", self.least_confidence), ("coverage", self.coverage)):
            if share is not None and not 0 <= share <= 1:
                raise InputError(f"{name} is between 0 and 1, got {share}")
        if (self.most_novelty is None) != (self.directions is None):
            raise InputError("a threshold of novelty and its directions are there both or not at all")
        if self.most_novelty is not None and not 0 < self.most_novelty < math.inf:
            raise InputError(f"most_novelty is a positive number, got {self.most_novelty}")
        if self.directions is not None and not 1 <= self.directions <= MOST_DIRECTIONS:
            raise InputError(f"a model of novelty has 1 to {MOST_DIRECTIONS} directions, got {self.directions}")


class Answer(NamedTuple):
    """`probabilities`: after the temperature. The opinions of the two sides are None where one branch alone is fused.

    `novelty` is about 1 for ordinary images and None without a model of it; `accepted` is None where no threshold was
    written.
    """

    probabilities: Float[Tensor, "batch classes"]
    shallow_probabilities: Float[Tensor, "batch classes"] | None
    deep_probabilities: Float[Tensor, "batch classes"] | None
    novelty: Float[Tensor, " batch"] | None
    accepted: Bool[Tensor, " batch"] | None


class ReadOut(nn.Module):
    """Features of one side -> logits, its temperature folded in."""

    weight: Tensor
    bias: Tensor

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(classes, inputs))
        self.register_buffer("bias", torch.zeros(classes))

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch classes"]:
        """Logits."""
        return x @ self.weight.T + self.bias


class Novelty(nn.Module):
    """Features -> how far they lie from the nearest class, in and outside of the directions that features vary in.

    Mahalanobis distance with one covariance for all classes (Lee et al., A simple unified framework for detecting
    out-of-distribution samples, 2018), of low rank plus an even rest (Tipping and Bishop, Probabilistic principal
    component analysis, 1999). With z = (features - mean) · scale and y = directions z, of orthonormal directions:

    score = min over classes c of parts[0] |whitening y - centres[c]|² + parts[1] |z - directionsᵀ y|²
    """

    mean: Tensor
    scale: Tensor
    directions: Tensor
    whitening: Tensor
    centres: Tensor
    parts: Tensor

    def __init__(self, inputs: int, classes: int, directions: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.register_buffer("directions", torch.zeros(directions, inputs))
        self.register_buffer("whitening", torch.zeros(directions, directions))
        self.register_buffer("centres", torch.zeros(classes, directions))
        self.register_buffer("parts", torch.ones(2))

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, " batch"]:
        """The score, 0 or more."""
        z = (x - self.mean) * self.scale
        y = z @ self.directions.T
        # Each difference first and then its square: |z|² - |y|² would lose in rounding what little is left, and so
        # would the products that tell which centre is nearest.
        outside = (z - y @ self.directions).square().sum(1)
        white = y @ self.whitening.T
        nearest = (self.centres.square().sum(1) - 2 * white @ self.centres.T).argmin(1)
        inside = (white - self.centres[nearest]).square().sum(1)
        return self.parts[0] * inside + self.parts[1] * outside


class CalibratedNet(nn.Module):
    """A FusionNet and its calibration. Without one, the temperature is 1 and only the probabilities are given.

    `tensors` are those of `calibration_shapes`; None leaves zeros, as of a shape alone.
    """

    def __init__(
        self, network: FusionNet, calibration: Calibration | None = None, tensors: Mapping[str, Tensor] | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.calibration = calibration
        self.fitted = nn.ModuleDict() if calibration is None else _fitted(network.config, calibration)
        if tensors is not None:
            self.fitted.load_state_dict(tensors)
        self.sides = sides(network.config)
        self.fitted.to(next(network.parameters()).device)

    @property
    def temperature(self) -> float:
        """What the logits are divided by."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Answer:
        """All answers to normalised images."""
        return self.answer(self.network.branch_features(x))

    def answer(self, features: Mapping[str, Tensor]) -> Answer:
        """The same from what each fused branch gives, see `FusionNet.branch_features`."""
        logits = self.network.combined(self.network.opinions_on(features))
        probabilities = (logits / self.temperature).softmax(1)
        if self.calibration is None:
            return Answer(probabilities, None, None, None, None)
        shallow = deep = novelty = None
        if "deep" in self.fitted:
            before, last = self.sides
            shallow = self.fitted["shallow"](concatenated([features[name] for name in before])).softmax(1)
            deep = self.fitted["deep"](concatenated([features[name] for name in last])).softmax(1)
        if "novelty" in self.fitted:
            novelty = self.fitted["novelty"](concatenated(list(features.values())))
        return Answer(probabilities, shallow, deep, novelty, _accepted(self.calibration, probabilities, novelty))


def _accepted(
    calibration: Calibration, probabilities: Float[Tensor, "batch classes"], novelty: Float[Tensor, " batch"] | None
) -> Bool[Tensor, " batch"] | None:
    """Sure enough, and not too unlike what was seen."""
    if calibration.least_confidence is None:
        return None
    sure = probabilities.amax(1) >= calibration.least_confidence
    if novelty is None or calibration.most_novelty is None:
        return sure
    return sure & (novelty <= calibration.most_novelty)


def sides(config: FusionNetConfig) -> tuple[list[str], list[str]]:
    """The names of the features of all fused branches but the last, and of the last."""
    fused = [list(place.features) for place in config.places().values() if place.features]
    return [name for features in fused[:-1] for name in features], fused[-1]


def side_sizes(config: FusionNetConfig) -> tuple[int, int] | None:
    """Numbers in the features of either of the `sides`; None where one branch is fused."""
    before, last = sides(config)
    specs = config.fused_specs()
    return None if not before else (sum(specs[name].size for name in before), sum(specs[name].size for name in last))


def calibration_shapes(config: FusionNetConfig, calibration: Calibration) -> dict[str, Tensor]:
    """The tensors that a calibration of this network has, by name, as shapes with no memory behind them."""
    with torch.device("meta"):
        return _fitted(config, calibration).state_dict()


def _fitted(config: FusionNetConfig, calibration: Calibration) -> nn.ModuleDict:
    """What a calibration adds to this network, unfitted."""
    fitted = nn.ModuleDict()
    sizes = side_sizes(config)
    if sizes is not None:
        fitted["shallow"] = ReadOut(sizes[0], config.classes)
        fitted["deep"] = ReadOut(sizes[1], config.classes)
    if calibration.directions is not None:
        inputs = sum(spec.size for spec in config.fused_specs().values())
        fitted["novelty"] = Novelty(inputs, config.classes, calibration.directions)
    return fitted
