"""Layers with the published network's initial weights, and its way of flattening a map."""

from __future__ import annotations

from typing import TypeVar

from jaxtyping import Float
from torch import Tensor, nn

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def glorot_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3×3 convolution that keeps height and width; Glorot-uniform weights, zero biases (Glorot and Bengio 2010)."""
    return _glorot(nn.Conv2d(inputs, outputs, kernel_size=3, padding=1))


def glorot_linear(inputs: int, outputs: int) -> nn.Linear:
    """A dense layer; Glorot-uniform weights, zero biases."""
    return _glorot(nn.Linear(inputs, outputs))


def _glorot(layer: Layer) -> Layer:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def flatten(x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch size"]:
    """A map becomes a vector, its channels varying fastest (height, width, channels); a vector stays as it is.

    That order is Keras's, and it costs no copy on maps that are channels-last in memory.
    """
    return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x
