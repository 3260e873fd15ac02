"""Several groups of features: closed forms against brute force, never lost against the best group, one linear layer."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression, Ridge

from littoral.errors import InputError
from littoral.images.splits import train_test
from littoral.images.store import ImageStore
from littoral.model_file import load_model, save_model
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.inference import branch_vectors, predict_probabilities
from littoral.nn.model import FusionNetConfig, seeded_model
from littoral.nn.pixels import PixelsConfig
from littoral.specs import ImageShape
from littoral.training.arms import Arm
from littoral.training.groups import GroupsFit, fit_groups
from littoral.training.loop import Silent
from littoral.training.presets import get_preset
from littoral.training.probe import NEVER, GroupedProbeFit, fit_probe, lay_into_head
from littoral.training.ridge import coefficients, leave_one_out, spectrum
from littoral.training.run import TrainedModel, fit_arm
from littoral.training.scales import kernel_leave_one_out, kernel_slopes, search_scales
from littoral.training.stacking import believed_votes
from littoral.training.targets import Targets, judged_loss

pytestmark = pytest.mark.usefixtures("one_thread")


def standard(n: int, size: int, targets: Targets, seed: int = 0) -> np.ndarray:
    """Features that know a little of the label, of weighted mean 0, times the roots of the counts."""
    rng = np.random.default_rng(seed)
    plain = rng.normal(size=(n, size)) + targets.one_hot @ rng.normal(size=(targets.classes, size)) / 2
    return (plain - targets.shares @ plain) * targets.roots[:, None]


def some_targets(n: int = 24, classes: int = 4, seed: int = 0) -> Targets:
    rng = np.random.default_rng(seed)
    return Targets(np.arange(n) % classes, classes, rng.uniform(0.3, 2, n))


@pytest.mark.parametrize("size", [5, 23, 24, 60])
def test_leave_one_out_is_that_of_brute_force_in_primal_and_dual(size: int) -> None:
    targets = some_targets()
    rows, penalty = standard(24, size, targets), 1.7
    plain = rows / targets.roots[:, None]
    decomposed = spectrum(rows)
    found, slope = leave_one_out(decomposed, targets, penalty)
    for left in range(24):
        others = np.arange(24) != left
        ridge = Ridge(penalty).fit(plain[others], targets.one_hot[others], sample_weight=targets.counts[others])
        np.testing.assert_allclose(found[left], ridge.predict(plain[[left]])[0], atol=1e-6)
    after = leave_one_out(decomposed, targets, penalty * np.exp(1e-5))[0]
    np.testing.assert_allclose(slope, (after - found) / 1e-5, atol=1e-3)
    whole = Ridge(penalty).fit(plain, targets.one_hot, sample_weight=targets.counts)
    np.testing.assert_allclose(coefficients(rows, decomposed, targets, penalty), whole.coef_.T, atol=1e-8)
    by_kernel = kernel_leave_one_out(rows @ rows.T / penalty, targets)[0]
    np.testing.assert_allclose(by_kernel, found, atol=1e-9)


def test_slopes_by_scales_are_differences() -> None:
    targets = some_targets()
    kernels = [rows @ rows.T for rows in (standard(24, size, targets, size) for size in (3, 40, 9))]
    at = np.array([0.2, 0.01, 0.5])

    def loss(squares: np.ndarray) -> float:
        kernel = np.tensordot(squares, np.stack(kernels), 1)
        return judged_loss(kernel_leave_one_out(kernel, targets)[0], targets, 1.1).value

    left_out, inverse, rest = kernel_leave_one_out(np.tensordot(at, np.stack(kernels), 1), targets)
    told = judged_loss(left_out, targets, 1.1)
    slopes = kernel_slopes(kernels, inverse, rest, targets, told.by_scores)
    for group, step in enumerate(np.eye(3) * 1e-6):
        assert slopes[group] == pytest.approx((loss(at + step) - loss(at - step)) / 2e-6, rel=1e-5)
    sharper, duller = (judged_loss(left_out, targets, 1.1 + step).value for step in (1e-6, -1e-6))
    assert told.by_log_sharpness == pytest.approx((sharper - duller) / 2e-6, rel=1e-5)


def test_scales_and_votes_go_to_the_group_that_knows_and_not_with_few_labels() -> None:
    def found(n: int) -> tuple[np.ndarray, np.ndarray]:
        targets = Targets(np.arange(n) % 3, 3, np.ones(n))
        knows, noise = standard(n, 20, targets, 1), standard(n, 20, Targets(np.zeros(n, int), 1, np.ones(n)), 2)
        opinions = [log_softmax(5 * leave_one_out(spectrum(rows), targets, 20.0)[0], 1) for rows in (noise, knows)]
        votes = believed_votes(np.stack(opinions), targets.labels, targets.judged * 1.0, np.array([0.7, 0.3]), 3.0)
        return search_scales([noise, knows], targets).squares, votes

    (few, few_votes), (many, many_votes) = found(3), found(150)
    np.testing.assert_allclose(few, 1)  # one label a class: nothing is judged
    np.testing.assert_allclose(few_votes, [0.7, 0.3], atol=1e-4)
    assert many[1] > 3 * many[0]
    assert many_votes[1] > 0.9


def problem(a_class: int, classes: int, noise: int = 4, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Two groups that know different halves of the label, on scales of their own, and groups of noise."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(classes), a_class)
    means = np.random.default_rng(99).normal(size=(2, classes, 30))
    groups = {
        "left": 100 + 50 * (1.5 * means[0][labels // 2] + 1.2 * rng.normal(size=(len(labels), 30))),
        "right": 0.01 * (1.5 * means[1][labels % max(2, classes // 2)] + 1.2 * rng.normal(size=(len(labels), 30))),
        **{f"noise{number}": rng.normal(size=(len(labels), 200)) for number in range(noise)},
    }
    return groups, labels


def accuracy(found: GroupsFit, groups: dict[str, np.ndarray], labels: np.ndarray) -> float:
    logits = np.concatenate(list(groups.values()), axis=1) @ found.weight.T + found.bias
    return float((found.classes[logits.argmax(1)] == labels).mean())


@pytest.mark.parametrize("a_class", [5, 12])
def test_it_is_ahead_of_every_group_and_of_plain_concatenation(a_class: int) -> None:
    test, told = problem(60, 8, seed=1000)
    ours, best, plain = [], [], []
    for seed in range(3):
        groups, labels = problem(a_class, 8, seed=seed)
        found = fit_groups(groups, labels)
        ours.append(accuracy(found, test, told))
        alone = [accuracy(fit_groups({k: groups[k]}, labels), {k: test[k]}, told) for k in ("left", "right")]
        best.append(max(alone))
        rows = np.concatenate(list(groups.values()), axis=1)
        mean, spread = rows.mean(0), rows.std(0)
        regression = LogisticRegression().fit((rows - mean) / spread, labels)
        plain.append(regression.score((np.concatenate(list(test.values()), axis=1) - mean) / spread, told))
    assert np.mean(ours) > np.mean(best) + 0.1
    assert np.mean(ours) > np.mean(plain) + 0.1
    if a_class == 12:
        assert found.groups["noise0"].scale < 0.3 * found.groups["left"].scale
        assert "noise" in found.why
        assert min(part.scale + part.vote for part in found.groups.values()) == 0
        assert found.loo_accuracy == pytest.approx(ours[-1], abs=0.12)


def test_one_group_is_ridge_regression_on_its_standardised_features() -> None:
    groups, labels = problem(6, 3, noise=0)
    features, counts = groups["left"], np.random.default_rng(0).uniform(0.5, 2, len(labels))
    found = fit_groups({"left": features}, labels + 5, counts)
    mean = np.average(features, axis=0, weights=counts)
    variance = np.average((features - mean) ** 2, axis=0, weights=counts)
    rows = (features - mean) / np.sqrt(variance + variance.mean())
    ridge = Ridge(found.penalty).fit(rows, np.eye(3)[labels], sample_weight=counts)
    np.testing.assert_allclose(
        log_softmax(features @ found.weight.T + found.bias, 1),
        log_softmax(found.sharpness * ridge.predict(rows), 1),
        atol=1e-6,
    )
    assert found.classes.tolist() == [5, 6, 7]
    left = Ridge(found.penalty).fit(rows[1:], np.eye(3)[labels[1:]], sample_weight=counts[1:]).predict(rows[:1])
    np.testing.assert_allclose(found.loo_log_probabilities[:1], log_softmax(found.sharpness * left, 1), atol=1e-6)


def test_one_label_a_class_single_images_constants_and_a_hundred_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, labels = problem(1, 10)
    found = fit_groups(groups, labels)
    assert {part.scale for part in found.groups.values()} == {1.0}
    assert (found.loo_accuracy, found.groups["left"].loo_accuracy, found.judged.any()) == (None, None, False)
    assert found.why.startswith("one label a class")

    groups, labels = problem(4, 6)
    labels[labels == 3] = 2
    labels[0] = 77  # the only one of its class
    constant = fit_groups(groups | {"same": np.full((len(labels), 7), 3.3)}, labels)
    assert constant.classes.tolist() == [0, 1, 2, 4, 5, 77]
    assert constant.judged.tolist() == [False] + [True] * (len(labels) - 1)
    assert (constant.groups["same"].scale, constant.groups["same"].vote) == (0, 0)
    assert not constant.weight[:, -7:].any()

    monkeypatch.setattr("littoral.training.groups.MOST_SEARCHED", 250)  # fewer than there are images
    groups, labels = problem(6, 100, noise=1)
    test, told = problem(3, 100, noise=1, seed=7)
    found = fit_groups({name: features.astype(np.float32) for name, features in groups.items()}, labels)
    assert accuracy(found, test, told) > 0.7
    assert found.loo_accuracy == pytest.approx(accuracy(found, test, told), abs=0.1)


@pytest.mark.parametrize("n", [300, 60])
def test_features_held_in_single_precision_keep_their_small_directions(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the primal and in the dual: what tells the classes is ten thousand times smaller than what does not."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    loud = rng.normal(size=(n, 1)) * rng.normal(size=(1, 100)) * 300
    groups = {
        "left": loud + rng.normal(size=(3, 100))[labels] * 0.05 + rng.normal(size=(n, 100)) * 0.05,
        "right": rng.normal(size=(n, 20)) + rng.normal(size=(3, 20))[labels],
    }
    double = fit_groups(groups, labels)
    monkeypatch.setattr("littoral.training.groups.LARGE", 1)
    single = fit_groups(groups, labels)
    assert double.loo_accuracy > 0.9
    assert single.loo_accuracy == pytest.approx(double.loo_accuracy, abs=0.02)
    together = np.concatenate(list(groups.values()), axis=1)
    logits = [together @ fit.weight.T + fit.bias for fit in (double, single)]
    np.testing.assert_allclose(*logits, atol=0.02 * np.abs(logits[0]).max())
    for name, part in double.groups.items():
        assert single.groups[name].loo_accuracy == pytest.approx(part.loo_accuracy, abs=0.05)


@pytest.mark.parametrize("n", [2000, 60])
def test_weights_from_single_precision_tell_what_leave_one_out_does(n: int) -> None:
    rng = np.random.default_rng(0)
    targets = Targets(np.arange(n) % 4, 4, np.ones(n))
    small = targets.one_hot @ rng.normal(size=(4, 100)) + rng.normal(size=(n, 100))
    single = (small * np.geomspace(1e-3, 300, 100)).astype(np.float32)
    single -= single.mean(0)
    double = single.astype(np.float64)
    told = [features @ coefficients(features, spectrum(features), targets, 1e-4) for features in (single, double)]
    np.testing.assert_allclose(*told, atol=0.01)


def test_what_was_not_searched_is_not_told_as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("littoral.training.groups.MOST_SEARCHED", 20)
    groups, labels = problem(4, 30)
    found = fit_groups(groups, labels)
    assert found.why.startswith("votes and penalties by leave-one-out on 120 images; 20 images are one of each class")


def test_what_cannot_be_fitted_is_refused() -> None:
    groups, labels = problem(2, 3, noise=0)
    with pytest.raises(InputError, match="images of two classes or more"):
        fit_groups(groups, np.zeros_like(labels))
    with pytest.raises(InputError, match="a row for each of 6 labels, got 5 in 'right'"):
        fit_groups(groups | {"right": groups["right"][1:]}, labels)
    with pytest.raises(InputError, match="no feature differs between the images"):
        fit_groups({"same": np.full((6, 4), 0.1)}, labels)
    deep = seeded_model(FusionNetConfig((1, 8, 8), 3, {"pixels": PixelsConfig()}, hidden=(4,)), 0)
    with pytest.raises(InputError, match=r"a linear fit needs a network with concat fusion.*hidden=\(4,\)"):
        lay_into_head(deep, np.arange(3), np.zeros((3, 64)), np.zeros(3))


def test_a_probe_of_several_branches_is_one_linear_head_that_a_model_file_holds(
    small: ImageStore, tmp_path: Path
) -> None:
    chosen = np.flatnonzero(small.labels[:300] != 4)
    train, test = small.subset(chosen), small.subset(np.arange(640, 840))
    spec = train.spec()
    branches = {"pixels": PixelsConfig(), "edges": HogConfig(fine=4, coarse=None), "parts": HogConfig(14, 7, None)}
    model = seeded_model(FusionNetConfig(spec.shape, 10, branches), 0)
    weights = np.ones(len(train))
    weights[:10] = 0
    epoch, fit = fit_probe(model, train.images, train.labels, spec, weights, torch.device("cpu"))
    assert isinstance(fit, GroupedProbeFit)
    assert list(fit.groups) == list(branches)
    assert fit.judged == len(train) - 10
    assert epoch.accuracy > 0.95
    assert model.head.layers[0].bias[4] == NEVER
    told = predict_probabilities(model, test.images, spec)
    known = test.labels != 4
    assert (told.argmax(1) == test.labels)[known].mean() > 0.9

    columns = np.split(branch_vectors(model, train.images, spec)[10:], np.cumsum([784, 441]), axis=1)
    found = fit_groups(dict(zip(branches, columns, strict=True)), train.labels[10:], weights[10:])
    logits = branch_vectors(model, test.images, spec) @ found.weight.T + found.bias
    np.testing.assert_allclose(told[:, found.classes], np.exp(log_softmax(logits, 1)), atol=1e-4)

    trained = TrainedModel(model, spec, train.class_names, get_preset("few").recipe, {"probe": asdict(fit)})
    save_model(trained, tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert again.record == trained.record
    assert np.array_equal(predict_probabilities(again.model, test.images, again.image), told)


def test_labels_of_the_test_part_change_nothing(small: ImageStore) -> None:
    def build(shape: ImageShape, classes: int) -> FusionNetConfig:
        return FusionNetConfig(shape, classes, {"edges": HogConfig(fine=7, coarse=None), "parts": HogConfig(fine=14)})

    few = replace(get_preset("few"), arms={"probe": Arm(build, linear=True)})
    of_test = np.flatnonzero(small.split == "test")
    mixed = small.labels.copy()
    mixed[of_test] = np.random.default_rng(0).permutation(mixed[of_test])
    fits = []
    for labels in (small.labels, mixed):
        train, _ = train_test(replace(small, labels=labels), 0)
        fits.append(fit_arm(few, "probe", few.recipe, train, 0, torch.device("cpu"), Silent()))
    one, other = (fit.model.head.layers[0].weight for fit in fits)
    assert torch.equal(one, other)
    assert fits[0].record["probe"] == fits[1].record["probe"]
    assert list(fits[0].record["probe"]["groups"]["edges"]) == ["scale", "vote", "loo_accuracy", "loo_log_loss"]
