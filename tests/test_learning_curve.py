"""Learning curves: a known one is found again, and intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import curve_fit

from littoral.errors import InputError
from littoral.evaluation.learning_curve import (
    Curve,
    Expected,
    _expected,
    expected_errors,
    fit_curve,
    gain_in_words,
    gain_of_doubling,
)

BUDGETS = np.array([10.0, 30.0, 100.0, 300.0])
MANY = 10**9
"""Test images, so many that they leave nothing unknown."""


def expected_error(
    labels: NDArray[np.float64], errors: NDArray[np.float64], at: float, rng: np.random.Generator, images: int = MANY
) -> Expected:
    return expected_errors(labels, errors, images, np.array([float(at)]), rng)[0]


def gain_of(
    labels: NDArray[np.float64], errors: NDArray[np.float64], rng: np.random.Generator, images: int = MANY
) -> Expected:
    return gain_of_doubling(labels, errors, images, rng)


def measured(curve: Curve, rng: np.random.Generator, seeds: int) -> NDArray[np.float64]:
    """Errors that scatter by a tenth, half of it the seed's own at all budgets."""
    scatter = rng.standard_normal((1, seeds)) + rng.standard_normal((len(BUDGETS), seeds))
    return np.clip(np.array([curve.error(n) for n in BUDGETS])[:, None] * (1 + 0.07 * scatter), 0, 1)


@pytest.mark.parametrize("curve", [Curve(0.02, 0.5, 0.6), Curve(0.0, 0.6, 0.4), Curve(0.1, 2.0, 1.0), Curve(0.2, 0, 1)])
def test_a_known_curve_is_found_again(curve: Curve) -> None:
    errors = np.array([[curve.error(n)] * 2 for n in BUDGETS])
    found = fit_curve(BUDGETS, errors, MANY)
    for labels in (10, 50, 300, 1000, 10_000):
        assert found.error(labels) == pytest.approx(curve.error(labels), abs=1e-6)


def test_the_fit_equals_that_of_scipy() -> None:
    errors = measured(Curve(0.02, 0.5, 0.6), np.random.default_rng(0), 5)
    mean = errors.mean(1)
    best, _ = curve_fit(
        lambda n, a, b, c: a + b * n**-c, BUDGETS, mean, (0.01, 0.3, 0.5), mean, bounds=((0, 0, 0.01), (1, np.inf, 2))
    )
    found = fit_curve(BUDGETS, errors, MANY)
    assert [found.error(n) for n in (10, 100, 600)] == pytest.approx(
        [best[0] + best[1] * n ** -best[2] for n in (10, 100, 600)], rel=2e-3
    )


@pytest.mark.parametrize(("curve", "seeds"), [(Curve(0.02, 0.5, 0.6), 5), (Curve(0.0, 0.6, 0.41), 3)])
def test_intervals_cover(curve: Curve, seeds: int) -> None:
    rng = np.random.default_rng(0)
    errors = [measured(curve, rng, seeds) for _ in range(200)]
    expected = [expected_error(BUDGETS, each, 600, rng).ci95 for each in errors]
    gains = [gain_of(BUDGETS, each, rng).ci95 for each in errors]
    assert np.mean([low <= curve.error(600) <= high for low, high in expected]) >= 0.88
    assert np.mean([low <= curve.error(300) - curve.error(600) <= high for low, high in gains]) >= 0.88


@pytest.mark.parametrize("curve", [Curve(0.02, 0.5, 0.6), Curve(0.0, 0.6, 0.4)])
def test_where_seeds_do_not_differ_the_interval_is_the_value(curve: Curve) -> None:
    rng = np.random.default_rng(0)
    errors = np.array([[curve.error(n)] * 3 for n in BUDGETS])
    for labels in (1.0, 20.0, 5000.0):
        found = expected_error(BUDGETS, errors, labels, rng)
        assert (found.value, *found.ci95) == pytest.approx((curve.error(labels),) * 3, abs=2e-3)
    gain = gain_of(BUDGETS, errors, rng)
    assert (gain.value, *gain.ci95) == pytest.approx((curve.error(300) - curve.error(600),) * 3, abs=2e-3)


def test_seeds_that_are_good_or_bad_at_all_budgets_give_the_interval_of_their_mean() -> None:
    """Student's t, where nothing but the height of the curve differs from seed to seed."""
    rng = np.random.default_rng(3)
    heights = stats.norm.ppf((np.arange(20) + 0.5) / 20) * 0.004
    errors = np.array([[0.1 + 0.5 / n] for n in BUDGETS]) + heights
    found = expected_error(BUDGETS, errors, 100, rng)
    reach = stats.sem(heights) * stats.t.ppf(0.975, 19)
    assert found.ci95 == pytest.approx((found.value - reach, found.value + reach), abs=0.15 * reach)
    # one draw in 27 of three seeds is the same seed thrice: the quantiles are the best and the worst of them
    few = heights[[2, 12, 17]] - heights[[2, 12, 17]].mean()
    three = expected_error(BUDGETS, errors[:, [2, 12, 17]], 100, rng)
    longer = np.sqrt(3 / 2) * stats.t.ppf(0.975, 2) / stats.norm.ppf(0.975)
    assert three.ci95 == pytest.approx((three.value + longer * few.min(), three.value + longer * few.max()), rel=1e-3)


