"""Presets that train nothing: features are computed once, and every command fits one linear layer to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import littoral as lt
from littoral.cli.interrupt import Interrupted
from littoral.errors import InputError
from littoral.images.seen import seen_in
from littoral.images.splits import label_budget, train_test
from littoral.images.store import ImageStore
from littoral.model_file import load_model
from littoral.nn import weights
from littoral.nn.backbone import Backbone
from littoral.nn.calibrated import CalibratedNet
from littoral.nn.fixed.scattering import ScatteringBranch
from littoral.nn.inference import (
    answers_from_vectors,
    branch_vectors,
    predict_answers,
    predict_from_vectors,
    predict_probabilities,
)
from littoral.studies.compare import compare
from littoral.studies.curve import curve
from littoral.training import choose, loop, presets
from littoral.training.beforehand import can_be_beforehand, features_beforehand
from littoral.training.checkpoint import save_checkpoint
from littoral.training.loop import Silent
from littoral.training.presets import get_arm, get_preset
from littoral.training.run import fit_arm

pytestmark = pytest.mark.usefixtures("one_thread")

Call = Callable[..., tuple[int, str, str]]
CPU = torch.device("cpu")


def none_right(preset, part, *_):  # type: ignore[no-untyped-def]
    """In place of a training: it tells no image right, and had all its steps."""
    return np.zeros(len(part), bool), 1.0


def all_right(preset, part, *_):  # type: ignore[no-untyped-def]
    return np.ones(len(part), bool), 1.0


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LITTORAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def stripes() -> ImageStore:
    """Colour images of 16 × 16 in three classes: stripes down, stripes across and none, in noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    waves = np.sin(np.arange(16) * 2 + rng.uniform(0, 6, (60, 1)))[:, :, None]
    clean = np.where(
        (labels == 0)[:, None, None], waves, np.where((labels == 1)[:, None, None], waves.swapaxes(1, 2), 0)
    )
    images = 120 + 40 * clean[..., None] + rng.normal(0, 40, (60, 16, 16, 3))
    return ImageStore(images.clip(0, 255).astype(np.uint8), labels.astype(np.int64), ("down", "across", "none"))


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each pass through a backbone or a scattering branch has seen."""
    seen: list[int] = []
    for module in (Backbone, ScatteringBranch):
        forward = module.forward

        def counted(self, x, forward=forward):  # type: ignore[no-untyped-def]
            seen.append(len(x))
            return forward(self, x)

        monkeypatch.setattr(module, "forward", counted)
    return seen


@pytest.mark.parametrize("preset", ["probe", "transfer"])
def test_features_computed_beforehand_are_those_of_the_network(stripes: ImageStore, preset: str) -> None:
    chosen = get_preset(preset)
    arms = [arm for arm in ("fused", "deep", "taps", "only-stage3", "only-hog") if arm in chosen.arms]
    configs = {arm: get_arm(chosen, arm, stripes.spec().shape, 3) for arm in arms}
    rows = np.array([3, 5, 8, 13, 21, 50])
    assert all(can_be_beforehand(config) for config in configs.values())
    known = features_beforehand(list(configs.values()), stripes.images, rows, stripes.spec(), "stripes", CPU)
    assert len(known.taps) == len(configs["fused"].branches)  # one pass through the network serves all arms
    part = stripes.subset(rows[[4, 1, 2, 0]])
    for arm, config in configs.items():
        trained = fit_arm(chosen, arm, chosen.recipe, stripes.subset(np.arange(12)), 0, CPU, Silent())
        vectors = known.of(config, rows[[4, 1, 2, 0]])
        np.testing.assert_allclose(vectors, branch_vectors(trained.model, part.images, part.spec()), atol=2e-4)
        np.testing.assert_allclose(
            predict_from_vectors(trained.model, vectors),
            predict_probabilities(trained.model, part.images, part.spec()),
            atol=2e-3,
        )


def test_a_model_answers_from_features_as_from_images(stripes: ImageStore) -> None:
    chosen = get_preset("probe")
    trained = fit_arm(chosen, "shallow", chosen.recipe, stripes.subset(np.arange(30)), 0, CPU, Silent())
    assert any(spec.height is not None for spec in trained.model.config.fused_specs().values())  # maps are among them
    net, vectors = CalibratedNet(trained.model), branch_vectors(trained.model, stripes.images, trained.image)
    np.testing.assert_allclose(
        answers_from_vectors(net, vectors).probabilities,
        predict_answers(net, stripes.images, trained.image).probabilities,
        atol=1e-5,
    )


def test_a_comparison_and_a_curve_see_each_image_once(stripes: ImageStore, passes: list[int]) -> None:
    result = compare(stripes, "probe", seeds=2)
    assert [arm.name for arm in result.arms] == ["fused", "shallow", "deep"]
    assert max(arm.mean for arm in result.arms) > 0.7
    # each of the 60 images once; what comes after measures how long a prediction takes
    assert passes[0] == 60
    del passes[:]
    found = curve(stripes, "probe", budgets=[2, 8], seeds=2)
    assert sorted(found.points) == [2, 8]
    assert found.label_next is not None
    assert 60 not in passes  # from the cache
    again = compare(stripes, "probe", ["only-hog", "probe"], seeds=1)
    assert [arm.name for arm in again.arms] == ["only-hog", "probe"]


def folder(place: Path, stripes: ImageStore) -> Path:
    for number, (image, label) in enumerate(zip(stripes.images, stripes.labels, strict=True)):
        (place / stripes.class_names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / stripes.class_names[label] / f"{number}.png")
    return place


def test_fit_evaluate_and_predict(
    stripes: ImageStore, tmp_path: Path, call: Call, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, whole, slim = folder(tmp_path / "photos", stripes), tmp_path / "whole", tmp_path / "slim"
    code, out, _ = call("fit", photos, "--preset", "transfer", "--out", whole, "--json", "--quiet")
    first = json.loads(out)
    assert code == 0
    assert first["features_seconds"] > 0
    assert first["steps"] == 0
    assert first["images_seen"] == sum(passes) - first["test"]["n"]
    assert sum(passes) == 60
    code, out, _ = call("fit", photos, "--preset", "transfer", "--slim", "--out", slim, "--json", "--quiet")
    assert code == 0
    assert json.loads(out)["test"] == first["test"]
    assert sum(passes) == 60  # the features were there
    assert slim.stat().st_size < whole.stat().st_size / 10
    record = load_model(slim).record
    assert set(record["probe"]["groups"]) >= {"hog", "lbp", "colours", "moments", "deep_stage7", "deep_top"}
    files = [photos / "down" / "0.png", photos / "across" / "1.png"]
    answers = [
        json.loads(call("predict", model, *files, "--json", "--quiet")[1])["predictions"] for model in (whole, slim)
    ]
    assert answers[0] == answers[1]
    assert json.loads(call("evaluate", slim, photos, "--json", "--quiet")[1])["accuracy"] == first["test"]["accuracy"]

    code, _, err = call("fit", photos, "--preset", "transfer", "--arm", "shallow", "--slim", "--out", tmp_path / "x")
    assert code == 2
    assert "arm shallow of preset transfer has no frozen pretrained weights" in err
    monkeypatch.setattr(weights, "_place", lambda published: None)
    for command in ("fit", "compare", "curve"):
        code, _, err = call(command, tmp_path / "nothing", "--preset", "transfer", "--quiet")
        assert code == 2
        assert err.count("\n") == 1
        assert "pip install 'littoral[pretrained]'" in err
    with pytest.raises(InputError, match="littoral\\[pretrained\\]"):
        lt.FusionClassifier("transfer").fit(["no such file"], [0])


@pytest.mark.parametrize("preset", ["probe", "transfer"])
def test_a_classifier_without_training(stripes: ImageStore, preset: str, tmp_path: Path) -> None:
    classifier = lt.FusionClassifier(preset).fit(stripes.images[:30], stripes.labels[:30])
    assert classifier.score(stripes.images[30:], stripes.labels[30:]) > 0.6
    classifier.save(tmp_path / "m")
    again = lt.load(tmp_path / "m")
    assert np.array_equal(again.predict(stripes.images), classifier.predict(stripes.images))
    one = lt.FusionClassifier(preset).fit(stripes.images[:3], stripes.labels[:3])  # one label a class
    assert "one label a class" in one.model_.record["probe"]["why"]


def test_auto_takes_what_tells_most_of_the_training_images_right(
    stripes: ImageStore, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "SECONDS", 3.0)
    monkeypatch.setattr(weights, "_place", lambda published: None)  # so that transfer cannot be
    code, out, err = call(
        "fit", folder(tmp_path / "photos", stripes), "--preset", "auto", "--out", tmp_path / "m", "--json"
    )
    assert code == 0, err
    told = json.loads(out)["auto"]
    assert set(told["accuracies"]) == {"few", "probe"}
    assert told["preset"] == max(told["accuracies"], key=told["accuracies"].get) == json.loads(out)["preset"]
    assert told["images"] == 48  # the training part
    assert "by 3-fold cross-validation on 48 training images" in err
    assert "transfer was not tried: efficientnet-lite0 has no weights here" in err

    few = choose.choose_preset(stripes.subset(np.arange(3)), 0, CPU)
    assert few.preset == "probe"
    assert "there is nothing to check on" in few.why
    people = np.array([1, 1, 0, 2, 0, 0, 0, 1, 1, 1, 2, 1, 2, 0])  # no two parts of them have both classes each
    of_people = replace(stripes.subset(np.flatnonzero(stripes.labels < 2)[: len(people)]), groups=people)
    of_people = replace(of_people, labels=np.array([0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 1]), class_names=("a", "b"))
    grouped = choose.choose_preset(of_people, 0, CPU)
    assert (grouped.preset, grouped.accuracies) == ("probe", {})
    assert grouped.why.startswith("probe, by rule, as there is nothing to check on: found no 2 folds")
    monkeypatch.setattr(presets, "FEW_LABELS", 10)
    many = choose.choose_preset(stripes, 0, CPU)
    assert (many.preset, many.accuracies) == ("swift", {})


def test_a_time_budget_is_refused_before_features_and_left_out_by_auto(
    stripes: ImageStore, tmp_path: Path, call: Call, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = folder(tmp_path / "photos", stripes)
    code, _, err = call("fit", photos, "--preset", "probe", "--time-budget", "5", "--out", tmp_path / "m", "--quiet")
    assert (code, passes) == (2, [])
    assert err == "littoral: arm fused of preset probe is fitted at once, not in steps: leave the time budget out\n"
    monkeypatch.setattr(choose, "_trained_right", none_right)
    monkeypatch.setattr(choose, "UNTRAINED", ("probe",))
    code, _, err = call("fit", photos, "--preset", "auto", "--time-budget", "5", "--out", tmp_path / "m")
    assert code == 0, err
    assert "preset probe is fitted at once: --time-budget has nothing to cut short" in err
    code, _, err = call("fit", photos, "--preset", "auto", "--steps", "5", "--out", tmp_path / "m")
    assert code == 0, err
    assert "preset probe is fitted at once: --steps has nothing to cut short" in err
    assert compare(stripes, "auto", ["only-hog"], seeds=1, steps=5).settings["recipe"]["steps"] is None
    assert lt.FusionClassifier("auto", time_budget=5).fit(stripes.images, stripes.labels).model_.record["preset"] == (
        "probe"
    )


def test_auto_looks_at_no_label_beyond_the_budget_and_trains_no_longer_than_the_preset(
    stripes: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[np.ndarray] = []

    def looking(preset, part, *_):  # type: ignore[no-untyped-def]
        looked.append(part.images[:])
        return none_right(preset, part)

    monkeypatch.setattr(choose, "UNTRAINED", ("probe",))
    numbered = replace(stripes, images=np.array(stripes.images))
    numbered.images[:, 0, 0, 0] = np.arange(60)
    order = np.random.default_rng(1).permutation(60)
    larger = choose.Larger(numbered.subset(order), np.argsort(order))
    with monkeypatch.context() as patch:
        patch.setattr(choose, "_trained_right", looking)
        choose.choice_for(numbered, 0, 8, CPU, larger)
    train = train_test(numbered, 0)[0]
    budget = train.images[label_budget(train.labels, 8, 0)][:, 0, 0, 0]
    trained_on_larger = train_test(larger.store, 0)[0].images[:, 0, 0, 0]
    assert set(looked[0][:, 0, 0, 0]) == set(budget) & set(trained_on_larger)

    short = replace(get_preset("tiny"), name="few", recipe=get_preset("tiny").recipe.lasting(steps=7))
    monkeypatch.setattr(presets, "PRESETS", presets.PRESETS | {"few": short})
    lengths: list[int] = []

    def followed(*given, **named):  # type: ignore[no-untyped-def]
        model = fit_arm(*given, **named)
        lengths.append(model.record["steps"])
        return model

    monkeypatch.setattr(choose, "fit_arm", followed)
    why = choose.choose_preset(numbered, 0, CPU).why
    assert lengths[:3] == [7, 7, 7]
    assert "(few had at most 20 s a fold); it took" in why


def test_a_checkpoint_is_gone_on_from_by_the_preset_that_was_chosen_and_by_no_other(
    stripes: ImageStore, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets, "PRESETS", presets.PRESETS | {"few": replace(get_preset("tiny"), name="few")})
    monkeypatch.setattr(choose, "_trained_right", all_right)
    monkeypatch.setattr(choose, "UNTRAINED", ("probe",))
    photos, checkpoint = folder(tmp_path / "photos", stripes), tmp_path / "m.checkpoint"
    options = ["--epochs", "2", "--calibrate", "none", "--out", tmp_path / "m", "--json"]

    def cut_off(*state) -> None:  # type: ignore[no-untyped-def]
        save_checkpoint(*state)
        raise Interrupted("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", cut_off)
        assert call("fit", photos, "--preset", "auto", *options)[0] == 130
    left = checkpoint.read_bytes()
    code, _, err = call("fit", photos, "--preset", "probe", *options[2:], "--resume")
    assert code == 2
    assert "m.checkpoint is of another run, as this one, arm fused of preset probe, keeps none" in err
    assert checkpoint.read_bytes() == left
    monkeypatch.setattr(choose, "_trained_right", none_right)
    code, out, err = call("fit", photos, "--preset", "auto", *options, "--resume")
    assert code == 0, err
    told = json.loads(out)
    assert (told["auto"]["preset"], told["auto"]["why"]) == ("few", "few, as in the interrupted run")
    assert not checkpoint.exists()


def test_a_classifier_with_auto_tells_what_chose_it(stripes: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "SECONDS", 2.0)
    monkeypatch.setattr(choose, "MOST_IMAGES", 24)
    classifier = lt.FusionClassifier("auto").fit(stripes.images, stripes.labels)
    told = classifier.model_.record["auto"]
    assert set(told["accuracies"]) == {"few", "probe", "transfer"}
    assert told["preset"] == classifier.model_.record["preset"]
    assert told["images"] == 24


@pytest.mark.parametrize("command", ["compare", "curve"])
def test_a_study_chooses_once(
    stripes: ImageStore, tmp_path: Path, call: Call, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_place", lambda published: None)  # so that transfer cannot be
    looked: list[int] = []

    def looking(preset, part, folds, seed, device):  # type: ignore[no-untyped-def]
        looked.append(len(part))
        return np.zeros(len(part), bool), 1.0

    monkeypatch.setattr(choose, "_trained_right", looking)
    photos, out = folder(tmp_path / "photos", stripes), tmp_path / "out"
    options = ["--preset", "auto", "--arms", "only-hog", "--out", out, "--json"]
    options += ["--budgets", "8"] if command == "curve" else ["--labels-per-class", "9"]
    code, printed, err = call(command, photos, *options, "--seeds", "1")
    assert code == 0, err
    assert looked == [24 if command == "curve" else 27]  # of the training part, no more than the study has
    assert "auto: probe, by 3-fold cross-validation on" in err
    first = json.loads(printed)
    assert first["preset"] == first["auto"]["preset"] == "probe"
    assert first["auto"]["why"] in err
    code, printed, err = call(command, photos, *options, "--seeds", "2")  # goes on, and keeps to it
    assert code == 0, err
    assert len(looked) == 1
    assert "auto: probe, as it was chosen for what is there" in err
    assert json.loads(printed)["auto"] == first["auto"]
    assert first["auto"]["why"] in (out / "report.html").read_text()


def test_in_python_a_study_chooses_too(stripes: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "_trained_right", none_right)
    monkeypatch.setattr(choose, "UNTRAINED", ("probe",))
    result = compare(stripes, "auto", ["only-hog"], seeds=1)
    assert result.settings["preset"] == result.settings["auto"]["preset"] == "probe"
    assert compare(stripes, "probe", ["only-hog"], seeds=1).settings["auto"] is None


def test_transfer_is_tried_on_images_as_large_as_it_is_fitted_on(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (24, 96, 80, 3), np.uint8)
    large = ImageStore(pixels, (np.arange(24) % 2).astype(np.int64), ("a", "b"))
    tried: dict[str, np.ndarray] = {}

    def right(preset, part, folds, seed, device):  # type: ignore[no-untyped-def]
        tried[preset.name] = part.images[:]
        return np.full(len(part), preset.name == "transfer")

    monkeypatch.setattr(choose, "_trained_right", lambda *given: (right(*given), 0.5))
    monkeypatch.setattr(choose, "_fitted_right", right)
    photos, model = folder(tmp_path / "photos", large), tmp_path / "m"
    options = ["--arm", "only-stage1", "--calibrate", "none", "--out", model, "--json"]
    code, _, err = call("fit", photos, "--preset", "auto", *options)
    assert code == 0, err
    assert (
        "few 0.0 %, probe 0.0 %, transfer 100.0 % at 96×80 pixels (few had at most 20 s a fold, enough for 50 % of its"
        in err
    )
    assert {name: images.shape[1:3] for name, images in tried.items()} == {
        "few": (64, 52),
        "probe": (64, 52),
        "transfer": (96, 80),
    }
    trained = load_model(model)
    assert (trained.image.height, trained.image.width) == (96, 80)
    seen = seen_in(
        ImageStore(tried["transfer"], np.zeros(len(tried["transfer"]), np.int64), ("a",)), trained.record["trained_on"]
    )
    assert seen.all()  # none of them is tested on
    tried.clear()
    files = sorted(photos.glob("*/*.png"))
    lt.FusionClassifier("auto", arm="only-stage1", calibrate="none").fit(files, [file.parent.name for file in files])
    assert tried["transfer"].shape == (24, 96, 80, 3)
    assert tried["probe"].shape == (24, 64, 52, 3)
