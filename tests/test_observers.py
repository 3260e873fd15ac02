"""Who follows a training: an observer of a user's own, and TensorBoard."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import littoral as lt
from littoral.images.store import ImageStore
from littoral.training.history import EpochRecord
from littoral.training.loop import Plan
from littoral.training.tensorboard import TensorBoard

pytestmark = pytest.mark.usefixtures("one_thread")


class Tracker(lt.Observer):
    """It follows epochs alone; the other methods are the protocol's, which do nothing."""

    def __init__(self) -> None:
        self.seen: list[EpochRecord] = []

    def on_epoch(self, record: EpochRecord) -> None:
        self.seen.append(record)


def test_an_observer_of_ones_own_is_told_each_epoch(small: ImageStore) -> None:
    tracker = Tracker()
    X, y = small.images[:640], small.labels[:640]
    classifier = lt.FusionClassifier(preset="tiny", epochs=2, random_state=0).fit(X, y, observer=tracker)
    alone = lt.FusionClassifier(preset="tiny", epochs=2, random_state=0).fit(X, y)
    assert [record.epoch for record in tracker.seen] == [1, 2]
    assert tracker.seen[-1].loss == classifier.model_.record["history"][-1]["loss"]
    assert (classifier.predict_proba(X) == alone.predict_proba(X)).all()
    assert tracker.on_start(Plan(1, 1, 1, 0)) is None


def test_curves_for_tensorboard(
    call: Callable, small: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("littoral.images.builtin.load_mnist", lambda: small)
    common = ("mnist", "--preset", "tiny", "--quiet", "--log", f"tensorboard:{tmp_path / 'curves'}")
    assert call("fit", *common, "--epochs", "2", "--out", tmp_path / "m")[0] == 0
    curves = EventAccumulator(str(tmp_path / "curves"))
    curves.Reload()
    losses = curves.Scalars("epochs/loss")
    assert [event.step for event in losses] == [10, 20]
    assert losses[0].value > losses[1].value > 0
    assert {"steps/accuracy", "steps/images_per_second", "plan/steps"} <= set(curves.Tags()["scalars"])

    longer = ("--epochs", "2", "--out", tmp_path / "m2", "--log", f"tensorboard:{tmp_path / 'folds'}")
    assert call("fit", *common, *longer, "--calibrate", "folds")[0] == 0
    folds = EventAccumulator(str(tmp_path / "folds"))
    folds.Reload()
    assert [event.step for event in folds.Scalars("epochs/loss")] == [10, 20]  # and not those of the calibration

    assert call("compare", *common, "--steps", "2", "--seeds", "1", "--arms", "fused,deep")[0] == 0
    assert {path.name for path in (tmp_path / "curves").iterdir() if path.is_dir()} == {"fused-s0", "deep-s0"}


def test_curves_that_cannot_be_are_refused(call: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("curves", "tensorboard:", "wandb:x"):
        code, _, err = call("fit", "mnist", "--log", text, "--out", tmp_path / "m")
        assert (code, err.count("\n")) == (2, 1)
        assert f"--log must be tensorboard:DIR, with the folder that the curves go into, got '{text}'" in err
    (tmp_path / "file").touch()
    with pytest.raises(lt.InputError, match="no curves can be written into"):
        TensorBoard(tmp_path / "file")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(lt.InputError, match=r"pip install 'littoral\[log\]'"):
        TensorBoard(tmp_path)
