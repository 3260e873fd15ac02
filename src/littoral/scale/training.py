"""One network trained by several workers of a Ray cluster, by Ray Train: each computes a part of every batch.

What a worker does is `worker.py`. It sends what happens, and the state after each epoch, to the process that asked:
there the run is followed, interrupted and gone on from as any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from littoral.errors import InputError, TrainingError
from littoral.files import write_atomically
from littoral.nn.model import FusionNet
from littoral.rows import ImageRows
from littoral.scale.cluster import connected
from littoral.scale.storage import folder_in, place_of
from littoral.scale.tasks import RETRIES, Needs, room_for
from littoral.scale.worker import STATE, InFile, Job, work
from littoral.specs import ImageSpec
from littoral.studies.one_run import software
from littoral.training.checkpoint import read_checkpoint
from littoral.training.history import EpochRecord
from littoral.training.loop import Checkpointing, Observer, Plan, Silent, train
from littoral.training.recipe import Recipe
from littoral.training.share import Share, require_enough
from littoral.words import count

if TYPE_CHECKING:
    from ray.util.queue import Queue

LOOK_EVERY = 0.2
"""Seconds between two looks for news. In between Python sleeps, so that Ctrl-C is heard at once."""


@dataclass(frozen=True)
class RayWorkers:
    """`count` workers on the cluster at `address` (see `connected`), each with as many CPUs as torch has threads here.

    On a GPU each takes one, and they exchange gradients by NCCL, else by Gloo. Where a worker is lost, all are started
    again and go on from the last checkpoint, three times at most. Until the training ends it lies in `storage`, which
    all machines reach: a folder on a shared disk, or a place such as s3://bucket/path. `tell` is told in a sentence
    what happens.
    """

    address: str
    count: int
    storage: str
    tell: Callable[[str], None] = lambda line: None

    def train(
        self,
        model: FusionNet,
        images: NDArray[np.uint8] | ImageRows,
        labels: NDArray[np.int64],
        spec: ImageSpec,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        observer: Observer,
        weights: NDArray[np.float64] | None,
        checkpointing: Checkpointing | None,
    ) -> list[EpochRecord]:
        """As the function `train`, with the same images in each batch and the same rate.

        Without batch normalisation the weights are those of one worker but for rounding; with it each worker normalises
        by the images of its part.

        Raises InputError for batches too small for so many workers, and for a cluster that is not there, has no room or
        another version, or a storage that it does not reach; TrainingError as `train`, and where workers are lost
        again and again.
        """
        require_enough(recipe, len(images), self.count)
        with TemporaryDirectory() as scratch:
            keeping = checkpointing or Checkpointing(Path(scratch) / STATE, {})
            start = None
            if keeping.resume and keeping.path.exists():
                read_checkpoint(keeping.path, keeping.identity)  # that of another run is refused
                start = keeping.path.read_bytes()
            job = Job(
                model,
                _sent(images),
                labels,
                spec,
                recipe,
                seed,
                weights,
                keeping.identity,
                start,
                torch.get_num_threads(),
                device.type == "cuda",
                software(),
            )
            with connected(self.address):
                self._have_trained(job, _News(observer, keeping, self.tell))
            # this process's network goes on from the last checkpoint, after which nothing is left to train
            end = replace(keeping, resume=True)
            return train(
                model, images, labels, spec, recipe, seed, device, Silent(), weights=weights, checkpointing=end
            )

    def _have_trained(self, job: Job, told: _News) -> None:
        """Start the workers and wait until they are done; `told` hears of everything."""
        import ray
        from ray.exceptions import RayError
        from ray.util.queue import Queue

        needs = Needs(job.threads, gpus=int(job.gpu))
        if (room := room_for(needs)) < self.count:
            raise InputError(
                f"{count(self.count, 'worker')} of {count(needs.cpus, 'CPU')} each do not fit into the cluster, which "
                f"has room for {room}: give fewer --workers or --threads"
            )
        place = place_of(self.storage)
        with folder_in(place) as name:
            news = Queue(actor_options={"num_cpus": 0})
            given = {"job": ray.put(job), "news": news, "storage": (place, name)}
            self.tell(self._parting(job))
            # a process of its own, since Ray Train cannot be stopped in this one; with it goes all that it started
            fitting = ray.remote(_fit).options(num_cpus=0, max_retries=0).remote(given, self.count, needs)
            try:
                while not ray.wait([fitting], timeout=0)[0]:
                    told.hear(news)
                    time.sleep(LOOK_EVERY)
                told.hear(news)
                ray.get(fitting)
            except RayError as error:
                reason = str(error).strip().split("\n")[-1][:200]
                raise TrainingError(f"the workers on the Ray cluster {self.address} cannot go on: {reason}") from error
            finally:
                ray.cancel(fitting, force=True)
                news.shutdown(force=True)

    def _parting(self, job: Job) -> str:
        """How many images of a batch each worker has, and what stays as it is, in a sentence."""
        batch_size = job.recipe.batch_size
        parts = [Share(rank, self.count).part(batch_size) for rank in range(self.count)]
        sizes = [str(size) for size in sorted({part.stop - part.start for part in parts})]
        normal = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in job.model.modules())
        return (
            f"{count(self.count, 'worker')} on the Ray cluster {self.address}: each batch of {batch_size} images in "
            f"parts of {' or '.join(sizes)}, the learning rate as it is"
            f"{'; batch normalisation is over each part' if normal and self.count > 1 else ''}"
        )


class _News:
    """Passes on what the first worker sends: to an observer, and the state after each epoch to the checkpoint."""

    def __init__(self, observer: Observer, keeping: Checkpointing, tell: Callable[[str], None]) -> None:
        self.observer = observer
        self.keeping = keeping
        self.tell = tell
        self.started = False

    def hear(self, news: Queue) -> None:
        """Pass on all that is there; raises the error that a worker told of."""
        for what, *values in news.get_nowait_batch(news.qsize()):
            match what:
                case "start":
                    self._start(Plan(*values))
                case "steps":
                    self.observer.on_steps(*values)
                case "epoch":
                    record, state = values
                    write_atomically(self.keeping.path, state)
                    self.observer.on_epoch(EpochRecord(**record))
                case _:
                    refused, text = values
                    raise InputError(text) if refused else TrainingError(text)

    def _start(self, plan: Plan) -> None:
        if self.started:
            self.tell(f"a worker was lost: all go on from step {plan.start_step:,} of {plan.steps:,}")
        else:
            self.observer.on_start(plan)
        self.started = True


def _fit(given: dict[str, Any], workers: int, needs: Needs) -> None:
    """Have so many workers do `work`, of which each occupies what it needs; again where one is lost."""
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    place, name = given["storage"]
    resources = {"CPU": float(needs.cpus)} | ({"GPU": float(needs.gpus)} if needs.gpus else {})
    TorchTrainer(
        work,
        train_loop_config=given,
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=needs.gpus > 0, resources_per_worker=resources),
        run_config=RunConfig(
            name=name,
            storage_path=place,
            failure_config=FailureConfig(max_failures=RETRIES),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    ).fit()


def _sent(images: NDArray[np.uint8] | ImageRows) -> NDArray[np.uint8] | InFile:
    """The images as workers get them: an array itself, once a machine; of a file its path."""
    if not isinstance(images, ImageRows):
        return images
    source = images.source
    if isinstance(source, np.memmap) and source.filename is not None and source.offset == 0:
        return InFile(str(source.filename), source.shape, images.index)
    return images[:]
