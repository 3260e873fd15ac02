"""What every network keeps, whatever it is made of: topology × fusion × pair of branches × channels × size.

By default a part of the grid in which each two values of different columns meet; all of it under `make test-full`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from littoral.errors import InputError
from littoral.model_file import load_model, save_model
from littoral.nn.backbone import BackboneConfig
from littoral.nn.branch import BranchConfig
from littoral.nn.conv import ConvConfig
from littoral.nn.cost import config_cost, model_cost
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
from littoral.nn.model import FusionNetConfig, seeded_model
from littoral.nn.pixels import PixelsConfig
from littoral.nn.registry import BRANCHES, FUSIONS
from littoral.nn.tower import TowerConfig
from littoral.specs import ImageSpec
from littoral.training.presets import PRESETS, get_arm
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS: dict[str, BranchConfig] = {
    "conv-map": ConvConfig((3, 5), (1,)),
    "conv-vector": ConvConfig((4,), (1,), dense=6),
    "tower": TowerConfig((4, 6), (2,), kernel=5, stride=2),
    "tower-residual": TowerConfig((4, 4, 6), (3,), residual=True),
    "hog": HogConfig(bins=6),
    "pixels": PixelsConfig(),
    "lbp": LbpConfig(points=6, radius=1.5),
    "colours": ColoursConfig(bins=3),
    "moments": MomentsConfig(),
    "gabor": GaborConfig(scales=2, angles=3),
    "scattering": ScatteringConfig(angles=4),
}
PRETRAINED: dict[str, BranchConfig] = {
    "backbone-map": BackboneConfig(taps=("stage1", "stage3"), pools=()),
    "backbone-vector": BackboneConfig(taps=("stage2",), pools=("mean", "std")),
    "backbone-tuned": BackboneConfig(taps=("stage2",), pools=("mean", "max", "std"), tuned=True),
}
"""On a small grid of their own, since their weights have to be read for every case."""
JOINED: dict[str, FusionConfig] = {
    "concat": ConcatConfig(),
    "sum": SumConfig(width=5),
    "gated": GatedConfig(width=5),
    "attention": AttentionConfig(reduction=2),
    "bilinear": BilinearConfig(width=5),
    "late": LateConfig(),
}
TOPOLOGIES = ("parallel", "cascade")
LEAST = ("lbp", "colours", "moments", "gabor", "scattering", "tower-residual")
"""Kinds that a network treats as it does hog: each before and after a learned one, and not with all others."""
PAIRS = (
    *itertools.product([kind for kind in KINDS if kind not in LEAST], repeat=2),
    *((kind, "tower") for kind in LEAST),
    *(("conv-map", kind) for kind in LEAST),
)
CHANNELS = (1, 3)
SIZES = ((8, 8), (9, 31), (28, 28), (64, 48), (224, 224))
NORMALISED = (False, True)


@dataclass(frozen=True)
class Case:
    """A point of the grid."""

    topology: str
    fusion: str
    pair: tuple[str, str]
    channels: int
    size: tuple[int, int]
    batch_norm: bool

    def config(self) -> FusionNetConfig:
        branches = dict(zip(("one", "other"), ((KINDS | PRETRAINED)[kind] for kind in self.pair), strict=True))
        fusion = JOINED[self.fusion]
        # heads too on half of the grid, and where there is nothing else
        heads = self.batch_norm or not fusion.joint
        shape = (self.channels, *self.size)
        return FusionNetConfig(shape, 5, branches, fusion, (7,), self.topology, (), self.batch_norm, heads)

    def refusal(self) -> str | None:
        """Why it cannot be, in part of the words; None where it can."""
        pretrained = [kind for kind in self.pair if kind in PRETRAINED]
        if pretrained and self.topology == "cascade":
            return None if pretrained == ["backbone-map"] else "is a vector of .*, expected a map"
        if pretrained and min(self.size) < 32:
            return "needs images of 32×32 pixels or more"
        if self.topology == "cascade" and KINDS[self.pair[1]].fixed:
            return f"a {self.pair[1]} branch learns nothing and stops what is before it from learning"
        vectors = {"conv-vector", "backbone-vector", "backbone-tuned"}
        if self.fusion == "attention" and vectors & set(self.pair):
            return "attention fusion needs maps"
        return None

    def __str__(self) -> str:
        size = "x".join(map(str, (self.channels, *self.size)))
        return f"{self.topology}-{self.fusion}-{'+'.join(self.pair)}-{size}-{self.batch_norm}"


COLUMNS = (TOPOLOGIES, tuple(JOINED), PAIRS, CHANNELS, SIZES, NORMALISED)
GRID = [Case(*values) for values in itertools.product(*COLUMNS)]
WITH_PRETRAINED = (*((kind, "tower") for kind in PRETRAINED), *(("hog", kind) for kind in PRETRAINED))


def pairwise(columns: tuple[tuple[object, ...], ...]) -> list[Case]:
    """Rows in which each two values of different columns meet, each row taking in as many new meetings as it can."""
    missing = {
        ((a, one), (b, other))
        for a, b in itertools.combinations(range(len(columns)), 2)
        for one in columns[a]
        for other in columns[b]
    }

    def gain(row: dict[int, object]) -> int:
        return sum(meeting in missing for meeting in itertools.combinations(sorted(row.items()), 2))

    rows = []
    ordered = sorted(range(len(columns)), key=lambda number: -len(columns[number]))
    while missing:
        row = dict(min(missing, key=repr))
        for number in ordered:
            if number not in row:
                row[number] = max(columns[number], key=lambda value, at=number: gain(row | {at: value}))
        missing -= set(itertools.combinations(sorted(row.items()), 2))
        rows.append(Case(*(value for _, value in sorted(row.items()))))  # type: ignore[arg-type]
    return rows


def check(case: Case, folder: Path) -> None:
    """All that is promised of a network."""
    words = case.refusal()
    if words is not None:
        with pytest.raises(InputError, match=words):
            case.config()
        return
    keeps_its_promises(case.config(), folder)


def keeps_its_promises(config: FusionNetConfig, folder: Path) -> None:
    """What a network that can be declares, learns, costs and comes back as from a file."""
    model = seeded_model(config, 0)
    x = torch.rand(3, *config.image_shape)

    places = config.places()
    for name, branch in model.branches.items():
        sees = places[name].sees
        taps = branch(torch.rand(2, *sees))
        declared = config.branches[name].features(sees)
        assert [(spec.name, spec.shape) for spec in declared] == [(tap, tuple(taps[tap].shape[1:])) for tap in taps]
    features = model.branch_features(x)
    assert [tuple(feature.shape[1:]) for feature in features.values()] == [
        s.shape for s in config.fused_specs().values()
    ]

    with FlopCounterMode(display=False) as counter:
        logits = model(x)
    assert logits.shape == (3, 5)
    assert model_cost(model).macs * 2 * len(x) == counter.get_total_flops()
    assert model_cost(model) == config_cost(config)

    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)

    channels, height, width = config.image_shape
    spec = ImageSpec.unit(height, width, channels)
    save_model(TrainedModel(model.eval(), spec, tuple("abcde"), Recipe(steps=1), {}), folder / "m")
    again = load_model(folder / "m").model
    assert again.config == config
    state = again.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    with torch.inference_mode():
        one, other = model.to(memory_format=torch.channels_last)(x), again(x)
    assert torch.equal(one, other)


@pytest.mark.parametrize("case", pairwise(COLUMNS), ids=str)
def test_a_part_of_the_grid_where_all_pairs_meet(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


PRETRAINED_COLUMNS = (
    ("parallel",),
    tuple(JOINED),
    WITH_PRETRAINED,
    CHANNELS,
    ((28, 28), (32, 57), (64, 48)),
    NORMALISED,
)
CASCADES = [Case("cascade", "concat", (kind, "tower"), 3, (64, 48), True) for kind in PRETRAINED]


@pytest.mark.parametrize("case", [*pairwise(PRETRAINED_COLUMNS), *CASCADES], ids=str)
def test_pretrained_branches_too(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


SEVERAL = BackboneConfig(taps=("stem", "stage1", "stage3"), least=48)
TAPPED: dict[str, tuple[FusionNetConfig, list[str]]] = {
    "pretrained": (
        FusionNetConfig((1, 30, 40), 5, {"edges": HogConfig(), "deep": SEVERAL}, taps={"deep": ("stem", "stage3")}),
        ["edges", "deep_stem", "deep_stage3"],
    ),
    "heads": (
        FusionNetConfig(
            (3, 20, 20),
            5,
            {"one": ConvConfig((3, 5), (1,), dense=6), "other": TowerConfig((4, 6))},
            batch_norm=True,
            branch_heads=True,
            taps={"one": ("conv2", "dense"), "other": ("grid",)},
        ),
        ["one_conv2", "one_dense", "other"],
    ),
    "cascade": (
        FusionNetConfig(
            (1, 24, 24),
            5,
            {"one": HogConfig(), "other": TowerConfig((4, 6))},
            SumConfig(width=5),
            topology="cascade",
            taps={"one": ("fine",), "other": ("conv1", "conv2", "grid")},
        ),
        ["one", "other_conv1", "other_conv2", "other_grid"],
    ),
    "late": (
        FusionNetConfig(
            (3, 20, 20),
            5,
            {"one": TowerConfig((4, 6))},
            LateConfig(),
            (7,),
            branch_heads=True,
            taps={"one": ("conv1", "grid")},
        ),
        ["one_conv1", "one_grid"],
    ),
}


@pytest.mark.parametrize("name", list(TAPPED))
def test_several_taps_of_a_branch_are_features_of_their_own(name: str, tmp_path: Path) -> None:
    config, features = TAPPED[name]
    assert list(config.fused_specs()) == features
    keeps_its_promises(config, tmp_path)
    model = seeded_model(config, 0)
    assert list(model.opinions(torch.rand(2, *config.image_shape))) == model.voters
    if config.branch_heads:
        assert list(model.heads) == features


@pytest.mark.parametrize(
    ("taps", "words"),
    [
        ({"deep": ("conv1",)}, "takes no tap of branch 'deep' after 'conv1': end the branch there"),
        ({"deep": ("conv9",)}, "branch 'deep' has no tap 'conv9': expected some of conv1, conv2"),
        ({"deep": ("conv2", "conv1")}, "taps of branch 'deep' go by depth: expected conv1, conv2, got conv2, conv1"),
        ({"deep": ("conv2", "conv2")}, "go by depth: expected conv2, got conv2, conv2"),
        ({"deep": ()}, "one tap or more of a branch, got none of 'deep'"),
        ({"other": ("conv1",)}, "named of branches that the fusion takes, got some of 'other'"),
        ({"deep": ("conv1", "conv2")}, "cannot be called 'deep_conv2', a name that is taken"),
    ],
)
def test_taps_that_cannot_be_are_refused(taps: dict[str, tuple[str, ...]], words: str) -> None:
    branches = {"deep": ConvConfig((3, 4), ()), "deep_conv2": ConvConfig((3,), ())}
    with pytest.raises(InputError, match=words):
        FusionNetConfig((1, 8, 8), 3, branches, taps=taps)


@pytest.mark.full
@pytest.mark.parametrize("case", GRID, ids=str)
def test_the_whole_grid(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


def test_the_grid_has_every_known_kind() -> None:
    assert {config.type for config in (KINDS | PRETRAINED).values()} == set(BRANCHES)
    assert [config.type for config in JOINED.values()] == list(JOINED)
    assert set(JOINED) == set(FUSIONS)
    assert all(case in GRID for case in pairwise(COLUMNS))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 8)])
@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_arm_of_every_preset_learns_or_is_refused(preset: str, shape: tuple[int, int, int]) -> None:
    refused = []
    for arm in PRESETS[preset].arms:
        try:
            config = get_arm(PRESETS[preset], arm, shape, 6)
        except InputError:
            refused.append(arm)
            continue
        model = seeded_model(config, 0)
        logits = model(torch.rand(4, *shape))
        assert logits.shape == (4, 6)
        logits.logsumexp(1).sum().backward()
        learned = [p for p in model.parameters() if p.requires_grad]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in learned)
        assert not PRESETS[preset].linear or arm == "probe" or len(learned) == 2
    vectors = ["fused-attention"]
    three = ["fused-attention", "fused-bilinear"]
    nothing = ["matched", "matched-ensemble", *(f"fused-{word}" for word in JOINED if word != "concat")]
    expected = {"few": three, "strong": three, "article": vectors, "tiny": vectors}
    expected |= {name: nothing for name in PRESETS if PRESETS[name].linear}
    assert sorted(refused) == sorted(expected.get(preset, []))
