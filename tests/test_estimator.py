"""FusionClassifier as scikit-learn users take it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import littoral as lt
from littoral.images.store import ImageStore


@pytest.fixture(scope="module")
def arrays(small: ImageStore) -> tuple[np.ndarray, np.ndarray]:
    return small.images[:640, :, :, 0], small.labels[:640]


@pytest.fixture(scope="module")
def fitted(arrays: tuple[np.ndarray, np.ndarray]) -> lt.FusionClassifier:
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    return lt.FusionClassifier(epochs=5, random_state=0).fit(arrays[0], names[arrays[1]])


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
    assert loaded.get_params()["epochs"] == 5
    assert loaded.get_params()["random_state"] == 0


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool", "float64", "str"])
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


def test_parameters_are_stored_as_given_and_cloned() -> None:
    classifier = lt.FusionClassifier(preset="no such", epochs=-3)
    assert clone(classifier).get_params() == classifier.get_params()
    assert clone(classifier).set_params(arm="deep").arm == "deep"


def test_bad_input_is_refused_in_one_sentence(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    refused = {
        "unknown preset": (lt.FusionClassifier(preset="x"), images, labels),
        "unknown arm": (lt.FusionClassifier(arm="x"), images, labels),
        "must be uint8": (lt.FusionClassifier(), images / 255, labels),
        "one label": (lt.FusionClassifier(), images, labels[1:]),
        "continuous": (lt.FusionClassifier(), images, labels / 3),
        "or NaN": (lt.FusionClassifier(), images, np.where(labels == 1, np.nan, labels)),
        "random_state must be": (lt.FusionClassifier(random_state=np.random.default_rng(1)), images, labels),
        "two classes": (lt.FusionClassifier(), images, labels * 0),
        "epochs must be at least 1": (lt.FusionClassifier(epochs=0), images, labels),
        "epochs must be a whole number": (lt.FusionClassifier(epochs=1.5), images, labels),
        "a seed is a whole number": (lt.FusionClassifier(random_state=-1), images, labels),
    }
    for words, (classifier, X, y) in refused.items():
        with pytest.raises(lt.InputError, match=words) as caught:
            classifier.fit(X, y)
        assert isinstance(caught.value, ValueError)
    with pytest.raises(NotFittedError):
        lt.FusionClassifier().predict(images)
    with pytest.raises(NotFittedError):
        lt.FusionClassifier().save("m.safetensors")
