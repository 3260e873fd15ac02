"""The runs of one arm, image by image over all seeds. What is notable among the images is `notable.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from littoral.studies.stored import StoredRun


@dataclass(frozen=True)
class Pooled:
    """One arm over its seeds, an entry for each image that any seed was tested on.

    `rows` (n): the images, as rows of the data, ascending; `labels` (n): their classes; `told` (n × classes): how many
    runs called the image each class; `probabilities` (n × classes): mean over the runs that were tested on it; `heads`:
    the same of each head alone, where the arm has several.
    """

    rows: Int64[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"]
    told: Int64[np.ndarray, "n classes"]
    probabilities: Float64[np.ndarray, "n classes"]
    heads: dict[str, Float64[np.ndarray, "n classes"]]

    @property
    def answer(self) -> Int64[np.ndarray, " n"]:
        """The class with the highest probability, averaged over seeds."""
        found: Int64[np.ndarray, " n"] = self.probabilities.argmax(1)
        return found

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether that class is the label, (n)."""
        found: NDArray[np.bool_] = self.answer == self.labels
        return found

    @property
    def runs(self) -> Int64[np.ndarray, " n"]:
        """How many runs were tested on each image."""
        found: Int64[np.ndarray, " n"] = self.told.sum(1)
        return found

    def confusion(self) -> Int64[np.ndarray, "classes classes"]:
        """Entry (i, j): images of class i that were called class j, added over the runs."""
        classes = self.told.shape[1]
        found = np.zeros((classes, classes), np.int64)
        np.add.at(found, self.labels, self.told)
        return found

    def places(self, rows: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Where the images `rows`, all of them tested, lie in the arrays of this."""
        return np.searchsorted(self.rows, rows)


def pooled(runs: Sequence[StoredRun]) -> Pooled:
    """Put the runs of one arm, one or more, together."""
    every = np.concatenate([run.index for run in runs])
    rows, place = np.unique(every, return_inverse=True)
    classes = runs[0].probabilities.shape[1]

    def mean(parts: list[NDArray[np.float32]]) -> Float64[np.ndarray, "n classes"]:
        total = np.zeros((len(rows), classes))
        np.add.at(total, place, np.concatenate(parts).astype(np.float64))
        average: Float64[np.ndarray, "n classes"] = total / np.bincount(place)[:, None]
        return average

    labels, told = np.empty(len(rows), np.int64), np.zeros((len(rows), classes), np.int64)
    labels[place] = np.concatenate([run.labels for run in runs])
    np.add.at(told, (place, np.concatenate([run.probabilities.argmax(1) for run in runs])), 1)
    return Pooled(
        rows=rows,
        labels=labels,
        told=told,
        probabilities=mean([run.probabilities for run in runs]),
        heads={name: mean([run.opinions[name] for run in runs]) for name in runs[0].opinions},
    )
