"""The smallest difference between two arms that a comparison can show, before anything is trained and after two seeds.

"Shows" means: with a true difference of that size the test of `paired.py` finds p below 0.05 (two-sided) four times in
five. Of several pairs judged together the first that Holm's correction looks at has to be below 0.05 divided by their
number, and with that each is reckoned here: where others differ more, less will do.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from jaxtyping import Shaped
from scipy import special

from littoral.errors import InputError
from littoral.evaluation.paired import LEVEL, correctness_difference, mean_squares, rounded_up, standard_error

POWER = 0.8
"""Share of comparisons in which a difference of that size is found."""

PERSISTENT = 0.25
"""Share of the disagreement that comes back with every seed. With 30 labels a class of MNIST, drawn anew for each seed,
it was 0.04 to 0.09 between the arms of `few`, but seeds then differ by themselves too, for which this leaves room."""


def stated_disagreement(expected_error: float) -> float:
    """Share of images on which exactly one of two arms errs, at most: twice the error (0 to 1) expected of each."""
    if not 0 < expected_error <= 1:
        raise InputError(f"an expected error is a share above 0 and up to 1, got {expected_error}")
    return min(2 * expected_error, 1.0)


def smallest_difference(seeds: int, images: int, disagreement: float, pairs: int = 1) -> float:
    """Smallest accuracy difference (0 to 1) that so many seeds on so many test images show, before training.

    `pairs`: that are judged together, one or more.

    A difference on one image and seed is -1, 0 or 1 and not 0 with the probability `disagreement` = q, so its variance
    is q at most. Of this the share r = `PERSISTENT` is the image's and the rest new with each seed: the variance of the
    mean is q·(r + (1 - r)/seeds)/images. What seeds differ by as a whole is not known before training and left out.
    """
    _check(seeds, images, disagreement)
    of_seeds = rest = disagreement * (1 - PERSISTENT)
    if seeds == 1:
        return _shown(sqrt(disagreement / images), images - 1, pairs)
    return _shown(*standard_error(of_seeds, disagreement * PERSISTENT * seeds + rest, rest, seeds, images), pairs)


def smallest_difference_after(
    correct_a: Shaped[np.ndarray, "seeds images"],
    correct_b: Shaped[np.ndarray, "seeds images"],
    seeds: int,
    images: int,
    pairs: int = 1,
) -> float:
    """The same for a larger number of seeds or images, from the first two or more seeds (as for `paired_difference`).

    Their mean squares give the variances of seeds, (MSseed - MSrest)/images, of images, (MSimage - MSrest)/seeds, and
    of the rest, MSrest, none below 0; and these the mean squares to be expected with the larger numbers. Two seeds know
    little of how seeds differ: it is a better guess than before training and still one.
    """
    difference = correctness_difference(correct_a, correct_b)
    _check(seeds, images, 1.0)
    tried, seen = difference.shape
    if tried < 2:
        raise InputError(f"two seeds or more tell what others will show, got {tried}")
    of_seeds, of_images, rest = mean_squares(difference)
    by_seed, by_image = max(of_seeds - rest, 0.0) / seen, max(of_images - rest, 0.0) / tried
    rest = max(rest, 1 / (tried * seen))  # arms that agreed so far may disagree on one image yet
    if seeds == 1:
        return _shown(sqrt((by_image + rest) / images), images - 1, pairs)
    return _shown(*standard_error(images * by_seed + rest, seeds * by_image + rest, rest, seeds, images), pairs)


def smallest_difference_of_splits(
    runs: int, training_part: int, test_images: int, disagreement: float, pairs: int = 1
) -> float:
    """The same where each run has a split of its own: Nadeau and Bengio's variance, s² being disagreement/test images.

    Serves before training with a stated rate of disagreement, and after two runs with theirs.
    """
    _check(runs, test_images, disagreement)
    if runs < 2 or training_part < 1:
        raise InputError(f"expected two runs and one training image or more, got {runs} and {training_part}")
    return _shown(sqrt((1 / runs + test_images / training_part) * disagreement / test_images), runs - 1, pairs)


def power_in_words(seeds: int, images: int, smallest: float, expected_error: float | None = None) -> str:
    """One sentence: "with 5 seeds and 400 test images a difference of 2 points or more will show four times in five".

    `expected_error`: by which it was reckoned; None: it was not guessed.
    """
    given = f"with {seeds} {'seed' if seeds == 1 else 'seeds'} and {images:,} test images"
    if expected_error is not None:
        given += f", if arms err on {100 * expected_error:g} % of them,"
    if smallest >= 1:
        return f"{given} no difference is sure to show: take more of both"
    return f"{given} a difference of {rounded_up(100 * smallest)} points or more will show four times in five"


def _shown(error: float, df: float, pairs: int) -> float:
    """The mean at which a t test with this standard error has the power: a non-central t, its far tail left out."""
    return float(special.nctdtrinc(df, 1 - POWER, special.stdtrit(df, 1 - LEVEL / pairs / 2))) * error


def _check(seeds: int, images: int, disagreement: float) -> None:
    if seeds < 1 or images < 2 or not 0 < disagreement <= 1:
        raise InputError(
            "expected one seed and two test images or more and a disagreement above 0 and up to 1, "
            f"got {seeds}, {images} and {disagreement}"
        )
