"""A trained model and labelled images -> figures. The one place where a model meets images it was not trained on."""

from __future__ import annotations

from typing import Literal

import numpy as np

from littoral.errors import InputError
from littoral.evaluation.metrics import Evaluation, evaluate
from littoral.images.splits import held_out, train_test
from littoral.images.store import ImageStore
from littoral.nn.inference import predict_probabilities
from littoral.training.run import TrainedModel


def evaluate_model(trained: TrainedModel, part: ImageStore) -> Evaluation:
    """Figures of the model on all images of `part`.

    Raises InputError for a class that the model does not know, and for images of another form.
    """
    part = part.with_classes(trained.class_names)
    expected = (trained.image.height, trained.image.width, trained.image.channels)
    if part.images.shape[1:] != expected:
        raise InputError(
            f"the model takes images (height, width, channels) of {expected}, "
            f"but {part.source} has {part.images.shape[1:]}"
        )
    return evaluate(predict_probabilities(trained.model, part.images, trained.image), part.labels, trained.class_names)


def unseen_part(trained: TrainedModel, data: ImageStore) -> tuple[Literal["test", "held-out", "all"], ImageStore]:
    """What of `data` the model may be judged on, and what that is called.

    The test part where the data came split; the same held-out part where the model was trained on these very images;
    else all of them. Raises InputError where the images are those of the training, but grouped otherwise.
    """
    if data.split is not None:
        return "test", held_out(data)
    if trained.record.get("source_pixels_sha256") != pixels_fingerprint(data):
        return "all", data
    if trained.record.get("source_sha256") != data.fingerprint():
        raise InputError(
            f"the model was trained on a part of {data.source} with other groups or classes; "
            "give the same --group or --group-from to judge it on the part held out"
        )
    return "held-out", train_test(data, trained.record["seed"])[1]


def pixels_fingerprint(data: ImageStore) -> str:
    """The fingerprint of the images alone, whatever their labels, split and groups."""
    bare = ImageStore(data.images, np.zeros(len(data), np.int64), ("any",))
    return bare.fingerprint()
