"""Stored pixels -> the float batch a network takes: one pure function, the same in training and in prediction."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from littoral.specs import ImageSpec


def to_input(
    images: UInt8[Tensor, "batch height width channels"], spec: ImageSpec
) -> Float[Tensor, "batch channels height width"]:
    """`(pixel / 255 - mean) / std`, channel by channel.

    The result is channels-last in memory, as the pixels are, which is how convolutions run fastest on a CPU. Channels
    are moved first: ONNX Runtime takes sixteen times as long to divide what ends in an axis of length one.
    """
    mean = torch.tensor(spec.mean, device=images.device).view(-1, 1, 1)
    std = torch.tensor(spec.std, device=images.device).view(-1, 1, 1)
    return images.permute(0, 3, 1, 2).to(torch.float32).div_(255).sub_(mean).div_(std)
