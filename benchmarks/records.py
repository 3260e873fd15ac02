"""What every benchmark shares: CSV rows keyed by a hash of code and preset, the machine's facts, the shared folder."""

from __future__ import annotations

import ast
import csv
import hashlib
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

import torch

import littoral
from littoral.training.presets import get_preset

SOURCE = Path(littoral.__file__).parent
TRAINS = ("nn", "training")
"""What decides the weights of a run, given its images. `presets.py` is left out: the preset itself is hashed."""


def code_hash(preset: str) -> str:
    """Twelve digits that change with the code that trains and with the preset, not with comments and docstrings."""
    digest = hashlib.sha256()
    for part in TRAINS:
        for file in sorted((SOURCE / part).rglob("*.py")):
            if file.name != "presets.py":
                digest.update(_without_docstrings(file).encode())
    chosen = get_preset(preset)
    arms = {name: asdict(config) for name, config in chosen.arms((1, 28, 28), 10).items()}
    digest.update(repr((chosen.recipe, arms)).encode())
    return digest.hexdigest()[:12]


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
