"""Learning curves of arms: nested budgets, going on in a folder, and what is said of doubling, classes and images."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import jensenshannon

from littoral.errors import InputError
from littoral.evaluation.intervals import wilson
from littoral.evaluation.learning_curve import expected_errors, fit_curve, gain_of_doubling
from littoral.evaluation.paired import holm
from littoral.images.store import ImageStore
from littoral.studies.advice import of_classes, too_few
from littoral.studies.compare import compare
from littoral.studies.curve import curve, default_budgets
from littoral.studies.curve_findings import ClassErrors, class_errors, fits, pairs_of_budgets
from littoral.studies.curve_result import LearningCurve
from littoral.studies.label_next import disagreement, label_next
from littoral.studies.latency import Latency
from littoral.studies.one_run import Task
from littoral.studies.pools import pool_of
from littoral.studies.results import ResultsFolder
from littoral.studies.running import one_by_one
from littoral.studies.runs import Arm, Run
from littoral.training.loop import Observer, Silent

pytestmark = pytest.mark.usefixtures("one_thread", "short_clock")

tried = partial(curve, preset="tiny", arms=["shallow", "deep"], budgets=[2, 4], seeds=2, steps=2)
"""Eight runs of a moment."""


@pytest.fixture(scope="module")
def short_clock() -> Iterator[None]:
    """Latencies of one call in place of a median of several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("littoral.studies.latency.REPEATS", 1)
        yield


@pytest.fixture(scope="module")
def few_images(small: ImageStore) -> ImageStore:
    return small.subset(np.concatenate([np.arange(100), np.arange(640, 700)]))


@pytest.fixture(scope="module")
def finished(short_clock: None, one_thread: None, few_images: ImageStore, tmp_path_factory: Any) -> Path:
    """The folder of a study, to be read only."""
    place: Path = tmp_path_factory.mktemp("finished") / "curve"
    tried(few_images, out=place)
    return place


def points(errors: dict[str, list[list[float]]], budgets: list[int], images: int = 100) -> dict[int, tuple[Arm, ...]]:
    """Arms with these errors, budgets × seeds: the first images of the test set are told wrong."""

    def run(seed: int, error: float) -> Run:
        right = np.arange(images) >= round(error * images)
        return Run(seed, float(right.mean()), images, (0.0, 1.0), 0.5, 0.5, 1.0, np.arange(images), right)

    return {
        budget: tuple(
            Arm(name, 1, 1, Latency(1, 1), tuple(run(seed, error) for seed, error in enumerate(table[row])))
            for name, table in errors.items()
        )
        for row, budget in enumerate(budgets)
    }


# --- training and its folder ---


@pytest.mark.parametrize(
    ("least", "budgets"),
    [
        (1, (1,)),
        (3, (1, 2, 3)),
        (8, (2, 4, 8)),
        (20, (5, 10, 20)),
        (30, (5, 10, 20, 30)),
        (41, (5, 10, 20, 41)),
        (160, (5, 10, 20, 40, 80, 160)),
        (5421, (5, 20, 80, 320, 1280, 5421)),
    ],
)
def test_budgets_where_none_are_named(least: int, budgets: tuple[int, ...]) -> None:
    assert default_budgets(least) == budgets


def test_default_budgets_rise_to_all_there_are() -> None:
    for least in range(1, 3000):
        found = default_budgets(least)
        assert list(found) == sorted(set(found))
        assert found[0] >= 1
        assert found[-1] == least
        assert min(least, 3) <= len(found) <= 6


def test_each_point_is_the_comparison_with_that_budget(few_images: ImageStore) -> None:
    loose = replace(few_images, split=None, ties=np.arange(160))
    found = tried(loose)
    assert found.complete
    assert list(found.points) == [2, 4]
    alone = compare(loose, "tiny", ["shallow", "deep"], seeds=2, steps=2, labels_per_class=4)
    for one, other in zip(found.points[4], alone.arms, strict=True):
        assert one.name == other.name
        assert [run.accuracy for run in one.runs] == [run.accuracy for run in other.runs]
        for run, same in zip(one.runs, found.points[2][0].runs, strict=True):
            np.testing.assert_array_equal(run.index, same.index)  # one test part at all budgets


