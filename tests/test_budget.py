"""A time budget: steps are set once by the clock, and the run is then the one that those steps give."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import littoral as lt
from littoral.images.store import ImageStore
from littoral.model_file import load_model
from littoral.nn.inference import predict_opinions
from littoral.training import run, votes
from littoral.training.loop import Silent
from littoral.training.optim import OneCycleAdamW
from littoral.training.presets import get_preset
from littoral.training.run import TrainedModel, fit_arm

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@dataclass
class Clock:
    """A clock that only steps of training move; `becomes`: (number of the step, its seconds from there on)."""

    step_seconds: float
    becomes: tuple[int, float] = (10**9, 0.0)
    now: float = 1000.0
    steps: int = 0

    def tick(self) -> None:
        self.steps += 1
        self.now += self.becomes[1] if self.steps > self.becomes[0] else self.step_seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """20 ms a step, whatever the machine does."""
    clock, step = Clock(0.02), OneCycleAdamW.step

    def stepped(self: OneCycleAdamW, number: int) -> None:
        step(self, number)
        clock.tick()

    monkeypatch.setattr(OneCycleAdamW, "step", stepped)
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr("littoral.training.recipe.SHORTEST_EPOCH", 5)
    return clock


@pytest.fixture(scope="module")
def store(small: ImageStore) -> ImageStore:
    """100 images of 14 × 14."""
    return ImageStore(np.ascontiguousarray(small.images[:100, ::2, ::2]), small.labels[:100], small.class_names)


def fit(
    store: ImageStore, preset: str = "few", seed: int = 0, steps: int | None = None, **options: object
) -> TrainedModel:
    chosen = get_preset(preset)
    observer = options.pop("observer", Silent())
    return fit_arm(chosen, "fused", chosen.recipe.lasting(steps=steps), store, seed, CPU, observer, **options)


def assert_same_weights(one: TrainedModel, other: TrainedModel) -> None:
    left, right = one.model.state_dict(), other.model.state_dict()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("preset", ["few", "swift"])
def test_the_budget_becomes_steps_and_those_steps_alone_give_the_same_weights(
    clock: Clock, store: ImageStore, preset: str
) -> None:
    start = clock.now
    timed = fit(store, preset, time_budget=1.0)
    assert 0.85 < clock.now - start <= 1.0  # the warm-up counts too
    record = timed.record
    assert record["time_budget"] == 1.0
    assert not record["stopped_early"]
    assert timed.recipe.steps == record["steps"] == record["history"][-1]["step"] > 30
    assert record["images_seen"] == record["steps"] * timed.recipe.batch_size
    again = fit(store, preset, steps=record["steps"])
    assert again.recipe == timed.recipe
    assert again.record["time_budget"] is None
    assert_same_weights(timed, again)


def test_votes_and_the_telling_of_images_for_them_are_within_the_budget(
    clock: Clock, store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(model, images, spec):  # type: ignore[no-untyped-def]
        clock.now += 0.002 * len(images)
        return predict_opinions(model, images, spec)

    monkeypatch.setattr(votes, "LEAST_STEPS", 2)
    monkeypatch.setattr(votes, "predict_opinions", slow)
    monkeypatch.setattr(run, "predict_opinions", slow)
    start = clock.now
    timed = fit(store, time_budget=1.0)
    assert 0.85 < clock.now - start <= 1.04
    record = timed.record
    assert record["votes"]["steps"] > 3
    assert timed.recipe.steps == record["steps"] == record["history"][-1]["step"] + record["votes"]["steps"]
    assert not record["stopped_early"]
    assert_same_weights(timed, fit(store, steps=record["steps"]))


def test_a_run_on_a_machine_that_became_slow_is_stopped_near_the_budget_and_says_so(
    clock: Clock, store: ImageStore
) -> None:
    clock.becomes, start = (40, 0.04), clock.now
    stopped = fit(store, time_budget=2.0)
    assert 2.0 < clock.now - start < 1.06 * 2.0  # one step is 2 % of this budget
    assert stopped.record["stopped_early"]
    assert stopped.record["steps"] < stopped.recipe.steps
    assert stopped.record["images_seen"] == stopped.record["steps"] * stopped.recipe.batch_size
    assert all(value.isfinite().all() for value in stopped.model.state_dict().values())


def test_a_run_is_not_stopped_by_a_clock_without_a_budget(clock: Clock, store: ImageStore) -> None:
    clock.becomes = (3, 100.0)
    assert not fit(store, steps=8).record["stopped_early"]


@pytest.mark.parametrize("seconds", [1e-9, 0.01, 0.1])
def test_a_budget_too_small_for_anything_gives_one_step(clock: Clock, store: ImageStore, seconds: float) -> None:
    trained = fit(store, time_budget=seconds)
    assert trained.recipe.steps == trained.record["steps"] == 1
    assert_same_weights(trained, fit(store, steps=1))


class StopIn(Silent):
    """Interrupts a run in the middle of an epoch, as Ctrl-C would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_steps(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


def test_a_run_that_goes_on_keeps_the_steps_that_were_set(clock: Clock, store: ImageStore, tmp_path: Path) -> None:
    whole = fit(store, time_budget=1.0)
    with pytest.raises(KeyboardInterrupt):
        fit(store, time_budget=1.0, observer=StopIn(3), checkpoint=tmp_path / "state")
    clock.step_seconds, before = 0.5, clock.steps  # such a machine would have set fewer
    resumed = fit(store, time_budget=1.0, checkpoint=tmp_path / "state", resume=True)
    assert resumed.recipe == whole.recipe
    assert clock.steps - before == whole.recipe.steps - 10  # two epochs were done, and nothing is measured again
    assert_same_weights(resumed, whole)


def test_a_classifier_keeps_to_its_budget_by_the_real_clock(store: ImageStore, tmp_path: Path) -> None:
    start = time.perf_counter()
    classifier = lt.FusionClassifier("few", time_budget=0.5, random_state=0).fit(store.images, store.labels)
    assert time.perf_counter() - start < 5  # the preset's own thousand steps take longer
    steps = classifier.model_.record["steps"]
    assert 1 <= steps <= classifier.model_.recipe.steps
    classifier.save(tmp_path / "m")
    assert load_model(tmp_path / "m").record["time_budget"] == 0.5
    assert lt.load(tmp_path / "m").get_params()["steps"] == classifier.model_.recipe.steps


def test_a_classifier_takes_numpys_numbers_as_a_budget(clock: Clock, store: ImageStore, tmp_path: Path) -> None:
    for seconds in (np.float32(0.5), np.int64(1)):
        classifier = lt.FusionClassifier("few", time_budget=seconds, random_state=0).fit(store.images, store.labels)
        classifier.save(tmp_path / "m")
        assert lt.load(tmp_path / "m").model_.record["time_budget"] == seconds


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf"), "5"])
def test_a_budget_that_is_no_positive_number_is_refused(store: ImageStore, seconds: object) -> None:
    with pytest.raises(lt.InputError, match=r"time.budget"):
        lt.FusionClassifier("few", time_budget=seconds).fit(store.images, store.labels)


@pytest.mark.parametrize("length", [{"epochs": 1}, {"steps": 3}])
def test_a_budget_beside_another_length_is_refused(store: ImageStore, length: dict[str, int]) -> None:
    with pytest.raises(lt.InputError, match="give no epochs and no steps beside it"):
        lt.FusionClassifier("few", time_budget=5.0, **length).fit(store.images, store.labels)


# --- the command line ---


@pytest.fixture
def data(store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    np.savez("digits.npz", images=store.images, labels=store.labels)
    return "digits.npz"


def test_the_command_says_how_many_steps_the_budget_came_to(call: Callable, clock: Clock, data: str) -> None:
    code, out, err = call(
        "fit", data, "--time-budget", "1", "--calibrate", "none", "--quiet", "--json", "--out", "timed"
    )
    assert code == 0
    assert "stopped" not in err
    document = json.loads(out)
    assert not document["stopped_early"]
    assert document["steps"] == load_model(Path("timed")).recipe.steps > 30
    assert load_model(Path("timed")).record["time_budget"] == 1
    code, out, _ = call(
        "fit", data, "--steps", str(document["steps"]), "--calibrate", "none", "--quiet", "--out", "again"
    )
    assert code == 0
    assert f"({document['steps']} steps)" in out
    assert_same_weights(load_model(Path("timed")), load_model(Path("again")))


def test_the_command_says_when_it_stopped_early(call: Callable, clock: Clock, data: str) -> None:
    clock.becomes = (20, 0.1)
    code, out, err = call("fit", data, "--time-budget", "1", "--calibrate", "none", "--quiet", "--json", "--out", "m")
    assert code == 0
    document = json.loads(out)
    assert document["stopped_early"]
    assert f"stopped at step {document['steps']} of {load_model(Path('m')).recipe.steps}: the machine became" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--time-budget", "0"],
        ["--time-budget", "-3"],
        ["--time-budget", "nan"],
        ["--time-budget", "inf"],
        ["--time-budget", "soon"],
        ["--time-budget", "5", "--steps", "3"],
        ["--time-budget", "5", "--epochs", "3"],
    ],
)
def test_the_command_refuses_a_budget_that_cannot_be_in_one_line(
    call: Callable, data: str, arguments: list[str]
) -> None:
    code, out, err = call("fit", data, *arguments, "--quiet")
    assert (code, out) == (2, "")
    assert err.startswith("littoral: ")
    assert "--time-budget" in err
    assert err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["digits.npz"]
