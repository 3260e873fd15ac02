"""The two halves of a network -> the content of `shallow.onnx` and `deep.onnx`.

Leaves to others: where to cut and when to exit (split.py), and running both (runtime.py).
"""

from __future__ import annotations

import json

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from littoral.deploy.folded import folded
from littoral.deploy.network import LABEL, exported_graph
from littoral.deploy.onnx_file import joined, metadata, sealed
from littoral.deploy.preprocessing import PIXELS
from littoral.deploy.runtime import PASSED, UNSEALED
from littoral.nn.calibrated import Answer
from littoral.nn.early import Early, FirstHalf, SecondHalf
from littoral.nn.inputs import to_input
from littoral.specs import ImageSpec
from littoral.training.run import TrainedModel

ONWARD = f"{PASSED}onward"


class PixelHalf(nn.Module):
    """Pixels as they are stored -> the first half's answers, and what it passes on."""

    def __init__(self, first: FirstHalf, spec: ImageSpec, features: list[str]) -> None:
        super().__init__()
        self.first = first
        self.spec = spec
        self.features = features

    def forward(self, pixels: UInt8[Tensor, "batch height width channels"]) -> dict[str, Tensor]:
        """By the names of the graph's outputs, in their order."""
        early: Early = self.first(to_input(pixels, self.spec))
        assert early.onward is not None  # FirstHalf.forward gives it
        given = {
            "exit": early.exit,
            LABEL: early.probabilities.argmax(1),
            "probabilities": early.probabilities,
            "margin": early.margin,
            "novelty": early.novelty,
            "accepted": early.accepted,
            ONWARD: early.onward,
        }
        passed = {PASSED + name: value for name, value in zip(self.features, early.features, strict=True)}
        return {name: value for name, value in given.items() if value is not None} | passed


class AnsweringHalf(nn.Module):
    """What the first half passes on -> the answers of the whole network, and the number of the most probable class."""

    def __init__(self, second: SecondHalf) -> None:
        super().__init__()
        self.second = second

    def forward(
        self, onward: Float[Tensor, "batch channels height width"], features: list[Tensor]
    ) -> dict[str, Tensor]:
        """By the names of the graph's outputs, in their order, which are those of the whole model."""
        answer: Answer = self.second(onward, features)
        given = {LABEL: answer.probabilities.argmax(1)} | answer._asdict()
        return {name: value for name, value in given.items() if value is not None}


def half_files(trained: TrainedModel, first: FirstHalf, second: SecondHalf, found: dict[str, object]) -> list[bytes]:
    """The contents of both files; `found`: what the metadata tell of cut and threshold, as plain JSON.

    Raises ExportError where torch's exporter or ONNX's checker objects.
    """
    spec = trained.image
    network = folded(second.network)
    first = FirstHalf(network.network, first.before, first.head, first.novelty, first.rule)
    second = SecondHalf(network, first.before)
    pixels = torch.zeros(2, spec.height, spec.width, spec.channels, dtype=torch.uint8)
    graph = exported_graph(PixelHalf(first, spec, second.names).eval(), (pixels,), [PIXELS])
    entries = metadata(trained)
    shallow = sealed(joined(spec, graph), entries | {"half": "shallow", "split": json.dumps(found)})
    with torch.no_grad():
        early = first(to_input(pixels, spec))
    assert early.onward is not None
    passed = [ONWARD, *(PASSED + name for name in second.names)]
    rest = exported_graph(AnsweringHalf(second).eval(), (early.onward, early.features), passed)
    return [shallow, sealed(rest, entries | {"half": "deep", "other_half": _seal_of(shallow)})]


def _seal_of(content: bytes) -> str:
    """The SHA-256 that a sealed file holds."""
    import onnx

    found = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    assert found["sha256"] != UNSEALED
    return str(found["sha256"])
