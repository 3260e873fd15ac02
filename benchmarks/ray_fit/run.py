"""Do two workers of a Ray cluster train a network that is as good as one process's, at the same batch and rate?

    python benchmarks/ray_fit/run.py         # swift on MNIST, 5 seeds, one process and two workers: about five minutes
    python benchmarks/ray_fit/run.py page    # writes README.md from the rows

One row a training, with the test images that it got wrong; finished rows are skipped. Each worker has one thread, as
has the process alone. Nothing is chosen by these figures.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from statistics import mean

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
import torch
from numpy.typing import NDArray
from records import append_row, code_hash, current_rows, machine, read_rows, write_page

import littoral
from littoral.evaluation.paired import paired_difference
from littoral.images.splits import train_test
from littoral.nn.inference import predict_probabilities
from littoral.scale.cluster import connected
from littoral.scale.training import RayWorkers
from littoral.training.loop import Silent
from littoral.training.presets import get_preset
from littoral.training.run import fit_arm

ROWS = HERE / "rows.csv"
PRESET, SEEDS, WORKERS = "swift", range(5), (1, 2)
TEST = 10_000


def trained(workers: int, seed: int, storage: str) -> tuple[NDArray[np.int64], float]:
    """The test images that a network got wrong, and the seconds of its training."""
    train_part, test_part = train_test(littoral.load_mnist(), seed)
    preset = get_preset(PRESET)
    together = None if workers == 1 else RayWorkers("local", workers, storage)
    cpu = torch.device("cpu")
    model = fit_arm(preset, "fused", preset.recipe, train_part, seed, cpu, Silent(), workers=together)
    predicted = predict_probabilities(model.model, test_part.images, model.image).argmax(1)
    return np.flatnonzero(predicted != test_part.labels), model.record["train_seconds"]


def main() -> None:
    """Train what is missing."""
    torch.set_num_threads(1)
    os.environ.setdefault("RAY_worker_niceness", "0")  # as this process: Ray would give way to all other work here
    done = {(int(row["workers"]), int(row["seed"])) for row in current_rows(ROWS, PRESET)}
    missing = [(workers, seed) for seed in SEEDS for workers in WORKERS if (workers, seed) not in done]
    needs_ray = any(workers > 1 for workers, _ in missing)
    with tempfile.TemporaryDirectory() as storage, connected("local") if needs_ray else nullcontext():
        for workers, seed in missing:
            wrong, seconds = trained(workers, seed, storage)
            row = {
                "date": date.today().isoformat(),
                "preset": PRESET,
                "code": code_hash(PRESET),
                "workers": str(workers),
            }
            row |= {"seed": str(seed), "wrong": " ".join(map(str, wrong)), "accuracy": f"{1 - len(wrong) / TEST:.4f}"}
            row |= {"seconds": f"{seconds:.2f}", "load": f"{os.getloadavg()[0]:.1f}"}
            append_row(ROWS, row | machine())
            print(workers, seed, row["accuracy"], row["seconds"])
    page()


def page() -> None:
    """README.md from the rows."""
    rows = current_rows(ROWS, PRESET, threads="1") or read_rows(ROWS)
    right = {}
    table = ["| workers | seeds | test accuracy, mean | seconds of training, mean |", "|---|---|---|---|"]
    for workers in WORKERS:
        own = sorted((row for row in rows if int(row["workers"]) == workers), key=lambda row: int(row["seed"]))
        right[workers] = np.ones((len(own), TEST), np.int64)
        for run, row in zip(right[workers], own, strict=True):
            run[[int(number) for number in row["wrong"].split()]] = 0
        seconds = mean(float(row["seconds"]) for row in own)
        table.append(f"| {workers} | {len(own)} | {100 * right[workers].mean():.2f} % | {seconds:.1f} |")
    found = paired_difference("two", "one", right[2], right[1])
    low, high = (100 * end for end in found.ci95)
    words = f"{100 * found.difference:+.2f} points (95 % interval {low:+.2f} to {high:+.2f}, p = {found.p:.2f})"
    write_page(HERE, {"table": "\n".join(table), "difference": words}, rows)


if __name__ == "__main__":
    page() if sys.argv[1:] == ["page"] else main()
