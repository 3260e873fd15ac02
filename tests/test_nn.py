"""The contracts of nn: what branches declare is what they give, whatever the shape; wrong shapes are refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from littoral.errors import InputError, ShapeError
from littoral.nn.conv import ConvConfig
from littoral.nn.cost import config_cost, model_cost
from littoral.nn.fusion import Concat, ConcatConfig
from littoral.nn.inference import BATCH_SIZE, predict_probabilities
from littoral.nn.inputs import to_input
from littoral.nn.layers import flatten
from littoral.nn.model import FusionNet, FusionNetConfig, seeded_model, weightless_model
from littoral.specs import FeatureSpec, ImageSpec
from littoral.training.presets import PRESETS

# beartype, which checks the types here, draws at random which items it looks at
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")


@st.composite
def conv_configs(draw: st.DrawFn) -> ConvConfig:
    widths = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    pools = tuple(number for number in range(1, len(widths) + 1) if draw(st.booleans()))
    return ConvConfig(widths, pools, draw(st.none() | st.integers(1, 9)))


@st.composite
def net_configs(draw: st.DrawFn) -> FusionNetConfig:
    shape = (draw(st.sampled_from([1, 3])), draw(st.integers(16, 40)), draw(st.integers(16, 40)))
    names = draw(st.lists(st.sampled_from(["shallow", "deep", "third"]), min_size=1, max_size=3, unique=True))
    hidden = tuple(draw(st.lists(st.integers(1, 8), max_size=2)))
    branches = {name: draw(conv_configs()) for name in names}
    return FusionNetConfig(shape, draw(st.integers(2, 11)), branches, ConcatConfig(), hidden)


@given(conv_configs(), st.sampled_from([1, 3]), st.integers(16, 33), st.integers(16, 33))
@settings(deadline=None, max_examples=40)
def test_a_branch_gives_the_taps_that_it_declares(config: ConvConfig, channels: int, height: int, width: int) -> None:
    shape = (channels, height, width)
    branch = config.build(shape)
    declared = branch.features(shape)
    given = branch(torch.rand(2, *shape))
    assert [spec.name for spec in declared] == list(given)
    assert [spec.shape for spec in declared] == [tuple(tap.shape[1:]) for tap in given.values()]
    assert [spec.macs for spec in declared] == sorted(spec.macs for spec in declared)


@given(net_configs())
@settings(deadline=None, max_examples=40)
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


@pytest.mark.parametrize("preset", list(PRESETS))
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 20), (1, 8, 8)])
def test_every_arm_of_every_preset(preset: str, shape: tuple[int, int, int]) -> None:
    arms = PRESETS[preset].arms(shape, 7)
    assert {"fused", "shallow", "deep"} <= arms.keys()
    for config in arms.values():
        model = seeded_model(config, 1)
        logits = model(torch.rand(4, *shape))
        assert logits.shape == (4, 7)
        logits.logsumexp(1).sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_article_prose_is_the_text_of_the_tutorial() -> None:
    config = PRESETS["article-prose"].arms((1, 28, 28), 10)["fused"]
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
    config = PRESETS["article"].arms((1, 28, 28), 10)["deep"]
    one, same, other = seeded_model(config, 1), seeded_model(config, 1), seeded_model(config, 2)
    for name, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])
    assert not torch.equal(one.head.layers[0].weight, other.head.layers[0].weight)


def test_a_model_that_is_only_described_takes_no_memory() -> None:
    config = FusionNetConfig((1, 28, 28), 10, {"wide": ConvConfig((4,), (), dense=50_000_000)})
    assert config_cost(config).params > 10**11
    assert all(parameter.is_meta for parameter in weightless_model(config).parameters())


def test_wrong_shapes_are_refused_with_expected_and_received() -> None:
    config = PRESETS["article"].arms((1, 28, 28), 10)["fused"]
    with pytest.raises(ShapeError, match=re.escape("(1, 28, 28), got (1, 20, 28)")):
        FusionNet(config)(torch.rand(2, 1, 20, 28))
    fusion = Concat([FeatureSpec("a", 4, None, None, 0), FeatureSpec("b", 2, 3, 3, 0)])
    assert fusion([torch.rand(5, 4), torch.rand(5, 2, 3, 3)]).shape == (5, 22)
    for wrong in ([torch.rand(5, 4)], [torch.rand(5, 2, 3, 3), torch.rand(5, 4)], [torch.rand(5, 4)] * 2):
        with pytest.raises(ShapeError, match=re.escape("expects features of shapes [(4,), (2, 3, 3)]")):
            fusion(wrong)


def test_a_side_of_one_pixel_is_left_alone_by_a_pool() -> None:
    config = PRESETS["article"].arms((1, 1, 9), 2)["deep"]
    assert [spec.shape for spec in config.branches["deep"].build((1, 1, 9)).features((1, 1, 9))] == [
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


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConvConfig((), ()),
        lambda: ConvConfig((4, 0), ()),
        lambda: ConvConfig((4,), (2,)),
        lambda: ConvConfig((4, 4), (2, 1)),
        lambda: ConvConfig((4,), (), dense=0),
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
