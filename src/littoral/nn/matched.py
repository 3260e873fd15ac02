"""A network of one branch, widened or narrowed until it costs as many multiply-accumulates as another network does.

It is what a fused network has to beat: the same work spent on a single ordinary branch.
"""

from __future__ import annotations

from dataclasses import replace

from littoral.errors import InputError
from littoral.nn.cost import config_cost
from littoral.nn.model import FusionNetConfig

TOLERANCE = 0.03
"""How far the multiply-accumulates may be apart, as a share."""


def matched(config: FusionNetConfig, macs: int) -> FusionNetConfig:
    """`config`, of one branch, with all widths times one factor, such that it costs `macs` within TOLERANCE.

    Raises InputError for a network of several branches or of a branch without widths, and where no factor comes near,
    which can only be for very small networks.
    """
    if len(config.branches) != 1:
        raise InputError(f"only a network of one branch can be matched, got {list(config.branches)}")
    low, high = 0.0, 1.0
    while _cost(_widened(config, high)) < macs:
        low, high = high, high * 2
    for _ in range(20):  # a millionth of the factor: finer than whole widths
        middle = (low + high) / 2
        low, high = (middle, high) if _cost(_widened(config, middle)) < macs else (low, middle)
    best = min((_widened(config, low), _widened(config, high)), key=lambda found: abs(_cost(found) - macs))
    best = min((best, *_neighbours(best)), key=lambda found: abs(_cost(found) - macs))
    if abs(_cost(best) - macs) > TOLERANCE * macs:
        raise InputError(f"no width comes within {TOLERANCE:.0%} of {macs:,} multiply-accumulates")
    return best


def _widened(config: FusionNetConfig, factor: float) -> FusionNetConfig:
    ((name, branch),) = config.branches.items()
    return replace(config, branches={name: branch.widened(factor)})


def _neighbours(config: FusionNetConfig) -> list[FusionNetConfig]:
    """The networks with one width changed by one or two."""
    ((name, branch),) = config.branches.items()
    return [replace(config, branches={name: other}) for other in branch.neighbours()]


def _cost(config: FusionNetConfig) -> int:
    return config_cost(config).macs
