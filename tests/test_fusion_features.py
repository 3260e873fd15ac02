"""FusionFeatures as scikit-learn users take it, and `littoral features`."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import littoral as lt
from littoral.cache import FEATURES
from littoral.images.store import ImageStore
from littoral.model_file import save_model
from littoral.nn.backbone import BackboneConfig
from littoral.nn.conv import ConvConfig
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.fixed.moments import MomentsConfig
from littoral.nn.inference import branch_vectors
from littoral.nn.layers import flatten
from littoral.nn.model import FusionNetConfig, seeded_model
from littoral.specs import ImageSpec
from littoral.training.extract import SHORT_NAMES
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel

pytestmark = pytest.mark.usefixtures("one_thread")


@parametrize_with_checks([lt.FusionFeatures()])
def test_scikit_learns_checks(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def images(small: ImageStore) -> np.ndarray:
    return small.images[:300]


@pytest.fixture(scope="module")
def classifier(small: ImageStore) -> lt.FusionClassifier:
    return lt.FusionClassifier("tiny", steps=60, random_state=0).fit(small.images[:300], small.labels[:300])


def test_a_clone_keeps_its_output_and_names_are_compared(images: np.ndarray, classifier: lt.FusionClassifier) -> None:
    table = pd.DataFrame(images[:20].reshape(20, -1)).add_prefix("pixel")
    features = clone(lt.FusionFeatures(["moments"]).set_output(transform="pandas"))
    assert isinstance(features.fit_transform(table), pd.DataFrame)
    assert len(features.get_feature_names_out(table.columns)) == features.transform(table).shape[1]
    with pytest.raises(lt.InputError, match="input_features is not equal to feature_names_in_"):
        features.get_feature_names_out(table.columns[::-1])
    assert clone(lt.FusionFeatures(model=classifier)).model is classifier  # not a clone of it, which is unfitted


# --- features ---


@pytest.mark.parametrize("name", [name for name in SHORT_NAMES if name != "efficientnet-lite0"])
def test_each_name_gives_its_branch_as_it_is(name: str, images: np.ndarray) -> None:
    features = lt.FusionFeatures([name], standardise=False).fit(images[:20])
    values = features.transform(images[20:30])
    ((_, branch),) = features.branches_.items()
    x = torch.tensor(images[20:30]).permute(0, 3, 1, 2) / 255
    expected = torch.cat([flatten(tap) for tap in branch.build((1, 28, 28))(x).values()], 1)
    np.testing.assert_allclose(values, expected, atol=1e-5)
    assert values.dtype == np.float32
    assert values.shape == (10, sum(features.groups_.values()))
    names = features.get_feature_names_out()
    assert len(set(names)) == values.shape[1]
    assert all(re.fullmatch(rf"{name}\.[a-z]+_\d+", one) for one in names)


def test_they_are_standardised_by_the_images_of_the_fit(images: np.ndarray) -> None:
    features = lt.FusionFeatures()
    fitted = features.fit_transform(images)
    assert np.array_equal(features.transform(images), fitted)
    raw = lt.FusionFeatures(standardise=False).fit_transform(images).astype(np.float64)
    deviation = raw.std(0)
    np.testing.assert_allclose(fitted, (raw - raw.mean(0)) / np.where(deviation < 1e-6, 1, deviation), atol=2e-3)
    few = features.transform(images[:5])
    np.testing.assert_allclose(few, fitted[:5], atol=1e-4)


def test_a_fit_that_is_interrupted_leaves_the_one_before(images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    features, fresh = lt.FusionFeatures(["moments"]), lt.FusionFeatures(["moments"])
    before = features.fit_transform(images[:20])
    smaller = images[:20, 4:24, 4:24]
    with monkeypatch.context() as patched:
        patched.setattr("littoral.fusion_features.extracted", interrupted)
        for one in (features, fresh):
            for fit in (one.fit, one.fit_transform):
                with pytest.raises(KeyboardInterrupt):
                    fit(smaller)
    assert np.array_equal(features.transform(images[:20]), before)
    with pytest.raises(NotFittedError):
        fresh.transform(smaller)


def test_branches_of_ones_own_and_what_is_refused(images: np.ndarray) -> None:
    own = lt.FusionFeatures({"edges": HogConfig(), "windows": MomentsConfig(grid=1)}).fit(images[:9])
    assert own.groups_ == {"edges.fine": 14 * 14 * 9, "edges.coarse": 7 * 7 * 8, "windows.grid": 3}
    for branches, message in {
        ("hog", "hogg"): "must be one or more different ones of hog, .*; got 'hogg'",
        ("hog", "hog"): "different",
        "hog": "must be a list of names .* got 'hog'",
        (): "got none",
    }.items():
        with pytest.raises(lt.InputError, match=message):
            lt.FusionFeatures(branches).fit(images)
    with pytest.raises(lt.InputError, match="a conv branch learns, and nothing trains it here"):
        lt.FusionFeatures({"a": ConvConfig((4,), ())}).fit(images)
    with pytest.raises(lt.InputError, match="model must be a model file or a fitted FusionClassifier, got int"):
        lt.FusionFeatures(model=3).fit(images)
    with pytest.raises(lt.InputError, match="give neither beside it"):
        lt.FusionFeatures(["hog"], model="m").fit(images)
    with pytest.raises(lt.ShapeError, match=r"takes images .* of \(28, 28, 1\)"):
        lt.FusionFeatures().fit(images).transform(images[:, 1:])


def test_floats_flattened_images_and_files_are_taken(images: np.ndarray, tmp_path: Path) -> None:
    pixels = lt.FusionFeatures().fit_transform(images[:50])
    rows = (images[:50] / np.float32(255)).reshape(50, -1)
    named = lt.FusionFeatures().set_output(transform="pandas")
    np.testing.assert_allclose(named.fit_transform(rows), pixels, atol=1e-5)
    assert named.transform(rows[:3]).columns[0] == "hog.fine_0"
    paths = [tmp_path / f"{number}.png" for number in range(50)]
    for path, image in zip(paths, images, strict=False):
        Image.fromarray(image[:, :, 0]).save(path)
    np.testing.assert_allclose(lt.FusionFeatures().fit_transform(paths), pixels, atol=1e-5)
    large = tmp_path / "large.png"
    Image.new("RGB", (200, 200)).save(large)
    assert lt.FusionFeatures(["hog"]).fit([large]).image_.width == 64


# --- trained models and pretrained networks ---


def test_a_trained_model_gives_its_branches_features(
    classifier: lt.FusionClassifier, images: np.ndarray, tmp_path: Path
) -> None:
    classifier.save(tmp_path / "m.safetensors")
    trained = classifier.model_
    expected = branch_vectors(trained.model, images[:40], trained.image)
    for model in (classifier, tmp_path / "m.safetensors", str(tmp_path / "m.safetensors")):
        features = lt.FusionFeatures(model=model, standardise=False).fit(images[40:60])
        np.testing.assert_allclose(features.transform(images[:40]), expected, atol=1e-5)
        assert list(features.groups_) == list(trained.model.config.branches)
        (tmp_path / "m.safetensors").rename(tmp_path / "moved")
        again = pickle.loads(pickle.dumps(features))
        np.testing.assert_allclose(again.transform(images[:40]), expected, atol=1e-5)
        (tmp_path / "moved").rename(tmp_path / "m.safetensors")
        assert clone(features).model is model
        assert not hasattr(clone(features), "groups_")


def test_a_pickle_holds_no_pretrained_weights(images: np.ndarray) -> None:
    large = np.repeat(np.repeat(images[:6], 2, 1), 2, 2)
    both = {"deep": BackboneConfig(taps=("stage2", "top")), "edges": HogConfig()}
    features = lt.FusionFeatures(both)
    values = features.fit_transform(large)
    assert list(features.groups_) == ["deep.stage2", "deep.top", "edges.fine", "edges.coarse"]
    held = pickle.dumps(features)
    assert len(held) < 1_000_000
    np.testing.assert_allclose(pickle.loads(held).transform(large), values, atol=1e-5)
    with pytest.raises(lt.InputError, match="32"):
        lt.FusionFeatures(["efficientnet-lite0"]).fit(images)


def test_nor_does_one_of_a_trained_model(images: np.ndarray, tmp_path: Path) -> None:
    branches = {"edges": HogConfig(), "deep": BackboneConfig(taps=("stage2", "top"))}
    network = seeded_model(FusionNetConfig((1, 56, 56), 2, branches), 0).eval()
    trained = TrainedModel(network, ImageSpec.unit(56, 56, 1), ("a", "b"), Recipe(epochs=1), {})
    save_model(trained, tmp_path / "m")
    large = np.repeat(np.repeat(images[:6], 2, 1), 2, 2)
    features = lt.FusionFeatures(model=tmp_path / "m")
    values = features.fit_transform(large)
    assert features.groups_ == {"edges": 14 * 14 * 8, "deep": 1280}
    held = pickle.dumps(features)
    assert len(held) < 1_000_000
    np.testing.assert_allclose(pickle.loads(held).transform(large), values, atol=1e-5)
    other = features.set_params(model=None, branches=["hog"]).fit(images)
    assert pickle.loads(pickle.dumps(other)).groups_ == {"hog.fine": 441}


# --- scikit-learn's tools ---


def test_in_a_pipeline_and_cross_validation(classifier: lt.FusionClassifier, small: ImageStore) -> None:
    X, y = small.images[:400], small.labels[:400]
    linear = make_pipeline(lt.FusionFeatures(), LogisticRegression(C=0.01, max_iter=200))
    assert cross_val_score(linear, X, y, cv=2, error_score="raise").mean() > 0.85
    learned = make_pipeline(lt.FusionFeatures(model=classifier), LogisticRegression(C=0.01, max_iter=200))
    assert cross_val_score(learned, X[300:], y[300:], cv=2, error_score="raise").mean() > 0.6
    grid = {"fusionfeatures__branches": [["moments"], ["hog", "moments"]]}
    search = GridSearchCV(linear, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_ == {"fusionfeatures__branches": ["hog", "moments"]}


# --- littoral features ---


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: np.ndarray) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LITTORAL_CACHE", str(tmp_path / "cache"))
    for number, image in enumerate(images[:12]):
        place = Path("photos", "test" if number > 7 else "train", ("cat", "dog")[number % 2], f"{number}.png")
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(place)
    return Path("photos")


def test_the_command_writes_npz_and_parquet_alike(call: Callable, photos: Path) -> None:
    code, out, err = call("features", photos, "--branches", "hog,moments", "--out", "f.npz", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["images"] == 12
    assert document["form"] == [28, 28, 1]
    assert document["groups"] == [{"name": "hog.fine", "size": 441}, {"name": "moments.grid", "size": 27}]
    assert document["size"] == 468
    page = (Path(__file__).parents[1] / "docs" / "json.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| `features`"))
    assert all(f"`{field}`" in row for field in document)
    (entry, _) = FEATURES.entries()
    arrays = np.load("f.npz", allow_pickle=False)
    assert sorted(arrays) == ["features", "labels", "names", "paths", "splits"]
    assert arrays["features"].shape == (12, 468)
    assert arrays["names"][441] == "moments.grid_0"

    code, out, _ = call("features", photos, "--branches", "hog,moments", "--out", "f.parquet")
    assert code == 0
    assert "12 images of 28×28×1, 468 numbers each" in out
    assert entry in FEATURES.entries()
    table = pyarrow.parquet.read_table("f.parquet")
    assert table.column_names == ["row", "path", "label", "split", "hog.fine", "moments.grid"]
    groups = [np.stack(table[name].to_numpy()) for name in ("hog.fine", "moments.grid")]
    assert np.array_equal(np.concatenate(groups, 1), arrays["features"])
    for column in ("path", "label", "split"):
        assert table[column].to_pylist() == arrays[f"{column}s"].tolist()
    paths = [photos / path if not Path(path).exists() else Path(path) for path in arrays["paths"]]
    assert [path.parent.name for path in paths] == arrays["labels"].tolist()
    assert [path.parent.parent.name for path in paths] == arrays["splits"].tolist()
    alone = lt.FusionFeatures(["hog", "moments"], standardise=False).fit_transform(paths)
    np.testing.assert_allclose(alone, arrays["features"], atol=1e-5)


def test_the_command_with_a_model(call: Callable, photos: Path, classifier: lt.FusionClassifier) -> None:
    classifier.save("m.safetensors")
    assert call("features", photos, "--model", "m.safetensors", "--out", "f.npz", "--quiet")[0] == 0
    arrays = np.load("f.npz", allow_pickle=False)
    expected = lt.FusionFeatures(model=classifier, standardise=False)
    paths = [photos / path if not Path(path).exists() else Path(path) for path in arrays["paths"]]
    np.testing.assert_allclose(arrays["features"], expected.fit_transform(paths), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "f.csv"], "--out must end in .npz or .parquet, got f.csv"),
        (["--out", "f.npz", "--branches", "hog,sift"], "got 'sift'"),
        (["--out", "f.npz", "--model", "m", "--size", "8"], "give neither beside --model"),
        (["--out", "no/f.npz"], "the folder no does not exist"),
        (["--out", "f.npz", "--branches", "efficientnet-lite0"], "32"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(
    options: list[str], message: str, call: Callable, photos: Path
) -> None:
    code, out, err = call("features", photos, *options)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert not Path("f.npz").exists()


def test_images_of_one_class_have_features_too(call: Callable, photos: Path) -> None:
    shutil.rmtree(photos / "train" / "dog")
    code, _, err = call("features", photos / "train", "--branches", "moments", "--out", "f.npz", "--quiet")
    assert code == 0, err
    assert np.load("f.npz")["labels"].tolist() == ["cat"] * 4


def test_the_command_overwrites_no_file_that_it_reads(call: Callable, photos: Path, images: np.ndarray) -> None:
    np.savez("data.npz", images=images[:4], labels=np.array([0, 0, 1, 1]))
    before = Path("data.npz").read_bytes()
    code, _, err = call("features", "data.npz", "--out", "./data.npz")
    assert (code, err) == (2, "littoral: --out data.npz is one of the files to read; choose another name\n")
    assert Path("data.npz").read_bytes() == before
    assert call("pack", photos, "packed", "--quiet")[0] == 0
    before = Path("packed/part-00000.parquet").read_bytes()
    code, _, err = call("features", "packed", "--out", "packed/part-00000.parquet")
    assert (code, "lies in packed, a pack" in err) == (2, True)
    assert Path("packed/part-00000.parquet").read_bytes() == before
