"""What share of a do-nothing endpoint's rate does /v1/predict reach, how late is it, and what becomes of too much?

    python benchmarks/serve/run.py            # three minutes, and a training of `swift`; one row a run
    python benchmarks/serve/run.py EXPORTED   # the same with a folder that is exported already
    python benchmarks/serve/run.py page       # writes README.md from the rows

Server and generator share the machine's two cores; nothing else should run meanwhile. Endpoints are asked by turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
from PIL import Image
from records import append_row, code_hash, machine, read_rows, write_page

import littoral as lt

CLIENTS, ROUNDS, SECONDS = 64, 5, 5.0
LONG = 60.0
"""Seconds of the one run that must have no error."""

TOO_MUCH = 2.0
"""Times the rate that it can serve, on eight times the connections: more than may wait for the model."""

ROWS = HERE / "rows.csv"


def main(exported: Path | None) -> None:
    """Serve `exported`, or else swift trained here, beside the control, and load both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = folder / "seven.png"
        Image.fromarray(lt.load_mnist().images[60_000, :, :, 0]).save(image)
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with (folder / "log").open("w") as log:
            command = [sys.executable, str(HERE / "control.py"), str(exported or _trained(folder))]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
        try:
            row = _measured(int(server.stdout.readline()), image, server.pid)
        finally:
            server.terminate()
            server.wait()
    append_row(ROWS, {"code": code_hash("swift"), "date": date.today().isoformat()} | row | machine())
    print(row)


def _trained(folder: Path) -> Path:
    """A folder with swift, exported."""
    model_file, exported = folder / "m.safetensors", folder / "exported"
    for command in (
        ["fit", "mnist", "--preset", "swift", "--out", str(model_file)],
        ["export", str(model_file), "--out", str(exported)],
    ):
        subprocess.run([sys.executable, "-m", "littoral", *command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return exported


def _measured(port: int, image: Path, server: int) -> dict[str, str]:
    _load(port, "/v1/predict", image, CLIENTS, 2.0)
    _load(port, "/nothing", image, CLIENTS, 2.0)
    rates: dict[str, list[float]] = {"/v1/predict": [], "/nothing": []}
    for _ in range(ROUNDS):
        for path, found in rates.items():
            done = _load(port, path, image, CLIENTS, SECONDS)
            found.append(len(done["took"]["200"]) / done["seconds"])
    long = _load(port, "/v1/predict", image, CLIENTS, LONG)
    before = _memory(server)
    rate = TOO_MUCH * median(rates["/v1/predict"])
    much = _load(port, "/v1/predict", image, 8 * CLIENTS, 20.0, rate)
    refused = much["took"].get("429", [])
    return {
        "predict_per_second": f"{median(rates['/v1/predict']):.0f}",
        "control_per_second": f"{median(rates['/nothing']):.0f}",
        "share": f"{median(p / c for p, c in zip(*rates.values(), strict=True)):.3f}",
        "p50_ms": f"{np.percentile(long['took']['200'], 50):.0f}",
        "p99_ms": f"{np.percentile(long['took']['200'], 99):.0f}",
        "answers": str(len(long["took"]["200"])),
        "not_200": str(
            sum(len(found) for status, found in long["took"].items() if status != "200") + len(long["errors"])
        ),
        "much_answered": str(len(much["took"]["200"])),
        "much_refused": str(len(refused)),
        "much_other": str(
            sum(len(v) for k, v in much["took"].items() if k not in ("200", "429")) + len(much["errors"])
        ),
        "refused_p50_ms": f"{np.percentile(refused, 50):.0f}" if refused else "",
        "refused_p99_ms": f"{np.percentile(refused, 99):.0f}" if refused else "",
        "growth": f"{_memory(server) / before:.3f}",
    }


def _load(port: int, path: str, image: Path, clients: int, seconds: float, rate: float = 0) -> dict:
    numbers = [str(number) for number in (clients, seconds, rate)]
    command = [sys.executable, str(HERE / "load.py"), str(port), path, str(image), *numbers]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _memory(process: int) -> int:
    """Resident kilobytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def page() -> None:
    """README.md here from page.md and the rows."""
    rows = read_rows(ROWS)
    heads = ["date", "predict /s", "control /s", "share", "p50 ms", "p99 ms", "answers in 60 s", "not 200"]
    names = ["date", "predict_per_second", "control_per_second", "share", "p50_ms", "p99_ms", "answers", "not_200"]
    more = ["answered", "refused (429)", "other", "429 p50 ms", "429 p99 ms", "memory, after / before"]
    keys = ["much_answered", "much_refused", "much_other", "refused_p50_ms", "refused_p99_ms", "growth"]
    values = {"table": _table(heads, names, rows), "much": _table(more, keys, rows), "fuzz": _fuzz()}
    write_page(HERE, values, rows)


def _fuzz() -> str:
    """What `fuzz.py` printed, in a sentence."""
    found = json.loads((HERE / "fuzz.json").read_text())
    statuses = ", ".join(f"{status} × {count:,}" for status, count in found["by_status"].items())
    return f"{statuses}; {found['faults']} faults; memory {found['memory_after_over_before']} of what it was before."


def _table(heads: list[str], names: list[str], rows: list[dict[str, str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return "\n".join(lines + [f"| {' | '.join(row[name] for name in names)} |" for row in rows])


if __name__ == "__main__":
    page() if sys.argv[1:] == ["page"] else main(Path(sys.argv[1]) if sys.argv[1:] else None)
