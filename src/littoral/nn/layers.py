"""Layers with the published network's initial weights, its way of flattening a map, and windows over a map."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def glorot_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3×3 convolution that keeps height and width; Glorot-uniform weights, zero biases (Glorot and Bengio 2010)."""
    return _glorot(nn.Conv2d(inputs, outputs, kernel_size=3, padding=1))


def glorot_linear(inputs: int, outputs: int) -> nn.Linear:
    """A dense layer; Glorot-uniform weights, zero biases."""
    return _glorot(nn.Linear(inputs, outputs))


def glorot_weight(inputs: int, outputs: int) -> nn.Parameter:
    """The weight of a dense layer without bias, (outputs, inputs); Glorot-uniform."""
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(outputs, inputs)))


def _glorot(layer: Layer) -> Layer:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def in_float32(x: Tensor) -> AbstractContextManager[object]:
    """Within it, layers work in float32 though the training around it may not: what is fixed stays what it is."""
    return torch.autocast(x.device.type, enabled=False) if torch.is_autocast_enabled(x.device.type) else nullcontext()


class _Lone(nn.Module):
    """Batch normalisation that takes one lone number a channel too, as a batch of one image may have it.

    Such a number has no spread of its own: it is normalised as in evaluation.
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    weight: nn.Parameter
    bias: nn.Parameter
    eps: float

    def forward(self, x: Float[Tensor, "batch channels ..."]) -> Float[Tensor, "batch channels ..."]:
        """Numbers of the same shape."""
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        normal: Tensor = super().forward(x)
        return normal


class LoneNorm1d(_Lone, nn.BatchNorm1d):
    """For vectors: (batch, channels)."""


class LoneNorm2d(_Lone, nn.BatchNorm2d):
    """For maps: (batch, channels, height, width)."""


def flatten(x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch size"]:
    """A map becomes a vector, its channels varying fastest (height, width, channels); a vector stays as it is.

    That order is Keras's, and it costs no copy on maps that are channels-last in memory.
    """
    return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x


def unflattened(x: Float[Tensor, "batch size"], shape: tuple[int, ...]) -> Float[Tensor, "batch ..."]:
    """The map (channels, height, width), or the vector, that `flatten` made these of."""
    if len(shape) == 1:
        return x
    channels, height, width = shape
    return x.reshape(len(x), height, width, channels).permute(0, 3, 1, 2)


def windows(side: int, grid: int) -> tuple[int, int, int]:
    """How many windows, `grid` at most, cover a side, their distance, and their length: equal ones that may overlap."""
    count = min(side, grid)
    distance = side // count
    return count, distance, side - (count - 1) * distance


def pooled(
    x: Float[Tensor, "batch channels height width"], rows: int, columns: int
) -> Float[Tensor, "batch channels rows columns"]:
    """The means of `rows` × `columns` equal windows that cover the map; of all its places where it has fewer."""
    (down, high), (across, wide) = windows(x.shape[2], rows)[1:], windows(x.shape[3], columns)[1:]
    return F.avg_pool2d(x, (high, wide), (down, across)) if (high, wide) != (1, 1) else x
