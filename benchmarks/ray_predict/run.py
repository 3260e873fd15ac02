"""Predictions from a Parquet file of N images by `littoral predict --ray`: speed, memory, and a kill half-way.

    python benchmarks/ray_predict/run.py 100000    # a few minutes on two cores; 1000000: half an hour
    python benchmarks/ray_predict/run.py page      # writes README.md from the rows

Images are digits of MNIST, moved by other pixels each time round, as PNG bytes of 28×28 in row groups of 10,000. The
control is the runner of exported models in two plain processes of one thread, on images that are in memory: decoded
beforehand, and as PNG bytes, decoded by the same function. The second does the work that the command does, and is what
it is compared with.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image
from records import append_row, machine, read_rows, write_page

import littoral
from littoral.deploy.runtime import load
from littoral.images.batch import decode_batch
from littoral.scale.reading import AT_ONCE
from littoral.specs import ImageSpec

ROWS = HERE / "rows.csv"
ROW_GROUP, PART, CONTROL, WORKERS = 10_000, 5_000, 10_000, 2
STEADY = 2
"""Parts after which all workers have loaded the model: the steady rate is that of the others."""

LITTORAL = (sys.executable, "-m", "littoral")
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Watched:
    """A command and all processes below it: the largest sum of their memory (PSS, bytes), and CPU seconds so far.

    PSS counts a page that several processes share once in all. `marks`: CPU seconds of all, and of the workers alone,
    when so many parts were there.
    """

    process: subprocess.Popen[bytes]
    out: Path
    peak: int = 0
    cpu: dict[int, float] = field(default_factory=dict)
    workers: set[int] = field(default_factory=set)
    marks: dict[int, tuple[float, float]] = field(default_factory=dict)

    def cpu_seconds(self) -> tuple[float, float]:
        """CPU seconds so far, of all and of the workers."""
        return sum(self.cpu.values()), sum(self.cpu[number] for number in self.workers)

    def until(self, parts: int | None) -> None:
        """Watch until the command ends, or so many parts are there."""
        while self.process.poll() is None and (parts is None or len(parts_of(self.out)) < parts):
            memory = 0
            for number in below(self.process.pid):
                with suppress(OSError, IndexError):
                    fields = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
                    self.cpu[number] = (int(fields[11]) + int(fields[12])) / TICK
                    if Path(f"/proc/{number}/cmdline").read_bytes().startswith(b"ray::Worker"):
                        self.workers.add(number)
                    memory += pss(number)
            self.peak = max(self.peak, memory)
            self.marks.setdefault(len(parts_of(self.out)), self.cpu_seconds())
            time.sleep(0.5)


def below(top: int) -> Iterator[int]:
    """A process and all below it."""
    parents: dict[int, int] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            parents[int(place.name)] = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
    for number in parents:
        above = number
        while above in parents and above != top:
            above = parents[above]
        if above == top:
            yield number


def pss(number: int) -> int:
    """A process's memory in bytes: its own pages, and its share of those that it has with others."""
    for line in Path(f"/proc/{number}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def parts_of(out: Path) -> list[Path]:
    """The finished parts, in order."""
    return sorted(out.glob("part-*.parquet"))


def write_images(file: Path, images: int) -> None:
    """A Parquet file of so many PNG images."""
    digits = littoral.load_mnist().images[:60_000, :, :, 0]
    with pyarrow.parquet.ParquetWriter(
        file, pyarrow.schema({"image": pyarrow.binary()}), compression="none", use_dictionary=False
    ) as writer:
        for start in range(0, images, ROW_GROUP):
            made = [png(digits, number) for number in range(start, min(images, start + ROW_GROUP))]
            writer.write_table(pyarrow.table({"image": made}))


def png(digits: np.ndarray, number: int) -> bytes:
    """Digit number `number` modulo 60,000, moved by other pixels each time round."""
    turn = number // len(digits)
    content = io.BytesIO()
    Image.fromarray(np.roll(digits[number % len(digits)], (turn % 5, turn // 5), (0, 1))).save(content, "PNG")
    return content.getvalue()


def make_model(folder: Path) -> Path:
    """An exported swift, calibrated: what it has learned does not change what it costs."""
    model, out = folder / "model.safetensors", folder / "exported"
    options = ["--preset", "swift", "--steps", "40", "--calibrate", "holdout", "--quiet"]
    subprocess.run([*LITTORAL, "fit", "mnist", *options, "--out", model], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*LITTORAL, "export", model, "--out", out, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return out


def in_memory(exported: Path, file: Path, decoded: bool) -> tuple[float, float]:
    """(seconds, CPU seconds) of this process for CONTROL images, after as many of a batch to warm up."""
    content = next(pyarrow.parquet.ParquetFile(file).iter_batches(CONTROL)).column(0).to_pylist()
    model, spec = load(exported, 1), ImageSpec.unit(28, 28, 1)
    pixels = np.zeros((len(content), 28, 28, 1), np.uint8)
    decode_batch(0, content, spec, pixels)
    model.run(pixels[:AT_ONCE])
    start, cpu = time.perf_counter(), time.process_time()
    for first in range(0, len(content), AT_ONCE):
        if not decoded:
            decode_batch(first, content[first : first + AT_ONCE], spec, pixels)
        model.run(pixels[first : first + AT_ONCE])
    return time.perf_counter() - start, time.process_time() - cpu


def control(pool: ProcessPoolExecutor, exported: Path, file: Path, decoded: bool) -> tuple[float, float]:
    """Images a second of two plain processes, and CPU microseconds an image."""
    done = list(pool.map(in_memory, [exported] * WORKERS, [file] * WORKERS, [decoded] * WORKERS))
    images = min(CONTROL, pyarrow.parquet.read_metadata(file).num_rows)
    return sum(images / seconds for seconds, _ in done), mean(cpu for _, cpu in done) / images * 1e6


def command(exported: Path, file: Path, out: Path) -> Watched:
    """The command, begun."""
    options = ["--out", out, "--part-size", str(PART), "--ray", "local", "--workers", str(WORKERS), "--quiet"]
    environment = os.environ | {"RAY_worker_niceness": "0"}  # as plain processes: Ray would give way to other work
    started = subprocess.Popen(
        [*LITTORAL, "predict", exported, file, *options], stdout=subprocess.DEVNULL, env=environment
    )
    return Watched(started, out)


def one_row_each(out: Path, images: int) -> bool:
    """Whether the folder has each row of the input once, in order, all of them predicted."""
    rows = pyarrow.concat_tables(map(pyarrow.parquet.read_table, parts_of(out)))
    return bool(
        np.array_equal(rows.column("row").to_numpy(), np.arange(images))
        and rows.column("label").null_count == 0
        and rows.column("error").null_count == images
    )


def killed_and_resumed(exported: Path, file: Path, out: Path) -> tuple[int, bool]:
    """SIGKILL when half of the parts are there, then the same command: parts kept, and whether they stayed."""
    images = pyarrow.parquet.read_metadata(file).num_rows
    watched = command(exported, file, out)
    watched.until(images // PART // 2)
    os.kill(watched.process.pid, signal.SIGKILL)
    watched.process.wait()
    kept = {part: part.stat().st_mtime_ns for part in parts_of(out)}
    resumed = command(exported, file, out)
    resumed.until(None)
    stayed = all(part.stat().st_mtime_ns == before for part, before in kept.items())
    return len(kept), stayed and resumed.process.returncode == 0


def measure(images: int) -> None:
    """One row for so many images."""
    with TemporaryDirectory() as place, ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        folder = Path(place)
        file, whole, broken = folder / "images.parquet", folder / "whole", folder / "broken"
        exported = make_model(folder)
        write_images(file, images)
        control(pool, exported, file, decoded=False)  # processes start, libraries load
        before, decoded = control(pool, exported, file, decoded=False), control(pool, exported, file, decoded=True)
        start = time.time()
        watched = command(exported, file, whole)
        watched.until(None)
        seconds = time.time() - start
        after = control(pool, exported, file, decoded=False)
        times = sorted(part.stat().st_mtime for part in parts_of(whole))
        steady = PART * (len(times) - STEADY) / (times[-1] - times[STEADY - 1])
        early = max((seen for seen in watched.marks if seen <= STEADY), default=0)
        cpu, of_workers = (
            (end - start) / (images - early * PART) * 1e6
            for end, start in zip(watched.cpu_seconds(), watched.marks[early], strict=True)
        )
        kept, stayed = killed_and_resumed(exported, file, broken)
        same = pyarrow.concat_tables(map(pyarrow.parquet.read_table, parts_of(whole))).equals(
            pyarrow.concat_tables(map(pyarrow.parquet.read_table, parts_of(broken)))
        )
        facts: dict[str, object] = {
            "date": date.today().isoformat(),
            "images": images,
            "file_mb": file.stat().st_size // 10**6,
            "runner": round(decoded[0]),
            "decode_and_runner": round(mean((before[0], after[0]))),
            "steady": round(steady),
            "whole": round(images / seconds),
            "ratio": round(steady / mean((before[0], after[0])), 3),
            "cpu_us_control": round(mean((before[1], after[1])), 1),
            "cpu_us_workers": round(of_workers, 1),
            "cpu_us_all": round(cpu, 1),
            "peak_mb": watched.peak // 10**6,
            "one_row_each": one_row_each(whole, images),
            "kept_parts": kept,
            "resumed_equal": same and stayed and one_row_each(broken, images),
            "load": f"{os.getloadavg()[0]:.1f}",
        }
        import ray

        print(facts)
        append_row(ROWS, {name: str(value) for name, value in facts.items()} | {"ray": ray.__version__} | machine())


def page() -> None:
    """README.md from the rows."""
    rows = read_rows(ROWS)
    columns = {
        "images": "images",
        "runner": "runner, decoded images",
        "decode_and_runner": "decoding and runner",
        "steady": "`--ray`",
        "whole": "`--ray`, start and end in it",
        "ratio": "ratio",
        "cpu_us_control": "CPU µs an image, control",
        "cpu_us_workers": "workers",
        "cpu_us_all": "with Ray's processes",
        "peak_mb": "peak MB",
        "one_row_each": "one row each",
        "resumed_equal": "killed, resumed: equal",
        "load": "load",
    }
    table = [f"| {' | '.join(columns.values())} |", "|" + "---|" * len(columns)]
    table += [f"| {' | '.join(row[name] for name in columns)} |" for row in rows]
    write_page(HERE, {"table": "\n".join(table), "ray": rows[-1]["ray"]}, rows)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    if sys.argv[1:] == ["page"]:
        page()
    else:
        measure(int(sys.argv[1]))
