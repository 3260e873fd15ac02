"""Differences of two arms: how often the verdict is wrong, and values that others compute."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special, stats

from littoral.errors import InputError
from littoral.evaluation.paired import (
    Difference,
    holm,
    judged_together,
    mcnemar,
    mean_squares,
    outcome,
    p_in_words,
    paired_difference,
    resampled_difference,
    rounded_up,
    standard_error,
    verdict,
)

SPREAD = {"seeds dominate": (0.5, 0.1), "images dominate": (0.0, 1.0), "both": (0.15, 0.7), "neither": (0.0, 0.0)}
"""Standard deviations of an arm's own effect of a seed and of an image; the noise of each run on each image has 1."""


def correct(
    rng: np.random.Generator, repetitions: int, seeds: int, images: int, design: str, ease: tuple[float, float]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], float]:
    """What two arms get right (repetitions × seeds × images), some images being hard for both, and the true difference.

    An image is right where the sum of `ease`, of normal effects and of noise is above 0.
    """
    of_seed, of_image = SPREAD[design]
    both = rng.standard_normal((repetitions, 1, images), np.float32)

    def arm(ease: float) -> NDArray[np.bool_]:
        noise = rng.standard_normal((repetitions, seeds, images), np.float32)
        own = of_seed * rng.standard_normal((repetitions, seeds, 1), np.float32)
        return ease + both + own + of_image * rng.standard_normal((repetitions, 1, images), np.float32) + noise > 0

    true = special.ndtr(np.array(ease) / sqrt(2 + of_seed**2 + of_image**2))
    return arm(ease[0]), arm(ease[1]), float(true[0] - true[1])


@pytest.mark.parametrize(
    ("images", "ease"), [(300, 1.5), (200, 3.0)], ids=["errors of 10 to 15 %", "errors of 1 to 3 %"]
)
@pytest.mark.parametrize("design", SPREAD)
def test_better_is_seldom_wrong_and_the_interval_covers(design: str, images: int, ease: float) -> None:
    rng = np.random.default_rng(0)
    a, b, _ = correct(rng, 2000, 5, images, design, (ease, ease))
    equal = [paired_difference("a", "b", *pair) for pair in zip(a, b, strict=True)]
    assert np.mean([verdict(d).startswith("a better") for d in equal]) <= 0.04
    assert np.mean([d.ci95[0] <= 0 <= d.ci95[1] for d in equal]) >= 0.93
    a, b, true = correct(rng, 1000, 5, images, design, (ease + 0.3, ease))
    unequal = [paired_difference("a", "b", *pair) for pair in zip(a, b, strict=True)]
    assert np.mean([d.ci95[0] <= true <= d.ci95[1] for d in unequal]) >= 0.93


def test_one_seed_covers_over_images_alone() -> None:
    a, b, _ = correct(np.random.default_rng(1), 1000, 1, 200, "images dominate", (3.0, 3.0))
    equal = [paired_difference("a", "b", *pair) for pair in zip(a, b, strict=True)]
    assert np.mean([verdict(d).startswith("a better") for d in equal]) <= 0.04
    assert np.mean([d.ci95[0] <= 0 <= d.ci95[1] for d in equal]) >= 0.93
    assert {d.method for d in equal} == {"images"}
    assert verdict(equal[0]).endswith("; one seed: this is about these two models alone")


def test_mean_squares_equal_those_of_statsmodels() -> None:
    # statsmodels 0.15.0: anova_lm(ols("d ~ C(seed) + C(image)", table).fit())["mean_sq"]
    a = np.array([[0, 0, 0, 1, 1, 0, 1, 1], [0, 1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 0, 1]])
    b = np.array([[1, 0, 0, 0, 0, 0, 0, 1], [0, 1, 0, 0, 1, 0, 0, 1], [1, 0, 0, 0, 0, 0, 1, 0]])
    assert mean_squares((a - b).astype(np.float64)) == pytest.approx(
        (0.29166666666666674, 0.6130952380952378, 0.4345238095238095)
    )


