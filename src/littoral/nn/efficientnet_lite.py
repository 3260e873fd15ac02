"""EfficientNet-Lite0, a small network pretrained on ImageNet, with a tap after each stage.

Tan and Le, EfficientNet, ICML 2019; the Lite variant has ReLU6 throughout and no squeeze-and-excitation. Batch
normalisation is a fixed scaling once training is over, so it is multiplied into the convolutions when weights are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from littoral.errors import ShapeError
from littoral.nn.network import Network, Tapped, on_meta
from littoral.nn.weights import PUBLISHED_LITE0, read_published
from littoral.specs import FeatureSpec, ImageShape

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Each stage's blocks, kernel, stride of its first block, widening inside a block, and output channels."""

STEM, TOP = 32, 1280
TAPS = ("stem", *(f"stage{number}" for number in range(1, len(STAGES) + 1)), "top")
SMALLEST = 32
EPSILON = 1e-3  # of its batch normalisation
NORM = ("weight", "bias", "running_mean", "running_var")


def padded(
    x: Float[Tensor, "batch channels height width"], kernel: int, stride: int
) -> Float[Tensor, "batch channels rows columns"]:
    """Zeros around a map so that a convolution gives ⌈side / stride⌉; TensorFlow puts the odd one right and below."""
    sides = []
    for side in (x.shape[3], x.shape[2]):
        missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        sides += [missing // 2, missing - missing // 2]
    return F.pad(x, sides)


@dataclass(frozen=True)
class Block:
    """One inverted bottleneck: 1×1 to `middle` channels, a convolution in each of them, 1×1 to `outputs`."""

    inputs: int
    middle: int
    outputs: int
    kernel: int
    stride: int


def blocks() -> list[list[Block]]:
    """The blocks of each stage."""
    stages, inputs = [], STEM
    for count, kernel, stride, widening, outputs in STAGES:
        stage = []
        for number in range(count):
            stage.append(Block(inputs, inputs * widening, outputs, kernel, stride if number == 0 else 1))
            inputs = outputs
        stages.append(stage)
    return stages


class Conv(nn.Module):
    """A convolution with bias and a zero-padded edge, `depthwise`: in each channel by itself."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, depthwise: bool = False) -> None:
        super().__init__()
        self.kernel, self.stride, self.groups = kernel, stride, inputs if depthwise else 1
        shape = (outputs, inputs) if kernel == 1 else (outputs, inputs // self.groups, kernel, kernel)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        """The map before its ReLU."""
        if torch.compiler.is_exporting() and self.kernel == 1:  # ONNX Runtime is the faster with convolutions
            return F.conv2d(x, self.weight[:, :, None, None], self.bias)
        if self.kernel == 1:  # one matrix product on channels-last memory; a tenth faster than as a convolution
            rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
            out = F.linear(rows, self.weight, self.bias)
            return out.view(x.shape[0], *x.shape[2:], -1).permute(0, 3, 1, 2)
        if self.stride == 1:
            return F.conv2d(x, self.weight, self.bias, padding=self.kernel // 2, groups=self.groups)
        x = padded(x, self.kernel, self.stride)
        return F.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)


class Bottleneck(nn.Module):
    """One block; what goes in is added to what comes out where both have one shape."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.expand = Conv(block.inputs, block.middle, 1) if block.middle > block.inputs else None
        self.depthwise = Conv(block.middle, block.middle, block.kernel, block.stride, depthwise=True)
        self.project = Conv(block.middle, block.outputs, 1)
        self.adds = block.stride == 1 and block.inputs == block.outputs

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        """The block's map, without a ReLU."""
        inner = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        out: Tensor = self.project(F.relu6(self.depthwise(inner), inplace=True))
        return out.add_(x) if self.adds else out


class EfficientNetLite0(Tapped):
    """Taps `stem`, `stage1` to `stage7` and `top`: of these the ones asked for, and no layer beyond the deepest.

    Weights are not initialised; `converted` makes them of published ones.
    """

    def __init__(self, taps: Sequence[str]) -> None:
        super().__init__()
        self.taps = tuple(taps)
        depth = max(TAPS.index(tap) for tap in taps)
        self.stem = Conv(3, STEM, 3, 2)
        self.stages = nn.ModuleList(
            nn.ModuleList(Bottleneck(block) for block in stage) for stage in blocks()[: min(depth, len(STAGES))]
        )
        self.top = Conv(STAGES[-1][-1], TOP, 1) if depth > len(STAGES) else None

    def forward(self, x: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        """The maps of the taps, in order of depth."""
        x = F.relu6(self.stem(x), inplace=True)
        given = {"stem": x}
        for number, stage in enumerate(self.stages, start=1):
            for block in stage:  # type: ignore[attr-defined]
                x = block(x)
            given[f"stage{number}"] = x
        if self.top is not None:
            given["top"] = F.relu6(self.top(x), inplace=True)
        return {tap: value for tap, value in given.items() if tap in self.taps}


def converted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published weights, named as in EfficientNet-PyTorch, for EfficientNetLite0: batch normalisation folded in."""
    sources = {"stem": ("_conv_stem", "_bn0"), "top": ("_conv_head", "_bn1")}
    number = 0
    for stage, members in enumerate(blocks()):
        for place, block in enumerate(members):
            ours, theirs = f"stages.{stage}.{place}", f"_blocks.{number}"
            parts = (("expand", "_expand_conv", "_bn0"), ("depthwise", "_depthwise_conv", "_bn1"))
            for part, conv, norm in (*parts, ("project", "_project_conv", "_bn2")):
                if part != "expand" or block.middle > block.inputs:
                    sources[f"{ours}.{part}"] = (f"{theirs}.{conv}", f"{theirs}.{norm}")
            number += 1
    weights = {}
    for name, (conv, norm) in sources.items():
        gain, bias, mean, var = (state[f"{norm}.{part}"].double() for part in NORM)
        scale = gain / (var + EPSILON).sqrt()
        folded = state[f"{conv}.weight"].double() * scale.view(-1, 1, 1, 1)
        weights[f"{name}.weight"] = (folded[:, :, 0, 0] if folded.shape[2] == 1 else folded).float().contiguous()
        weights[f"{name}.bias"] = (bias - mean * scale).float()
    return weights


class EfficientNetLite0Network(Network):
    """The network with its published weights, which the extra [pretrained] brings."""

    name = "efficientnet-lite0"
    # it was trained on (pixel - 127) / 128, not on the mean and deviation of ImageNet
    mean = (127 / 255, 127 / 255, 127 / 255)
    std = (128 / 255, 128 / 255, 128 / 255)

    def stages(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """One spec a tap."""
        if min(image_shape[1:]) < SMALLEST:
            raise ShapeError(
                f"{self.name} needs images of {SMALLEST}×{SMALLEST} pixels or more, got (channels, height, width) of "
                f"{image_shape}; give a larger size"
            )
        height, width = (-(-side // 2) for side in image_shape[1:])
        macs = 9 * 3 * STEM * height * width
        specs = [FeatureSpec("stem", STEM, height, width, macs)]
        for number, stage in enumerate(blocks(), start=1):
            for block in stage:
                if block.middle > block.inputs:
                    macs += block.inputs * block.middle * height * width
                height, width = -(-height // block.stride), -(-width // block.stride)
                macs += block.middle * (block.kernel**2 + block.outputs) * height * width
            specs.append(FeatureSpec(f"stage{number}", stage[-1].outputs, height, width, macs))
        macs += STAGES[-1][-1] * TOP * height * width
        return [*specs, FeatureSpec("top", TOP, height, width, macs)]

    def build(self, taps: Sequence[str]) -> EfficientNetLite0:
        """The network with its published weights."""
        network = EfficientNetLite0(taps)
        if not on_meta():
            weights = converted(read_published(PUBLISHED_LITE0))
            network.load_state_dict({name: weights[name] for name in network.state_dict()})
        return network

    @property
    def graph(self) -> Callable[[Tapped], bytes]:
        """See `efficientnet_onnx.py`."""
        from littoral.nn.efficientnet_onnx import lite0_graph

        return lite0_graph
