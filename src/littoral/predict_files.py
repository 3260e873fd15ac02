"""A trained model and image files -> one prediction a file; a file that cannot be read gets its error instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from littoral.errors import ImageError
from littoral.images.decode import decode_file
from littoral.nn.inference import BATCH_SIZE, predict_probabilities
from littoral.training.run import TrainedModel


@dataclass(frozen=True)
class Prediction:
    """The most probable labels of one file with their probabilities (0 to 1), or the reason why there are none."""

    path: Path
    labels: tuple[str, ...]
    confidences: tuple[float, ...]
    error: str | None = None


def predict_files(trained: TrainedModel, files: Sequence[Path], top: int = 1) -> Iterator[Prediction]:
    """One Prediction a file, in the order given; `top` labels each. Images are decoded and held a batch at a time."""
    remaining = iter(files)
    while batch := list(islice(remaining, BATCH_SIZE)):
        images, errors = [], {}
        for path in batch:
            try:
                images.append(decode_file(path, trained.image))
            except ImageError as error:
                errors[path] = str(error)
        probabilities = iter(predict_probabilities(trained.model, np.stack(images), trained.image) if images else [])
        for path in batch:
            if path in errors:
                yield Prediction(path, (), (), errors[path])
            else:
                row = next(probabilities)
                best = np.argsort(-row, kind="stable")[:top]
                yield Prediction(
                    path, tuple(trained.class_names[i] for i in best), tuple(round(float(row[i]), 6) for i in best)
                )
