"""FusionClassifier as scikit-learn users take it."""

from __future__ import annotations

import copy
import pickle
import pickletools
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import NotFittedError

import littoral as lt
from littoral import calibrate
from littoral.errors import InputError
from littoral.held_out import held_parts
from littoral.images.store import ImageStore
from littoral.model_file import model_bytes, save_model
from littoral.training import presets
from littoral.training.loop import Plan, Silent

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def arrays(small: ImageStore) -> tuple[np.ndarray, np.ndarray]:
    return small.images[:640, :, :, 0], small.labels[:640]


@pytest.fixture(scope="module")
def fitted(arrays: tuple[np.ndarray, np.ndarray]) -> lt.FusionClassifier:
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    return lt.FusionClassifier(epochs=2, random_state=0).fit(arrays[0], names[arrays[1]])


def test_it_learns_and_answers_in_the_labels_it_was_given(
    fitted: lt.FusionClassifier, arrays: tuple[np.ndarray, np.ndarray], small: ImageStore
) -> None:
    assert fitted.classes_.tolist() == sorted(fitted.classes_)
    probabilities = fitted.predict_proba(small.images[640:])
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    predicted = fitted.predict(small.images[640:])
    assert predicted.tolist() == fitted.classes_[probabilities.argmax(1)].tolist()
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    assert fitted.score(small.images[640:], names[small.labels[640:]]) > 0.7


