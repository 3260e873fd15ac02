"""A training as curves in TensorBoard: an observer that writes event files. Whether one is wanted is said by others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from littoral.errors import InputError
from littoral.training.history import EpochRecord
from littoral.training.loop import Observer, Plan


class TensorBoard:
    """Writes `steps/loss`, `steps/accuracy`, `steps/images_per_second`, and `epochs/…` of each epoch, into `folder`.

    Accuracies are shares of 0 to 1, of images that are trained on; the horizontal axis is the number of steps. Several
    trainings in turn, such as a fit and its tuning, are drawn one after the other. The files are closed by `close`.
    Raises InputError where TensorBoard is not installed or the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError("curves need TensorBoard: pip install 'littoral[log]'") from error
        try:
            self.writer = SummaryWriter(str(folder))
        except OSError as error:
            raise InputError(
                f"no curves can be written into {folder}: {error.strerror}; name another folder"
            ) from error
        self.before = self.last = 0  # steps of the trainings before this one, and with its own so far

    def on_start(self, plan: Plan) -> None:
        """Write what there is to train."""
        self.before = self.last
        self._write(plan.start_step, {"plan/images": float(plan.images), "plan/steps": float(plan.steps)})

    def on_steps(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        """Write this epoch's means so far."""
        speed = {"steps/images_per_second": images_per_second}
        self._write(step, {"steps/loss": loss, "steps/accuracy": accuracy} | speed)

    def on_epoch(self, record: EpochRecord) -> None:
        """Write the epoch's means and seconds."""
        means = {"epochs/loss": record.loss, "epochs/accuracy": record.accuracy, "epochs/seconds": record.seconds}
        shown = {} if record.shown_accuracy is None else {"epochs/test_accuracy": record.shown_accuracy}
        self._write(record.step, means | shown)
        self.writer.flush()

    def close(self) -> None:
        """Write what is still held back."""
        self.writer.close()

    def _write(self, step: int, values: dict[str, float]) -> None:
        self.last = self.before + step
        for name, value in values.items():
            self.writer.add_scalar(name, value, self.last)


class Several:
    """Tells several observers, one after the other."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.observers = tuple(observers)

    def on_start(self, plan: Plan) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_start(plan)

    def on_steps(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_steps(epoch, step, loss, accuracy, images_per_second)

    def on_epoch(self, record: EpochRecord) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_epoch(record)
