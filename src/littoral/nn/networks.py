"""The networks that a backbone can be made of, by name: built in, timm's, and the user's own."""

from __future__ import annotations

from functools import cache

from torch import nn

from littoral.errors import InputError
from littoral.nn.efficientnet_lite import EfficientNetLite0Network
from littoral.nn.network import Colour, Network
from littoral.nn.own_network import OwnNetwork
from littoral.nn.timm_network import PREFIX, TimmNetwork

BUILT_IN: dict[str, Network] = {network.name: network for network in (EfficientNetLite0Network(),)}

OWN: dict[str, Network] = {}
"""Modules of the user's own; `register_network` adds to it."""


def register_network(name: str, module: nn.Module, mean: Colour, std: Colour) -> None:
    """Make a pretrained module known as a network for backbones: `BackboneConfig(name, taps=(…))`.

    `module`: takes (batch, 3, height, width) and has its weights; it is copied. `mean` and `std`: what its training
    subtracted from pixels of 0 to 1, and divided them by. A tap is the name of a submodule, as `named_modules` has it,
    or `output`. A model file holds the weights, and what it cannot hold is the module's code: who reads the file calls
    this first, with a module of the same layers. A name may be given anew. Raises InputError for a name of another
    network.
    """
    if name in BUILT_IN or name.startswith(PREFIX) or not name:
        raise InputError(f"the name {name!r} is that of another network; give this one a name of its own")
    OWN[name] = OwnNetwork(name, module, mean, std)


def get_network(name: str) -> Network:
    """The network of that name; raises InputError that lists the known ones for another, or says what is missing."""
    if name.startswith(PREFIX):
        return _of_timm(name)
    known = BUILT_IN | OWN
    if name not in known:
        raise InputError(
            f"unknown network {name!r}: expected one of {', '.join(known)}, {PREFIX}NAME, or one of your own after "
            "littoral.register_network"
        )
    return known[name]


@cache
def _of_timm(name: str) -> Network:
    return TimmNetwork(name)
