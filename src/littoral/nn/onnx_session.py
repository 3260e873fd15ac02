"""Frozen pretrained networks run by ONNX Runtime: on a CPU, where it is installed and the network can be written down.

It takes two thirds of torch's time for the same maps (benchmarks/backbone), in float32 as torch does. What is
there decides, and nothing asks for it: whoever keeps what was computed notes `runtime_for`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import torch
from jaxtyping import Float
from torch import Tensor, nn

from littoral.nn.backbone import Backbone, BackboneConfig
from littoral.nn.branch import BranchConfig
from littoral.nn.efficientnet_onnx import IMAGES
from littoral.nn.networks import get_network

CPU = torch.device("cpu")

WORTH_A_SESSION = 100
"""Images from which on ONNX Runtime pays for being loaded and made ready, where it is done for a single call."""


def runtime_for(branches: Iterable[BranchConfig], device: torch.device = CPU) -> str | None:
    """The version of ONNX Runtime where it computes what one of these branches gives; None where torch computes all."""
    if device.type != "cpu" or not any(_written(branch) for branch in branches):
        return None
    try:
        version("onnx")
        return version("onnxruntime")
    except PackageNotFoundError:
        return None


@contextmanager
def in_sessions(module: nn.Module, images: int = WORTH_A_SESSION) -> Iterator[None]:
    """While the block runs, frozen pretrained networks in `module` are computed by ONNX Runtime, where it can be.

    It has as many threads as torch has now. To make a session takes a tenth of a second, and ONNX Runtime itself half
    a second to be loaded: for fewer `images` than are worth it, torch computes them. What is kept or fitted to leaves
    them out, so that its number of images does not decide. The weights stay where they are, and other threads may use
    the module meanwhile.
    """
    parts = [part for part in module.modules() if isinstance(part, Backbone) and images >= WORTH_A_SESSION]
    parts = [part for part in parts if runtime_for([part.config], part.mean.device) is not None]
    try:
        for part in parts:
            graph = get_network(part.config.network).graph
            assert graph is not None  # since there is a runtime for it
            part.session = Session(graph(part.network), part.config.taps)
        yield
    finally:
        for part in parts:
            part.session = None


class Session:
    """A network that `Network.graph` wrote down, ready to be run."""

    def __init__(self, content: bytes, taps: tuple[str, ...]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.taps = taps

    def __call__(self, x: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        """The maps of the taps, in order of depth."""
        maps = self.session.run(list(self.taps), {IMAGES: x.contiguous().numpy()})
        return {tap: torch.from_numpy(value) for tap, value in zip(self.taps, maps, strict=True)}


def _written(branch: BranchConfig) -> bool:
    return isinstance(branch, BackboneConfig) and branch.fixed and get_network(branch.network).graph is not None
