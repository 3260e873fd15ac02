"""A trained model and image files -> one prediction a file; a file that cannot be read gets its error instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np

from littoral.errors import ImageError
from littoral.images.decode import decode_file
from littoral.nn.inference import batch_size, predict_answers
from littoral.training.run import TrainedModel, calibrated


@dataclass(frozen=True)
class Prediction:
    """The most probable labels of one file with their probabilities (0 to 1), or the reason why there are none.

    `accepted` and `novelty`: see `nn.calibrated.Answer`.
    """

    path: Path
    labels: tuple[str, ...]
    confidences: tuple[float, ...]
    error: str | None = None
    accepted: bool | None = None
    novelty: float | None = None


def predict_files(trained: TrainedModel, files: Sequence[Path], top: int = 1) -> Iterator[Prediction]:
    """One Prediction a file, in the order given; `top` labels each. Images are decoded and held a batch at a time."""
    remaining, net = iter(files), calibrated(trained)
    while batch := list(islice(remaining, batch_size(trained.image))):
        images, errors = [], {}
        for path in batch:
            try:
                images.append(decode_file(path, trained.image))
            except ImageError as error:
                errors[path] = str(error)
        answers = predict_answers(net, np.stack(images), trained.image) if images else None
        read = count()
        for path in batch:
            if answers is None or path in errors:
                yield Prediction(path, (), (), errors[path])
                continue
            number = next(read)
            row = answers.probabilities[number]
            best = np.argsort(-row, kind="stable")[:top]
            yield Prediction(
                path,
                tuple(trained.class_names[i] for i in best),
                tuple(round(float(row[i]), 6) for i in best),
                accepted=None if answers.accepted is None else bool(answers.accepted[number]),
                novelty=None if answers.novelty is None else round(float(answers.novelty[number]), 4),
            )
