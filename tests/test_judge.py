"""Finished runs laid side by side: pairs, and what a comparison of this size can show."""

from __future__ import annotations

from math import ceil, floor

import numpy as np
import pytest

from littoral.evaluation.intervals import mean_over_seeds, wilson
from littoral.evaluation.paired import verdict
from littoral.studies.judge import pairs, power_after, power_before
from littoral.studies.latency import Latency
from littoral.studies.runs import Arm, Run, intervals_in_words, one_test_set


def arm(name: str, accuracy: float, seeds: tuple[int, ...], own_images: bool = False) -> Arm:
    """Runs that get each image right by chance, with this probability."""
    runs = []
    for seed in seeds:
        correct = np.random.default_rng([seed, len(name)]).random(400) < accuracy
        index = np.arange(400) + (1000 * seed if own_images else 0)
        share = float(correct.mean())
        runs.append(Run(seed, share, 400, (0.0, 1.0), share, share, 1.0, index, correct))
    return Arm(name, 1, 1, Latency(1e-3, 1e-4), tuple(runs))


SEEDS = (0, 1, 2)


def test_fused_is_set_against_each_other_arm() -> None:
    found = pairs([arm("shallow", 0.6, SEEDS), arm("fused", 0.9, SEEDS), arm("deep", 0.9, SEEDS)], 800)
    assert [(pair.a, pair.b) for pair in found] == [("fused", "shallow"), ("fused", "deep")]
    assert [pair.method for pair in found] == ["seeds and images"] * 2
    assert verdict(found[0]).startswith("fused better by")
    assert verdict(found[1]).startswith("no difference shown")
    assert found[1].p_holm >= found[1].p


def test_without_fused_the_first_arm_is_judged() -> None:
    (found,) = pairs([arm("deep", 0.9, SEEDS), arm("shallow", 0.6, SEEDS)], 800)
    assert (found.a, found.b) == ("deep", "shallow")


def test_only_seeds_that_both_arms_have_count() -> None:
    (found,) = pairs([arm("fused", 0.9, (0, 1, 2)), arm("deep", 0.6, (2, 1))], 800)
    assert found.runs == 2
    assert pairs([arm("fused", 0.9, (0,)), arm("deep", 0.6, (1,))], 800) == ()
    assert pairs([arm("fused", 0.9, (0,))], 800) == ()


def test_splits_of_their_own_are_compared_by_their_accuracies() -> None:
    fused, deep = arm("fused", 0.9, SEEDS, own_images=True), arm("deep", 0.6, SEEDS, own_images=True)
    (found,) = pairs([fused, deep], 1600)
    assert found.method == "splits"
    assert found.difference == pytest.approx(fused.mean - deep.mean)
    one = pairs([arm("fused", 0.9, (0,), own_images=True), arm("deep", 0.6, (0,), own_images=True)], 1600)
    assert one[0].method == "images"


@pytest.mark.parametrize("own_images", [False, True])
def test_what_will_show_is_said_before_and_after_two_seeds(own_images: bool) -> None:
    before = power_before(5, 2, 1600, 400, not own_images, 0.05)
    assert before.startswith("with 5 seeds and 400 test images, if arms err on 5 % of them, a difference of ")
    assert before != power_before(5, 4, 1600, 400, not own_images, 0.05)  # three pairs, judged together
    arms = [arm("fused", 0.9, (0, 1), own_images), arm("deep", 0.8, (0, 1), own_images)]
    after = power_after(arms, 5, 1600)
    assert after.startswith("with 5 seeds and 400 test images a difference of ")
    assert after.endswith(" points or more will show four times in five, to judge by 2 of them")
    assert "disagreed" in power_after([arms[0], arms[0]], 5, 1600)


@pytest.mark.parametrize(
    ("seeds", "said"), [((0,), "this one seed"), ((0, 1), "these 2 seeds, on the same test images")]
)
def test_one_seed_or_two_say_what_new_images_would_do(seeds: tuple[int, ...], said: str) -> None:
    few = arm("fused", 0.9, seeds)
    assert (few.ci95_over, few.ci95) == (
        "images",
        (
            wilson(floor(400 * few.mean), 400)[0],
            wilson(ceil(400 * few.mean), 400)[1],
        ),
    )
    assert intervals_in_words(len(seeds), True) == f"over test images, for {said}: other seeds may differ by more"


@pytest.mark.parametrize("own_images", [False, True])
def test_three_seeds_say_what_new_seeds_would_do(own_images: bool) -> None:
    many = arm("fused", 0.9, SEEDS, own_images)
    assert many.ci95_over == "seeds"
    assert many.ci95 == pytest.approx(mean_over_seeds([run.accuracy for run in many.runs]))
    tested = "each on a test part of its own" if own_images else "on the same test images"
    assert intervals_in_words(3, one_test_set([many])) == f"of the mean over 3 seeds, {tested}"


def test_seeds_that_share_their_test_images_count_as_these_images_do() -> None:
    """Twenty runs of one network, each tested on a random fifth of the same 200 images."""
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        right = rng.random(200) < 0.8
        parts = [rng.permutation(200)[:40] for _ in range(20)]
        runs = [Run(0, right[part].mean(), 40, (0.0, 1.0), 0.0, 0.0, 1.0, part, right[part]) for part in parts]
        low, high = Arm("fused", 1, 1, Latency(1e-3, 1e-4), tuple(runs)).ci95
        held.append(low <= 0.8 <= high)
    assert np.mean(held) > 0.92
