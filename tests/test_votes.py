"""Learned votes: the best convex ones, on images that the heads were not trained on, recorded and used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.training import run, votes
from littoral.training.loop import Silent, train
from littoral.training.presets import get_preset
from littoral.training.run import TrainedModel, fit_arm
from littoral.training.votes import best_votes

pytestmark = pytest.mark.usefixtures("one_thread")


def loss(weights: np.ndarray, opinions: np.ndarray, labels: np.ndarray) -> float:
    together = log_softmax(np.tensordot(weights, opinions, 1), axis=1)
    return float(-together[np.arange(len(labels)), labels].mean())


def heads(strengths: list[float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Opinions that point to the label as strongly as is said, in noise of their own."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 400)
    signal = np.eye(4)[labels]
    return np.stack([log_softmax(s * signal + rng.normal(size=(400, 4)), 1) for s in strengths]), labels


def test_the_best_votes_are_the_best_of_a_grid() -> None:
    opinions, labels = heads([2.0, 1.5, 1.0])
    found = best_votes(opinions, labels)
    assert found.sum() == pytest.approx(1)
    assert found.min() >= 0
    grid = [np.array([a, b, 1 - a - b]) for a in np.linspace(0, 1, 51) for b in np.linspace(0, 1 - a, 51)]
    assert loss(found, opinions, labels) <= min(loss(weights, opinions, labels) for weights in grid) + 1e-9


def test_one_head_alone_may_get_all_votes() -> None:
    opinions, labels = heads([3.0, 0.0, 0.0])
    opinions[1] = log_softmax(-opinions[0], axis=1)  # against all that is right
    np.testing.assert_allclose(best_votes(opinions, labels), [1, 0, 0], atol=0.02)
    assert best_votes(opinions[:1], labels).tolist() == [1]


def fitted(store: ImageStore, arm: str, preset: str = "swift", **settings: object) -> TrainedModel:
    chosen = get_preset(preset)
    recipe = replace(chosen.recipe.lasting(steps=12), batch_size=32, votes="learned")
    return fit_arm(chosen, arm, recipe, store, 3, torch.device("cpu"), Silent(), **settings)


@pytest.mark.parametrize(
    ("arm", "names"), [("fused", ["fused", "shallow", "deep"]), ("fused-late", ["shallow", "deep"])]
)
def test_learned_votes_are_recorded_and_used(small: ImageStore, arm: str, names: list[str]) -> None:
    store = small.subset(np.arange(300))
    model = fitted(store, arm)
    record = model.record["votes"]
    assert (record["folds"], record["images"], record["reason"]) == (3, 300, None)
    assert list(record["votes"]) == names
    np.testing.assert_allclose(model.model.votes, list(record["votes"].values()), atol=1e-6)
    assert sum(record["votes"].values()) == pytest.approx(1)
    assert model.record["train_seconds"] > record["seconds"]
    again = fitted(store, arm)
    assert all(torch.equal(v, again.model.state_dict()[k]) for k, v in model.model.state_dict().items())
    # but for the votes, the weights are those of a training without
    plain = get_preset("swift")
    recipe = replace(plain.recipe.lasting(steps=12), batch_size=32)
    fixed = fit_arm(plain, arm, recipe, store, 3, torch.device("cpu"), Silent())
    assert "votes" not in fixed.record
    state = fixed.model.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in model.model.state_dict().items() if k != "votes")


def test_images_that_belong_together_are_in_one_fold_and_folds_are_short(
    small: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = small.subset(np.arange(120))
    groups = np.arange(120) // 2
    store = replace(store, labels=groups % 10, groups=groups, ties=np.arange(120))
    parts = []

    def watched(model, images, labels, spec, recipe, *rest, **more):  # type: ignore[no-untyped-def]
        parts.append((images, recipe.steps))
        return train(model, images, labels, spec, recipe, *rest, **more)

    monkeypatch.setattr(votes, "train", watched)
    fitted(store, "fused")
    assert [steps for _, steps in parts] == [4, 4, 4]
    for images, _ in parts:
        seen = [(store.images[number] == images).all((1, 2, 3)).any() for number in range(120)]
        assert seen[::2] == seen[1::2]
        assert 0 < sum(seen) < 120


def test_where_there_are_no_folds_or_nothing_to_vote_the_votes_stay(small: ImageStore) -> None:
    two_each = np.concatenate([np.flatnonzero(small.labels == label)[:2] for label in range(10)])
    model = fitted(small.subset(two_each), "fused")
    assert model.record["votes"]["votes"] is None
    assert "3 folds need a class to have as many different images" in model.record["votes"]["reason"]
    assert model.model.votes.tolist() == [0.5, 0.25, 0.25]
    assert "votes" not in fitted(small.subset(two_each), "shallow").record


def test_learned_votes_with_images_without_a_label_are_refused(small: ImageStore) -> None:
    with pytest.raises(InputError, match="learned votes yet"):
        fitted(small.subset(np.arange(100)), "fused", "few", unlabelled=small.images[100:140])


def test_of_a_time_budget_half_is_for_the_votes(small: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_steps_within", lambda *_: 20)
    assert fitted(small.subset(np.arange(300)), "fused", time_budget=60.0).recipe.steps == 10
    assert fitted(small.subset(np.arange(300)), "deep", time_budget=60.0).recipe.steps == 20
