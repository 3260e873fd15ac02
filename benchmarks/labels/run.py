"""What does few reach with 10, 30 and 100 labels a class and nothing else, and with images without a label beside?

    python benchmarks/labels/run.py                  # all that is missing: some hours on one thread
    python benchmarks/labels/run.py mnist fused      # one set
    python benchmarks/labels/run.py mnist unlabelled # fused, 10 labels a class and the other images without theirs
    python benchmarks/labels/run.py mnist probe      # preset probe, which trains nothing
    python benchmarks/labels/run.py page             # writes README.md from the rows

`make bench-labels` runs the first and the last. Each run draws its labels from the training part by its seed and is
tested once on the whole test part: that which the set came with, else the fifth of the images that `littoral fit` holds
out with seed 0. Finished rows are skipped. Two sets or arms may run side by side: a run computes with one thread.
"""

from __future__ import annotations

import itertools
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from statistics import mean, stdev

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
import torch
from records import FIXED_VOTES, append_row, code_hash, current_rows, machine, shared_folder, write_page

import littoral as lt
from littoral.evaluate_model import evaluate_model
from littoral.images.load import Reading, inspect_data, load_data
from littoral.images.splits import label_budget, train_test
from littoral.images.store import ImageStore
from littoral.nn.cost import model_cost
from littoral.training.loop import Silent
from littoral.training.presets import get_preset
from littoral.training.run import fit_arm

torch.set_num_threads(1)
PRESET = "few"
CODE = code_hash(PRESET)  # before the first run: what is edited meanwhile is not what ran
ROWS = HERE / "rows.csv"
FUSION_ROWS = HERE.parent / "fusion" / "rows.csv"
PROBE = "probe"
PROBE_ROWS, PROBE_SEEDS = HERE / "probe.csv", range(3)
BUDGETS = (10, 30, 100)
ARMS = ("fused",)  # the others, and whether fusing helps: benchmarks/fusion
UNLABELLED = "unlabelled"
UNLABELLED_SEEDS, UNLABELLED_BUDGET = range(5), 10
SEEDS = {"mnist": range(10), "fashion-mnist": range(5), "cifar10": range(5), "signs": range(5)}
ARCHIVES = {"cifar10": "cifar10-jpeg.tar.xz", "signs": "sign-language-digits.tar.xz"}


@contextmanager
def parts_of(name: str) -> Iterator[tuple[ImageStore, ImageStore]]:
    """Training and test part of a set; photographs of the shared folder at 32×32."""
    if name == "mnist":
        yield train_test(lt.load_mnist(), 0)
        return
    if name == "fashion-mnist":
        loaded = load_data(name, data_dir=shared_folder() / "data" / name)
        yield train_test(loaded.store, 0)
        return
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(shared_folder() / "data" / ARCHIVES[name]) as packed:
            packed.extractall(place, filter="data")
        data, group = (_by_person(Path(place)), "person") if name == "signs" else (Path(place), None)
        yield train_test(inspect_data(str(data), Reading(largest=32, group_column=group)).store, 0)


def _by_person(place: Path) -> Path:
    """A table of the signs: a person's images are neighbours by number, one of each class in rising order."""
    files = sorted(place.glob("Dataset/*/IMG_*.JPG"), key=lambda file: int(file.stem.removeprefix("IMG_")))
    person, before, lines = -1, 10, ["path,label,person"]
    for file in files:
        label = int(file.parent.name)
        person, before = person + (label <= before), label
        lines.append(f"{file.relative_to(place)},{label},{person}")
    table = place / "signs.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def main(names: list[str], arms: list[str]) -> None:
    """Train what is missing; one row a run."""
    for name in names:
        with parts_of(name) as (training, test):
            cells = list(itertools.product(SEEDS[name], BUDGETS, arms))  # by seeds: a part of the grid is a fair part
            if arms == [UNLABELLED]:
                cells = [(seed, UNLABELLED_BUDGET, UNLABELLED) for seed in UNLABELLED_SEEDS]
            for seed, budget, arm in cells:
                cell = {"data": name, "arm": arm, "budget": str(budget), "seed": str(seed)}
                if any(row | cell == row for row in _rows()):
                    continue
                drawn = label_budget(training.labels, budget, seed)
                rest = np.setdiff1d(np.arange(len(training)), drawn)
                preset = get_preset(PRESET)
                trained = fit_arm(
                    preset,
                    "fused" if arm == UNLABELLED else arm,
                    preset.recipe,
                    training.subset(drawn),
                    seed,
                    torch.device("cpu"),
                    Silent(),
                    unlabelled=training.images[rest] if arm == UNLABELLED else None,
                )
                figures, cost = evaluate_model(trained, test), model_cost(trained.model)
                row = {"code": CODE, "date": date.today().isoformat()} | cell
                row |= {
                    "accuracy": f"{figures.accuracy:.4f}",
                    "n": str(figures.n),
                    "train_seconds": f"{trained.record['train_seconds']:.1f}",
                    "params": str(cost.params),
                    "macs": str(cost.macs),
                }
                append_row(ROWS, row | machine())
                print(row, flush=True)


