"""What a study leaves in its folder for a report alone: where models look, and the images that a page may show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from littoral.images.store import ImageStore
from littoral.nn.inference import predict_with_heads
from littoral.studies.notable import judged_among, worth_keeping
from littoral.studies.occlusion import occlusion
from littoral.studies.pictures import MOST, pictures, write_pictures
from littoral.studies.pooled import pooled
from littoral.studies.results import ResultsFolder
from littoral.studies.runs import Arm
from littoral.studies.stored import ANSWER, Looks
from littoral.training.run import TrainedModel

LOOKED_AT = 8
"""Test images on which it is asked where a model looks: the first of so many classes."""


def looks(trained: TrainedModel, test: ImageStore, rows: Int64[np.ndarray, " n"]) -> Looks:
    """Where the model, and each of its heads, looks; `rows`: the test images as rows of the data."""
    some = np.sort(np.unique(test.labels, return_index=True)[1][:LOOKED_AT])

    def answer(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        whole, heads = predict_with_heads(trained.model, images, trained.image)
        return {ANSWER: whole} | heads

    return Looks(rows[some], occlusion(answer, np.asarray(test.images[some]), test.labels[some]))


def keep_pictures(folder: ResultsFolder, data: ImageStore, those: Sequence[Arm], names: Sequence[str]) -> None:
    """Leave the images that a report of these arms' runs may show; `names` of all images of `data`, or none.

    Where there is no run there is nothing to leave.
    """
    stored = {arm.name: [folder.read(arm.name, run.seed) for run in arm.runs] for arm in those}
    if stored:
        first = [run.looks.index.tolist() for those in stored.values() for run in those if run.looks is not None]
        arms = {arm: pooled(those) for arm, those in stored.items()}
        rows = worth_keeping(arms, judged_among(list(arms)), first[0] if first else [], MOST)
        write_pictures(folder.path, pictures(data.images, rows, names))
