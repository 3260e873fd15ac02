"""How high does strong get on MNIST, and strong-mirrored on Fashion-MNIST?

    python benchmarks/accuracy/run.py                        # all that is missing: some hours
    python benchmarks/accuracy/run.py mnist fused            # one set, one arm
    python benchmarks/accuracy/run.py mnist fused --threads 1
    python benchmarks/accuracy/run.py page                   # writes README.md from the rows

`make bench-accuracy` runs the first and the last. Each run trains on the whole training part and is tested once on the
whole test part. Finished rows are skipped, whatever their number of threads: two sets or arms may run side by side with
one thread each, but then their seconds are not those of a machine of its own.
"""

from __future__ import annotations

import itertools
import sys
from datetime import date
from pathlib import Path
from statistics import mean, stdev

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import torch
from records import append_row, code_hash, current_rows, machine, points_ahead, shared_folder, write_page

import littoral as lt
from littoral.evaluate_model import evaluate_model
from littoral.images.load import load_data
from littoral.images.splits import train_test
from littoral.images.store import ImageStore
from littoral.nn.cost import model_cost
from littoral.training.loop import Silent
from littoral.training.presets import get_arm, get_preset
from littoral.training.run import fit_arm
from littoral.words import count

PRESETS = {"mnist": "strong", "fashion-mnist": "strong-mirrored"}
CODES = {name: code_hash(preset) for name, preset in PRESETS.items()}
"""Taken before the first run: what is edited meanwhile is not what ran."""
ROWS = HERE / "rows.csv"
ARMS = ("fused", "shallow", "deep", "matched")
SEEDS = {"mnist": range(5), "fashion-mnist": range(3)}


def parts_of(name: str) -> tuple[ImageStore, ImageStore]:
    """Training and test part of a set."""
    if name == "mnist":
        return train_test(lt.load_mnist(), 0)
    return train_test(load_data(name, data_dir=shared_folder() / "data" / name).store, 0)


def main(names: list[str], arms: list[str]) -> None:
    """Train what is missing; one row a run."""
    for name in names:
        preset = get_preset(PRESETS[name])
        training, test = parts_of(name)
        for arm, seed in itertools.product([arm for arm in arms if arm not in same_as_deep(name)], SEEDS[name]):
            cell = {"data": name, "arm": arm, "epochs": str(preset.recipe.epochs), "seed": str(seed)}
            if any(row | cell == row for row in rows_so_far()):
                continue
            trained = fit_arm(preset, arm, preset.recipe, training, seed, torch.device("cpu"), Silent())
            figures, cost = evaluate_model(trained, test), model_cost(trained.model)
            row = {"code": CODES[name], "date": date.today().isoformat()} | cell
            row |= {
                "accuracy": f"{figures.accuracy:.4f}",
                "n": str(figures.n),
                "train_seconds": f"{trained.record['train_seconds']:.0f}",
                "params": str(cost.params),
                "macs": str(cost.macs),
            }
            append_row(ROWS, row | machine())
            print(row, flush=True)


def same_as_deep(name: str) -> tuple[str, ...]:
    """`matched`, where the deep side alone has the multiply-accumulates of `fused` already: one network, not two."""
    preset = get_preset(PRESETS[name])
    deep, matched = (get_arm(preset, arm, (1, 28, 28), 10) for arm in ("deep", "matched"))
    return ("matched",) if deep == matched else ()


def rows_so_far() -> list[dict[str, str]]:
    """Rows of this code with any number of threads."""
    return [
        row
        for name, preset in PRESETS.items()
        for threads in ("1", "2")
        for row in current_rows(ROWS, preset, threads)
        if row["data"] == name
    ]


def page() -> None:
    """README.md here from page.md and the rows, and the table in the README of the project."""
    rows = rows_so_far()
    front = [
        "| data | preset | arm | parameters | MACs | test accuracy %, mean | each seed | fused less this, points |",
        "|---" * 8 + "|",
    ]
    values = {"code": ", ".join(f"{CODES[name]} ({preset})" for name, preset in PRESETS.items())}
    for name in SEEDS:
        table = [
            "| arm | parameters | MACs | accuracy %, mean | s over seeds | each seed | fused less this, points "
            "| seconds (threads) |",
            "|---" * 8 + "|",
        ]
        for arm in ARMS:
            own = [row for row in rows if (row["data"], row["arm"]) == (name, arm)]
            if not own:
                continue
            reached = [100 * float(row["accuracy"]) for row in own]
            spread = f"{stdev(reached):.2f}" if len(reached) > 1 else "one seed"
            costs = f"{int(own[0]['params']):,} | {int(own[0]['macs']):,}"
            each = ", ".join(f"{value:.2f}" for value in reached)
            seconds = ", ".join(f"{row['train_seconds']} ({row['threads']})" for row in own)
            fused = [row for row in rows if (row["data"], row["arm"]) == (name, "fused")]
            ahead = "" if arm == "fused" else points_ahead(fused, own)
            said = " and ".join((arm, *same_as_deep(name))) if arm == "deep" else arm
            table.append(f"| {said} | {costs} | **{mean(reached):.2f}** | {spread} | {each} | {ahead} | {seconds} |")
            front.append(
                f"| {name} | {PRESETS[name]} | {said} | {costs} | **{mean(reached):.2f}** | {each} | {ahead} |"
            )
        values[name] = "\n".join(table) if len(table) > 2 else "Not run yet."
    reached = [100 * float(row["accuracy"]) for row in rows if (row["data"], row["arm"]) == ("fashion-mnist", "fused")]
    values["miss"] = (
        f"{mean(reached):.2f} % over {count(len(reached), 'seed')}, {94 - mean(reached):.2f} points short"
        if reached
        else "not run"
    )
    write_page(HERE, values, rows, front="accuracy", block=front)


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[-2:-1] == ["--threads"]:
        torch.set_num_threads(int(given[-1]))
        given = given[:-2]
    match given:
        case ["page"]:
            page()
        case []:
            main(list(SEEDS), list(ARMS))
        case [name, arm] if name in SEEDS and arm in ARMS:
            main([name], [arm])
        case _:
            sys.exit(__doc__)