def probe(name: str) -> None:
    """What preset probe, which trains nothing, makes of the same labels."""
    preset, code = get_preset(PROBE), code_hash(PROBE)
    with parts_of(name) as (training, test):
        for seed, budget in itertools.product(PROBE_SEEDS, BUDGETS):
            cell = {"data": name, "budget": str(budget), "seed": str(seed)}
            if any(row | cell == row for row in current_rows(PROBE_ROWS, PROBE)):
                continue
            drawn = training.subset(label_budget(training.labels, budget, seed))
            trained = fit_arm(preset, "fused", preset.recipe, drawn, seed, torch.device("cpu"), Silent())
            figures = evaluate_model(trained, test)
            row = {"code": code, "date": date.today().isoformat()} | cell
            append_row(PROBE_ROWS, row | {"accuracy": f"{figures.accuracy:.4f}", "n": str(figures.n)} | machine())


def _rows() -> list[dict[str, str]]:
    """The runs here, and of benchmarks/fusion those that are the same and were not made here too."""
    labelled = [*current_rows(FUSION_ROWS, PRESET), *current_rows(ROWS, PRESET)]
    found = {(row["data"], row["budget"], row["seed"]): row for row in labelled if row["arm"] in ARMS}
    # whose votes are fixed, where the images without a label were of use, as in all of these
    beside = [row for row in current_rows(ROWS, PRESET, part=FIXED_VOTES) if row["arm"] == UNLABELLED]
    return [*found.values(), *beside]


def page() -> None:
    """README.md here from page.md and the rows, and the table in the README of the project."""
    rows = _rows()
    values = {"code": CODE}
    front = ["| labels a class | 10 | 30 | 100 |", "|---" * 4 + "|"]
    for name in SEEDS:
        table = ["| arm | parameters | MACs | 10 | 30 | 100 | seconds |", "|---" * 7 + "|"]
        for arm in ARMS:
            own = [row for row in rows if (row["data"], row["arm"]) == (name, arm)]
            if not own:
                continue
            cells = [_cell([row for row in own if row["budget"] == str(budget)]) for budget in BUDGETS]
            longest = max(float(row["train_seconds"]) for row in own)
            costs = f"{int(own[0]['params']):,} | {int(own[0]['macs']):,}"
            table.append(f"| {arm} | {costs} | {' | '.join(cells)} | up to {longest:.0f} |")
            if arm == "fused":
                front.append(f"| {name} | {' | '.join(cells)} |")
        values[name] = "\n".join(table) if len(table) > 2 else "Not run yet."
    beside = [row for row in rows if row["arm"] == UNLABELLED]
    values[UNLABELLED] = _cell(beside)
    seconds = sorted(float(row["train_seconds"]) for row in beside) or [0.0]
    values["unlabelled_seconds"] = f"{seconds[0]:.0f} to {seconds[-1]:.0f}"
    if beside:
        front.append(f"| mnist and 59,900 images without a label | {_cell(beside)} | | |")
    fixed = current_rows(PROBE_ROWS, PROBE)
    cells = [_cell([row for row in fixed if row["budget"] == str(budget)]) for budget in BUDGETS]
    values[PROBE] = f"| labels a class | 10 | 30 | 100 |\n{'|---' * 4}|\n| error | {' | '.join(cells)} |"
    write_page(HERE, values, rows, front="labels", block=front)


def _cell(rows: list[dict[str, str]]) -> str:
    """Mean error, and its spread over the seeds, in per cent."""
    errors = [100 - 100 * float(row["accuracy"]) for row in rows]
    if len(errors) < 2:
        return f"{errors[0]:.2f} (one seed)" if errors else "not run"
    return f"{mean(errors):.2f} (s {stdev(errors):.2f}, {len(errors)} seeds)"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["page"]:
            page()
        case []:
            main(list(SEEDS), list(ARMS))
            main(["mnist"], [UNLABELLED])
            probe("mnist")
        case [name, "probe"] if name in SEEDS:
            probe(name)
        case [name, arm] if name in SEEDS and arm in (*ARMS, UNLABELLED):
            main([name], [arm])
        case _:
            sys.exit(__doc__)
