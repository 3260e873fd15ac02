"""Figures against values computed by others or by hand."""

from __future__ import annotations

import re
import subprocess
import sys
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from littoral.errors import InputError
from littoral.evaluation.abstention import CoverageRow
from littoral.evaluation.calibration import expected_calibration_error, reliability
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


def test_wilson_at_another_level() -> None:
    p, n, z = 7 / 20, 20, stats.norm.ppf(0.9)  # by Wilson's formula
    centre, reach = p + z**2 / (2 * n), z * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = ((centre - reach) / (1 + z**2 / n), (centre + reach) / (1 + z**2 / n))
    assert wilson(7, 20, level=0.8) == pytest.approx(expected, abs=1e-9)


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
    for correct, total in ((5, 4), (0, 0), (-1, 4)):
        told = f"an interval needs 0 ≤ correct ≤ total and total ≥ 1, got {correct} of {total}"
        with pytest.raises(InputError, match=f"^{told}$"):
            wilson(correct, total)


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
    assert [(each.name, each.support) for each in figures.per_class] == [("a", 4), ("b", 2), ("c", 0)]
    assert (figures.ci95, figures.accepted) == (wilson(4, 6), None)


def test_figures_of_the_surest_and_of_the_accepted_by_hand() -> None:
    confidence, labels = np.array([0.9, 0.8, 0.7, 0.6]), np.array([0, 1, 0, 0])  # all told 0, the second wrongly
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    figures = evaluate(probabilities, labels, ("a", "b"), accepted=np.array([True, True, False, True]))
    assert figures.coverage[0] == CoverageRow(1.0, 0.6, 4, 1, 0.75, wilson(3, 4))
    assert figures.coverage[-1] == CoverageRow(0.5, 0.8, 2, 1, 0.5, wilson(1, 2))
    assert figures.accepted == CoverageRow(0.75, 0.6, 3, 1, 2 / 3, wilson(2, 3))
    assert figures.ece == pytest.approx((0.1 + 0.8 + 0.3 + 0.4) / 4)  # fewer images than bins: each is one


def test_one_image_has_figures_and_a_class_that_nothing_names_a_row() -> None:
    figures = evaluate(np.array([[0.2, 0.8, 0.0]]), np.array([1]), ("a", "b", "c"))
    assert (figures.accuracy, figures.balanced_accuracy, figures.macro_f1, figures.n) == (1, 1, 1, 1)
    assert figures.confusion == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    alike = evaluate(np.tile([0.9, 0.1], (40, 1)), np.arange(40) // 20, ("a", "b"))
    assert (alike.coverage[-1].n, alike.coverage[-1].wrong) == (40, 20)  # all that are as sure as the surest half


@pytest.mark.parametrize("shape", [(0, 3), (4, 2), (3, 3)])
def test_figures_need_fitting_shapes(shape: tuple[int, int]) -> None:
    labels = np.zeros(min(shape[0], 4) + (shape == (3, 3)), np.int64)
    told = f"expected probabilities of shape ({len(labels)}, 3) and at least one image, got {shape}"
    with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
        evaluate(np.full(shape, 1 / 3), labels, ("a", "b", "c"))


def test_calibration_error_by_hand() -> None:
    labels = np.zeros(30, np.int64)
    sure = np.tile([0.9, 0.1], (30, 1))
    assert expected_calibration_error(sure, labels) == pytest.approx(0.1)  # 90 % sure, always right
    half_wrong = labels.copy()
    half_wrong[::2] = 1
    assert expected_calibration_error(sure, half_wrong) == pytest.approx(0.4)
    assert expected_calibration_error(np.array([[1.0, 0.0]]), labels[:1]) == 0


def test_the_bins_of_calibration_by_hand() -> None:
    confidence = np.append(np.linspace(0.6, 0.9, 31), 0.55)  # 32 images: two bins of three, thirteen of two
    labels = np.append(np.arange(31) % 2, 0)
    bins = reliability(np.stack([confidence, 1 - confidence], axis=1), labels)
    assert [one.images for one in bins] == [3, 3] + [2] * 13
    found = [(one.confidence, one.accuracy) for one in bins[:3]]
    assert np.array(found) == pytest.approx(np.array([(1.76 / 3, 2 / 3), (0.63, 2 / 3), (0.655, 0.5)]))
    assert len(reliability(np.full((4, 2), 0.5), np.zeros(4, np.int64))) == 4
    alike = reliability(np.tile([0.7, 0.3], (60, 1)), np.arange(60) // 30)  # equally sure, however they come
    assert [one.accuracy for one in alike] == [0.5] * 15


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


def test_answers_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match=r"^expected probabilities from 0 to 1, got some that are no numbers$"):
        evaluate(np.array([[0.2, 0.8], [np.nan, np.nan]]), np.array([1, 0]), ("a", "b"))
