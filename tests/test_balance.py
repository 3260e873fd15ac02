"""Classes of unequal size: weights in the loss, balanced draws, and what `auto` makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_sample_weight

from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.model_file import load_model
from littoral.rows import ImageRows
from littoral.training.feed import balanced_order, class_balanced_weights, feed
from littoral.training.loop import Silent
from littoral.training.presets import get_preset
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel, fit_arm

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
labels_of_any_balance = st.lists(st.integers(0, 4), min_size=1, max_size=200).map(np.array)


@given(labels_of_any_balance)
def test_weights_are_scikit_learns(labels: np.ndarray) -> None:
    np.testing.assert_allclose(class_balanced_weights(labels), compute_sample_weight("balanced", labels))


@given(labels_of_any_balance, st.integers(0, 999))
def test_a_balanced_order_draws_classes_alike_and_each_image_before_any_again(labels: np.ndarray, seed: int) -> None:
    order = balanced_order(labels, np.random.default_rng(seed))
    assert len(order) == len(labels)
    counts = np.unique(labels[order], return_counts=True)[1]
    assert counts.max() - counts.min() <= 1 or len(counts) < len(np.unique(labels))
    for label in np.unique(labels):
        drawn = np.bincount(order, minlength=len(labels))[labels == label]
        assert drawn.max() - drawn.min() <= 1


def test_auto_weighs_where_the_largest_class_has_over_twice_the_smallest() -> None:
    auto = Recipe(epochs=1, balance="auto")
    assert auto.balanced_for(np.repeat([0, 1], [20, 10])).balance == "none"
    assert auto.balanced_for(np.repeat([0, 1], [21, 10])).balance == "loss"
    assert Recipe(epochs=1, balance="sampler").balanced_for(np.repeat([0, 1], [21, 10])).balance == "sampler"
    object.__setattr__(auto, "balance", "yes")  # the type checker of the tests would stop it in the constructor
    with pytest.raises(InputError, match="balance must be one of none, loss, sampler, auto, got 'yes'"):
        auto.__post_init__()


@pytest.fixture(scope="module")
def rare(mnist: ImageStore) -> tuple[ImageStore, ImageStore]:
    """Ten images of a 9 among 600 of 4s, which look like them; and 400 of each to test on."""
    fours, nines = (np.flatnonzero(mnist.labels[:60_000] == digit) for digit in (4, 9))
    train = mnist.subset(np.concatenate([fours[:600], nines[:10]]))
    test = mnist.subset(np.concatenate([fours[1000:1400], nines[1000:1400]]))
    return train, test


def fitted(store: ImageStore, balance: str, weights: np.ndarray | None = None) -> TrainedModel:
    preset = get_preset("tiny")
    recipe = Recipe(steps=150, batch_size=32, learning_rate=3e-3, balance=balance)  # type: ignore[arg-type]
    return fit_arm(preset, "fused", recipe, store, 0, CPU, Silent(), sample_weight=weights)


def test_balancing_finds_more_of_a_rare_class(rare: tuple[ImageStore, ImageStore]) -> None:
    from littoral.evaluate_model import evaluate_model

    found = {
        balance: evaluate_model(fitted(rare[0], balance), rare[1]).per_class[9].recall
        for balance in ("none", "loss", "sampler")
    }
    assert found["loss"] > found["none"] + 0.1
    assert found["sampler"] > found["none"] + 0.1


def test_an_image_of_weight_zero_has_no_say_and_weights_have_no_unit(rare: tuple[ImageStore, ImageStore]) -> None:
    store = rare[0]
    weights = np.where(store.labels == 9, 0.0, 1.0)
    wrong = ImageStore(
        np.where((store.labels == 9)[:, None, None, None], 255 - store.images, store.images),
        store.labels,
        store.class_names,
    )
    one, other = fitted(store, "none", weights), fitted(wrong, "none", 7 * weights)
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name])


def test_weights_that_cannot_be_are_refused(rare: tuple[ImageStore, ImageStore]) -> None:
    n = len(rare[0])
    for weights in (np.ones(n - 1), -np.ones(n), np.full(n, np.nan)):
        with pytest.raises(InputError, match=f"sample_weight must be {n} finite numbers from 0 up"):
            fitted(rare[0], "none", weights)
    with pytest.raises(InputError, match="0 for every image"):
        fitted(rare[0], "none", np.zeros(n))


def test_images_in_a_file_are_fed_as_those_in_memory(mnist: ImageStore) -> None:
    images = mnist.images[:50]
    batch = torch.tensor([3, 0, 49])
    rows = ImageRows(images, np.arange(50))
    read_only = images[:]
    read_only.flags.writeable = False
    for held in (images.copy(), rows, read_only):
        assert np.array_equal(feed(held, CPU)(batch).numpy(), images[[3, 0, 49]])


def test_the_command_says_how_it_balanced_and_gives_fair_figures(
    call: Callable, rare: tuple[ImageStore, ImageStore], tmp_path: Path
) -> None:
    store = rare[0]
    np.savez(tmp_path / "rare.npz", images=store.images, labels=store.labels)
    out = tmp_path / "m"
    arguments = ("--preset", "tiny", "--steps", "9", "--quiet", "--json")
    code, text, _ = call(
        "fit", tmp_path / "rare.npz", *arguments, "--balance", "auto", "--calibrate", "none", "--out", out
    )
    assert code == 0
    assert json.loads(text)["balance"] == "loss"
    assert {"balanced_accuracy", "macro_f1"} <= json.loads(text)["test"].keys()
    assert load_model(out).recipe.balance == "loss"
    compared = json.loads(call("compare", tmp_path / "rare.npz", *arguments, "--seeds", "1", "--balance", "sampler")[1])
    assert {"mean_balanced_accuracy", "mean_macro_f1"} <= compared["arms"][0].keys()
    assert compared["recipe"]["balance"] == "sampler"
    code, _, err = call("fit", tmp_path / "rare.npz", "--balance", "yes")
    assert (code, err) == (2, "littoral: --balance must be one of none, loss, sampler, auto, got 'yes'\n")
