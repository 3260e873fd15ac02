"""Error against labels: a curve fitted to a few label budgets, and what more labels would bring.

The curve is error(n) = a + b·n^(-c) with n labels a class, the usual shape of such curves (Viering and Loog 2023,
doi:10.1109/TPAMI.2022.3220744); `a` is what no number of labels removes. Training at each budget is left to `studies/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Float64
from scipy import stats

from littoral.errors import InputError

RESAMPLES = 1000

FINE, COARSE = np.linspace(0.001, 2, 2000), np.linspace(0.02, 2, 100)
"""The values of c that are tried: for the curve itself, and for each of the many that its interval is made of."""


@dataclass(frozen=True)
class Curve:
    """error(n) = a + b·n^(-c), a share from 0 to 1, for n labels a class; a ≥ 0, b ≥ 0 and 0 < c ≤ 2."""

    a: float
    b: float
    c: float

    def error(self, labels: float) -> float:
        """The error with so many labels a class; it never rises with more of them."""
        return self.a + self.b * float(labels**-self.c)


@dataclass(frozen=True)
class Expected:
    """A mean over new seeds, as a share from 0 to 1, and its interval. A single run strays further."""

    value: float
    ci95: tuple[float, float]


def fit_curve(
    labels: Float64[np.ndarray, " budgets"], errors: Float64[np.ndarray, "budgets seeds"], images: int
) -> Curve:
    """The curve nearest to the mean error (0 to 1) of each budget of so many labels a class, by least squares.

    `images`: on which each error was counted. Distances are counted in proportion to the error, as seeds scatter, or to
    half an image. For each c the best a and b follow from linear equations (variable projection, Golub and Pereyra
    1973, doi:10.1137/0710036): nothing to start from, and no local minimum to end in.

    Raises InputError for fewer than three different budgets, where `errors` is not of as many rows, and for no images.
    """
    _check(labels, errors, images)
    a, b, c = _nearest(labels, errors.mean(1)[None], _scale(errors, images), FINE, least_a=0.0)
    return Curve(float(a[0]), float(b[0]), float(c[0]))


def expected_errors(
    labels: Float64[np.ndarray, " budgets"],
    errors: Float64[np.ndarray, "budgets seeds"],
    images: int,
    at: Float64[np.ndarray, " points"],
    rng: np.random.Generator,
) -> list[Expected]:
    """The errors with so many labels a class, read off the curve; column j of `errors` is one seed at each budget.

    The interval is a bootstrap over seeds, widened to what Student's t would give for so few of them, and by what so
    few `images` leave unknown where seeds agree by chance. Each resample is fitted twice: with `a` held at 0 or above,
    as the curve itself is, and free to fall below; the interval holds what both give. The first alone would cover the
    gain of an `a` that is 0 in 77 to 85 % only; the second alone may lie wholly beside the curve that it is the
    interval of. In simulations of three seeds at four budgets, each run on 20 to 1,000 test images of its own, both
    cover in 97 to 100 %, up to twice the largest budget, if the curve has this shape. Where all runs have the same test
    images, it speaks of these.

    Raises InputError as `fit_curve` does, and for fewer than three seeds.
    """
    if not (at > 0).all():
        raise InputError(f"expected numbers of labels above 0, got {at.min()}")
    curve = fit_curve(labels, errors, images)
    a, b, c = _resampled(labels, errors, images, rng)
    return [_expected(curve.error(n), a + b * n**-c, 1.0) for n in at]


def gain_of_doubling(
    labels: Float64[np.ndarray, " budgets"],
    errors: Float64[np.ndarray, "budgets seeds"],
    images: int,
    rng: np.random.Generator,
) -> Expected:
    """By how much the error falls from the largest budget to twice as many labels; interval and errors as above.

    It cannot fall by more than it may be now.
    """
    now = float(labels.max(initial=0))
    curve = fit_curve(labels, errors, images)
    a, b, c = _resampled(labels, errors, images, rng)
    most = _expected(curve.error(now), a + b * now**-c, 1.0).ci95[1]
    return _expected(curve.error(now) - curve.error(2 * now), b * (now**-c - (2 * now) ** -c), most)


def gain_in_words(labels: int, gain: Expected) -> str:
    """One sentence on doubling so many labels a class: "200 labels a class would bring 0.80 points (0.52 to 1.11)"."""
    low, high = gain.ci95
    return (
        f"{2 * labels:,} labels a class would bring {100 * gain.value:.2f} points ({100 * low:.2f} to {100 * high:.2f})"
    )


def _check(labels: Float64[np.ndarray, " budgets"], errors: Float64[np.ndarray, "budgets seeds"], images: int) -> None:
    if labels.ndim != 1 or errors.ndim != 2 or len(errors) != len(labels) or errors.shape[1] < 1:
        raise InputError(f"expected budgets and their errors, budgets × seeds, got {labels.shape} and {errors.shape}")
    if len(np.unique(labels)) < 3 or labels.min() <= 0:
        raise InputError(
            f"a learning curve needs three budgets or more, all above 0, got {[float(n) for n in np.unique(labels)]}"
        )
    if not ((errors >= 0) & (errors <= 1)).all():
        raise InputError("errors are shares from 0 to 1, got others")
    if images < 1:
        raise InputError(f"expected errors on one test image or more, got {images}")


def _scale(errors: Float64[np.ndarray, "budgets seeds"], images: int) -> Float64[np.ndarray, " budgets"]:
    """In what distances from each mean error are counted; an error of 0 is known to half an image at best."""
    scale: Float64[np.ndarray, " budgets"] = np.maximum(errors.mean(1), 0.5 / images)
    return scale


def _resampled(
    labels: Float64[np.ndarray, " budgets"],
    errors: Float64[np.ndarray, "budgets seeds"],
    images: int,
    rng: np.random.Generator,
) -> tuple[Float64[np.ndarray, "2 curves"], Float64[np.ndarray, "2 curves"], Float64[np.ndarray, "2 curves"]]:
    """Curves through the means of seeds drawn with replacement, whole seeds, since they may be good at all budgets.

    Of each array the first row is for a ≥ 0, the second for `a` free.

    Such means scatter by sqrt((S - 1)/S) of what those of S new seeds do, and their quantiles know nothing of how
    badly S seeds know their own scatter; so their distances from the mean are made longer by both. An error p on n
    images varies by p(1 - p)/n at least and is known to 1/n at best: what the seeds scatter less than that is added.
    """
    seeds = errors.shape[1]
    if seeds < 3:
        raise InputError(f"an interval of a learning curve needs three seeds or more, got {seeds}")
    mean = errors.mean(1)
    drawn = errors[:, rng.integers(0, seeds, (RESAMPLES, seeds))].mean(2).T
    longer = sqrt(seeds / (seeds - 1)) * float(stats.t.ppf(0.975, seeds - 1) / stats.norm.ppf(0.975))
    least = np.maximum(mean * (1 - mean) / images, 1 / images**2)
    unseen = np.sqrt(np.maximum(least - errors.var(1, ddof=1), 0) / seeds)
    means = mean + longer * (drawn - mean) + unseen * rng.standard_normal(drawn.shape)
    scale = _scale(errors, images)
    held, free = (_nearest(labels, means, scale, COARSE, least_a) for least_a in (0.0, -np.inf))
    a, b, c = (np.stack(both) for both in zip(held, free, strict=True))
    return a, b, c


def _nearest(
    labels: Float64[np.ndarray, " budgets"],
    errors: Float64[np.ndarray, "curves budgets"],
    scale: Float64[np.ndarray, " budgets"],
    exponents: Float64[np.ndarray, " exponents"],
    least_a: float,
) -> tuple[Float64[np.ndarray, " curves"], Float64[np.ndarray, " curves"], Float64[np.ndarray, " curves"]]:
    """a, b and c of the curve nearest to each row, with distances in units of `scale`, above 0; least_a: 0 or -inf."""
    weights = np.maximum(scale / scale.max(), 0.01) ** -2.0
    weights /= weights.sum()
    largest = labels.max()
    power = (labels[:, None] / largest) ** -exponents
    x, xx = weights @ power, weights @ power**2
    y, xy, yy = (errors @ weights)[:, None], (errors * weights) @ power, (errors**2 @ weights)[:, None]
    b = (xy - x * y) / (xx - x**2)
    a = y - b * x
    # where one bound is passed, the best allowed curve lies on it; both cannot be, where least_a is 0 and errors ≥ 0
    flat, low = b < 0, a < least_a
    a, b = np.where(flat, y, np.where(low, 0.0, a)), np.where(flat, 0.0, np.where(low, xy / xx, b))
    misfit = yy - 2 * (a * y + b * xy - a * b * x) + a**2 + b**2 * xx
    best, row = misfit.argmin(1), np.arange(len(errors))
    c = exponents[best]
    return a[row, best], b[row, best] * largest**c, c


def _expected(value: float, resampled: Float64[np.ndarray, "2 curves"], most: float) -> Expected:
    """The value and the interval that holds those of both rows, each from 0 to `most`."""
    value = min(value, most)
    lows, highs = np.quantile(resampled, (0.025, 0.975), axis=1)
    low, high = lows.min(), highs.max()
    # where even so they leave the value out, by its c at a bound, it is as far off as they are: the end is mirrored
    low, high = np.clip((min(low, 2 * value - low), max(high, 2 * value - high)), 0, most)
    return Expected(value, (float(low), float(high)))
