"""Are models as sure as they should be, do they keep their bound of errors, and do they turn away what they never saw?

    python benchmarks/calibration/run.py                # all that is missing: half a minute, and ten for strong
    python benchmarks/calibration/run.py swift mnist    # one preset, one set
    python benchmarks/calibration/run.py page           # writes README.md from the rows

Each model is trained and calibrated on the training part as `littoral fit` does it (a sixth held out), and asked once
about its test part and about the test part of the other set, of which neither training nor any threshold has seen
anything. One training serves both targets of `--max-error`. Needs the shared folder, for Fashion-MNIST.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
import torch
from numpy.typing import NDArray
from records import append_row, code_hash, current_rows, machine, shared_folder, source_hash, write_page

import littoral as lt
from littoral.calibrate import Fit, fit_calibrated
from littoral.evaluate_model import evaluate_model
from littoral.evaluation.calibration import expected_calibration_error
from littoral.images.load import load_data
from littoral.images.splits import train_test
from littoral.images.store import ImageStore
from littoral.nn.inference import predict_answers, predict_probabilities
from littoral.training.loop import Silent
from littoral.training.presets import get_preset
from littoral.training.run import TrainedModel, calibrated, fit_arm

ROWS = HERE / "rows.csv"
JOBS = (("swift", "mnist"), ("swift", "fashion-mnist"), ("strong", "mnist"))
OTHER = {"mnist": "fashion-mnist", "fashion-mnist": "mnist"}
MAX_ERRORS = (0.001, 0.01)
SEED = 0
CODE = {preset: code_hash(preset) for preset, _ in JOBS}
FITS = source_hash("calibrate.py", "held_out.py", "evaluation")
"""What decides temperatures and thresholds, given a trained network; `code` is what trained it."""


def parts_of(name: str) -> tuple[ImageStore, ImageStore]:
    """Training and test part of a set."""
    if name == "mnist":
        return train_test(lt.load_mnist(), 0)
    return train_test(load_data(name, data_dir=shared_folder() / "data" / name).store, 0)


def main(presets: list[str], names: list[str]) -> None:
    """Train and calibrate what is missing; one row a model and target."""
    for preset, name in JOBS:
        if preset not in presets or name not in names:
            continue
        done = {float(row["max_error"]) for row in own_rows(preset) if row["data"] == name}
        if done == set(MAX_ERRORS):
            continue
        training, test = parts_of(name)
        others = parts_of(OTHER[name])[1]
        trained: list[TrainedModel] = []

        def first(rows: NDArray[np.int64], preset=preset, training=training, trained=trained) -> TrainedModel:
            if not trained:
                chosen, part = get_preset(preset), training.subset(rows)
                trained.append(fit_arm(chosen, "fused", chosen.recipe, part, SEED, torch.device("cpu"), Silent()))
            return trained[0]

        for max_error in MAX_ERRORS:
            model = fit_calibrated(Fit(first, _never), training, SEED, "holdout", max_error, tell=print)
            row = {"code": CODE[preset], "fits": FITS, "date": date.today().isoformat(), "preset": preset, "data": name}
            append_row(ROWS, row | figures(model, test, others) | machine())


def own_rows(preset: str, threads: str | None = None) -> list[dict[str, str]]:
    """The rows of a training like this code's, calibrated by this code."""
    return [row for row in current_rows(ROWS, preset, threads) if row["fits"] == FITS]


