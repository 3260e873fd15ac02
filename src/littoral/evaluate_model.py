"""A trained model and labelled images -> figures. The one place where a model meets images it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32

from littoral.errors import InputError
from littoral.evaluation.metrics import Evaluation, evaluate
from littoral.images.seen import seen_in
from littoral.images.splits import tied_images
from littoral.images.store import ImageStore
from littoral.nn.inference import answers_from_vectors, predict_answers
from littoral.training.run import TrainedModel, calibrated


def evaluate_model(
    trained: TrainedModel, part: ImageStore, features: Float32[np.ndarray, "n size"] | None = None
) -> Evaluation:
    """Figures of the model on all images of `part`, its probabilities after its temperature.

    `features`: what the model's branches make of these images, where it is known. Raises InputError for a class that
    the model does not know, and for images of another form.
    """
    part = part.with_classes(trained.class_names)
    expected = (trained.image.height, trained.image.width, trained.image.channels)
    if part.images.shape[1:] != expected:
        raise InputError(
            f"the model takes images (height, width, channels) of {expected}, "
            f"but {part.source} has {part.images.shape[1:]}"
        )
    net = calibrated(trained)
    answers = (
        predict_answers(net, part.images, trained.image) if features is None else answers_from_vectors(net, features)
    )
    return evaluate(answers.probabilities, part.labels, trained.class_names, answers.accepted)


@dataclass(frozen=True)
class Unseen:
    """What a model may be judged on: `part` is "test" where the data came split, else "all".

    `dropped`: how many images were taken out of it because the model was trained on them, or on one of their group.
    """

    part: Literal["test", "all"]
    images: ImageStore
    dropped: int


def unseen_part(trained: TrainedModel, data: ImageStore) -> Unseen:
    """The test part of data that came split, else all images, less those trained on, with a label or without.

    So a folder that it was trained on judges it on the part that was held out then. Raises InputError when nothing is
    left.
    """
    record = trained.record
    seen = seen_in(data, record.get("trained_on", ""), record.get("trained_on_unlabelled", ""))
    if seen.any():
        ties = tied_images(data)
        seen = np.isin(ties, ties[seen])
    chosen = np.ones(len(data), bool)
    if data.split is not None:
        chosen = data.split == ("test" if (data.split == "test").any() else "val")
    images = data.subset(np.flatnonzero(chosen & ~seen))
    if not len(images):
        raise InputError(f"the model was trained on all images of {data.source}: give it others to be judged on")
    return Unseen("all" if data.split is None else "test", images, int((chosen & seen).sum()))


def training_part(trained: TrainedModel, data: ImageStore) -> ImageStore:
    """The training part of data that came split, else the labelled images trained on; there may be none."""
    if data.split is not None:
        return data.subset(np.flatnonzero(data.split == "train"))
    return data.subset(np.flatnonzero(seen_in(data, trained.record.get("trained_on", ""))))
