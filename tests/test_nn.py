"""The contracts of nn: what branches declare is what they give, whatever the shape; wrong shapes are refused."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from littoral.errors import InputError, ShapeError
from littoral.nn.branch import BranchConfig
from littoral.nn.conv import ConvConfig
from littoral.nn.cost import config_cost, model_cost
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.fusion.concat import Concat, ConcatConfig
from littoral.nn.inference import BATCH_SIZE, predict_probabilities
from littoral.nn.inputs import to_input
from littoral.nn.layers import flatten
from littoral.nn.matched import matched
from littoral.nn.model import FusionNet, FusionNetConfig, seeded_model, weightless_model
from littoral.nn.pixels import PixelsConfig
from littoral.nn.tower import TowerConfig
from littoral.specs import FeatureSpec, ImageSpec
from littoral.training.arms import DEFAULT_ARMS
from littoral.training.presets import PRESETS, get_arm

pytestmark = [
    # beartype, which checks the types here, draws at random which items it looks at
    pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies"),
    pytest.mark.usefixtures("one_thread"),
]

SHAPES = [(1, 28, 28), (3, 33, 20), (1, 8, 8), (3, 1, 9)]
"""Images of several forms; the last are rows of features."""


@st.composite
def conv_configs(draw: st.DrawFn) -> ConvConfig:
    widths = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    pools = tuple(number for number in range(1, len(widths) + 1) if draw(st.booleans()))
    return ConvConfig(widths, pools, draw(st.none() | st.integers(1, 9)))


@st.composite
def tower_configs(draw: st.DrawFn) -> TowerConfig:
    widths = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    pools = tuple(number for number in range(1, len(widths) + 1) if draw(st.booleans()))
    kernel, stride, grid = draw(st.sampled_from([1, 3, 5])), draw(st.integers(1, 3)), draw(st.integers(1, 5))
    return TowerConfig(widths, pools, kernel, stride, grid, residual=draw(st.booleans()))


def branch_configs() -> st.SearchStrategy[BranchConfig]:
    bins, cells = st.sampled_from([6, 8, 12]), st.integers(1, 4)
    hogs = st.builds(HogConfig, bins=bins, fine=cells, coarse=st.none() | cells)
    return st.one_of(conv_configs(), tower_configs(), hogs, st.just(PixelsConfig()))


@st.composite
def net_configs(draw: st.DrawFn) -> FusionNetConfig:
    shape = (draw(st.sampled_from([1, 3])), draw(st.integers(16, 40)), draw(st.integers(16, 40)))
    names = draw(st.lists(st.sampled_from(["shallow", "deep", "third"]), min_size=1, max_size=3, unique=True))
    hidden = tuple(draw(st.lists(st.integers(1, 8), max_size=2)))
    topology = draw(st.sampled_from(["parallel", "cascade"]))
    # what lies before fixed features learns nothing by them
    onward = branch_configs() if topology == "parallel" else st.one_of(conv_configs(), tower_configs())
    branches = {name: draw(onward if number else branch_configs()) for number, name in enumerate(names)}
    # of a branch that only serves those after it a dense layer would be of no use
    serving = [name for name in names[:-1] if getattr(branches[name], "dense", None) is None]
    unfused = tuple(name for name in serving if topology == "cascade" and draw(st.booleans()))
    return FusionNetConfig(
        shape,
        draw(st.integers(2, 11)),
        branches,
        ConcatConfig(),
        hidden,
        topology=topology,
        unfused=unfused,
        batch_norm=draw(st.booleans()),
        branch_heads=draw(st.booleans()),
    )


@given(branch_configs(), st.sampled_from([1, 3]), st.integers(1, 33), st.integers(1, 33))
@settings(deadline=None, max_examples=80)
def test_a_branch_gives_the_taps_that_it_declares(config: BranchConfig, channels: int, height: int, width: int) -> None:
    shape = (channels, height, width)
    branch = config.build(shape)
    declared = config.features(shape)
    given = branch(torch.rand(2, *shape))
    assert [spec.name for spec in declared] == list(given)
    assert [spec.shape for spec in declared] == [tuple(tap.shape[1:]) for tap in given.values()]
    assert [spec.macs for spec in declared] == sorted(spec.macs for spec in declared)
    onward = next(spec for spec in declared if spec.name == config.onward)
    assert onward.map_shape == given[config.onward].shape[1:]


@given(net_configs())
@settings(deadline=None, max_examples=80)
def test_any_model_counts_its_cost_right_and_trains_every_parameter(config: FusionNetConfig) -> None:
    model = seeded_model(config, 0)
    x = torch.rand(2, *config.image_shape)
    with FlopCounterMode(display=False) as counter:
        logits = model(x)
    assert logits.shape == (2, config.classes)
    assert model_cost(model).macs * 2 * 2 == counter.get_total_flops()  # 2 images, 2 FLOPs a multiply-accumulate
    assert model_cost(model) == config_cost(config)
    assert model_cost(model).params == sum(p.numel() for p in model.parameters())
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@given(net_configs(), st.booleans())
@settings(deadline=None, max_examples=30)
def test_the_heads_of_a_model_are_those_of_its_fused_branches(config: FusionNetConfig, training: bool) -> None:
    model = seeded_model(config, 0).train(training)
    x = torch.rand(2, *config.image_shape)
    opinions = model.opinions(x)
    fused = [name for name in config.branches if name not in config.unfused]
    assert list(opinions) == ["fused", *(fused if config.branch_heads else [])]
    assert all(logits.shape == (2, config.classes) for logits in opinions.values())
    assert torch.equal(model.combined(opinions), model(x))
    assert list(model.branch_features(x)) == fused


def test_half_the_vote_is_the_fused_heads_and_the_branches_share_the_other_half() -> None:
    branches = {"a": HogConfig(), "b": TowerConfig((3,)), "c": ConvConfig((2,), ())}
    config = FusionNetConfig((1, 12, 12), 4, branches, branch_heads=True)
    rng = np.random.default_rng(0)
    opinions = {name: rng.normal(0, 3, (5, 4)).astype(np.float32) for name in ("fused", "a", "b", "c")}
    by_hand = 0
    for logits, vote in zip(opinions.values(), (1 / 2, 1 / 6, 1 / 6, 1 / 6), strict=True):
        exponents = np.exp(logits.astype(float))
        by_hand += vote * np.log(exponents / exponents.sum(1, keepdims=True))
    combined = FusionNet(config).combined({name: torch.tensor(logits) for name, logits in opinions.items()})
    np.testing.assert_allclose(combined, by_hand, atol=1e-5)
    one_head = FusionNet(replace(config, branch_heads=False))
    assert torch.equal(one_head.combined({"fused": combined}), combined)


def test_in_a_cascade_a_branch_goes_on_from_the_maps_of_the_one_before() -> None:
    first, second = ConvConfig((5,), (1,), dense=4), TowerConfig((6, 7))
    config = FusionNetConfig((1, 12, 12), 3, {"first": first, "second": second}, topology="cascade", unfused=())
    model = seeded_model(config, 0)
    x = torch.rand(2, 1, 12, 12)
    before = model.branches["first"](x)
    assert model.branches["second"].image_shape == before["conv1"].shape[1:] == (5, 6, 6)
    features = model.branch_features(x)
    assert torch.equal(features["first"], before["dense"])
    assert torch.equal(features["second"], model.branches["second"](before["conv1"])["grid"])


def test_oriented_gradients_have_nothing_to_learn_and_no_convolutions() -> None:
    branch = HogConfig().build((1, 28, 28))
    with FlopCounterMode(display=False) as counter:
        branch(torch.rand(2, 1, 28, 28))
    assert counter.get_total_flops() == 0
    assert not branch.state_dict()
    assert all(spec.macs == 0 for spec in HogConfig().features((1, 28, 28)))


def test_a_model_that_normalises_answers_for_each_image_by_itself_once_trained() -> None:
    model = seeded_model(get_arm(PRESETS["few"], "fused", (1, 12, 12), 4), 0)
    x = torch.rand(6, 1, 12, 12)
    for _ in range(3):
        model.train()(x)
    model.eval()
    torch.testing.assert_close(model(x)[:1], model(x[:1]))


TRAINED = [name for name, preset in PRESETS.items() if not preset.linear]


@pytest.mark.parametrize("preset", TRAINED)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_arms_that_are_compared_by_default(preset: str, shape: tuple[int, int, int]) -> None:
    for arm in DEFAULT_ARMS:
        model = seeded_model(get_arm(PRESETS[preset], arm, shape, 7), 1)
        logits = model(torch.rand(4, *shape))
        assert logits.shape == (4, 7)
        logits.logsumexp(1).sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("preset", TRAINED)
@pytest.mark.parametrize("shape", [*SHAPES, (3, 64, 64), (1, 2, 2), (1, 1, 1)])
def test_the_matched_network_is_one_learned_branch_at_the_price_of_the_fused(
    preset: str, shape: tuple[int, int, int]
) -> None:
    for classes in (2, 100):
        alone, fused = (get_arm(PRESETS[preset], arm, shape, classes) for arm in ("matched", "fused"))
        assert config_cost(alone).macs == pytest.approx(config_cost(fused).macs, rel=0.03)
        (branch,) = alone.branches.values()
        assert isinstance(branch, ConvConfig | TowerConfig)
        assert not alone.branch_heads
        assert (alone.image_shape, alone.classes) == (shape, classes)


def test_matching_keeps_all_but_the_widths() -> None:
    tower = TowerConfig((16, 32), pool_after=(2,), kernel=5, stride=2)
    config = FusionNetConfig((1, 28, 28), 10, {"deep": tower}, hidden=(20,), batch_norm=True)
    assert matched(config, config_cost(config).macs) == config
    for factor in (0.3, 4, 50):
        found = matched(config, int(factor * config_cost(config).macs))
        (wide,) = found.branches.values()
        assert found == replace(config, branches={"deep": replace(tower, widths=wide.widths)})
        assert wide.widths[1] / wide.widths[0] == pytest.approx(2, rel=0.3)


def test_a_residual_tower_adds_where_width_and_size_are_kept() -> None:
    config = TowerConfig((3, 4, 4, 4), pool_after=(3,), residual=True)
    assert [config.adds(number) for number in (1, 2, 3, 4)] == [False, False, False, True]
    torch.manual_seed(0)
    residual = config.build((1, 8, 8)).eval()
    plain = replace(config, residual=False).build((1, 8, 8)).eval()
    plain.load_state_dict(residual.state_dict())
    images = torch.rand(2, 1, 8, 8)
    one, other = residual(images), plain(images)
    torch.testing.assert_close(one["conv3"], other["conv3"])
    torch.testing.assert_close(one["conv4"], other["conv4"] + other["conv3"])


def test_a_residual_tower_stays_so_when_it_is_matched() -> None:
    tower = TowerConfig((8, 12, 12, 12), pool_after=(2,), residual=True)
    assert len(tower.neighbours()) == 8
    config = FusionNetConfig((1, 28, 28), 10, {"deep": tower}, batch_norm=True)
    for factor in (0.5, 7):
        (wide,) = matched(config, int(factor * config_cost(config).macs)).branches.values()
        assert isinstance(wide, TowerConfig)
        assert [wide.adds(number) for number in (1, 2, 3, 4)] == [False, False, True, True]


def test_what_cannot_be_matched_is_refused() -> None:
    conv, image = ConvConfig((4,), ()), (1, 28, 28)
    with pytest.raises(InputError, match=re.escape("one branch can be matched, got ['a', 'b']")):
        matched(FusionNetConfig(image, 3, {"a": conv, "b": conv}), 10**6)
    with pytest.raises(InputError, match="a hog branch has no widths"):
        matched(FusionNetConfig(image, 3, {"a": HogConfig()}), 10**6)
    with pytest.raises(InputError, match="no width comes within 3% of 100 multiply-accumulates"):
        matched(FusionNetConfig(image, 3, {"a": conv}), 100)


def test_article_prose_is_the_text_of_the_tutorial() -> None:
    config = get_arm(PRESETS["article-prose"], "fused", (1, 28, 28), 10)
    convolutions = {name: len(branch.widths) for name, branch in config.branches.items()}
    pools = {name: len(branch.pool_after) for name, branch in config.branches.items()}
    assert convolutions == {"shallow": 2, "deep": 3}
    assert pools == {"shallow": 1, "deep": 1}
    assert len(seeded_model(config, 0).head.layers) == 2
    assert config_cost(config).params == 9_748_106


def test_pooling_before_the_relu_equals_pooling_after_it() -> None:
    branch = ConvConfig((5,), (1,)).build((1, 12, 12))
    x = torch.randn(3, 1, 12, 12)
    after = torch.nn.functional.max_pool2d(torch.relu(branch.convs[0](x)), 2)
    assert torch.equal(branch(x)["conv1"], after)


def test_an_arm_alone_starts_from_what_its_seed_says() -> None:
    config = get_arm(PRESETS["article"], "deep", (1, 28, 28), 10)
    one, same, other = seeded_model(config, 1), seeded_model(config, 1), seeded_model(config, 2)
    for name, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])
    assert not torch.equal(one.head.layers[0].weight, other.head.layers[0].weight)


def test_a_model_that_is_only_described_takes_no_memory() -> None:
    config = FusionNetConfig((1, 28, 28), 10, {"wide": ConvConfig((4,), (), dense=50_000_000)})
    assert config_cost(config).params > 10**11
    assert all(parameter.is_meta for parameter in weightless_model(config).parameters())


def test_wrong_shapes_are_refused_with_expected_and_received() -> None:
    config = get_arm(PRESETS["article"], "fused", (1, 28, 28), 10)
    with pytest.raises(ShapeError, match=re.escape("(1, 28, 28), got (1, 20, 28)")):
        FusionNet(config)(torch.rand(2, 1, 20, 28))
    fusion = Concat([FeatureSpec("a", 4, None, None, 0), FeatureSpec("b", 2, 3, 3, 0)])
    assert fusion([torch.rand(5, 4), torch.rand(5, 2, 3, 3)]).shape == (5, 22)
    for branch in (TowerConfig((4,)), HogConfig()):
        with pytest.raises(ShapeError, match=re.escape("of (1, 28, 28), got (3, 28, 28); bring the images")):
            branch.build((1, 28, 28))(torch.rand(2, 3, 28, 28))
    for wrong in ([torch.rand(5, 4)], [torch.rand(5, 2, 3, 3), torch.rand(5, 4)], [torch.rand(5, 4)] * 2):
        with pytest.raises(ShapeError, match=re.escape("expects features of shapes [(4,), (2, 3, 3)]")):
            fusion(wrong)


def test_a_side_of_one_pixel_is_left_alone_by_a_pool() -> None:
    config = get_arm(PRESETS["article"], "deep", (1, 1, 9), 2)
    assert [spec.shape for spec in config.branches["deep"].features((1, 1, 9))] == [
        (32, 1, 4),
        (64, 1, 2),
        (128, 1, 1),
        (256,),
    ]
    assert FusionNet(config)(torch.rand(2, 1, 1, 9)).shape == (2, 2)


def test_a_map_is_flattened_in_kerass_order() -> None:
    x = torch.rand(2, 3, 4, 5)
    assert torch.equal(flatten(x), torch.tensor(x.numpy().transpose(0, 2, 3, 1).reshape(2, -1)))
    assert torch.equal(flatten(x[:, :, 0, 0]), x[:, :, 0, 0])


def test_pixels_become_numbers_by_the_spec() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    spec = ImageSpec(4, 5, 3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 1.0))
    expected = ((images / 255 - spec.mean) / spec.std).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(to_input(torch.tensor(images), spec), expected, atol=1e-6)


def test_probabilities_do_not_depend_on_the_batch_and_leave_the_mode() -> None:
    config = FusionNetConfig((1, 8, 8), 3, {"only": ConvConfig((4,), (1,))})
    model = seeded_model(config, 0).train()
    images = np.random.default_rng(0).integers(0, 256, (BATCH_SIZE + 7, 8, 8, 1), np.uint8)
    spec = ImageSpec.unit(8, 8, 1)
    together = predict_probabilities(model, images, spec)
    assert model.training
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(together[-3:], predict_probabilities(model, images[-3:], spec), atol=1e-6)
    assert predict_probabilities(model, images[:0], spec).shape == (0, 3)


AB = {"a": TowerConfig((4,)), "b": TowerConfig((4,))}


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConvConfig((), ()),
        lambda: ConvConfig((4, 0), ()),
        lambda: ConvConfig((4,), (2,)),
        lambda: ConvConfig((4, 4), (2, 1)),
        lambda: ConvConfig((4,), (), dense=0),
        lambda: TowerConfig(()),
        lambda: TowerConfig((4, 0)),
        lambda: TowerConfig((4,), pool_after=(2,)),
        lambda: TowerConfig((4, 4), pool_after=(2, 1)),
        lambda: TowerConfig((4,), kernel=2),
        lambda: TowerConfig((4,), kernel=-1),
        lambda: TowerConfig((4,), stride=0),
        lambda: TowerConfig((4,), grid=0),
        lambda: HogConfig(bins=4),
        lambda: HogConfig(bins=9),
        lambda: HogConfig(fine=0),
        lambda: HogConfig(coarse=0),
        lambda: FusionNetConfig((1, 8, 8), 2, AB, unfused=("a",)),  # in parallel nothing is served
        lambda: FusionNetConfig((1, 8, 8), 2, AB, topology="cascade", unfused=("b",)),
        lambda: FusionNetConfig((1, 8, 8), 2, AB, topology="cascade", unfused=("a", "b")),
        lambda: FusionNetConfig((1, 8, 8), 2, AB, topology="cascade", unfused=("c",)),
        lambda: FusionNetConfig((1, 8, 8), 2, {"fused": ConvConfig((4,), ())}),
        lambda: FusionNetConfig((1, 8, 8), 1, {"a": ConvConfig((4,), ())}),
        lambda: FusionNetConfig((0, 8, 8), 2, {"a": ConvConfig((4,), ())}),
        lambda: FusionNetConfig((1, 8, 8), 2, {}),
        lambda: FusionNetConfig((1, 8, 8), 2, {"a.b": ConvConfig((4,), ())}),
        lambda: FusionNetConfig((1, 8, 8), 2, {"keys": ConvConfig((4,), ())}),
        lambda: FusionNetConfig((1, 8, 8), 2, {"a": ConvConfig((4,), ())}, hidden=(0,)),
        lambda: ImageSpec(0, 4, 1, (0.0,), (1.0,)),
        lambda: ImageSpec(4, 4, 2, (0.0, 0.0), (1.0, 1.0)),
        lambda: ImageSpec(4, 4, 1, (0.0, 0.0), (1.0,)),
        lambda: ImageSpec(4, 4, 1, (0.0,), (0.0,)),
        lambda: ImageSpec(4, 4, 1, (float("nan"),), (1.0,)),
        lambda: FeatureSpec("a", 4, 2, None, 0),
    ],
)
def test_descriptions_that_cannot_be_are_refused(make: object) -> None:
    with pytest.raises(InputError):
        make()
