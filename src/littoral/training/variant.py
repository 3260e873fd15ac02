"""A preset that goes on from a named one: its widths times factors, another fusion, another recipe. And its file, TOML.

What to change is found by `studies/tune.py`, or written by hand.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from littoral.errors import InputError
from littoral.files import write_atomically
from littoral.nn.cost import config_cost
from littoral.nn.matched import matched
from littoral.nn.model import FusionNetConfig
from littoral.nn.registry import AnyFusion
from littoral.specs import ImageShape
from littoral.training.arms import Arm, Build, with_fusion
from littoral.training.choose import AUTO
from littoral.training.presets import PRESETS, Preset
from littoral.training.recipe import Recipe


@dataclass(frozen=True)
class Variant:
    """`base`: a named preset. `widths`: by what factor the widths of a branch, by name, are multiplied.

    `fusion`: in place of the base's, and `recipe` too; None: the base's. `expected` and `cost` as in `Preset`.
    """

    base: str
    summary: str
    widths: dict[str, float] = field(default_factory=dict)
    fusion: AnyFusion | None = None
    recipe: Recipe | None = None
    expected: str = "not measured"
    cost: str = "not measured"

    __pydantic_config__ = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if self.base not in PRESETS:
            raise InputError(f"base must be one of {', '.join(PRESETS)}, got {self.base!r}")
        if not all(0 < factor <= 64 for factor in self.widths.values()):
            raise InputError(f"widths are factors above 0 and up to 64, got {self.widths}")


def variant_preset(name: str, variant: Variant) -> Preset:
    """The preset that a variant describes: arms fused, shallow, deep, matched and probe, as far as the base has them.

    `matched` is the base's single network at the multiply-accumulates of the variant's `fused`. A branch in `widths`
    that the network does not have, or that has no widths, raises InputError when an arm is asked for.
    """
    base = PRESETS[variant.base]

    def widened(arm: str) -> Build:
        def build(image_shape: ImageShape, classes: int) -> FusionNetConfig:
            config = base.arms[arm].build(image_shape, classes)
            return replace(
                config,
                branches={
                    name: branch.widened(variant.widths[name]) if name in variant.widths else branch
                    for name, branch in config.branches.items()
                },
            )

        return build

    def fused(image_shape: ImageShape, classes: int) -> FusionNetConfig:
        config = widened("fused")(image_shape, classes)
        if unknown := [name for name in variant.widths if name not in config.branches]:
            raise InputError(f"widths name {unknown[0]!r}, but the branches are {', '.join(config.branches)}")
        return config

    whole = fused if variant.fusion is None else with_fusion(variant.fusion, fused)

    def single(image_shape: ImageShape, classes: int) -> FusionNetConfig:
        alone = base.arms["matched"].build(image_shape, classes)
        return matched(alone, config_cost(whole(image_shape, classes)).macs)

    builds: dict[str, Build] = {
        "fused": whole,
        "shallow": widened("shallow"),
        "deep": widened("deep"),
        "matched": single,
    }
    arms = {arm: replace(base.arms[arm], build=build) for arm, build in builds.items() if arm in base.arms}
    kept: dict[str, Arm] = {"probe": base.arms["probe"]} if "probe" in base.arms else {}
    return replace(
        base,
        name=name,
        summary=variant.summary,
        recipe=base.recipe if variant.recipe is None else variant.recipe,
        arms=arms | kept,
        expected=variant.expected,
        cost=variant.cost,
        shows_test_accuracy=False,
    )


def read_preset(path: Path) -> Preset:
    """The preset in a file, named by the file without its ending.

    Raises InputError for a file that cannot be read, is no TOML, or says what a preset cannot be, and for one that is
    called as another preset is: a model keeps the name alone.
    """
    if path.stem in (*PRESETS, AUTO):
        raise InputError(f"{path} has the name of another preset, {path.stem}: give the file a name of its own")
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the preset {path}: {error.strerror}; name a file that is there") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML ({error}): mend it, or write it anew with littoral tune") from error
    try:
        return variant_preset(path.stem, TypeAdapter(Variant).validate_python(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise InputError(f"{path} describes no preset, at {place}: {first['msg']}") from error
    except InputError as error:
        raise InputError(f"{path} describes no preset: {error}") from error


def write_preset(path: Path, variant: Variant, heading: str = "") -> None:
    """Write the file that `read_preset` reads; `heading`: lines of comment at its top."""
    comment = "".join(f"# {line}\n" for line in heading.splitlines())
    write_atomically(path, (comment + _toml(asdict(variant))).encode())


def _toml(values: Mapping[str, Any], name: str = "") -> str:
    """A table and those in it; None is left out, which TOML does not know."""
    given = {key: value for key, value in values.items() if value is not None and value != {}}
    head = f"\n[{name}]\n" if name else ""
    plain = "".join(f"{key} = {_value(value)}\n" for key, value in given.items() if not isinstance(value, dict))
    tables = {key: value for key, value in given.items() if isinstance(value, dict)}
    return head + plain + "".join(_toml(value, f"{name}.{key}" if name else key) for key, value in tables.items())


def _value(value: Any) -> str:
    """As in JSON, but for what TOML has no escape for (a pair of surrogates) and what it has to have one for (DEL)."""
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return text.encode("utf-8", "replace").decode()  # half a pair, of a path that is no Unicode text
