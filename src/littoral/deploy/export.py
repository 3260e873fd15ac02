"""A trained model -> a folder with what runs it without torch, written only once it is proven to agree.

Everything is made and checked in memory first, so that a failed gate leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from littoral.deploy.int8 import Int8, judged, quantised
from littoral.deploy.measure import Latency, measured
from littoral.deploy.network import network_graph
from littoral.deploy.onnx_file import joined, metadata, onnx_file, require_onnx, sealed
from littoral.deploy.parity import Parity, TestImage, odd_images, require_parity, torch_outputs
from littoral.deploy.peak import peak_memory
from littoral.deploy.runtime import DEEP_FILE, MODEL_FILE, SHALLOW_FILE, Model, start
from littoral.deploy.split import Split, split_model
from littoral.errors import InputError
from littoral.evaluation.metrics import Evaluation, evaluate
from littoral.files import require_folder, write_atomically
from littoral.held_out import Parted
from littoral.images.store import ImageStore
from littoral.rows import ImageRows, in_chunks
from littoral.training.run import TrainedModel, calibrated

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

INT8_FILE, RUNNER_FILE = "model-int8.onnx", "runtime.py"

HELD_OUT, ODD, OWN = 500, 200, 50
"""Images that have to agree: of the held-out part, of other sizes, and of the data as they lie in their files."""


@dataclass(frozen=True)
class ExportedFile:
    """A file of the folder; `memory`: see `peak_memory`, None of a file that does not run alone."""

    name: str
    bytes: int
    memory: int | None


@dataclass(frozen=True)
class Exported:
    """What was written, how well it agrees, and how fast it is with so many `threads`.

    `accuracy` is the file's own on the held-out images, None without these; `int8` and `split` are None where they were
    not asked for.
    """

    files: tuple[ExportedFile, ...]
    parity: Parity
    latency: tuple[Latency, ...]
    threads: int
    accuracy: Evaluation | None
    int8: Int8 | None
    split: Split | None


def export_model(
    trained: TrainedModel,
    folder: Path,
    held_out: ImageStore | None = None,
    training: ImageStore | None = None,
    with_runner: bool = False,
    int8_max_drop: float | None = None,
    threads: int | None = None,
    parted: Parted | None = None,
    exit_max_drop: float | None = None,
    own: Sequence[TestImage] = (),
) -> Exported:
    """Write `model.onnx` into `folder`, with `with_runner` the runner too, and with `int8_max_drop` maybe 8 bits.

    With `exit_max_drop` the two files of a split cascade too, see `split.py`, where a threshold can be had from the
    images that were held out when the model was calibrated: `parted`.

    `held_out`: labelled images in the model's form that it was not trained on; 500 of them have to agree, and all give
    the accuracy. Images of many other sizes, made of these or at random, have to agree in any case, and so have `own`,
    images of the data in their own size. `training`: images for the ranges of 8 bits. `threads`: for latency; None: as
    many as torch has.

    Raises ExportError, and leaves the folder as it was, where a file does not agree with the model; InputError where
    the extra [onnx] is missing, the folder cannot be written, or 8 bits are asked for without images to judge them on.
    """
    require_onnx()
    require_folder(folder)
    if int8_max_drop is not None and (held_out is None or len(held_out) < 2 or training is None or not len(training)):
        raise InputError("8 bits need training images and held-out ones to be judged on: give DATA that has both")
    if exit_max_drop is not None and parted is None:
        raise InputError("a split needs the images that were held out of the training: give the DATA it was made of")
    network = calibrated(trained).to("cpu")
    graph = network_graph(network, trained.image)
    content = onnx_file(trained, graph)
    looked_at = [*own, *_test_images(trained, held_out)]
    parity = require_parity(content, network, trained.image, looked_at)

    count = threads or torch.get_num_threads()
    sessions = {"onnx": start(content, MODEL_FILE, count)}
    small = b""
    if int8_max_drop is not None and training is not None:
        eight_bits = joined(trained.image, quantised(graph, _some(training.images)))
        small = sealed(eight_bits, metadata(trained) | {"int8": "static"})
        sessions["int8"] = start(small, INT8_FILE, count)
    latency = measured(
        {"torch": lambda pixels: torch_outputs(network, pixels, trained.image)}
        | {form: _run(session) for form, session in sessions.items()},
        _right_size(trained, held_out),
    )
    accuracy, int8 = None, None
    if held_out is not None:
        known = held_out.with_classes(trained.class_names)
        given = {form: _probabilities(session, known.images) for form, session in sessions.items()}
        accuracy = evaluate(given["onnx"], known.labels, trained.class_names)
        if int8_max_drop is not None:
            told = {form: values.argmax(1) for form, values in given.items()}
            int8 = judged(len(small), latency, known.labels, told, trained.class_names, int8_max_drop)

    split: Split | None = None
    halves: dict[str, bytes] = {}
    if exit_max_drop is not None and parted is not None:
        whole = Model(start(content, MODEL_FILE, 1), metadata(trained))
        test = None if held_out is None else held_out.with_classes(trained.class_names)
        split, halves = split_model(trained, network, whole, parted, exit_max_drop, looked_at, test)

    contents = {MODEL_FILE: content} | halves
    if int8 is not None and int8.kept:
        contents[INT8_FILE] = small
    if with_runner:
        contents[RUNNER_FILE] = (package_files("littoral.deploy") / RUNNER_FILE).read_bytes()
    folder.mkdir(exist_ok=True)
    for name, written in contents.items():
        write_atomically(folder / name, written)
    for name in {INT8_FILE, SHALLOW_FILE, DEEP_FILE} - set(contents):
        (folder / name).unlink(missing_ok=True)  # an earlier export's, of another model maybe
    listed = tuple(
        ExportedFile(name, len(written), peak_memory(folder / name, count) if name in (MODEL_FILE, INT8_FILE) else None)
        for name, written in contents.items()
    )
    return Exported(listed, parity, tuple(latency), count, accuracy, int8, split)


def _test_images(trained: TrainedModel, held_out: ImageStore | None) -> list[TestImage]:
    """What the gate looks at."""
    if held_out is None:
        return odd_images(trained.image, ODD)
    some = _some(held_out.images)
    return [
        *(TestImage(f"held-out image {number}", pixels) for number, pixels in enumerate(some)),
        *odd_images(trained.image, ODD, some),
    ]


def _some(images: NDArray[np.uint8] | ImageRows) -> NDArray[np.uint8]:
    """500 of them at most, spread over all."""
    return np.asarray(images[np.linspace(0, len(images) - 1, min(HELD_OUT, len(images))).astype(np.int64)])


def _right_size(trained: TrainedModel, held_out: ImageStore | None) -> NDArray[np.uint8]:
    """Images for the clock, in the model's form."""
    if held_out is not None:
        return _some(held_out.images)
    form = (32, trained.image.height, trained.image.width, trained.image.channels)
    return np.random.default_rng(0).integers(0, 256, form, dtype=np.uint8)


def _run(session: InferenceSession) -> Callable[[NDArray[np.uint8]], object]:
    return lambda pixels: session.run(None, {"images": pixels})


def _probabilities(session: InferenceSession, images: NDArray[np.uint8] | ImageRows) -> NDArray[np.float32]:
    """Of all images, in chunks."""
    parts = [session.run(["probabilities"], {"images": rows})[0] for _, rows in in_chunks(images, 256)]
    return np.concatenate(parts)
