"""A module of the user's own as a backbone: any of its submodules by name is a tap.

What it computes can only be found out by running it: once for each shape of images, on tensors without memory.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from threading import RLock

import torch
from jaxtyping import Float
from torch import Tensor, nn

from littoral.errors import InputError
from littoral.nn.network import Colour, Network, Tapped, as_features, counted, spec_of
from littoral.specs import FeatureSpec, ImageShape

ONE_AT_A_TIME = RLock()
"""Hooks sit on the module, which all threads share: a run must not meet those of another."""

WHOLE = "output"
"""The tap of what the module itself gives, unless a submodule is called so."""


class OwnNetwork(Network):
    """`module` takes normalised colour images; it is copied as it is now, weights and all."""

    def __init__(self, name: str, module: nn.Module, mean: Colour, std: Colour) -> None:
        if not isinstance(module, nn.Module):
            raise InputError(f"the network {name} has to be a torch.nn.Module, got {type(module).__name__}")
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise InputError(f"mean and std need three numbers each, and std positive ones, got {mean} and {std}")
        self.name, self.mean, self.std = name, mean, std
        self.module = copy.deepcopy(module).eval()
        self.known: dict[ImageShape, list[FeatureSpec]] = {}

    def stages(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """One spec for each submodule that gives a map, tokens or a vector, in the order in which they end."""
        if image_shape not in self.known:
            specs: dict[str, FeatureSpec] = {}
            with counted(self.name, image_shape) as (x, macs):
                module = copy.deepcopy(self.module).to("meta")

                def note(tap: str, value: object) -> None:
                    if isinstance(value, Tensor) and value.ndim in (2, 3, 4) and tap not in specs:
                        specs[tap] = spec_of(tap, as_features(tap, value), macs())

                run_with_hooks(module, _names(module), note, x)
            self.known[image_shape] = list(specs.values())
        return self.known[image_shape]

    def ends(self, taps: Sequence[str], image_shape: ImageShape) -> tuple[str, ...]:
        """Those that are named: its submodules lie within each other, and only its owner knows its stages."""
        return tuple(taps)

    def build(self, taps: Sequence[str]) -> Hooked:
        """A copy with its weights."""
        return Hooked(copy.deepcopy(self.module).to(torch.get_default_device()), taps)


class Hooked(Tapped):
    """A module that is run until all its taps have been seen."""

    def __init__(self, module: nn.Module, taps: Sequence[str]) -> None:
        super().__init__()
        self.module = module
        self.taps = tuple(taps)

    def forward(self, x: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        """The taps, in the order in which the submodules end; of one that runs several times, its first."""
        given: dict[str, Tensor] = {}

        def note(tap: str, value: object) -> None:
            if tap not in given:
                given[tap] = as_features(tap, value)
            if len(given) == len(self.taps):
                raise _Enough
            given[tap] = given[tap].clone()  # a later layer may write into what it is given

        run_with_hooks(self.module, self.taps, note, x)
        return given


def run_with_hooks(module: nn.Module, taps: Sequence[str], note: Callable[[str, object], None], x: Tensor) -> None:
    """Run a module and tell each tap's output to `note`, which may end the run by raising _Enough."""
    members = {WHOLE: module, **{name: member for name, member in module.named_modules() if name}}
    with ONE_AT_A_TIME:
        handles = [members[tap].register_forward_hook(partial(_told, tap, note)) for tap in taps]
        try:
            module(x)
        except _Enough:
            pass
        finally:
            for handle in handles:
                handle.remove()


class _Enough(Exception):  # noqa: N818  # no error
    """All taps have been seen; what comes after them need not be computed."""


def _told(tap: str, note: Callable[[str, object], None], module: nn.Module, given: object, value: object) -> None:
    note(tap, value)


def _names(module: nn.Module) -> list[str]:
    return list(dict.fromkeys([*(name for name, _ in module.named_modules() if name), WHOLE]))
