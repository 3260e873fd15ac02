"""Which of two arms is better, and how sure that is: differences of accuracy with interval, p and verdict.

The three tests are for three kinds of data: runs of several seeds on the same test images, one run each on the same
test images, and runs that each have a split of their own. What difference a test can show at all is `power.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor, log10, sqrt
from typing import Literal

import numpy as np
from jaxtyping import Float64, Shaped
from scipy import special, stats

from littoral.errors import InputError

LEVEL = 0.05
"""Two-sided: a true difference of nothing is called better in 2.5 % of comparisons and worse in as many."""

Method = Literal["seeds and images", "images", "splits"]
"""What changes from one repetition to another that the interval allows for."""


@dataclass(frozen=True)
class Difference:
    """Accuracy of `a` less that of `b`, from -1 to 1, with its interval and two-sided p, alone and after Holm.

    `df`: degrees of freedom of Student's t. `runs`: of each arm. `images`: in the test set, or in that of one split.
    `discordant`: share of (run, image) on which one of the two is right and the other is not; None for splits.
    `method`: the interval speaks of new "seeds and images"; of new "images" alone, where there is one seed; or of new
    "splits" into training and test images.
    """

    a: str
    b: str
    difference: float
    ci95: tuple[float, float]
    p: float
    p_holm: float
    df: float
    runs: int
    images: int
    discordant: float | None
    method: Method


def paired_difference(
    a: str, b: str, correct_a: Shaped[np.ndarray, "seeds images"], correct_b: Shaped[np.ndarray, "seeds images"]
) -> Difference:
    """Mean difference of two arms over new seeds and new test images, from which images each run got right (0 or 1).

    Row i of both is the run with the same seed, column j the same test image. Seeds and images are both random effects
    of a two-way analysis of variance: see `standard_error`. Half an image on which only `a` is right is added to its
    images, and half of one on which only `b` is, in as many seeds as such images usually are (Agresti and Min 2005,
    doi:10.1002/sim.1781): without them the interval covers too seldom where arms differ on few images, and is a point
    where they differ on none.

    With one seed the interval is over images alone, and p is McNemar's.

    In simulations with errors of 1 to 20 % on 60 to 2,000 images and five seeds or more, "better" is said of equal arms
    in 0.4 to 3 %, and the interval covers in 93 to 98 %. Where seeds differ more than images it covers in 93 % with
    three seeds, and in 88 % with two: do not stop at two.

    Raises InputError when the shapes differ, when there are fewer than two images, or for other values than 0 and 1.
    """
    difference = correctness_difference(correct_a, correct_b)
    seeds, images = difference.shape
    mean = float(difference.mean())
    over_seeds = difference.mean(0)
    judged_apart = over_seeds[np.any(difference != 0, axis=0)]
    added = float(np.mean(judged_apart**2)) if len(judged_apart) else 1.0
    if seeds == 1:
        error, df = sqrt(float(over_seeds.var(ddof=1)) / images + added / images**2), images - 1.0
        p = mcnemar(correct_a[0], correct_b[0])
    else:
        of_seeds, of_images, rest = mean_squares(difference)
        error, df = standard_error(of_seeds, of_images + added * seeds / images, rest, seeds, images)
        p = _two_sided(mean / error, df)
    return Difference(
        a=a,
        b=b,
        difference=mean,
        ci95=_interval(mean, error, df),
        p=p,
        p_holm=p,
        df=df,
        runs=seeds,
        images=images,
        discordant=float(np.mean(difference != 0)),
        method="images" if seeds == 1 else "seeds and images",
    )


def resampled_difference(
    a: str, b: str, accuracy_a: Sequence[float], accuracy_b: Sequence[float], training_part: int, test_images: int
) -> Difference:
    """Mean difference over runs that each have a split of their own, from the accuracies (0 to 1) of each run.

    Run i of both has the same split, into so many training and test images. Training sets overlap, so runs resemble
    each other more than they would on new data. The corrected resampled t of Nadeau and Bengio (2003,
    doi:10.1023/A:1024068626366) allows for that: variance (1/runs + test/train)·s², df runs - 1, where s² is the
    variance of the differences between runs. A run's difference d on n images varies by |d|(1 - |d|)/n at least and is
    known to 1/n at best, so s² is not taken for less than either: two runs that agree by chance prove nothing.

    Where runs train on a few labels, `training_part` is what these are drawn from. They hardly overlap, while the few
    in its place would make test/train a number of 5 or 10, and nearly every difference nothing.

    Raises InputError for fewer than two runs, for lists of different length and for counts below 1.
    """
    if len(accuracy_a) != len(accuracy_b) or len(accuracy_a) < 2:
        raise InputError(
            f"a comparison over splits needs two or more runs, as many of each arm, got {len(accuracy_a)} of {a} "
            f"and {len(accuracy_b)} of {b}"
        )
    if training_part < 1 or test_images < 1:
        raise InputError(
            f"expected one image or more in each part, got {training_part} to train and {test_images} to test"
        )
    runs = np.asarray(accuracy_a, np.float64) - np.asarray(accuracy_b, np.float64)
    mean, size = float(runs.mean()), abs(float(runs.mean()))
    variance = max(float(runs.var(ddof=1)), size * (1 - size) / test_images, 1 / test_images**2)
    error, df = sqrt((1 / len(runs) + test_images / training_part) * variance), len(runs) - 1.0
    p = _two_sided(mean / error, df)
    return Difference(a, b, mean, _interval(mean, error, df), p, p, df, len(runs), test_images, None, "splits")


def correctness_difference(
    correct_a: Shaped[np.ndarray, "seeds images"], correct_b: Shaped[np.ndarray, "seeds images"]
) -> Float64[np.ndarray, "seeds images"]:
    """1 where only `a` is right, -1 where only `b` is, else 0. Raises InputError as `paired_difference` does."""
    if correct_a.shape != correct_b.shape or correct_a.ndim != 2 or correct_a.shape[0] < 1 or correct_a.shape[1] < 2:
        raise InputError(
            "a comparison needs seeds × test images, the same for both arms and two images or more, "
            f"got {correct_a.shape} and {correct_b.shape}"
        )
    if not (np.isin(correct_a, (0, 1)).all() and np.isin(correct_b, (0, 1)).all()):
        raise InputError("a comparison needs 1 for an image that a run got right and 0 for one it did not, got others")
    return correct_a.astype(np.float64) - correct_b.astype(np.float64)


def mean_squares(difference: Float64[np.ndarray, "seeds images"]) -> tuple[float, float, float]:
    """Mean squares of the two-way analysis of variance with one value a cell: of seeds, of images and of the rest.

    Needs two or more of each.
    """
    seeds, images = difference.shape
    of_seed, of_image = difference.mean(1, keepdims=True), difference.mean(0, keepdims=True)
    mean = difference.mean()
    rest = difference - of_seed - of_image + mean
    return (
        images * float(np.sum((of_seed - mean) ** 2)) / (seeds - 1),
        seeds * float(np.sum((of_image - mean) ** 2)) / (images - 1),
        float(np.sum(rest**2)) / ((seeds - 1) * (images - 1)),
    )


def standard_error(of_seeds: float, of_images: float, rest: float, seeds: int, images: int) -> tuple[float, float]:
    """Standard error of the mean over seeds and images, and its degrees of freedom, from the three mean squares.

    The mean square of seeds is expected to be images·σ²seed + σ², that of images seeds·σ²image + σ², that of the rest
    σ². So (MSseed + MSimage - MSrest)/(seeds·images) is σ²seed/seeds + σ²image/images + σ²/(seeds·images). By chance it
    can be less than max(MSseed, MSimage)/(seeds·images), which is then taken. Degrees of freedom: Satterthwaite's
    (1946, doi:10.2307/3002019), or those of the mean square that was taken.
    """
    total, largest = of_seeds + of_images - rest, max(of_seeds, of_images)
    if total < largest:
        df = seeds - 1.0 if of_seeds >= of_images else images - 1.0
    else:
        parts = of_seeds**2 / (seeds - 1) + of_images**2 / (images - 1) + rest**2 / ((seeds - 1) * (images - 1))
        df = max(total**2 / parts, min(seeds, images) - 1.0)
    return sqrt(max(total, largest) / (seeds * images)), df


def mcnemar(correct_a: Shaped[np.ndarray, " images"], correct_b: Shaped[np.ndarray, " images"]) -> float:
    """Two-sided p for two single models on the same images (McNemar 1947), by the exact binomial test at every size."""
    only_a = int(np.sum((correct_a == 1) & (correct_b == 0)))
    only_b = int(np.sum((correct_a == 0) & (correct_b == 1)))
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Each p made larger for the company it is in (Holm 1979), in the order given.

    Called significant where the result is below 0.05, one wrong call or more comes in 5 % of such families at most.
    """
    order = np.argsort(p, kind="stable")
    raised = np.asarray(p, np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1)
    return [float(value) for value in adjusted]


