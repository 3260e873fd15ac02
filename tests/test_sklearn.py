"""scikit-learn's own checks of an estimator, and its tools around ours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score, permutation_test_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import littoral as lt
from littoral.images.store import ImageStore

pytestmark = pytest.mark.usefixtures("one_thread")

EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": "batches are drawn from the rows: a row of weight 2 and two rows "
    "of weight 1 are drawn and added up in another order, and the probabilities differ in their fifth digit",
}


@parametrize_with_checks(
    [lt.FusionClassifier(preset="tiny", steps=60)],
    expected_failed_checks=lambda _: EXPECTED_FAILURES,
    xfail_strict=True,
)
def test_scikit_learns_checks(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """200 handwritten digits, 8×8 flattened, floats from 0 to 16."""
    X, y = load_digits(return_X_y=True)
    return X[:200], y[:200]


def tiny(**parameters: object) -> lt.FusionClassifier:
    return lt.FusionClassifier("tiny", random_state=0).set_params(**parameters)


def test_cross_validation_in_two_processes(digits: tuple[np.ndarray, np.ndarray], small: ImageStore) -> None:
    assert cross_val_score(tiny(steps=100), *digits, cv=2, n_jobs=2).mean() > 0.8
    images, labels = small.images[:120], np.array(["even", "odd"])[small.labels[:120] % 2]
    assert cross_val_score(tiny(steps=30), images, labels, cv=2, n_jobs=2).mean() > 0.6


def test_grid_search(digits: tuple[np.ndarray, np.ndarray]) -> None:
    search = GridSearchCV(tiny(), {"steps": [2, 100]}, cv=2, error_score="raise").fit(*digits)
    assert search.best_params_ == {"steps": 100}
    assert search.best_estimator_.n_features_in_ == 64
    assert search.score(*digits) > 0.8


def test_pipeline(digits: tuple[np.ndarray, np.ndarray]) -> None:
    scaled = make_pipeline(StandardScaler(), tiny(steps=100)).fit(*digits)
    assert scaled.score(*digits) > 0.8


@pytest.mark.parametrize("form", ["flattened", "images"])
def test_calibration(form: str, digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    X = X if form == "flattened" else X.reshape(-1, 8, 8)
    calibrated = CalibratedClassifierCV(tiny(steps=100), cv=2).fit(X, y)
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(1), 1, atol=1e-6)
    assert calibrated.score(X, y) > 0.8


def test_permutation_test(digits: tuple[np.ndarray, np.ndarray]) -> None:
    score, permuted, p = permutation_test_score(tiny(steps=50), *digits, cv=2, n_permutations=4, random_state=0)
    assert score > permuted.max() + 0.2
    assert p == 1 / 5


def test_weights_of_rows_go_through_cross_validation(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    weights = np.where(y < 5, 1.0, 0.0)
    scores = cross_val_score(tiny(steps=50), X, y, cv=2, params={"sample_weight": weights}, error_score="raise")
    assert scores.max() < 0.65  # half the classes are never learned
