"""What a backbone can be made of: a pretrained network that declares its taps and builds itself with its weights.

Leaves to others: which networks there are (`networks.py`), and what a branch makes of their taps (`backbone.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from littoral.errors import InputError, ShapeError
from littoral.specs import FeatureSpec, ImageShape

Colour = tuple[float, float, float]
"""A number for red, green and blue."""


class Tapped(nn.Module, ABC):
    """A network with its weights that gives named taps."""

    @abstractmethod
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Normalised images (batch, 3, height, width) -> the taps it was built for, by name, in order of depth."""


class Network(ABC):
    """A pretrained network. It takes three channels, normalised as (pixel / 255 - `mean`) / `std`."""

    name: str
    mean: Colour
    std: Colour

    @abstractmethod
    def stages(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """All its taps for images of this shape (three channels), in order of depth; nothing is computed.

        Raises ShapeError for images that it cannot take, InputError where a library that describes it is missing.
        """

    def ends(self, taps: Sequence[str], image_shape: ImageShape) -> tuple[str, ...]:
        """The taps that its stages end at, up to the deepest of `taps`, for images of this shape (three channels)."""
        names = [stage.name for stage in self.stages(image_shape)]
        return tuple(names[: names.index(taps[-1]) + 1])

    @property
    def graph(self) -> Callable[[Tapped], bytes] | None:
        """What writes down what `build` gave, as an ONNX file from `images` to the taps by name; None: nothing does.

        Heights, widths and the number of images are open in it.
        """
        return None

    @abstractmethod
    def build(self, taps: Sequence[str]) -> Tapped:
        """The network up to the deepest of `taps` with its pretrained weights, or, under `torch.device("meta")`, none.

        Raises InputError where there are no weights, saying what to install or which file to put where.
        """


def chosen(network: str, stages: Sequence[FeatureSpec], taps: Sequence[str]) -> list[FeatureSpec]:
    """The stages named by `taps`; raises InputError, which lists the known ones, for another name or order."""
    known = {stage.name: stage for stage in stages}
    if unknown := [tap for tap in taps if tap not in known]:
        raise InputError(f"{network} has no tap {unknown[0]!r}: expected some of {', '.join(known)}")
    ordered = [name for name in known if name in taps]
    if ordered != list(taps):
        raise InputError(f"taps of {network} go by depth: expected {', '.join(ordered)}, got {', '.join(taps)}")
    return [known[tap] for tap in taps]


def on_meta() -> bool:
    """Whether new tensors get shapes and no memory, so that there is nothing to lay weights into."""
    return torch.get_default_device().type == "meta"


def as_features(tap: str, value: object) -> Tensor:
    """What a module gave as a map or a vector; tokens (batch, places, channels) as a map one place wide."""
    if isinstance(value, Tensor) and value.ndim in (2, 4):
        return value
    if isinstance(value, Tensor) and value.ndim == 3:
        return value.transpose(1, 2).unsqueeze(3)
    got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    raise InputError(f"the tap {tap!r} gives {got}, expected a map, tokens or a vector; take another")


def spec_of(name: str, value: Tensor, macs: int) -> FeatureSpec:
    """The declaration of a map or vector that a module gave."""
    height, width = value.shape[2:] if value.ndim == 4 else (None, None)
    return FeatureSpec(name, value.shape[1], height, width, macs)


@contextmanager
def counted(network: str, image_shape: ImageShape) -> Iterator[tuple[Tensor, Callable[[], int]]]:
    """Two images without memory, and a function that tells the multiply-accumulates so far for one of them.

    Two, since a batch of one is a special case to some layers. What fails inside is a ShapeError: an image too small
    for a network shows itself so.
    """
    counter = FlopCounterMode(display=False)
    try:
        with torch.device("meta"), torch.no_grad(), counter:
            yield torch.empty(2, *image_shape), lambda: counter.get_total_flops() // 4
    except (RuntimeError, AssertionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        why = next(iter(str(error).splitlines()), type(error).__name__)  # an assertion may have no words
        if "meta" in why:
            why += "; tensors that it holds, and those that it makes, have to be parameters, buffers or on x's device"
        raise ShapeError(f"{network} cannot take images (channels, height, width) of {image_shape}: {why}") from error
