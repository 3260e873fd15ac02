"""Training: repeatable to the bit, resumable to the bit, blind to the test part, loud when it diverges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from littoral.errors import InputError, TrainingError
from littoral.images.splits import train_test
from littoral.images.store import ImageStore
from littoral.studies.compare import compare
from littoral.training.history import EpochRecord
from littoral.training.loop import Plan, Silent
from littoral.training.presets import PRESETS, get_preset
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel, choose_device, fit_arm

CPU = torch.device("cpu")


def fit(store: ImageStore, preset: str = "article", seed: int = 0, **options: object) -> TrainedModel:
    recipe = options.pop("recipe", Recipe(epochs=3, batch_size=64))
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


def test_same_seed_same_weights_and_another_seed_others(parts: tuple[ImageStore, ImageStore]) -> None:
    one = fit(parts[0])
    torch.manual_seed(99)  # the global generator has no part in it
    assert_same_weights(one, fit(parts[0]))
    assert differs(one.model.state_dict(), fit(parts[0], seed=1).model.state_dict())


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


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_run_cut_off_in_any_epoch_and_resumed_gives_the_same_weights(
    parts: tuple[ImageStore, ImageStore], tmp_path: Path, epoch: int
) -> None:
    whole = fit(parts[0])
    checkpoint = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        fit(parts[0], observer=StopIn(epoch), checkpoint=checkpoint)
    assert checkpoint.exists() == (epoch > 1)
    resumed = fit(parts[0], checkpoint=checkpoint, resume=True)
    assert_same_weights(whole, resumed)
    assert [e["step"] for e in resumed.record["history"]] == [e["step"] for e in whole.record["history"]]
    assert [e["loss"] for e in resumed.record["history"]] == [e["loss"] for e in whole.record["history"]]


def test_a_checkpoint_of_another_run_is_refused_and_the_difference_named(
    parts: tuple[ImageStore, ImageStore], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "state"
    fit(parts[0], checkpoint=checkpoint)
    with pytest.raises(InputError, match="another seed;"):
        fit(parts[0], seed=1, checkpoint=checkpoint, resume=True)
    with pytest.raises(InputError, match="another recipe;"):
        fit(parts[0], recipe=Recipe(epochs=4, batch_size=64), checkpoint=checkpoint, resume=True)
    with pytest.raises(InputError, match="another data_sha256, images;"):
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


def test_the_record_is_plain_json_and_says_how_the_model_was_made(parts: tuple[ImageStore, ImageStore]) -> None:
    record = fit(parts[0], recipe=Recipe(steps=1)).record
    assert json.loads(json.dumps(record)) == record
    expected = {"preset": "article", "arm": "fused", "seed": 0, "data": "mnist", "images": 640, "device": "cpu"}
    assert expected.items() <= record.items()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"steps": -1}, "steps must be at least 1, got -1"),
        ({"epochs": 1, "steps": 1}, "not both"),
        ({}, "not neither"),
        ({"epochs": 1, "batch_size": 0}, "batch_size"),
        ({"epochs": 1, "learning_rate": float("nan")}, "learning_rate"),
    ],
)
def test_recipes_that_cannot_be_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Recipe(**settings)


def test_unknown_names_are_refused_with_the_known_ones(parts: tuple[ImageStore, ImageStore]) -> None:
    with pytest.raises(InputError, match="unknown preset 'artcle': expected one of article, article-prose"):
        get_preset("artcle")
    with pytest.raises(InputError, match="unknown arm 'wide' of preset article: expected one of fused, shallow, deep"):
        fit_arm(get_preset("article"), "wide", Recipe(steps=1), parts[0], 0, CPU, Silent())
    for name in ("tpu9", "meta"):
        with pytest.raises(InputError, match=f"no device '{name}'"):
            choose_device(name)
    with pytest.raises(InputError, match=r"from 0 up, below 2\*\*63, got -1"):
        fit(parts[0], seed=-1)


def test_compare_gives_each_arm_the_same_seeds_and_images(small: ImageStore) -> None:
    partial = []
    result = compare(small, seeds=2, first_seed=4, steps=3, labels_per_class=5, on_run=partial.append)
    assert result.complete
    assert [arm.name for arm in result.arms] == ["fused", "shallow", "deep"]
    assert all([run.seed for run in arm.runs] == [4, 5] for arm in result.arms)
    assert result.settings["train_images"] == 50
    assert result.settings["test_images"] == 200
    document = result.to_json()
    assert document["schema"] == 1
    assert document["pairs"] == []
    assert json.loads(json.dumps(document))["arms"][0]["mean"] == result.arms[0].mean
    assert [len(p.arms) for p in partial] == [1, 2, 3, 3, 3, 3]
    assert [p.complete for p in partial] == [False] * 5 + [True]


def test_compare_equals_the_same_arm_trained_alone(small: ImageStore) -> None:
    alone = compare(small, arms=["deep"], seeds=1, first_seed=1, steps=4)
    beside = compare(small, arms=["shallow", "deep"], seeds=2, steps=4)
    assert alone.arms[0].runs[0].accuracy == beside.arms[1].runs[1].accuracy


def test_compare_refuses_numbers_that_cannot_be(small: ImageStore) -> None:
    with pytest.raises(InputError, match="seeds must be at least 1, got 0"):
        compare(small, seeds=0)
    with pytest.raises(InputError, match="a seed is a whole number from 0 up, got -1"):
        compare(small, first_seed=-1, labels_per_class=2)
    with pytest.raises(InputError, match="different names"):
        compare(small, arms=["deep", "deep"])
    with pytest.raises(InputError, match="asked for 900 labels per class"):
        compare(small, labels_per_class=900)
