"""A pretrained network as a deep branch: named taps at every stage, pooled to vectors or as maps.

What it sees are pixels of 0 to 1, as every branch does; the network's own normalisation is done here and nowhere else.
Leaves to others: the networks (`networks.py`) and their weights (`weights.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from littoral.errors import InputError, ShapeError
from littoral.nn.branch import Branch, BranchConfig
from littoral.nn.layers import in_float32
from littoral.nn.network import Network, chosen
from littoral.nn.networks import get_network
from littoral.specs import FeatureSpec, ImageShape

Pool = Literal["mean", "max", "std"]

PIXELS_AT_ONCE = 8 * 160 * 160
"""A CPU runs larger batches in parts of so many pixels, whose maps stay near it: 32 at once took 1.4 times as long."""

LARGEST = 4096
"""The longest side that images may be scaled up to."""

LEAST_VARIANCE = 1e-12  # the root's slope is without bound at 0


def pooled_over_places(
    maps: Float[Tensor, "batch channels height width"], pools: tuple[Pool, ...]
) -> Float[Tensor, "batch size"]:
    """Mean, maximum or standard deviation of each channel over all places, one after the other as `pools` has them."""
    places = maps.flatten(2)
    found = {
        "mean": lambda: places.mean(2),
        "max": lambda: places.amax(2),
        "std": lambda: _variance(places).clamp_min(LEAST_VARIANCE).sqrt(),
    }
    return torch.cat([found[pool]() for pool in pools], dim=1)


def _variance(places: Float[Tensor, "batch channels places"]) -> Float[Tensor, "batch channels"]:
    """A tenth of the time of torch's own, whose one pass over the numbers is not vectorised."""
    return (places - places.mean(2, keepdim=True)).square().mean(2)


@dataclass(frozen=True)
class BackboneConfig(BranchConfig):
    """`network`: `efficientnet-lite0`, `timm:NAME`, or the name that `register_network` was given.

    `taps`: its stages to give, in order of depth; a fusion takes the last, or those that FusionNetConfig names.
    `pools`: each map becomes a vector of these over all places, one after the other; () leaves it a map. `tuned`: the
    weights learn, from the pretrained ones on; else they are frozen, and no gradient passes. Either way batch
    normalisation keeps the means and variances that it has, and nothing is dropped out. `least`: images whose longer
    side is shorter are scaled up to it, in proportion and bilinearly, since networks that were trained on large images
    see little in small ones.
    """

    network: str = "efficientnet-lite0"
    taps: tuple[str, ...] = ("top",)
    pools: tuple[Pool, ...] = ("mean",)
    tuned: bool = False
    least: int = 0
    type: Literal["backbone"] = "backbone"

    def __post_init__(self) -> None:
        if not self.taps or len(set(self.taps)) < len(self.taps):
            raise InputError(f"a backbone needs one or more different taps, got {self.taps}")
        if len(set(self.pools)) < len(self.pools) or not set(self.pools) <= {"mean", "max", "std"}:
            raise InputError(f"pools must be different ones of mean, max and std, got {self.pools}")
        if not 0 <= self.least <= LARGEST:
            raise InputError(f"a backbone scales images up to a side of 0 to {LARGEST} pixels, got {self.least}")

    @property
    def onward(self) -> str:
        """The last tap; a cascade can go on from it where it is a map."""
        return self.taps[-1]

    @property
    def fixed(self) -> bool:
        """Whether it is frozen."""
        return not self.tuned

    @property
    def given(self) -> str | None:
        """The network, where it is frozen."""
        return None if self.tuned else "network."

    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """One spec a tap."""
        if image_shape[0] not in (1, 3):
            raise ShapeError(f"a backbone takes images of 1 or 3 channels, got {image_shape}: it has to come first")
        stages = get_network(self.network).stages((3, *self.seen(image_shape)))
        return [self._given(stage) for stage in chosen(self.network, stages, self.taps)]

    def build(self, image_shape: ImageShape) -> Backbone:
        """A branch with the pretrained weights."""
        return Backbone(self, image_shape, get_network(self.network))

    def with_taps_of(self, other: BranchConfig, image_shape: ImageShape) -> BranchConfig | None:
        """The same network with the taps of both, where nothing else differs and it learns nothing."""
        if not isinstance(other, BackboneConfig) or self.tuned or replace(other, taps=self.taps) != self:
            return None
        stages = get_network(self.network).stages((3, *self.seen(image_shape)))
        names = tuple(stage.name for stage in stages if stage.name in {*self.taps, *other.taps})
        return replace(self, taps=names)

    def seen(self, image_shape: ImageShape) -> tuple[int, int]:
        """Height and width of the images as the network sees them."""
        height, width = image_shape[1:]
        factor = max(1.0, self.least / max(height, width))
        return round(height * factor), round(width * factor)

    def _given(self, stage: FeatureSpec) -> FeatureSpec:
        if stage.height is None or not self.pools:
            return stage
        return FeatureSpec(stage.name, stage.channels * len(self.pools), None, None, stage.macs)


class Backbone(Branch):
    """The taps of its description. Grey images are seen as colour with three equal channels.

    `session`: what computes the maps in place of `network`, which is kept with its weights; see `onnx_session.py`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig, image_shape: ImageShape, network: Network) -> None:
        super().__init__()
        self.config = config
        self.image_shape = image_shape
        self.session: Callable[[Tensor], dict[str, Tensor]] | None = None
        self.network = network.build(config.taps)
        self.network.requires_grad_(config.tuned)
        self.register_buffer("mean", torch.tensor(network.mean, dtype=torch.float32).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(network.std, dtype=torch.float32).view(3, 1, 1))
        self.train(self.training)

    def train(self, mode: bool = True) -> Backbone:
        """The network stays as in evaluation: batches of few labels say less of means and variances than it knows."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """Every tap by name."""
        if x.shape[1] != self.image_shape[0]:
            raise ShapeError(
                f"this backbone was built for images (channels, height, width) of {self.image_shape}, "
                f"got {tuple(x.shape[1:])}; bring the images to that shape"
            )
        if torch.compiler.is_exporting():  # a graph holds for any number of images, and has no parts
            return self._taps(x)
        if not len(x):  # of which several of torch's operations make nothing, or a warning
            return {tap: value[:0] for tap, value in self.forward(x.new_zeros(1, *x.shape[1:])).items()}
        if self.config.tuned and torch.is_grad_enabled():
            return self._taps(x)
        with torch.no_grad(), in_float32(x):
            height, width = self.config.seen(_shape(x))
            at_once = len(x) if x.is_cuda else max(1, PIXELS_AT_ONCE // (height * width))
            if len(x) <= at_once:
                return self._taps(x)
            parts = [self._taps(part) for part in torch.split(x, at_once)]
            return {tap: torch.cat([part[tap] for part in parts]) for tap in parts[0]}

    def _taps(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        pools = self.config.pools
        if (seen := self.config.seen(_shape(x))) != x.shape[2:]:
            x = F.interpolate(x, seen, mode="bilinear", align_corners=False)
        session = self.session  # which another thread may take away
        if session is not None:
            x = x.contiguous()  # as it takes images, and normalising them so is faster too
        x = (x - self.mean) / self.std  # the one channel of grey images becomes three by this
        maps = self.network(x.contiguous(memory_format=torch.channels_last)) if session is None else session(x)
        return {
            tap: pooled_over_places(value, pools) if pools and value.ndim == 4 else value for tap, value in maps.items()
        }


def _shape(x: Float[Tensor, "batch channels height width"]) -> ImageShape:
    channels, height, width = x.shape[1:]
    return channels, height, width
