"""A graph in which no convolution computes a last row or column that the max-pool after it leaves out.

A 2×2 pool of seven rows gives three and reads six. The values of what is left are the same to the bit.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def trim(model: ModelProto) -> None:
    """Shorten the padding at the end of such convolutions, in place.

    Only where nobody but the pool takes what the convolution gives, and where its size is known.
    """
    shapes = {info.name: info.type.tensor_type.shape.dim for info in model.graph.value_info}
    makers = {output: node for node in model.graph.node for output in node.output}
    takers = Counter([name for node in model.graph.node for name in node.input])
    takers.update(output.name for output in model.graph.output)
    for pool in model.graph.node:
        if pool.op_type != "MaxPool" or takers[pool.input[0]] > 1:
            continue
        conv, sides = makers.get(pool.input[0]), shapes.get(pool.input[0], [])[2:]
        if conv is None or conv.op_type != "Conv" or [bool(side.dim_value) for side in sides] != [True, True]:
            continue
        unread = _unread(pool, [side.dim_value for side in sides])
        pads = next(attribute.ints for attribute in conv.attribute if attribute.name == "pads")
        if set(_said(conv)["strides"]) != {1} or any(less > pads[2 + axis] for axis, less in enumerate(unread)):
            continue
        for axis, less in enumerate(unread):
            pads[2 + axis] -= less
            sides[axis].dim_value -= less


def _unread(pool: NodeProto, sides: list[int]) -> list[int]:
    """Rows and columns at the end of a map that no window of a pool without padding and gaps reaches."""
    said = _said(pool)
    if said["ceil_mode"] or any(said["pads"]) or set(said["dilations"]) != {1}:
        return [0, 0]
    return [
        (side - kernel) % stride
        for side, kernel, stride in zip(sides, said["kernel_shape"], said["strides"], strict=True)
    ]


def _said(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node, which torch's exporter writes in full."""
    from onnx.helper import get_attribute_value

    return {attribute.name: get_attribute_value(attribute) for attribute in node.attribute}
