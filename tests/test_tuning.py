"""Fine-tuning: which stages learn and how fast, and that it is kept where held-out labels say so and only there."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

import littoral as lt
from littoral.deploy.network import network_graph
from littoral.deploy.onnx_file import onnx_file
from littoral.deploy.parity import odd_images, require_parity
from littoral.errors import InputError
from littoral.fit_file import fit_file
from littoral.images.store import ImageStore
from littoral.model_file import load_model
from littoral.nn import networks
from littoral.nn.backbone import BackboneConfig
from littoral.nn.cost import config_cost
from littoral.nn.efficientnet_lite import TAPS
from littoral.nn.inference import predict_probabilities
from littoral.nn.model import weightless_model
from littoral.nn.stages import stages_of
from littoral.training import presets
from littoral.training.feature_arms import arms_of_backbone
from littoral.training.loop import Silent
from littoral.training.presets import Preset, get_arm, get_preset
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel, calibrated, fit_arm
from littoral.training.tensorboard import TensorBoard
from littoral.training.tuning import TUNING, Tuning, finetuned, stages_to_learn
from littoral.tried_tuning import TriedTuning, judged

pytestmark = pytest.mark.usefixtures("one_thread", "mine")

Call = Callable[..., tuple[int, str, str]]
CPU = torch.device("cpu")
SHORT = Tuning("all", replace(TUNING, steps=60, learning_rate=2e-3))
LAYERS = {"early": "network.module.early.weight", "late": "network.module.late.weight"}


@pytest.fixture(scope="module")
def module() -> nn.Module:
    """Somebody's network, which sees eight numbers of an image and knows nothing of these classes."""
    torch.manual_seed(0)
    layers = OrderedDict(
        early=nn.Conv2d(3, 8, 8),
        norm=nn.BatchNorm2d(8),
        late=nn.Conv2d(8, 6, 1),
        act=nn.Tanh(),
        after=nn.Conv2d(6, 2, 1),
    )
    network = nn.Sequential(layers)
    with torch.no_grad():
        network(torch.rand(64, 3, 8, 8))
    return network


