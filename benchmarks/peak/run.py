"""What share of this machine's matrix-multiply rate do training and inference reach, and where does the rest go?

    python benchmarks/peak/run.py        # a minute; one row a preset and phase
    python benchmarks/peak/run.py page   # writes README.md from the rows

Nothing else should run meanwhile. The rate is that of a 2048³ product in float32, measured right before each phase.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import torch
from records import append_row, code_hash, current_rows, machine, write_page

import littoral as lt
from littoral.images.splits import train_test
from littoral.nn.cost import model_cost
from littoral.nn.inference import predict_probabilities
from littoral.nn.model import seeded_model
from littoral.training.loop import Silent, train
from littoral.training.presets import get_arm, get_preset

PRESETS = ("article", "swift", "strong")
STEPS = {"article": 60, "swift": 200, "strong": 60}
REPEATS = 5
ROWS = HERE / "rows.csv"


def main() -> None:
    """Measure every preset; one row for training and one for inference."""
    training, test = train_test(lt.load_mnist(), 0)
    spec, device = training.spec(), torch.device("cpu")
    for name in PRESETS:
        if current_rows(ROWS, name):
            continue
        preset = get_preset(name)
        model = seeded_model(get_arm(preset, "fused", spec.shape, 10), 0)
        recipe = preset.recipe.lasting(steps=STEPS[name])
        macs = model_cost(model).macs
        seen = recipe.images_seen(len(training.images), STEPS[name])

        def training_run(model=model, recipe=recipe) -> float:
            history = train(model, training.images, training.labels, spec, recipe, 0, device, Silent())
            return sum(epoch.seconds for epoch in history)

        def inference_run(model=model) -> float:
            start = time.perf_counter()
            predict_probabilities(model, test.images, spec)
            return time.perf_counter() - start

        for phase, run, flop in (
            ("training", training_run, 6 * macs * seen),  # 2 a MAC; backwards costs twice as much
            ("inference", inference_run, 2 * macs * len(test.images)),
        ):
            run()
            pairs = [(_matmul_rate(), flop / run() / 1e9) for _ in range(REPEATS)]
            row = {
                "code": code_hash(name),
                "date": date.today().isoformat(),
                "preset": name,
                "phase": phase,
                "gflops": f"{median(reached for _, reached in pairs):.1f}",
                "matmul_gflops": f"{median(rate for rate, _ in pairs):.1f}",
                "share": f"{median(reached / rate for rate, reached in pairs):.3f}",
                "profile": _profile(run),
            }
            append_row(ROWS, row | machine())
            print(row, flush=True)


def page() -> None:
    """README.md here from page.md and the rows."""
    table = ["| preset | phase | GFLOP/s | matrix multiply | share | where the time goes |", "|---" * 6 + "|"]
    rows = [row for name in PRESETS for row in current_rows(ROWS, name)]
    for row in rows:
        table.append(
            f"| {row['preset']} | {row['phase']} | {float(row['gflops']):.0f} | {float(row['matmul_gflops']):.0f} "
            f"| **{float(row['share']):.0%}** | {row['profile']} |"
        )
    write_page(HERE, {"table": "\n".join(table)}, rows)


def _matmul_rate() -> float:
    """GFLOP/s of a 2048³ product in float32: median of five."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    return 2 * 2048**3 / median(seconds[1:]) / 1e9


def _profile(run: Callable[[], float]) -> str:
    """The operations that take 4 % of the time or more, by their own time."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        run()
    own = {event.key.removeprefix("aten::"): event.self_cpu_time_total for event in profiler.key_averages()}
    total = sum(own.values())
    longest = sorted(own.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {spent / total:.0%}" for name, spent in longest if spent >= 0.04 * total)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["page"]:
            page()
        case _:
            sys.exit(__doc__)
