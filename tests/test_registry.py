"""Branches and fusions of a user's own: registered, they are trained, saved and read like the built-in ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import littoral as lt
from littoral.errors import InputError, ModelFileError, ShapeError
from littoral.images.store import ImageStore
from littoral.model_file import load_model, save_model
from littoral.nn import registry
from littoral.nn.branch import Branch, BranchConfig
from littoral.nn.conv import ConvConfig
from littoral.nn.cost import config_cost
from littoral.nn.early import exit_sizes
from littoral.nn.fusion.base import Fusion, FusionConfig
from littoral.nn.inference import predict_probabilities
from littoral.nn.matched import matched
from littoral.nn.model import FusionNetConfig, seeded_model
from littoral.nn.own_code import code_of, own_code
from littoral.specs import FeatureSpec, ImageShape
from littoral.training.loop import Checkpointing, Silent, train
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@dataclass(frozen=True)
class MeansConfig(BranchConfig):
    """Means of square parts of the image, each channel scaled by a learned number."""

    part: int
    type: Literal["means"] = "means"

    @property
    def onward(self) -> str:
        return "means"

    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        channels, height, width = image_shape
        return [FeatureSpec("means", channels, height // self.part, width // self.part, 0)]

    def build(self, image_shape: ImageShape) -> Branch:
        return Means(self, image_shape)


class Means(Branch):
    def __init__(self, config: MeansConfig, image_shape: ImageShape) -> None:
        super().__init__()
        self.part = config.part
        self.scale = nn.Parameter(torch.ones(image_shape[0], 1, 1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"means": nn.functional.avg_pool2d(x, self.part) * self.scale}


@dataclass(frozen=True)
class LargestConfig(FusionConfig):
    """The larger of two vectors of one length, number by number."""

    type: Literal["largest"] = "largest"

    def refusal(self, specs: Sequence[FeatureSpec]) -> str | None:
        sizes = {spec.size for spec in specs}
        return f"needs features of one size, got {sorted(sizes)}" if len(sizes) > 1 else None

    def build(self, specs: Sequence[FeatureSpec]) -> Fusion:
        return Largest(specs)


class Largest(Fusion):
    def __init__(self, specs: Sequence[FeatureSpec]) -> None:
        super().__init__(specs)
        self.out_features, self.macs = specs[0].size, 0

    def forward(self, features: list[Tensor]) -> Tensor:
        self.check(features)
        return torch.stack([feature.flatten(1) for feature in features]).amax(0)


@dataclass(frozen=True)
class NarrowConfig(BranchConfig):
    """The mean of each channel: a vector, which nothing can go on from."""

    type: Literal["narrow"] = "narrow"

    @property
    def onward(self) -> str:
        return "mean"

    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        return [FeatureSpec("mean", image_shape[0], None, None, 0)]

    def build(self, image_shape: ImageShape) -> Branch:
        return Narrow()


class Narrow(Branch):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"mean": x.mean((2, 3))}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registered kinds of this file, for the time of a test."""
    monkeypatch.setattr(registry, "BRANCHES", dict(registry.BRANCHES))
    monkeypatch.setattr(registry, "FUSIONS", dict(registry.FUSIONS))
    lt.register_branch(MeansConfig)
    lt.register_branch(NarrowConfig)
    lt.register_fusion(LargestConfig)


def described() -> FusionNetConfig:
    branches = {"means": MeansConfig(7), "deep": ConvConfig((4,), (1,), dense=16)}
    return FusionNetConfig((1, 28, 28), 10, branches, LargestConfig())


@pytest.mark.usefixtures("known")
def test_own_kinds_are_trained_saved_and_read(small: ImageStore, tmp_path: Path) -> None:
    config = described()
    assert config_cost(config).macs == 9 * 4 * 28 * 28 + 4 * 14 * 14 * 16 + 16 * 10
    model = seeded_model(config, 0)
    recipe, spec = Recipe(steps=5), small.spec()
    train(model, small.images, small.labels, spec, recipe, 0, torch.device("cpu"), Silent())
    assert (model.branches["means"].scale != 1).all()
    before = TrainedModel(model.eval(), spec, small.class_names, recipe, {})
    save_model(before, tmp_path / "m")
    after = load_model(tmp_path / "m")
    assert after.model.config == config
    one, other = (predict_probabilities(t.model, small.images[:50], spec) for t in (before, after))
    assert np.array_equal(one, other)


@dataclass(frozen=True)
class SmoothConfig(BranchConfig):
    """A mean of nine by a constant that no file holds, and a layer whose weights are another's."""

    type: Literal["smooth"] = "smooth"

    @property
    def onward(self) -> str:
        return "smooth"

    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        return [FeatureSpec("smooth", 1, image_shape[1], image_shape[2], 0)]

    def build(self, image_shape: ImageShape) -> Branch:
        return Smooth()


