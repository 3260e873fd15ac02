"""What does `tune` find in 20 minutes, for MNIST under 0.5 M MACs, beside `swift` scaled by its widths to that size?

    python benchmarks/tune/run.py        # about 25 minutes on two cores
    python benchmarks/tune/run.py page   # writes README.md from the rows
    python benchmarks/tune/run.py try    # the same on a few images with preset tiny, a minute or two; keeps nothing

The search sees the training part alone, with seed 0. What it found and scaled `swift` are then trained on all of it
with five other seeds, each tested once: all of it by the commands that a user has. It works in build/tune, from where
the same call goes on; `tried.csv` has a row a candidate, with its accuracy on the folds, and `rows.csv` a row a run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from shutil import copy
from statistics import mean
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import torch
from records import append_row, code_hash, current_rows, machine, write_page

from littoral.training.variant import Variant, write_preset
from littoral.words import percent, points, points_interval

SCALED = "scaled.toml:fused"


@dataclass(frozen=True)
class Question:
    """A preset, the multiply-accumulates that a model may have, seconds of search; options for less than all images.

    `seeds`: of the comparison, from `first` up; the search has seed 0.
    """

    preset: str = "swift"
    macs: int = 500_000
    seconds: int = 1200
    part: tuple[str, ...] = ()
    seeds: int = 5
    first: int = 100
    threads: int = 2


ASKED = Question()
TRIED = Question("tiny", 300_000, 25, ("--labels-per-class", "10"), seeds=2, threads=1)


def main(question: Question, work: Path, rows: Path) -> None:
    """Search, compare, and add the rows of both to those beside `rows`."""
    torch.set_num_threads(question.threads)  # for what `machine` tells; the commands are told the same
    if current_rows(rows, question.preset):
        return
    code = code_hash(question.preset)  # before the search: what is edited meanwhile is not what ran
    work.mkdir(parents=True, exist_ok=True)
    common = [*question.part, "--threads", str(question.threads)]
    limits = ["--max-macs", str(question.macs), "--time-budget", str(question.seconds)]
    if not (work / "tuned" / "results.json").exists():
        littoral(work, ["tune", "mnist", "--preset", question.preset, *limits, *common, "--out", "tuned"])
    found = json.loads((work / "tuned" / "results.json").read_text())
    first = found["candidates"][0]
    write_preset(work / "scaled.toml", Variant(question.preset, "scaled by its widths", first["variant"]["widths"]))
    seeds = ["--seed", str(question.first), "--seeds", str(question.seeds)]
    both = ["--preset", "tuned/preset.toml", "--arms", "fused", "--beside", SCALED]
    littoral(work, ["compare", "mnist", *both, *seeds, *common, "--out", "compared"])
    compared = json.loads((work / "compared" / "results.json").read_text())

    facts = {"code": code, "date": date.today().isoformat(), "preset": question.preset}
    for candidate in found["candidates"]:
        append_row(rows.with_name("tried.csv"), facts | tried(candidate, found["chosen"]) | machine())
    for row in of_comparison(compared):
        append_row(rows, facts | row | machine())
    for name in ("preset.toml", "front.png"):
        copy(work / "tuned" / name, rows.with_name(name))


def littoral(work: Path, words: Sequence[str]) -> None:
    """One command, in the folder `work`."""
    print("littoral", *words, flush=True)
    subprocess.run([sys.executable, "-m", "littoral", *words], check=True, cwd=work)


def tried(candidate: dict[str, Any], chosen: int) -> dict[str, str]:
    """A candidate as columns of a row."""
    asked, price = candidate["asked"], candidate["price"]
    widths = {name.removeprefix("width "): f"{asked[name]:.3f}" for name in asked if name.startswith("width ")}
    return {
        "number": str(candidate["number"] + 1),
        "fate": "chosen" if candidate["number"] == chosen else candidate["fate"],
        "folds": " ".join(f"{accuracy:.5f}" for accuracy in candidate["folds"]),
        "macs": "" if price is None else str(price["macs"]),
        "ms": "" if price is None else f"{1e3 * price['latency']:.3f}",
        "seconds": f"{candidate['seconds']:.1f}",
        "rate": f"{asked['rate']:.3f}",
        "length": f"{asked['length']:.3f}",
        "augment": str(asked["augment"]),
        "fusion": str(asked["fusion"]),
        "widths": " ".join(f"{name} {factor}" for name, factor in widths.items()),
    }


def of_comparison(compared: dict[str, Any]) -> list[dict[str, str]]:
    """A row for each run, and one for the difference, whose `accuracy` is in shares too, with its interval."""
    rows = [
        {
            "what": "scaled" if arm["name"] == SCALED else "tuned",
            "seed": str(run["seed"]),
            "accuracy": f"{run['accuracy']:.5f}",
            "low": "",
            "high": "",
            "n": str(compared["test_images"]),
            "params": str(arm["params"]),
            "macs": str(arm["macs"]),
            "train_seconds": f"{run['seconds']:.1f}",
        }
        for arm in compared["arms"]
        for run in arm["runs"]
    ]
    (pair,) = compared["pairs"]
    low, high = pair["ci95"]
    figures = {"accuracy": f"{pair['difference']:.6f}", "low": f"{low:.6f}", "high": f"{high:.6f}"}
    return [*rows, dict.fromkeys(rows[0], "") | {"what": "tuned - scaled", "n": rows[0]["n"]} | figures]


def page() -> None:
    """README.md here from page.md and the rows."""
    threads = str(ASKED.threads)
    rows, candidates = (current_rows(HERE / name, ASKED.preset, threads) for name in ("rows.csv", "tried.csv"))
    table = ["| | test accuracy %, mean | each seed | parameters | MACs | seconds of training |", "|---" * 6 + "|"]
    for what in ("tuned", "scaled"):
        own = [row for row in rows if row["what"] == what]
        reached = [float(row["accuracy"]) for row in own]
        seconds = mean(float(row["train_seconds"]) for row in own)
        costs = f"{int(own[0]['params']):,} | {int(own[0]['macs']):,} | {seconds:.0f}"
        table.append(f"| {what} | **{percent(mean(reached))}** | {', '.join(map(percent, reached))} | {costs} |")
    (pair,) = (row for row in rows if row["what"] == "tuned - scaled")
    trained = [row for row in candidates if row["folds"]]
    chosen = next(row for row in candidates if row["fate"] == "chosen")
    values = {
        "table": "\n".join(table),
        "difference": points(float(pair["accuracy"])),
        "interval": points_interval([float(pair["low"]), float(pair["high"])]),
        "outcome": "holds" if float(pair["high"]) >= 0 else "does not hold",
        "candidates": str(len(candidates)),
        "trained": str(len(trained)),
        "whole": str(sum(row["fate"] in ("whole", "chosen") for row in trained)),
        "chosen": ", ".join(f"{name} {chosen[name]}" for name in ("rate", "length", "augment", "fusion", "widths")),
        "number": chosen["number"],
        "folds": " and ".join(
            percent(mean(float(accuracy) for accuracy in row["folds"].split())) for row in (chosen, candidates[0])
        ),
        "code": rows[0]["code"],
    }
    write_page(HERE, values, rows)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main(ASKED, HERE.parents[1] / "build" / "tune", HERE / "rows.csv")
        case ["page"]:
            page()
        case ["try"]:
            with tempfile.TemporaryDirectory() as folder:
                main(TRIED, Path(folder) / "work", Path(folder) / "rows.csv")
                print((Path(folder) / "tried.csv").read_text(), (Path(folder) / "rows.csv").read_text())
        case _:
            sys.exit(__doc__)
