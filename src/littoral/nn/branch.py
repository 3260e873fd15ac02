"""The contract of a branch: what describes it, what it takes and gives, and how that is declared without building it.

A branch turns a batch of images into named taps. Fusions and heads size themselves from what its description declares.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from littoral.errors import InputError
from littoral.specs import FeatureSpec, ImageShape


class Branch(nn.Module, ABC):
    """A module from images to taps. A fusion takes the last, or those that FusionNetConfig names."""

    @abstractmethod
    def forward(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """Every tap by name, in order of depth: (batch, channels, height, width) or (batch, channels).

        Raises ShapeError for images that the branch was not built for.
        """


class BranchConfig(ABC):
    """What describes a branch: a frozen dataclass with these methods and a field `type`, a Literal with its default.

    A model file holds its fields. `register_branch` makes a class of one's own known to it.
    """

    type: str

    __pydantic_config__ = {"extra": "forbid"}  # an unknown field in a model file is refused, not dropped

    @property
    @abstractmethod
    def onward(self) -> str:
        """The name of the tap, a map, that the next branch of a cascade goes on from."""

    @abstractmethod
    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """What `Branch.forward` gives for images of this shape, in the same order, without building or running it.

        Raises ShapeError for a shape that no such branch can take.
        """

    @abstractmethod
    def build(self, image_shape: ImageShape) -> Branch:
        """A branch with fresh weights for images of this shape."""

    @property
    def fixed(self) -> bool:
        """Whether it learns nothing and stops gradients, so that nothing before it could learn."""
        return False

    @property
    def layers(self) -> int:
        """A number of weight tensors that it has at least; a model file with fewer is refused before it is built."""
        return 0

    @property
    def given(self) -> str | None:
        """The beginning of the names of those tensors that `build` gives the same each time, since they are pretrained.

        A slim model file leaves these out, and holds their checksum; None: there are none.
        """
        return None

    def with_taps_of(self, other: BranchConfig, image_shape: ImageShape) -> BranchConfig | None:
        """One branch that gives, of images of this shape, the taps of both as they do; None where there is none."""
        return self if other == self else None

    def widened(self, factor: float) -> BranchConfig:
        """The same with all widths times one factor; raises InputError where there are no widths."""
        raise InputError(f"a {self.type} branch has no widths to be matched by")

    def neighbours(self) -> Sequence[BranchConfig]:
        """The same with one width a little smaller or larger, each."""
        return ()


def nearby(widths: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The widths with one of them changed by one or two."""
    return [
        (*widths[:place], widths[place] + change, *widths[place + 1 :])
        for place in range(len(widths))
        for change in (-2, -1, 1, 2)
        if widths[place] + change > 0
    ]


def scaled(width: int, factor: float) -> int:
    """A width times a factor, whole and positive."""
    return max(1, round(width * factor))
