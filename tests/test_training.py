"""Training: repeatable to the bit, resumable to the bit, blind to the test part, loud when it diverges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from littoral.errors import InputError, TrainingError
from littoral.images.splits import label_budget, train_test
from littoral.images.store import ImageStore
from littoral.nn.inference import predict_probabilities
from littoral.nn.model import seeded_model
from littoral.training import loop
from littoral.training.feed import class_balanced_weights, order_of
from littoral.training.history import EpochRecord
from littoral.training.loop import Plan, Silent, loss_of
from littoral.training.optim import WeightAverage
from littoral.training.presets import FEW_LABELS, PRESETS, default_preset, get_preset
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel, choose_device, fit_arm

pytestmark = [
    # beartype, which checks the types here, draws at random which items it looks at
    pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies"),
    pytest.mark.usefixtures("one_thread"),
]

CPU = torch.device("cpu")
KINDS = ["article", "swift", "strong", "strong-mirrored", "few"]
"""Presets that train in ways of their own."""


def short(preset: str, **changes: object) -> Recipe:
    """The preset's way of training, for three epochs."""
    return replace(get_preset(preset).recipe.lasting(epochs=3), batch_size=64, **changes)


def fit(store: ImageStore, preset: str = "article", seed: int = 0, **options: object) -> TrainedModel:
    recipe = options.pop("recipe", short(preset))
    observer = options.pop("observer", Silent())
    return fit_arm(get_preset(preset), "fused", recipe, store, seed, CPU, observer, **options)