def test_a_curve_that_was_cut_off_goes_on_to_the_same_end(
    few_images: ImageStore, finished: Path, tmp_path: Path
) -> None:
    def stop(result: LearningCurve) -> None:
        assert not result.complete
        assert result.advice == ()
        if sum(len(arm.runs) for arms in result.points.values() for arm in arms) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tried(few_images, out=tmp_path, on_run=stop)
    assert not json.loads((tmp_path / "results.json").read_text())["complete"]
    assert not (tmp_path / "curve.png").exists()
    trained: list[tuple[str, int | None, int]] = []
    told: list[LearningCurve] = []

    def observer(task: Task) -> Observer:
        trained.append((task.name, task.budget, task.seed))
        return Silent()

    tried(few_images, out=tmp_path, runner=one_by_one(observer), on_run=told.append)
    assert trained == [("deep", 4, 0), *[(arm, budget, 1) for budget in (2, 4) for arm in ("shallow", "deep")]]
    assert told[-1].complete
    assert timeless(tmp_path) == timeless(finished)
    assert (tmp_path / "label_next.csv").read_bytes() == (finished / "label_next.csv").read_bytes()
    Image.open(tmp_path / "curve.png").verify()
    assert ResultsFolder(tmp_path).budgets() == [2, 4]
    assert ResultsFolder(tmp_path).at(4).finished() == [("deep", 0), ("deep", 1), ("shallow", 0), ("shallow", 1)]


def test_more_budgets_add_runs_and_a_lost_model_is_trained_again(few_images: ImageStore, tmp_path: Path) -> None:
    tried(few_images, seeds=1, out=tmp_path)
    (tmp_path / "runs/4/deep-s0.safetensors").unlink()
    told: list[LearningCurve] = []
    more = tried(few_images, seeds=1, budgets=[4, 3, 2], out=tmp_path, on_run=told.append)
    assert list(more.points) == [2, 3, 4]
    assert len(told) == 1 + 3  # two of budget 3, and the one whose model was lost
    assert [len(arms) for arms in more.points.values()] == [2, 2, 2]


def test_nothing_of_an_earlier_call_lies_beside_its_results(few_images: ImageStore, tmp_path: Path) -> None:
    def left(**changes: Any) -> set[str]:
        tried(few_images, seeds=1, out=tmp_path, **changes)
        return {"label_next.csv", "pictures.npz"} & {path.name for path in tmp_path.iterdir()}

    assert left() == {"label_next.csv", "pictures.npz"}
    assert left(unlabelled=few_images.images[:2]) == {"label_next.csv"}  # all of them have a label: it has no rows
    assert left() == {"label_next.csv", "pictures.npz"}
    assert left(arms=["deep"]) == set()


