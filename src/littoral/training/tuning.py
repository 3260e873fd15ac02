"""Fine-tuning: a fitted probe whose pretrained networks learn on, from their own weights and the head that was fitted.

The head learns fastest, the deepest stage a little slower, and each stage before it slower again. Batch normalisation
is as it was pretrained (`BackboneConfig`). Leaves to others: whether the result is kept (`tried_tuning.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Float64
from torch import Tensor, nn

from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.nn.backbone import BackboneConfig
from littoral.nn.inference import branch_vectors
from littoral.nn.model import FusionNet, FusionNetConfig, seeded_model
from littoral.nn.stages import stages_of
from littoral.training.loop import Observer, train
from littoral.training.measures import spread_of
from littoral.training.presets import Preset
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel, image_weights

Stages = Literal["last", "taps", "all"]

STAGES: tuple[Stages, ...] = get_args(Stages)

TUNING = Recipe(
    steps=200,
    batch_size=32,
    optimiser="adamw",
    learning_rate=3e-4,
    epsilon=1e-8,
    weight_decay=0.05,
    full_batches=True,
)
"""How a network is tuned where nothing else is said: the same minutes for 200 images and for 20,000."""

SLOWER = 0.7
"""The rate of a stage as a share of the rate of what is above it; the head's is the recipe's."""


@dataclass(frozen=True)
class Tuning:
    """`stages`: which learn. `last`: the deepest; `taps`: those whose taps the head uses; `all`: the whole network.

    `recipe`: as for any training, with AdamW; its rate is that of the head.
    """

    stages: Stages
    recipe: Recipe = TUNING


def require_tunable(preset: Preset, arm: str, config: FusionNetConfig) -> None:
    """Raise InputError unless an arm is a linear head, fitted at once, on a frozen pretrained network among others."""
    frozen = [branch for branch in config.branches.values() if isinstance(branch, BackboneConfig) and branch.fixed]
    if not preset.arms[arm].linear or not frozen:
        raise InputError(
            f"arm {arm} of preset {preset.name} has no pretrained network to be tuned: take preset transfer"
        )


def stages_to_learn(config: FusionNetConfig, stages: Stages) -> dict[str, tuple[str, ...]]:
    """The names of the stages that learn, in order of depth, of each branch with a pretrained network, by its name.

    Raises InputError where none of a network's weights would.
    """
    return {name: tuple(found.learning) for name, found in _networks(config, stages).items()}


def finetuned(
    probe: TrainedModel,
    tuning: Tuning,
    store: ImageStore,
    seed: int,
    device: torch.device,
    observer: Observer,
    sample_weight: Float64[np.ndarray, " n"] | None = None,
    features: Float32[np.ndarray, "n size"] | None = None,
) -> TrainedModel:
    """Train the stages and the head of `probe` on the images that it was fitted to; `probe` stays as it is.

    The same arguments give bit-equal weights on one machine with one number of threads. `sample_weight` as in
    `fit_arm`. `features`: what the branches of `probe` make of the images, where that is known. The recipe of the
    result is that of the tuning, its architecture calls the networks tuned, and its record has the history of both.
    """
    recipe = tuning.recipe.balanced_for(store.labels)
    if features is None:
        features = branch_vectors(probe.model, store.images, probe.image)
    model = _unfrozen(probe.model, seed)
    head = model.head
    assert head is not None  # a probe's
    sizes = [spec.size for spec in model.config.fused_specs().values()]
    weight, bias = head.parameters()
    centred = _Centred(weight, bias, features.mean(0, dtype=np.float64), spread_of(features, sizes))
    layer, head.layers[0] = head.layers[0], centred
    rates = _rates(model, _networks(probe.model.config, tuning.stages))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in rates)
    history = train(
        model,
        store.images,
        store.labels,
        probe.image,
        recipe,
        seed,
        device,
        observer,
        weights=image_weights(store, recipe.balance == "loss", sample_weight),
        rates=rates,
    )
    head.layers[0] = layer.to(device)
    with torch.no_grad():
        for parameter, value in zip(head.parameters(), centred.folded(), strict=True):
            parameter.copy_(value)
    record = probe.record | {
        "history": [*probe.record["history"], *(asdict(epoch) for epoch in history)],
        "train_seconds": round(probe.record["train_seconds"] + sum(epoch.seconds for epoch in history), 3),
        "images_seen": recipe.images_seen(len(store), history[-1].step),
        "steps": history[-1].step,
    }
    return replace(probe, model=model.eval(), recipe=recipe, record=record)


class _Centred(nn.Module):
    """A linear layer that learns in units of its features' spread around their mean, so that their scales matter not.

    Adam's steps are of one size in all weights, whatever these are multiplied by.
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self,
        weight: Float[Tensor, "classes size"],
        bias: Float[Tensor, " classes"],
        mean: Float64[np.ndarray, " size"],
        spread: Float64[np.ndarray, " size"],
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("spread", torch.tensor(spread, dtype=torch.float32))
        self.weight = nn.Parameter(weight.detach().cpu() * self.spread)
        self.bias = nn.Parameter(bias.detach().cpu() + weight.detach().cpu() @ self.mean)

    def forward(self, x: Float[Tensor, "batch size"]) -> Float[Tensor, "batch classes"]:
        """Logits."""
        return F.linear((x - self.mean) / self.spread, self.weight, self.bias)

    def folded(self) -> tuple[Float[Tensor, "classes size"], Float[Tensor, " classes"]]:
        """Weight and bias of the same layer on the features as they are."""
        weight = self.weight / self.spread
        return weight, self.bias - weight @ self.mean


@dataclass(frozen=True)
class _Network:
    """The stages of one branch's network, with the names of their parameters, and those of them that learn."""

    stages: Mapping[str, tuple[str, ...]]
    learning: tuple[str, ...]


def _networks(config: FusionNetConfig, stages: Stages) -> dict[str, _Network]:
    found = {}
    places = config.places()
    for name, branch in config.branches.items():
        if not isinstance(branch, BackboneConfig):
            continue
        known = stages_of(branch, places[name].sees)
        used = {spec.name for spec in places[name].features.values()}
        learning = {"last": list(known)[-1:], "taps": [stage for stage in known if stage in used], "all": list(known)}
        if not learning[stages]:
            raise InputError(
                f"{branch.network} has no weights in the stages {stages}, so there is nothing to tune: leave tuning out"
            )
        found[name] = _Network(known, tuple(learning[stages]))
    return found


def _rates(model: FusionNet, networks: Mapping[str, _Network]) -> dict[str, float]:
    """The share of the recipe's rate of every parameter that learns, by name."""
    assert model.head is not None
    rates = {f"head.{name}": 1.0 for name, _ in model.head.named_parameters()}
    for branch, network in networks.items():
        for above, (stage, names) in enumerate(reversed(list(network.stages.items())), start=1):
            if stage in network.learning:
                rates |= {f"branches.{branch}.network.{name}": SLOWER**above for name in names}
    return rates


def _unfrozen(model: FusionNet, seed: int) -> FusionNet:
    """A copy whose pretrained networks can learn."""
    branches = {
        name: replace(branch, tuned=True) if isinstance(branch, BackboneConfig) else branch
        for name, branch in model.config.branches.items()
    }
    copy = seeded_model(replace(model.config, branches=branches), seed)
    copy.load_state_dict(model.state_dict())
    return copy