def assert_same_weights(one: TrainedModel, other: TrainedModel) -> None:
    left, right = one.model.state_dict(), other.model.state_dict()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def differs(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return any(not torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def parts(small: ImageStore) -> tuple[ImageStore, ImageStore]:
    return train_test(small, seed=0)


@pytest.fixture(scope="module")
def some(parts: tuple[ImageStore, ImageStore]) -> ImageStore:
    """300 of the training images: five batches of 64, the last one smaller, or four full ones."""
    return parts[0].subset(np.arange(300))


@pytest.fixture
def short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch of full batches may be as short as one of others."""
    monkeypatch.setattr("littoral.training.recipe.SHORTEST_EPOCH", 1)


@pytest.mark.usefixtures("short_epochs")
@pytest.mark.parametrize("preset", KINDS)
def test_same_seed_same_weights_and_another_seed_others(some: ImageStore, preset: str) -> None:
    one = fit(some, preset)
    torch.manual_seed(99)  # the global generator has no part in it
    assert_same_weights(one, fit(some, preset))
    assert differs(one.model.state_dict(), fit(some, preset, seed=1).model.state_dict())


@pytest.mark.parametrize("preset", KINDS)
def test_two_threads_repeat_to_the_bit_too(some: ImageStore, preset: str) -> None:
    torch.set_num_threads(2)
    try:
        one, other = (fit(some, preset, recipe=replace(short(preset), epochs=None, steps=3)) for _ in range(2))
    finally:
        torch.set_num_threads(1)
    assert_same_weights(one, other)


def test_the_global_generator_is_left_alone(parts: tuple[ImageStore, ImageStore]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(parts[0], recipe=Recipe(steps=2))
    assert torch.equal(torch.rand(3), expected)


def test_it_learns(parts: tuple[ImageStore, ImageStore]) -> None:
    trained = fit(parts[0], recipe=Recipe(epochs=8, batch_size=32), shown=parts[1])
    history = trained.record["history"]
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["shown_accuracy"] > 0.8


@pytest.mark.parametrize("preset", list(PRESETS))
def test_labels_of_the_test_part_change_no_weight(small: ImageStore, preset: str) -> None:
    assert small.split is not None
    of_test = small.split == "test"
    shuffled = small.labels.copy()
    shuffled[of_test] = np.random.default_rng(0).permutation(shuffled[of_test])
    recipe = Recipe(steps=6, batch_size=32)
    weights = []
    for labels in (small.labels, shuffled):
        train_part, test_part = train_test(replace(small, labels=labels), seed=0)
        shown = test_part if get_preset(preset).shows_test_accuracy else None
        weights.append(fit(train_part, preset, recipe=recipe, shown=shown))
    assert not np.array_equal(small.labels, shuffled)
    assert_same_weights(*weights)


class StopIn(Silent):
    """Interrupts a run in the middle of an epoch, as Ctrl-C would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_steps(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("short_epochs")
@pytest.mark.parametrize("preset", KINDS)
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_run_cut_off_in_any_epoch_and_resumed_gives_the_same_weights(
    some: ImageStore, tmp_path: Path, preset: str, epoch: int
) -> None:
    whole = fit(some, preset)
    checkpoint = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        fit(some, preset, observer=StopIn(epoch), checkpoint=checkpoint)
    assert checkpoint.exists() == (epoch > 1)
    resumed = fit(some, preset, checkpoint=checkpoint, resume=True)
    assert_same_weights(whole, resumed)
    assert [e["step"] for e in resumed.record["history"]] == [e["step"] for e in whole.record["history"]]
    assert [e["loss"] for e in resumed.record["history"]] == [e["loss"] for e in whole.record["history"]]


def test_a_checkpoint_of_another_run_is_refused_and_the_difference_named(
    parts: tuple[ImageStore, ImageStore], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "state"
    fit(parts[0], checkpoint=checkpoint)
    with pytest.raises(InputError, match="belongs to another run: --seed was 0, is 1; give the options"):
        fit(parts[0], seed=1, checkpoint=checkpoint, resume=True)
    with pytest.raises(InputError, match=r"run: --epochs was \d+, is 4;"):
        fit(parts[0], recipe=Recipe(epochs=4, batch_size=64), checkpoint=checkpoint, resume=True)
    with pytest.raises(InputError, match=r"the SHA-256 of the images was .+…, is .+…; images was 640, is 600;"):
        fit(parts[0].subset(np.arange(600)), checkpoint=checkpoint, resume=True)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x10\0\0\0\0\0\0\0{}              "])
def test_a_broken_checkpoint_is_refused(parts: tuple[ImageStore, ImageStore], tmp_path: Path, content: bytes) -> None:
    checkpoint = tmp_path / "state"
    checkpoint.write_bytes(content)
    with pytest.raises(InputError, match="checkpoint"):
        fit(parts[0], checkpoint=checkpoint, resume=True)


def test_a_loss_that_is_not_finite_stops_at_its_step(parts: tuple[ImageStore, ImageStore], tmp_path: Path) -> None:
    checkpoint = tmp_path / "state"
    with pytest.raises(TrainingError, match=r"no longer finite at step \d+ "):
        fit(parts[0], recipe=Recipe(epochs=3, batch_size=32, learning_rate=1e18), checkpoint=checkpoint)
    assert not checkpoint.exists()


def test_steps_end_within_an_epoch_and_every_image_is_seen_once_an_epoch(
    parts: tuple[ImageStore, ImageStore],
) -> None:
    class Follow(Silent):
        def __init__(self) -> None:
            self.epochs: list[EpochRecord] = []
            self.plan: Plan | None = None

        def on_start(self, plan: Plan) -> None:
            self.plan = plan

        def on_epoch(self, record: EpochRecord) -> None:
            self.epochs.append(record)

    follow = Follow()
    trained = fit(parts[0], recipe=Recipe(steps=8, batch_size=150), observer=follow)  # 640 = 4 * 150 + 40
    assert follow.plan == Plan(images=640, steps=8, steps_per_epoch=5, start_step=0)
    assert [record.step for record in follow.epochs] == [5, 8]
    assert trained.record["images_seen"] == 640 + 3 * 150


def test_fewer_images_than_a_batch(parts: tuple[ImageStore, ImageStore]) -> None:
    trained = fit(parts[0].subset(np.arange(20)), recipe=Recipe(epochs=2))
    assert trained.record["images_seen"] == 40


@given(st.integers(1, 100), st.integers(1, 20))
@settings(deadline=None, max_examples=40)
def test_full_batches_draw_each_image_once_a_pass(images: int, batch_size: int) -> None:
    recipe = Recipe(epochs=1, batch_size=batch_size, full_batches=True)
    order = order_of(recipe, np.zeros(images, np.int64), np.random.default_rng(0))
    assert recipe.steps_per_epoch(images) == max(images // batch_size, 50)
    assert len(order) == recipe.steps_per_epoch(images) * batch_size
    for start in range(0, len(order), images):
        assert len(np.unique(order[start : start + images])) == len(order[start : start + images])


def test_full_batches_can_be_drawn_from_each_class_alike() -> None:
    labels = np.repeat([0, 1], [190, 10])
    recipe = Recipe(epochs=1, batch_size=20, full_batches=True, balance="sampler")
    assert labels[order_of(recipe, labels, np.random.default_rng(0))].mean() == 0.5


def test_the_images_that_fill_no_batch_are_others_each_time() -> None:
    recipe, labels = Recipe(epochs=1, batch_size=10, full_batches=True), np.zeros(1009, np.int64)
    left_out = [np.setdiff1d(np.arange(1009), order_of(recipe, labels, np.random.default_rng(e))) for e in range(2)]
    assert [len(numbers) for numbers in left_out] == [9, 9]
    assert len(np.intersect1d(*left_out)) < 9


@pytest.mark.parametrize("preset", ["swift", "few"])
@pytest.mark.parametrize("images", [5, 70, 300])
def test_every_batch_is_full_and_every_image_counted(
    some: ImageStore, monkeypatch: pytest.MonkeyPatch, preset: str, images: int
) -> None:
    sizes = []
    monkeypatch.setattr(loop, "loss_of", lambda *given: sizes.append(len(given[1])) or loss_of(*given))
    monkeypatch.setattr("littoral.training.recipe.SHORTEST_EPOCH", 2)
    trained = fit(some.subset(np.arange(images)), preset, recipe=replace(short(preset), epochs=None, steps=5))
    assert sizes == [64] * 5
    assert trained.record["images_seen"] == 5 * 64
    assert [epoch["step"] for epoch in trained.record["history"]] == ([4, 5] if images == 300 else [2, 4, 5])


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_handful_of_images_is_enough_to_train_on(parts: tuple[ImageStore, ImageStore], preset: str) -> None:
    two_each = parts[0].subset(label_budget(parts[0].labels, 2, seed=0))
    for images in (two_each, two_each.subset(np.arange(5))):
        trained = fit(images, preset, recipe=get_preset(preset).recipe.lasting(steps=2))
        assert all(value.isfinite().all() for value in trained.model.state_dict().values())
        predicted = predict_probabilities(trained.model, images.images, trained.image)
        np.testing.assert_allclose(predicted.sum(1), 1, atol=1e-5)


def test_a_pass_over_few_images_goes_on_until_there_were_enough_steps() -> None:
    recipe = replace(get_preset("swift").recipe, batch_size=128, min_steps=400)
    assert recipe.epochs == 1
    assert [recipe.total_steps(images) for images in (6, 6_000, 60_000, 600_000)] == [400, 400, 468, 4687]
    assert recipe.lasting(epochs=2).total_steps(6_000) == 100
    assert recipe.lasting(steps=7).total_steps(6_000) == 7


@pytest.mark.parametrize("preset", ["swift", "few"])
def test_the_presets_of_today_learn_in_a_few_steps(parts: tuple[ImageStore, ImageStore], preset: str) -> None:
    trained = fit(parts[0], preset, recipe=replace(short(preset), epochs=None, steps=80), shown=parts[1])
    assert trained.record["history"][-1]["loss"] < trained.record["history"][0]["loss"]
    predicted = predict_probabilities(trained.model, parts[1].images, trained.image).argmax(1)
    assert (predicted == parts[1].labels).mean() > 0.9


def test_balancing_by_the_loss_weighs_the_images_of_small_classes_more(some: ImageStore) -> None:
    uneven = some.subset(np.flatnonzero((some.labels != 3) | (np.arange(len(some)) < 60)))
    recipe = replace(short("swift"), epochs=None, steps=3)
    plain, balanced = (fit(uneven, "swift", recipe=replace(recipe, balance=way)) for way in ("none", "loss"))
    by_hand = fit(uneven, "swift", recipe=recipe, sample_weight=class_balanced_weights(uneven.labels))
    assert_same_weights(balanced, by_hand)
    assert differs(balanced.model.state_dict(), plain.model.state_dict())
    assert_same_weights(fit(uneven, "swift", recipe=recipe, sample_weight=np.full(len(uneven), 7.0)), plain)


def test_the_weights_that_are_kept_are_the_average_of_those_on_the_way(
    some: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = []

    def watched(self: WeightAverage, model: torch.nn.Module, number: int) -> None:
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        update(self, model, number)

    update = WeightAverage.update
    monkeypatch.setattr(WeightAverage, "update", watched)
    trained = fit(some, "few", recipe=replace(short("few"), epochs=None, steps=6, average=0.3))
    first = seeded_model(trained.model.config, 0).state_dict()
    assert len(states) == 6
    for name, value in trained.model.state_dict().items():
        if not value.is_floating_point():
            assert value == states[-1][name] == 6  # batches that a normalisation has counted
            continue
        by_hand = first[name].double()
        for number, state in enumerate(states, start=1):
            kept = min(0.3, number / (9 + number))
            by_hand = kept * by_hand + (1 - kept) * state[name].double()
        torch.testing.assert_close(value.double(), by_hand, atol=1e-5, rtol=1e-4)


def test_the_record_is_plain_json_and_says_how_the_model_was_made(parts: tuple[ImageStore, ImageStore]) -> None:
    record = fit(parts[0], recipe=Recipe(steps=1)).record
    assert json.loads(json.dumps(record)) == record
    expected = {"preset": "article", "arm": "fused", "seed": 0, "data": "mnist", "images": 640, "device": "cpu"}
    assert expected.items() <= record.items()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"steps": -1}, "steps must be at least 1, got -1"),
        ({"epochs": 1, "steps": 1}, "not both"),
        ({}, "not neither"),
        ({"epochs": 1, "batch_size": 0}, "batch_size"),
        ({"epochs": 1, "learning_rate": float("nan")}, "learning_rate"),
        ({"epochs": 1, "min_steps": -1}, "min_steps"),
        ({"epochs": 1, "weight_decay": -0.1}, "weight_decay"),
        ({"epochs": 1, "weight_decay": float("nan")}, "weight_decay"),
        ({"epochs": 1, "branch_loss": -1.0}, "branch_loss"),
        ({"epochs": 1, "branch_loss": float("nan")}, "branch_loss"),
        ({"epochs": 1, "warmup": 0.0}, "warmup"),
        ({"epochs": 1, "warmup": 1.0}, "warmup"),
        ({"epochs": 1, "label_smoothing": 1.0}, "label_smoothing"),
        ({"epochs": 1, "average": 1.0}, "average"),
        ({"steps": 9, "min_steps": 4}, "min_steps goes with epochs"),
        ({"epochs": 1, "weight_decay": 0.1}, "are adamw's, adam has neither"),
        ({"epochs": 1, "warmup": 0.1}, "are adamw's, adam has neither"),
    ],
)
def test_recipes_that_cannot_be_are_refused(given: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Recipe(**given)


def test_unknown_names_are_refused_with_the_known_ones(parts: tuple[ImageStore, ImageStore]) -> None:
    with pytest.raises(InputError, match="unknown preset 'artcle': expected one of swift, strong, strong-mirrored"):
        get_preset("artcle")
    with pytest.raises(InputError, match="unknown arm 'wide' of preset article: expected one of fused, shallow, deep"):
        fit_arm(get_preset("article"), "wide", Recipe(steps=1), parts[0], 0, CPU, Silent())
    for name in ("tpu9", "meta"):
        with pytest.raises(InputError, match=f"no device '{name}'"):
            choose_device(name)
    with pytest.raises(InputError, match=r"from 0 up, below 2\*\*32, got -1"):
        fit(parts[0], seed=-1)


@pytest.mark.parametrize(
    ("images", "preset"), [(2, "few"), (2 * FEW_LABELS, "few"), (2 * FEW_LABELS + 1, "swift"), (50_000, "swift")]
)
def test_the_default_preset_goes_by_the_number_of_labels_a_class(images: int, preset: str) -> None:
    assert default_preset(np.arange(images) % 2).name == preset
    assert default_preset(np.minimum(np.arange(images), 1)).name == preset  # the mean over classes of any size


def test_a_last_batch_of_one_image_is_trained_on(small: ImageStore) -> None:
    recipe = replace(get_preset("swift").recipe.lasting(steps=2), batch_size=4, full_batches=False)
    trained = fit_arm(get_preset("swift"), "fused", recipe, small.subset(np.arange(5)), 0, CPU, Silent())
    assert all(value.isfinite().all() for value in trained.model.state_dict().values())
