"""Calibration: what it finds, that its bound holds, that the test part has no say, and what a model file takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cdist
from scipy.special import log_softmax, softmax

import littoral as lt
from littoral.calibrate import Fit, fit_calibrated
from littoral.errors import InputError, ModelFileError
from littoral.evaluation.abstention import (
    CoverageRow,
    accepted_row,
    coverage_table,
    images_needed,
    most_errors,
    reject_threshold,
)
from littoral.evaluation.calibration import best_temperature, expected_calibration_error
from littoral.evaluation.intervals import wilson
from littoral.fit_file import fit_file
from littoral.held_out import WAYS, Way
from littoral.images.store import ImageStore
from littoral.model_file import load_model, model_bytes, model_from_bytes
from littoral.nn.calibrated import CalibratedNet, Calibration, Novelty, calibration_shapes, side_sizes, sides
from littoral.nn.conv import ConvConfig
from littoral.nn.inference import predict_answers
from littoral.nn.model import FusionNetConfig, seeded_model
from littoral.specs import ImageSpec
from littoral.training.loop import Silent
from littoral.training.measures import fit_novelty, fit_read_out
from littoral.training.presets import get_arm, get_preset
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel, calibrated, fit_arm

pytestmark = pytest.mark.usefixtures("one_thread")
RECIPE = Recipe(steps=40, batch_size=64, learning_rate=5e-3)
CPU = torch.device("cpu")


# --- temperature, bound and threshold ---


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_a_temperature_that_was_put_in_is_found(true: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 5))
    drawn = np.array([rng.choice(5, p=row) for row in softmax(logits / true, axis=1)])
    assert best_temperature(logits, drawn) == pytest.approx(true, rel=0.05)


def test_few_images_that_are_all_right_leave_the_temperature_near_one() -> None:
    assert 0.3 < best_temperature(np.eye(3) * 4, np.arange(3)) < 1


@pytest.mark.parametrize("images", [1, 4, 30])
def test_the_temperature_is_the_likeliest_under_the_belief_that_it_is_near_one(images: int) -> None:
    rng = np.random.default_rng(images)
    logits = rng.normal(size=(images, 3)) * 2
    labels = logits.argmax(1)
    grid = np.linspace(-3, 3, 60_001)
    log_likelihood = [log_softmax(logits / np.exp(t), axis=1)[np.arange(images), labels].sum() for t in grid[::20]]
    likeliest = grid[::20][np.argmax(np.array(log_likelihood) + stats.norm.logpdf(grid[::20], 0, 0.5))]
    assert best_temperature(logits, labels) == pytest.approx(np.exp(likeliest), abs=2e-3)


@pytest.mark.parametrize(("wrong", "total"), [(0, 299), (3, 1000), (40, 90)])
def test_the_bound_is_that_of_clopper_and_pearson(wrong: int, total: int) -> None:
    two_sided = stats.binomtest(wrong, total).proportion_ci(0.9, method="exact")
    assert most_errors(wrong, total) == pytest.approx(two_sided.high)
    assert most_errors(total, total) == 1


@pytest.mark.parametrize(("max_error", "needed"), [(0.01, 299), (0.0005, 5990), (0.1, 29)])
def test_the_images_needed_are_those_from_which_the_bound_can_hold(max_error: float, needed: int) -> None:
    assert images_needed(max_error) == needed
    assert most_errors(0, needed) <= max_error < most_errors(0, needed - 1)


def test_a_threshold_keeps_its_bound_in_95_of_100_draws() -> None:
    """Answers with a confidence c are wrong in a share (1 - c) of cases: the true error above a threshold is known."""
    rng = np.random.default_rng(1)
    broken = found = 0
    for _ in range(300):
        confidence = 1 - rng.random(600) ** 3 / 2
        threshold = reject_threshold(confidence, rng.random(600) < confidence, 0.05)
        if threshold is not None:
            found += 1
            largest = (2 * (1 - max(threshold, 0.5))) ** (1 / 3)  # of the uniform number that makes the confidence
            broken += largest**3 / 8 > 0.05
    assert found > 250
    assert broken <= 0.05 * 300


@pytest.mark.parametrize("seed", range(40))
def test_the_threshold_is_the_last_that_holds_from_the_surest_half_on(seed: int) -> None:
    """By a plain loop, with confidences of two digits, so that many are equal."""
    rng = np.random.default_rng(seed)
    images = int(rng.integers(100, 700))
    confidence = np.round(1 - rng.random(images) ** 2 / 2, 2)
    right = rng.random(images) < 1 - (1 - confidence) * rng.choice([0.1, 0.3, 0.6])
    found, surest_first = None, sorted(confidence, reverse=True)
    for hundredths in range(50, 101):
        accepted = max(59, -(-images * hundredths // 100))  # 59: 0.95^59 is below 0.05
        least = 0.0 if accepted >= images else surest_first[accepted - 1]
        wrong, kept = int((~right[confidence >= least]).sum()), int((confidence >= least).sum())
        if stats.binomtest(wrong, kept, alternative="less").proportion_ci(0.95, "exact").high > 0.05:
            break
        found = least
    assert reject_threshold(confidence, right, 0.05) == found


def test_no_threshold_from_too_few_or_from_bad_answers() -> None:
    sure = np.linspace(0.5, 1, 298)
    assert reject_threshold(sure, np.ones(298, bool), 0.01) is None
    assert reject_threshold(np.append(sure, 1.0), np.ones(299, bool), 0.01) == 0
    assert reject_threshold(np.linspace(0, 1, 5000), np.arange(5000) % 2 == 0, 0.01) is None


def test_a_threshold_is_the_confidence_of_the_least_sure_that_is_accepted() -> None:
    confidence = np.arange(100) / 100
    assert reject_threshold(confidence, confidence > 0.195, 0.05) == 0.2  # of 81, one wrong: the bound is 0.057
    assert reject_threshold(confidence, confidence > 0.005, most_errors(1, 100)) == 0  # a bound just reached holds


def test_what_is_accepted_by_hand() -> None:
    confidence, right = np.array([0.9, 0.2, 0.7, 0.6, 0.5]), np.array([True, True, False, True, False])
    found = accepted_row(confidence > 0.55, confidence, right)
    assert found == CoverageRow(0.6, 0.6, 3, 1, 2 / 3, wilson(2, 3))
    assert accepted_row(confidence > 1, confidence, right) is None


def test_the_coverage_table_by_hand() -> None:
    confidence = np.arange(1, 11) / 10
    rows = {row.coverage: row for row in coverage_table(confidence, confidence > 0.35)}
    assert (rows[1.0].n, rows[1.0].wrong, rows[1.0].accuracy) == (10, 3, 0.7)
    assert (rows[0.8].n, rows[0.8].wrong, rows[0.8].confidence) == (8, 1, 0.3)
    assert (rows[0.5].wrong, rows[0.5].confidence) == (0, 0.6)


def test_the_order_of_equally_sure_images_is_nothing() -> None:
    """Folders come sorted by class, so that one class of equally sure images would fill the first bins."""
    probabilities, labels = np.tile([0.6, 0.4], (1000, 1)), np.repeat([0, 1], (600, 400))
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0, abs=1e-9)
    halves = [coverage_table(np.ones(1000), right)[-1] for right in (labels == 0, labels == 1)]
    assert [(half.n, half.wrong) for half in halves] == [(1000, 400), (1000, 600)]


# --- read-outs and novelty ---


def test_novelty_in_all_directions_is_mahalanobis_distance() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    mixing = np.eye(6) + 0.2 * rng.normal(size=(6, 6))
    features = (rng.normal(size=(3, 6))[labels] * 4 + rng.normal(size=(300, 6)) @ mixing).astype("f4")
    fitted = fit_novelty(features, labels, [4, 2], 3, seed=0)
    module = Novelty(6, 3, 6)
    module.load_state_dict({name: torch.tensor(np.asarray(value)).float() for name, value in fitted.items()})
    means = np.stack([features[labels == label].mean(0) for label in range(3)])
    covariance = np.cov((features - means[labels]).T, bias=True)
    expected = cdist(features, means, "mahalanobis", VI=np.linalg.inv(covariance)).min(1) ** 2
    score = module(torch.tensor(features)).numpy()
    np.testing.assert_allclose(score / np.median(score), expected / np.median(expected), rtol=0.02, atol=0.02)
    assert np.median(score) == pytest.approx(1, rel=0.01)


def test_novelty_of_features_that_hardly_leave_the_directions_is_computed_to_a_thousandth() -> None:
    """The exported file adds up in another order, and has to say the same."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    few = rng.normal(size=(3, 20))[labels] * 9 + rng.normal(size=(300, 4)) @ rng.normal(size=(4, 20))
    features = (few + 0.003 * rng.normal(size=few.shape)).astype("f4")
    fitted = fit_novelty(features, labels, [12, 8], 3, seed=0)
    module = Novelty(20, 3, len(fitted["directions"]))
    module.load_state_dict({name: torch.tensor(np.asarray(value)).float() for name, value in fitted.items()})
    exact = Novelty(20, 3, len(fitted["directions"])).double()
    exact.load_state_dict({name: value.double() for name, value in module.state_dict().items()})
    found, expected = module(torch.tensor(features)).numpy(), exact(torch.tensor(features).double()).numpy()
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


