"""The kinds of branches and fusions that are known by the `type` in their description, and how more become known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar

from pydantic import GetCoreSchemaHandler, GetPydanticSchema, PydanticUserError, TypeAdapter
from pydantic_core import CoreSchema
from pydantic_core.core_schema import tagged_union_schema

from littoral.errors import InputError
from littoral.nn.backbone import BackboneConfig
from littoral.nn.branch import BranchConfig
from littoral.nn.conv import ConvConfig
from littoral.nn.fixed.colours import ColoursConfig
from littoral.nn.fixed.gabor import GaborConfig
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.fixed.lbp import LbpConfig
from littoral.nn.fixed.moments import MomentsConfig
from littoral.nn.fixed.scattering import ScatteringConfig
from littoral.nn.fusion.attention import AttentionConfig
from littoral.nn.fusion.base import FusionConfig
from littoral.nn.fusion.bilinear import BilinearConfig
from littoral.nn.fusion.concat import ConcatConfig
from littoral.nn.fusion.gated import GatedConfig
from littoral.nn.fusion.late import LateConfig
from littoral.nn.fusion.sum import SumConfig
from littoral.nn.pixels import PixelsConfig
from littoral.nn.tower import TowerConfig

BRANCHES: dict[str, type[BranchConfig]] = {
    kind.type: kind
    for kind in (
        ConvConfig,
        TowerConfig,
        HogConfig,
        PixelsConfig,
        LbpConfig,
        ColoursConfig,
        MomentsConfig,
        GaborConfig,
        ScatteringConfig,
        BackboneConfig,
    )
}
"""Every known kind of branch by its `type`; `register_branch` adds to it."""

FUSIONS: dict[str, type[FusionConfig]] = {
    kind.type: kind for kind in (ConcatConfig, SumConfig, GatedConfig, AttentionConfig, BilinearConfig, LateConfig)
}
"""Every known kind of fusion by its `type`; `register_fusion` adds to it."""

SomeBranch = TypeVar("SomeBranch", bound=type[BranchConfig])
SomeFusion = TypeVar("SomeFusion", bound=type[FusionConfig])


def register_branch(kind: SomeBranch) -> SomeBranch:
    """Make a class of branches known, so that networks can have them and model files with them can be read.

    `kind`: a frozen dataclass on BranchConfig whose field `type` is a Literal with that text as its default; it is
    returned, so that this can be written above it as a decorator. Raises InputError for another class, and for a
    `type` that is taken; the same class made anew, as by running a notebook's cell again, takes the place of the old.
    """
    _register(kind, BRANCHES, BranchConfig)
    return kind


def register_fusion(kind: SomeFusion) -> SomeFusion:
    """Make a class of fusions known; as `register_branch`, on FusionConfig."""
    _register(kind, FUSIONS, FusionConfig)
    return kind


def require_registered(branches: Iterable[BranchConfig], fusion: FusionConfig) -> None:
    """Raise InputError for a description of a class that a model file could not be read with."""
    unknown = [f"register_branch({type(b).__name__})" for b in branches if BRANCHES.get(b.type) is not type(b)]
    if FUSIONS.get(fusion.type) is not type(fusion):
        unknown.append(f"register_fusion({type(fusion).__name__})")
    if unknown:
        raise InputError(f"a class in this network is not known: call littoral.{unknown[0]} first")


def _register(kind: type[Any], known: dict[str, type[Any]], base: type[Any]) -> None:
    if not isinstance(kind, type):
        raise InputError(f"expected a class on {base.__name__}, got {kind!r}: leave its brackets out")
    name = {field.name: field.default for field in fields(kind)}.get("type") if is_dataclass(kind) else None
    if not issubclass(kind, base) or not isinstance(name, str) or not kind.__dataclass_params__.frozen:
        raise InputError(
            f"expected a frozen dataclass on {base.__name__} with a field like type: Literal['mine'] = 'mine', "
            f"got {kind.__name__}"
        )
    before = known.get(name, kind)
    if (before.__module__, before.__qualname__) != (kind.__module__, kind.__qualname__):
        raise InputError(f"the type {name!r} is taken by {before.__name__}; give {kind.__name__} another")
    try:
        TypeAdapter(kind)
    except (PydanticUserError, NameError) as error:
        raise InputError(
            f"the fields of {kind.__name__} must be of types that a model file can hold, such as int, float, str, "
            f"tuples of these and dataclasses at a module's top, but: {str(error).splitlines()[0]}"
        ) from error
    known[name] = kind


def _branches(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    return tagged_union_schema({name: handler.generate_schema(kind) for name, kind in BRANCHES.items()}, "type")


def _fusions(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    return tagged_union_schema({name: handler.generate_schema(kind) for name, kind in FUSIONS.items()}, "type")


# what is known is looked up when a file is read, so that kinds registered before that are among it
AnyBranch = Annotated[BranchConfig, GetPydanticSchema(_branches)]
AnyFusion = Annotated[FusionConfig, GetPydanticSchema(_fusions)]
