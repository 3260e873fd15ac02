"""Images -> features without training: of branches by their short names or described, or of a trained model's branches.

Nothing is kept: `features.py` keeps what fixed and frozen branches give on disk. Leaves to others: what is done with
features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from littoral.errors import InputError
from littoral.nn.backbone import BackboneConfig
from littoral.nn.branch import BranchConfig
from littoral.nn.fixed.colours import ColoursConfig
from littoral.nn.fixed.gabor import GaborConfig
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.fixed.lbp import LbpConfig
from littoral.nn.fixed.moments import MomentsConfig
from littoral.nn.fixed.scattering import ScatteringConfig
from littoral.nn.fusion.concat import concatenated
from littoral.nn.inference import batch_size
from littoral.nn.inputs import to_input
from littoral.nn.networks import BUILT_IN
from littoral.rows import ImageRows, in_chunks
from littoral.specs import ImageShape, ImageSpec

LIGHT = ("hog", "lbp", "colours", "moments")
"""Cheap, about a thousand numbers an image together, and without weights: what is taken where nothing is said."""

SHORT_NAMES = (*LIGHT, "gabor", "scattering", *BUILT_IN)
"""Every branch that can be asked for by a name alone."""

BACKBONE_SIDE = 160
"""Longer side that images are scaled down to for a pretrained network, where no size is asked for."""


def named_branches(names: Sequence[str], image_shape: ImageShape) -> dict[str, BranchConfig]:
    """The branches of these short names for images of this shape; see `require_known`.

    `hog` is in about eight cells a side, `scattering` goes on until four to seven places a side are left (four scales
    at most), and a network gives its last stage, averaged over all places.
    """
    _, height, width = image_shape
    scales = min(4, max(1, (min(height, width) // 4).bit_length() - 1))
    known: dict[str, BranchConfig] = {
        "hog": HogConfig(fine=max(4, max(height, width) // 8), coarse=None),
        "lbp": LbpConfig(),
        "colours": ColoursConfig(),
        "moments": MomentsConfig(),
        "gabor": GaborConfig(),
        "scattering": ScatteringConfig(scales=scales),
        **{network: BackboneConfig(network) for network in BUILT_IN},
    }
    return {name: known[name] for name in names}


def require_known(names: Sequence[str]) -> None:
    """Raise InputError unless these are one or more different short names."""
    unknown = [name for name in names if name not in SHORT_NAMES]
    if unknown or not names or len(set(names)) < len(names):
        wrong = f"got {unknown[0]!r}" if unknown else f"got {', '.join(names) or 'none'}"
        raise InputError(f"branches must be one or more different ones of {', '.join(SHORT_NAMES)}; {wrong}")


class Branches(nn.Module):
    """Branches that learn nothing, side by side. `sizes`: numbers an image of each group, every tap of every branch."""

    def __init__(self, branches: Mapping[str, BranchConfig], image_shape: ImageShape) -> None:
        super().__init__()
        self.sizes = {
            f"{name}.{tap.name}": tap.size for name, branch in branches.items() for tap in branch.features(image_shape)
        }
        self.parts = nn.ModuleList(branch.build(image_shape) for branch in branches.values())
        self.names = list(branches)
        for branch, part in zip(branches.values(), self.parts, strict=True):
            if any(parameter.requires_grad for parameter in part.parameters()):
                raise InputError(
                    f"a {branch.type} branch learns, and nothing trains it here: take fixed or frozen ones"
                )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.eval()

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """Every group, `BRANCH.TAP`, in order."""
        taps = {name: part(x) for name, part in zip(self.names, self.parts, strict=True)}
        return {f"{name}.{tap}": value for name, given in taps.items() for tap, value in given.items()}


def extracted(
    groups_of: Callable[[Tensor], Mapping[str, Tensor]],
    sizes: Mapping[str, int],
    images: UInt8[np.ndarray, "n height width channels"] | ImageRows,
    spec: ImageSpec,
    device: torch.device,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Float32[np.ndarray, "n size"]:
    """The groups that `groups_of` makes of each batch, those of `sizes`, flattened and one after the other.

    `on_progress` is told (images done, images in all).
    """
    features = np.empty((len(images), sum(sizes.values())), np.float32)
    for start, rows in in_chunks(images, batch_size(spec)):
        with torch.inference_mode():
            groups = groups_of(to_input(torch.tensor(rows, device=device), spec))
            features[start : start + len(rows)] = concatenated([groups[name] for name in sizes]).cpu().numpy()
        on_progress(start + len(rows), len(images))
    return features