def test_nothing_of_an_earlier_call_lies_beside_results_that_are_not_finished(
    few_images: ImageStore, tmp_path: Path
) -> None:
    def stop(result: LearningCurve) -> None:
        raise KeyboardInterrupt

    written = {"curve.png", "label_next.csv", "pictures.npz"}
    tried(few_images, seeds=1, out=tmp_path)
    assert written < {path.name for path in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        tried(few_images, seeds=2, out=tmp_path, on_run=stop)
    assert not json.loads((tmp_path / "results.json").read_text())["complete"]
    assert not written & {path.name for path in tmp_path.iterdir()}
    tried(few_images, seeds=1, out=tmp_path)
    assert written < {path.name for path in tmp_path.iterdir()}


def test_where_a_larger_budget_means_another_preset_the_refusal_names_the_one_to_go_on_with(
    few_images: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("littoral.training.presets.FEW_LABELS", 3)
    unnamed = partial(curve, few_images, arms=["deep"], seeds=1, steps=1, out=tmp_path)
    unnamed(budgets=[2])
    with pytest.raises(InputError) as refused:
        unnamed(budgets=[2, 4])
    assert str(refused.value) == (
        f"{tmp_path} holds runs of preset few, and with 4 labels a class swift is taken where none is named: "
        "give --preset few, or name another folder"
    )
    assert list(unnamed(preset="few", budgets=[2, 4]).points) == [2, 4]


def test_another_study_is_refused_whatever_its_budget(few_images: ImageStore, finished: Path, tmp_path: Path) -> None:
    for budgets in ([2, 4], [3]):
        with pytest.raises(InputError, match="holds runs of another learning curve: --steps was 2, is 3: name another"):
            tried(few_images, out=finished, steps=3, budgets=budgets)
    said: list[str] = []
    with pytest.raises(InputError, match="holds runs of a learning curve, not of a comparison"):
        compare(few_images, "tiny", ["deep", "fused"], seeds=1, steps=2, out=finished, on_power=said.append)
    assert not said  # no word of what will show, of a comparison that is refused
    compare(few_images, "tiny", ["deep"], seeds=1, steps=2, out=tmp_path)
    with pytest.raises(InputError, match="holds runs of a comparison, not of a learning curve"):
        tried(few_images, out=tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budgets": [2, 900]}, r"asked for 900 labels per class, but a class has \d+ training images; ask for fewer"),
        ({"budgets": [2, 2]}, r"budgets must be one or more different numbers from 1 up, got \[2, 2\]"),
        ({"budgets": [0, 2]}, "different numbers from 1 up"),
        ({"budgets": []}, "one or more"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"first_seed": -1}, "from 0 up, got -1"),
        ({"arms": ["wide"]}, "unknown arm 'wide'"),
        ({"names": ["a"]}, "one for each of the 160 images"),
        ({"unlabelled": np.zeros((3, 28, 28), np.uint8)}, r"\('m', 28, 28, 1\), got uint8 of shape \(3, 28, 28\)"),
    ],
)
def test_what_cannot_be_is_refused_before_training(few_images: ImageStore, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        tried(few_images, runner=lambda *given: pytest.fail("trained"), **changes)


@pytest.mark.parametrize(
    ("budgets", "seeds", "words"),
    [
        (1, 9, ["1 budget will not say what more labels would bring: name 3 or more"]),
        (2, 1, ["2 budgets will not say what more labels would bring: name 3 or more"]),
        (3, 2, ["2 seeds will say what more labels would bring, and not how sure that is: take 3 or more"]),
        (3, 3, []),
    ],
)
def test_what_too_few_budgets_and_seeds_leave_unsaid(budgets: int, seeds: int, words: list[str]) -> None:
    assert too_few(budgets, seeds) == words


def test_it_is_said_before_training(few_images: ImageStore) -> None:
    said: list[str] = []

    def observer(task: Task) -> Observer:
        assert said == ["2 budgets will not say what more labels would bring: name 3 or more"]
        return Silent()

    tried(few_images, seeds=1, runner=one_by_one(observer), on_plan=said.append)


# --- what follows from the points ---


def test_the_fit_of_an_arm_and_the_gain_of_doubling() -> None:
    rng = np.random.default_rng(0)
    budgets = [10, 20, 40, 80]
    errors = [[0.05 + 0.9 * n**-0.5 * (1 + 0.05 * float(rng.standard_normal())) for _ in range(3)] for n in budgets]
    found = fits(points({"deep": errors}, budgets, images=100_000))[0]
    table = np.round(errors, 5)
    assert found.curve.error(80) == pytest.approx(fit_curve(np.array(budgets, float), table, 100_000).error(80))
    places = np.array([place for place, _ in found.band])
    twice = expected_errors(np.array(budgets, float), table, 100_000, places, np.random.default_rng(0))[-1]
    assert found.twice is not None
    assert found.twice.ci95 == pytest.approx(twice.ci95)
    gain = gain_of_doubling(np.array(budgets, float), table, 100_000, np.random.default_rng(0))
    assert found.gain is not None
    assert found.gain.ci95 == pytest.approx(gain.ci95)
    assert [found.band[0][0], found.band[-1][0]] == [10, 160]
    assert fits(points({"deep": errors[:2]}, budgets[:2])) == ()
    assert fits(points({"deep": [row[:2] for row in errors]}, budgets))[0].gain is None


def test_pairs_are_adjusted_over_all_budgets_together() -> None:
    table = {"fused": [[0.1] * 3, [0.05] * 3], "shallow": [[0.3] * 3, [0.1] * 3], "deep": [[0.12] * 3, [0.06] * 3]}
    found = pairs_of_budgets(points(table, [10, 20]), drawn_from=1000)
    assert [[(pair.a, pair.b) for pair in each] for each in found.values()] == [
        [("fused", "shallow"), ("fused", "deep")]
    ] * 2
    family = [pair for each in found.values() for pair in each]
    assert [pair.p_holm for pair in family] == holm([pair.p for pair in family])


def test_errors_by_class() -> None:
    labels = np.repeat([0, 1, 2], (40, 30, 30))
    (arm,) = points({"fused": [[0.1, 0.3]]}, [10])[10]
    found = class_errors(arm, labels, ["a", "b", "c", "absent"])
    assert [each.name for each in found] == ["a", "b", "c"]
    assert (found[0].error, found[0].wrong, found[0].images) == (0.5, 20, 40)
    assert found[0].ci95 == wilson(20, 40)
    assert found[1].error == 0


def test_among_many_classes_none_is_named_by_chance() -> None:
    rng, classes, named = np.random.default_rng(0), 20, 0
    for _ in range(200):
        wrong = rng.binomial(50, 0.1, classes)
        errors = [
            ClassErrors(str(number), count / 50, int(count), 50, wilson(int(count), 50))
            for number, count in enumerate(wrong)
        ]
        named += "need images most" in of_classes("fused", 40, sorted(errors, key=lambda it: -it.error), 0.1)
    assert named <= 20


def test_advice_in_words() -> None:
    table = {
        "fused": [[0.28, 0.3, 0.32], [0.19, 0.2, 0.21], [0.14, 0.15, 0.16]],
        "deep": [[0.58, 0.6, 0.62], [0.49, 0.5, 0.51], [0.14, 0.15, 0.16]],
    }
    found = points(table, [10, 20, 40], images=1000)
    classes = class_errors(found[40][0], np.repeat([0, 1], (300, 700)), ["a", "b"])
    advice = LearningCurve(found, True, {"drawn_from": 1000}, classes).advice
    assert advice[0].startswith("twice the labels: error of fused 15.00 % → 1")
    assert "; 80 labels a class would bring " in advice[0]
    assert advice[1:3] == (
        "with 10 and 20 labels a class fused is better than deep",
        "with 40 labels a class fused is not shown to differ from deep",
    )
    assert advice[3].startswith("classes that need images most, with 40 labels a class: a (50.00 % of 300 images, ")
    assert advice[3].endswith("; over all classes 15.00 %")
    assert advice[4] == "which images to label next takes the arms shallow and deep"


# --- images to label next ---


def test_disagreement_is_the_divergence_of_jensen_and_shannon() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.dirichlet(np.full(5, 0.3), 50), rng.dirichlet(np.full(5, 0.3), 50)
    np.testing.assert_allclose(disagreement(one, other), jensenshannon(one, other, base=2, axis=1) ** 2, atol=1e-12)
    sure = np.eye(2)[[0, 0]]
    assert disagreement(sure, np.eye(2)[[0, 1]]).tolist() == [0, 1]


def test_images_that_the_two_take_for_different_classes() -> None:
    shallow = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.9, 0.1]])
    deep = np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.1, 0.9]])
    found = label_next(shallow, deep, np.array([2, 4, 6, 8]), [f"{row}.png" for row in range(9)], ["cat", "dog"])
    assert found.pool == 4
    assert [(image.row, image.path, image.shallow, image.deep) for image in found.images] == [
        (8, "8.png", "cat", "dog"),
        (4, "4.png", "cat", "dog"),
    ]
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [row["path"] for row in rows] == ["8.png", "4.png"]
    assert float(rows[0]["deep_confidence"]) == 0.9
    assert found.to_json()["disagreed"] == 2


