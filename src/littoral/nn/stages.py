"""The stages of a pretrained network: which of its weights lie before which tap, found by following a gradient back.

Leaves to others: which stages learn, and how fast (`training/tuning.py`).
"""

from __future__ import annotations

import torch

from littoral.nn.backbone import BackboneConfig
from littoral.nn.networks import get_network
from littoral.specs import ImageShape


def stages_of(branch: BackboneConfig, image_shape: ImageShape) -> dict[str, tuple[str, ...]]:
    """The parameters of each stage of a branch's network by name, in order of depth; a stage is called as its tap.

    A stage is the layers that its tap needs and no tap before it does. Stages without weights are left out. Of a module
    of one's own, stages end at the taps that the branch names; of other networks, at all their taps.
    `image_shape`: what the branch sees. Raises InputError where the network or its weights are missing.
    """
    network, seen = get_network(branch.network), branch.seen(image_shape)
    ends = network.ends(branch.taps, (3, *seen))
    module = network.build(ends).eval().requires_grad_()
    parameters = dict(module.named_parameters())
    stages, placed = {}, set[str]()
    with torch.enable_grad():
        taps = module(torch.zeros(1, 3, *seen))
        for end in ends:
            if not taps[end].requires_grad:
                continue
            slopes = torch.autograd.grad(
                taps[end].sum(), list(parameters.values()), retain_graph=True, allow_unused=True
            )
            needed = {name for name, slope in zip(parameters, slopes, strict=True) if slope is not None}
            if own := [name for name in parameters if name in needed - placed]:
                stages[end] = tuple(own)
                placed |= needed
    return stages
