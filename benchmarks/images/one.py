"""One measurement of `run.py`, printed as one number. Few imports: every worker process loads it anew."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

GIB = 2**30


def ours(place: Path) -> float:
    """Seconds from a table of paths to decoded images in their own order, all processes started and ended."""
    from littoral.images.build import build_store
    from littoral.images.sources import read_table

    table = read_table(place)
    start = time.perf_counter()
    built = build_store(table, None, None, "pad", 64, 8 * GIB, os.cpu_count() or 1, lambda done, total: None)
    seconds = time.perf_counter() - start
    assert len(built.store) == len(table.images)
    return seconds


def control(place: Path, workers: int) -> float:
    """Seconds for one pass of a DataLoader with Pillow over the same paths: batches of 256, default collate."""
    import numpy as np
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    paths = sorted(place.rglob("*.jpg"))
    numbers = {name: number for number, name in enumerate(sorted({path.parent.name for path in paths}))}

    class Files(Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            with Image.open(paths[index]) as image:
                pixels = np.array(image.convert("RGB"))
            return torch.from_numpy(pixels), numbers[paths[index].parent.name]

    start = time.perf_counter()
    count = sum(len(labels) for _, labels in DataLoader(Files(), batch_size=256, num_workers=workers))
    seconds = time.perf_counter() - start
    assert count == len(paths)
    return seconds


def build(place: Path, memory: int) -> float:
    """Peak bytes of this process and its workers, shared pages counted once, while all of `load_data` runs."""
    from littoral.images.load import Reading, load_data

    peak, stop = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.1):
            peak = max(peak, proportional_memory(os.getpid()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    loaded = load_data(str(place), Reading(memory=memory), os.cpu_count() or 1)
    stop.set()
    watcher.join()
    assert len(loaded.store) == 200_000
    return float(peak)


def proportional_memory(process: int) -> int:
    """Bytes of a process and those it started (Pss: a page that several share counts in parts)."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if int(folder.name) == process or parent == process or _grandparent(parent) == process:
                lines = (folder / "smaps_rollup").read_text().splitlines()
                total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, ValueError, IndexError):
            continue  # it has ended meanwhile
    return total


def _grandparent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ours", place]:
            print(ours(Path(place)))
        case ["control", place, workers]:
            print(control(Path(place), int(workers)))
        case ["build", place, limit]:
            print(build(Path(place), int(limit)))
