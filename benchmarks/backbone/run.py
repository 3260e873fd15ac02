"""How fast are features of efficientnet-lite0 beside ONNX Runtime on the same graph?

    pip install onnx onnxscript onnxruntime
    python benchmarks/backbone/run.py        # a minute on a quiet machine; one row a batch size
    python benchmarks/backbone/run.py page   # writes README.md from the rows

One thread on either side, by turns in one process, 160 × 160 pixels, mean-pooled top. Time is the processor's for this
process, so that other work on the machine counts little.
"""

from __future__ import annotations

import hashlib
import sys
import time
import warnings
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
import torch
from records import SOURCE, append_row, machine, read_rows, write_page

from littoral.memory import keep_freed_memory
from littoral.nn.backbone import BackboneConfig

SIDE = 160
BATCHES = (1, 8, 64)
REPEATS, IMAGES = 11, 64
ROWS = HERE / "rows.csv"


class Top(torch.nn.Module):
    """What is exported: normalisation, network and pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = BackboneConfig().build((3, SIDE, SIDE)).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.branch(x)["top"]


def main() -> None:
    """Measure each batch size; ours runs it as one call, theirs too."""
    import onnxruntime

    torch.set_num_threads(1)
    keep_freed_memory()  # as the command line does
    top = Top()
    for batch in BATCHES:
        x = torch.rand(batch, 3, SIDE, SIDE)
        channels_last = x.contiguous(memory_format=torch.channels_last)  # as images come from `to_input`
        session, pixels = _session(onnxruntime, top, x), x.numpy()
        with torch.inference_mode():
            worst = float(np.abs(session.run(None, {"x": pixels})[0] - top(channels_last).numpy()).max())
            assert worst < 1e-3, f"not the same graph: {worst}"
            runs = {"theirs": partial(session.run, None, {"x": pixels}), "ours": partial(top, channels_last)}
            seconds = _by_turns(runs, max(1, IMAGES // batch))
        each = {name: median(values) / batch for name, values in seconds.items()}
        ratio = median(t / o for t, o in zip(seconds["theirs"], seconds["ours"], strict=True))
        row = {
            "code": _code(),
            "date": date.today().isoformat(),
            "batch": str(batch),
            "ours_ms": f"{1e3 * each['ours']:.2f}",
            "theirs_ms": f"{1e3 * each['theirs']:.2f}",
            "ratio": f"{ratio:.3f}",
            "onnxruntime": onnxruntime.__version__,
        }
        append_row(ROWS, row | machine())
        print(row, flush=True)


def page() -> None:
    """README.md here from page.md and the newest rows of this code."""
    rows = [row for row in read_rows(ROWS) if row["code"] == _code()]
    newest = {row["batch"]: row for row in rows}
    table = ["| images at once | ours, ms an image | ONNX Runtime, ms an image | ratio |", "|---" * 4 + "|"]
    for row in newest.values():
        table.append(f"| {row['batch']} | {row['ours_ms']} | {row['theirs_ms']} | **{float(row['ratio']):.2f}** |")
    write_page(HERE, {"table": "\n".join(table), "onnxruntime": rows[-1]["onnxruntime"]}, rows)


def _session(onnxruntime: object, top: Top, x: torch.Tensor) -> object:
    file = HERE / "top.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries among themselves
        torch.onnx.export(top, (x,), file, input_names=["x"], dynamo=True, external_data=False, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    file.unlink()
    return session


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
    files = [SOURCE / "nn" / name for name in ("backbone.py", "efficientnet_lite.py", "network.py")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["page"]:
            page()
        case _:
            sys.exit(__doc__)
