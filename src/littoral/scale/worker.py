"""What a worker of a Ray cluster does that trains one network with others: the loop, on its part of every batch.

Who asks for it, starts the workers and keeps what comes of it is `training.py`.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from littoral.differing import differences
from littoral.errors import InputError, LittoralError
from littoral.memory import keep_freed_memory
from littoral.nn.model import FusionNet
from littoral.rows import ImageRows
from littoral.scale.storage import is_there
from littoral.specs import ImageSpec
from littoral.studies.one_run import software
from littoral.training.history import EpochRecord
from littoral.training.loop import Checkpointing, Plan, train
from littoral.training.recipe import Recipe
from littoral.training.share import Share

if TYPE_CHECKING:
    from ray.util.queue import Queue

STATE = "state.safetensors"
"""The file of a checkpoint in Ray Train's storage, in the form of `training/checkpoint.py`."""


@dataclass(frozen=True)
class InFile:
    """Images that lie in a file which every machine finds under this path: the rows `index` of an array of `shape`."""

    path: str
    shape: tuple[int, ...]
    index: NDArray[np.int64]


@dataclass(frozen=True)
class Job:
    """What all workers are given: what `train` takes, and in which surroundings.

    `start`: the content of a checkpoint to go on from, or None. `threads`: of each worker. `gpu`: each has one.
    `made`: versions and code where it was asked for.
    """

    model: FusionNet
    images: NDArray[np.uint8] | InFile
    labels: NDArray[np.int64]
    spec: ImageSpec
    recipe: Recipe
    seed: int
    weights: NDArray[np.float64] | None
    identity: dict[str, object]
    start: bytes | None
    threads: int
    gpu: bool
    made: Mapping[str, str]


def work(given: dict[str, Any]) -> None:
    """Train as `given["job"]` (a reference) says, and tell `given["news"]`, as a worker of Ray Train.

    `given["storage"]`: the place and the folder in it that Ray Train's checkpoints go to.
    """
    import ray
    import ray.train

    news: Queue = given["news"]
    context = ray.train.get_context()
    try:
        _work(ray.get(given["job"]), given["storage"], Share(context.get_world_rank(), context.get_world_size()), news)
    except LittoralError as error:
        news.put(("error", isinstance(error, InputError), str(error)))
        raise


def _work(job: Job, storage: tuple[str, str], share: Share, news: Queue) -> None:
    import ray.train
    import ray.train.torch

    other = differences(job.made, software())
    if other:
        raise InputError(f"a machine of the cluster differs from this one: {'; '.join(other)}; install the same there")
    if not is_there(*storage):
        raise InputError(
            f"the machine {socket.gethostname()} does not see {storage[0]}: give --storage a folder that all machines "
            "share, or a place such as s3://bucket/path"
        )
    keep_freed_memory()  # as the command line does for its own process
    torch.set_num_threads(job.threads)  # Ray has its own idea, by OMP_NUM_THREADS
    device: torch.device = ray.train.torch.get_device() if job.gpu else torch.device("cpu")
    with TemporaryDirectory() as folder:
        state = Path(folder) / STATE
        last = ray.train.get_checkpoint()
        if last is not None:
            last.to_directory(folder)
        elif job.start is not None:
            state.write_bytes(job.start)
        train(
            job.model,
            _here(job.images, device),
            job.labels,
            job.spec,
            job.recipe,
            job.seed,
            device,
            Reporter(state, news if share.rank == 0 else None),
            weights=job.weights,
            checkpointing=Checkpointing(state, job.identity, resume=True),
            share=share,
        )


class Reporter:
    """Has Ray Train keep the state after each epoch, and sends what happens, if it is the first worker's.

    `news`: None for the others. What is sent is plain, so that the process between need not load torch to pass it on.
    """

    def __init__(self, state: Path, news: Queue | None) -> None:
        self.state = state
        self.news = news

    def on_start(self, plan: Plan) -> None:
        """Send it."""
        if self.news is not None:
            self.news.put(("start", *astuple(plan)))

    def on_steps(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        """Send it."""
        if self.news is not None:
            self.news.put(("steps", epoch, step, loss, accuracy, images_per_second))

    def on_epoch(self, record: EpochRecord) -> None:
        """Keep the checkpoint, for which all workers wait for each other, and send it too."""
        from ray.train import Checkpoint, report

        first = self.news is not None
        report({}, checkpoint=Checkpoint.from_directory(self.state.parent) if first else None)
        if self.news is not None:
            self.news.put(("epoch", asdict(record), self.state.read_bytes()))


def _here(images: NDArray[np.uint8] | InFile, device: torch.device) -> NDArray[np.uint8] | ImageRows:
    """The images on this machine. All its workers share an array: on a CPU it is read row by row, and never copied."""
    if isinstance(images, InFile):
        try:
            return ImageRows(np.memmap(images.path, np.uint8, "r", shape=images.shape), images.index)
        except OSError as error:
            raise InputError(
                f"the machine {socket.gethostname()} does not see {images.path}, where images lie that are too many "
                "for memory: set LITTORAL_CACHE to a folder that all machines share, or raise --memory"
            ) from error
    return images if device.type == "cuda" else ImageRows(images, np.arange(len(images)))
