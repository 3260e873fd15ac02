"""What does Ray cost a study, beside processes on the same cores?

    python benchmarks/ray/run.py          # 1,000 trials of nothing, and training by twos: two minutes
    python benchmarks/ray/run.py page     # writes README.md from the rows

Several virtual machines are made on this one, with a CPU each. One row a call; `load` is the load average over the
minute before, which says what else was running.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
import torch
from records import append_row, machine, read_rows, write_page

import littoral
from littoral.images.store import ImageStore
from littoral.memory import keep_freed_memory
from littoral.scale.cluster import connected
from littoral.scale.tasks import Needs, results
from littoral.training.loop import Silent
from littoral.training.presets import get_preset
from littoral.training.run import choose_device, fit_arm

ROWS = HERE / "rows.csv"
MACHINES, TRIALS = 4, 1000
STEPS, IMAGES, ROUNDS = 375, 60_000, 3
STORE = 100 * 2**20


@dataclass(frozen=True)
class Work:
    """What trials of nothing are given: as much as those of a study."""

    data: ImageStore


def nothing(work: Work, number: int) -> int:
    """A trial that only looks at its images."""
    return len(work.data.images) + number


def training(work: Work, number: int) -> float:
    """A training of one thread; the seconds of CPU that it took."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as processes of the command line do, here and on a cluster
    preset = get_preset("swift")
    recipe = replace(preset.recipe.lasting(steps=STEPS), full_batches=True)
    start = time.process_time()
    fit_arm(preset, "fused", recipe, work.data, number, choose_device("cpu"), Silent())
    return time.process_time() - start


def in_process(number: int) -> float:
    """The same training in a plain process."""
    return training(WORK, number)


WORK = Work(ImageStore(np.zeros((1, 28, 28, 1), np.uint8), np.zeros(1, np.int64), ("0",)))


def prepare() -> None:
    """Load a plain process's images."""
    globals()["WORK"] = few()


def few() -> Work:
    """Images of MNIST to train on."""
    return Work(littoral.load_mnist().subset(np.arange(IMAGES)))


@contextmanager
def machines(number: int, cpus: int) -> Iterator[None]:
    """A cluster of so many virtual machines, to which this process is connected."""
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_worker_niceness": "0"}  # as plain processes: Ray would give way to all other work here
    head = {"num_cpus": cpus, "object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(number - 1):
        cluster.add_node(num_cpus=cpus, object_store_memory=STORE)
    try:
        with connected(cluster.address):
            yield
    finally:
        cluster.shutdown()


def taken(call: Callable[[], Sequence[Any]]) -> tuple[float, list[Any]]:
    """Seconds of a call, and what came of it."""
    start = time.perf_counter()
    found = list(call())
    return time.perf_counter() - start, found


def overhead() -> None:
    """1,000 trials of nothing on several machines; the seconds a trial, without the start of processes."""
    work = Work(littoral.load_mnist())
    with machines(MACHINES, 1):
        first, _ = taken(lambda: list(results(nothing, work, MACHINES, Needs(1))))
        seconds, _ = taken(lambda: list(results(nothing, work, TRIALS, Needs(1))))
    row("overhead", TRIALS, seconds / TRIALS, seconds, first)


def two_at_once() -> None:
    """Two trainings of one thread at once on Ray and in plain processes, by turns; the ratio of their rates."""
    os.environ["OMP_NUM_THREADS"] = "1"
    pair: list[list[float]] = []
    cpu: list[float] = []
    work = few()
    with (
        machines(1, 2),
        ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=prepare) as plain,
    ):
        list(results(training, work, 2, Needs(1)))  # processes start, libraries load
        list(plain.map(in_process, range(2)))
        for _ in range(ROUNDS):
            there, took = taken(lambda: list(results(training, work, 2, Needs(1))))
            here, plainly = taken(lambda: list(plain.map(in_process, range(2))))
            pair.append([here, there])
            cpu.append(sum(plainly) / sum(seconds for _, seconds in took))
    ratio = median(here / there for here, there in pair)
    row("two at once", 2, ratio, sum(there for _, there in pair) / ROUNDS, sum(here for here, _ in pair) / ROUNDS)
    row("two at once, by CPU time", 2, median(cpu), 0.0, 0.0)


def row(what: str, number: int, figure: float, seconds: float, control: float) -> None:
    """Add a row; `control`: the first call's seconds, or those of plain processes."""
    import ray

    facts = {"date": date.today().isoformat(), "what": what, "number": number, "figure": f"{figure:.5f}"}
    facts |= {"seconds": f"{seconds:.3f}", "control": f"{control:.3f}", "load": f"{os.getloadavg()[0]:.1f}"}
    append_row(ROWS, {name: str(value) for name, value in facts.items()} | {"ray": ray.__version__} | machine())
    print(what, figure, "load", facts["load"])


def page() -> None:
    """README.md from the rows."""
    rows = read_rows(ROWS)
    table = ["| what | figure | load of the machine |", "|---|---|---|"]
    words = {
        "overhead": "seconds a trial of nothing (1,000, four virtual machines); asked: 0.2 at most",
        "two at once": "rate of two trainings at once over that of two plain processes; asked: 0.9 at least",
        "two at once, by CPU time": "the same by the CPU seconds of the trainings alone",
    }
    table += [f"| {words[one['what']]} | {float(one['figure']):.4f} | {one['load']} |" for one in rows]
    write_page(HERE, {"table": "\n".join(table), "ray": rows[-1]["ray"]}, rows)


if __name__ == "__main__":
    if sys.argv[1:] == ["page"]:
        page()
    elif sys.argv[1:]:
        {"overhead": overhead, "two": two_at_once}[sys.argv[1]]()
    else:
        for what in ("overhead", "two"):
            subprocess.run([sys.executable, __file__, what], check=True)
