"""How much memory an exported model takes: measured in a process of its own, which needs what its runner needs.

    python -m littoral.deploy.peak exported/model.onnx 1

prints bytes. What a process has with NumPy and ONNX Runtime loaded, some 60 MB, is not counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from littoral.deploy.runtime import SplitModel, load, load_split

BATCH = 32

STATUS = Path("/proc/self/status")


def peak_memory(place: Path, threads: int) -> int | None:
    """The most bytes that loading a file, or both halves in a folder, and a call with 32 images of its form add.

    None where the system does not tell (it is Linux's /proc that does), or the process fails.
    """
    if not STATUS.exists():
        return None
    # -P: a queue.py in the folder where somebody works is not Python's
    command = [sys.executable, "-P", "-m", "littoral.deploy.peak", str(place), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return int(done.stdout) if done.returncode == 0 else None


def added(place: Path, threads: int) -> int:
    """The same, in this process, which has done nothing else before."""
    import onnxruntime  # noqa: F401  before the memory is looked at first

    before = _kilobytes("VmRSS")
    model = load_split(place, threads) if place.is_dir() else load(place, threads)
    form = json.loads(model.metadata["image"])
    images = np.zeros((BATCH, form["height"], form["width"], form["channels"]), np.uint8)
    _ = model.run(images, may_exit=False) if isinstance(model, SplitModel) else model.run(images)
    return 1024 * (_kilobytes("VmHWM") - before)


def _kilobytes(name: str) -> int:
    """A line of the process's status. Its `ru_maxrss` would begin with the memory of the process that started it."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


if __name__ == "__main__":
    print(added(Path(sys.argv[1]), int(sys.argv[2])))
