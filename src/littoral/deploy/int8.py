"""Weights and maps in 8 bits: made by onnxruntime's static quantisation, kept only where it pays.

Preprocessing stays as it is: only the network's graph is quantised. Leaves to others: writing files (export.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from littoral.deploy.measure import Latency
from littoral.deploy.preprocessing import IR_VERSION, PIXELS
from littoral.errors import InputError
from littoral.evaluation.paired import LEVEL, Difference, paired_difference

if TYPE_CHECKING:
    from onnx import ModelProto

MOST_CALIBRATED = 256
"""Images that the ranges of maps are read from."""

BATCH = 32


@dataclass(frozen=True)
class Recall:
    """Recall of a class in 8 bits less that in 32, with its interval; `images` of the class."""

    name: str
    images: int
    difference: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Int8:
    """What 8 bits came to: `difference` of accuracy, 8 bits less 32, with its interval, and of each class's recall.

    `kept`: whether the file was written; `reason`: why, or why not.
    """

    kept: bool
    reason: str
    bytes: int
    max_drop: float
    difference: float
    ci95: tuple[float, float]
    images: int
    recalls: tuple[Recall, ...]


def quantised(network: ModelProto, images: NDArray[np.uint8]) -> ModelProto:
    """The network's graph with convolutions and matrix products in 8 bits.

    `images`: training images (n, height, width, channels) in the model's form, whose maps give the ranges. Raises
    InputError without images.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if not len(images):
        raise InputError("8 bits need training images, for the ranges of maps: give DATA with a training part")
    chosen = images[np.linspace(0, len(images) - 1, min(MOST_CALIBRATED, len(images))).astype(np.int64)]

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Training images, batch by batch."""

        def __init__(self) -> None:
            self.batches: Iterator[NDArray[np.uint8]] = iter(
                [chosen[start : start + BATCH] for start in range(0, len(chosen), BATCH)]
            )

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            """The next batch, None after the last."""
            batch = next(self.batches, None)
            return None if batch is None else {PIXELS: batch}

    with tempfile.TemporaryDirectory() as folder:
        plain, ready, small = (Path(folder) / name for name in ("plain.onnx", "ready.onnx", "small.onnx"))
        onnx.save(network, plain)
        quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(small),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model: ModelProto = onnx.load(small)
    model.ir_version = IR_VERSION
    return model


def judged(
    size: int,
    latency: list[Latency],
    labels: NDArray[np.int64],
    told: dict[str, NDArray[np.int64]],
    class_names: tuple[str, ...],
    max_drop: float,
) -> Int8:
    """Whether 8 bits pay: faster at every batch, and the accuracy's drop at most `max_drop`, by its interval's far end.

    `told`: the labels that `onnx` and `int8` gave to held-out images with these labels; `latency` has both too. Raises
    InputError with fewer than two images.
    """
    right = {form: (given == labels)[None] for form, given in told.items()}
    whole = paired_difference("int8", "onnx", right["int8"], right["onnx"])
    recalls = []
    for number, name in enumerate(class_names):
        own = labels == number
        if own.sum() >= 2:
            found = paired_difference("int8", "onnx", right["int8"][:, own], right["onnx"][:, own])
            recalls.append(Recall(name, found.images, found.difference, found.ci95))
    reasons = [*_slower(latency), *_worse(whole, max_drop)]
    return Int8(
        kept=not reasons,
        reason="; ".join(reasons) or "faster, and accuracy stays within the drop allowed",
        bytes=size,
        max_drop=max_drop,
        difference=whole.difference,
        ci95=whole.ci95,
        images=whole.images,
        recalls=tuple(recalls),
    )


def _slower(latency: list[Latency]) -> list[str]:
    medians = {(found.form, found.batch): found.p50 for found in latency}
    return [
        f"not faster: {medians['int8', batch]:.2f} ms a batch of {batch}, {medians['onnx', batch]:.2f} without it"
        for batch in sorted({batch for _, batch in medians})
        if medians["int8", batch] >= medians["onnx", batch]
    ]


def _worse(difference: Difference, max_drop: float) -> list[str]:
    """The far end of the interval counts: few images cannot show that nothing is lost."""
    if -difference.ci95[0] <= max_drop:
        return []
    return [
        f"a drop of up to {-100 * difference.ci95[0]:.2f} points is not excluded ({100 * (1 - LEVEL):.0f} % interval, "
        f"{difference.images:,} images), {100 * max_drop:.2f} are allowed"
    ]
