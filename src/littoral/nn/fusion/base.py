"""The contract of a fusion: what describes it, which features it cannot join, what it takes, gives and costs.

A fusion is sized from FeatureSpecs alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from littoral.errors import InputError, ShapeError
from littoral.specs import FeatureSpec


class Fusion(nn.Module, ABC):
    """A module from one feature a branch to one vector of `out_features`, at a cost of `macs` for one image."""

    out_features: int
    macs: int

    def __init__(self, specs: Sequence[FeatureSpec]) -> None:
        super().__init__()
        self.specs = tuple(specs)

    @abstractmethod
    def forward(self, features: list[Tensor]) -> Float[Tensor, "batch out_features"]:
        """The fused vector; raises ShapeError when the features are not those of the specs, in their order."""

    def check(self, features: list[Tensor]) -> None:
        """Raise ShapeError, with expected and received, unless there is one tensor a spec and each has its shape."""
        expected = [spec.shape for spec in self.specs]
        received = [tuple(feature.shape[1:]) for feature in features]
        if expected != received:
            raise ShapeError(f"this fusion expects features of shapes {expected}, one a branch, got {received}")


class FusionConfig(ABC):
    """What describes a fusion: a frozen dataclass with these methods and a field `type`, a Literal with its default.

    A model file holds its fields. `register_fusion` makes a class of one's own known to it.
    """

    type: str

    __pydantic_config__ = {"extra": "forbid"}  # an unknown field in a model file is refused, not dropped

    @abstractmethod
    def build(self, specs: Sequence[FeatureSpec]) -> Fusion:
        """A fusion, with fresh weights, of features with these specs."""

    def refusal(self, specs: Sequence[FeatureSpec]) -> str | None:
        """Why features with these specs cannot be joined this way, or None where they can.

        It goes on from the fusion's name: "takes two branches, got 3".
        """
        return None

    @property
    def takes_maps(self) -> bool:
        """Whether it needs maps as they are; where not, a network that normalises features flattens them first."""
        return False

    @property
    def joint(self) -> bool:
        """Whether there is a fused vector. Where not, `build` is not called: the heads of the branches alone answer."""
        return True


def require_positive(config: FusionConfig, width: int) -> None:
    """Raise InputError unless a width of the fusion is a positive number."""
    if width < 1:
        raise InputError(f"a {config.type} fusion needs positive sizes, got {config}")


def shown(specs: Sequence[FeatureSpec]) -> str:
    """The shapes of features, for a sentence that refuses them."""
    return ", ".join("×".join(map(str, spec.shape)) for spec in specs)
