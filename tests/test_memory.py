"""A pack that is more than memory is fitted, drawn in any order, with little of it in memory at a time.

What counts is memory behind which there is no file: pages of a mapped file are dropped where the system needs room.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from littoral.images.pack import pack
from littoral.images.table import ImageTable

SIDE, FEW, MANY, TEST = 96, 1500, 6500, 100

EACH = SIDE * SIDE * 3

MORE, MOST = EACH * (MANY - FEW), 60_000_000
"""Bytes of pixels that the larger set has on top of the smaller (138 MB), and how much more memory it may take.

10 MB were seen; with a copy of the pixels it would be 138 MB more.
"""

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "131072"}
"""What is freed goes back to the system at once. Without it the allocator keeps pieces of batches and of blocks of the
search for duplicates, 80 to 125 MB of them by chance, which says nothing of what is held.
"""

PRESET = """
base = "tiny"
summary = "narrow, so that a batch is small beside the set"
widths = {shallow = 0.25, deep = 0.25}
[recipe]
steps = 20
batch_size = 32
full_batches = true
"""

CHILD = """
import sys, threading, time
from pathlib import Path
from littoral.cli.main import run

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

def watch():
    while True:
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.005)

peak, peaks = [0], []
threading.Thread(target=watch, daemon=True).start()
for data in ("few", "many"):
    assert run(["fit", data, "--out", data + ".safetensors", *sys.argv[1:]]) == 0
    peaks.append(peak[0])
Path("more").write_text(str(peaks[1] - peaks[0]))
"""


def packed(out: Path, images: int) -> None:
    """A pack of noise in two classes, one of them darker."""
    rng = np.random.default_rng(0)
    head = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(head, "BMP")
    start = head.getvalue()[:-EACH]
    noise = (rng.integers(0, 256 - 80 * (number % 2), EACH, np.uint8) for number in range(images))
    table = ImageTable(
        images=tuple(start + pixels.tobytes() for pixels in noise),
        names=tuple(map(str, range(images))),
        labels=tuple("ab"[number % 2] for number in range(images)),
        groups=None,
        split=tuple("test" if number < TEST else "train" for number in range(images)),
        source="noise",
    )
    pack(table, out)


def test_no_copy_of_the_pixels_is_in_memory(tmp_path: Path) -> None:
    packed(tmp_path / "few", FEW)
    packed(tmp_path / "many", MANY)
    (tmp_path / "narrow.toml").write_text(PRESET)
    options = f"--preset narrow.toml --size {SIDE} --memory 0 --calibrate holdout --threads 1".split()
    environment = os.environ | ALLOCATOR | {"LITTORAL_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", CHILD, *options]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sizes = [file.stat().st_size for file in (tmp_path / "cache").rglob("images.bin")]
    assert sorted(sizes) == [EACH * FEW, EACH * MANY]
    assert int((tmp_path / "more").read_text()) < MOST < MORE