def judged_together(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """The same differences, with `p_holm` for this whole family in place of what it was."""
    adjusted = holm([d.p for d in differences])
    return tuple(replace(d, p_holm=p) for d, p in zip(differences, adjusted, strict=True))


def outcome(difference: Difference) -> Literal["better", "worse", "open"]:
    """What `a` is, beside `b`: better or worse only where `p_holm` is below 0.05 and the interval leaves out 0."""
    low, high = difference.ci95
    if difference.p_holm < LEVEL and (low > 0 or high < 0):
        return "better" if low > 0 else "worse"
    return "open"


def verdict(difference: Difference) -> str:
    """What may be said, in percentage points: "fused better by 0.21 points (0.08 to 0.34)"; see `outcome`."""
    low, high = (100 * end for end in difference.ci95)
    found = outcome(difference)
    alone = "; one seed: this is about these two models alone" if difference.method == "images" else ""
    if found == "better":
        return f"{difference.a} better by {100 * difference.difference:.2f} points ({low:.2f} to {high:.2f}){alone}"
    if found == "worse":
        return f"{difference.a} worse by {-100 * difference.difference:.2f} points ({-high:.2f} to {-low:.2f}){alone}"
    if max(-low, high) >= 100:
        return f"no difference shown, and none can be excluded: more seeds or test images would tell{alone}"
    return f"no difference shown; only one larger than {rounded_up(max(-low, high))} points can be excluded{alone}"


def p_in_words(p: float) -> str:
    """A p for a table, with two significant digits; below a thousandth only that."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def rounded_up(value: float) -> str:
    """A number above 0 with two significant digits, never less than it was: 0.284 is 0.29, 12.3 is 13."""
    step = floor(log10(value)) - 1
    return f"{-floor(-round(value / 10.0**step, 6)) * 10.0**step:g}"


def _interval(mean: float, error: float, df: float) -> tuple[float, float]:
    reach = float(special.stdtrit(df, 1 - LEVEL / 2)) * error
    return (max(mean - reach, -1.0), min(mean + reach, 1.0))


def _two_sided(t: float, df: float) -> float:
    return float(2 * special.stdtr(df, -abs(t)))