def test_a_pool_has_each_image_once_and_none_that_has_a_label(few_images: ImageStore) -> None:
    new = np.full((2, 28, 28, 1), [[[[7]]], [[[9]]]], np.uint8)
    pool = pool_of(few_images, np.concatenate([few_images.images[:3], new, new]), [0, 1], ())
    assert [rows.tolist() for rows in pool.rows.values()] == [[3, 4]] * 2


def test_the_pool_is_what_the_largest_budget_leaves_over_or_what_is_given(few_images: ImageStore) -> None:
    found = tried(few_images, names=[f"{row}.png" for row in range(160)])
    assert found.label_next is not None
    assert found.label_next.pool == 100 - 4 * 10
    assert all(image.row < 100 and image.path == f"{image.row}.png" for image in found.label_next.images)
    given = tried(few_images, seeds=1, unlabelled=np.zeros((1, 28, 28, 1), np.uint8)).label_next
    assert given is not None
    assert given.pool == 1
    known = tried(few_images, seeds=1, unlabelled=few_images.images[:2])
    assert any("those aside that equal a labelled one" in line for line in known.advice)
    assert tried(few_images, arms=["deep"], seeds=1).label_next is None


# --- the command line ---


def test_the_command(call: Callable, small: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("littoral.images.builtin.load_mnist", lambda: small)
    Path("more").mkdir()
    for number in range(3):
        Image.effect_noise((28, 28), 80 + number).save(f"more/{number}.png")
    Path("more/broken.png").write_bytes(b"none")
    arguments = ("curve", "mnist", "--preset", "tiny", "--steps", "2", "--budgets", "5, 10,20")
    options = ("--arms", "fused,shallow,deep", "--threads", "1", "--unlabelled", "more", "--out", "curve")
    code, out, err = call(*arguments, *options, "--quiet")
    assert code == 0
    assert err.startswith("more: 1 image left out: more/broken.png ")
    for line in (
        r"labels a class +fused +shallow +deep *$",
        r"5 +\d+\.\d\d \(\d+\.\d\d to \d+\.\d\d\) ",
        r"20 +fused - deep +[+-]\d+\.\d\d ",
        r"twice the labels: error of fused \d+\.\d\d % → \d+\.\d\d % \(",
        r"with 20 labels a class fused is ",
    ):
        assert re.search(rf"^{line}", out, re.MULTILINE), line
    document = json.loads(Path("curve/results.json").read_text())
    assert document["complete"]
    assert [(point["budget"], point["arm"]) for point in document["points"]][:4] == [
        *[(5, arm) for arm in ("fused", "shallow", "deep")],
        (10, "fused"),
    ]
    assert document["label_next"]["pool"] == 3
    assert all(image["path"].startswith("more/") for image in document["label_next"]["images"])
    kept = {".lock", "curve.png", "label_next.csv", "pictures.npz", "report.html", "results.json", "runs"}
    assert {path.name for path in Path("curve").iterdir()} == kept
    code, out, err = call(*arguments, *options, "--json")
    assert code == 0
    assert err.splitlines()[-1] == "curve: 27 finished runs found"
    assert json.loads(out)["points"] == document["points"]
    code, out, err = call("curve", "mnist", "--budgets", "5,x")
    assert (code, out) == (2, "")
    assert err == "littoral: --budgets must be numbers of labels a class, such as 10,30,100, got '5,x'\n"


def test_the_docs_name_every_field(finished: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "json.md").read_text()
    section = page[page.index("## results.json of curve") :]
    document = json.loads((finished / "results.json").read_text())
    for field in (*document, *document["points"][0], *document["class_errors"][0]):
        assert f"`{field}`" in section, field


def timeless(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "results.json").read_text())
    for arm in document["arms"]:
        del arm["latency"]
    for point in document["points"]:
        for run in point["runs"]:
            del run["seconds"]
    return document
