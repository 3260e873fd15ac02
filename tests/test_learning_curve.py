"""Learning curves: a known one is found again, and intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from littoral.errors import InputError
from littoral.evaluation.learning_curve import (
    Curve,
    Expected,
    expected_error,
    fit_curve,
    gain_in_words,
    gain_of_doubling,
)

BUDGETS = np.array([10.0, 30.0, 100.0, 300.0])


def measured(curve: Curve, rng: np.random.Generator, seeds: int) -> NDArray[np.float64]:
    """Errors that scatter by a tenth, half of it the seed's own at all budgets."""
    scatter = rng.standard_normal((1, seeds)) + rng.standard_normal((len(BUDGETS), seeds))
    return np.clip(np.array([curve.error(n) for n in BUDGETS])[:, None] * (1 + 0.07 * scatter), 0, 1)


@pytest.mark.parametrize("curve", [Curve(0.02, 0.5, 0.6), Curve(0.0, 0.6, 0.4), Curve(0.1, 2.0, 1.0), Curve(0.2, 0, 1)])
def test_a_known_curve_is_found_again(curve: Curve) -> None:
    errors = np.array([[curve.error(n)] * 2 for n in BUDGETS])
    found = fit_curve(BUDGETS, errors)
    for labels in (10, 50, 300, 1000, 10_000):
        assert found.error(labels) == pytest.approx(curve.error(labels), abs=1e-6)


def test_the_fit_equals_that_of_scipy() -> None:
    errors = measured(Curve(0.02, 0.5, 0.6), np.random.default_rng(0), 5)
    mean = errors.mean(1)
    best, _ = curve_fit(
        lambda n, a, b, c: a + b * n**-c, BUDGETS, mean, (0.01, 0.3, 0.5), mean, bounds=((0, 0, 0.01), (1, np.inf, 2))
    )
    found = fit_curve(BUDGETS, errors)
    assert [found.error(n) for n in (10, 100, 600)] == pytest.approx(
        [best[0] + best[1] * n ** -best[2] for n in (10, 100, 600)], rel=2e-3
    )


@pytest.mark.parametrize(("curve", "seeds"), [(Curve(0.02, 0.5, 0.6), 5), (Curve(0.0, 0.6, 0.41), 3)])
def test_intervals_cover(curve: Curve, seeds: int) -> None:
    rng = np.random.default_rng(0)
    errors = [measured(curve, rng, seeds) for _ in range(200)]
    expected = [expected_error(BUDGETS, each, 600, rng).ci95 for each in errors]
    gains = [gain_of_doubling(BUDGETS, each, rng).ci95 for each in errors]
    assert np.mean([low <= curve.error(600) <= high for low, high in expected]) >= 0.88
    assert np.mean([low <= curve.error(300) - curve.error(600) <= high for low, high in gains]) >= 0.88


def test_an_interval_reaches_below_its_value() -> None:
    errors = 1 - np.array([[17, 22, 20], [22, 25, 23], [26, 28, 26]]) / 30  # with `a` free hardly any gains as little
    gain = gain_of_doubling(np.array([5.0, 10.0, 20.0]), errors, np.random.default_rng(0))
    assert gain.ci95[0] < 0.95 * gain.value < 1.05 * gain.value < gain.ci95[1]


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=4, max_size=4))
def test_more_labels_never_make_it_worse(errors: list[list[float]]) -> None:
    curve = fit_curve(BUDGETS, np.array(errors))
    along = [curve.error(n) for n in (1, 10, 40, 300, 5000)]
    assert along == sorted(along, reverse=True)
    assert min(curve.a, curve.b, along[-1]) >= 0
    assert 0 < curve.c <= 2
    gain = gain_of_doubling(BUDGETS, np.array(errors), np.random.default_rng(0))
    assert 0 <= gain.ci95[0] <= gain.value <= gain.ci95[1] <= 1


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
        fit_curve(np.array([10.0, 30.0, 30.0]), np.full((3, 5), 0.1))
    with pytest.raises(InputError, match=r"got \(4,\) and \(3, 5\)"):
        fit_curve(BUDGETS, np.full((3, 5), 0.1))
    with pytest.raises(InputError, match="shares from 0 to 1"):
        fit_curve(BUDGETS, np.full((4, 5), 10.0))
    with pytest.raises(InputError, match="three seeds or more, got 2"):
        gain_of_doubling(BUDGETS, np.full((4, 2), 0.1), rng)
    with pytest.raises(InputError, match="above 0, got 0"):
        expected_error(BUDGETS, np.full((4, 5), 0.1), 0, rng)