def test_integer_labels_come_back_as_integers(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    classifier = lt.FusionClassifier(steps=2, random_state=0).fit(arrays[0], arrays[1] - 1)
    assert classifier.classes_.tolist() == list(range(-1, 9))
    assert classifier.predict(arrays[0][:3]).dtype == arrays[1].dtype


def test_the_same_random_state_gives_the_same_model(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    def probabilities(random_state: object) -> np.ndarray:
        return lt.FusionClassifier(steps=3, random_state=random_state).fit(*arrays).predict_proba(arrays[0][:9])

    assert np.array_equal(probabilities(7), probabilities(7))
    assert not np.array_equal(probabilities(7), probabilities(8))
    assert np.array_equal(probabilities(np.random.RandomState(1)), probabilities(np.random.RandomState(1)))
    assert not np.array_equal(probabilities(None), probabilities(None))


def test_views_and_numpy_numbers_are_taken(arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    images, labels = arrays
    classifier = lt.FusionClassifier(steps=np.int64(2), random_state=np.int64(0))
    classifier.fit(images[::-1, :, ::-1], labels[::-1])
    classifier.save(tmp_path / "m")
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    assert np.array_equal(classifier.predict(images[:, :, ::-1]), classifier.predict(mirrored))


def test_colour_images_of_another_size(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    colour = np.repeat(arrays[0][:60, 4:, 2:-1, None], 3, axis=3)
    classifier = lt.FusionClassifier(steps=2, random_state=0).fit(colour, arrays[1][:60])
    assert classifier.predict(colour).shape == (60,)
    with pytest.raises(lt.ShapeError, match=r"takes images .* of \(24, 25, 3\), got \(28, 28, 1\)"):
        classifier.predict(arrays[0])


def test_save_and_load(fitted: lt.FusionClassifier, small: ImageStore, tmp_path: Path) -> None:
    fitted.save(tmp_path / "m.safetensors")
    loaded = lt.load(str(tmp_path / "m.safetensors"))
    images = small.images[640:]
    assert np.array_equal(loaded.predict(images), fitted.predict(images))
    np.testing.assert_allclose(loaded.predict_proba(images), fitted.predict_proba(images), atol=1e-6)
    assert loaded.get_params()["epochs"] == 2
    assert loaded.get_params()["random_state"] == 0


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool", "float16", "float64", "str"])
def test_labels_come_back_from_a_file_as_they_went(
    kind: str, arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    images, labels = arrays
    given = (labels > 4) if kind == "bool" else (labels + 5).astype(kind)  # with 5 to 14, text sorts otherwise
    fitted = lt.FusionClassifier(steps=2, random_state=0).fit(images, given)
    fitted.save(tmp_path / "m")
    loaded = lt.load(tmp_path / "m")
    assert loaded.classes_.dtype.kind == fitted.classes_.dtype.kind
    assert loaded.classes_.tolist() == fitted.classes_.tolist()
    assert loaded.score(images, given) == fitted.score(images, given)


@pytest.mark.parametrize(("labels", "preset"), [(presets.FEW_LABELS, "few"), (presets.FEW_LABELS + 1, "swift")])
def test_the_preset_that_is_not_named_goes_by_the_number_of_labels(
    labels: int, preset: str, arrays: tuple[np.ndarray, np.ndarray]
) -> None:
    number = np.arange(2 * labels)
    X, y = arrays[0][number % 640, 10:18, 10:18], number % 2
    classifier = lt.FusionClassifier(steps=1, random_state=0).fit(X, y)
    assert classifier.preset is None
    assert classifier.model_.record["preset"] == preset
    named = lt.FusionClassifier(preset, steps=1, random_state=0).fit(X, y)
    assert weights_of(named) == weights_of(classifier)


@pytest.mark.parametrize("preset", ["swift", "few", "tiny"])
def test_a_loaded_classifier_is_fitted_anew_as_the_saved_one_was(
    preset: str, arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = presets.get_preset(preset)
    length = {"min_steps": 4} if known.recipe.min_steps else {"steps": 4}
    short = replace(known, recipe=replace(known.recipe, batch_size=16, **length))
    monkeypatch.setattr(presets, "PRESETS", {preset: short})
    monkeypatch.setattr("littoral.training.recipe.SHORTEST_EPOCH", 1)
    X, y = arrays[0][:40, ::2, ::2], arrays[1][:40] % 2
    fitted = lt.FusionClassifier(preset, random_state=0).fit(X, y)
    assert fitted.model_.record["steps"] == 4
    fitted.save(tmp_path / "m")
    assert weights_of(clone(lt.load(tmp_path / "m")).fit(X, y)) == weights_of(fitted)
    balanced = replace(fitted.model_, recipe=replace(fitted.model_.recipe, balance="loss"))
    save_model(balanced, tmp_path / "balanced")
    asked = lt.load(tmp_path / "balanced").get_params()
    assert (asked["epochs"], asked["steps"]) == (None, None)  # it was as long as the preset says


def test_a_model_of_a_preset_from_a_file_is_fitted_anew_by_that_file(
    arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = arrays[0][:40, ::2, ::2], arrays[1][:40] % 2
    own = tmp_path / "narrow.toml"
    own.write_text("base = 'tiny'\nsummary = 'narrower'\n[widths]\ndeep = 0.5\n[recipe]\nsteps = 3")
    fitted = lt.FusionClassifier(str(own), random_state=0).fit(X, y)
    fitted.save(tmp_path / "m")
    loaded = clone(lt.load(tmp_path / "m"))
    with pytest.raises(lt.InputError, match=r"unknown preset 'narrow'.*such as narrow\.toml .*give it again"):
        loaded.fit(X, y)
    assert weights_of(loaded.set_params(preset=own).fit(X, y)) == weights_of(fitted)
    for taken in ("few", "auto"):
        other = own.rename(tmp_path / f"{taken}.toml")
        with pytest.raises(lt.InputError, match=f"has the name of another preset, {taken}: give the file a name"):
            lt.FusionClassifier(str(other)).fit(X, y)
        own = other


@pytest.mark.parametrize("preset", ["swift", "few"])
def test_class_weights_count_in_every_preset(preset: str, arrays: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = arrays[0][:60, ::2, ::2], np.where(np.arange(60) < 40, "many", "few")

    def weights(**parameters: object) -> dict[str, list[float]]:
        return weights_of(lt.FusionClassifier(preset, steps=2, random_state=0, **parameters).fit(X, y))

    balanced = weights(class_weight="balanced")
    assert balanced != weights()
    assert balanced == weights(class_weight={"few": 1.5, "many": 0.75})


def test_parameters_are_stored_as_given_and_cloned() -> None:
    classifier = lt.FusionClassifier(preset="no such", epochs=-3)
    assert clone(classifier).get_params() == classifier.get_params()
    assert clone(classifier).set_params(arm="deep").arm == "deep"


def test_bad_input_is_refused_in_one_sentence(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    refused = {
        "unknown preset": (lt.FusionClassifier(preset="x"), images, labels),
        "unknown arm": (lt.FusionClassifier(arm="x"), images, labels),
        "one label": (lt.FusionClassifier(), images, labels[1:]),
        "continuous": (lt.FusionClassifier(), images, labels / 3),
        "or NaN": (lt.FusionClassifier(), images, np.where(labels == 1, np.nan, labels)),
        "random_state must be": (lt.FusionClassifier(random_state=np.random.default_rng(1)), images, labels),
        "two classes": (lt.FusionClassifier(), images, labels * 0),
        "epochs must be at least 1": (lt.FusionClassifier(epochs=0), images, labels),
        "epochs must be a whole number": (lt.FusionClassifier(epochs=1.5), images, labels),
        "a seed is a whole number": (lt.FusionClassifier(random_state=-1), images, labels),
        r"below 2\*\*32, got 4294967296": (lt.FusionClassifier(random_state=2**32), images, labels),
        "set epochs or steps, not both": (lt.FusionClassifier(epochs=1, steps=1), ["no such file"], labels),
        "preset must be the name of one": (lt.FusionClassifier(preset=3), images, labels),
        "no device None here": (lt.FusionClassifier(device=None), images, labels),
        "is a number between 0 and 1": (lt.FusionClassifier(max_error="0.01"), images, labels),
        "probe is fitted at once, not in steps: leave epochs out": (
            lt.FusionClassifier("probe", epochs=3),
            images,
            labels,
        ),
        "image_shape must be": (lt.FusionClassifier(image_shape=(28, 28, 4)), images, labels),
        "but the images of X are": (lt.FusionClassifier(image_shape=(28, 20)), images, labels),
        r"takes 560 features a row, got 784": (lt.FusionClassifier(image_shape=(28, 20)), flat(images), labels),
        "real numbers": (lt.FusionClassifier(), images.astype(complex), labels),
        "number 2 of X holds NaN": (lt.FusionClassifier(), np.where(np.arange(640) == 2, np.nan, images.T).T, labels),
        "too far apart": (lt.FusionClassifier(), np.where(images > 99, 1e308, -1e308), labels),
        "not all of one shape": (lt.FusionClassifier(), [images[0], images[1, 1:]], labels[:2]),
        "or 3\\) or flattened": (lt.FusionClassifier(), np.zeros((640, 3, 28, 28)), labels),
        "multi-label is not offered": (lt.FusionClassifier(), images, np.eye(10)[labels]),
        "unequal length; multi-label": (lt.FusionClassifier(), images, [[1], [1, 2]]),
        "y is None": (lt.FusionClassifier(), images, None),
        "all 640 rows of y are unlabelled": (lt.FusionClassifier(), images, [None] * 640),
        "class_weight must be": (lt.FusionClassifier(class_weight="even"), images, labels),
    }
    weighted = {
        r"one number a row, shape \(640,\)": np.ones(3),
        "from 0 up": -np.ones(640),
        "finite": np.where(labels == 1, np.nan, 1),
        "every weight is zero": np.zeros(640),
        "must be numbers": ["much"] * 640,
    }
    for words, (classifier, X, y) in refused.items():
        with pytest.raises(lt.InputError, match=words) as caught:
            classifier.fit(X, y)
        assert isinstance(caught.value, ValueError)
    for words, weights in weighted.items():
        with pytest.raises(lt.InputError, match=words):
            lt.FusionClassifier().fit(images, labels, sample_weight=weights)
    for weight in (-1.0, np.nan):
        with pytest.raises(lt.InputError, match="weights must be finite numbers from 0 up"):
            lt.FusionClassifier().fit(images, [None, *labels[1:]], sample_weight=[weight] + [1.0] * 639)
    with pytest.raises(NotFittedError):
        lt.FusionClassifier().predict(images)
    with pytest.raises(NotFittedError):
        lt.FusionClassifier().save("m.safetensors")


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)


def weights_of(classifier: lt.FusionClassifier) -> dict[str, list[float]]:
    return {name: value.flatten().tolist() for name, value in classifier.model_.model.state_dict().items()}


def fit_tiny(X: object, y: object, sample_weight: object = None, **parameters: object) -> lt.FusionClassifier:
    parameters = {"steps": 3, "random_state": 0} | parameters
    return lt.FusionClassifier("tiny").set_params(**parameters).fit(X, y, sample_weight)


@pytest.fixture(scope="module")
def pngs(arrays: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The first 60 images as files."""
    folder = tmp_path_factory.mktemp("pngs")
    for number, image in enumerate(arrays[0][:60]):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    return sorted(folder.iterdir())


def test_every_form_of_the_same_images_gives_the_same_model(
    arrays: tuple[np.ndarray, np.ndarray], pngs: list[Path]
) -> None:
    images, labels = arrays[0][:60], arrays[1][:60]
    assert images.min() == 0
    assert images.max() == 255
    forms: dict[str, object] = {
        "channel": images[..., None],
        "flattened": flat(images),
        "list": images.tolist(),
        "float64": images / 255,
        "float32": images.astype(np.float32) / 255,
        "int64": images.astype(np.int64),
        "signed": images / 127.5 - 1,
        "float, flattened": flat(images / 255),
        "table": pd.DataFrame(flat(images)),
        "paths": pngs,
        "names": [str(path) for path in pngs],
        "array of paths": np.array(pngs),
        "array of names": np.array([str(path) for path in pngs]),
        "series": pd.Series([str(path) for path in pngs]),
    }
    wanted = fit_tiny(images, labels)
    for form, X in forms.items():
        classifier = fit_tiny(X, labels)
        assert weights_of(classifier) == weights_of(wanted), form
        assert np.array_equal(classifier.predict_proba(X), wanted.predict_proba(images)), form
        twin = pickle.loads(pickle.dumps(classifier))
        assert np.array_equal(twin.predict_proba(X), wanted.predict_proba(images)), form


def test_colour_files_and_their_size(pngs: list[Path], tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), "red").save(tmp_path / "red.png")
    labels = ["a"] * 30 + ["b"] * 31
    paths = [*pngs, tmp_path / "red.png"]
    assert fit_tiny(paths, labels).model_.image.shape == (3, 28, 28)
    assert fit_tiny(paths, labels, image_shape=(16, 12)).model_.image.shape == (3, 16, 12)
    grey = fit_tiny(paths, labels, image_shape=(16, 12, 1))
    assert grey.model_.image.shape == (1, 16, 12)
    assert grey.predict(paths).shape == (61,)


def test_a_file_that_cannot_be_read_is_named(pngs: list[Path], tmp_path: Path) -> None:
    labels = ["a", "b"] * 30
    classifier = fit_tiny(pngs, labels)
    (tmp_path / "bad.png").write_bytes(b"x")
    for X in ([*pngs[:59], tmp_path / "bad.png"], [tmp_path / "none.png"] * 60):
        for use in (classifier.predict, lambda paths: fit_tiny(paths, labels)):
            with pytest.raises(lt.ImageError, match=r"(bad.png is not a readable|none.png cannot be read).*every row"):
                use(X)


def test_a_model_of_pixels_takes_pixels_alone(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    classifier = fit_tiny(images, labels)
    expected = classifier.predict_proba(images)
    assert np.array_equal(classifier.predict_proba(images.astype(np.int32)), expected)
    assert np.array_equal(classifier.predict_proba(flat(images)), expected)
    refused = {"got float64": images / 255, "got bool": images > 99, "from 0 to 510": images * np.int64(2)}
    for words, X in refused.items():
        with pytest.raises(lt.InputError, match=words):
            classifier.predict(X)
    with pytest.raises(lt.ShapeError, match="784 features a row, got 783"):
        classifier.predict(flat(images)[:, 1:])


def test_numbers_outside_the_range_are_clipped(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    classifier = fit_tiny(images / 255, labels)
    assert classifier.model_.image.value_range == (0.0, 1.0)
    near = np.where(images > 99, 2.0, -0.5)
    assert np.array_equal(classifier.predict_proba(near), classifier.predict_proba((images > 99) * 1.0))
    wild, clipped = images / 255, images / 255
    wild[:, :1], clipped[:, :1] = 1e300, 1.0  # one row of 28
    assert np.array_equal(classifier.predict_proba(wild), classifier.predict_proba(clipped))


def test_numbers_on_another_scale_are_refused(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    classifier = fit_tiny(images / 255, labels)
    with pytest.raises(
        InputError, match=r"fitted on numbers from 0 to 1, and \d+% of these lie far outside, from 0 to 2"
    ):
        classifier.predict(images)
    rows = [*labels[:600].tolist(), *[None] * 40]
    with pytest.raises(InputError, match="lie far outside"):  # of rows without a label too
        fit_tiny(np.concatenate([images[:600] / 255, images[600:] * 1.0]), rows)


def test_features_of_a_fit_are_forgotten_by_the_next(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    classifier = fit_tiny(pd.DataFrame(flat(images)).add_prefix("pixel"), labels)
    assert classifier.n_features_in_ == len(classifier.feature_names_in_) == 784
    classifier.fit(images, labels)
    assert not {"n_features_in_", "feature_names_in_"} & set(vars(classifier))


def test_a_fit_that_is_interrupted_leaves_the_one_before(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    classifier = fit_tiny(flat(images), labels)
    before = classifier.predict_proba(flat(images))

    class Interrupts(Silent):
        def on_start(self, plan: Plan) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classifier.fit(flat(images[:, 4:24, 4:24]), labels, observer=Interrupts())
    assert classifier.n_features_in_ == 784
    assert np.array_equal(classifier.predict_proba(flat(images)), before)


@pytest.mark.parametrize("preset", ["tiny", "probe"])
def test_what_is_set_in_torch_changes_nothing_and_stays(
    preset: str, arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    images, labels = arrays
    steps = {"steps": 2} if preset == "tiny" else {}

    def answers() -> np.ndarray:
        fitted = lt.FusionClassifier(preset, random_state=0, **steps).fit(images, labels)
        fitted.save(tmp_path / "m")
        return lt.load(tmp_path / "m").predict_proba(images)

    plain = answers()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            assert np.array_equal(answers(), plain)
            assert torch.is_inference_mode_enabled()
            assert torch.is_autocast_enabled("cpu")
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_rows_that_are_no_square(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    with pytest.warns(UserWarning, match="588 features of X are no square number"):
        assert fit_tiny(flat(images[:, 7:]), labels).model_.image.shape == (1, 1, 588)
    cropped = fit_tiny(flat(images[:, 7:]), labels, image_shape=(21, 28))
    assert weights_of(cropped) == weights_of(fit_tiny(images[:, 7:], labels))
    colour = np.repeat(images[..., None], 3, axis=3)
    assert weights_of(fit_tiny(flat(colour), labels, image_shape=(28, 28, 3))) == weights_of(fit_tiny(colour, labels))


@pytest.mark.parametrize(
    ("unlabelled", "values"),
    [(None, (0, 1, None)), (-1, (0, 1, -1)), ("?", ("a", "b", "?")), ("?", ("a", None, "?"))],
)
def test_unlabelled_rows_are_left_out(
    unlabelled: object, values: tuple[object, ...], arrays: tuple[np.ndarray, np.ndarray]
) -> None:
    images = arrays[0][:90]
    y = [values[number % 3] for number in range(90)]
    if None in values[:2]:
        y[:3] = ["a", "b", "?"]
    kept = np.array([value is not None and value != unlabelled for value in y])
    weights = np.linspace(1, 2, 90)
    classifier = fit_tiny(images, y, weights, unlabelled=unlabelled)
    alone = fit_tiny(images[kept], np.array([value for value in y if value not in (None, unlabelled)]), weights[kept])
    assert weights_of(classifier) == weights_of(alone)
    assert classifier.classes_.tolist() == alone.classes_.tolist()
    left_out = classifier.model_.record["unlabelled"]
    assert left_out["images"] == 90 - kept.sum() > 0
    assert not left_out["used"]
    assert classifier.model_.record["images"] == kept.sum()


def test_nan_marks_a_row_only_when_asked(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    y = np.where(labels == 3, np.nan, labels)
    assert 3 not in fit_tiny(images, y, unlabelled=float("nan")).classes_
    for given in (y, pd.Series(np.where(labels == 3, None, labels.astype(str)))):
        with pytest.raises(lt.InputError, match="only where unlabelled="):
            fit_tiny(images, given)


def test_minus_one_is_a_label_like_any_other(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    assert fit_tiny(arrays[0], np.where(arrays[1] > 4, 1, -1)).classes_.tolist() == [-1, 1]


def test_weights_of_classes_and_rows_multiply(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays[0][:90], np.where(np.arange(90) < 60, "many", "few")
    rows = np.linspace(1, 2, 90)
    plain = weights_of(fit_tiny(images, labels))
    assert weights_of(fit_tiny(images, labels, np.full(90, 7.0))) == plain
    balanced = weights_of(fit_tiny(images, labels, class_weight="balanced"))
    assert balanced != plain
    assert balanced == weights_of(fit_tiny(images, labels, class_weight={"few": 1.5, "many": 0.75}))
    assert balanced == weights_of(fit_tiny(images, labels, np.where(labels == "few", 1.5, 0.75)))
    both = weights_of(fit_tiny(images, labels, rows, class_weight={"few": 2}))
    assert both == weights_of(fit_tiny(images, labels, np.where(labels == "few", 2, 1) * rows))


def test_a_pickle_holds_a_model_file_and_nothing_of_torch(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    classifier = fit_tiny(flat(images / 255), labels)
    content = pickle.dumps(classifier)
    texts = [value for _, value, _ in pickletools.genops(content) if isinstance(value, str)]
    assert {text for text in texts if text.startswith("littoral")} == {"littoral.estimator"}
    assert not [text for text in texts if "torch" in text]
    code = (
        "import pickle, sys, numpy; classifier = pickle.load(open(sys.argv[1], 'rb'));"
        "numpy.save(sys.argv[3], classifier.predict_proba(numpy.load(sys.argv[2])))"
    )
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("classifier.pickle", "X.npy", "out.npy")]
        files[0].write_bytes(content)
        np.save(files[1], flat(images / 255))
        subprocess.check_call([sys.executable, "-c", code, *files])
        np.testing.assert_allclose(np.load(files[2]), classifier.predict_proba(flat(images / 255)), atol=1e-6)
    twin = copy.deepcopy(classifier)
    assert weights_of(twin) == weights_of(classifier)
    assert twin.model_.model is not classifier.model_.model
    assert pickle.loads(pickle.dumps(lt.FusionClassifier())).get_params() == lt.FusionClassifier().get_params()
    damaged = content.replace(b"fused", b"fuzed")
    with pytest.raises(lt.ModelFileError, match="this pickle"):
        pickle.loads(damaged)


def test_a_file_keeps_what_rows_were(arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    images, labels = arrays
    X = pd.DataFrame(flat(images[:, 7:] / 255)).add_prefix("pixel")
    fitted = fit_tiny(X, labels, image_shape=(21, 28))
    fitted.save(tmp_path / "m")
    loaded = lt.load(tmp_path / "m")
    assert np.array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    assert np.array_equal(loaded.predict_proba(images[:, 7:] / 255), fitted.predict_proba(X))
    assert loaded.n_features_in_ == 588
    assert loaded.feature_names_in_.tolist() == X.columns.tolist()
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.predict(X[X.columns[::-1]])
    assert weights_of(clone(loaded).fit(X, labels)) == weights_of(clone(fitted).fit(X, labels))
    changed = replace(fitted.model_, record=fitted.model_.record | {"features": 784})
    save_model(changed, tmp_path / "changed")
    with pytest.raises(lt.ModelFileError, match="features that do not fit"):
        lt.load(tmp_path / "changed")


@pytest.mark.parametrize("preset", ["tiny", "probe"])
def test_rows_of_weight_zero_are_as_if_not_given(preset: str, arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays[0][:90, ::2, ::2] / 255, arrays[1][:90]
    images[labels == 9] *= 40  # neither their numbers nor their labels are looked at
    weights = np.where(labels == 9, 0, 1 + np.arange(90) % 2)
    kept = labels != 9
    steps = 3 if preset == "tiny" else None
    classifier = lt.FusionClassifier(preset, steps=steps, random_state=0, calibrate="folds")
    alone = clone(classifier).fit(images[kept], labels[kept], weights[kept])
    classifier.fit(images, labels, weights)
    assert classifier.classes_.tolist() == list(range(10))
    assert classifier.model_.calibration.images == kept.sum() == classifier.model_.record["images"]
    if preset == "probe":
        told = classifier.predict_proba(images[kept])
        np.testing.assert_allclose(told[:, :9], alone.predict_proba(images[kept]), atol=1e-4)
        assert told[:, 9].max() < 1e-6


def test_an_ensemble_by_weights_of_rows_takes_a_class_of_two_images(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = flat(arrays[0][:40, 2:26:2, 2:26:2]), arrays[1][:40] % 2
    labels[:2] = 2
    bagged = BaggingClassifier(lt.FusionClassifier("probe", image_shape=(12, 12)), 3, random_state=2)
    bagged.fit(images, labels)
    assert any(not (labels[drawn] == 2).any() for drawn in bagged.estimators_samples_)
    assert (bagged.predict(images) == labels).mean() > 0.8


def test_a_model_whose_answers_are_no_numbers_gives_none(few_images: ImageStore) -> None:
    model = lt.FusionClassifier(preset="tiny", steps=2).fit(few_images.images, few_images.labels)
    with torch.no_grad():
        next(model.model_.model.parameters()).fill_(torch.nan)
    with pytest.raises(ValueError, match=r"^the model's answers are no numbers, so that it is of no use: train it"):
        model.predict(few_images.images)


def test_no_images_at_all_are_told_of_in_our_words(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    classifier = fit_tiny(*arrays)
    for call in (classifier.predict, lambda X: classifier.fit(X, [])):
        with pytest.raises(lt.errors.InputError, match="X is empty: expected images, or paths of files"):
            call([])


def test_fits_at_once_in_threads_are_those_one_after_the_other(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays[0][:100], arrays[1][:100]

    def answers(seed: int) -> bytes:
        classifier = lt.FusionClassifier("tiny", steps=20, random_state=seed)
        return classifier.fit(images, labels).predict_proba(images).tobytes()

    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(answers, range(3)))
    assert together == [answers(seed) for seed in range(3)]


def test_groups_are_kept_together_where_images_are_held_out(
    arrays: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of 64 people drew ten digits; a row without a label and one of weight 0 are of somebody too."""
    images, labels = arrays
    people = np.array([f"person {number}" for number in np.arange(640) // 10])
    y, weights = [None, *labels[1:].tolist()], np.arange(640) != 1
    seen = []

    def watched(store: ImageStore, *rest: object) -> list[np.ndarray]:
        seen.append((store.groups, held_parts(store, *rest)))
        return seen[-1][1]

    monkeypatch.setattr(calibrate, "held_parts", watched)
    classifier = lt.FusionClassifier("tiny", steps=2, random_state=0, calibrate="folds")
    classifier.fit(images, y, sample_weight=weights, groups=people)
    ((groups, parts),) = seen
    assert len(groups) == 638
    assert len(np.unique(groups)) == 64
    for part in parts:
        rest = np.setdiff1d(np.arange(638), part)
        assert not set(groups[part]) & set(groups[rest])
    for said, wrong in {
        "row 0 has no group": [None, *people[1:]],
        r"groups must be one value a row, shape \(640,\), got shape \(639,\)": people[1:],
        "none may be missing": [{}] * 640,
    }.items():
        with pytest.raises(InputError, match=said):
            classifier.fit(images, labels, groups=wrong)


def test_a_model_has_the_same_bytes_each_time(fitted: lt.FusionClassifier) -> None:
    """As a cache of joblib asks, which knows a fitted classifier by its pickle."""
    assert len({model_bytes(fitted.model_) for _ in range(8)}) == 1
    assert len({pickle.dumps(fitted) for _ in range(8)}) == 1


@pytest.mark.parametrize(
    ("X", "said"),
    [
        ("a.png", "X is one path, 'a.png': expected a list"),
        (pd.Series([], dtype=object), "X is empty: expected images, or paths of files"),
        (["a.png", None], "row 1 of X is None, while others are paths"),
        (pd.DataFrame({"path": ["a.png", "b.png"]}), "X is a table of one column of paths"),
        (torch.zeros(2, 8, 8, requires_grad=True), "X cannot be read as an array of numpy"),
        (ImageStore(np.zeros((2, 4, 4, 1), np.uint8), np.arange(2), ("a", "b")), "give its .images as X"),
    ],
)
def test_what_is_nearly_images_is_told_of_in_one_sentence(X: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        lt.FusionClassifier("tiny", steps=1).fit(X, [0, 1])


def test_a_column_of_images_is_taken(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    column = pd.Series(list(images[:50]))
    np.testing.assert_array_equal(
        fit_tiny(column, labels[:50]).predict_proba(column),
        fit_tiny(images[:50], labels[:50]).predict_proba(images[:50]),
    )
    with pytest.raises(InputError, match="not all of one shape"):
        fit_tiny([images[0], images[1][1:]], [0, 1])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"arm": ["fused"]}, "arm must be the name of one"),
        ({"tune": np.arange(3)}, "tune must be None or one of"),
        ({"calibrate": np.arange(3)}, "calibrate must be one of"),
        ({"class_weight": {99: 2}}, "class_weight names 99, which is no label"),
        ({"unlabelled": "-1"}, "unlabelled is '-1', text, and the labels are int64"),
        ({"unlabelled": False}, "unlabelled is False, a truth value"),
        ({"unlabelled": [-1]}, "unlabelled must be one value"),
    ],
)
def test_odd_parameters_are_refused(settings: dict, said: str, arrays: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InputError, match=said):
        lt.FusionClassifier("tiny", steps=1).set_params(**settings).fit(arrays[0][:50], arrays[1][:50])


def test_an_observer_has_methods(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"observer must have the methods of lt\.Observer"):
        lt.FusionClassifier("tiny", steps=1).fit(*arrays, observer=print)


def test_what_is_missing_in_a_column_of_pandas_may_mark_a_row(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    y = pd.Series(arrays[1][:100], dtype="Int64")
    y[3] = pd.NA
    found = lt.FusionClassifier("tiny", steps=1, unlabelled=pd.NA).fit(arrays[0][:100], y)
    assert found.classes_.dtype == np.int64
    assert found.classes_.tolist() == sorted(set(arrays[1][:100]))


def test_labels_that_are_alike_as_text_are_refused(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InputError, match="labels must differ as text, got 2 with 1 names"):
        lt.FusionClassifier("tiny", steps=1).fit(arrays[0][:2], ["a\0", "a"])


def test_a_model_is_saved_over_no_file_of_another_kind(fitted: lt.FusionClassifier, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"a photograph")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for name, said in {
        "photo.png": "is no littoral model file",
        "circle": "cannot write",
        "a\0": "cannot write",
    }.items():
        with pytest.raises(InputError, match=said):
            fitted.save(tmp_path / name)
    assert (tmp_path / "photo.png").read_bytes() == b"a photograph"
    for name in ("x" * 300, "a\0"):
        with pytest.raises(lt.ModelFileError):
            lt.load(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "value"),
    [("preset", 5), ("tuning", 3), ("tuning", {"a": 1}), ("feature_names", 3), ("label_type", ["int8"]), ("seed", "0")],
)
def test_a_record_of_other_types_is_refused(
    name: str, value: object, fitted: lt.FusionClassifier, tmp_path: Path
) -> None:
    save_model(replace(fitted.model_, record=fitted.model_.record | {name: value}), tmp_path / "m")
    with pytest.raises(lt.ModelFileError, match=f"unusable metadata at record.{name}"):
        lt.load(tmp_path / "m")
