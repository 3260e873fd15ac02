"""A trained model and labelled images -> figures. The one place where a model meets images it was not trained on."""

from __future__ import annotations

from littoral.errors import InputError
from littoral.evaluation.metrics import Evaluation, evaluate
from littoral.images.store import ImageStore
from littoral.nn.inference import predict_probabilities
from littoral.training.run import TrainedModel


def evaluate_model(trained: TrainedModel, part: ImageStore) -> Evaluation:
    """Figures of the model on all images of `part`.

    Raises InputError when the classes or the form of the images are not those of the model.
    """
    if part.class_names != trained.class_names:
        raise InputError(
            f"the model knows the classes {', '.join(trained.class_names)}, "
            f"but {part.source} has {', '.join(part.class_names)}"
        )
    expected = (trained.image.height, trained.image.width, trained.image.channels)
    if part.images.shape[1:] != expected:
        raise InputError(
            f"the model takes images (height, width, channels) of {expected}, "
            f"but {part.source} has {part.images.shape[1:]}"
        )
    return evaluate(predict_probabilities(trained.model, part.images, trained.image), part.labels, trained.class_names)
