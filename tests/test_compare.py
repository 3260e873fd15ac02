"""Comparing arms: the same seeds and images for all, each trained as its preset says."""

from __future__ import annotations

import contextlib
import json
import signal
import string
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.studies.compare import compare
from littoral.studies.comparison import Comparison
from littoral.studies.latency import Latency
from littoral.studies.one_run import Done, Study, Task
from littoral.studies.results import ResultsFolder, opened
from littoral.studies.running import one_by_one
from littoral.training.presets import FEW_LABELS, get_preset

pytestmark = pytest.mark.usefixtures("one_thread", "short_clock")


@pytest.fixture(scope="module")
def short_clock() -> Iterator[None]:
    """Latencies of one call in place of a median of several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("littoral.studies.latency.REPEATS", 1)
        yield


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
    assert [(pair["a"], pair["b"]) for pair in document["pairs"]] == [
        ("fused", b) for b in ("shallow", "deep", "matched")
    ]
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


def test_compare_takes_a_preset_of_ones_own(small: ImageStore) -> None:
    own = replace(get_preset("tiny"), name="own", recipe=replace(get_preset("tiny").recipe, batch_size=32))
    result = compare(small, own, ["deep"], seeds=1, steps=2, labels_per_class=5)
    assert result.settings["preset"] == "own"
    assert result.settings["recipe"] == asdict(own.recipe.lasting(steps=2))


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


def test_what_is_beside_is_refused_before_presets_are_tried(small: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("littoral.studies.auto.choose_preset", lambda *_: pytest.fail("tried"))
    with pytest.raises(InputError, match="unknown preset 'artcle'"):
        compare(small, "auto", beside=["artcle:deep"])


def test_a_comparison_needs_two_test_images(small: ImageStore) -> None:
    one = small.subset(np.r_[0:100, 640])
    with pytest.raises(InputError, match=r"needs two test images or more, and .+ has 1: add some, or name one arm"):
        compare(one, "tiny", ["shallow", "deep"], seeds=1, steps=1)
    assert compare(one, "tiny", ["deep"], seeds=1, steps=1).complete


def test_compare_refuses_numbers_that_cannot_be(small: ImageStore) -> None:
    with pytest.raises(InputError, match="seeds must be at least 1, got 0"):
        compare(small, seeds=0)
    with pytest.raises(InputError, match="a seed is a whole number from 0 up, got -1"):
        compare(small, first_seed=-1, labels_per_class=2)
    with pytest.raises(InputError, match="different names"):
        compare(small, arms=["deep", "deep"])
    with pytest.raises(InputError, match="asked for 900 labels per class"):
        compare(small, labels_per_class=900)


# --- a folder: what it keeps, and going on from it ---

tried = partial(compare, preset="tiny", arms=["shallow", "deep"], seeds=2, steps=3)
"""Four runs of a moment."""

IN_USE = """
import sys, time
from pathlib import Path
from littoral.studies.results import opened
with opened(Path(sys.argv[1])):
    print("here", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def few_images(small: ImageStore) -> ImageStore:
    return small.subset(np.concatenate([np.arange(100), np.arange(640, 700)]))


@pytest.fixture(scope="module")
def finished(one_thread: None, few_images: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study, to be read only."""
    place = tmp_path_factory.mktemp("finished") / "results"
    tried(few_images, out=place)
    return place


def timeless(result: Comparison) -> dict[str, Any]:
    document = result.to_json()
    for arm in document["arms"]:
        del arm["latency"]
        for run in arm["runs"]:
            del run["seconds"]
    return document


def stopping_after(runs: int) -> Callable[[Comparison], None]:
    def stop(result: Comparison) -> None:
        if sum(len(arm.runs) for arm in result.arms) == runs:
            raise KeyboardInterrupt

    return stop


def test_a_comparison_that_was_cut_off_goes_on_to_the_same_end(
    few_images: ImageStore, finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        tried(few_images, out=tmp_path, on_run=stopping_after(2))
    document = json.loads((tmp_path / "results.json").read_text())
    assert not document["complete"]
    assert [len(arm["runs"]) for arm in document["arms"]] == [1, 1]
    told: list[Comparison] = []
    went_on = tried(few_images, out=tmp_path, on_run=told.append)
    assert [sum(len(arm.runs) for arm in result.arms) for result in told] == [2, 3, 4]  # two were found
    assert timeless(went_on) == timeless(tried(few_images))
    assert json.loads((tmp_path / "results.json").read_text()) == json.loads(json.dumps(went_on.to_json()))
    for arm, seed in ResultsFolder(finished).finished():
        one, other = ResultsFolder(finished).read(arm, seed), ResultsFolder(tmp_path).read(arm, seed)
        assert one.probabilities.tobytes() == other.probabilities.tobytes()
        assert (one.study, one.made) == (other.study, other.made)


def test_what_is_kept_of_a_run(few_images: ImageStore, finished: Path) -> None:
    assert sorted(path.name for path in finished.rglob("*") if path.is_file()) == [
        ".lock",
        "deep-s0.npz",
        "deep-s1.npz",
        "pictures.npz",
        "results.json",
        "shallow-s0.npz",
        "shallow-s1.npz",
    ]
    run = ResultsFolder(finished).read("deep", 1)
    assert run.index.tolist() == list(range(100, 160))
    np.testing.assert_array_equal(run.labels, few_images.labels[run.index])
    assert run.probabilities.shape == (60, 10)
    assert run.probabilities.dtype == np.float32
    assert run.opinions == {}  # one head
    assert run.figures["accuracy"] == run.correct.mean()
    assert run.figures["params"] == tried(few_images, out=finished).arms[1].params
    latency = run.figures["latency"]
    assert latency["batch"] == 250
    assert 0 < latency["batched"] < latency["single"] < 1


def test_names_are_one_for_each_image(few_images: ImageStore) -> None:
    with pytest.raises(InputError, match="names must be one for each of the 160 images that may be named, got 1"):
        compare(few_images, "tiny", seeds=1, names=["only one"])


def test_the_opinion_of_each_head_is_kept(few_images: ImageStore, tmp_path: Path) -> None:
    compare(few_images, "swift", ["fused"], seeds=1, steps=2, out=tmp_path)
    run = ResultsFolder(tmp_path).read("fused", 0)
    assert list(run.opinions) == ["fused", "shallow", "deep"]
    voted = np.exp(
        sum(np.log(run.opinions[name]) * vote for name, vote in zip(run.opinions, (2, 1, 1), strict=True)) / 4
    )
    np.testing.assert_allclose(voted / voted.sum(1, keepdims=True), run.probabilities, atol=1e-5)


def test_more_seeds_and_arms_add_runs_and_fewer_show_what_was_asked(few_images: ImageStore, tmp_path: Path) -> None:
    tried(few_images, arms=["deep"], seeds=1, first_seed=1, out=tmp_path)
    more: list[Comparison] = []
    result = tried(few_images, beside=["tiny:deep@1"], out=str(tmp_path), on_run=more.append)
    assert len(more) == 1 + 5
    assert [[run.seed for run in arm.runs] for arm in result.arms] == [[0, 1]] * 3
    assert (tmp_path / "runs" / "tiny%3adeep%401-s0.npz").exists()
    fewer: list[Comparison] = []
    shown = tried(few_images, arms=["shallow"], seeds=1, first_seed=1, out=tmp_path, on_run=fewer.append)
    assert len(fewer) == 1
    assert shown.complete
    assert shown.arms[0].runs == result.arms[0].runs[1:]
    assert len(ResultsFolder(tmp_path).finished()) == 6


def test_what_two_seeds_tell_is_told_once_every_arm_has_them(few_images: ImageStore) -> None:
    def arm_by_arm(study: Study, tasks: Sequence[Task], latencies: Mapping[str, Latency]) -> Iterator[Done]:
        yield from one_by_one()(study, sorted(tasks, key=lambda task: task.name), latencies)

    told: list[str] = []
    so_far: list[Comparison] = []
    arms = ["fused", "shallow", "deep"]
    result = tried(few_images, arms=arms, seeds=3, runner=arm_by_arm, on_power=told.append, on_run=so_far.append)
    assert told == [result.power_before, result.power_after]
    assert [it.finished for it in so_far if it.power_after is not None] == [8, 9]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 4}, "--steps was 3, is 4: name another folder, or delete"),
        ({"steps": None, "epochs": 2}, "--epochs was not set, is 2; --steps was 3, is not set"),
        ({"labels_per_class": 3}, "--labels-per-class was not set, is 3"),
        ({"preset": "article"}, "--preset was tiny, is article; recipe.batch_size was 64, is 128;"),
        ({"balance": "loss"}, "--balance was none, is loss"),
        ({"arms": ["fused"], "seeds": 1, "first_seed": 7, "steps": 4}, "--steps was 3, is 4"),  # none of these is there
    ],
)
def test_another_option_is_refused(few_images: ImageStore, finished: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match="holds runs of another comparison: ") as refused:
        tried(few_images, out=finished, **changes)
    assert words in str(refused.value)


def test_other_images_code_or_threads_are_refused(
    few_images: ImageStore, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"the SHA-256 of the images was [0-9a-f]{12}…, is [0-9a-f]{12}…: name"):
        tried(few_images.subset(np.arange(159)), out=finished)
    with pytest.raises(InputError, match="the SHA-256 of the images was"):
        tried(replace(few_images, groups=np.arange(160)), out=finished)
    torch.set_num_threads(2)
    try:
        with pytest.raises(InputError, match="comparison: --threads was 1, is 2: name"):
            tried(few_images, out=finished)
    finally:
        torch.set_num_threads(1)
    monkeypatch.setattr("littoral.studies.one_run.__version__", "9.9")
    monkeypatch.setattr("littoral.studies.one_run._code", lambda: "f" * 64)
    with pytest.raises(
        InputError, match=r"littoral was 0.+, is 9\.9; the code of littoral was .+, is ffffffffffff…: name"
    ):
        tried(few_images, out=finished)


def test_other_ties_mean_other_splits_and_are_refused(few_images: ImageStore, tmp_path: Path) -> None:
    loose = replace(few_images, split=None, ties=np.arange(160))
    tried(loose, arms=["deep"], seeds=1, out=tmp_path)
    with pytest.raises(InputError, match=r"of arm deep, training images was .+; of arm deep, test images was"):
        tried(replace(loose, ties=np.arange(160) // 2), arms=["deep"], seeds=1, out=tmp_path)


def test_two_at_once_on_one_folder_refuse_each_other_and_the_dead_hold_nothing(
    few_images: ImageStore, tmp_path: Path
) -> None:
    with opened(tmp_path), pytest.raises(InputError, match="is in use by another run"):
        tried(few_images, out=tmp_path)
    other = subprocess.Popen([sys.executable, "-c", IN_USE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "here\n"
    with pytest.raises(InputError, match=f"{tmp_path} is in use by another run: wait until it ends, or name another"):
        tried(few_images, out=tmp_path)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    assert tried(few_images, arms=["deep"], seeds=1, out=tmp_path).complete


def test_a_damaged_run_is_refused_by_name(few_images: ImageStore, finished: Path, tmp_path: Path) -> None:
    place = ResultsFolder(tmp_path)
    (tmp_path / "runs").mkdir()
    path, whole = place.file("deep", 0), ResultsFolder(finished).file("deep", 0).read_bytes()
    chance = np.random.default_rng(0)
    for number in range(150):
        broken = bytearray(whole[: chance.integers(len(whole))] if number % 3 == 0 else whole)
        if number % 3:  # the heads of the archive's members are at its start and end
            broken[int(chance.integers(400)) * (-1) ** number] ^= 1 << int(chance.integers(8))
        path.write_bytes(broken)
        with contextlib.suppress(InputError):
            read = place.read("deep", 0)  # where the bit was of a date, say
            np.testing.assert_array_equal(read.probabilities, ResultsFolder(finished).read("deep", 0).probabilities)
    path.write_bytes(whole[:-40])
    with pytest.raises(InputError, match=r"deep-s0\.npz is not the whole file of a finished run: delete it, and"):
        tried(few_images, out=tmp_path)
    path.write_bytes(ResultsFolder(finished).file("deep", 1).read_bytes())  # of another seed
    with pytest.raises(InputError, match=r"deep-s0\.npz is not the whole file"):
        tried(few_images, out=tmp_path)
    path.unlink()
    assert tried(few_images, arms=["deep"], seeds=1, out=tmp_path).complete


def test_a_run_holds_nothing_that_is_unpickled(finished: Path, tmp_path: Path) -> None:
    place = ResultsFolder(tmp_path)
    (tmp_path / "runs").mkdir()
    np.savez(place.file("deep", 0), record=np.array([{"arm": "deep"}], object))
    with pytest.raises(InputError, match="is not the whole file"):
        place.read("deep", 0)
    with pytest.raises(ValueError, match="allow_pickle"):
        place.write(replace(ResultsFolder(finished).read("deep", 0), labels=np.array([None])))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), st.integers(0, 2**31))
def test_any_arm_becomes_a_name_that_every_file_system_takes(arm: str, seed: int) -> None:
    name = ResultsFolder(Path("results")).file(arm, seed).name
    assert set(name) <= set(string.ascii_lowercase + string.digits + "%_.-")
    assert not name.endswith(".")


@pytest.mark.parametrize("arm", ["matched-ensemble", "few:fused@1", "Deep", "deep-s1", "ä/..\\b", "con"])
def test_the_name_of_a_run_tells_arm_and_seed(tmp_path: Path, arm: str) -> None:
    place = ResultsFolder(tmp_path)
    (tmp_path / "runs").mkdir()
    place.file(arm, 12).touch()
    (tmp_path / "runs" / "deep-s1 copy.npz").touch()
    assert place.finished() == [(arm, 12)]


# --- image by image ---


def test_the_table_of_seeds_and_images(few_images: ImageStore) -> None:
    result = tried(few_images)
    assert result.one_test_set
    assert result.to_json()["one_test_set"]
    right = result.correct("deep")
    assert right.shape == (2, 60)
    assert right.mean(1).tolist() == [run.accuracy for run in result.arms[1].runs]
    with pytest.raises(InputError, match=r"no arm 'wide' in this comparison: expected one of \['shallow', 'deep'\]"):
        result.correct("wide")


def test_where_each_seed_has_a_test_part_of_its_own_there_is_no_table(few_images: ImageStore) -> None:
    result = tried(replace(few_images, split=None))
    assert not result.one_test_set
    with pytest.raises(InputError, match="each seed was tested on images of its own"):
        result.correct("deep")
    shallow, deep = result.arms
    for one, other in zip(shallow.runs, deep.runs, strict=True):
        np.testing.assert_array_equal(one.index, other.index)