def figures(model: TrainedModel, test: ImageStore, others: ImageStore) -> dict[str, str]:
    """What became of the test part, and of images of another kind."""
    found, calibration = evaluate_model(model, test), model.calibration
    assert calibration is not None
    plain = predict_probabilities(model.model, test.images, model.image)
    answers = predict_answers(calibrated(model), test.images, model.image)
    strange = predict_answers(calibrated(model), others.images, model.image)
    row = {
        "seed": str(SEED),
        "max_error": f"{calibration.max_error:g}",
        "accuracy": f"{found.accuracy:.4f}",
        "ece_before": f"{expected_calibration_error(plain, test.labels):.5f}",
        "ece": f"{found.ece:.5f}",
        "temperature": f"{calibration.temperature:.4f}",
        "calibration_images": str(calibration.images),
        "least_confidence": "" if calibration.least_confidence is None else f"{calibration.least_confidence:.6f}",
        "most_novelty": f"{calibration.most_novelty:.4f}",
        "accepted": "" if found.accepted is None else f"{found.accepted.coverage:.4f}",
        "accepted_n": "" if found.accepted is None else str(found.accepted.n),
        "accepted_wrong": "" if found.accepted is None else str(found.accepted.wrong),
        "error_low": "" if found.accepted is None else f"{1 - found.accepted.ci95[1]:.5f}",
        "error_high": "" if found.accepted is None else f"{1 - found.accepted.ci95[0]:.5f}",
        "novel": f"{_novel(model, answers.novelty):.4f}",
        "others_novel": f"{_novel(model, strange.novelty):.4f}",
        "others_rejected": "" if strange.accepted is None else f"{(~strange.accepted).mean():.4f}",
        "train_seconds": f"{model.record['train_seconds']:.1f}",
        "calibrate_seconds": f"{calibration.seconds:.1f}",
    }
    print(row, flush=True)
    return row


def _novel(model: TrainedModel, novelty: NDArray[np.float32] | None) -> float:
    """The share of images above the threshold of novelty alone."""
    assert novelty is not None
    assert model.calibration is not None
    assert model.calibration.most_novelty is not None
    return float((novelty > model.calibration.most_novelty).mean())


def _never(rows: NDArray[np.int64], recipe: object) -> TrainedModel:
    raise AssertionError("a hold-out trains once")


def page() -> None:
    """README.md here from page.md and the rows."""
    rows = [row for preset in ("swift", "strong") for row in own_rows(preset, threads="1")]
    if not rows:
        sys.exit("this code has no rows yet: run it without `page` first")
    sure = ["| preset | data | accuracy % | ECE before, % | ECE after, % | temperature |", "|---" * 6 + "|"]
    kept = [
        "| preset | data | errors allowed % | accepted % of the test part | wrong | errors among them %, 95 % interval "
        "| called novel % | other set rejected % | of these by novelty alone % |",
        "|---" * 9 + "|",
    ]
    for row in rows:
        about = f"| {row['preset']} | {row['data']} "
        if float(row["max_error"]) == MAX_ERRORS[0]:
            sure.append(
                f"{about}| {_percent(row['accuracy'])} | {_percent(row['ece_before'])} | **{_percent(row['ece'])}** "
                f"| {float(row['temperature']):.2f} |"
            )
        error = int(row["accepted_wrong"] or 0) / max(int(row["accepted_n"] or 1), 1)
        accepted = (
            f"| **{_percent(row['accepted'])}** | {row['accepted_wrong']} of {row['accepted_n']} | {100 * error:.3f} "
            f"({_percent(row['error_low'])} to {_percent(row['error_high'])}) "
            if row["accepted"]
            else "| no threshold | – | – "
        )
        rejected = f"**{_percent(row['others_rejected'])}**" if row["others_rejected"] else "–"
        kept.append(
            f"{about}| {100 * float(row['max_error']):g} {accepted}| {_percent(row['novel'])} | {rejected} "
            f"| {_percent(row['others_novel'])} |"
        )
    write_page(HERE, {"sure": "\n".join(sure), "kept": "\n".join(kept)}, rows)


def _percent(share: str) -> str:
    return f"{100 * float(share):.2f}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    match sys.argv[1:]:
        case []:
            main(list(CODE), list(OTHER))
        case ["page"]:
            page()
        case [preset, data]:
            main([preset], [data])
        case _:
            sys.exit(__doc__)
