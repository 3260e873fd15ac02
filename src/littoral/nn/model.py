"""FusionNet: branches -> fusion -> head, built from one frozen description that a model file can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from littoral.errors import InputError, ShapeError
from littoral.nn.fusion.base import Fusion
from littoral.nn.fusion.concat import ConcatConfig
from littoral.nn.fusion.late import voted
from littoral.nn.layers import LoneNorm1d, LoneNorm2d, flatten, glorot_linear
from littoral.nn.network import chosen
from littoral.nn.registry import AnyBranch, AnyFusion, require_registered
from littoral.specs import FeatureSpec, ImageShape

MOST_BRANCHES = 16

FUSED = "fused"
"""What the head over the fused vector is called beside the branches' own heads."""


@dataclass(frozen=True)
class FusionNetConfig:
    """The whole architecture: what FusionNet is built from, and what a model file holds of it.

    `branches`: by name, in the order in which the fusion takes them, the deep one last. `hidden`: widths of the dense
    layers with ReLU between the fused vector and the logits; with late fusion, between each branch's feature and its
    logits. `topology`: `parallel`, every branch sees the image, or `cascade`, each branch goes on from the maps of the
    one before it. `unfused`: branches that only serve those after them; the fusion does not take them. `batch_norm`:
    each feature is batch-normalised before the fusion, each of its numbers by itself, or, where the fusion takes maps,
    each channel of a map. `branch_heads`: each feature has a head of its own beside the one over the fused vector, and
    they vote; with late fusion they are the only ones. `taps`: by branch, those of its taps that the fusion takes, in
    order of depth, each as a feature of its own; of a branch that is not named, its last.

    Raises InputError for what cannot be, a fusion that refuses these features among it.
    """

    image_shape: ImageShape
    classes: int
    branches: Mapping[str, AnyBranch]
    fusion: AnyFusion = ConcatConfig()
    hidden: tuple[int, ...] = ()
    topology: Literal["parallel", "cascade"] = "parallel"
    unfused: tuple[str, ...] = ()
    batch_norm: bool = False
    branch_heads: bool = False
    taps: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    __pydantic_config__ = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if min(self.image_shape) < 1:
            raise InputError(f"an image shape needs positive (channels, height, width), got {self.image_shape}")
        if self.classes < 2:
            raise InputError(f"a classifier needs at least two classes, got {self.classes}")
        if len(self.branches) > MOST_BRANCHES:
            raise InputError(f"a network has at most {MOST_BRANCHES} branches, got {len(self.branches)}")
        if not self.branches or not all(name.isidentifier() for name in self.branches):
            raise InputError(f"branches need one or more names that are identifiers, got {list(self.branches)}")
        if taken := [name for name in self.branches if not _possible(name)]:
            raise InputError(f"a branch cannot be called {taken[0]!r}, a name that is taken; rename it")
        if any(width < 1 for width in self.hidden):
            raise InputError(f"hidden layers need positive widths, got {self.hidden}")
        if self.topology not in ("parallel", "cascade"):
            raise InputError(f"topology must be parallel or cascade, got {self.topology!r}")
        followed = list(self.branches)[:-1] if self.topology == "cascade" else []
        if not set(self.unfused) <= set(followed):
            raise InputError(f"only branches that others of a cascade go on from can be unfused, got {self.unfused}")
        going_on = list(self.branches.values())[1:] if self.topology == "cascade" else []
        if stopping := [branch.type for branch in going_on if branch.fixed]:
            raise InputError(
                f"a {stopping[0]} branch learns nothing and stops what is before it from learning: it has to be first"
            )
        require_registered(self.branches.values(), self.fusion)
        if wrong := [name for name in self.taps if name not in self.branches or name in self.unfused]:
            raise InputError(f"taps are named of branches that the fusion takes, got some of {wrong[0]!r}")
        places = self.places()
        for name, place in places.items():
            if place.whole > place.macs and name in self.unfused:
                raise InputError(
                    f"an unfused branch has no use for layers beyond its map, got {name!r}: "
                    "end it with a map (a conv branch: dense=None)"
                )
            if place.whole > place.macs:
                raise InputError(
                    f"the fusion takes no tap of branch {name!r} after {self.taps[name][-1]!r}: end the branch there"
                )
        called = [feature for place in places.values() for feature in place.features]
        if taken := [name for name in called if called.count(name) > 1 or not _possible(name)]:
            raise InputError(f"a feature cannot be called {taken[0]!r}, a name that is taken; rename its branch")
        if not self.fusion.joint and not self.branch_heads:
            raise InputError(f"{self.fusion.type} fusion is made of the branches' own heads: set branch_heads")
        if reason := self.fusion.refusal(list(self.fused_specs().values())):
            raise InputError(f"{self.fusion.type} fusion {reason}")

    def places(self) -> dict[str, Place]:
        """What each branch, by name, sees and gives in this network."""
        places = {}
        shape = self.image_shape
        for number, (name, branch) in enumerate(self.branches.items(), start=1):
            given = branch.features(shape)
            (onward,) = chosen(f"branch {name!r}", given, (branch.onward,))
            wanted = () if name in self.unfused else self.taps.get(name, (given[-1].name,))
            if not wanted and name not in self.unfused:
                raise InputError(f"the fusion takes one tap or more of a branch, got none of {name!r}")
            used = chosen(f"branch {name!r}", given, wanted)
            features = {name if len(used) == 1 else _feature_name(name, spec.name): spec for spec in used}
            if len(features) < len(used):
                raise InputError(f"taps of branch {name!r} need names that differ in more than their points")
            followed = self.topology == "cascade" and number < len(self.branches)
            macs = max(spec.macs for spec in (*used, *([onward] if followed else [])))
            places[name] = Place(shape, onward, features, macs, given[-1].macs)
            if followed:
                shape = onward.map_shape
        return places

    def fused_specs(self) -> dict[str, FeatureSpec]:
        """The features that the fusion takes, by name, flattened where they are normalised as vectors.

        A feature is called as its branch, or BRANCH_TAP where the fusion takes several taps of the branch.
        """
        specs = {name: spec for place in self.places().values() for name, spec in place.features.items()}
        if not self.batch_norm or self.fusion.takes_maps:
            return specs
        return {name: replace(spec, channels=spec.size, height=None, width=None) for name, spec in specs.items()}


