"""Figures against values computed by others or by hand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from littoral.errors import InputError
from littoral.evaluation.calibration import expected_calibration_error
from littoral.evaluation.intervals import mean_over_seeds, wilson
from littoral.evaluation.metrics import evaluate


@pytest.mark.parametrize(
    ("correct", "total", "expected"),
    [  # statsmodels 0.14 proportion_confint(method="wilson")
        (9920, 10000, (0.990055195654, 0.993566949949)),
        (0, 10, (0.000000000000, 0.277532799863)),
        (10, 10, (0.722467200137, 1.000000000000)),
        (7, 20, (0.181191824101, 0.567145723315)),
        (1, 2, (0.094531205734, 0.905468794266)),
    ],
)
def test_wilson_equals_statsmodels(correct: int, total: int, expected: tuple[float, float]) -> None:
    assert wilson(correct, total) == pytest.approx(expected, abs=1e-9)


def test_wilson_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    for truth in (0.5, 0.9, 0.99):
        ends = [wilson(int(k), 200) for k in rng.binomial(200, truth, 1000)]
        covered = np.mean([low <= truth <= high for low, high in ends])
        assert 0.92 <= covered <= 0.99


def test_interval_over_seeds_equals_a_published_example() -> None:
    # NIST/SEMATECH e-Handbook, section 1.3.5.2 (ZARR13): mean 9.261460, s 0.022789, N 195 -> 9.258242 to 9.264679
    values = np.repeat([-1.0, 1.0], [97, 98])
    values = (values - values.mean()) / values.std(ddof=1) * 0.022789 + 9.261460
    assert mean_over_seeds(values.tolist()) == pytest.approx((9.258242, 9.264679), abs=2e-6)


@pytest.mark.parametrize("values", [(0.95, 0.97), (0.91, 0.95, 0.93, 0.99)])
@pytest.mark.parametrize("level", [0.95, 0.8])
def test_interval_over_few_seeds_equals_scipys(values: tuple[float, ...], level: float) -> None:
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert mean_over_seeds(values, level) == pytest.approx((expected.low, expected.high))


def test_intervals_refuse_what_has_no_interval() -> None:
    with pytest.raises(InputError, match="at least two runs, got 1"):
        mean_over_seeds([0.5])
    with pytest.raises(InputError, match="got 5 of 4"):
        wilson(5, 4)
    with pytest.raises(InputError, match="total ≥ 1"):
        wilson(0, 0)


def test_figures_by_hand() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1])  # class c has no image
    predicted = np.array([0, 0, 0, 1, 1, 2])
    probabilities = np.full((6, 3), 0.1)
    probabilities[np.arange(6), predicted] = 0.8
    figures = evaluate(probabilities, labels, ("a", "b", "c"))
    assert figures.accuracy == pytest.approx(4 / 6)
    assert figures.confusion == [[3, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert figures.balanced_accuracy == pytest.approx((3 / 4 + 1 / 2) / 2)
    a, b, c = figures.per_class
    assert (a.precision, a.recall, a.f1) == pytest.approx((1, 3 / 4, 6 / 7))
    assert (b.precision, b.recall, b.f1) == pytest.approx((1 / 2, 1 / 2, 1 / 2))
    assert (c.support, c.precision, c.recall, c.f1) == (0, 0, 0, 0)
    assert figures.macro_f1 == pytest.approx((6 / 7 + 1 / 2) / 2)
    assert figures.n == 6


@pytest.mark.parametrize("shape", [(0, 3), (4, 2), (3, 3)])
def test_figures_need_fitting_shapes(shape: tuple[int, int]) -> None:
    labels = np.zeros(min(shape[0], 4) + (shape == (3, 3)), np.int64)
    with pytest.raises(InputError, match="expected probabilities of shape"):
        evaluate(np.full(shape, 1 / 3), labels, ("a", "b", "c"))


def test_calibration_error_by_hand() -> None:
    labels = np.zeros(30, np.int64)
    sure = np.tile([0.9, 0.1], (30, 1))
    assert expected_calibration_error(sure, labels) == pytest.approx(0.1)  # 90 % sure, always right
    half_wrong = labels.copy()
    half_wrong[::2] = 1
    assert expected_calibration_error(sure, half_wrong) == pytest.approx(0.4)
    assert expected_calibration_error(np.array([[1.0, 0.0]]), labels[:1]) == 0


@given(st.integers(1, 60), st.integers(2, 6), st.integers(0, 1000))
def test_calibration_error_is_a_share_and_ignores_the_order(n: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), n)
    labels = rng.integers(0, classes, n)
    value = expected_calibration_error(probabilities, labels)
    assert 0 <= value <= 1
    order = rng.permutation(n)
    assert expected_calibration_error(probabilities[order], labels[order]) == pytest.approx(value)


def test_figures_need_no_torch() -> None:
    code = "import sys, littoral.evaluation.metrics; assert 'torch' not in sys.modules"
    subprocess.check_call([sys.executable, "-c", code])
