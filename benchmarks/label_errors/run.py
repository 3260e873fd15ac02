"""How many wrong labels `littoral audit --labels` finds: some labels of a set are put wrong and looked for in its list.

    python benchmarks/label_errors/run.py mnist --images 1500
    python benchmarks/label_errors/run.py ../shared/sign-language-digits/Dataset

Each run appends a row to results.csv for 5, 10 and 20 epochs and every rule of cleanlab's; rows that are there are not
made again. A minute or two on an idle core.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from cleanlab.filter import find_label_issues

sys.path.insert(0, str(Path(__file__).parents[1]))

from records import append_row, code_hash, machine, read_rows

from littoral.images.load import inspect_data
from littoral.studies import label_errors

RESULTS = Path(__file__).with_name("results.csv")
KEY = ("code", "data", "n", "share", "seed", "epochs")
RULES = ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--images", type=int, help="only the first so many")
    parser.add_argument("--share", type=float, default=0.03, help="of labels put wrong")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    store = inspect_data(given.data).store
    store = replace(store.subset(np.arange(given.images or len(store))), split=None, source=Path(given.data).name)
    rng = np.random.default_rng(given.seed)
    classes = len(store.class_names)
    wrong = rng.choice(len(store), round(given.share * len(store)), replace=False)
    labels = store.labels.copy()
    labels[wrong] = (labels[wrong] + rng.integers(1, classes, len(wrong))) % classes
    code = code_hash(label_errors.PRESET)
    for epochs in (5, 10, 20):
        about = (store.source, len(store), given.share, given.seed, epochs)
        key = {name: str(value) for name, value in zip(KEY, (code, *about), strict=True)}
        if any(row | key == row for row in read_rows(RESULTS)):
            continue
        found, probabilities = judged(replace(store, labels=labels), given.seed, epochs)
        for rule in RULES:
            ranked = find_label_issues(
                labels, probabilities, filter_by=rule, return_indices_ranked_by="self_confidence", n_jobs=1
            )
            listed = [index for index in ranked if probabilities[index].argmax() != labels[index]]
            row = {
                "rule": rule,
                "wrong": str(len(wrong)),
                "listed": str(len(listed)),
                "found": str(len(set(listed) & set(wrong.tolist()))),
                "accuracy": f"{found.accuracy:.4f}",
                "train_seconds": str(found.record["train_seconds"]),
                "cleanlab": version("cleanlab"),
            }
            append_row(RESULTS, key | row | machine())


def judged(store: label_errors.ImageStore, seed: int, epochs: int) -> tuple[label_errors.LabelErrors, np.ndarray]:
    """The study, and the probabilities that it went by."""
    kept = []

    def keep(labels: np.ndarray, probabilities: np.ndarray) -> list[int]:
        kept.append(probabilities)
        return []

    own, label_errors.doubtful_labels = label_errors.doubtful_labels, keep
    try:
        return label_errors.find_label_errors(store, seed=seed, epochs=epochs), kept[0]
    finally:
        label_errors.doubtful_labels = own


if __name__ == "__main__":
    main()
