"""Images without a label: labels spread as scikit-learn spreads them, help where they can, and are left out else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.datasets import load_digits
from sklearn.semi_supervised import LabelSpreading

import littoral as lt
from littoral.errors import InputError
from littoral.evaluate_model import evaluate_model, training_part, unseen_part
from littoral.fit_file import fit_file, rest_of
from littoral.images.seen import seen_in
from littoral.images.store import ImageStore
from littoral.nn.model import seeded_model
from littoral.training import presets, semi
from littoral.training.loop import Silent
from littoral.training.propagate import ALPHA, propagate, similarity_graph
from littoral.training.run import TrainedModel, fit_arm

pytestmark = pytest.mark.usefixtures("one_thread")


def test_labels_spread_as_scikit_learn_spreads_them() -> None:
    X, y = load_digits(return_X_y=True)
    X = X[:400].astype(np.float32)
    graph = similarity_graph(X)
    dense = graph.toarray()
    labelled = np.flatnonzero([(y[:i] == y[i]).sum() < 2 for i in range(400)])
    given = np.full(400, -1)
    given[labelled] = y[labelled]
    theirs = LabelSpreading(kernel=lambda one, other: dense, alpha=ALPHA, max_iter=5000, tol=1e-9).fit(X, given)
    degree = np.asarray(graph.sum(1)).ravel()
    system = np.eye(400) - ALPHA * dense / np.sqrt(degree[:, None] * degree)
    start = np.zeros((400, 10))
    start[labelled, y[labelled]] = 1
    ours = np.linalg.solve(system, start)
    np.testing.assert_allclose(ours / ours.sum(1, keepdims=True), theirs.label_distributions_, atol=1e-4)
    # and `propagate` is that solution with the classes brought to their share
    scaled = ours / ours.sum(0)
    np.testing.assert_allclose(
        propagate(graph, labelled, y[labelled], 10), scaled / scaled.sum(1, keepdims=True), atol=1e-4
    )


def test_an_image_that_no_label_reaches_gets_the_share_of_the_classes() -> None:
    apart = csr_array(np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]))
    found = propagate(apart, np.array([0, 0, 1]), np.array([0, 0, 1]), 3)
    np.testing.assert_allclose(found[2:], np.array([[2 / 3, 1 / 3, 0]] * 2))
    assert found[1].argmax() == 0


def test_the_graph_joins_the_nearest_by_angle_and_is_symmetric() -> None:
    angles = np.deg2rad([0.0, 10, 50, 60])
    features = (np.stack([np.cos(angles), np.sin(angles)], 1) * [[1], [5], [2], [9]]).astype(np.float32)
    graph = similarity_graph(features, neighbours=1).toarray()
    assert (graph == graph.T).all()
    assert graph[0, 1] == pytest.approx(2 * np.cos(np.deg2rad(10)) ** 3, rel=1e-4)
    assert graph[2, 3] == pytest.approx(graph[0, 1], rel=1e-4)
    assert graph[1, 2] == graph[0, 0] == 0


def test_how_sure_a_share_is() -> None:
    shares = np.array([[1.0, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0]])
    np.testing.assert_allclose(semi.sureness(shares), [1, 0, 1 - np.log(2) / np.log(3)], atol=1e-9)


def brief(steps: int) -> presets.Preset:
    """few, of so many steps in each of its trainings."""
    few = presets.get_preset("few")
    assert few.unlabelled is not None
    return replace(
        few,
        recipe=replace(few.recipe, steps=steps, batch_size=32),
        unlabelled=replace(few.unlabelled, epochs=None, steps=steps, batch_size=32),
    )


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> presets.Preset:
    """few, long enough to learn something from five labels a class."""
    monkeypatch.setattr(semi, "CHECK_SHARE", 1.0)
    return brief(60)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> presets.Preset:
    """few, where nothing hangs on what it learns; commands and estimators find it under its name."""
    monkeypatch.setattr(semi, "ROUNDS", 1)
    monkeypatch.setattr(presets, "PRESETS", presets.PRESETS | {"few": (chosen := brief(4))})
    return chosen


def fit(preset: presets.Preset, store: ImageStore, unlabelled: np.ndarray, seed: int = 0) -> TrainedModel:
    return fit_arm(preset, "fused", preset.recipe, store, seed, torch.device("cpu"), Silent(), unlabelled=unlabelled)


@pytest.fixture(scope="module")
def digits(mnist: ImageStore) -> tuple[ImageStore, np.ndarray, ImageStore]:
    """Five labelled MNIST digits a class, 1,500 without label, 500 to test on."""
    order = np.random.default_rng(0).permutation(60_000)
    chosen = np.concatenate([order[mnist.labels[order] == label][:5] for label in range(10)])
    rest = np.setdiff1d(order[:4000], chosen)
    labelled = replace(mnist.subset(chosen), split=None)
    return labelled, np.array(mnist.images[rest[:1500]]), mnist.subset(rest[1500:2000])


def test_they_help_on_digits_and_the_record_says_so(
    short: presets.Preset, digits: tuple[ImageStore, np.ndarray, ImageStore]
) -> None:
    labelled, others, test = digits
    alone = fit_arm(short, "fused", short.recipe, labelled, 0, torch.device("cpu"), Silent())
    helped = fit(short, labelled, others)

    def right(trained: TrainedModel) -> float:
        return evaluate_model(trained, replace(test, split=None)).accuracy

    assert right(helped) > right(alone) + 0.02
    found = helped.record["unlabelled"]
    assert found["images"] == 1500
    assert found["used"]
    assert found["held_out"] == 50
    assert found["spread"] >= found["alone"]


def test_they_are_left_out_where_the_check_finds_that_they_hurt(
    short: presets.Preset, digits: tuple[ImageStore, np.ndarray, ImageStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spreading that tells every label wrong: the weights are those of the labels alone."""
    labelled, others, _ = digits
    monkeypatch.setattr(semi, "propagate", lambda graph, known, labels, classes: np.eye(classes)[[0] * graph.shape[0]])
    left_out = fit(short, labelled, others[:100])
    assert not left_out.record["unlabelled"]["used"]
    alone = fit_arm(short, "fused", short.recipe, labelled, 0, torch.device("cpu"), Silent())
    for name, value in alone.model.state_dict().items():
        assert torch.equal(value, left_out.model.state_dict()[name])


