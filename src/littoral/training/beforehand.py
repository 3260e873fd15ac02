"""Features of all images of a study, computed once and kept in the cache, for arms whose one linear layer is fitted.

Arms, seeds and label budgets then take rows and columns of them. Arms that see different stages of one pretrained
network share one pass through it. Leaves to others: the cache (`features.py`) and the fit (`probe.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8

from littoral.nn.branch import BranchConfig
from littoral.nn.model import FusionNetConfig
from littoral.rows import ImageRows
from littoral.specs import ImageShape, ImageSpec
from littoral.training.features import branch_features


@dataclass(frozen=True)
class Beforehand:
    """The taps of some branches for the images `rows`, sorted, of those that were given, each m × size."""

    rows: Int64[np.ndarray, " m"]
    taps: Sequence[tuple[BranchConfig, Mapping[str, Float32[np.ndarray, "m _"]]]]

    def of(self, config: FusionNetConfig, rows: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n size"]:
        """What the fusion of this network takes of these images: its features one after the other.

        `config`: one of those that this was computed for; `rows`: some of the images that it was computed for.
        """
        at = np.searchsorted(self.rows, rows)
        columns = []
        for name, place in config.places().items():
            branch = config.branches[name]
            taps = next(taps for given, taps in self.taps if given.with_taps_of(branch, place.sees) == given)
            columns += [taps[spec.name][at] for spec in place.features.values()]
        return np.concatenate(columns, axis=1)


def features_beforehand(
    configs: Sequence[FusionNetConfig],
    images: UInt8[np.ndarray, "n height width channels"] | ImageRows,
    rows: Int64[np.ndarray, " _"],
    spec: ImageSpec,
    source: str,
    device: torch.device,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Beforehand:
    """The features that these networks, of the kind that `can_be_beforehand`, fuse of the images `rows`.

    `on_progress` is told (images done, images in all), an image counting once for each branch; `source` is what
    `littoral cache` calls the images. Raises InputError where weights, or room on the disk, are missing.
    """
    chosen = np.unique(rows)
    branches = _together([branch for config in configs for branch in config.branches.values()], spec.shape)
    part = images.take(chosen) if isinstance(images, ImageRows) else images[chosen]
    taps = []
    for number, branch in enumerate(branches):
        before, total = number * len(part), len(branches) * len(part)

        def told(done: int, before: int = before, total: int = total) -> None:
            on_progress(before + done, total)

        taps.append((branch, branch_features(branch, part, spec, source, device, told)))
        told(len(part))
    return Beforehand(chosen, taps)


def can_be_beforehand(config: FusionNetConfig) -> bool:
    """Whether all branches of a network learn nothing and see the image as it is."""
    return config.topology == "parallel" and all(branch.fixed for branch in config.branches.values())


def _together(branches: Sequence[BranchConfig], image_shape: ImageShape) -> list[BranchConfig]:
    """As few branches as give the taps of all of these."""
    found: list[BranchConfig] = []
    for branch in branches:
        for place, other in enumerate(found):
            both = other.with_taps_of(branch, image_shape)
            if both is not None:
                found[place] = both
                break
        else:
            found.append(branch)
    return found
