"""Comparing arms: the same seeds and images for all, each trained as its preset says."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.studies.compare import compare
from littoral.training.presets import FEW_LABELS, get_preset

pytestmark = pytest.mark.usefixtures("one_thread")


def test_compare_gives_each_arm_the_same_seeds_and_images(small: ImageStore) -> None:
    partial = []
    result = compare(small, seeds=2, first_seed=4, steps=3, labels_per_class=5, on_run=partial.append)
    assert result.complete
    assert [arm.name for arm in result.arms] == ["fused", "shallow", "deep", "matched"]
    assert all([run.seed for run in arm.runs] == [4, 5] for arm in result.arms)
    assert result.settings["preset"] == "few"
    assert result.settings["train_images"] == 50
    assert result.settings["test_images"] == 200
    document = result.to_json()
    assert document["schema"] == 1
    assert document["pairs"] == []
    assert json.loads(json.dumps(document))["arms"][0]["mean"] == result.arms[0].mean
    assert [len(p.arms) for p in partial] == [1, 2, 3, 4, 4, 4, 4, 4]
    assert [p.complete for p in partial] == [False] * 7 + [True]


def test_compare_equals_the_same_arm_trained_alone(small: ImageStore) -> None:
    alone = compare(small, arms=["deep"], seeds=1, first_seed=1, steps=4)
    beside = compare(small, arms=["shallow", "deep"], seeds=2, steps=4)
    assert alone.arms[0].runs[0].accuracy == beside.arms[1].runs[1].accuracy


def test_compare_takes_the_preset_that_fits_the_number_of_labels(small: ImageStore) -> None:
    number = np.arange(2 * FEW_LABELS + 100)
    images = small.images[number % 600, 10:18, 10:18]
    split = np.where(number < 2 * FEW_LABELS + 20, "train", "test")
    many = ImageStore(images, number % 2, ("a", "b"), split=split)
    for labels_per_class, preset in ((None, "swift"), (FEW_LABELS + 1, "swift"), (FEW_LABELS, "few")):
        result = compare(many, arms=["fused"], seeds=1, steps=1, labels_per_class=labels_per_class)
        assert result.settings["preset"] == preset
        assert result.settings["recipe"] == asdict(get_preset(preset).recipe.lasting(steps=1))


def test_compare_trains_arms_of_other_presets_beside_in_their_own_way(small: ImageStore) -> None:
    others = ("article:deep@1", "tiny:deep@2")
    result = compare(small, "few", ["deep"], seeds=1, steps=2, labels_per_class=5, beside=others)
    assert [arm.name for arm in result.arms] == ["deep", *others]
    assert result.settings["preset"] == "few"
    assert result.settings["recipe"]["steps"] == 2
    assert result.settings["beside"] == {
        "article:deep@1": asdict(get_preset("article").recipe.lasting(epochs=1)),
        "tiny:deep@2": asdict(get_preset("tiny").recipe.lasting(epochs=2)),
    }
    assert result.arms[1].params == 390_410
    alone = compare(small, "tiny", ["deep"], seeds=1, epochs=2, labels_per_class=5)
    assert alone.arms[0].runs[0].accuracy == result.arms[2].runs[0].accuracy
    assert alone.arms[0].macs == result.arms[2].macs


def test_an_arm_beside_lasts_as_long_as_its_preset_says(small: ImageStore) -> None:
    result = compare(small, "few", ["deep"], seeds=1, steps=1, labels_per_class=2, balance="loss", beside=["tiny:deep"])
    tiny = get_preset("tiny").recipe
    assert result.settings["beside"] == {"tiny:deep": asdict(replace(tiny, balance="loss"))}
    assert result.complete


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        (["article"], "expected PRESET:ARM or PRESET:ARM@EPOCHS, such as article:fused@1, got 'article'"),
        (["article:"], "expected PRESET:ARM"),
        (["a:b:c"], "expected PRESET:ARM"),
        (["article:fused@"], "expected PRESET:ARM"),
        (["article:fused@-1"], "expected PRESET:ARM"),
        ([""], "expected PRESET:ARM"),
        (["article:fused@0"], "epochs must be at least 1, got 0"),
        (["artcle:fused"], "unknown preset 'artcle'"),
        (["article:wide"], "unknown arm 'wide' of preset article"),
        (["article:deep", "article:deep"], "different names"),
    ],
)
def test_compare_refuses_what_it_cannot_train_beside(small: ImageStore, beside: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        compare(small, arms=["deep"], seeds=1, steps=1, beside=beside)


def test_compare_refuses_numbers_that_cannot_be(small: ImageStore) -> None:
    with pytest.raises(InputError, match="seeds must be at least 1, got 0"):
        compare(small, seeds=0)
    with pytest.raises(InputError, match="a seed is a whole number from 0 up, got -1"):
        compare(small, first_seed=-1, labels_per_class=2)
    with pytest.raises(InputError, match="different names"):
        compare(small, arms=["deep", "deep"])
    with pytest.raises(InputError, match="asked for 900 labels per class"):
        compare(small, labels_per_class=900)
