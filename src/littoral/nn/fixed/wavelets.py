"""The filters of the scattering transform, in NumPy: Morlet wavelets by their frequencies, and a smoothing Gaussian.

They are those of kymatio, but that π is 3.1415 there: its order n is (π / 3.1415)^(n + 1) times as large as ours.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from jaxtyping import Float


def padding(side: int, scales: int) -> tuple[int, int]:
    """How much of a side is reflected before and after it, half of 2^J to all of it: then 2^J divides the whole."""
    more = (side // 2**scales + 2) * 2**scales - side
    return more // 2, more - more // 2


def morlets(high: int, wide: int, scale: int, angles: int) -> Float[np.ndarray, "angles high wide"]:
    """The Morlet wavelets of a scale s in the frequency domain: a Gaussian times a wave, less a Gaussian, with sum 0.

    The deviation is 0.8 · 2^s along the wave and angles / 4 times this across it; the wave has 3π/4 / 2^s radians a
    pixel.
    """
    down, across = _frequencies(high, high)[:, None], _frequencies(wide, wide)[None, :]
    deviation, wave, slant = 0.8 * 2**scale, 0.75 * math.pi / 2**scale, 4 / angles
    found = []
    for number in range(angles):
        angle = ((angles - 2) // 2 - number) * math.pi / angles
        still = _bell(down, across, deviation, angle, slant)
        moved = _bell(down - wave * math.cos(angle), across - wave * math.sin(angle), deviation, angle, slant)
        found.append(moved - moved[0, 0] / still[0, 0] * still)
    return np.stack(found)


def smoothing(side: int, scale: int, scales: int) -> Float[np.ndarray, "rows high"]:
    """The matrix that smooths a map of a scale with a Gaussian of 0.8 · 2^(J-1) pixels and takes each 2^J-th pixel.

    `side`: the padded image's, in pixels. The first and the last row, which see padding most, are left out.
    """
    high = side // 2**scale
    deviation = 0.8 * 2 ** (scales - 1)
    spectrum = np.exp(-(deviation**2) / 2 * (_frequencies(high, side)[:, None] + _TURNS) ** 2).sum(1)
    kernel = np.fft.ifft(spectrum).real
    places = np.arange(1, side // 2**scales - 1) * 2 ** (scales - scale)
    matrix: np.ndarray = kernel[(places[:, None] - np.arange(high)) % high]
    return matrix


_TURNS = np.array([-2 * np.pi, 0, 2 * np.pi])
"""A sampled function has the frequencies beyond half a wave a pixel too, a full turn away."""


def _frequencies(count: int, side: int) -> Float[np.ndarray, "..."]:
    """The lowest frequencies of a side, in radians a pixel, in the order of the Fourier transform."""
    frequencies: np.ndarray = np.fft.fftfreq(count, 1 / count) * (2 * np.pi / side)
    return frequencies


def _bell(
    down: Float[np.ndarray, "high 1"], across: Float[np.ndarray, "1 wide"], deviation: float, angle: float, slant: float
) -> Float[np.ndarray, "high wide"]:
    """The Fourier transform of a Gaussian with this deviation along the angle, and deviation / slant across it."""
    total = np.zeros((len(down), across.shape[1]))
    for turn, other in product(_TURNS, repeat=2):
        along = math.cos(angle) * (down + turn) + math.sin(angle) * (across + other)
        beside = math.cos(angle) * (across + other) - math.sin(angle) * (down + turn)
        total += np.exp(-(deviation**2) / 2 * (along**2 + (beside / slant) ** 2))
    return total
