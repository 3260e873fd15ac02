"""A network -> one that answers alike with fewer operations, since a small network's time in a runtime goes into calls.

The exported graph is made of it. Leaves to others: the graph (network.py), and the proof that it agrees (parity.py).
"""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from littoral.nn.calibrated import CalibratedNet
from littoral.nn.fusion.concat import Concat
from littoral.nn.model import FusionNet


class Affine(nn.Module):
    """`x · scale + shift`, number by number."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Float[Tensor, " size"], shift: Float[Tensor, " size"]) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Float[Tensor, "batch size"]) -> Float[Tensor, "batch size"]:
        """The same shape."""
        return x * self.scale + self.shift


def folded(network: CalibratedNet) -> CalibratedNet:
    """A copy in evaluation mode with the same answers but for rounding; its `heads` are gone where they could be.

    A batch normalisation of vectors is a product and a sum, which ONNX Runtime does in a third of the time.
    """
    made = copy.deepcopy(network).eval()
    inner = made.network
    for name, norm in inner.norms.items():
        if isinstance(norm, nn.BatchNorm1d):
            inner.norms[name] = affine(norm)
    fold_heads(inner)
    return made


@torch.no_grad()
def affine(norm: nn.BatchNorm1d) -> Affine:
    """A batch normalisation as it is after the training: γ (x - μ) / √(σ² + ε) + β."""
    assert norm.running_var is not None  # it keeps statistics
    assert norm.running_mean is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - norm.running_mean.double() * scale
    return Affine(scale.float(), shift.float())


@torch.no_grad()
def fold_heads(network: FusionNet) -> None:
    """Lay linear heads that vote, over features and over their concatenation, into one head over the latter.

    Σ v_i log softmax(W_i x_i + b_i) is Σ v_i (W_i x_i + b_i) less a number that is the same for all classes, which
    changes no softmax. Networks with other heads or another fusion stay as they are.
    """
    joint = network.head
    if joint is None or not network.heads or not isinstance(network.fusion, Concat) or len(joint.layers) > 1:
        return
    over_all = joint.get_submodule("layers.0")
    weight, bias = over_all.get_parameter("weight"), over_all.get_parameter("bias")
    first, *rest = network.votes.double().tolist()
    weights, total = [], first * bias.double()
    for vote, head in zip(rest, network.heads.values(), strict=True):
        line = head.get_submodule("layers.0")
        weights.append(vote * line.get_parameter("weight").double())
        total += vote * line.get_parameter("bias").double()
    weight.copy_(first * weight.double() + torch.cat(weights, dim=1))
    bias.copy_(total)
    network.heads = nn.ModuleDict()
