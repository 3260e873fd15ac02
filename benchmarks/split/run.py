"""How much time does it save to run the deep half on unclear images alone, and what does it cost in accuracy?

    python benchmarks/split/run.py                  # all that is missing; most of it is training strong
    python benchmarks/split/run.py strong mnist     # one preset, one set
    python benchmarks/split/run.py page             # writes README.md from the rows

Each model is what `littoral fit DATA --preset P --calibrate holdout` makes (article: 3 epochs), kept in build/split.
Cut and threshold come from its training part, see `littoral.deploy.split`. Then the whole and the split ONNX model meet
1,000 test images by turns, one thread each, and all test images once for the accuracy. Needs the shared folder, for
Fashion-MNIST.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
import torch
from records import append_row, code_hash, current_rows, machine, shared_folder, source_hash, write_page

import littoral as lt
from littoral.deploy import load, load_split
from littoral.deploy.export import export_model
from littoral.deploy.measure import mean_times
from littoral.evaluate_model import unseen_part
from littoral.fit_file import fit_file
from littoral.held_out import parted_again
from littoral.images.load import load_data
from littoral.images.store import ImageStore
from littoral.model_file import load_model
from littoral.training.loop import Silent
from littoral.training.presets import get_preset

ROWS, MODELS = HERE / "rows.csv", HERE.parents[1] / "build" / "split"
JOBS = (
    ("strong", "mnist"),
    ("swift", "mnist"),
    ("article", "mnist"),
    ("strong", "fashion-mnist"),
    ("swift", "fashion-mnist"),
)
EPOCHS = {"article": 3}
STEPS = "export folded halves int8 measure network onnx_file parity peak preprocessing runtime split trimmed"
EXPORTS = source_hash(*(f"deploy/{step}.py" for step in STEPS.split()), "evaluation/exits.py")
"""What decides the files and their time, given a trained model; `code` is what trained it."""
MAX_DROP = 0.0005
TIMED = 1000
SEED = 0


def data_of(name: str) -> ImageStore:
    """A set, split as it came."""
    return lt.load_mnist() if name == "mnist" else load_data(name, data_dir=shared_folder() / "data" / name).store


def main(presets: list[str], names: list[str]) -> None:
    """Measure what is missing; one row a model."""
    torch.set_num_threads(1)
    MODELS.mkdir(parents=True, exist_ok=True)
    for preset, name in JOBS:
        done = any(row["data"] == name for row in own_rows(preset))
        if preset in presets and name in names and not done:
            row = {"code": code_hash(preset), "exports": EXPORTS, "date": date.today().isoformat()}
            append_row(ROWS, row | {"preset": preset, "data": name} | figures(preset, name) | machine())


def own_rows(preset: str, threads: str | None = None) -> list[dict[str, str]]:
    """The rows of a training like this code's, exported by this code."""
    return [row for row in current_rows(ROWS, preset, threads) if row["exports"] == EXPORTS]


def figures(preset: str, name: str) -> dict[str, str]:
    """What the split of one model comes to."""
    data, path = data_of(name), MODELS / f"{preset}-{name}.safetensors"
    if not path.exists():
        chosen = get_preset(preset)
        recipe = chosen.recipe.lasting(epochs=EPOCHS[preset]) if preset in EPOCHS else chosen.recipe
        cpu = torch.device("cpu")
        fit_file(data, chosen, "fused", recipe, path, SEED, None, cpu, Silent(), resume=False, calibrate="holdout")
    trained = load_model(path)
    test = unseen_part(trained, data).images
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        parted = parted_again(trained, data)
        done = export_model(trained, folder, test, threads=1, parted=parted, exit_max_drop=MAX_DROP)
        split = done.split
        assert split is not None
        row = {
            "seed": str(SEED),
            "max_drop": f"{MAX_DROP:g}",
            "held_out": str(len(parted.held)),
            "cut_after": " ".join(split.chosen or ()),
            "cuts_tried": "; ".join(
                f"{' '.join(cut.before)}: {cut.bound.exits:.4f} exit, {cut.bound.harmful} harmed" for cut in split.cuts
            ),
        }
        if split.accuracy is None or not split.kept:
            return row | dict.fromkeys(("exits", "whole", "split", "points"), "") | dict.fromkeys(TIMES, "")
        told = split.accuracy
        row |= {"exits": f"{told.exits:.4f}", "whole": f"{told.whole:.4f}", "split": f"{told.split:.4f}"}
        row |= {"points": " ".join(f"{100 * value:+.2f}" for value in (told.difference, *told.ci95))}
        some = np.asarray(test.images[np.linspace(0, len(test) - 1, TIMED).astype(np.int64)])
        forms = {"whole": (load(folder, 1).run, some), "split": (load_split(folder, 1).run, some)}
        for batch in (1, 32):
            times = {found.form: found.ms for found in mean_times(forms, batch)}
            row |= {f"{form}_ms_{batch}": f"{ms:.4f}" for form, ms in times.items()}
    return row


TIMES = tuple(f"{form}_ms_{batch}" for batch in (1, 32) for form in ("whole", "split"))


def page() -> None:
    """README.md from the rows."""
    rows = [row for preset, name in JOBS for row in own_rows(preset, "1") if row["data"] == name]
    if not rows:
        sys.exit("this code has no rows yet: run it without `page` first")
    lines = [
        "| preset | data | cut after | test images that exit % | accuracy whole % | split % | points, 95 % interval | "
        "ms an image, whole | split | ratio | ratio at 32 at once |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        begin = f"| {row['preset']} | {row['data']} | "
        if not row["exits"]:
            lines.append(f"{begin}no threshold | – | – | – | – | – | – | – | – |")
            continue
        point, low, high = row["points"].split()
        ratios = [float(row[f"split_ms_{batch}"]) / float(row[f"whole_ms_{batch}"]) for batch in (1, 32)]
        worth = ", not worth it" if ratios[0] >= 1 else ""
        lines.append(
            f"{begin}{row['cut_after'].replace(' ', ', ')} | {100 * float(row['exits']):.1f} | "
            f"{100 * float(row['whole']):.2f} | {100 * float(row['split']):.2f} | {point} ({low} to {high}) | "
            f"{float(row['whole_ms_1']):.3f} | {float(row['split_ms_1']):.3f} | **{ratios[0]:.2f}**{worth} | "
            f"{ratios[1]:.2f} |"
        )
    tried = [f"- {row['preset']}, {row['data']}: {row['cuts_tried']}" for row in rows]
    write_page(HERE, {"table": "\n".join(lines), "tried": "\n".join(tried)}, rows)


if __name__ == "__main__":
    if sys.argv[1:] == ["page"]:
        page()
    else:
        asked = sys.argv[1:]
        main(asked[:1] or [job[0] for job in JOBS], asked[1:] or [job[1] for job in JOBS])