def test_errors_that_rise_give_a_level_curve_and_no_curve_falls_below_zero() -> None:
    rising = np.array([[0.1], [0.2], [0.3], [0.4]])
    level = fit_curve(BUDGETS, rising, MANY)
    weight = rising[:, 0] ** -2 / np.sum(rising[:, 0] ** -2)  # distances count in proportion to the error
    assert [level.error(n) for n in (1, 300)] == pytest.approx([weight @ rising[:, 0]] * 2)
    straight = np.array([[0.4], [0.3], [0.2], [0.01]])  # in log n; it would go on below 0
    best, _ = curve_fit(lambda n, b, c: b * n**-c, BUDGETS, straight[:, 0], (1.0, 0.5), straight[:, 0])
    curve = fit_curve(BUDGETS, straight, MANY)
    assert (curve.a, curve.b, curve.c) == pytest.approx((0.0, *best), rel=5e-3)


def test_an_interval_holds_the_curve_that_may_not_fall_below_zero_and_the_one_that_may() -> None:
    straight = np.array([[0.4], [0.3], [0.2], [0.01]] * np.ones(3))  # in log n: with `a` free it goes on below 0
    found = expected_error(BUDGETS, straight, 600, np.random.default_rng(0))
    assert found.value > 0.005
    assert found.ci95 == pytest.approx((0.0, found.value), abs=1e-3)


def test_an_interval_holds_its_value_and_both_rows_of_curves() -> None:
    narrow, wide = np.full(1001, 0.25), np.linspace(0.2, 0.3, 1001)
    assert _expected(0.25, np.stack([narrow, wide]), 1.0).ci95 == pytest.approx((0.2025, 0.2975))
    assert _expected(0.15, np.stack([narrow, narrow]), 1.0).ci95 == pytest.approx((0.05, 0.25))
    assert _expected(0.35, np.stack([narrow, narrow]), 0.4).ci95 == pytest.approx((0.25, 0.4))


def test_doubling_less_than_one_label_a_class() -> None:  # labels a class on average, where not every class has one
    budgets, curve = np.array([0.2, 0.4, 0.8]), Curve(0.1, 0.2, 0.5)
    errors = np.array([[curve.error(n)] * 3 for n in budgets])
    gain = gain_of(budgets, errors, np.random.default_rng(0))
    assert gain.value == pytest.approx(curve.error(0.8) - curve.error(1.6), abs=1e-4)


def test_an_error_is_never_said_to_be_more_than_all() -> None:
    errors = np.array([[0.9, 0.8, 0.7], [0.5, 0.4, 0.3], [0.2, 0.2, 0.2], [0.1, 0.1, 0.1]])
    found = expected_error(BUDGETS, errors, 0.5, np.random.default_rng(0))
    assert (found.value, found.ci95[1]) == (1.0, 1.0)


def test_an_interval_reaches_below_its_value() -> None:
    errors = 1 - np.array([[17, 22, 20], [22, 25, 23], [26, 28, 26]]) / 30  # with `a` free hardly any gains as little
    gain = gain_of(np.array([5.0, 10.0, 20.0]), errors, np.random.default_rng(0))
    assert gain.ci95[0] < 0.95 * gain.value < 1.05 * gain.value < gain.ci95[1]


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=4, max_size=4))
def test_more_labels_never_make_it_worse(errors: list[list[float]]) -> None:
    curve = fit_curve(BUDGETS, np.array(errors), MANY)
    along = [curve.error(n) for n in (1, 10, 40, 300, 5000)]
    assert along == sorted(along, reverse=True)
    assert min(curve.a, curve.b, along[-1]) >= 0
    assert 0 < curve.c <= 2
    gain = gain_of(BUDGETS, np.array(errors), np.random.default_rng(0))
    assert 0 <= gain.ci95[0] <= gain.value <= gain.ci95[1] <= 1


@pytest.mark.parametrize(
    ("curve", "images"), [(Curve(0, 0.5, 1), 20), (Curve(0, 0.2, 1.5), 40), (Curve(0.05, 0.6, 0.5), 100)]
)
def test_intervals_cover_with_few_test_images(curve: Curve, images: int) -> None:
    """Of three seeds that each count their errors on images of their own, and often none."""
    rng, budgets = np.random.default_rng(0), np.array([5.0, 10.0, 20.0, 40.0])
    errors = [rng.binomial(images, [[curve.error(n)] * 3 for n in budgets]) / images for _ in range(60)]
    twice = [expected_error(budgets, each, 80, rng, images).ci95 for each in errors]
    gains = [gain_of(budgets, each, rng, images).ci95 for each in errors]
    assert np.mean([low <= curve.error(80) <= high for low, high in twice]) >= 0.93
    assert np.mean([low <= curve.error(40) - curve.error(80) <= high for low, high in gains]) >= 0.93


