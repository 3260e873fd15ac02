"""What became of the published network's claims: 99.2 % on MNIST, half a point above a single network?

    python benchmarks/article/run.py accuracy   # 3 arms × 3 seeds × 10 epochs, about 35 minutes on two cores
    python benchmarks/article/run.py speed KERAS_PYTHON   # 3 epochs, alternated with Keras, about 12 minutes
    python benchmarks/article/run.py page       # writes README.md from the rows

KERAS_PYTHON is the interpreter of an environment of its own with tensorflow-cpu. Finished rows are skipped. Those
of other code count where `python benchmarks/records.py article` found equal weights.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from statistics import mean, median, stdev

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from records import append_row, code_hash, current_rows, machine, shared_folder, write_page

import littoral as lt
from littoral.evaluation.intervals import mean_over_seeds

PRESET, EPOCHS, SEEDS, ARMS = "article", 10, (0, 1, 2), ("fused", "shallow", "deep")
CODE = code_hash(PRESET)  # before the first run: what is edited meanwhile is not what ran
ACCURACY, SPEED = HERE / "accuracy.csv", HERE / "speed.csv"


def accuracy() -> None:
    """Train what is missing; one row a run."""
    done = {(row["arm"], row["seed"]) for row in current_rows(ACCURACY, PRESET)}
    data = lt.load_mnist()
    for seed in SEEDS:
        for arm in ARMS:
            if (arm, str(seed)) in done:
                continue
            result = lt.compare(data, PRESET, arms=[arm], seeds=1, first_seed=seed, epochs=EPOCHS, device="cpu")
            run = result.arms[0].runs[0]
            row = {
                "code": CODE,
                "date": date.today().isoformat(),
                "arm": arm,
                "seed": str(seed),
                "epochs": str(EPOCHS),
                "accuracy": f"{run.accuracy:.4f}",
                "n": str(run.n),
                "train_seconds": f"{run.seconds:.1f}",
                "params": str(result.arms[0].params),
                "macs": str(result.arms[0].macs),
            }
            append_row(ACCURACY, row | machine())
            print(row, flush=True)


def speed(keras_python: str) -> None:
    """Three epochs of ours and of Keras's, by turns, each in a process of its own; one row a run."""
    shared = shared_folder()
    done = {(row["what"], row["seed"]) for row in current_rows(SPEED, PRESET)}
    ask = "import importlib.metadata as m; print(m.version('tensorflow-cpu'))"
    tensorflow = subprocess.check_output([keras_python, "-c", ask], text=True).strip()
    for seed in SEEDS:
        ours = (
            f"-m littoral fit mnist --preset {PRESET} --epochs 3 --seed {seed} --calibrate none --json --quiet".split()
        )
        control = [str(shared / "controls/article_keras.py"), str(shared / "data/mnist"), "--epochs", "3"]
        commands = {
            "littoral": [sys.executable, *ours, "--out", str(HERE / "speed.safetensors")],
            "keras": [keras_python, *control, "--seed", str(seed)],
        }
        for what, command in commands.items():
            if (what, str(seed)) in done:
                continue
            text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            if what == "littoral":
                document = json.loads(text)
                seconds, reached = document["epoch_seconds"], document["test"]["accuracy"]
            else:
                lines = [json.loads(line) for line in text.splitlines() if '"epoch"' in line]
                seconds, reached = [line["seconds"] for line in lines], lines[-1]["accuracy"]
            row = {
                "code": CODE,
                "date": date.today().isoformat(),
                "what": what,
                "seed": str(seed),
                "epochs": "3",
                "accuracy": f"{reached:.4f}",
                "seconds_1": f"{seconds[0]:.1f}",
                "seconds_2": f"{seconds[1]:.1f}",
                "seconds_3": f"{seconds[2]:.1f}",
            }
            facts = machine() | ({} if what == "littoral" else {"framework": f"tensorflow {tensorflow}"})
            append_row(SPEED, row | facts)
            print(row, flush=True)
    (HERE / "speed.safetensors").unlink(missing_ok=True)


def page() -> None:
    """README.md here from page.md and the rows, and the tables in the README of the project."""
    rows, timed = current_rows(ACCURACY, PRESET), current_rows(SPEED, PRESET)
    found = {arm: {row["seed"]: float(row["accuracy"]) for row in rows if row["arm"] == arm} for arm in ARMS}
    missing = len(ARMS) * len(SEEDS) - len(rows) + 2 * len(SEEDS) - len(timed)
    if missing:
        print(f"{missing} runs are missing: the page is not written before they are made", file=sys.stderr)
        sys.exit(1)
    table = ["| arm | parameters | MACs | test accuracy %, each seed | mean | s over seeds |", "|---" * 6 + "|"]
    for arm in ARMS:
        values = list(found[arm].values())
        row = next(row for row in rows if row["arm"] == arm)
        table.append(
            f"| {arm} | {int(row['params']):,} | {int(row['macs']):,} | {each(values)} "
            f"| **{100 * mean(values):.2f}** | {100 * stdev(values):.2f} |"
        )
    pairs = ["| difference, same seed | points, each seed | mean | 95 % interval over seeds |", "|---" * 4 + "|"]
    for other in ARMS[1:]:
        differences = [found["fused"][seed] - found[other][seed] for seed in found["fused"]]
        low, high = mean_over_seeds(differences)
        shown = ", ".join(f"{100 * value:+.2f}" for value in differences)
        interval = f"{100 * low:+.2f} to {100 * high:+.2f}"
        pairs.append(f"| fused − {other} | {shown} | {100 * mean(differences):+.2f} | {interval} |")
    seconds = {
        what: [float(row[f"seconds_{epoch}"]) for row in timed if row["what"] == what for epoch in (1, 2, 3)]
        for what in ("littoral", "keras")
    }
    speeds = ["| | seconds an epoch, median (range) | accuracy % after 3 epochs, each seed | mean |", "|---" * 4 + "|"]
    for what, values in seconds.items():
        reached = [float(row["accuracy"]) for row in timed if row["what"] == what]
        speeds.append(
            f"| {what} | {median(values):.1f} ({min(values):.1f} to {max(values):.1f}) "
            f"| {each(reached)} | {100 * mean(reached):.2f} |"
        )
    values = {
        "accuracy": "\n".join(table),
        "differences": "\n".join(pairs),
        "speed": "\n".join(speeds),
        "ratio": f"{median(seconds['littoral']) / median(seconds['keras']):.2f}",
        "fastest": f"{min(seconds['littoral']) / min(seconds['keras']):.2f}",
        "code": CODE,
    }
    write_page(HERE, values, rows + timed, front="article", block=[*table, "", *pairs])


def each(values: list[float]) -> str:
    """Shares as percent, one after the other."""
    return ", ".join(f"{100 * value:.2f}" for value in values)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["accuracy"]:
            accuracy()
        case ["speed", keras_python]:
            speed(keras_python)
        case ["page"]:
            page()
        case _:
            sys.exit(__doc__)
