"""The published network against Keras: same parameters, same outputs, same training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from littoral.images.store import ImageStore
from littoral.nn.cost import config_cost
from littoral.nn.inference import predict_probabilities
from littoral.nn.model import FusionNet, seeded_model
from littoral.specs import ImageSpec
from littoral.training.loop import Silent, train
from littoral.training.presets import get_arm, get_preset
from littoral.training.recipe import Recipe

REFERENCE = Path(__file__).parent / "reference"
SPEC = ImageSpec.unit(28, 28, 1)
OUR_NAMES = {
    "shallow.conv1": "branches.shallow.convs.0",
    "shallow.conv2": "branches.shallow.convs.1",
    "shallow.dense": "branches.shallow.dense",
    "deep.conv1": "branches.deep.convs.0",
    "deep.conv2": "branches.deep.convs.1",
    "deep.conv3": "branches.deep.convs.2",
    "deep.dense": "branches.deep.dense",
    "output": "head.layers.0",
}


def article(bias_scale: float) -> FusionNet:
    """The network with the weights that article_keras.json describes; Keras kernels are turned into torch's order."""
    rng = np.random.RandomState(20240122)
    state = {}
    for name, kernel, bias in json.loads((REFERENCE / "article_keras.json").read_text())["layers"]:
        weight = (rng.standard_normal(kernel) / np.sqrt(np.prod(kernel[:-1]))).astype(np.float32)
        axes = (3, 2, 0, 1) if weight.ndim == 4 else (1, 0)
        state[OUR_NAMES[name] + ".weight"] = torch.tensor(weight.transpose(axes).copy())
        state[OUR_NAMES[name] + ".bias"] = torch.tensor((bias_scale * rng.standard_normal(bias)).astype(np.float32))
    model = seeded_model(get_arm(get_preset("article"), "fused", SPEC.shape, 10), seed=0)
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize(("arm", "params"), [("fused", 812_042), ("shallow", 421_642), ("deep", 390_410)])
def test_parameters(arm: str, params: int) -> None:
    assert config_cost(get_arm(get_preset("article"), arm, SPEC.shape, 10)).params == params


def test_probabilities_equal_keras(mnist: ImageStore) -> None:
    images = mnist.images[60_000:60_064]
    expected = np.load(REFERENCE / "article_keras.npz")["probabilities"]
    np.testing.assert_allclose(predict_probabilities(article(0.1), images, SPEC), expected, atol=1e-5, rtol=0)


def test_five_steps_of_training_equal_keras(mnist: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    # With PyTorch's own place for epsilon the last two differ by 3e-3 and 6e-3: far beyond these tolerances.
    expected = np.load(REFERENCE / "article_keras_training.npz")
    model = article(0.0)

    class InOrder(np.random.Generator):
        def permutation(self, count: int) -> np.ndarray:
            return np.arange(count)

        def integers(self, high: int) -> int:
            return 0

    in_order = InOrder(np.random.PCG64())
    monkeypatch.setattr("littoral.training.loop.np.random.default_rng", lambda seed: in_order)
    recipe = Recipe(steps=int(expected["steps"]))
    history = train(
        model, mnist.images[:640], mnist.labels[:640], SPEC, recipe, 0, torch.device("cpu"), observer=Silent()
    )
    assert history[0].loss == pytest.approx(expected["losses"].mean(), abs=2e-5)
    np.testing.assert_allclose(model.head.layers[0].weight.detach().T, expected["output_kernel"], atol=2e-4, rtol=0)
    probabilities = predict_probabilities(model, mnist.images[60_000:60_064], SPEC)
    np.testing.assert_allclose(probabilities, expected["probabilities"], atol=1e-3, rtol=0)


def test_first_weights_are_glorot_uniform_and_biases_zero() -> None:
    model = seeded_model(get_arm(get_preset("article"), "fused", SPEC.shape, 10), seed=3)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
            continue
        area = parameter[0, 0].numel() if parameter.ndim == 4 else 1
        limit = np.sqrt(6 / (area * (parameter.shape[0] + parameter.shape[1])))
        assert 0.9 * limit < float(parameter.detach().abs().max()) <= limit
        assert float(parameter.detach().std()) == pytest.approx(limit / np.sqrt(3), rel=0.1)
