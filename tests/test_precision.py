"""In which numbers a run trains: settled by the device, recorded, repeatable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.nn.backbone import BackboneConfig
from littoral.nn.branch import BranchConfig
from littoral.nn.fixed.gabor import GaborConfig
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.fixed.scattering import ScatteringConfig
from littoral.training.loop import Silent
from littoral.training.precision import cpu_has_bfloat16, precision_on
from littoral.training.presets import PRESETS, get_preset
from littoral.training.recipe import Precision, Recipe
from littoral.training.run import TrainedModel, fit_arm

pytestmark = pytest.mark.usefixtures("one_thread")

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(params=[True, False])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the processor is taken to have instructions for bfloat16; without them torch imitates it."""
    monkeypatch.setattr("littoral.training.precision.cpu_has_bfloat16", lambda: request.param)
    return bool(request.param)


def test_each_device_gets_what_it_is_good_at(native: bool) -> None:
    assert [precision_on(GPU, wanted) for wanted in ("float32", "gpu", "auto")] == ["float32", "bfloat16", "bfloat16"]
    assert [precision_on(CPU, wanted) for wanted in ("float32", "gpu")] == ["float32", "float32"]
    assert precision_on(CPU, "auto") == ("bfloat16" if native else "float32")


def test_this_processor_can_be_asked() -> None:
    assert cpu_has_bfloat16() in (True, False)


def test_presets_but_the_mirrored_one_train_in_float32_on_a_cpu(native: bool) -> None:
    others = [preset for name, preset in PRESETS.items() if name != "strong-mirrored"]
    assert {precision_on(CPU, preset.recipe.precision) for preset in others} == {"float32"}


@pytest.mark.parametrize("branch", [HogConfig(), GaborConfig(), ScatteringConfig(), BackboneConfig(taps=("stem",))])
def test_what_is_not_trained_is_the_same_in_training_as_in_prediction(branch: BranchConfig) -> None:
    module = branch.build((3, 32, 32))
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        trained = module(x)
    for tap, value in module(x).items():
        assert torch.equal(value, trained[tap])


def fitted(store: ImageStore, precision: Precision) -> TrainedModel:
    preset = get_preset("few")
    recipe = replace(preset.recipe.lasting(steps=4), batch_size=32, precision=precision)
    return fit_arm(preset, "fused", recipe, store, 0, CPU, Silent())


def test_it_is_recorded_and_weights_stay_float32(small: ImageStore, native: bool) -> None:
    store = small.subset(np.arange(80))
    plain, one, again = fitted(store, "float32"), fitted(store, "auto"), fitted(store, "auto")
    assert plain.record["precision"] == "float32"
    assert one.record["precision"] == ("bfloat16" if native else "float32")
    weights = [trained.model.state_dict() for trained in (plain, one, again)]
    assert all(value.dtype in (torch.float32, torch.int64) for value in weights[1].values())
    assert all(torch.equal(value, weights[2][name]) for name, value in weights[1].items())
    assert any(not torch.equal(value, weights[0][name]) for name, value in weights[1].items()) == native
    losses = [trained.record["history"][-1]["loss"] for trained in (plain, one)]
    assert losses[1] == pytest.approx(losses[0], rel=0.03)  # the same training, in coarser numbers


def test_other_words_are_refused() -> None:
    recipe = Recipe(epochs=1)
    object.__setattr__(recipe, "precision", "half")  # the type checker of the tests would stop it in the constructor
    with pytest.raises(InputError, match="precision must be one of float32, gpu, auto, got 'half'"):
        recipe.__post_init__()
