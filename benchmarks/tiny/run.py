"""What does preset tiny reach on a few hundred to a few thousand small images, and why is its recipe what it is?

    python benchmarks/tiny/run.py   # 120 trainings on one thread, about 2 minutes; finished rows are skipped

`choice` rows: 5-fold cross-validation on scikit-learn's 1,797 digits, seed 9, for each recipe that was tried. `digits`
rows: the same for the preset as it is, seeds 0 to 2 for folds and weights. `mnist-300` rows: 300 training images of
MNIST, accuracy on 4,000 other training images. `photographs` rows: sign-language digits at 64×64 in colour (needs the
shared folder), four splits of their training part, for three learning rates. No test image is used.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import mean

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
import torch
from records import append_row, code_hash, machine, read_rows, shared_folder
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

import littoral as lt
from littoral.images.arrays import to_pixels
from littoral.images.splits import train_test
from littoral.images.store import ImageStore
from littoral.nn.inference import predict_probabilities
from littoral.training.loop import Silent
from littoral.training.presets import get_preset
from littoral.training.recipe import Recipe
from littoral.training.run import fit_arm

PRESET = get_preset("tiny")
ROWS = HERE / "rows.csv"
CODE = code_hash(PRESET.name)
TRIED = [
    Recipe(steps=steps, batch_size=batch, learning_rate=rate)
    for steps in (150, 300, 600)
    for batch, rate in ((32, 1e-2), (64, 5e-3), (64, 1e-2), (64, 2e-2))
]


def trained(recipe: Recipe, arm: str, images: ImageStore, others: ImageStore, seed: int) -> tuple[float, float]:
    """Accuracy on the others, and seconds of training."""
    model = fit_arm(PRESET, arm, recipe, images, seed, torch.device("cpu"), Silent())
    predicted = predict_probabilities(model.model, others.images, model.image).argmax(1)
    return float((predicted == others.labels).mean()), model.record["train_seconds"]


def folds(recipe: Recipe, arm: str, data: ImageStore, seed: int) -> tuple[float, float]:
    """Mean accuracy and seconds over five folds."""
    parts = StratifiedKFold(5, shuffle=True, random_state=seed).split(data.labels, data.labels)
    results = [trained(recipe, arm, data.subset(train), data.subset(rest), seed) for train, rest in parts]
    return mean(accuracy for accuracy, _ in results), mean(seconds for _, seconds in results)


def signs() -> ImageStore:
    """The training part of the sign-language digits, as `littoral fit --seed 0` would part them."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(shared_folder() / "data/sign-language-digits.tar.xz") as archive:
            archive.extractall(folder, filter="data")
        return train_test(lt.load_images(Path(folder) / "Dataset"), 0)[0]


def main() -> None:
    """Train what is missing; one row a figure."""
    torch.set_num_threads(1)
    values, labels = load_digits(return_X_y=True)
    names = tuple(map(str, range(10)))
    digits = ImageStore(to_pixels(values.reshape(-1, 8, 8, 1), (0.0, 16.0)), labels.astype(np.int64), names)
    mnist = lt.load_mnist()
    shuffled = np.random.default_rng(1).permutation(60_000)
    others = mnist.subset(shuffled[-4000:])

    jobs = [("choice", recipe, "fused", 9) for recipe in TRIED]
    jobs += [(what, PRESET.recipe, arm, seed) for what in ("digits", "mnist-300") for seed in (0, 1, 2)
             for arm in ("fused", "shallow", "deep")]  # fmt: skip
    rates = [replace(PRESET.recipe, learning_rate=rate) for rate in (3e-3, 5e-3, 1e-2)]
    jobs += [("photographs", recipe, "fused", seed) for recipe in rates for seed in (0, 1, 2, 3)]
    photographs = signs()
    done = [{name: row[name] for name in ("code", "what", "recipe", "arm", "seed")} for row in read_rows(ROWS)]
    for what, recipe, arm, seed in jobs:
        words = f"{recipe.steps} steps of {recipe.batch_size} at {recipe.learning_rate:g}"
        key = {"code": CODE, "what": what, "recipe": words, "arm": arm, "seed": str(seed)}
        if key in done:
            continue
        if what == "mnist-300":
            few = mnist.subset(shuffled[seed * 300 : seed * 300 + 300])
            accuracy, seconds = trained(recipe, arm, few, others, seed)
        elif what == "photographs":
            accuracy, seconds = trained(recipe, arm, *train_test(photographs, 10 + seed), seed)
        else:
            accuracy, seconds = folds(recipe, arm, digits, seed)
        figures = {"date": date.today().isoformat(), "accuracy": f"{accuracy:.4f}", "train_seconds": f"{seconds:.2f}"}
        append_row(ROWS, key | figures | machine())
        print(key | figures, flush=True)


if __name__ == "__main__":
    main()