def test_one_label_a_class_cannot_be_checked(
    hasty: presets.Preset, digits: tuple[ImageStore, np.ndarray, ImageStore]
) -> None:
    labelled, others, _ = digits
    one = labelled.subset(np.arange(0, 50, 5))
    trained, again = (fit(hasty, one, others[:60]) for _ in range(2))
    found = trained.record["unlabelled"]
    assert found["used"]
    assert found["held_out"] is None
    for name, value in trained.model.state_dict().items():  # the same seed, the same weights
        assert torch.equal(value, again.model.state_dict()[name])


def test_images_that_belong_together_are_on_one_side_of_the_check(
    hasty: presets.Preset, digits: tuple[ImageStore, np.ndarray, ImageStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people wrote the digits: the check is one from the other. Of one alone there is nothing to check."""
    labelled, others, _ = digits
    sides: list[set[int]] = []
    people = np.arange(50) % 5 % 2
    of_image = {image.tobytes(): person for image, person in zip(labelled.images[:], people.tolist(), strict=True)}

    def kept(model, images, spec):  # type: ignore[no-untyped-def]
        sides.append({of_image[image.tobytes()] for image in images})
        return np.zeros((len(images), 10))

    monkeypatch.setattr(semi, "predict_probabilities", kept)
    found = fit(hasty, replace(labelled, groups=people), others[:60]).record["unlabelled"]
    assert found["held_out"] == 50
    assert sorted(sides, key=min) == [{0}, {1}]
    alone = fit(hasty, replace(labelled, groups=0 * people), others[:60]).record["unlabelled"]
    assert alone["used"]
    assert alone["held_out"] is None


def test_rows_without_a_label_in_python(
    hasty: presets.Preset, digits: tuple[ImageStore, np.ndarray, ImageStore]
) -> None:
    labelled, others, _ = digits
    X = np.concatenate([np.asarray(labelled.images), others[:200]])
    y = [str(label) for label in labelled.labels] + [None] * 200
    classifier = lt.FusionClassifier("few", random_state=0).fit(X, y)
    assert classifier.model_.record["unlabelled"]["images"] == 200
    floats = lt.FusionClassifier("few", random_state=0).fit(X / 255.0, y)
    assert floats.model_.record["unlabelled"]["images"] == 200
    with pytest.raises(InputError, match="leave one of the two out"):
        lt.FusionClassifier("few", time_budget=5.0).fit(X, y)


def test_the_command_trains_on_the_rest_and_on_a_folder(
    hasty: presets.Preset, small: ImageStore, tmp_path: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    from PIL import Image

    for part, chosen in (("data", small.images[:120]), ("more", small.images[200:240])):
        for number, image in enumerate(chosen):
            folder = tmp_path / part / (str(number % 2) if part == "data" else "")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(folder / f"{number}.png")
    (tmp_path / "more" / "broken.png").write_bytes(b"nothing")
    common = ("fit", tmp_path / "data", "--preset", "few", "--out", tmp_path / "m", "--labels-per-class", "6", "--json")
    common += ("--calibrate", "none")
    code, out, err = call(*common, "--unlabelled", "rest")
    assert code == 0, err
    assert json.loads(out)["unlabelled"]["images"] == 96 - 12
    assert "images without a label" in err
    code, out, err = call(*common, "--unlabelled", tmp_path / "more")
    assert code == 0, err
    assert json.loads(out)["unlabelled"]["images"] == 40
    assert "1 image left out: " in err


def test_a_model_is_not_judged_on_images_that_it_was_trained_on_without_their_labels(
    hasty: presets.Preset,
    digits: tuple[ImageStore, np.ndarray, ImageStore],
    tmp_path: Path,
    call: Callable[..., tuple[int, str, str]],
) -> None:
    labelled, others, test = digits
    one = labelled.subset(np.arange(0, 50, 5))
    y = [str(label) for label in one.labels] + [None] * 60
    X = np.concatenate([np.asarray(one.images), others[:60]])
    lt.FusionClassifier("few", random_state=0).fit(X, y).save(tmp_path / "m")
    trained = lt.load(tmp_path / "m").model_
    every = np.concatenate([X, np.asarray(test.images[:5])])
    data = ImageStore(every, np.arange(75) % 10, one.class_names)
    unseen = unseen_part(trained, data)
    assert (len(unseen.images), unseen.dropped) == (5, 70)
    assert len(training_part(trained, data)) == 10

    np.savez(tmp_path / "data.npz", images=np.asarray(test.images[:60]), labels=np.arange(60) % 2)
    budget = ("--preset", "few", "--labels-per-class", "1", "--unlabelled", "rest", "--calibrate", "none")
    code, out, err = call("fit", tmp_path / "data.npz", *budget, "--out", tmp_path / "f", "--json")
    assert code == 0, err
    document = json.loads(out)
    code, out, err = call("evaluate", tmp_path / "f", tmp_path / "data.npz", "--json")
    assert json.loads(out)["n"] == document["test"]["n"]


def test_images_of_a_built_in_set_are_known_by_its_name(
    hasty: presets.Preset, few_images: ImageStore, small: ImageStore, tmp_path: Path
) -> None:
    others = np.concatenate([rest_of(few_images, 0, 1), small.images[200:205]])
    asked = (few_images, hasty, "fused", hasty.recipe, tmp_path / "m", 0, 1, torch.device("cpu"), Silent(), False)
    record = fit_file(*asked, unlabelled=others).record
    assert record["unlabelled"]["images"] == 95
    seen = seen_in(ImageStore(others, np.zeros(95, np.int64), ("a",)), record["trained_on_unlabelled"])
    assert np.flatnonzero(seen).tolist() == list(range(90, 95))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--preset", "few", "--unlabelled", "rest"), "--labels-per-class leaves over"),
        (("--preset", "swift", "--unlabelled", "rest", "--labels-per-class", "5"), "use --preset few"),
        (("--preset", "few", "--unlabelled", "nowhere"), "no such file or folder: nowhere"),
        (("--preset", "few", "--unlabelled", "rest", "--resume"), "keeps no checkpoint"),
        (("--preset", "few", "--unlabelled", "rest", "--time-budget", "5"), "has no time budget"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    options: tuple[str, ...], reason: str, tmp_path: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = call("fit", "mnist", "--out", tmp_path / "m", *options)
    assert code == 2
    assert not out
    assert reason in err


def test_of_very_many_numbers_the_principal_components_are_found_without_all_of_them(
    small: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = seeded_model(presets.get_arm(presets.get_preset("tiny"), "deep", (1, 28, 28), 10), 0).eval()
    monkeypatch.setattr(semi, "COMPONENTS", 10)
    exact = semi._features(model, small.images[:300], small.spec())
    monkeypatch.setattr(semi, "MANY_NUMBERS", 8)
    quick = semi._features(model, small.images[:300], small.spec())
    assert quick.shape == exact.shape
    assert np.linalg.svd(quick)[1] == pytest.approx(np.linalg.svd(exact)[1], rel=0.02)
