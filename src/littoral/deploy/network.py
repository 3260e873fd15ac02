"""A calibrated network -> an ONNX graph from pixels to its answers; torch's exporter does the work.

Leaves to others: bringing images to the network's form (preprocessing.py), joining both (onnx_file.py).
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from littoral.deploy.folded import folded
from littoral.deploy.preprocessing import IR_VERSION, OPSET, PIXELS
from littoral.deploy.trimmed import trim
from littoral.errors import ExportError
from littoral.nn.calibrated import Answer, CalibratedNet
from littoral.nn.inputs import to_input
from littoral.specs import ImageSpec

if TYPE_CHECKING:
    from onnx import ModelProto

LABEL = "label"
"""The output that has the number of the most probable class; the others are called as the fields of an Answer."""


class PixelNet(nn.Module):
    """Pixels as they are stored -> the answers that a network gives, and the number of the most probable class."""

    def __init__(self, network: CalibratedNet, spec: ImageSpec) -> None:
        super().__init__()
        self.network = network
        self.spec = spec

    def forward(self, pixels: UInt8[Tensor, "batch height width channels"]) -> dict[str, Tensor]:
        """What there is, by the names of the graph's outputs, in their order."""
        answer: Answer = self.network(to_input(pixels, self.spec))
        given = {LABEL: answer.probabilities.argmax(1)} | answer._asdict()
        return {name: value for name, value in given.items() if value is not None}


def network_graph(network: CalibratedNet, spec: ImageSpec) -> ModelProto:
    """The graph from `pixels`, uint8 (batch, height, width, channels), to the answers, for any number of images.

    Raises ExportError for a network with an operation that torch's exporter does not know.
    """
    example = torch.zeros(2, spec.height, spec.width, spec.channels, dtype=torch.uint8)
    module = PixelNet(folded(network), spec).eval()
    return exported_graph(module, (example,), [PIXELS])


def exported_graph(module: nn.Module, example: tuple[Tensor | list[Tensor], ...], inputs: list[str]) -> ModelProto:
    """The graph of a module that gives named outputs, for any number of images; `inputs`: what to call its tensors.

    `example`: what the module takes, for two images. Raises ExportError as above.
    """
    batch = torch.export.Dim("batch")
    shapes = tuple([{0: batch} for _ in given] if isinstance(given, list) else {0: batch} for given in example)
    with torch.no_grad():
        names = list(module(*example))
    try:
        with _quiet():
            program = torch.onnx.export(
                module,
                example,
                dynamo=True,
                opset_version=OPSET,
                input_names=inputs,
                output_names=names,
                dynamic_shapes=shapes,
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise ExportError(f"torch's ONNX exporter cannot take this network: {reason}") from error
    assert program is not None
    model = program.model_proto
    model.ir_version = IR_VERSION
    trim(model)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of its steps, and of libraries that it does not find."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
