"""What became of the published network's claims: 99.2 % on MNIST, half a point above a single network?

    python benchmarks/article/run.py accuracy   # 3 arms × 3 seeds × 10 epochs, about 35 minutes on two cores
    python benchmarks/article/run.py speed KERAS_PYTHON   # 3 epochs, alternated with Keras, about 12 minutes
    python benchmarks/article/run.py same       # 40 steps of each arm: does this code train as that of the rows did?
    python benchmarks/article/run.py page       # writes README.md from the rows

KERAS_PYTHON is the interpreter of an environment of its own with tensorflow-cpu. Finished rows are skipped. Rows count
when they were made by this code, or by code whose weights after `same` were equal to the bit on the same machine.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from statistics import mean, median, stdev

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
from records import append_row, code_hash, machine, read_rows, shared_folder

import littoral as lt
from littoral.evaluation.intervals import mean_over_seeds
from littoral.training.loop import Silent
from littoral.training.presets import get_preset
from littoral.training.run import choose_device, fit_arm

PRESET, EPOCHS, SEEDS, ARMS = "article", 10, (0, 1, 2), ("fused", "shallow", "deep")
START, END = "<!-- article: written by benchmarks/article/run.py page -->", "<!-- end -->"
CODE = code_hash(PRESET)  # before the first run: what is edited meanwhile is not what ran
ACCURACY, SPEED, WEIGHTS = HERE / "accuracy.csv", HERE / "speed.csv", HERE / "weights.csv"


def current(path: Path) -> list[dict[str, str]]:
    """The rows that this code, or code that trains alike, has made on this kind of machine; no others count."""
    facts = {name: value for name, value in machine().items() if name in ("processor", "cores", "threads")}
    here = [row for row in read_rows(WEIGHTS) if facts.items() <= row.items()]
    own = {row["weights_sha256"] for row in here if row["code"] == CODE}
    alike = {CODE} | {row["code"] for row in here if row["weights_sha256"] in own}
    return [row for row in read_rows(path) if facts.items() <= row.items() and row["code"] in alike]


def same() -> None:
    """The SHA-256 of the weights of all arms after 40 steps on 3,000 images; one row for each code."""
    facts = machine()
    if any(row["code"] == CODE and row["processor"] == facts["processor"] for row in read_rows(WEIGHTS)):
        return
    digest = hashlib.sha256()
    images = lt.load_mnist().subset(np.arange(3000))
    preset = get_preset(PRESET)
    for arm in ARMS:
        trained = fit_arm(preset, arm, preset.recipe.lasting(steps=40), images, 3, choose_device("cpu"), Silent())
        for value in trained.model.state_dict().values():
            digest.update(value.numpy().tobytes())
    row = {"code": CODE, "date": date.today().isoformat(), "weights_sha256": digest.hexdigest()}
    append_row(WEIGHTS, row | facts)
    print(row)


def accuracy() -> None:
    """Train what is missing; one row a run."""
    done = {(row["arm"], row["seed"]) for row in current(ACCURACY)}
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
    done = {(row["what"], row["seed"]) for row in current(SPEED)}
    ask = "import importlib.metadata as m; print(m.version('tensorflow-cpu'))"
    tensorflow = subprocess.check_output([keras_python, "-c", ask], text=True).strip()
    for seed in SEEDS:
        ours = f"-m littoral fit mnist --preset {PRESET} --epochs 3 --seed {seed} --json --quiet".split()
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
    rows, timed = current(ACCURACY), current(SPEED)
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
    facts = machine()
    frameworks = " and ".join(sorted({row["framework"] for row in rows + timed}))
    text = (HERE / "page.md").read_text()
    for name, value in {
        "accuracy": "\n".join(table),
        "differences": "\n".join(pairs),
        "speed": "\n".join(speeds),
        "ratio": f"{median(seconds['littoral']) / median(seconds['keras']):.2f}",
        "fastest": f"{min(seconds['littoral']) / min(seconds['keras']):.2f}",
        "machine": f"{facts['processor']}, {facts['cores']} cores, {facts['threads']} threads, {frameworks}",
        "code": CODE,
    }.items():
        text = text.replace("{" + name + "}", value)
    front = HERE.parents[1] / "README.md"
    before, rest = front.read_text().split(START)
    block = "\n\n".join(["\n".join(table), "\n".join(pairs)])
    front.write_text(f"{before}{START}\n{block}\n{END}{rest.split(END)[1]}")
    (HERE / "README.md").write_text("<!-- written by `run.py page` from page.md and the CSV files -->\n\n" + text)


def each(values: list[float]) -> str:
    """Shares as percent, one after the other."""
    return ", ".join(f"{100 * value:.2f}" for value in values)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["accuracy"]:
            accuracy()
        case ["speed", keras_python]:
            speed(keras_python)
        case ["same"]:
            same()
        case ["page"]:
            page()
        case _:
            sys.exit(__doc__)
