"""How fast many small files are read, what feeding costs a training, and how much memory a large build takes.

    python benchmarks/images/run.py speed     # 50,000 JPEG files against a DataLoader, alternated, about 3 minutes
    python benchmarks/images/run.py feed      # two epochs of the smallest preset on them, about a minute
    python benchmarks/images/run.py memory    # 200,000 made files into a cache file and into memory, about 8 minutes
    python benchmarks/images/run.py page      # writes README.md from the rows

Run them one at a time on an idle machine. `speed` and `feed` need `cifar10-jpeg.tar.xz` of the shared folder, which is
unpacked into a temporary folder. Every measurement is a process of its own; imports are outside the timing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from records import append_row, code_hash, machine, read_rows, shared_folder

ROUNDS, WORKERS = 5, (0, 1, 2, 3, 4)
SPEED, FEED, MEMORY = HERE / "speed.csv", HERE / "feed.csv", HERE / "memory.csv"
FILES, SIDE = 200_000, 64
GIB = 2**30


def unpacked(folder: str) -> Path:
    """The training files of CIFAR-10 as JPEG, below a temporary folder."""
    with tarfile.open(shared_folder() / "data/cifar10-jpeg.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return Path(folder) / "train"


def alone(*arguments: str) -> float:
    """The figure that one.py prints for these arguments, in a process of its own."""
    command = [sys.executable, "-W", "ignore", str(HERE / "one.py"), *arguments]
    return float(subprocess.check_output(command, text=True).split()[-1])


def speed() -> None:
    """Every way once a round, one row each; the first round warms the page cache and is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        place = unpacked(folder)
        for turn in range(ROUNDS + 1):
            for workers in (None, *WORKERS):
                what = "littoral" if workers is None else f"DataLoader, {workers} workers"
                arguments = ("ours", str(place)) if workers is None else ("control", str(place), str(workers))
                seconds = alone(*arguments)
                print(turn, what, round(seconds, 2), flush=True)
                if turn:
                    row = {"date": date.today().isoformat(), "turn": str(turn), "what": what, "files": "50000"}
                    append_row(SPEED, row | {"seconds": f"{seconds:.3f}"} | machine())


def feed() -> None:
    """Share of the second epoch's time that goes into choosing and fetching batches."""
    import torch

    import littoral as lt
    from littoral.training import loop
    from littoral.training.feed import feed as real_feed
    from littoral.training.presets import get_preset
    from littoral.training.run import choose_device, fit_arm

    spent: list[float] = []

    def timed(images: object, device: torch.device) -> object:
        fetch = real_feed(images, device)  # type: ignore[arg-type]

        def timed_fetch(batch: torch.Tensor) -> torch.Tensor:
            start = time.perf_counter()
            pixels = fetch(batch)
            spent.append(time.perf_counter() - start)
            return pixels

        return timed_fetch

    loop.feed = timed  # type: ignore[attr-defined, assignment]
    with tempfile.TemporaryDirectory() as folder:
        store = lt.load_images(unpacked(folder), workers=os.cpu_count() or 1)
    preset = get_preset("tiny")
    trained = fit_arm(preset, "fused", preset.recipe.lasting(epochs=2), store, 0, choose_device("cpu"), loop.Silent())
    second = trained.record["history"][1]["seconds"]
    fetching = sum(spent[len(spent) // 2 :])
    row = {
        "date": date.today().isoformat(),
        "code": code_hash("tiny"),
        "images": str(len(store)),
        "epoch_seconds": f"{second:.2f}",
        "feed_seconds": f"{fetching:.3f}",
        "share": f"{fetching / second:.4f}",
    }
    append_row(FEED, row | machine())
    print(row)


def make_files(folder: Path) -> None:
    """FILES different JPEG files of two classes: smooth colours and some noise."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in "ab":
        (folder / name).mkdir()
    for number in range(FILES):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize((SIDE, SIDE))
        coarse.save(folder / "ab"[number % 2] / f"{number:06}.jpg", quality=80)


def memory() -> None:
    """A build into a cache file, and one into memory; one row each."""
    tensor = FILES * SIDE * SIDE * 3
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "files"
        files.mkdir()
        make_files(files)
        os.environ["LITTORAL_CACHE"] = str(Path(folder) / "cache")
        for what, limit in (("cache file", 0), ("memory", 64 * GIB)):
            start = time.perf_counter()
            peak = alone("build", str(files), str(limit))
            row = {
                "date": date.today().isoformat(),
                "what": what,
                "images": str(FILES),
                "tensor_bytes": str(tensor),
                "peak_bytes": f"{peak:.0f}",
                "beyond_gib": f"{(peak - tensor) / GIB:.3f}",
                "seconds": f"{time.perf_counter() - start:.1f}",
            }
            append_row(MEMORY, row | machine())
            print(row, flush=True)


def page() -> None:
    """README.md from the rows and page.md."""
    facts = {name: value for name, value in machine().items() if name in ("processor", "cores")}
    rows = [row for row in read_rows(SPEED) if facts.items() <= row.items()]
    ways = list(dict.fromkeys(row["what"] for row in rows))
    seconds = {way: [float(row["seconds"]) for row in rows if row["what"] == way] for way in ways}
    best = min((way for way in ways if way != "littoral"), key=lambda way: median(seconds[way]))
    lines = ["| way | seconds, each round | median | against littoral |", "|---|---|---|---|"]
    for way in ways:
        each = ", ".join(f"{value:.2f}" for value in seconds[way])
        ratio = median(seconds[way]) / median(seconds["littoral"])
        lines.append(f"| {way} | {each} | {median(seconds[way]):.2f} | {ratio:.2f} |")
    ratio = median(seconds[best]) / median(seconds["littoral"])
    fed, built = read_rows(FEED)[-1], {row["what"]: row for row in read_rows(MEMORY)}
    text = (
        (HERE / "page.md")
        .read_text()
        .format(
            speed="\n".join(lines),
            best=best,
            ratio=f"{ratio:.2f}",
            share=f"{100 * float(fed['share']):.1f}",
            epoch=fed["epoch_seconds"],
            memory="\n".join(
                f"| {what} | {int(row['tensor_bytes']) / GIB:.2f} | {int(row['peak_bytes']) / GIB:.2f} "
                f"| {float(row['beyond_gib']):.2f} | {row['seconds']} |"
                for what, row in built.items()
            ),
            processor=rows[-1]["processor"],
            cores=rows[-1]["cores"],
        )
    )
    (HERE / "README.md").write_text(text)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["speed"]:
            speed()
        case ["feed"]:
            feed()
        case ["memory"]:
            memory()
        case ["page"]:
            page()
        case _:
            sys.exit(__doc__)
