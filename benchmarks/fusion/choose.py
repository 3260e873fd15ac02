"""Which learning rate does each arm of few get, and how do its heads vote? Chosen on the training part alone.

    python benchmarks/fusion/choose.py        # the same small grid of rates for all arms, 45 minutes on one thread
    python benchmarks/fusion/choose.py shares # once trained, other shares of the vote for the joint head, 40 minutes
    python benchmarks/fusion/choose.py votes  # votes learned for other parts of the steps, 50 minutes
    python benchmarks/fusion/choose.py table  # the errors, arm by rate

Seeds count from 100 up, those of the comparison itself from 0. A run draws some images a class from the training part
and is looked at on 10,000 others of it, or on half of it where it is smaller. No run sees the test part.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
from littoral.images.store import ImageStore
from littoral.nn.inference import predict_with_heads
from littoral.training import votes as learned_votes
from littoral.training.loop import Silent
from littoral.training.presets import get_preset
from littoral.training.run import fit_arm

torch.set_num_threads(1)
PRESET = "few"
ROWS = HERE / "choice.csv"
SETS = ("mnist", "fashion-mnist", "cifar10")  # signs have no 10,000 to look at
ARMS = ("fused", "shallow", "deep", "matched")
RATES = (4e-3, 8e-3, 1.6e-2)
SEEDS = (100,)
BUDGET, LOOKED_AT = 30, 10_000
SHARES = (0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75)
SHARE_ROWS = HERE / "shares.csv"
VOTE_SHARES = (0.1, 0.2)
VOTE_ROWS = HERE / "votes.csv"
VOTE_SETS, VOTE_SEEDS, VOTE_BUDGETS = (*SETS, "signs"), (102, 101, 100), (10, 30)


def main() -> None:
    """The grid of rates, with fixed votes: train what is missing; one row a run."""
    preset = get_preset(PRESET)
    code = code_hash(PRESET)
    for seed, name in itertools.product(SEEDS, SETS):
        with looked_at(name, BUDGET, seed) as (chosen, part):
            for arm, rate in itertools.product(ARMS, RATES):
                cell = {"data": name, "arm": arm, "rate": str(rate), "seed": str(seed)}
                if any(row | cell == row for row in read_rows(ROWS)):
                    continue
                recipe = replace(preset.recipe, learning_rate=rate, votes="fixed")
                trained = fit_arm(preset, arm, recipe, chosen, seed, torch.device("cpu"), Silent())
                error = 100 - 100 * evaluate_model(trained, part).accuracy
                row = {"code": code, "date": date.today().isoformat()} | cell | {"error": f"{error:.2f}"}
                append_row(ROWS, row | machine())
                print(row, flush=True)


@contextmanager
def looked_at(name: str, budget: int, seed: int) -> Iterator[tuple[ImageStore, ImageStore]]:
    """So many images a class of the training part, and the part of it that is looked at."""
    with parts_of(name) as (training, _):
        looked_at = np.random.default_rng([seed, 2]).permutation(len(training))[: min(LOOKED_AT, len(training) // 2)]
        rest = training.subset(np.setdiff1d(np.arange(len(training)), looked_at))
        yield rest.subset(label_budget(rest.labels, budget, seed)), training.subset(looked_at)


def shares() -> None:
    """One row a run: the error for each share of the vote that the joint head may have, the others having the rest."""
    preset = get_preset(PRESET)
    recipe = replace(preset.recipe, votes="fixed")
    code = code_hash(PRESET)
    for seed, budget, name in itertools.product(VOTE_SEEDS, VOTE_BUDGETS, VOTE_SETS):
        cell = {"data": name, "budget": str(budget), "seed": str(seed)}
        if any(row | cell == row for row in read_rows(SHARE_ROWS)):
            continue
        with looked_at(name, budget, seed) as (chosen, part):
            trained = fit_arm(preset, "fused", recipe, chosen, seed, torch.device("cpu"), Silent())
            _, heads = predict_with_heads(trained.model, part.images, trained.image)
        joint, *others = (np.log(np.maximum(found, 1e-30)) for found in heads.values())
        row = {"code": code, "date": date.today().isoformat()} | cell
        for share in SHARES:
            right = (share * joint + (1 - share) * np.mean(others, 0)).argmax(1) == part.labels
            row[f"share {share}"] = f"{100 - 100 * right.mean():.2f}"
        append_row(SHARE_ROWS, row | machine())
        print(row, flush=True)


def votes() -> None:
    """One row a run: votes learned for a part of the steps, and the network trained for the others."""
    preset = get_preset(PRESET)
    code = code_hash(PRESET)
    for seed, budget, name in itertools.product(VOTE_SEEDS, VOTE_BUDGETS, VOTE_SETS):
        with looked_at(name, budget, seed) as (chosen, part):
            for share in VOTE_SHARES:
                cell = {"data": name, "budget": str(budget), "seed": str(seed), "share": str(share)}
                if any(row | cell == row for row in read_rows(VOTE_ROWS)):
                    continue
                learned_votes.SHARE = share
                trained = fit_arm(preset, "fused", preset.recipe, chosen, seed, torch.device("cpu"), Silent())
                learned = trained.record["votes"]["votes"]
                row = {"code": code, "date": date.today().isoformat()} | cell
                row |= {f"vote of {head}": f"{vote:.3f}" for head, vote in learned.items()}
                row |= {"error": f"{100 - 100 * evaluate_model(trained, part).accuracy:.2f}"}
                append_row(VOTE_ROWS, row | machine())
                print(row, flush=True)


def table() -> None:
    """Mean error in per cent over the seeds, arm by rate, for each set."""
    rows = read_rows(ROWS)
    for name, arm in itertools.product(SETS, ARMS):
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
            votes()
        case []:
            main()
        case _:
            sys.exit(__doc__)
