"""Wavelet scattering of order 2: what stripes of each width and direction there are, and what those are made of.

Its coefficients change little when an image is moved or bent by less than the coarsest scale. Bruna and Mallat,
Invariant scattering convolution networks, PAMI 2013.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from littoral.errors import InputError, ShapeError
from littoral.nn.fixed.base import FixedBranch, FixedConfig
from littoral.nn.fixed.fourier import spectrum, squared_lengths
from littoral.nn.fixed.wavelets import morlets, padding, smoothing
from littoral.specs import FeatureSpec, ImageShape

PART = 2**17
"""Pixels, times directions, that are worked on at a time, so that maps stay near the processor."""


class Filters(NamedTuple):
    """What an image is filtered with. A scale s, from 0 to J - 1, has maps of 1 / 2^s of the padded sides.

    `waves`: for each scale the Morlet wavelets in L directions, in the frequency domain. `down` and `across`: for each
    scale the matrices that smooth a map of that scale, take each 2^(J-s)-th place of it and leave out the padding.
    """

    waves: Sequence[Float[Tensor, "angles high wide"]]
    down: Sequence[Float[Tensor, "rows high"]]
    across: Sequence[Float[Tensor, "columns wide"]]


def scattering(
    images: Float[Tensor, "batch channels height width"], filters: Filters
) -> Float[Tensor, "batch coefficients rows columns"]:
    """For each channel: image ⋆ φ, then |image ⋆ ψ| ⋆ φ of each wavelet ψ, then ||image ⋆ ψ| ⋆ ψ'| ⋆ φ of each pair.

    φ is the Gaussian that `down` and `across` smooth with, and ψ' is wider than ψ; each 2^J-th place is kept. The paths
    go scale by scale and direction by direction, ψ before ψ', as those of kymatio's `Scattering2D`, whose coefficients
    these are, but that π is 3.1415 there. The gradient of an even part is 0.
    """
    channels = images.shape[1]
    scales, angles = len(filters.waves), len(filters.waves[0])
    if images.shape[0] == 0:  # which Fourier transforms refuse
        return images.new_zeros(0, channels * paths(scales, angles), len(filters.down[0]), len(filters.across[0]))
    tops, lefts = padding(images.shape[2], scales), padding(images.shape[3], scales)
    padded = F.pad(images, (*lefts, *tops), mode="reflect").flatten(0, 1)
    if torch.compiler.is_exporting():  # a graph holds for any number of images, and has no parts
        maps = _scattered(padded, filters)
        return maps.reshape(-1, channels * maps.shape[1], *maps.shape[2:])
    count = max(1, PART // (angles * padded.shape[1] * padded.shape[2]))
    maps = torch.cat([_scattered(padded[start : start + count], filters) for start in range(0, len(padded), count)])
    return maps.reshape(-1, channels * maps.shape[1], *maps.shape[2:])


def _scattered(images: Float[Tensor, "batch high wide"], filters: Filters) -> Float[Tensor, "batch paths rows columns"]:
    """All paths of padded images of one channel."""
    pairs = spectrum(images).unsqueeze(1)
    scales = range(len(filters.waves))
    orders, second = [_smoothed(images.unsqueeze(1), filters, 0)], []
    for scale in scales:
        first = lengths(pairs, filters.waves[scale], scale)
        orders.append(_smoothed(first, filters, scale))
        if scale == scales[-1]:
            break
        again = spectrum(first).unsqueeze(2)
        wider = [
            _smoothed(lengths(again, _lowest(filters.waves[other], scale), other - scale), filters, other)
            for other in scales[scale + 1 :]
        ]
        second.append(torch.cat(wider, dim=2).flatten(1, 2))
    return torch.cat([*orders, *second], dim=1)


def paths(scales: int, angles: int) -> int:
    """The number of coefficients at each place, 1 + JL + L² J (J - 1) / 2."""
    return 1 + scales * angles + angles**2 * (scales * (scales - 1) // 2)


def lengths(
    pairs: Float[Tensor, "*maps high pairs"], waves: Float[Tensor, "angles high wide"], halvings: int
) -> Float[Tensor, "*outputs rows columns"]:
    """The lengths of a map's complex answers to some wavelets, at each 2^halvings-th place down and across.

    To take each second place is to add up the quarters of a spectrum, which leaves a smaller one to transform back.
    """
    # the first quarters are added as they are made, to touch little memory
    factors = (waves * 0.25**halvings).repeat_interleave(2, dim=-1)
    answers = pairs * factors if halvings == 0 else _sum_of_products(_quarters(pairs), _quarters(factors))
    for _ in range(halvings - 1):
        upper_left, upper_right, lower_left, lower_right = _quarters(answers)
        answers = upper_left + upper_right + (lower_left + lower_right)
    # even parts are kept off 0, where the root's slope is without bound
    return squared_lengths(answers).clamp_min(1e-24).sqrt()


def _sum_of_products(ones: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    total = ones[0] * others[0]
    for one, other in zip(ones[1:], others[1:], strict=True):
        total = torch.addcmul(total, one, other)
    return total


def _quarters(maps: Float[Tensor, "*maps high wide"]) -> list[Tensor]:
    high, wide = maps.shape[-2] // 2, maps.shape[-1] // 2
    return [
        part for half in (maps[..., :high, :], maps[..., high:, :]) for part in (half[..., :wide], half[..., wide:])
    ]


def _smoothed(
    maps: Float[Tensor, "*maps high wide"], filters: Filters, scale: int
) -> Float[Tensor, "*maps rows columns"]:
    return filters.down[scale] @ maps @ filters.across[scale].T


def _lowest(waves: Float[Tensor, "angles high wide"], halvings: int) -> Float[Tensor, "angles rows columns"]:
    """The wavelets on maps of 1 / 2^halvings of the sides: without the frequencies that these do not have."""
    if halvings == 0:
        return waves
    high, wide = waves.shape[1] >> halvings + 1, waves.shape[2] >> halvings + 1
    waves = torch.cat([waves[:, :high], waves[:, -high:]], dim=1)
    return torch.cat([waves[..., :wide], waves[..., -wide:]], dim=2)


def filter_arrays(height: int, width: int, scales: int, angles: int) -> tuple[list[np.ndarray], ...]:
    """The fields of `Filters` for images of these sides, with J = `scales` and L = `angles`, in double precision."""
    high, wide = height + sum(padding(height, scales)), width + sum(padding(width, scales))
    return (
        [morlets(high, wide, scale, angles) for scale in range(scales)],
        [smoothing(high, scale, scales) for scale in range(scales)],
        [smoothing(wide, scale, scales) for scale in range(scales)],
    )


@dataclass(frozen=True)
class ScatteringConfig(FixedConfig):
    """Coefficients of orders 0, 1 and 2 with wavelets of `scales` widths, each twice the one before, in `angles` ways.

    With J the scales and L the angles, each channel has 1 + JL + L² J (J - 1) / 2 maps of 1 / 2^J of the image's sides.
    """

    scales: int = 2
    angles: int = 8
    type: Literal["scattering"] = "scattering"

    def __post_init__(self) -> None:
        # with fewer directions a wavelet is so broad across its wave that sampling would show
        if not 1 <= self.scales <= 6 or not 4 <= self.angles <= 16:
            raise InputError(f"a scattering branch needs 1 to 6 scales and 4 to 16 angles, got {self}")

    @property
    def onward(self) -> str:
        """The coefficients."""
        return "coefficients"

    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """One tap. Its smoothing is counted, being matrix products; the two to four times as many operations of its
        Fourier transforms and of the products with wavelets are not. Raises ShapeError for sides of 2^scales or fewer.
        """
        self._check(image_shape)
        channels, height, width = image_shape
        high, wide = height + sum(padding(height, self.scales)), width + sum(padding(width, self.scales))
        rows, columns = height // 2**self.scales, width // 2**self.scales
        macs = 0
        for scale in range(self.scales):
            maps = (scale == 0) + self.angles + scale * self.angles**2
            macs += channels * maps * rows * (wide >> scale) * ((high >> scale) + columns)
        return [FeatureSpec("coefficients", channels * paths(self.scales, self.angles), rows, columns, macs)]

    def build(self, image_shape: ImageShape) -> ScatteringBranch:
        """A branch for images of this shape; it has no weights. Raises ShapeError for sides of 2^scales or fewer."""
        self._check(image_shape)
        return ScatteringBranch(self, image_shape)

    def _check(self, image_shape: ImageShape) -> None:
        if min(image_shape[1:]) <= 2**self.scales:
            raise ShapeError(
                f"a scattering branch of {self.scales} scales needs sides of more than {2**self.scales} pixels, "
                f"got {image_shape[1]}×{image_shape[2]}; take fewer scales or larger images"
            )


class ScatteringBranch(FixedBranch):
    """Tap `coefficients`: all paths of the first channel first."""

    def __init__(self, config: ScatteringConfig, image_shape: ImageShape) -> None:
        super().__init__(config.type, image_shape)
        self.config = config
        for name, arrays in zip(
            Filters._fields, filter_arrays(*image_shape[1:], config.scales, config.angles), strict=True
        ):
            for scale, array in enumerate(arrays):
                # from NumPy, so that filters are there even where a network is made without memory behind its weights
                self.register_buffer(f"{name}{scale}", torch.from_numpy(array.astype(np.float32)), persistent=False)

    def computed(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """The one tap."""
        constants = list(self.buffers())
        scales = self.config.scales
        filters = Filters(constants[:scales], constants[scales : 2 * scales], constants[2 * scales :])
        return {"coefficients": scattering(x, filters)}
