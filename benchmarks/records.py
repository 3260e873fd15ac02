"""What every benchmark shares: CSV rows keyed by a hash of code and preset, the machine's facts, the shared folder.

    python benchmarks/records.py PRESET…   # 40 steps of each arm: does this code train as that of the rows did?

Rows count when they were made by this code, or by code whose weights in `weights.csv` are equal to the bit. Of a preset
in BY_PARTS, `part` there is empty for the three arms together, or an arm by itself, or the three with fixed votes: what
was changed in one part leaves rows of the others as they are.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from statistics import mean

import numpy as np
import torch

import littoral
from littoral.evaluation.intervals import mean_over_seeds
from littoral.training import votes
from littoral.training.loop import Silent
from littoral.training.presets import get_arm, get_preset
from littoral.training.run import choose_device, fit_arm

WEIGHTS = Path(__file__).with_name("weights.csv")
SOURCE = Path(littoral.__file__).parent
TRAINS = ("nn", "training")
"""What decides the weights of a run, given its images. Presets and arms are left out: they are hashed themselves."""

WHOLE, FIXED_VOTES = "", "votes fixed"
BY_PARTS = {"few": ("shallow", "deep", "matched", FIXED_VOTES)}


def code_hash(preset: str) -> str:
    """Twelve digits that change with the code that trains and with the preset, not with comments and docstrings."""
    digest = hashlib.sha256()
    for part in TRAINS:
        for file in sorted((SOURCE / part).rglob("*.py")):
            if file.name not in ("presets.py", "arms.py"):
                digest.update(_without_docstrings(file).encode())
    chosen = get_preset(preset)
    arms = {name: asdict(get_arm(chosen, name, (1, 28, 28), 10)) for name in chosen.compared}
    digest.update(repr((chosen.recipe, arms)).encode())
    return digest.hexdigest()[:12]


def source_hash(*names: str) -> str:
    """Twelve digits that change with these files and folders of the package, not with comments and docstrings."""
    digest = hashlib.sha256()
    for name in names:
        for file in sorted((SOURCE / name).rglob("*.py")) or [SOURCE / name]:
            digest.update(_without_docstrings(file).encode())
    return digest.hexdigest()[:12]


def record_weights(preset: str) -> None:
    """Add this code's rows to `weights.csv`: the SHA-256 of weights after 40 steps on 3,000 images, part by part."""
    images = littoral.load_mnist().subset(np.arange(3000))
    chosen = get_preset(preset)
    votes.LEAST_STEPS = 1  # so that 40 steps are enough to learn them
    for part in (WHOLE, *BY_PARTS.get(preset, ())):
        facts = machine() | {"preset": preset, "code": code_hash(preset), "part": part}
        if any(_same_place(row, facts) and row["code"] == facts["code"] for row in read_rows(WEIGHTS)):
            continue
        digest = hashlib.sha256()
        recipe = chosen.recipe.lasting(steps=40)
        for arm in ("fused", "shallow", "deep") if part in (WHOLE, FIXED_VOTES) else (part,):
            own = replace(recipe, votes="fixed") if part == FIXED_VOTES else recipe
            trained = fit_arm(chosen, arm, own, images, 3, choose_device("cpu"), Silent())
            for value in trained.model.state_dict().values():
                digest.update(value.numpy().tobytes())
        append_row(WEIGHTS, {"date": date.today().isoformat(), "weights_sha256": digest.hexdigest()} | facts)


def current_rows(path: Path, preset: str, threads: str | None = None, part: str = WHOLE) -> list[dict[str, str]]:
    """The rows that this code, or code that trains this part of the preset alike, has made on this kind of machine.

    `threads`: their number of threads; None: that of this process.
    """
    facts = machine() | {"preset": preset} | ({} if threads is None else {"threads": threads})
    here = [row for row in read_rows(WEIGHTS) if _same_place(row, facts) and row["part"] in (WHOLE, part)]
    alike: set[str] = set()
    more = {code_hash(preset)}
    while not more <= alike:  # code that is alike in this part to code that is alike in all of them
        alike |= more
        own = {(row["part"], row["weights_sha256"]) for row in here if row["code"] in alike}
        more = {row["code"] for row in here if (row["part"], row["weights_sha256"]) in own}
    return [row for row in read_rows(path) if _same_place(row, facts) and row["code"] in alike]


def _same_place(row: dict[str, str], facts: dict[str, str]) -> bool:
    """Whether a row is of the same preset and part (where both name one), processor, cores and threads."""
    names = ("preset", "part", "processor", "cores", "threads")
    return all(name not in facts or row.get(name, facts[name]) == facts[name] for name in names)


def shared_folder() -> Path:
    """The folder with data and control scripts: LITTORAL_SHARED, or ../shared beside the checkout."""
    folder = Path(os.environ.get("LITTORAL_SHARED", Path(__file__).parents[1].parent / "shared")).resolve()
    if not (folder / "controls").is_dir():
        sys.exit(f"this benchmark needs the folder of data and controls at {folder}; set LITTORAL_SHARED to it")
    return folder


def machine() -> dict[str, str]:
    """Processor, cores, threads and versions, as columns of a row."""
    model = "unknown"
    if Path("/proc/cpuinfo").exists():
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else platform.processor()
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "framework": f"torch {torch.__version__}",
        "littoral": littoral.__version__,
    }


def read_rows(path: Path) -> list[dict[str, str]]:
    """All rows of a CSV file, none where there is no file."""
    if not path.exists():
        return []
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle))


def write_page(
    folder: Path,
    values: dict[str, str],
    rows: list[dict[str, str]],
    front: str | None = None,
    block: Sequence[str] = (),
) -> None:
    """README.md of a benchmark: its page.md with {name} replaced by values, and by {machine} of the rows.

    `front`: the name of the part of the project's READMEs that `block` replaces.
    """
    facts = machine()
    frameworks = " and ".join(sorted({row["framework"] for row in rows}))
    values |= {"machine": f"{facts['processor']}, {facts['cores']} cores, {rows[0]['threads']} threads, {frameworks}"}
    text = (folder / "page.md").read_text()
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    (folder / "README.md").write_text("<!-- written by `run.py page` from page.md and the CSV files -->\n\n" + text)
    if front is not None:
        start, end = f"<!-- {front}: written by benchmarks/{front}/run.py page -->", "<!-- end -->"
        for readme in (SOURCE.parents[1] / name for name in ("README.md", "README.zh-CN.md")):
            before, rest = readme.read_text().split(start)
            readme.write_text(f"{before}{start}\n" + "\n".join(block) + f"\n{end}{rest.split(end, 1)[1]}")


def points_ahead(first: list[dict[str, str]], second: list[dict[str, str]]) -> str:
    """How many points of accuracy the first runs are ahead, over the seeds of both; 95 % interval over these."""
    theirs = {row["seed"]: float(row["accuracy"]) for row in second}
    ahead = [100 * (float(row["accuracy"]) - theirs[row["seed"]]) for row in first if row["seed"] in theirs]
    if len(ahead) < 2:
        return "too few seeds"
    low, high = mean_over_seeds(ahead)
    return f"{mean(ahead):+.2f} ({low:+.2f} to {high:+.2f})"


def append_row(path: Path, row: dict[str, str]) -> None:
    """Add one row; the first one brings the heading."""
    fresh = not path.exists()
    with open(path, "a", newline="") as handle:
        writer = csv.DictWriter(handle, list(row), lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def _without_docstrings(file: Path) -> str:
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.dump(tree)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        record_weights(name)
