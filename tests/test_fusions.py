"""The fusions: each is its formula, attention the published one; what cannot be joined is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax

from littoral.errors import InputError, ShapeError
from littoral.nn.conv import ConvConfig
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.fusion.attention import Attention, AttentionConfig
from littoral.nn.fusion.base import FusionConfig
from littoral.nn.fusion.bilinear import FLAT, BilinearConfig
from littoral.nn.fusion.gated import GatedConfig
from littoral.nn.fusion.late import LateConfig
from littoral.nn.fusion.sum import SumConfig
from littoral.nn.layers import LoneNorm2d
from littoral.nn.model import FusionNetConfig, seeded_model
from littoral.nn.tower import TowerConfig
from littoral.specs import FeatureSpec

pytestmark = pytest.mark.usefixtures("one_thread")

VECTORS = [FeatureSpec("a", 5, None, None, 0), FeatureSpec("b", 7, None, None, 0)]
MAPS = [FeatureSpec("a", 4, 6, 9, 0), FeatureSpec("b", 8, 3, 3, 0)]


def vectors(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(6, spec.size)).astype(np.float32) for spec in VECTORS]


def test_attention_is_the_published_one() -> None:
    """Stored values, computed in NumPy from the paper's equations (reference/make_aff.py)."""
    stored = np.load(Path(__file__).with_name("reference") / "aff.npz")
    values = {name: torch.tensor(stored[name]) for name in stored.files}
    fusion = AttentionConfig(reduction=4, grid=3).build(MAPS)
    assert isinstance(fusion, Attention)
    state = {"widen.0.weight": values["widen"][:, :, None, None]}
    for context in ("local", "overall"):
        for layer in ("squeeze", "expand"):
            state[f"{context}.{layer}.weight"] = values[f"{context}.{layer}"][:, :, None, None]
        for norm in ("inner_norm", "norm"):
            for part in ("weight", "bias"):
                state[f"{context}.{norm}.{part}"] = values[f"{context}.{norm}.{part}"]
            for part in ("mean", "var"):
                state[f"{context}.{norm}.running_{part}"] = values[f"{context}.{norm}.{part}"]
            state[f"{context}.{norm}.num_batches_tracked"] = torch.tensor(0)
    fusion.load_state_dict(state)
    for mode in ("evaluation", "training"):  # in this order: training moves the running figures
        fused = fusion.train(mode == "training")([values["x"], values["y"]])
        expected = values[mode].permute(0, 2, 3, 1).flatten(1)  # a grid as large as the map averages nothing
        torch.testing.assert_close(fused, expected, atol=2e-5, rtol=1e-4)


