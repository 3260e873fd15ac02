"""Learned votes: the best convex ones, on images that the heads were not trained on, recorded and used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.training import run, semi, votes
from littoral.training.loop import Plan, Silent, train
from littoral.training.presets import get_preset
from littoral.training.recipe import Balance
from littoral.training.run import TrainedModel, fit_arm
from littoral.training.stacking import believed_votes
from littoral.training.votes import steps_of_fold

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


def loss(weights: np.ndarray, opinions: np.ndarray, labels: np.ndarray) -> float:
    together = log_softmax(np.tensordot(weights, opinions, 1), axis=1)
    return float(-together[np.arange(len(labels)), labels].mean())


def heads(strengths: list[float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Opinions that point to the label as strongly as is said, in noise of their own."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 400)
    signal = np.eye(4)[labels]
    return np.stack([log_softmax(s * signal + rng.normal(size=(400, 4)), 1) for s in strengths]), labels


def best(opinions: np.ndarray, labels: np.ndarray, believed: list[float], belief: float) -> np.ndarray:
    return believed_votes(opinions, labels, np.ones(len(labels)), np.array(believed), belief)


def test_votes_without_a_belief_are_the_best_of_a_grid() -> None:
    opinions, labels = heads([2.0, 1.5, 1.0])
    found = best(opinions, labels, [1 / 3] * 3, 0.0)
    assert found.sum() == pytest.approx(1)
    assert found.min() >= 0
    grid = [np.array([a, b, 1 - a - b]) for a in np.linspace(0, 1, 51) for b in np.linspace(0, 1 - a, 51)]
    assert loss(found, opinions, labels) <= min(loss(weights, opinions, labels) for weights in grid) + 1e-6


def test_one_head_alone_may_get_nearly_all_votes() -> None:
    opinions, labels = heads([3.0, 0.0, 0.0])
    opinions[1] = log_softmax(-opinions[0], axis=1)  # against all that is right
    np.testing.assert_allclose(best(opinions, labels, [1 / 3] * 3, 1.0), [1, 0, 0], atol=0.02)
    assert best(opinions[:1], labels, [1.0], 1.0).tolist() == [1]


def test_votes_hold_to_what_was_believed_as_much_as_images_are_few() -> None:
    believed = [0.5, 0.25, 0.25]
    opinions, labels = heads([0.0, 3.0, 0.0])
    none, few, many = (best(opinions[:, :n], labels[:n], believed, 10.0) for n in (0, 10, 400))
    np.testing.assert_allclose(none, believed, atol=1e-4)
    assert believed[1] < few[1] < many[1]
    assert few[0] > many[0]
    twice = believed_votes(opinions[:, :10], labels[:10], np.full(10, 2.0), np.array(believed), 20.0)
    np.testing.assert_allclose(twice, few, atol=1e-4)  # an image that counts twice, and a belief as strong


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Votes are learned however few the steps are."""
    monkeypatch.setattr(votes, "LEAST_STEPS", 1)


def fitted(
    store: ImageStore, arm: str, preset: str = "swift", balance: Balance = "none", steps: int = 60, **settings: object
) -> TrainedModel:
    chosen = get_preset(preset)
    recipe = replace(chosen.recipe.lasting(steps=steps, balance=balance), batch_size=32, votes="learned")
    return fit_arm(chosen, arm, recipe, store, 3, CPU, Silent(), **settings)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("arm", "names"), [("fused", ["fused", "shallow", "deep"]), ("fused-late", ["shallow", "deep"])]
)
def test_learned_votes_are_recorded_and_used(small: ImageStore, arm: str, names: list[str]) -> None:
    store = small.subset(np.arange(300))
    model = fitted(store, arm)
    record = model.record["votes"]
    assert (record["folds"], record["images"], record["steps"], record["reason"]) == (3, 300, 12, None)
    assert list(record["votes"]) == names
    np.testing.assert_allclose(model.model.votes, list(record["votes"].values()), atol=1e-6)
    assert sum(record["votes"].values()) == pytest.approx(1)
    assert model.record["train_seconds"] > record["seconds"]
    again = fitted(store, arm)
    assert all(torch.equal(v, again.model.state_dict()[k]) for k, v in model.model.state_dict().items())
    # but for the votes, the weights are those of a training without, of the steps that are left
    assert (model.record["steps"], model.record["history"][-1]["step"], model.recipe.steps) == (60, 48, 60)
    assert not model.record["stopped_early"]
    plain = get_preset("swift")
    recipe = replace(plain.recipe.lasting(steps=48), batch_size=32)
    fixed = fit_arm(plain, arm, recipe, store, 3, CPU, Silent())
    assert "votes" not in fixed.record
    state = fixed.model.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in model.model.state_dict().items() if k != "votes")


