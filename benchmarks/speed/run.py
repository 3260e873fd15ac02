"""How fast does swift reach 99.2 % on MNIST, against the published record?

    python benchmarks/speed/run.py        # swift and the control by turns, 10 seeds each, about 5 minutes; then `arms`
    python benchmarks/speed/run.py arms   # its sides and one network of equal cost, 10 seeds each: their accuracy
    python benchmarks/speed/run.py page   # writes README.md from the rows

`make bench-speed` does all of it. Finished rows are skipped. Nothing else should run beside the first.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from statistics import mean, median, stdev

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import torch
from records import append_row, code_hash, current_rows, machine, points_ahead, shared_folder, write_page

import littoral as lt
from littoral.evaluate_model import evaluate_model
from littoral.evaluation.intervals import mean_over_seeds
from littoral.images.splits import train_test
from littoral.nn.cost import model_cost
from littoral.training.loop import Silent
from littoral.training.presets import get_preset
from littoral.training.run import fit_arm

PRESET, SEEDS = "swift", range(10)
CODE = code_hash(PRESET)  # before the first run: what is edited meanwhile is not what ran
ROWS, ARM_ROWS = HERE / "rows.csv", HERE / "arms.csv"
ARMS = ("shallow", "deep", "matched")


def main() -> None:
    """Train what is missing, each in a process of its own; one row a run."""
    shared = shared_folder()
    done = {(row["what"], row["seed"]) for row in current_rows(ROWS, PRESET)}
    for seed in SEEDS:
        model = HERE / "speed.safetensors"
        ours = f"-m littoral fit mnist --preset {PRESET} --seed {seed} --calibrate none --json --quiet".split()
        control = [str(shared / "controls/fast_mnist.py"), str(shared / "data/mnist"), "--epochs", "2"]
        for what, command in {PRESET: [*ours, "--out", str(model)], "control": [*control, "--seed", str(seed)]}.items():
            if (what, str(seed)) in done:
                continue
            text = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, text=True, check=True).stdout
            found = json.loads(text.splitlines()[-1] if what == "control" else text)
            accuracy = found["accuracy"] if what == "control" else found["test"]["accuracy"]
            images = 2 * 60_000 if what == "control" else found["images_seen"]
            row = {
                "code": CODE,
                "date": date.today().isoformat(),
                "what": what,
                "seed": str(seed),
                "accuracy": f"{accuracy:.4f}",
                "train_seconds": f"{found['train_seconds']:.2f}",
                "macs": str(found["macs"]),
                "train_tflop": f"{6 * found['macs'] * images / 1e12:.3f}",  # 2 a MAC; backwards costs twice as much
            }
            append_row(ROWS, row | machine())
            print(row, flush=True)
        model.unlink(missing_ok=True)


def beside() -> None:
    """The other arms of the preset, trained as `fused` is; one row a run."""
    preset, images = get_preset(PRESET), lt.load_mnist()
    training, test = train_test(images, 0)
    done = {(row["arm"], row["seed"]) for row in current_rows(ARM_ROWS, PRESET)}
    for seed, arm in itertools.product(SEEDS, ARMS):
        if (arm, str(seed)) in done:
            continue
        trained = fit_arm(preset, arm, preset.recipe, training, seed, torch.device("cpu"), Silent())
        cost = model_cost(trained.model)
        row = {"code": CODE, "date": date.today().isoformat(), "arm": arm, "seed": str(seed)}
        row |= {"accuracy": f"{evaluate_model(trained, test).accuracy:.4f}"}
        row |= {"params": str(cost.params), "macs": str(cost.macs)}
        append_row(ARM_ROWS, row | machine())
        print(row, flush=True)


def page() -> None:
    """README.md here from page.md and the rows."""
    rows = current_rows(ROWS, PRESET)
    found = {what: [row for row in rows if row["what"] == what] for what in (PRESET, "control")}
    if any(len(runs) < len(SEEDS) for runs in found.values()):
        sys.exit("runs are missing: the page is not written before they are made")
    table = [
        "| | accuracy %, mean | s over seeds | lowest, highest | seconds, median (range) | TFLOP |",
        "|---" * 6 + "|",
    ]
    seconds = {}
    for what, runs in found.items():
        reached = [100 * float(row["accuracy"]) for row in runs]
        seconds[what] = [float(row["train_seconds"]) for row in runs]
        table.append(
            f"| {what} | **{mean(reached):.2f}** | {stdev(reached):.2f} | {min(reached):.2f}, {max(reached):.2f} "
            f"| {median(seconds[what]):.2f} ({min(seconds[what]):.2f} to {max(seconds[what]):.2f}) "
            f"| {runs[0]['train_tflop']} |"
        )
    others = {arm: [row for row in current_rows(ARM_ROWS, PRESET) if row["arm"] == arm] for arm in ARMS}
    arms = ["| arm | MACs | accuracy %, mean | s over seeds | seeds | fused less this, points |", "|---" * 6 + "|"]
    for arm, runs in ({"fused": found[PRESET]} | others).items():
        reached = [100 * float(row["accuracy"]) for row in runs]
        ahead = "" if arm == "fused" else points_ahead(found[PRESET], runs)
        begin = f"| {arm} | {int(runs[0]['macs']):,} | **{mean(reached):.2f}** | {stdev(reached):.2f}"
        arms.append(f"{begin} | {len(runs)} | {ahead} |")
    low, high = mean_over_seeds([float(row["accuracy"]) for row in found[PRESET]])
    pairs = [ours / theirs for ours, theirs in zip(seconds[PRESET], seconds["control"], strict=True)]
    values = {
        "table": "\n".join(table),
        "arms": "\n".join(arms),
        "interval": f"{100 * low:.2f} to {100 * high:.2f}",
        "ratio": f"{median(seconds[PRESET]) / median(seconds['control']):.2f}",
        "pairs": f"{median(pairs):.2f}",
        "code": CODE,
    }
    write_page(HERE, values, rows, front="speed", block=table)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
            beside()
        case ["arms"]:
            beside()
        case ["page"]:
            page()
        case _:
            sys.exit(__doc__)
