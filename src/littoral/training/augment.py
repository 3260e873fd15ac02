"""Augmentation: training images moved a little, anew each time they are drawn. Labels are never touched.

Chance is apart from the moving: `draw` makes the numbers, `moved` is a pure function of images and numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from littoral.training.recipe import Augment


@dataclass(frozen=True)
class Moves:
    """The numbers that images are moved by: where in the image each place of the moved image looks.

    `affine`: (batch, 2, 3), in units of half an image, as `torch.nn.functional.affine_grid` takes it of square images;
    of others `moved` makes it such that turns and shears are of their pixels. `knots`: (batch, 2, 4, 4) displacements
    in the same units, or None. `whole`: shifts are rounded to whole pixels.
    """

    affine: Float[Tensor, "batch 2 3"]
    knots: Float[Tensor, "batch 2 4 4"] | None
    whole: bool = False

    def to(self, device: torch.device) -> Moves:
        """The same numbers on a device."""
        return replace(self, affine=self.affine.to(device), knots=None if self.knots is None else self.knots.to(device))

    def part(self, start: int, stop: int) -> Moves:
        """Those of the images from `start` up to `stop`."""
        knots = None if self.knots is None else self.knots[start:stop]
        return replace(self, affine=self.affine[start:stop], knots=knots)


KNOTS = 4
"""Knots of the elastic field along each side."""


def draw(strength: Augment, images: int, generator: torch.Generator) -> Moves:
    """Moves for `images` images; at strength 0 those that move nothing. Drawn on the CPU, whatever trains.

    Where images are shifted and mirrored alone, it is by whole pixels, so that they stay as sharp as those to come.
    """
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
    affine = torch.stack([across, down], 1)
    if strength.mirror:
        turned = torch.rand(images, generator=generator) < 0.5
        affine[turned, :, 0] *= -1
    bent = strength.rotate or strength.scale or strength.shear or strength.elastic
    return Moves(affine, knots, whole=not bent)


def moved(
    images: Float[Tensor, "batch channels height width"], moves: Moves
) -> Float[Tensor, "batch channels height width"]:
    """The images seen through the moves, bilinear between pixels; a pure function."""
    height, width = images.shape[2:]
    # a turn is one of pixels, and half an image may be more of them across than down
    affine = moves.affine * torch.tensor([[1, height / width, 1], [width / height, 1, 1]], device=moves.affine.device)
    if moves.whole:
        pixels = torch.tensor([width / 2, height / 2], device=affine.device)
        affine = torch.cat([affine[..., :2], ((affine[..., 2] * pixels).round() / pixels)[..., None]], dim=2)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    if moves.knots is not None:
        field = F.interpolate(moves.knots, (height, width), mode="bicubic", align_corners=True)
        grid = grid + field.permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
