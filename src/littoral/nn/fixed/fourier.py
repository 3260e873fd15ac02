"""Fourier transforms of maps and back, by torch's, or by matrix products where a graph for other runtimes is made.

Such graphs have no complex numbers and slow transforms, if any. Complex maps are real ones here, twice as wide: real
and imaginary parts side by side.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def spectrum(maps: Float[Tensor, "*maps high wide"]) -> Float[Tensor, "*maps high pairs"]:
    """The two-dimensional Fourier transform of real maps."""
    if not torch.compiler.is_exporting():
        return torch.view_as_real(torch.fft.fft2(maps)).flatten(-2)
    (cos, sin), (cos_down, sin_down) = _waves(maps.shape[-1]), _waves(maps.shape[-2])
    # (cos - i sin) along each side; the second product is -i times the first
    return cos_down @ (maps @ _pairs(cos, -sin)) + sin_down @ (maps @ _pairs(-sin, -cos))


def squared_lengths(pairs: Float[Tensor, "*maps high pairs"]) -> Float[Tensor, "*maps high wide"]:
    """The squared lengths of the complex maps that a spectrum comes from."""
    high, wide = pairs.shape[-2], pairs.shape[-1] // 2
    if not torch.compiler.is_exporting():
        back = torch.fft.ifft2(torch.view_as_complex(pairs.reshape(*pairs.shape[:-1], wide, 2)))
        energy: Tensor = back.real.square() + back.imag.square()
        return energy
    (cos, sin), (cos_down, sin_down) = _waves(wide), _waves(high)
    # (cos + i sin) along each side; the second product is i times the first
    across = torch.stack([_pairs(cos, sin), _pairs(-sin, cos)], dim=1).flatten(0, 1)
    turned = torch.stack([_pairs(-sin, cos), _pairs(-cos, -sin)], dim=1).flatten(0, 1)
    back = (cos_down @ (pairs @ across) + sin_down @ (pairs @ turned)) / (high * wide)
    squares = back.square()
    return squares[..., 0::2] + squares[..., 1::2]


def _waves(side: int) -> tuple[Float[Tensor, "side side"], Float[Tensor, "side side"]]:
    """Cosine and sine of 2π k n / side."""
    steps = torch.arange(side, dtype=torch.float64)
    turns = (steps[:, None] * steps % side) * (2 * math.pi / side)
    return turns.cos().float(), turns.sin().float()


def _pairs(real: Float[Tensor, "side side"], imaginary: Float[Tensor, "side side"]) -> Float[Tensor, "side pairs"]:
    return torch.stack([real, imaginary], dim=-1).flatten(1)
