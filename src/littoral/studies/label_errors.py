"""Probable label errors: every image is judged by networks that never saw it, and their doubts are ranked by cleanlab.

Confident learning (Northcutt, Jiang, Chuang 2021, doi:10.1613/jair.1.12125): a label is suspect where the network,
trained without the image, is surer of another class than it usually is of that class's own images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from littoral.errors import InputError
from littoral.evaluation.intervals import wilson
from littoral.images.audit import Item, Items
from littoral.images.splits import grouped_folds, tied_images
from littoral.images.store import ImageStore
from littoral.nn.inference import predict_probabilities
from littoral.training.loop import Observer, Silent
from littoral.training.presets import get_arm, get_preset, require_length
from littoral.training.run import choose_device, fit_arm
from littoral.version import __version__

PRESET = "tiny"
"""Five trainings have to be done while a person waits, and a small network doubts a wrong label before it learns it."""

FOLDS = 5

EPOCHS, STEPS = 10, 300
"""How long each network learns where nothing is said: so many epochs, and so many steps at least. One that goes on for
longer learns wrong labels by heart and is sure of all that it says, one that stops sooner knows too little: see
benchmarks/label_errors/results.csv."""

LEAST = 2 * FOLDS
"""Different images that each class needs, so that a network has seen eight of it when it judges two."""


@dataclass(frozen=True)
class Suspect:
    """An image whose label (`item.label`) is probably wrong.

    `confidence`: probability (0 to 1) of the suggested class. `score`: probability of the given one, by which suspects
    are sorted: the lower, the more doubtful.
    """

    item: Item
    suggested: str
    confidence: float
    score: float


@dataclass(frozen=True)
class LabelErrors:
    """Suspects, the most doubtful first, and how good the judges were.

    `accuracy`: share of the `n` images whose given label the judges say too, with Wilson's interval `ci95`; wrong
    labels lower it. `majority`: share of the largest class. `record`: how it was done.
    """

    suspects: tuple[Suspect, ...]
    accuracy: float
    ci95: tuple[float, float]
    majority: float
    n: int
    record: dict[str, Any]

    @property
    def learnt(self) -> bool:
        """Whether the judges are surely better than the name of the largest class; if not, there are no suspects."""
        return self.ci95[0] > self.majority


def require_cleanlab() -> None:
    """Raise InputError, with the command that installs it, where cleanlab is missing."""
    if find_spec("cleanlab") is None:
        raise InputError("finding wrong labels needs cleanlab, which is not installed; pip install 'littoral[audit]'")


def find_label_errors(
    store: ImageStore,
    names: Sequence[str] = (),
    preset: str = PRESET,
    seed: int = 0,
    epochs: int | None = None,
    steps: int | None = None,
    device: str = "auto",
    observer: Callable[[int], Observer] | None = None,
) -> LabelErrors:
    """Train the fused arm of a preset five times, each time without a fifth, and let it judge that fifth.

    `epochs` or `steps`: how long; None: ten epochs, and 300 steps at least. A preset that is fitted at once
    has neither.

    All parts of data that came split take part: wrong labels matter in each, and no accuracy of a model is told.
    Images of one group and (nearly) equal ones are in one fold. `names`: what each image is called. `observer` gives
    one for each fold, 0 to 4. Raises InputError for a class with fewer than ten different images, and where cleanlab
    is missing.
    """
    require_cleanlab()
    chosen = get_preset(preset)
    require_length(chosen, ["fused"], epochs, steps)
    recipe = chosen.recipe.lasting(epochs, steps)
    if epochs is None and steps is None and not chosen.linear:
        recipe = recipe.lasting(steps=max(STEPS, EPOCHS * recipe.steps_per_epoch(len(store) * (FOLDS - 1) // FOLDS)))
    place = choose_device(device)
    ties = _require_enough(store)
    fold = grouped_folds(store.labels, ties, FOLDS, seed)
    probabilities = np.zeros((len(store), len(store.class_names)), np.float32)
    seconds = 0.0
    spec = store.spec()
    get_arm(chosen, "fused", spec.shape, len(store.class_names))
    for number in range(FOLDS):
        follow = Silent() if observer is None else observer(number)
        train_part, held = store.subset(np.flatnonzero(fold != number)), np.flatnonzero(fold == number)
        trained = fit_arm(chosen, "fused", recipe, train_part, seed, place, follow)
        probabilities[held] = predict_probabilities(trained.model, store.subset(held).images, spec)
        seconds += trained.record["train_seconds"]
    predicted = probabilities.argmax(1)
    correct = int((predicted == store.labels).sum())
    found = LabelErrors(
        suspects=(),
        accuracy=correct / len(store),
        ci95=wilson(correct, len(store)),
        majority=float(np.bincount(store.labels).max() / len(store)),
        n=len(store),
        record={
            "preset": chosen.name,
            "arm": "fused",
            "recipe": asdict(recipe),
            "folds": FOLDS,
            "seed": seed,
            "device": str(place),
            "train_seconds": round(seconds, 3),
            "littoral": __version__,
        },
    )
    if not found.learnt:
        return found
    items = Items(store, names)
    suspects = [
        Suspect(
            items[index],
            store.class_names[predicted[index]],
            float(probabilities[index, predicted[index]]),
            float(probabilities[index, store.labels[index]]),
        )
        for index in doubtful_labels(store.labels, probabilities)
    ]
    return replace(found, suspects=tuple(suspects))


def doubtful_labels(labels: Int64[np.ndarray, " n"], probabilities: Float32[np.ndarray, "n classes"]) -> list[int]:
    """Numbers of the images whose labels cleanlab holds for wrong, the least probable label first.

    `probabilities`: of each class, from networks that were not trained on the image. Those whose given label is the
    most probable one all the same are left out: there would be nothing to suggest.
    """
    from cleanlab.filter import find_label_issues

    # "both": doubtful by two rules at once; it lists a fifth fewer images and misses few more wrong labels (same file).
    # n_jobs: it would fork processes, which is not safe once torch has run threads
    ranked = find_label_issues(
        labels, probabilities, filter_by="both", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    return [int(index) for index in ranked if probabilities[index].argmax() != labels[index]]


def _require_enough(store: ImageStore) -> Int64[np.ndarray, " n"]:
    """The ties of the images; raises InputError where a class is too small for the folds."""
    if len(store.class_names) < 2:
        raise InputError(
            f"label errors need two classes to tell apart, and {store.source} has {len(store.class_names)}"
        )
    ties = tied_images(store)
    for label, name in enumerate(store.class_names):
        different = len(np.unique(ties[store.labels == label]))
        if different < LEAST:
            raise InputError(
                f"label errors need at least {LEAST} different images of each class, and {name!r} has {different}; "
                "add some or leave the class out"
            )
    return ties