class Smooth(Branch):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = torch.full((1, 1, 3, 3), 1 / 9)
        self.register_buffer("offset", torch.full((1,), 0.5), persistent=False)
        self.first, self.second = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        smooth = nn.functional.conv2d(x, self.kernel, padding=1) - self.offset
        return {"smooth": self.second(self.first(smooth))}


@pytest.mark.usefixtures("known")
def test_a_loaded_model_has_the_constants_of_own_kinds(small: ImageStore, tmp_path: Path) -> None:
    lt.register_branch(SmoothConfig)
    config, spec = FusionNetConfig((1, 28, 28), 10, {"smooth": SmoothConfig()}), small.spec()
    before = TrainedModel(seeded_model(config, 0).eval(), spec, small.class_names, Recipe(steps=1), {})
    save_model(before, tmp_path / "m")
    one, other = (
        predict_probabilities(it.model, small.images[:5], spec) for it in (before, load_model(tmp_path / "m"))
    )
    assert np.array_equal(one, other)
    assert len(np.unique(one[:, 0])) == 5
    recipe, shared = Recipe(steps=3), seeded_model(config, 0)
    state = Checkpointing(tmp_path / "state", {}, resume=False)
    train(shared, small.images, small.labels, spec, recipe, 0, CPU, Silent(), checkpointing=state)


def test_what_tells_own_kinds_apart_is_their_code_and_not_its_place(known: None) -> None:
    """A class made anew, as by another run of a notebook's cell, is the same class as long as it does the same."""

    def made(line: int, factor: str) -> type[nn.Module]:
        names: dict[str, Any] = {"nn": nn, "__name__": "notebook"}
        text = "\n" * line + (
            "class Scaled(nn.Module):\n"
            "    def forward(self, x):\n"
            f"        return x * {factor} if x.ndim in {{1, 2, 4}} else x\n"
        )
        exec(compile(text, f"cell {line}", "exec"), names)
        kind: type[nn.Module] = names["Scaled"]
        return kind

    assert code_of(made(0, "2")()) == code_of(made(7, "2")()) != code_of(made(0, "3")())
    for one, other in (("GAIN = 1", "GAIN = 5"), ("TABLE = {1: (2, 3)}", "TABLE = {1: (2, 4)}")):
        kinds = [made(0, "2"), made(0, "2")]
        for kind, line in zip(kinds, (one, other), strict=True):
            name, value = line.split(" = ")
            setattr(kind, name, eval(value))
        assert code_of(kinds[0]()) != code_of(kinds[1]())
    kinds = [made(0, "2"), made(0, "2")]
    for kind, shared in zip(kinds, ({"a": {"x", "yy", "zzz"}}, {"a": {"zzz", "yy", "x"}}), strict=True):
        kind.forward.__kwdefaults__ = {"act": lambda x: x + 1}  # which repr tells by where it lies in memory
        kind.STAGES = shared, object()
    assert code_of(kinds[0]()) == code_of(kinds[1]())
    kinds[1].forward.__kwdefaults__ = {"act": lambda x: x + 2}
    assert code_of(kinds[0]()) != code_of(kinds[1]())
    wrapped = [made(0, factor) for factor in ("2", "2", "5")]
    for kind in wrapped:
        kind.forward = torch.no_grad()(kind.forward)
    told = [code_of(kind()) for kind in wrapped]
    assert told[0] == told[1] != told[2]
    assert code_of(nn.Sequential(nn.ReLU())) != code_of(nn.Sequential(nn.Tanh()))
    assert own_code(described()).keys() == {"means", "fusion"}
    assert own_code(FusionNetConfig((1, 28, 28), 10, {"deep": ConvConfig((4,), (1,), dense=16)})) == {}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("name", ["training", "_modules", "forward", "fused"])
def test_names_that_modules_have_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"a branch cannot be called '{name}', a name that is taken; rename it"):
        FusionNetConfig((1, 28, 28), 10, {name: ConvConfig((4,), ())})