@pytest.mark.parametrize(
    ("of_seeds", "of_images", "rest", "shape", "variance", "df"),
    [
        (5.0, 3.0, 1.5, (4, 6), 6.5, 6.5**2 / (5**2 / 3 + 3**2 / 5 + 1.5**2 / 15)),  # Satterthwaite
        (1.0, 2.0, 2.5, (4, 6), 2.0, 5),  # less than one of them: the larger, with its own degrees of freedom
        (2.0, 1.0, 2.5, (4, 6), 2.0, 3),
        (1.0, 1.0, 1.5, (4, 6), 1.0, 3),
        (5.0, 5.0, 5.0, (10, 12), 5.0, 9),  # Satterthwaite says 4.4: not fewer than those of seeds
    ],
)
def test_the_standard_error_of_new_seeds_and_images_by_hand(
    of_seeds: float, of_images: float, rest: float, shape: tuple[int, int], variance: float, df: float
) -> None:
    found = standard_error(of_seeds, of_images, rest, *shape)
    assert found == pytest.approx((sqrt(variance / (shape[0] * shape[1])), df))


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_difference_by_hand(seeds: int) -> None:
    a = np.array([[0, 0, 0, 1, 1, 0, 1, 1], [0, 1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 0, 1]])[:seeds]
    b = np.array([[1, 0, 0, 0, 0, 0, 0, 1], [0, 1, 0, 0, 1, 0, 0, 1], [1, 0, 0, 0, 0, 0, 1, 1]])[:seeds]
    mean_of_image = (a - b).mean(0)
    apart = (a != b).any(0)
    half_images = np.mean(mean_of_image[apart] ** 2)  # what half an image each way adds, see the docstring
    if seeds == 1:
        error, df = sqrt(mean_of_image.var(ddof=1) / 8 + half_images / 64), 7.0
        p = float(stats.binomtest(int((a > b).sum()), int(apart.sum())).pvalue)
    else:
        of_seeds, of_images, rest = mean_squares((a - b).astype(np.float64))
        error, df = standard_error(of_seeds, of_images + half_images * seeds / 8, rest, seeds, 8)
        p = float(2 * stats.t.sf(abs((a - b).mean()) / error, df))
    found = paired_difference("fused", "deep", a, b)
    assert (found.a, found.b, found.runs, found.images) == ("fused", "deep", seeds, 8)
    assert found.method == ("images" if seeds == 1 else "seeds and images")
    assert (found.difference, found.df, found.discordant) == pytest.approx(((a - b).mean(), df, (a != b).mean()))
    assert (found.p, found.p_holm) == pytest.approx((p, p))
    reach = stats.t.ppf(0.975, df) * error
    low, high = max(found.difference - reach, -1), min(found.difference + reach, 1)
    assert found.ci95 == pytest.approx((low, high))


def test_where_seeds_are_all_it_is_the_t_test_over_seeds() -> None:
    a, b, _ = correct(np.random.default_rng(3), 1, 6, 5000, "seeds dominate", (1.5, 1.5))
    found = paired_difference("a", "b", a[0], b[0])
    expected = stats.ttest_rel(a[0].mean(1), b[0].mean(1))
    assert found.p == pytest.approx(expected.pvalue, rel=0.02)
    assert found.ci95 == pytest.approx(tuple(expected.confidence_interval()), rel=0.02)


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [(3, 9, 0.14599609375), (30, 12, 0.007915897334896727), (0, 5, 0.0625), (7, 7, 1.0)],
)  # statsmodels 0.15.0: mcnemar([[20, only_a], [only_b, 0]], exact=True).pvalue
def test_mcnemar_equals_statsmodels(only_a: int, only_b: int, p: float) -> None:
    a = np.repeat([1, 0, 1], [only_a, only_b, 20])
    b = np.repeat([0, 1, 1], [only_a, only_b, 20])
    assert mcnemar(a, b) == pytest.approx(p, rel=1e-12)
    one_seed = paired_difference("a", "b", a[None], b[None])
    assert one_seed.p == mcnemar(a, b)
    assert one_seed.difference == pytest.approx((only_a - only_b) / len(a))


def test_holm_equals_statsmodels() -> None:
    # statsmodels 0.15.0: multipletests([0.01, 0.04, 0.03, 0.005, 0.2], method="holm")[1]
    assert holm([0.01, 0.04, 0.03, 0.005, 0.2]) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.2])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_splits_by_the_formula_of_nadeau_and_bengio() -> None:
    a, b = [0.95, 0.94, 0.97, 0.96, 0.95], [0.93, 0.93, 0.94, 0.95, 0.92]
    runs = np.subtract(a, b)
    t = runs.mean() / sqrt((1 / 5 + 200 / 800) * runs.var(ddof=1))
    found = resampled_difference("a", "b", a, b, training_part=800, test_images=200)
    assert found.p == pytest.approx(2 * stats.t.sf(t, 4))
    assert found.difference - found.ci95[0] == pytest.approx(stats.t.ppf(0.975, 4) * runs.mean() / t)
    assert (found.df, found.runs, found.images, found.discordant, found.method) == (4, 5, 200, None, "splits")
    assert (found.a, found.b, found.p_holm) == ("a", "b", found.p)
    assert resampled_difference("a", "b", a, b, training_part=1, test_images=1).images == 1


def test_splits_that_agree_by_chance_prove_nothing() -> None:
    found = resampled_difference("a", "b", [0.9, 0.8], [0.85, 0.75], training_part=80, test_images=20)
    assert found.ci95[0] < 0
    equal = resampled_difference("a", "b", [0.9, 0.8], [0.9, 0.8], training_part=80, test_images=20)
    assert equal.p == 1
    assert equal.ci95[0] == -equal.ci95[1] < 0


