"""Augmentation: training images moved a little, anew each time they are drawn. Labels are never touched.

Chance is apart from the moving: `draw` makes the numbers, `moved` is a pure function of images and numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from littoral.training.recipe import Augment


@dataclass(frozen=True)
class Moves:
    """The numbers that images are moved by: where in the image each place of the moved image looks.

    `affine`: (batch, 2, 3), in units of half an image, as `torch.nn.functional.affine_grid` takes it. `knots`: (batch,
    2, 4, 4) displacements in the same units, or None.
    """

    affine: Float[Tensor, "batch 2 3"]
    knots: Float[Tensor, "batch 2 4 4"] | None

    def to(self, device: torch.device) -> Moves:
        """The same numbers on a device."""
        return Moves(self.affine.to(device), None if self.knots is None else self.knots.to(device))

    def part(self, start: int, stop: int) -> Moves:
        """Those of the images from `start` up to `stop`."""
        return Moves(self.affine[start:stop], None if self.knots is None else self.knots[start:stop])


KNOTS = 4
"""Knots of the elastic field along each side."""


def draw(strength: Augment, images: int, generator: torch.Generator) -> Moves:
    """Moves for `images` images; at strength 0 those that move nothing. Drawn on the CPU, whatever trains."""
    evenly = torch.rand(6, images, generator=generator) * 2 - 1
    angle = evenly[0] * math.radians(strength.rotate)
    wide, high = 1 + evenly[1] * strength.scale, 1 + evenly[2] * strength.scale
    shear = evenly[3] * strength.shear
    cos, sin = angle.cos(), angle.sin()
    # rotation · shear · scale, then the shift; a side is 2 long in these units
    across = torch.stack([cos * wide, (cos * shear - sin) * high, evenly[4] * 2 * strength.shift], 1)
    down = torch.stack([sin * wide, (sin * shear + cos) * high, evenly[5] * 2 * strength.shift], 1)
    knots = None
    if strength.elastic:
        knots = torch.randn(images, 2, KNOTS, KNOTS, generator=generator) * (2 * strength.elastic)
    return Moves(torch.stack([across, down], 1), knots)


def moved(
    images: Float[Tensor, "batch channels height width"], moves: Moves
) -> Float[Tensor, "batch channels height width"]:
    """The images seen through the moves, bilinear between pixels; a pure function."""
    height, width = images.shape[2:]
    grid = F.affine_grid(moves.affine, list(images.shape), align_corners=False)
    if moves.knots is not None:
        field = F.interpolate(moves.knots, (height, width), mode="bicubic", align_corners=True)
        grid = grid + field.permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