def test_the_last_of_a_cascade_needs_no_map(known: None) -> None:
    shallow = ConvConfig((4,), (1,))
    config = FusionNetConfig((1, 28, 28), 10, {"a": shallow, "b": NarrowConfig()}, topology="cascade")
    assert seeded_model(config, 0)(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    with pytest.raises(InputError, match="expected a map"):
        FusionNetConfig((1, 28, 28), 10, {"a": NarrowConfig(), "b": shallow}, topology="cascade")
    apart = FusionNetConfig((1, 28, 28), 10, {"a": NarrowConfig(), "b": shallow})
    assert exit_sizes(apart, ("a",)) == [1]  # so it can be cut behind a vector


def test_a_file_that_needs_an_unknown_kind_names_it(
    known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tuple("abcdefghij")
    save_model(
        TrainedModel(seeded_model(described(), 0), lt.load_mnist().spec(), names, Recipe(steps=1), {}), tmp_path / "m"
    )
    fusions = dict(registry.FUSIONS)
    del registry.FUSIONS["largest"]
    with pytest.raises(ModelFileError, match=r"needs a fusion of the type 'largest', .*'concat', .*register_fusion"):
        load_model(tmp_path / "m")
    monkeypatch.setattr(registry, "FUSIONS", fusions)
    del registry.BRANCHES["means"]
    with pytest.raises(ModelFileError, match=r"needs a branch of the type 'means', .*'conv', .*register_branch"):
        load_model(tmp_path / "m")


@pytest.mark.usefixtures("known")
def test_the_example_of_the_docs() -> None:
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()
    code = re.search(r"```python\n(.*?class MeansConfig.*?)```", page, re.DOTALL)
    assert code is not None
    del registry.BRANCHES["means"]
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code[1], "architecture.md", "exec", dont_inherit=True), names)
    config = FusionNetConfig(
        (1, 28, 28), 3, {"a": names["MeansConfig"](), "b": ConvConfig((4,), ())}, topology="cascade"
    )
    assert seeded_model(config, 0)(torch.rand(2, 1, 28, 28)).shape == (2, 3)


@pytest.mark.usefixtures("known")
def test_what_own_kinds_declare_is_heeded() -> None:
    with pytest.raises(InputError, match=r"^largest fusion needs features of one size, got \[16, 196\]$"):
        FusionNetConfig((1, 28, 28), 3, {"a": MeansConfig(7), "b": MeansConfig(2)}, LargestConfig())
    with pytest.raises(InputError, match="a means branch has no widths to be matched by"):
        matched(FusionNetConfig((1, 28, 28), 3, {"a": MeansConfig(7)}), 10**6)


def test_a_kind_that_is_not_registered_is_refused_before_it_is_trained() -> None:
    with pytest.raises(InputError, match=r"call littoral.register_branch\(MeansConfig\) first"):
        FusionNetConfig((1, 28, 28), 3, {"a": MeansConfig(7)})
    with pytest.raises(InputError, match=r"call littoral.register_fusion\(LargestConfig\) first"):
        FusionNetConfig((1, 28, 28), 3, {"a": ConvConfig((4,), ())}, LargestConfig())


@pytest.mark.usefixtures("known")
def test_registering_again_and_what_cannot_be_registered() -> None:
    assert lt.register_branch(MeansConfig) is MeansConfig

    @dataclass(frozen=True)
    class Other(MeansConfig):
        type: Literal["conv"] = "conv"

    @dataclass
    class Thawed(FusionConfig):
        type: Literal["thawed"] = "thawed"

    class Plain(MeansConfig):
        pass

    with pytest.raises(InputError, match="'conv' is taken by ConvConfig; give Other another"):
        lt.register_branch(Other)
    with pytest.raises(InputError, match="'means' is taken by MeansConfig; give Plain another"):
        lt.register_branch(Plain)
    with pytest.raises(InputError, match=r"frozen dataclass on FusionConfig with a field like .*, got Thawed"):
        lt.register_fusion(Thawed)
    with pytest.raises(InputError, match=r"frozen dataclass on BranchConfig .*, got BranchConfig"):
        lt.register_branch(BranchConfig)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda x: x, "got Tensor with"),
        (lambda x: {"other": x}, "got dict with None"),
        (lambda x: {"means": x}, r"of shape \(1, 4, 4\) .*; got dict with \(1, 28, 28\)"),
    ],
)
def test_a_branch_that_gives_another_thing_than_it_declares_is_told_so(
    given: Callable[[Tensor], object], words: str, batch_norm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Means, "forward", lambda self, x: given(x))
    model = seeded_model(replace(described(), batch_norm=batch_norm), 0)
    with pytest.raises(ShapeError, match=f"branch 'means' should give a dict with 'means' .*{words}"):
        model(torch.zeros(2, 1, 28, 28))


@dataclass(frozen=True)
class TensorConfig(MeansConfig):
    kernel: torch.Tensor | None = None
    type: Literal["tensor"] = "tensor"


@pytest.mark.usefixtures("known")
def test_fields_that_a_model_file_cannot_hold_are_refused() -> None:
    with pytest.raises(InputError, match="fields of TensorConfig must be of types that a model file can hold"):
        lt.register_branch(TensorConfig)
    assert "tensor" not in registry.BRANCHES


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_class_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected a class on BranchConfig, got MeansConfig\(part=7.*: leave its"):
        lt.register_branch(MeansConfig(7))
