"""Which learning rate does each arm of few get? Chosen on the training part alone, the same small grid for all arms.

    python benchmarks/fusion/choose.py        # all that is missing, about 45 minutes on one thread
    python benchmarks/fusion/choose.py votes  # the fused arm with votes learned out of fold, about 20 minutes
    python benchmarks/fusion/choose.py shares # the fused arm, once trained, with other shares of the joint head's vote
    python benchmarks/fusion/choose.py table  # the errors, arm by rate

Seeds count from 100 up, those of the comparison itself from 0. A run draws 30 images a class from the training part and
is looked at on 10,000 others of it. No run sees the test part.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import mean

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "labels")]

import numpy as np
import torch
from records import append_row, code_hash, machine, read_rows
from run import parts_of  # benchmarks/labels

from littoral.evaluate_model import evaluate_model
from littoral.images.splits import label_budget
from littoral.nn.inference import predict_with_heads
from littoral.training.loop import Silent
from littoral.training.presets import get_preset
from littoral.training.run import fit_arm

PRESET = "few"
ROWS = HERE / "choice.csv"
SETS = ("mnist", "fashion-mnist", "cifar10")
ARMS = ("fused", "shallow", "deep", "matched")
RATES = (4e-3, 8e-3, 1.6e-2)
SEEDS = (100,)
BUDGET, LOOKED_AT = 30, 10_000


LEARNED = "fused, votes learned"
SHARES = (0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75)
SHARE_ROWS = HERE / "shares.csv"
SHARE_SEEDS, SHARE_BUDGETS = (100, 101, 102), (30, 10)


def main(arms: Sequence[str], rates: Sequence[float]) -> None:
    """Train what is missing; one row a run."""
    torch.set_num_threads(1)
    preset = get_preset(PRESET)
    code = code_hash(PRESET)
    for seed, name in itertools.product(SEEDS, SETS):
        with parts_of(name) as (training, _):
            looked_at = np.random.default_rng([seed, 2]).permutation(len(training))[:LOOKED_AT]
            rest = training.subset(np.setdiff1d(np.arange(len(training)), looked_at))
            chosen = rest.subset(label_budget(rest.labels, BUDGET, seed))
            for arm, rate in itertools.product(arms, rates):
                cell = {"data": name, "arm": arm, "rate": str(rate), "seed": str(seed)}
                if any(row | cell == row for row in read_rows(ROWS)):
                    continue
                recipe = replace(preset.recipe, learning_rate=rate)
                if arm == LEARNED:
                    recipe = replace(recipe, votes="learned")
                trained = fit_arm(preset, arm.split(",")[0], recipe, chosen, seed, torch.device("cpu"), Silent())
                error = 100 - 100 * evaluate_model(trained, training.subset(looked_at)).accuracy
                row = {"code": code, "date": date.today().isoformat()} | cell | {"error": f"{error:.2f}"}
                append_row(ROWS, row | machine())
                print(row, flush=True)


def shares() -> None:
    """One row a run: the error for each share of the vote that the joint head may have, the others having the rest."""
    torch.set_num_threads(1)
    preset = get_preset(PRESET)
    code = code_hash(PRESET)
    for seed, budget, name in itertools.product(SHARE_SEEDS, SHARE_BUDGETS, SETS):
        cell = {"data": name, "budget": str(budget), "seed": str(seed)}
        if any(row | cell == row for row in read_rows(SHARE_ROWS)):
            continue
        with parts_of(name) as (training, _):
            looked_at = np.random.default_rng([seed, 2]).permutation(len(training))[:LOOKED_AT]
            rest = training.subset(np.setdiff1d(np.arange(len(training)), looked_at))
            chosen = rest.subset(label_budget(rest.labels, budget, seed))
            trained = fit_arm(preset, "fused", preset.recipe, chosen, seed, torch.device("cpu"), Silent())
            part = training.subset(looked_at)
            _, heads = predict_with_heads(trained.model, part.images, trained.image)
        joint, *others = (np.log(np.maximum(found, 1e-30)) for found in heads.values())
        row = {"code": code, "date": date.today().isoformat()} | cell
        for share in SHARES:
            right = (share * joint + (1 - share) * np.mean(others, 0)).argmax(1) == part.labels
            row[f"share {share}"] = f"{100 - 100 * right.mean():.2f}"
        append_row(SHARE_ROWS, row | machine())
        print(row, flush=True)


def table() -> None:
    """Mean error in per cent over the seeds, arm by rate, for each set."""
    rows = read_rows(ROWS)
    for name, arm in itertools.product(SETS, (*ARMS, LEARNED)):
        cells = []
        for rate in RATES:
            found = [
                float(row["error"]) for row in rows if (row["data"], row["arm"], row["rate"]) == (name, arm, str(rate))
            ]
            cells.append(f"{mean(found):6.2f} ({len(found)})" if found else "     -    ")
        print(f"{name:14} {arm:20} {'  '.join(cells)}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["table"]:
            table()
        case ["shares"]:
            shares()
        case ["votes"]:
            main((LEARNED,), (get_preset(PRESET).recipe.learning_rate,))
        case []:
            main(ARMS, RATES)
        case _:
            sys.exit(__doc__)
