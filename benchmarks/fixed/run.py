"""How fast are the fixed features on a batch, against scikit-image and kymatio?

    python benchmarks/fixed/run.py                  # HOG and LBP against scikit-image, about a minute
    python benchmarks/fixed/run.py PYTHON           # scattering too, against kymatio in PYTHON's environment, 5 minutes
    python benchmarks/fixed/run.py page             # writes README.md from the rows

kymatio does not import with today's SciPy. An environment for it has kymatio==0.3.0, scipy==1.13.1 and the torch that
is used here. One thread everywhere; both sides by turns, so that other work on the machine slows both.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
import torch
from records import SOURCE, append_row, machine, read_rows, write_page
from skimage.feature import hog, local_binary_pattern

from littoral.nn.fixed.hog import HogConfig, hard_histograms, normalised
from littoral.nn.fixed.lbp import LbpConfig
from littoral.nn.fixed.scattering import ScatteringConfig
from littoral.nn.layers import windows

BATCH = 256
SHAPES = ((1, 28, 28), (3, 32, 32), (1, 64, 64))
SCALES = {28: 2, 32: 2, 64: 3}
ASKED = {"hog": 3.0, "hog branch": 3.0, "lbp": 3.0, "lbp, all patterns": 3.0, "scattering": 1.5}
ROWS = HERE / "rows.csv"

Run = Callable[[], float]
"""One pass over the batch; its seconds."""


def code() -> str:
    """Twelve digits that change with the code of the fixed features."""
    digest = hashlib.sha256()
    for file in sorted((SOURCE / "nn/fixed").glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def main(kymatio: str | None) -> None:
    """Measure what has no row yet; one row a feature and shape."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        stored = rng.integers(0, 256, (BATCH, *shape[1:], shape[0]), np.uint8)
        images = torch.tensor(stored).permute(0, 3, 1, 2) / 255
        measured("hog", shape, 15, timed(lambda x=images: hard(x)), timed(lambda s=stored: skimage_hog(s)))
        for what, config in {
            "hog branch": HogConfig(),
            "lbp": LbpConfig(),
            "lbp, all patterns": LbpConfig(rotated=False),
        }.items():
            branch = config.build(shape)
            theirs = (
                timed(lambda s=stored: skimage_hog(s))
                if what == "hog branch"
                else timed(lambda s=stored, c=config: skimage_lbp(s, c))
            )
            measured(what, shape, 15, timed(lambda b=branch, x=images: b(x)), theirs)
        if kymatio is not None:
            scales = SCALES[shape[1]]
            branch = ScatteringConfig(scales).build(shape)
            with Kymatio(kymatio, shape, scales) as control:
                measured("scattering", shape, 7, timed(lambda b=branch, x=images: b(x)), control.seconds)


def measured(what: str, shape: tuple[int, int, int], rounds: int, ours: Run, theirs: Run) -> None:
    """One row, unless it is there: medians of rounds in which each side has a turn, after one that is thrown away."""
    key = {"code": code(), "what": what, "shape": "×".join(map(str, shape))} | machine()
    if any(key.items() <= row.items() for row in read_rows(ROWS)):
        return
    pairs = [(ours(), theirs()) for _ in range(rounds + 1)][1:]
    ratios = sorted(their / our for our, their in pairs)
    row = {
        "date": date.today().isoformat(),
        "rounds": str(rounds),
        "load": f"{os.getloadavg()[0]:.1f}",
        "ms": f"{1000 * median(our for our, _ in pairs):.2f}",
        "their_ms": f"{1000 * median(their for _, their in pairs):.1f}",
        "ratio": f"{median(ratios):.2f}",
        "lowest": f"{ratios[0]:.2f}",
        "highest": f"{ratios[-1]:.2f}",
    }
    append_row(ROWS, row | key)
    print(row | key, flush=True)


def timed(work: Callable[[], object]) -> Run:
    """The work as a run: without gradients, and with its time."""

    def run() -> float:
        start = time.perf_counter()
        with torch.no_grad():
            work()
        return time.perf_counter() - start

    return run


def hard(images: torch.Tensor) -> torch.Tensor:
    """What `skimage_hog` computes."""
    return normalised(hard_histograms(images, 9, 4), 1, 1e-5)


def skimage_hog(stored: np.ndarray) -> np.ndarray:
    """Nine unsigned directions in cells of 4 × 4 pixels, each normalised by itself."""
    return np.stack([hog(image, 9, (4, 4), (1, 1), "L2", channel_axis=-1) for image in stored])


def skimage_lbp(stored: np.ndarray, config: LbpConfig) -> np.ndarray:
    """The histograms of the branch, channel by channel and window by window."""
    method = "uniform" if config.rotated else "nri_uniform"
    (rows, down, high), (columns, across, wide) = (windows(side, config.grid) for side in stored.shape[1:3])
    found = []
    for image in stored:
        for channel in np.moveaxis(image, -1, 0):
            labels = local_binary_pattern(channel, config.points, config.radius, method).astype(np.int64)
            for top in range(0, rows * down, down):
                for left in range(0, columns * across, across):
                    window = labels[top : top + high, left : left + wide]
                    found.append(np.bincount(window.ravel(), minlength=config.bins) / window.size)
    return np.stack(found)


class Kymatio:
    """control.py in the Python of kymatio's environment, waiting for its turns."""

    def __init__(self, python: str, shape: tuple[int, int, int], scales: int) -> None:
        numbers = (BATCH, shape[0], shape[1], scales)
        self.command = [python, "-W", "ignore", str(HERE / "control.py"), *map(str, numbers)]

    def __enter__(self) -> Kymatio:
        try:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except OSError as error:
            sys.exit(f"no Python with kymatio at {self.command[0]} ({error.strerror}): see the top of this file")
        if not self.process.stdout.readline().startswith("torch"):
            sys.exit(f"{self.command[0]} cannot import kymatio's torch frontend: see the top of this file")
        return self

    def seconds(self) -> float:
        """One turn."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait()


def page() -> None:
    """README.md here from page.md and the rows of this code."""
    rows = [row for row in read_rows(ROWS) if row["code"] == code()]
    if not rows:
        sys.exit("there are no rows of this code: measure first")
    table = ["| feature | images | ms | theirs, ms | ratio | lowest, highest | asked |", "|---" * 7 + "|"]
    for what, asked in ASKED.items():
        for row in [row for row in rows if row["what"] == what]:
            table.append(
                f"| {what} | {row['shape']} | {row['ms']} | {row['their_ms']} | **{float(row['ratio']):.1f}** "
                f"| {row['lowest']}, {row['highest']} | {asked} |"
            )
    loads = sorted(float(row["load"]) for row in rows)
    write_page(HERE, {"table": "\n".join(table), "load": f"{loads[0]:.0f} to {loads[-1]:.0f}"}, rows)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            print("without a Python that has kymatio there are no rows of scattering", file=sys.stderr)
            main(None)
        case ["page"]:
            page()
        case [python]:
            main(python)
        case _:
            sys.exit(__doc__)