def test_seeds_that_agree_on_few_images_prove_little() -> None:
    budgets = np.array([5.0, 10.0, 20.0])
    gain = gain_of(budgets, np.array([[5 / 16], [3 / 16], [2 / 16]]) * np.ones(3), np.random.default_rng(0), 16)
    assert gain.ci95[0] < 0.02 < 0.06 < gain.ci95[1]
    right = gain_of(budgets, np.array([[2 / 16], [1 / 16], [0.0]]) * np.ones(3), np.random.default_rng(0), 16)
    assert right.ci95[0] == pytest.approx(0, abs=1e-3)
    assert right.ci95[1] > 1 / 32


def test_the_same_generator_gives_the_same_interval() -> None:
    errors = measured(Curve(0.02, 0.5, 0.6), np.random.default_rng(0), 5)
    one, two = (expected_error(BUDGETS, errors, 600, np.random.default_rng(7)) for _ in range(2))
    assert one == two


def test_gain_in_words() -> None:
    assert (
        gain_in_words(100, Expected(0.008, (0.0052, 0.0111)))
        == "200 labels a class would bring 0.80 points (0.52 to 1.11)"
    )


def test_what_gives_no_curve_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="three budgets or more"):
        fit_curve(np.array([10.0, 30.0, 30.0]), np.full((3, 5), 0.1), MANY)
    with pytest.raises(InputError, match=r"got \(4,\) and \(3, 5\)"):
        fit_curve(BUDGETS, np.full((3, 5), 0.1), MANY)
    for wrong in (10.0, 1.01, -0.01):
        with pytest.raises(InputError, match=r"^errors are shares from 0 to 1, got others$"):
            fit_curve(BUDGETS, np.full((4, 5), wrong), MANY)
    with pytest.raises(InputError, match="all above 0, got"):
        fit_curve(np.array([0.0, 1.0, 10.0, 100.0]), np.full((4, 5), 0.1), MANY)
    with pytest.raises(InputError, match=r"got \(4, 1\) and \(4, 5\)"):
        fit_curve(BUDGETS[:, None], np.full((4, 5), 0.1), MANY)
    with pytest.raises(InputError, match=r"three budgets or more, all above 0, got \[\]"):
        gain_of(np.empty(0), np.empty((0, 3)), rng)
    assert fit_curve(np.array([0.5, 1.0, 2.0]), np.array([[0.4], [0.3], [0.2]]), MANY).error(1.0) < 0.4
    with pytest.raises(InputError, match="three seeds or more, got 2"):
        gain_of(BUDGETS, np.full((4, 2), 0.1), rng)
    with pytest.raises(InputError, match="errors on one test image or more, got 0"):
        fit_curve(BUDGETS, np.full((4, 5), 0.1), 0)
    with pytest.raises(InputError, match="above 0, got 0"):
        expected_error(BUDGETS, np.full((4, 5), 0.1), 0, rng)


@pytest.mark.parametrize(
    ("budgets", "errors", "images"),
    [
        ([10.0, 30.0, 100.0], [[0.5] * 3, [0.45] * 3, [0.02] * 3], 100),
        ([2.0, 3.0, 5.0], [[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], 1),
    ],
)
def test_a_gain_may_be_as_large_as_the_error_may_be_now_and_no_larger(
    budgets: list[float], errors: list[list[float]], images: int
) -> None:
    labels, of_runs = np.array(budgets), np.array(errors)
    gain = gain_of(labels, of_runs, np.random.default_rng(0), images)
    now = expected_error(labels, of_runs, labels.max(), np.random.default_rng(0), images)
    assert gain.ci95[1] == now.ci95[1] <= 1


@pytest.mark.parametrize(
    ("means", "images", "deviation"),
    [([0.5, 0.3, 0.22], 1000, (0.22 * 0.78 / 1000) ** 0.5), ([0.3, 0.1, 0.005], 100, 1 / 100)],
)
def test_seeds_that_agree_leave_unknown_what_so_few_images_do(
    means: list[float], images: int, deviation: float
) -> None:
    """Three budgets, which a curve passes through: at the last one, the interval is that of its own mean of 3 seeds."""
    errors, seeds = np.array(means)[:, None].repeat(3, 1), 3
    found = expected_error(BUDGETS[:3], errors, 100, np.random.default_rng(0), images)
    off = 1.96 * deviation / seeds**0.5
    assert found.ci95 == pytest.approx((max(means[-1] - off, 0), means[-1] + off), abs=0.1 * off)


def test_seeds_that_scatter_as_much_as_images_would_leave_no_more_unknown() -> None:
    means = np.array([0.5, 0.3, 0.2])
    errors = means[:, None] + np.sqrt(means * (1 - means) / 500)[:, None] * [0, 1, -1]  # as errors on 500 images do

    def interval(images: int) -> tuple[float, float]:
        return expected_error(BUDGETS[:3], errors, 100, np.random.default_rng(0), images).ci95

    assert interval(600) == interval(MANY) != interval(400)
