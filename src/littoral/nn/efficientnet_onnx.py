"""EfficientNet-Lite0 -> an ONNX graph, written layer by layer, so that ONNX Runtime can compute its taps.

torch's exporter would do the same in a quarter of a minute; this takes some hundredths of a second. An exported model
(`deploy/`) is the exporter's all the same: it holds whatever else there is in a network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from littoral.nn.efficientnet_lite import Conv, EfficientNetLite0
from littoral.nn.network import Tapped

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

IMAGES = "images"
"""The graph's input, float32 (batch, 3, height, width), normalised; its outputs go by the names of the taps."""

OPSET, IR_VERSION = 17, 8
"""Old enough for every ONNX Runtime that runs on Python 3.11."""

ZERO, SIX = "zero", "six"


@dataclass
class Writer:
    """The nodes and constants of a graph as it grows. Each node gives one value, by a name of its own."""

    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: np.ndarray) -> str:
        """An array that is part of the graph."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def convolution(self, conv: Conv, value: str) -> str:
        """A convolution with its bias; SAME_UPPER is the padding of `efficientnet_lite.padded`."""
        from onnx import helper

        name = f"convolution{len(self.nodes)}"
        weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
        inputs = [
            value,
            self.constant(f"{name}.weight", weight.reshape(*weight.shape[:2], conv.kernel, conv.kernel)),
            self.constant(f"{name}.bias", bias),
        ]
        sides, strides = [conv.kernel] * 2, [conv.stride] * 2
        self.nodes.append(
            helper.make_node(
                "Conv", inputs, [name], kernel_shape=sides, strides=strides, group=conv.groups, auto_pad="SAME_UPPER"
            )
        )
        return name

    def relu6(self, value: str) -> str:
        """Cut off at 0 and 6."""
        return self.elementwise("Clip", value, ZERO, SIX)

    def elementwise(self, operator: str, *inputs: str) -> str:
        """Any operator without settings."""
        from onnx import helper

        name = f"{operator}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name]))
        return name


def lite0_graph(network: Tapped) -> bytes:
    """The content of an ONNX file that gives the network's taps from `IMAGES`, for images of any number and size."""
    from onnx import TensorProto, helper

    assert isinstance(network, EfficientNetLite0)
    graph = Writer()
    graph.constant(ZERO, np.array(0, np.float32))
    graph.constant(SIX, np.array(6, np.float32))
    value = graph.relu6(graph.convolution(network.stem, IMAGES))
    given = {"stem": value}
    for number, stage in enumerate(network.stages, start=1):
        for block in stage:  # type: ignore[attr-defined]
            inner = value if block.expand is None else graph.relu6(graph.convolution(block.expand, value))
            out = graph.convolution(block.project, graph.relu6(graph.convolution(block.depthwise, inner)))
            value = graph.elementwise("Add", out, value) if block.adds else out
        given[f"stage{number}"] = value
    if network.top is not None:
        given["top"] = graph.relu6(graph.convolution(network.top, value))
    for tap in network.taps:
        graph.nodes.append(helper.make_node("Identity", [given[tap]], [tap]))
    images = helper.make_tensor_value_info(IMAGES, TensorProto.FLOAT, ["batch", 3, "height", "width"])
    taps = [helper.make_tensor_value_info(tap, TensorProto.FLOAT, None) for tap in network.taps]
    written = helper.make_graph(graph.nodes, "efficientnet-lite0", [images], taps, graph.constants)
    opset = [helper.make_opsetid("", OPSET)]
    content: bytes = helper.make_model(written, opset_imports=opset, ir_version=IR_VERSION).SerializeToString()
    return content