def test_attention_takes_maps_of_any_sizes_to_its_grid() -> None:
    for shapes, size in {
        ((4, 6, 9), (8, 3, 3)): 8 * 4,
        ((3, 2, 9), (3, 7, 1)): 3 * 2,
        ((1, 1, 1), (5, 8, 8)): 5,
    }.items():
        specs = [FeatureSpec("m", *shape, 0) for shape in shapes]
        fusion = AttentionConfig(grid=2).build(specs)
        assert isinstance(fusion, Attention)
        assert fusion.out_features == size
        assert fusion.local.squeeze.out_channels == max(1, max(shape[0] for shape in shapes) // 4)
        assert fusion([torch.rand(3, *shape) for shape in shapes]).shape == (3, size)
        assert fusion([torch.rand(1, *shape) for shape in shapes]).isfinite().all()  # a batch of one in training


def test_one_lone_number_a_channel_is_normalised_as_in_evaluation() -> None:
    norm = LoneNorm2d(3, eps=0.1)
    for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        torch.nn.init.uniform_(value, 0.5, 2.0)
    lone = torch.rand(1, 3, 1, 1)
    state = {name: value.clone() for name, value in norm.state_dict().items()}
    in_training = norm.train()(lone)
    assert all(torch.equal(value, state[name]) for name, value in norm.state_dict().items())
    torch.testing.assert_close(in_training, norm.eval()(lone))
    norm.train()
    for shape in ((1, 3, 2, 2), (2, 3, 2, 1), (1, 3, 1, 2), (1, 3, 2, 1), (2, 3, 1, 1)):  # by their own mean
        torch.testing.assert_close(norm(torch.rand(shape)).mean((0, 2, 3)), norm.bias.detach())


def test_a_sum_is_the_sum_of_projections() -> None:
    fusion, (x, y) = SumConfig(width=3).build(VECTORS), vectors()
    left, right = (weight.detach().numpy() for weight in fusion.weights)
    found = fusion([torch.tensor(x), torch.tensor(y)]).detach()
    np.testing.assert_allclose(found, x @ left.T + y @ right.T, atol=1e-5)


def test_a_gated_fusion_is_the_gated_multimodal_unit() -> None:
    fusion, (x, y) = GatedConfig(width=3).build(VECTORS), vectors()
    weights = [weight.detach().numpy() for weight in (*fusion.weights, *fusion.gates)]
    both = np.concatenate([x, y], 1)
    expected = expit(both @ weights[2].T) * np.tanh(x @ weights[0].T) + expit(both @ weights[3].T) * np.tanh(
        y @ weights[1].T
    )
    np.testing.assert_allclose(fusion([torch.tensor(x), torch.tensor(y)]).detach(), expected, atol=1e-5)


def test_a_bilinear_fusion_is_a_product_of_low_rank_its_root_taken_and_its_length_fixed() -> None:
    fusion, (x, y) = BilinearConfig(width=64).build(VECTORS), vectors()
    left, right = fusion.left.weight.detach().numpy(), fusion.right.weight.detach().numpy()
    # each number is a bilinear form x' M y with M of rank 1
    forms = np.einsum("wi,wj->wij", left, right)
    z = np.einsum("bi,wij,bj->bw", x, forms, y)
    root = np.sign(z) * np.abs(z) / np.sqrt(np.abs(z) + FLAT)
    expected = root / np.sqrt((root**2).mean(1, keepdims=True))
    found = fusion([torch.tensor(x), torch.tensor(y)])
    np.testing.assert_allclose(found.detach(), expected, atol=1e-4)
    # of what is hardly seen no length is made
    faint = [torch.tensor(x) * 1e-6, torch.tensor(y) * 1e-3]
    assert (fusion(faint).pow(2).mean(1).sqrt() < 0.1).all()
    # where nothing is seen there is no slope without bound
    nothing = [torch.zeros(2, 5, requires_grad=True), torch.zeros(2, 7)]
    fusion(nothing).sum().backward()
    assert nothing[0].grad is not None
    assert nothing[0].grad.isfinite().all()


def test_late_fusion_joins_the_opinions_of_the_branches_alone() -> None:
    branches = {"a": HogConfig(), "b": TowerConfig((3,)), "c": ConvConfig((2,), ())}
    config = FusionNetConfig((1, 12, 12), 4, branches, LateConfig(), hidden=(6,), batch_norm=True, branch_heads=True)
    model = seeded_model(config, 0).eval()
    x = torch.rand(5, 1, 12, 12)
    opinions = model.opinions(x)
    assert list(opinions) == ["a", "b", "c"]
    assert model.votes.tolist() == pytest.approx([1 / 3] * 3)
    by_hand = np.mean([log_softmax(logits.detach().numpy(), 1) for logits in opinions.values()], axis=0)
    np.testing.assert_allclose(model(x).detach(), by_hand, atol=1e-5)
    for name, head in model.heads.items():  # each branch's answer is that of a network of its own
        assert [layer.out_features for layer in head.layers] == [6, 4]
        assert torch.equal(head(model.branch_features(x)[name]), opinions[name])


@pytest.mark.parametrize(
    ("fusion", "branches", "words"),
    [
        (AttentionConfig(), 1, "attention fusion joins the maps of exactly two branches, got 1"),
        (AttentionConfig(), 3, "attention fusion joins the maps of exactly two branches, got 3"),
        (BilinearConfig(), 1, "bilinear fusion multiplies the features of exactly two branches, got 1"),
        (BilinearConfig(), 3, "bilinear fusion multiplies the features of exactly two branches, got 3"),
        (GatedConfig(), 1, "gated fusion chooses between branches and needs two or more, got 1"),
        (LateConfig(), 1, "late fusion joins the opinions of branches and needs two or more, got 1"),
    ],
)
def test_a_number_of_branches_that_cannot_be_is_refused(fusion: FusionConfig, branches: int, words: str) -> None:
    described = {f"b{number}": TowerConfig((3,)) for number in range(branches)}
    with pytest.raises(InputError, match=f"^{words}$"):
        FusionNetConfig((1, 12, 12), 4, described, fusion, branch_heads=True)


def test_features_that_cannot_be_joined_are_refused() -> None:
    branches = {"map": TowerConfig((3,)), "vector": ConvConfig((3,), (), dense=5)}
    with pytest.raises(InputError, match=r"attention fusion needs maps .*, got features of 3×3×3, 5: end branches"):
        FusionNetConfig((1, 12, 12), 4, branches, AttentionConfig())
    with pytest.raises(InputError, match="late fusion is made of the branches' own heads: set branch_heads"):
        FusionNetConfig((1, 12, 12), 4, branches, LateConfig())
    for fusion in (SumConfig(), GatedConfig(), BilinearConfig()):
        with pytest.raises(ShapeError, match=r"expects features of shapes \[\(5,\), \(7,\)\]"):
            fusion.build(VECTORS)([torch.rand(2, 5), torch.rand(2, 5)])
    with pytest.raises(ShapeError, match=r"expects features of shapes \[\(4, 6, 9\), \(8, 3, 3\)\]"):
        AttentionConfig().build(MAPS)([torch.rand(2, 4, 6, 9), torch.rand(2, 72)])
    with pytest.raises(InputError, match=r"^late fusion makes no fused vector: ask each branch's head$"):
        LateConfig().build(VECTORS)


def test_normalising_keeps_maps_for_a_fusion_that_takes_them() -> None:
    branches = {"a": TowerConfig((3,)), "b": ConvConfig((4,), ())}
    for fusion, kind in ((AttentionConfig(), torch.nn.BatchNorm2d), (SumConfig(), torch.nn.BatchNorm1d)):
        model = seeded_model(FusionNetConfig((1, 12, 12), 4, branches, fusion, batch_norm=True), 0)
        assert all(isinstance(norm, kind) for norm in model.norms.values())
        features = model.branch_features(torch.rand(9, 1, 12, 12) * 5)
        for feature in features.values():
            flat = feature.transpose(0, 1).flatten(1) if feature.ndim == 4 else feature.T
            torch.testing.assert_close(flat.mean(1), torch.zeros(len(flat)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("make", [SumConfig, GatedConfig, BilinearConfig])
def test_a_width_that_cannot_be_is_refused(make: type[FusionConfig]) -> None:
    assert make(1) == make(width=1)
    with pytest.raises(InputError, match="fusion needs positive sizes"):
        make(0)
    with pytest.raises(InputError, match="fusion needs positive sizes"):
        AttentionConfig(grid=0)
