"""The model file: bit-equal round trips, and one sentence for everything that is not a whole file of ours."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from littoral.errors import InputError, ModelFileError
from littoral.files import require_writable
from littoral.images.store import ImageStore
from littoral.model_file import _digest, load_model, model_from_bytes, save_model
from littoral.nn.conv import ConvConfig
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.inference import predict_probabilities
from littoral.nn.model import FusionNetConfig, seeded_model
from littoral.nn.tower import TowerConfig
from littoral.specs import ImageSpec
from littoral.training.augment import Augment
from littoral.training.loop import Silent
from littoral.training.presets import get_preset
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel, fit_arm

pytestmark = pytest.mark.usefixtures("one_thread")


def trained(names: tuple[str, ...] = ("a", "b", "c")) -> TrainedModel:
    branches = {"shallow": ConvConfig((4,), (1,), 5), "deep": ConvConfig((4, 3), (2,))}
    config = FusionNetConfig((3, 8, 9), len(names), branches, hidden=(6,))
    spec = ImageSpec(8, 9, 3, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 1.5))
    return TrainedModel(seeded_model(config, 0).eval(), spec, names, Recipe(steps=3), {"preset": "x", "n": [1, None]})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_model(trained(), tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def refused(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=6, unique=True).map(tuple))
def test_a_round_trip_keeps_everything(tmp_path: Path, names: tuple[str, ...]) -> None:
    names = tuple(name.encode("utf-8", "replace").decode() for name in names)  # no lone surrogates in UTF-8
    before = trained(names)
    save_model(before, tmp_path / "m")
    after = load_model(tmp_path / "m")
    for part in ("image", "class_names", "recipe", "record"):
        assert getattr(after, part) == getattr(before, part)
    assert after.model.config == before.model.config
    state = before.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in after.model.state_dict().items())
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 9, 3), np.uint8)
    one, other = (predict_probabilities(t.model, images, t.image) for t in (before, after))
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert sorted(os.listdir(tmp_path)) == ["m"]  # nothing else is left there


def test_files_that_are_not_ours(tmp_path: Path) -> None:
    assert "no model file" in refused(tmp_path / "none")
    for name, content in {"empty": b"", "text": b"hello\n" * 100, "pickle": pickle.dumps({"a": 1})}.items():
        (tmp_path / name).write_bytes(content)
        assert "not a whole safetensors file" in refused(tmp_path / name)
    save_file({"w": torch.zeros(3)}, tmp_path / "other")
    assert "is not a littoral model file" in refused(tmp_path / "other")
    assert "no model file" in refused(tmp_path)


def test_a_file_cut_short_anywhere_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for length in [*range(0, 200, 7), *range(200, len(whole), 311), len(whole) - 1]:
        file.write_bytes(whole[:length])
        refused(file)


def test_a_changed_byte_anywhere_is_refused(file: Path) -> None:
    """Ten thousand of them, one at a time, of head and tensors."""
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    positions = [*range(8), *rng.integers(0, len(whole), 9992).tolist()]
    for position, change in zip(positions, rng.integers(1, 256, len(positions)).tolist(), strict=True):
        changed = bytearray(whole)
        changed[position] ^= change
        with pytest.raises(ModelFileError) as caught:
            model_from_bytes(bytes(changed), "m")
        assert "\n" not in str(caught.value)


def forge(path: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor], dict[str, str]], None]) -> None:
    """Rewrite a file with other content and a SHA-256 that fits it, as somebody would who means harm."""
    with safe_open(path, framework="pt") as opened:
        metadata, tensors = opened.metadata(), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    content = json.loads(metadata["content"])
    change(content, tensors, metadata)
    metadata["content"] = json.dumps(content)
    metadata["sha256"] = _digest(metadata["content"], tensors)
    save_file(tensors, path, metadata)


FORGERIES: dict[str, tuple[Callable[[Any, Any, Any], object], str]] = {
    "newer format": (lambda c, t, m: m.update(format_version="2"), "install a newer littoral"),
    "extra tensor": (lambda c, t, m: t.update(evil=torch.zeros(2)), "evil is float32 (2,), expected none"),
    "missing tensor": (lambda c, t, m: t.pop("head.layers.1.bias"), "head.layers.1.bias is missing"),
    "other shape": (
        lambda c, t, m: t.update({"head.layers.1.bias": torch.zeros(4)}),
        "head.layers.1.bias is float32 (4,), expected float32 (3,)",
    ),
    "other type": (
        lambda c, t, m: t.update({"head.layers.1.bias": torch.zeros(3, dtype=torch.int64)}),
        "head.layers.1.bias is int64 (3,), expected float32 (3,)",
    ),
    "unknown branch": (
        lambda c, t, m: c["architecture"]["branches"]["deep"].update(type="os.system"),
        "'conv', 'tower', 'hog', 'pixels'",
    ),
    "unknown field": (lambda c, t, m: c["architecture"].update(run="rm"), "architecture.run"),
    "field of another type": (lambda c, t, m: c["architecture"].update(classes="3"), "architecture.classes"),
    "huge network": (lambda c, t, m: c["architecture"].update(hidden=[10**12]), "do not fit"),
    "absurd network": (lambda c, t, m: c["architecture"].update(hidden=[10**30]), "out of range"),
    "very many layers": (lambda c, t, m: c["architecture"].update(hidden=[1] * 10**5), "layers or more"),
    "branch named as torch's": (
        lambda c, t, m: c["architecture"]["branches"].update(type=c["architecture"]["branches"].pop("deep")),
        "cannot be called 'type'",
    ),
    "negative width": (lambda c, t, m: c["architecture"].update(hidden=[-1]), "positive widths"),
    "too small for its pools": (lambda c, t, m: c["architecture"].update(image_shape=[3, 1, 9]), "contradicts itself"),
    "fewer classes": (lambda c, t, m: c.update(class_names=["a", "b"]), "contradicts itself"),
    "two classes alike": (lambda c, t, m: c.update(class_names=["a", "a", "b"]), "two are alike"),
    "other image form": (lambda c, t, m: c["image"].update(height=7), "contradicts itself"),
    "zero std": (lambda c, t, m: c["image"].update(std=[0.0, 1.0, 1.0]), "std must be positive"),
    "infinite mean": (lambda c, t, m: c["image"].update(mean=[float("inf"), 1.0, 1.0]), "finite"),
    "unknown resize": (lambda c, t, m: c["image"].update(resize="squash"), "image.resize"),
    "empty range": (lambda c, t, m: c["image"].update(value_range=[1.0, 1.0]), "value_range"),
    "recipe of no length": (lambda c, t, m: c["recipe"].update(steps=None), "epochs or steps"),
    "no record": (lambda c, t, m: c.pop("record"), "record"),
}


@pytest.mark.parametrize("name", list(FORGERIES))
def test_forgeries_are_refused_for_what_they_are(file: Path, name: str) -> None:
    change, words = FORGERIES[name]
    forge(file, change)
    assert words in refused(file)


def cascade() -> TrainedModel:
    branches = {"gradients": HogConfig(), "shallow": TowerConfig((4,), (1,)), "deep": TowerConfig((5, 6))}
    config = FusionNetConfig(
        (1, 8, 9), 3, branches, topology="cascade", unfused=("gradients",), batch_norm=True, branch_heads=True
    )
    model = seeded_model(config, 0).eval()
    return TrainedModel(model, ImageSpec.unit(8, 9, 1), ("a", "b", "c"), Recipe(steps=3, augment=Augment(5.0)), {})


def test_the_round_trip_of_a_cascade(tmp_path: Path) -> None:
    before = cascade()
    save_model(before, tmp_path / "m")
    after = load_model(tmp_path / "m")
    assert (after.model.config, after.recipe, after.image) == (before.model.config, before.recipe, before.image)
    state = after.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in before.model.state_dict().items())


CASCADES: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "topology": (lambda a, b: a.update(topology="ring"), "architecture.topology"),
    "the last branch unfused": (lambda a, b: a.update(unfused=["gradients", "deep"]), "can be unfused"),
    "unfused and no cascade": (lambda a, b: a.update(topology="parallel"), "can be unfused"),
    "no cascade": (lambda a, b: a.update(topology="parallel", unfused=[]), "do not fit its architecture"),
    "another order": (lambda a, b: a.update(branches=dict(reversed(b.items())), unfused=[]), "has to be first"),
    "a branch called fused": (lambda a, b: b.update(fused=b.pop("deep")), "cannot be called 'fused'"),
    "no branch heads": (lambda a, b: a.update(branch_heads=False), "expected none"),
    "no normalisation": (lambda a, b: a.update(batch_norm=False), "expected none"),
    "even kernel": (lambda a, b: b["deep"].update(kernel=2), "a tower needs"),
    "negative kernel": (lambda a, b: b["deep"].update(kernel=-1), "a tower needs"),
    "absurd kernel": (lambda a, b: b["deep"].update(kernel=10**30 + 1), "out of range"),
    "no stride": (lambda a, b: b["deep"].update(stride=0), "a tower needs"),
    "absurd stride": (lambda a, b: b["deep"].update(stride=10**30), "do not fit its architecture"),
    "no grid": (lambda a, b: b["deep"].update(grid=0), "a tower needs"),
    "absurd widths": (lambda a, b: b["deep"].update(widths=[10**30]), "out of range"),
    "very many widths": (lambda a, b: b["deep"].update(widths=[1] * 10**5), "layers or more"),
    "pool of no convolution": (lambda a, b: b["deep"].update(pool_after=[3]), "pool_after must be"),
    "unknown field of a tower": (lambda a, b: b["deep"].update(evil=1), "evil"),
    "one bin": (lambda a, b: b["gradients"].update(bins=1), "a hog branch needs"),
    "absurd bins": (lambda a, b: b["gradients"].update(bins=10**30), "out of range"),
    "no fine cell": (lambda a, b: b["gradients"].update(fine=0), "a hog branch needs"),
    "no coarse cell": (lambda a, b: b["gradients"].update(coarse=0), "a hog branch needs"),
    "a dense layer as a map": (
        lambda a, b: b.update(gradients={"type": "conv", "widths": [4], "pool_after": [], "dense": 3}),
        "no use for layers beyond its map",
    ),
}


@pytest.mark.parametrize("name", list(CASCADES))
def test_a_cascade_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    change, words = CASCADES[name]
    save_model(cascade(), tmp_path / "m")
    forge(tmp_path / "m", lambda c, t, m: change(c["architecture"], c["architecture"]["branches"]))
    assert words in refused(tmp_path / "m")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"augment": {"rotate": -1.0}}, "0 or more"),
        ({"augment": {"spin": 1.0}}, "recipe.augment.spin"),
        ({"optimiser": "sgd"}, "recipe.optimiser"),
        ({"average": 1.0}, "average in"),
        ({"votes": "bought"}, "recipe.votes"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    save_model(cascade(), tmp_path / "m")
    forge(tmp_path / "m", lambda c, t, m: c["recipe"].update(change))
    assert words in refused(tmp_path / "m")


def test_a_file_from_before_there_were_these_fields_is_read(tmp_path: Path) -> None:
    def older(content: Any, tensors: Any, metadata: Any) -> None:
        del content["recipe"]["votes"], content["recipe"]["precision"]
        for name in ("shallow", "deep"):
            del content["architecture"]["branches"][name]["residual"]

    save_model(cascade(), tmp_path / "m")
    forge(tmp_path / "m", older)
    assert load_model(tmp_path / "m").recipe == cascade().recipe


def test_a_file_from_before_taps_could_be_named_is_read(tmp_path: Path) -> None:
    save_model(cascade(), tmp_path / "m")
    forge(tmp_path / "m", lambda c, t, m: c["architecture"].pop("taps"))
    assert load_model(tmp_path / "m").model.config == cascade().model.config


@pytest.mark.parametrize("preset", ["swift", "strong", "strong-mirrored", "few", "article"])
@pytest.mark.parametrize("arm", ["fused", "matched"])
def test_a_trained_preset_answers_bit_for_bit_the_same_from_its_file(
    small: ImageStore, tmp_path: Path, preset: str, arm: str
) -> None:
    store = small.subset(np.arange(60))
    recipe = replace(get_preset(preset).recipe.lasting(steps=2), batch_size=16)
    before = fit_arm(get_preset(preset), arm, recipe, store, 0, torch.device("cpu"), Silent())
    save_model(before, tmp_path / "m")
    after = load_model(tmp_path / "m")
    one, other = (predict_probabilities(t.model, small.images, t.image) for t in (before, after))
    assert np.array_equal(one, other)


def test_what_becomes_of_the_file_does_not_touch_a_loaded_model(file: Path) -> None:
    loaded = load_model(file)
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    with open(file, "r+b") as handle:
        handle.write(b"\xff" * file.stat().st_size)
    assert all(torch.equal(value, before[name]) for name, value in loaded.model.state_dict().items())


def test_a_link_stays_a_link_and_a_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    save_model(trained(), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert load_model(tmp_path / "real").class_names == ("a", "b", "c")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="device or a pipe"):
        require_writable(tmp_path / "pipe")


def test_writing_where_one_cannot_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        save_model(trained(), tmp_path / "none" / "m")
    (tmp_path / "m").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        save_model(trained(), tmp_path / "m")
    assert os.listdir(tmp_path) == ["m"]
    assert os.listdir(tmp_path / "m") == []