@pytest.mark.parametrize(("of_a", "least"), [(0.9, 1 / 20**2), (0.98, 0.08 * 0.92 / 20), (0.9025, 1 / 20**2)])
def test_runs_that_agree_are_taken_to_vary_as_their_images_make_them(of_a: float, least: float) -> None:
    found = resampled_difference("a", "b", [of_a] * 3, [0.9] * 3, training_part=40, test_images=20)
    reach = stats.t.ppf(0.975, 2) * sqrt((1 / 3 + 20 / 40) * least)
    assert found.ci95[1] - found.difference == pytest.approx(reach)


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_arms_that_never_differ_still_have_an_interval(seeds: int) -> None:
    same = np.ones((seeds, 100), bool)
    found = paired_difference("a", "b", same, same)
    assert (found.difference, found.p, found.discordant) == (0, 1, 0)
    assert found.ci95 == pytest.approx((-0.0198, 0.0198), abs=1e-4)  # t of 99 degrees of freedom, one image in 100


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match=r"got \(2, 9\) and \(2, 8\)"):
        paired_difference("a", "b", np.ones((2, 9)), np.ones((2, 8)))
    with pytest.raises(InputError, match="two images or more"):
        paired_difference("a", "b", np.ones((5, 1)), np.ones((5, 1)))
    with pytest.raises(InputError, match=r"^a comparison needs seeds × test images, "):
        paired_difference("a", "b", np.ones(9), np.ones(9))
    with pytest.raises(InputError, match=r"got \(0, 9\) and \(0, 9\)$"):
        paired_difference("a", "b", np.ones((0, 9)), np.ones((0, 9)))
    with pytest.raises(InputError, match=r"^a comparison needs 1 for an image that .* did not, got others$"):
        paired_difference("a", "b", np.full((2, 9), 0.5), np.ones((2, 9)))
    with pytest.raises(InputError, match="got 1 of fused and 1 of deep"):
        resampled_difference("fused", "deep", [0.9], [0.8], 80, 20)
    with pytest.raises(InputError, match="0 to train"):
        resampled_difference("fused", "deep", [0.9, 0.9], [0.8, 0.8], 0, 20)


FUSED = Difference("fused", "deep", 0.0021, (0.0008, 0.0034), 0.004, 0.004, 9.0, 5, 10_000, 0.01, "seeds and images")


def test_verdicts_in_words() -> None:
    assert verdict(FUSED) == "fused better by 0.21 points (0.08 to 0.34)"
    worse = replace(FUSED, difference=-0.0021, ci95=(-0.0034, -0.0008))
    assert verdict(worse) == "fused worse by 0.21 points (0.08 to 0.34)"
    assert [p_in_words(p) for p in (0.0, 0.00099, 0.001, 0.04321)] == ["< 0.001", "< 0.001", "0.001", "0.043"]
    unsure = replace(FUSED, ci95=(-0.003, 0.0012), p=0.4, p_holm=0.4)
    assert verdict(unsure) == "no difference shown; only one larger than 0.3 points can be excluded"
    open_to_all = replace(unsure, ci95=(-0.4, 1.0))
    assert verdict(open_to_all).endswith("and none can be excluded: more seeds or test images would tell")


def test_an_outcome_needs_both_a_small_p_and_an_interval_beside_nothing() -> None:
    assert outcome(FUSED) == "better"
    assert outcome(replace(FUSED, ci95=(-0.0034, -0.0008))) == "worse"
    assert outcome(replace(FUSED, p_holm=0.05)) == "open"
    assert outcome(replace(FUSED, ci95=(0.0, 0.0034))) == "open"
    assert outcome(replace(FUSED, ci95=(-0.0034, 0.0))) == "open"
    assert outcome(replace(FUSED, ci95=(-0.0008, 0.0034))) == "open"
    much = replace(FUSED, difference=-0.31, ci95=(-0.4, -0.2))
    assert verdict(much) == "fused worse by 31.00 points (20.00 to 40.00)"
    assert verdict(replace(much, difference=0.31, ci95=(0.2, 0.4))) == "fused better by 31.00 points (20.00 to 40.00)"
    assert "none can be excluded" in verdict(replace(much, ci95=(-1.0, 0.2)))


def test_better_is_not_said_of_one_among_many() -> None:
    family = [replace(FUSED, p=0.02), *[replace(FUSED, p=0.5)] * 3]
    assert verdict(family[0]).startswith("fused better")
    judged = judged_together(family)
    assert judged[0].p_holm == pytest.approx(0.08)
    assert verdict(judged[0]) == "no difference shown; only one larger than 0.34 points can be excluded"


@given(st.floats(1e-3, 100))
def test_rounding_never_makes_less_of_a_number(value: float) -> None:
    assert value * (1 - 1e-5) <= float(rounded_up(value)) <= value * 1.11


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(2, 12))
def test_the_other_way_round_is_the_same_with_its_sign(seed: int, seeds: int, images: int) -> None:
    a, b = np.random.default_rng(seed).random((2, seeds, images)) < 0.6
    one, other = paired_difference("a", "b", a, b), paired_difference("b", "a", b, a)
    assert one.difference == pytest.approx(-other.difference)
    assert one.ci95 == pytest.approx((-other.ci95[1], -other.ci95[0]))
    assert one.p == pytest.approx(other.p)
    assert one.ci95[0] <= one.difference <= one.ci95[1]
    assert 0 <= one.p <= 1