def test_what_lies_outside_of_the_directions_is_novel() -> None:
    rng = np.random.default_rng(0)
    features = np.hstack([rng.normal(size=(400, 3)) * 5, rng.normal(size=(400, 80)) * 0.1]).astype("f4")
    fitted = fit_novelty(features, np.arange(400) % 2, [83], 2, seed=0)
    module = Novelty(83, 2, len(fitted["directions"]))
    module.load_state_dict({name: torch.tensor(np.asarray(value)).float() for name, value in fitted.items()})
    strange = torch.tensor(features[:50]) + torch.nn.functional.one_hot(torch.tensor(60), 83) * 30
    assert module(strange).min() > module(torch.tensor(features)).max()


def test_sides_are_those_of_branches_and_not_of_features() -> None:
    """The stages of a pretrained network are all deep, however many features they are."""
    transfer = get_preset("transfer")
    before, last = sides(get_arm(transfer, "fused", (3, 64, 64), 4))
    assert set(before) == {"hog", "lbp", "colours", "moments"}
    assert len(last) > 3
    assert all(name.startswith("deep_") for name in last)
    assert side_sizes(get_arm(transfer, "taps", (3, 64, 64), 4)) is None
    assert side_sizes(get_arm(get_preset("article"), "fused", (1, 28, 28), 10)) == (128, 256)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_read_out_tells_classes_apart_and_never_tells_one_it_has_not_seen(classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % classes
    features = (rng.normal(size=(classes, 5))[labels] * 20 + rng.normal(size=(200, 5))).astype("f4")
    fitted = fit_read_out(features, labels, classes + 1)
    logits = features @ np.asarray(fitted["weight"]).T + fitted["bias"]
    assert (logits.argmax(1) == labels).all()


@pytest.mark.parametrize("images", [12, 40])
def test_features_that_never_vary_and_few_images_can_be_measured(images: int) -> None:
    features = np.zeros((images, 7), np.float32)
    fitted = fit_novelty(features, np.arange(images) % 3, [7], 3, seed=0)
    assert all(np.isfinite(np.asarray(value)).all() for value in fitted.values())


# --- a whole training ---


def fit_tiny(store: ImageStore, way: Way, max_error: float = 0.2, told: list[str] | None = None) -> TrainedModel:
    preset = get_preset("tiny")

    def train(rows: np.ndarray, recipe: Recipe) -> TrainedModel:
        return fit_arm(preset, "fused", recipe, store.subset(rows), 0, CPU, Silent())

    lines = [] if told is None else told
    fit = Fit(lambda rows: train(rows, RECIPE), lambda rows, like: train(rows, like.recipe))
    return fit_calibrated(fit, store, 0, way, max_error, lines.append)


@pytest.fixture(scope="module")
def training(small: ImageStore) -> ImageStore:
    return small.subset(np.arange(600))


@pytest.fixture(scope="module")
def by_way(training: ImageStore) -> dict[str, TrainedModel]:
    return {way: fit_tiny(training, way) for way in ("holdout", "folds")}


@pytest.mark.parametrize("way", ["holdout", "folds"])
def test_a_calibrated_model_says_how_far_to_believe_it(
    by_way: dict[str, TrainedModel], small: ImageStore, way: str
) -> None:
    trained, calibration = by_way[way], by_way[way].calibration
    assert calibration is not None
    assert (calibration.way, calibration.images) == (way, 100 if way == "holdout" else 600)
    test = small.subset(np.arange(640, 840))
    answers = predict_answers(calibrated(trained), test.images, trained.image)
    plain = predict_answers(CalibratedNet(trained.model), test.images, trained.image)
    assert (answers.probabilities.argmax(1) == plain.probabilities.argmax(1)).all()
    assert plain.novelty is plain.accepted is plain.deep_probabilities is None
    for side in (answers.shallow_probabilities, answers.deep_probabilities):
        assert side is not None
        assert (side.argmax(1) == test.labels).mean() > 0.6
    assert answers.novelty is not None
    assert 0.5 < np.median(answers.novelty) < 2
    noise = np.random.default_rng(0).integers(0, 256, test.images.shape, np.uint8)
    strange = predict_answers(calibrated(trained), noise, trained.image).novelty
    assert strange is not None
    assert calibration.most_novelty is not None
    assert np.median(strange) > np.median(answers.novelty)
    assert (answers.novelty > calibration.most_novelty).mean() < 0.1


def test_accepted_is_sure_enough_and_usual_enough(by_way: dict[str, TrainedModel], small: ImageStore) -> None:
    trained = by_way["folds"]
    assert trained.calibration is not None
    strict = replace(trained, calibration=replace(trained.calibration, least_confidence=0.9, most_novelty=1.2))
    answers = predict_answers(calibrated(strict), small.images[:], trained.image)
    assert answers.novelty is not None
    expected = (answers.probabilities.max(1) >= np.float32(0.9)) & (answers.novelty <= np.float32(1.2))
    assert answers.accepted is not None
    assert 0 < expected.sum() < len(small)
    assert (answers.accepted == expected).all()
    open_ended = replace(trained, calibration=replace(trained.calibration, least_confidence=None))
    assert predict_answers(calibrated(open_ended), small.images[:5], trained.image).accepted is None


def test_images_that_belong_together_are_on_one_side(training: ImageStore) -> None:
    groups = np.arange(600) // 4
    grouped = replace(training, groups=groups)
    preset, seen = get_preset("tiny"), []

    def train(rows: np.ndarray, recipe: Recipe) -> TrainedModel:
        seen.append(rows)
        return fit_arm(preset, "fused", recipe, grouped.subset(rows), 0, CPU, Silent())

    for way in ("holdout", "folds"):
        fit = Fit(lambda rows: train(rows, Recipe(steps=1)), lambda rows, like: train(rows, like.recipe))
        fit_calibrated(fit, grouped, 0, way, 0.1, lambda line: None)
    assert [len(rows) == 600 for rows in seen] == [False, True, False, False, False]
    for rows in seen:
        assert not np.isin(groups[rows], groups[np.setdiff1d(np.arange(600), rows)]).any()


def test_auto_says_why_it_leaves_calibration_out_and_a_name_refuses(training: ImageStore) -> None:
    lonely = training.subset(
        np.append(np.flatnonzero(training.labels != 3)[:100], np.flatnonzero(training.labels == 3)[0])
    )
    told: list[str] = []
    assert fit_tiny(lonely, "auto", told=told).calibration is None
    assert told[0].startswith("no calibration: 3 folds need")
    with pytest.raises(InputError, match="cannot calibrate: 3 folds need"):
        fit_tiny(lonely, "folds")
    with pytest.warns(UserWarning, match="the model is not calibrated: 3 folds need"):
        classifier = lt.FusionClassifier("tiny", steps=1, calibrate="auto").fit(lonely.images, lonely.labels)
    assert classifier.model_.record["not_calibrated"].startswith("3 folds need")


@pytest.mark.parametrize("way", ["holdout", "folds"])
@pytest.mark.parametrize("arm", ["fused", "probe"])
def test_labels_of_the_test_part_change_nothing_of_a_calibration(
    small: ImageStore, tmp_path: Path, way: Way, arm: str
) -> None:
    assert small.split is not None
    of_test = small.split == "test"
    shuffled = small.labels.copy()
    shuffled[of_test] = np.random.default_rng(0).permutation(shuffled[of_test])
    models = []
    for number, labels in enumerate((small.labels, shuffled)):
        data, place, observer = replace(small, labels=labels), tmp_path / str(number), Silent()
        models.append(
            fit_file(
                data, get_preset("tiny"), arm, Recipe(steps=5), place, 0, None, CPU, observer, False, calibrate=way
            )
        )
    one, other = (model.calibration for model in models)
    assert one is not None
    assert other is not None
    assert replace(one, seconds=0.0) == replace(other, seconds=0.0)
    tensors = [model.calibration_tensors for model in models]
    assert all(torch.equal(value, tensors[1][name]) for name, value in tensors[0].items())
    assert not np.array_equal(small.labels, shuffled)


# --- the model file ---


def with_calibration(branches: int = 2) -> TrainedModel:
    chosen = {"a": ConvConfig((4,), (1,), 5), "b": ConvConfig((4, 3), (2,))}
    config = FusionNetConfig((3, 8, 9), 3, dict(list(chosen.items())[:branches]))
    calibration = Calibration(1.3, "folds", 100, 0.01, 0.5, 0.9, None, 2.0, 4, 1.5)
    tensors = {name: torch.randn(shape.shape) for name, shape in calibration_shapes(config, calibration).items()}
    spec = ImageSpec.unit(8, 9, 3)
    return TrainedModel(
        seeded_model(config, 0).eval(), spec, ("a", "b", "c"), Recipe(steps=3), {}, calibration, tensors
    )


@pytest.mark.parametrize("branches", [1, 2])
def test_a_calibration_goes_through_the_model_file(branches: int) -> None:
    before = with_calibration(branches)
    after = model_from_bytes(model_bytes(before), "it")
    assert after.calibration == before.calibration
    x = torch.rand(4, 3, 8, 9)
    with torch.no_grad():
        for one, other in zip(calibrated(before)(x), calibrated(after)(x), strict=True):
            assert (one is None) == (other is None)
            assert one is None or torch.allclose(one, other, atol=1e-5)


def test_a_file_from_before_there_were_calibrations_is_read() -> None:
    plain = replace(with_calibration(), calibration=None, calibration_tensors={})
    content = model_bytes(plain)
    assert b"calibration" not in content
    assert model_from_bytes(content, "it").calibration is None


CHANGES: dict[str, tuple[dict[str, object], str]] = {
    "a temperature of 0": ({"temperature": 0.0}, "a temperature is a positive number"),
    "another way": ({"way": "guess"}, "unusable metadata at calibration.way"),
    "too many directions": ({"directions": 10**12}, "1 to 64 directions"),
    "other directions": ({"directions": 5}, "tensors that do not fit its architecture: calibration.novelty"),
    "half a model of novelty": ({"most_novelty": None}, "both or not at all"),
    "a confidence above 1": ({"least_confidence": 1.5}, "least_confidence is between 0 and 1"),
    "no images": ({"images": 0}, "counts its images from 1 up"),
    "an unknown field": ({"trust": 1}, "unusable metadata at calibration.trust"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_calibration_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    from test_model_file import forge

    change, words = CHANGES[name]
    path = tmp_path / "m"
    path.write_bytes(model_bytes(with_calibration()))
    forge(path, lambda content, tensors, metadata: content["calibration"].update(change))
    with pytest.raises(ModelFileError, match=words) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_a_calibration_and_its_tensors_come_together(tmp_path: Path) -> None:
    from test_model_file import forge

    for change in (
        lambda content, tensors, metadata: content.pop("calibration"),
        lambda content, tensors, metadata: tensors.pop("calibration.deep.bias"),
        lambda content, tensors, metadata: tensors.update({"calibration.more": torch.zeros(1)}),
    ):
        path = tmp_path / "m"
        path.write_bytes(model_bytes(with_calibration()))
        forge(path, change)
        with pytest.raises(ModelFileError, match="tensors that do not fit its architecture: calibration"):
            load_model(path)


# --- the command and the classifier ---


def test_fit_says_what_it_accepts_or_how_many_images_that_needs(
    call: Callable[..., tuple[int, str, str]], small: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("d.npz", images=small.images[:], labels=small.labels, split=small.split)
    common = ("fit", "d.npz", "--preset", "tiny", "--steps", "60")
    code, out, err = call(*common, "--max-error", "0.001", "--out", "a", "--json")
    assert code == 0, err
    document = json.loads(out)["calibration"]
    assert (document["way"], document["images"], document["needed"]) == ("folds", 640, 2995)
    assert document["least_confidence"] is None
    assert "calibrating, 3 of 3" in err
    assert "no threshold is set and accepted stays empty: a bound of " in err
    assert "needs 2,995 images to calibrate on, here are 640" in err
    rows = json.loads(call("evaluate", "a", "d.npz", "--json")[1])
    assert rows["accepted"] is None
    code, out, err = call(*common, "--max-error", "0.3", "--calibrate", "holdout", "--out", "b")
    assert code == 0, err
    assert "held out to calibrate on" in err
    assert "calibration images, with 30 % errors at most" in out
    for options, words in ((("--calibrate", "some"), "none"), (("--max-error", "1"), "between 0 and 1")):
        code, _, err = call(*common, *options, "--out", "c")
        assert code == 2
        assert words in err


def test_a_classifier_is_calibrated_where_it_is_asked_to(training: ImageStore, tmp_path: Path) -> None:
    images, labels = training.images[:], training.labels
    plain = lt.FusionClassifier("tiny", steps=30, random_state=0).fit(images, labels)
    assert plain.model_.calibration is None
    clf = lt.FusionClassifier("tiny", steps=30, random_state=0, calibrate="folds", max_error=0.2).fit(images, labels)
    assert clf.model_.calibration is not None
    assert (clf.predict(images) == plain.predict(images)).all()
    assert not np.allclose(clf.predict_proba(images), plain.predict_proba(images))
    clf.save(tmp_path / "m")
    again = lt.load(tmp_path / "m")
    assert (again.calibrate, again.max_error) == ("folds", 0.2)
    np.testing.assert_allclose(again.predict_proba(images), clf.predict_proba(images), atol=1e-6)
    with pytest.raises(InputError, match=f"calibrate must be one of {', '.join(WAYS)}"):
        lt.FusionClassifier(calibrate="some").fit(images, labels)