@dataclass(frozen=True)
class Place:
    """A branch in its network: the shape that it sees, the map gone on from in a cascade, and its features by name.

    `macs`: multiply-accumulates to the deepest layer that is used, `whole`: to the deepest that there is.
    """

    sees: ImageShape
    onward: FeatureSpec
    features: Mapping[str, FeatureSpec]
    macs: int
    whole: int


def _feature_name(branch: str, tap: str) -> str:
    """A name that a module can have; taps of networks of one's own have points in theirs."""
    return f"{branch}_{tap.replace('.', '_')}"


def _possible(name: str) -> bool:
    """Whether a branch or feature can be called so, beside what modules and this network have names for."""
    return name.isidentifier() and not hasattr(nn.ModuleDict(), name) and name != FUSED


class FusionNet(nn.Module):
    """Images -> logits through one or more branches, their fusion and a head.

    Weights are drawn from torch's global generator; `seeded_model` draws them from a seed instead. `macs` are
    multiply-accumulates of one forward pass on one image.
    """

    votes: Tensor

    def __init__(self, config: FusionNetConfig) -> None:
        super().__init__()
        self.config = config
        places = config.places()
        branches = {name: branch.build(places[name].sees) for name, branch in config.branches.items()}
        self.branches = nn.ModuleDict(branches)
        self.macs = sum(place.macs for place in places.values())
        self.taps = {
            name: {feature: spec.name for feature, spec in place.features.items()} for name, place in places.items()
        }
        self.given = {name: spec for place in places.values() for name, spec in place.features.items()}
        specs = config.fused_specs()
        self.norms = nn.ModuleDict()
        if config.batch_norm:
            self.norms = nn.ModuleDict({name: batch_norm(spec) for name, spec in specs.items()})
        self.fusion: Fusion | None = None
        self.head: Head | None = None
        if config.fusion.joint:
            self.fusion = config.fusion.build(list(specs.values()))
            self.head = Head(self.fusion.out_features, config.hidden, config.classes)
            self.macs += self.fusion.macs + self.head.macs
        self.heads = nn.ModuleDict()
        if config.branch_heads:
            hidden = () if config.fusion.joint else config.hidden
            heads = {name: Head(spec.size, hidden, config.classes) for name, spec in specs.items()}
            self.heads = nn.ModuleDict(heads)
            self.macs += sum(head.macs for head in heads.values())
            share = 0.5 if config.fusion.joint else 1.0
            votes = torch.full((len(heads),), share / len(heads))
            self.register_buffer("votes", torch.cat([torch.tensor([0.5]), votes]) if config.fusion.joint else votes)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Logits, in training and in evaluation alike."""
        return self.combined(self.opinions(x))

    def opinions(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Float[Tensor, "batch classes"]]:
        """The logits of the head over the fused vector, as `fused`, and those of each feature's own head, by its name.

        Without branch heads there is only `fused`, and with late fusion there are only these. They come in the order
        of `votes`, the number that each one's log-probabilities count for.
        """
        return self.opinions_on(self.branch_features(x))

    def opinions_on(self, features: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "batch classes"]]:
        """As `opinions`, from the branches' features, which `branch_features` gives."""
        logits = {}
        if self.fusion is not None and self.head is not None:
            logits[FUSED] = self.head(self.fusion(list(features.values())))
        return logits | {name: head(flatten(features[name])) for name, head in self.heads.items()}

    @property
    def voters(self) -> list[str]:
        """The names of `opinions`, in their order."""
        return [*([FUSED] if self.config.fusion.joint else []), *self.heads]

    def combined(self, opinions: Mapping[str, Float[Tensor, "batch classes"]]) -> Float[Tensor, "batch classes"]:
        """One opinion is the answer; of several, their log-probabilities are added, each times its vote."""
        return voted(list(opinions.values()), self.votes) if self.heads else opinions[FUSED]

    def branch_features(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """The features that the fusion takes, by name (see `fused_specs`), normalised where the network does so."""
        return self.features_from(x, list(self.config.branches))[0]

    def features_from(
        self, x: Float[Tensor, "batch channels height width"], branches: Sequence[str]
    ) -> tuple[dict[str, Tensor], Float[Tensor, "batch onward_channels onward_height onward_width"]]:
        """The features of these branches alone, which follow each other, and what the branch after them sees.

        `x` is what the first of them sees. What comes out is the image again in a parallel network, maps in a cascade.
        """
        features = {}
        *followed, _ = self.config.branches
        for name in branches:
            taps = self.branches[name](x)
            for feature in self.taps[name]:
                value = _declared(name, taps, self.given[feature])
                features[feature] = self._normalised(feature, value) if self.config.batch_norm else value
            if self.config.topology == "cascade" and name in followed:
                x = taps[self.config.branches[name].onward]
        return features, x

    def _normalised(self, name: str, feature: Tensor) -> Tensor:
        normal: Tensor = self.norms[name](feature if self.config.fusion.takes_maps else flatten(feature))
        return normal


def _declared(branch: str, taps: object, spec: FeatureSpec) -> Tensor:
    """A tap of a branch; raises ShapeError where one's own branch gives another than its `features` say."""
    value = taps.get(spec.name) if isinstance(taps, dict) else taps
    if not isinstance(taps, dict) or not isinstance(value, Tensor) or tuple(value.shape[1:]) != spec.shape:
        got = tuple(value.shape[1:]) if isinstance(value, Tensor) else value
        raise ShapeError(
            f"branch {branch!r} should give a dict with {spec.name!r} of shape {spec.shape} for each image, as its "
            f"features say; got {type(taps).__name__} with {got}"
        )
    return value


def batch_norm(spec: FeatureSpec) -> nn.BatchNorm1d | nn.BatchNorm2d:
    """Batch normalisation of a feature: each number of a vector by itself, each channel of a map."""
    return LoneNorm1d(spec.channels) if spec.height is None else LoneNorm2d(spec.channels)


class Head(nn.Module):
    """Fused vector -> logits: dense layers with ReLU between them. `macs` are for one image."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], classes: int) -> None:
        super().__init__()
        sizes = (inputs, *hidden, classes)
        self.layers = nn.ModuleList(glorot_linear(before, after) for before, after in pairwise(sizes))
        self.macs = sum(before * after for before, after in pairwise(sizes))

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch classes"]:
        """Logits."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        logits: Tensor = self.layers[-1](x)
        return logits


def seeded_model(config: FusionNetConfig, seed: int) -> FusionNet:
    """A FusionNet whose first weights depend on `seed` alone; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return FusionNet(config)


def weightless_model(config: FusionNetConfig) -> FusionNet:
    """A FusionNet with shapes and no memory behind them: to count it, or to lay loaded weights into it."""
    with torch.device("meta"):
        return FusionNet(config)


def lacks_memory(model: nn.Module) -> bool:
    """Whether some tensor of a model made without memory still has none: a buffer or a constant that no file holds."""
    there = [*model.parameters(), *model.buffers()]
    there += [value for part in model.modules() for value in vars(part).values() if isinstance(value, Tensor)]
    return any(tensor.is_meta for tensor in there)
