"""What a comparison can show: against others' power of a t test, and against comparisons that are made."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from littoral.errors import InputError
from littoral.evaluation.paired import mean_squares, paired_difference, standard_error
from littoral.evaluation.power import (
    power_in_words,
    smallest_difference,
    smallest_difference_after,
    smallest_difference_of_splits,
    stated_disagreement,
)


@pytest.mark.parametrize(("runs", "effect"), [(2, 11.549890), (3, 3.264044), (5, 1.681997), (100, 0.282912)])
def test_it_is_the_power_of_a_t_test(runs: int, effect: float) -> None:
    # statsmodels 0.15.0: TTestPower().solve_power(nobs=runs, alpha=0.05, power=0.8)
    smallest = smallest_difference_of_splits(runs, 10**9, 100, 0.1)
    assert smallest / sqrt(0.1 / 100) == pytest.approx(effect, rel=1e-5)


def arms(
    rng: np.random.Generator, shape: tuple[int, int], disagreement: float, difference: float, seed_spread: float
) -> tuple[np.ndarray, np.ndarray]:
    """Two arms of which `b` is always right where they agree; a quarter of disagreements come back with every seed."""
    again = rng.random(shape[1]) < 0.25
    chance = np.where(again, rng.random(shape[1]), rng.random(shape))
    towards = np.where(again, rng.random(shape[1]), rng.random(shape))
    effect = difference + seed_spread * rng.standard_normal((shape[0], 1))
    differs, a_right = chance < disagreement, towards < (1 + effect / disagreement) / 2
    return ~differs | a_right, ~differs | ~a_right


@pytest.mark.parametrize(("seeds", "images"), [(1, 2000), (5, 1000), (10, 500)])
def test_a_difference_of_that_size_is_found_four_times_in_five(seeds: int, images: int) -> None:
    rng = np.random.default_rng(0)
    smallest = smallest_difference(seeds, images, 0.1)
    pairs = [arms(rng, (seeds, images), 0.1, smallest, 0.0) for _ in range(400)]
    assert 0.74 <= np.mean([paired_difference("a", "b", *pair).p < 0.05 for pair in pairs]) <= 0.88


def test_two_seeds_tell_what_five_will_show() -> None:
    rng = np.random.default_rng(1)
    after = [smallest_difference_after(*arms(rng, (2, 2000), 0.1, 0.0, 0.0), 5, 2000) for _ in range(40)]
    assert np.median(after) == pytest.approx(smallest_difference(5, 2000, 0.1), rel=0.1)
    scattered = [smallest_difference_after(*arms(rng, (2, 2000), 0.1, 0.0, 0.03), 5, 2000) for _ in range(40)]
    assert np.median(scattered) > 1.5 * np.median(after)
    pair = arms(rng, (3, 1000), 0.1, 0.0, 0.01)
    assert smallest_difference_after(*pair, 10, 1000) < smallest_difference_after(*pair, 3, 1000)
    pair = arms(rng, (3, 1000), 0.1, 0.0, 0.0)
    assert smallest_difference_after(*pair, 3, 10_000) < smallest_difference_after(*pair, 3, 1000)


@pytest.mark.parametrize("seed_spread", [0.0, 0.05])
@pytest.mark.parametrize(("seeds", "images"), [(3, 800), (6, 800), (3, 5000), (2, 100)])
def test_what_some_seeds_tell_is_the_power_of_the_t_test_to_come(seed_spread: float, seeds: int, images: int) -> None:
    pair = arms(np.random.default_rng(2), (3, 800), 0.2, 0.0, seed_spread)
    of_seeds, of_images, rest = mean_squares(pair[0].astype(float) - pair[1])
    by_seed, by_image = max(of_seeds - rest, 0) / 800, max(of_images - rest, 0) / 3
    error, df = standard_error(images * by_seed + rest, seeds * by_image + rest, rest, seeds, images)
    smallest = smallest_difference_after(*pair, seeds, images)
    assert stats.nct.sf(stats.t.ppf(0.975, df), df, smallest / error) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("images", [2, 5, 400])
def test_one_seed_is_a_t_test_over_images(images: int) -> None:
    smallest, error = smallest_difference(1, images, 0.1), sqrt(0.1 / images)
    assert stats.nct.sf(stats.t.ppf(0.975, images - 1), images - 1, smallest / error) == pytest.approx(0.8, abs=1e-6)


def test_what_some_seeds_tell_of_one_more() -> None:
    """One seed speaks of new images alone: how seeds differ stays out."""
    pair = arms(np.random.default_rng(2), (3, 800), 0.2, 0.0, 0.05)
    _, of_images, rest = mean_squares(pair[0].astype(float) - pair[1])
    error = sqrt(((of_images - rest) / 3 + rest) / 500)
    smallest = smallest_difference_after(*pair, 1, 500)
    assert stats.nct.sf(stats.t.ppf(0.975, 499), 499, smallest / error) == pytest.approx(0.8, abs=1e-6)


def test_arms_that_agreed_may_disagree_on_one_image_yet() -> None:
    same = np.ones((2, 100), bool)
    error, df = standard_error(1 / 200, 1 / 200, 1 / 200, 5, 100)
    smallest = smallest_difference_after(same, same, 5, 100)
    assert stats.nct.sf(stats.t.ppf(0.975, df), df, smallest / error) == pytest.approx(0.8, abs=1e-6)


def test_more_of_anything_shows_less() -> None:
    assert smallest_difference(5, 10_000, 0.02) < smallest_difference(3, 10_000, 0.02)
    assert smallest_difference(5, 10_000, 0.02) < smallest_difference(5, 1000, 0.02)
    assert smallest_difference(5, 10_000, 0.02) < smallest_difference(5, 10_000, 0.1)
    assert smallest_difference_of_splits(5, 800, 200, 0.1) < smallest_difference_of_splits(3, 800, 200, 0.1)
    assert smallest_difference_of_splits(5, 800, 200, 0.1) < smallest_difference_of_splits(5, 500, 200, 0.1)


def test_pairs_that_are_judged_together_show_less() -> None:
    """Holm's correction asks the surest of three for a p below 0.05 / 3."""
    error, df = sqrt(0.1 / 200), 199
    smallest = smallest_difference(1, 200, 0.1, pairs=3)
    assert stats.nct.sf(stats.t.ppf(1 - 0.025 / 3, df), df, smallest / error) == pytest.approx(0.8, abs=1e-6)
    same = np.ones((2, 100), bool)
    assert smallest_difference_after(same, same, 5, 100, 3) > smallest_difference_after(same, same, 5, 100)
    assert smallest_difference_after(same, same, 1, 100, 3) > smallest_difference_after(same, same, 1, 100)
    assert smallest_difference_of_splits(5, 800, 200, 0.1, 3) > smallest_difference_of_splits(5, 800, 200, 0.1)
    assert smallest_difference(5, 200, 0.1, 3) > smallest_difference(5, 200, 0.1)


