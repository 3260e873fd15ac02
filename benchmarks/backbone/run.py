"""How fast are features of efficientnet-lite0, in torch and as they are computed here, beside ONNX Runtime alone?

    pip install onnx onnxscript onnxruntime
    python benchmarks/backbone/run.py        # a minute on a quiet machine; one row a batch size
    python benchmarks/backbone/run.py page   # writes README.md from the rows

One thread on every side, by turns in one process, 160 × 160 pixels, mean-pooled top. Time is the processor's for this
process, so that other work on the machine counts little.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
import torch
from records import SOURCE, append_row, machine, read_rows, write_page

from littoral.deploy.network import exported_graph
from littoral.memory import keep_freed_memory
from littoral.nn.backbone import BackboneConfig
from littoral.nn.onnx_session import in_sessions

SIDE = 160
BATCHES = (1, 8, 64)
REPEATS, IMAGES = 11, 64
ROWS = HERE / "rows.csv"


class Top(torch.nn.Module):
    """What is exported: normalisation, network and pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = BackboneConfig().build((3, SIDE, SIDE)).eval()

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.branch(x)


def main() -> None:
    """Measure each batch size; every side runs it as one call."""
    import onnxruntime

    torch.set_num_threads(1)
    keep_freed_memory()  # as the command line does
    top = Top()
    session = _session(onnxruntime, top)
    for batch in BATCHES:
        x = torch.rand(batch, SIDE, SIDE, 3).permute(0, 3, 1, 2)  # channels last in memory, as `to_input` gives images

        def theirs(given: torch.Tensor = x) -> np.ndarray:
            return session.run(None, {"x": given.contiguous().numpy()})[0]

        def in_torch(given: torch.Tensor = x) -> torch.Tensor:
            kept, top.branch.session = top.branch.session, None
            found = top(given)["top"]
            top.branch.session = kept
            return found

        def ours(given: torch.Tensor = x) -> torch.Tensor:
            return top(given)["top"]

        with torch.inference_mode(), in_sessions(top):
            for found in (theirs(), ours().numpy()):
                worst = float(np.abs(found - in_torch().numpy()).max())
                assert worst < 1e-4, f"not the same features: {worst}"
            runs = {"theirs": theirs, "ours": ours, "torch": in_torch}
            seconds = _by_turns(runs, max(1, IMAGES // batch))
        each = {name: 1e3 * median(values) / batch for name, values in seconds.items()}
        row = {
            "code": _code(),
            "date": date.today().isoformat(),
            "batch": str(batch),
            **{f"{name}_ms": f"{value:.2f}" for name, value in each.items()},
            **{name: f"{_ratio(seconds['theirs'], seconds[name]):.3f}" for name in ("ours", "torch")},
            "onnxruntime": onnxruntime.__version__,
        }
        append_row(ROWS, row | machine())
        print(row, flush=True)


def page() -> None:
    """README.md here from page.md and the newest rows of this code."""
    rows = [row for row in read_rows(ROWS) if row["code"] == _code()]
    newest = {row["batch"]: row for row in rows}
    table = [
        "| images at once | ONNX Runtime | ours | torch | ours, ratio | torch, ratio |",
        "|---" * 6 + "|",
    ]
    for row in newest.values():
        times = " | ".join(row[f"{name}_ms"] for name in ("theirs", "ours", "torch"))
        table.append(f"| {row['batch']} | {times} | **{float(row['ours']):.2f}** | {float(row['torch']):.2f} |")
    write_page(HERE, {"table": "\n".join(table), "onnxruntime": rows[-1]["onnxruntime"]}, rows)


def _session(onnxruntime: Any, top: Top) -> Any:
    graph = exported_graph(top, (torch.rand(2, 3, SIDE, SIDE),), ["x"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _ratio(theirs: list[float], other: list[float]) -> float:
    """Median over the turns of their time over the other's: over 1 where the other is faster."""
    return median(t / o for t, o in zip(theirs, other, strict=True))


def _by_turns(runs: dict[str, Callable[[], object]], times: int) -> dict[str, list[float]]:
    """Seconds of one call, by name: each side in turn, `times` calls a turn; the first turn is a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(REPEATS + 1):
        for name, run in runs.items():
            start = time.process_time()
            for _ in range(times):
                run()
            if turn:
                seconds[name].append((time.process_time() - start) / times)
    return seconds


def _code() -> str:
    names = ("backbone.py", "efficientnet_lite.py", "efficientnet_onnx.py", "network.py", "onnx_session.py")
    files = [SOURCE / "nn" / name for name in names]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["page"]:
            page()
        case _:
            sys.exit(__doc__)