@pytest.fixture
def mine(module: nn.Module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Preset:
    """A preset like transfer on that network."""
    monkeypatch.setenv("LITTORAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(networks, "OWN", {})
    lt.register_network("blind", module, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    backbone = BackboneConfig("blind", taps=("early", "act"), pools=("mean",))
    preset = replace(get_preset("transfer"), name="mine", arms=arms_of_backbone(("moments",), backbone), largest=8)
    monkeypatch.setattr(presets, "PRESETS", {**presets.PRESETS, "mine": preset})
    return preset


@pytest.fixture(scope="module")
def faint() -> ImageStore:
    """Noise with one of two faint patterns in it, that no number of the network's is about; a part of it to test on."""
    rng = np.random.default_rng(0)
    labels = np.arange(340) % 2
    pattern = rng.choice([-1, 1], (8, 8, 3))
    images = 128 + 10 * (2 * labels - 1)[:, None, None, None] * pattern + rng.normal(0, 40, (340, 8, 8, 3))
    split = np.where(np.arange(340) < 240, "train", "test")
    return ImageStore(images.clip(0, 255).astype(np.uint8), labels, ("less", "more"), split=split)


@pytest.fixture(scope="module")
def senseless(faint: ImageStore) -> ImageStore:
    """The same images, labelled at random."""
    return replace(faint, labels=np.random.default_rng(1).permutation(faint.labels))


def fitted(
    data: ImageStore, preset: Preset, place: Path, told: list[str] | None = None, **other: object
) -> TrainedModel:
    lines: list[str] = [] if told is None else told
    given = {"tuning": SHORT, "tell": lines.append} | other
    return fit_file(data, preset, "fused", preset.recipe, place / "m", 0, None, CPU, Silent(), False, **given)


def deep(trained: TrainedModel) -> dict[str, torch.Tensor]:
    return trained.model.branches["deep"].state_dict()


def test_it_is_kept_where_it_helps(faint: ImageStore, mine: Preset, tmp_path: Path, module: nn.Module) -> None:
    told: list[str] = []
    tuned = fitted(faint, mine, tmp_path, told)
    found = tuned.record["tuning"]
    assert found["tried"]
    assert found["kept"]
    assert found["learning"] == {"deep": ("early", "act")}
    assert found["held_out"] == 80
    assert found["tuned"] > found["probe"] + 0.05
    assert round(80 * (found["tuned"] - found["probe"])) == found["only_tuned"] - found["only_probe"]
    assert 0 < found["p"] < 0.05
    assert told[0].startswith("tuning deep.early and deep.act: 60 steps of 32 images on 160 images, judged on 80; if")
    assert told[1] == found["why"]
    plain = fitted(faint, mine, tmp_path, tuning=None)
    assert plain.record["tuning"] is None
    assert tuned.record["test"]["accuracy"] > plain.record["test"]["accuracy"] + 0.05
    assert tuned.record["steps"] == tuned.recipe.steps == 60
    assert tuned.record["train_seconds"] >= found["seconds"] > 0

    # batch normalisation keeps what it knew; the head is one linear layer on the features as they are
    for name, value in module.norm.named_buffers():
        assert torch.equal(deep(tuned)[f"network.module.norm.{name}"], value)
    assert not torch.equal(deep(tuned)[LAYERS["early"]], deep(plain)[LAYERS["early"]])
    assert [type(layer) for layer in tuned.model.head.layers] == [nn.Linear]

    again = load_model(tmp_path / "m") if fitted(faint, mine, tmp_path) else None
    assert again is not None
    assert again.model.config.branches["deep"].tuned
    assert config_cost(again.model.config) == config_cost(plain.model.config)
    for model in (again, tuned):  # made anew it is the same to the bit, and so it is when read
        assert np.array_equal(
            predict_probabilities(model.model, faint.images, model.image),
            predict_probabilities(tuned.model, faint.images, tuned.image),
        )


def test_curves_are_of_the_fit_and_of_the_tuning_that_is_kept_one_after_the_other(
    faint: ImageStore, mine: Preset, tmp_path: Path
) -> None:
    curves = TensorBoard(tmp_path / "curves")
    tuned = fitted(faint, mine, tmp_path, curves=curves, calibrate="folds")
    curves.close()
    assert tuned.record["tuning"]["kept"]
    drawn = EventAccumulator(str(tmp_path / "curves"))
    drawn.Reload()
    images = [(event.step, event.value) for event in drawn.Scalars("plan/images")]
    fit = tuned.record["history"][0]["step"]
    assert images == [(0, 240), (fit, 240)]
    assert drawn.Scalars("epochs/loss")[-1].step == fit + tuned.record["steps"]


def test_it_is_not_kept_where_labels_are_random(senseless: ImageStore, mine: Preset, tmp_path: Path) -> None:
    tuned, plain = fitted(senseless, mine, tmp_path), fitted(senseless, mine, tmp_path, tuning=None)
    found = tuned.record["tuning"]
    assert found["tried"]
    assert not found["kept"]
    assert found["why"].startswith("not kept: of 80 training images held out, the probe told ")
    assert tuned.model.config == plain.model.config
    assert tuned.recipe == plain.recipe
    assert tuned.record["test"] == plain.record["test"]
    one, other = tuned.model.state_dict(), plain.model.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert len(tuned.record["history"]) == 1


@pytest.mark.parametrize(
    ("only_tuned", "only_probe", "kept"), [(5, 0, True), (4, 0, False), (9, 2, True), (9, 3, False)]
)
def test_a_coin_that_fell_so_by_chance_keeps_nothing(only_tuned: int, only_probe: int, kept: bool) -> None:
    probe, tuned = np.zeros(40, bool), np.zeros(40, bool)
    tuned[:only_tuned], probe[20 : 20 + only_probe] = True, True
    found = judged(TriedTuning("all", {}), probe, tuned)
    assert (found.tried, found.kept, found.only_tuned, found.only_probe) == (True, kept, only_tuned, only_probe)
    assert judged(found, tuned, probe).kept is False
    assert judged(found, probe, probe).p == 1


def test_labels_of_the_test_part_change_nothing(faint: ImageStore, mine: Preset, tmp_path: Path) -> None:
    labels = faint.labels.copy()
    labels[240:] = 1 - labels[240:]
    one, other = (fitted(data, mine, tmp_path) for data in (faint, replace(faint, labels=labels)))
    assert one.record["tuning"]["p"] == other.record["tuning"]["p"]
    assert one.record["test"]["accuracy"] == pytest.approx(1 - other.record["test"]["accuracy"])
    state = other.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in one.model.state_dict().items())


def test_only_the_stages_asked_for_learn_and_the_deeper_the_faster(faint: ImageStore, mine: Preset) -> None:
    part = faint.subset(np.arange(60))
    probe = fit_arm(mine, "fused", mine.recipe, part, 0, CPU, Silent())
    before = {name: value.clone() for name, value in probe.model.state_dict().items()}
    moved = {}
    for stages in ("last", "all"):
        tuned = finetuned(probe, Tuning(stages, replace(TUNING, steps=1)), part, 0, CPU, Silent())
        moved[stages] = {
            layer: float((deep(tuned)[name] - before[f"branches.deep.{name}"]).abs().max())
            for layer, name in LAYERS.items()
        }
        after = tuned.model.state_dict()
        assert torch.equal(after["branches.deep.network.module.after.weight"], module_state(before, "after.weight"))
        assert not torch.equal(after["head.layers.0.weight"], before["head.layers.0.weight"])
    assert moved["last"]["early"] == 0
    assert 0 < moved["all"]["early"] < moved["all"]["late"]
    # a first step of Adam is as long as the rate: here the peak, times a share for each stage from the head down
    np.testing.assert_allclose(moved["all"]["late"] / moved["all"]["early"], 1 / 0.7, rtol=0.05)
    assert all(torch.equal(value, before[name]) for name, value in probe.model.state_dict().items())


def module_state(state: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    return state[f"branches.deep.network.module.{name}"]


def test_stages_are_told_by_what_a_tap_needs(mine: Preset) -> None:
    branch = BackboneConfig(taps=("stage5", "top"))
    stages = stages_of(branch, (3, 40, 40))
    assert tuple(stages) == TAPS
    network = weightless_model(get_arm(get_preset("transfer"), "deep", (3, 40, 40), 3)).branches["deep"].network
    assert [name for names in stages.values() for name in names] == [name for name, _ in network.named_parameters()]
    assert stages["top"] == ("top.weight", "top.bias")
    assert stages["stem"] == ("stem.weight", "stem.bias")
    assert all(name.startswith("stages.3.") for name in stages["stage4"])
    config = get_arm(get_preset("transfer"), "fused", (3, 40, 40), 3)
    assert stages_to_learn(config, "last") == {"deep": ("top",)}
    assert stages_to_learn(config, "taps") == {"deep": TAPS[1:]}
    assert stages_to_learn(config, "all") == {"deep": TAPS}
    assert stages_to_learn(get_arm(get_preset("transfer"), "only-stage3", (3, 40, 40), 3), "all") == {"deep": TAPS[:4]}
    own = stages_of(BackboneConfig("blind", taps=("late", "act")), (3, 8, 8))
    assert {name: [p.split(".")[1] for p in names] for name, names in own.items()} == {
        "late": ["early"] * 2 + ["norm"] * 2 + ["late"] * 2  # and `act` has no weights
    }


def test_too_few_labels_to_judge_are_said(faint: ImageStore, mine: Preset, tmp_path: Path) -> None:
    told: list[str] = []
    trained = fitted(faint, mine, tmp_path, told, tuning=Tuning("last", replace(TUNING, steps=2)))
    assert trained.record["tuning"]["tried"]
    few = faint.subset(np.concatenate([np.arange(60), np.arange(240, 340)]))
    found = fitted(few, mine, tmp_path, told).record["tuning"]
    assert (found["tried"], found["kept"], found["held_out"], found["probe"]) == (False, False, 0, None)
    assert told[-1] == "not tuned: 20 images would judge, which says nothing below 30"
    lonely = faint.subset(np.concatenate([np.arange(0, 200, 2), [1, 3], np.arange(240, 340)]))
    assert "3 folds need a class" in fitted(lonely, mine, tmp_path).record["tuning"]["why"]


def test_a_calibration_by_folds_tunes_too(faint: ImageStore, mine: Preset, tmp_path: Path) -> None:
    tuned = fitted(faint, mine, tmp_path, calibrate="folds")
    assert tuned.record["tuning"]["kept"]
    assert tuned.calibration is not None
    assert tuned.calibration.images == 240
    answers = calibrated(load_model(tmp_path / "m"))
    assert answers.temperature == tuned.calibration.temperature


def test_a_tuned_model_is_exported(faint: ImageStore, tmp_path: Path) -> None:
    preset, part = (
        get_preset("transfer"),
        ImageStore(np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), np.uint8), np.arange(12) % 2, ("a", "b")),
    )
    small = replace(preset, arms=arms_of_backbone(("moments",), BackboneConfig(taps=("stage1",))))
    probe = fit_arm(small, "fused", small.recipe, part, 0, CPU, Silent())
    tuned = finetuned(probe, Tuning("all", replace(TUNING, steps=2)), part, 0, CPU, Silent())
    graph = onnx_file(tuned, network_graph(calibrated(tuned), tuned.image))
    require_parity(graph, calibrated(tuned), tuned.image, odd_images(tuned.image, 4))


def test_the_command_line_says_what_became_of_it(faint: ImageStore, tmp_path: Path, call: Call) -> None:
    data = tmp_path / "faint.npz"
    np.savez(data, images=faint.images, labels=faint.labels, split=faint.split)
    common = ("fit", data, "--preset", "mine", "--out", tmp_path / "m", "--calibrate", "none")
    code, out, err = call(*common, "--tune", "all", "--steps", "20", "--json")
    assert code == 0, err
    printed = json.loads(out)
    assert set(printed["tuning"]) == {
        "stages", "learning", "tried", "kept", "held_out", "probe", "tuned", "only_probe", "only_tuned", "p", "seconds",
        "why",
    }  # fmt: skip
    assert printed["tuning"]["tried"]
    assert "tuning deep.early and deep.act: 20 steps of 32 images on 160 images" in err
    assert printed["tuning"]["why"] in err
    code, out, _ = call(*common, "--tune", "last", "--steps", "2", "--quiet")
    assert "\ntuning last: " in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--preset", "mine", "--tune", "top"), "--tune must be one of last, taps, all"),
        (("--preset", "mine", "--tune", "last", "--slim"), "leave --slim and --resume out"),
        (("--preset", "mine", "--tune", "last", "--resume"), "leave --slim and --resume out"),
        (("--tune", "last"), "give --preset transfer"),
        (("--preset", "auto", "--tune", "last"), "give --preset transfer"),
        (("--preset", "swift", "--tune", "last"), "arm fused of preset swift has no pretrained network to be tuned"),
        (("--preset", "probe", "--tune", "last"), "arm fused of preset probe has no pretrained network to be tuned"),
        (("--preset", "transfer", "--arm", "shallow", "--tune", "all"), "arm shallow of preset transfer has no pret"),
        (("--preset", "mine", "--arm", "probe", "--tune", "all"), "arm probe of preset mine has no pretrained network"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_images_are_read(
    tmp_path: Path, call: Call, options: tuple[str, ...], words: str
) -> None:
    code, _, err = call("fit", tmp_path / "nothing", "--out", tmp_path / "m", *options)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1


def test_in_python(faint: ImageStore, mine: Preset, tmp_path: Path) -> None:
    X, y = faint.images[:240], faint.labels[:240]
    tuned = lt.FusionClassifier("mine", tune="all", steps=100, random_state=0).fit(X, y, sample_weight=np.ones(240))
    assert tuned.model_.record["tuning"]["kept"]
    assert tuned.score(faint.images[240:], faint.labels[240:]) > 0.8
    tuned.save(tmp_path / "m")
    again = lt.load(tmp_path / "m")
    assert (again.tune, again.steps) == ("all", 100)
    assert np.array_equal(again.predict_proba(X), tuned.predict_proba(X))
    with pytest.raises(InputError, match="tune must be None or one of last, taps, all, got 'first'"):
        lt.FusionClassifier("mine", tune="first").fit(X, y)
    with pytest.raises(InputError, match="tune trains on a pretrained network: give preset transfer"):
        lt.FusionClassifier(tune="last").fit(X, y)
    with pytest.raises(InputError, match="arm fused of preset probe has no pretrained network"):
        lt.FusionClassifier("probe", tune="last").fit(X, y)
    probe = fit_arm(mine, "fused", mine.recipe, faint.subset(np.arange(60)), 0, CPU, Silent())
    with pytest.raises(InputError, match="rates of their own are for adamw"):
        finetuned(probe, Tuning("all", Recipe(steps=1)), faint.subset(np.arange(60)), 0, CPU, Silent())