def test_the_error_expected_states_the_disagreement() -> None:
    assert stated_disagreement(0.01) == 0.02
    assert stated_disagreement(0.6) == 1.0
    assert stated_disagreement(1) == 1.0
    with pytest.raises(InputError, match=r"got 1\.01"):
        stated_disagreement(1.01)
    with pytest.raises(InputError, match="got 0"):
        stated_disagreement(0)


def test_power_in_words() -> None:
    assert (
        power_in_words(5, 10_000, 0.0025)
        == "with 5 seeds and 10,000 test images a difference of 0.25 points or more will show four times in five"
    )
    assert (
        power_in_words(1, 20, 0.141, 0.05)
        == "with 1 seed and 20 test images, if arms err on 5 % of them, a difference of 15 points or more will show "
        "four times in five"
    )
    assert (
        power_in_words(2, 4, 1.0) == "with 2 seeds and 4 test images no difference is sure to show: take more of both"
    )


def test_what_can_show_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"^expected one seed and two test images or more .* got 5, 1 and 0"):
        smallest_difference(5, 1, 0.1)
    with pytest.raises(InputError, match=r"got 5, 100 and 1\.5"):
        smallest_difference(5, 100, 1.5)
    with pytest.raises(InputError, match="got 0, 100 and 0"):
        smallest_difference(0, 100, 0.1)
    with pytest.raises(InputError, match="got 5, 100 and 0"):
        smallest_difference(5, 100, 0)
    with pytest.raises(InputError, match="two seeds or more tell what others will show, got 1"):
        smallest_difference_after(np.ones((1, 9)), np.ones((1, 9)), 5, 100)
    with pytest.raises(InputError, match="two runs and one training image or more, got 1 and 10"):
        smallest_difference_of_splits(1, 10, 10, 0.1)
    with pytest.raises(InputError, match="one training image or more, got 2 and 0"):
        smallest_difference_of_splits(2, 0, 10, 0.1)
    assert smallest_difference_of_splits(2, 1, 10, 0.1) > 1
