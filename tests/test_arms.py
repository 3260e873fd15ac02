"""The arms of a preset beside those compared by default: what each is, what it costs, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from littoral.errors import InputError
from littoral.evaluate_model import evaluate_model
from littoral.images.store import ImageStore
from littoral.model_file import load_model, save_model
from littoral.nn.cost import config_cost
from littoral.nn.fusion.concat import ConcatConfig
from littoral.nn.fusion.late import LateConfig
from littoral.nn.inference import branch_vectors, predict_probabilities
from littoral.studies.compare import compare
from littoral.training.arms import DEFAULT_ARMS
from littoral.training.loop import Silent
from littoral.training.presets import PRESETS, get_arm, get_preset
from littoral.training.probe import NEVER
from littoral.training.run import TrainedModel, fit_arm

pytestmark = pytest.mark.usefixtures("one_thread")

MNIST = (1, 28, 28)
REFUSED = ("matched", "matched-ensemble", "fused-sum", "fused-gated", "fused-attention", "fused-bilinear", "fused-late")
FUSIONS = ("sum", "gated", "attention", "bilinear", "late")


TRAINED = [name for name, preset in PRESETS.items() if not preset.linear]


@pytest.mark.parametrize("name", TRAINED)
def test_every_preset_has_the_same_arms_and_two_deep_branches_at_the_price_of_the_fused(name: str) -> None:
    preset = PRESETS[name]
    assert list(preset.arms) == [*DEFAULT_ARMS, "matched-ensemble", "probe", *(f"fused-{word}" for word in FUSIONS)]
    fused, twins = get_arm(preset, "fused", MNIST, 10), get_arm(preset, "matched-ensemble", MNIST, 10)
    assert config_cost(twins).macs == pytest.approx(config_cost(fused).macs, rel=0.03)
    one, other = twins.branches.values()
    assert one == other
    assert (twins.fusion, twins.branch_heads, twins.topology) == (LateConfig(), True, "parallel")
    assert type(one) is type(next(iter(get_arm(preset, "matched", MNIST, 10).branches.values())))
    assert fused.fusion == ConcatConfig()  # which therefore has no arm of its own
    late = get_arm(preset, "fused-late", MNIST, 10)
    assert replace(late, fusion=fused.fusion, branch_heads=fused.branch_heads) == fused


ALIKE = [*DEFAULT_ARMS, "matched-ensemble", "probe", *(f"fused-{word}" for word in FUSIONS)]


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in TRAINED])
def test_presets_without_training_have_each_group_alone_too(name: str) -> None:
    preset = PRESETS[name]
    fused = get_arm(preset, "fused", MNIST, 10)
    groups = list(fused.fused_specs())
    alone = [group.removeprefix("deep_") for group in groups]
    assert [arm for arm in preset.arms if arm not in ALIKE and arm != "taps"] == [f"only-{group}" for group in alone]
    assert all(preset.arms[arm].linear for arm in preset.arms if arm not in (*REFUSED, "probe"))
    assert fused.hidden == ()
    for group, only in zip(groups, alone, strict=True):
        (spec,) = get_arm(preset, f"only-{only}", MNIST, 10).fused_specs().values()
        assert spec == fused.fused_specs()[group]
    shallow, deep = (get_arm(preset, arm, MNIST, 10).fused_specs() for arm in ("shallow", "deep"))
    assert list(deep.values()) == [fused.fused_specs()[groups[-1]]]
    assert shallow.items() <= fused.fused_specs().items()
    assert set(preset.compared) <= set(preset.arms)


@pytest.mark.parametrize(
    ("preset", "arm", "words"),
    [
        ("article", "fused-attention", "no arm fused-attention of preset article here: attention fusion needs maps"),
        ("few", "fused-attention", "exactly two branches, got 3"),
        ("few", "fused-bilinear", "exactly two branches, got 3"),
        ("probe", "matched", "no arm matched of preset probe here: a scattering branch has no widths"),
        ("transfer", "matched", "no arm matched of preset transfer here: a backbone branch has no widths"),
        ("transfer", "fused-gated", "features side by side, which is concat fusion and no other"),
        ("probe", "taps", "unknown arm 'taps' of preset probe"),
        (
            "few",
            "fused-best",
            "unknown arm 'fused-best' of preset few: expected one of fused, shallow, deep, matched, ",
        ),
    ],
)
def test_an_arm_that_cannot_be_is_refused_with_the_reason(small: ImageStore, preset: str, arm: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        get_arm(get_preset(preset), arm, MNIST, 10)
    with pytest.raises(InputError, match=words):
        compare(small, preset, [arm], seeds=1, steps=1)


def probed(store: ImageStore, weights: np.ndarray | None = None) -> TrainedModel:
    few = get_preset("few")
    return fit_arm(few, "probe", few.recipe, store, 0, torch.device("cpu"), Silent(), sample_weight=weights)


def test_the_probe_is_logistic_regression_on_fixed_features(small: ImageStore, tmp_path: Path) -> None:
    train, test = small.subset(np.arange(640)), small.subset(np.arange(640, 840))
    model = probed(train)
    features = [branch_vectors(model.model, part.images, part.spec()) for part in (train, test)]
    regression = LogisticRegression(max_iter=1000).fit(features[0].astype(float), train.labels)
    expected = regression.predict_proba(features[1].astype(float))
    np.testing.assert_allclose(predict_probabilities(model.model, test.images, model.image), expected, atol=1e-3)
    assert evaluate_model(model, test).accuracy > 0.88
    assert model.record["probe"] == {
        "inverse_penalty": 1.0,
        "iterations": model.record["history"][0]["step"],
        "converged": True,
    }
    assert (model.record["images_seen"], model.record["steps"]) == (640, 0)  # no batch was drawn
    save_model(model, tmp_path / "m")
    again = load_model(tmp_path / "m")
    one, other = (predict_probabilities(t.model, test.images, t.image) for t in (model, again))
    assert np.array_equal(one, other)


def test_the_probe_of_two_classes_of_small_images_and_of_a_class_without_images(small: ImageStore) -> None:
    chosen = np.flatnonzero((small.labels == 3) | (small.labels == 8))
    store = small.subset(chosen)
    cropped = ImageStore(store.images[:, 8:20, 8:20], store.labels, store.class_names)  # too small for gradients
    model = probed(cropped)
    assert list(model.model.branches) == ["pixels"]
    assert list(probed(store).model.branches) == ["gradients"]
    assert set(model.model.head.layers[0].bias[[0, 1, 2, 4]].tolist()) == {NEVER}
    probabilities = predict_probabilities(model.model, cropped.images, model.image)
    regression = LogisticRegression(max_iter=1000).fit(cropped.images.reshape(len(cropped), -1) / 255.0, cropped.labels)
    np.testing.assert_allclose(
        probabilities[:, [3, 8]], regression.predict_proba(cropped.images.reshape(len(cropped), -1) / 255.0), atol=1e-3
    )


def test_the_weights_of_images_count_for_the_probe(small: ImageStore) -> None:
    store = small.subset(np.arange(200))
    weights = np.where(np.arange(200) < 100, 1.0, 0.0)
    half = probed(store.subset(np.arange(100)))
    weighted = probed(store, weights * 1.0)
    one, other = (predict_probabilities(t.model, store.images, t.image) for t in (half, weighted))
    # weights are brought to a mean of 1, so that the penalty counts half as much
    assert (one.argmax(1) == other.argmax(1)).mean() > 0.95


def test_what_a_probe_cannot_be_asked(small: ImageStore) -> None:
    few = get_preset("few")
    with pytest.raises(InputError, match="arm probe is fitted at once and not in steps"):
        fit_arm(few, "probe", few.recipe, small, 0, torch.device("cpu"), Silent(), time_budget=1.0)
    with pytest.raises(InputError, match="images of two classes or more"):
        probed(small.subset(np.flatnonzero(small.labels == 1)))


def test_a_comparison_of_arms_that_are_not_compared_by_default(small: ImageStore) -> None:
    arms = ["matched-ensemble", "probe", "fused-late", "fused-attention"]
    result = compare(small, "swift", arms, seeds=1, steps=2)
    assert [arm.name for arm in result.arms] == arms
    assert all(run.n == 200 for arm in result.arms for run in arm.runs)
