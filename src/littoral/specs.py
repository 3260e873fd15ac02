"""What travels between rooms: the form of the images a model takes, and of the features a branch gives.

Plain frozen dataclasses without torch, so that `images/` and `nn/` can both speak of them without knowing each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from littoral.errors import InputError

Resize = Literal["pad", "stretch", "crop"]
"""How an image of another size is brought to a model's size."""

ImageShape = tuple[int, int, int]
"""(channels, height, width) of one image as a network sees it."""


@dataclass(frozen=True)
class ImageSpec:
    """The images that a model was trained with; it is stored in the model file beside the weights.

    A stored image is uint8, height × width × channels (1 or 3). The network sees `(pixel / 255 - mean) / std`, channel
    by channel. `resize` names how an image of another size is brought to this one: `pad` keeps the whole picture and
    fills the rest with the mean of the picture's own border, `stretch` keeps the whole picture and not its proportions,
    `crop` keeps the proportions and cuts off what hangs over, alike on both sides.

    `value_range`: the numbers that pixels 0 and 255 stand for where a model was fitted on arrays of other numbers, such
    as (0.0, 1.0); values between are rounded to the nearest of the 256 levels, values outside become the nearest end.
    """

    height: int
    width: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Resize = "pad"
    value_range: tuple[float, float] = (0.0, 255.0)

    __pydantic_config__ = {"extra": "forbid"}  # an unknown field in a model file is refused, not dropped

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise InputError(f"an image needs a positive height and width, got {self.height}×{self.width}")
        if self.channels not in (1, 3):
            raise InputError(f"an image has 1 or 3 channels, got {self.channels}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels or not all(math.isfinite(v) for v in values):
                raise InputError(f"{name} needs {self.channels} finite value(s), one a channel, got {values}")
        if min(self.std) <= 0:
            raise InputError(f"std must be positive, got {self.std}")
        low, high = self.value_range
        if not (math.isfinite(high - low) and low < high):
            raise InputError(f"value_range needs a finite low below a finite high, got {self.value_range}")

    @classmethod
    def unit(cls, height: int, width: int, channels: int) -> ImageSpec:
        """A spec that only divides pixels by 255, as the published network does."""
        return cls(height, width, channels, mean=(0.0,) * channels, std=(1.0,) * channels)

    @property
    def shape(self) -> ImageShape:
        """(channels, height, width), the order in which networks take it."""
        return (self.channels, self.height, self.width)


@dataclass(frozen=True)
class FeatureSpec:
    """One tap of a branch: a map (channels × height × width) or, with no height and width, a vector of channels.

    `macs` are the multiply-accumulates from the branch's input up to and including this tap, for one image.
    """

    name: str
    channels: int
    height: int | None
    width: int | None
    macs: int

    def __post_init__(self) -> None:
        if (self.height is None) != (self.width is None):
            raise InputError(f"feature {self.name} needs both height and width (a map) or neither (a vector)")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the feature's tensor for one image: (channels, height, width), or (channels,) for a vector."""
        if self.height is None or self.width is None:
            return (self.channels,)
        return (self.channels, self.height, self.width)

    @property
    def map_shape(self) -> ImageShape:
        """(channels, height, width) of a map; raises InputError for a vector."""
        if self.height is None or self.width is None:
            raise InputError(f"feature {self.name} is a vector of {self.channels}, expected a map")
        return (self.channels, self.height, self.width)

    @property
    def size(self) -> int:
        """Number of values for one image."""
        return math.prod(self.shape)