@pytest.mark.usefixtures("short")
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


@pytest.mark.usefixtures("short")
def test_where_there_are_no_folds_or_nothing_to_vote_the_votes_stay(small: ImageStore) -> None:
    two_each = np.concatenate([np.flatnonzero(small.labels == label)[:2] for label in range(10)])
    model = fitted(small.subset(two_each), "fused")
    assert model.record["votes"]["votes"] is None
    assert "3 folds need a class to have as many different images" in model.record["votes"]["reason"]
    assert model.model.votes.tolist() == [0.5, 0.25, 0.25]
    assert model.record["steps"] == 60
    assert "votes" not in fitted(small.subset(two_each), "shallow").record


class Told(Silent):
    """Keeps what an observer is told."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.steps: list[int] = []

    def on_start(self, plan: Plan) -> None:
        self.plans.append(plan)

    def on_steps(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        self.steps.append(step)


@pytest.mark.usefixtures("short")
def test_votes_are_followed_as_one_training_before_the_network(small: ImageStore) -> None:
    chosen, told = get_preset("swift"), Told()
    recipe = replace(chosen.recipe.lasting(steps=150), batch_size=32, votes="learned")
    fit_arm(chosen, "fused", recipe, small.subset(np.arange(100)), 3, CPU, told)
    assert [(plan.purpose, plan.steps) for plan in told.plans] == [("votes", 30), ("", 120)]
    assert told.steps == [10, 20, 30, *range(10, 130, 10)]


def test_a_short_training_has_no_steps_for_votes(small: ImageStore) -> None:
    model = fitted(small.subset(np.arange(100)), "fused", "few")
    assert model.record["steps"] == model.record["history"][-1]["step"] == 60
    assert model.record["votes"]["votes"] is None
    assert "60 steps have no share for networks of 3 folds" in model.record["votes"]["reason"]
    assert [steps_of_fold(total) for total in (1, 742, 743, 1500, 30_000)] == [0, 0, 50, 100, 2000]


@pytest.mark.usefixtures("short")
def test_of_many_images_some_of_each_class_are_voted_on(small: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(votes, "MOST_IMAGES", 50)
    assert fitted(small.subset(np.arange(300)), "fused").record["votes"]["images"] == 50


@pytest.mark.usefixtures("short")
def test_votes_count_as_the_training_does(small: ImageStore) -> None:
    """Few images of a class count as much as many, whether drawn as often or weighed so."""
    uneven = small.subset(np.flatnonzero((small.labels != 3) | (np.arange(len(small)) < 60))[:300])
    ways = {way: fitted(uneven, "fused", balance=way).record["votes"]["votes"] for way in ("none", "sampler")}
    assert ways["none"] != ways["sampler"]


@pytest.mark.usefixtures("short")
def test_a_checkpoint_of_another_run_is_refused_before_votes_are_learned(
    small: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"checkpoint": tmp_path / "state", "resume": True}
    fitted(small.subset(np.arange(100)), "fused", **place)
    monkeypatch.setattr(votes, "train", lambda *given, **more: pytest.fail("trained"))
    with pytest.raises(InputError, match="belongs to another run"):
        fitted(small.subset(np.arange(110)), "fused", **place)


@pytest.mark.usefixtures("short")
def test_images_of_weight_0_have_no_say_in_votes(small: ImageStore) -> None:
    few = small.subset(np.arange(200))
    swapped = replace(few, labels=np.where(np.arange(200) < 100, few.labels, (few.labels + 1) % 10))
    weights = (np.arange(200) < 100).astype(float)
    record, other = (fitted(store, "fused", sample_weight=weights).record["votes"] for store in (few, swapped))
    alone = fitted(few.subset(np.arange(100)), "fused", sample_weight=np.ones(100)).record["votes"]
    assert record["images"] == 100
    assert record["votes"] == other["votes"] == alone["votes"]


@pytest.mark.usefixtures("short")
def test_with_images_without_a_label_the_votes_are_not_learned(
    small: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(semi, "ROUNDS", 1)
    model = fitted(small.subset(np.arange(100)), "fused", "few", steps=6, unlabelled=small.images[100:140])
    assert "votes" not in model.record
    assert model.recipe.votes == "fixed"
    assert model.model.votes.tolist() == pytest.approx([0.5, 1 / 6, 1 / 6, 1 / 6])


@pytest.mark.usefixtures("short")
def test_a_time_budget_is_for_votes_and_network_together(small: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_steps_within", lambda *_: 60)
    model = fitted(small.subset(np.arange(300)), "fused", time_budget=60.0)
    assert (model.recipe.steps, model.record["steps"], model.record["votes"]["steps"]) == (60, 60, 12)
    assert fitted(small.subset(np.arange(300)), "deep", time_budget=60.0).record["steps"] == 60
