"""`littoral export`: a model file as one ONNX file, proven to agree with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from littoral.cli import options
from littoral.cli.data import data_json, read_data
from littoral.cli.output import print_json, print_table, print_wrapped, say
from littoral.cli.settings import set_threads
from littoral.words import interval, percent

if TYPE_CHECKING:
    from littoral.deploy.export import Exported
    from littoral.images.store import ImageStore
    from littoral.training.run import TrainedModel


def export(
    model: options.Model,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="Labelled images, as `evaluate` takes them: those that the model was not trained on have to agree, "
            "and give the accuracy.",
            show_default="made images of many sizes, and no accuracy",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write into; it is made if missing.")] = Path("exported"),
    with_runner: Annotated[
        bool,
        typer.Option(
            "--with-runner", help="Lay runtime.py beside: one file that needs numpy and onnxruntime, and no littoral."
        ),
    ] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="Write model-int8.onnx too, where that is faster here and as accurate; needs DATA."
        ),
    ] = False,
    int8_max_drop: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Accuracy that --int8 may lose at most, by its interval's far end."),
    ] = 0.005,
    group: options.Group = None,
    group_from: options.GroupFrom = None,
    allow_outside: options.AllowOutside = False,
    memory: options.Memory = None,
    data_dir: options.DataDir = None,
    strict: options.Strict = False,
    threads: options.Threads = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """One ONNX file from raw images to answers: resizing, network, temperature and class names inside.

    Its answers are compared with the model's, image by image, before it is written; where they disagree, nothing is.

    Example: littoral export digits.safetensors mnist --out exported --with-runner
    """
    from dataclasses import asdict

    from littoral.deploy.export import export_model
    from littoral.deploy.onnx_file import require_onnx
    from littoral.evaluate_model import training_part, unseen_part
    from littoral.files import require_folder
    from littoral.images.named import NAMES
    from littoral.model_file import load_model

    require_onnx()
    require_folder(out)
    set_threads(threads)
    trained = load_model(model)
    held_out: ImageStore | None = None
    training: ImageStore | None = None
    about: dict[str, object] = {}
    if data is not None:
        form = trained.image
        builtin = data in NAMES
        loaded = read_data(
            data,
            None if builtin else (form.height, form.width),
            None if builtin else form.channels,
            "pad" if builtin else form.resize,
            group,
            group_from,
            allow_outside,
            memory,
            data_dir,
            strict,
            quiet,
        )
        held_out = unseen_part(trained, loaded.store).images
        training = training_part(trained, loaded.store)
        about = data_json(loaded)
    if not quiet:
        say("exporting, comparing and measuring: a minute or so")
    done = export_model(trained, out, held_out, training, with_runner, int8_max_drop if int8 else None, threads)
    if json:
        print_json({"model": str(model), "data": data, "out": str(out)} | asdict(done) | about)
        return
    _show(done, out, trained)


def _show(done: Exported, out: Path, trained: TrainedModel) -> None:
    print_table(["file", "kB"], [[str(out / file.name), f"{file.bytes / 1000:,.1f}"] for file in done.files])
    parity = done.parity
    print()
    print_wrapped(
        f"agrees with the model on {parity.images:,} images of {parity.forms:,} forms: probabilities differ by "
        f"{parity.largest_difference:.1g} at most ({parity.worst})"
    )
    print()
    form = f"{trained.image.height}×{trained.image.width}"
    print_wrapped(f"from pixels of {form} to answers, {done.threads} thread{'s' if done.threads > 1 else ''}:")
    print_table(
        ["form", "images at once", "ms, median", "ms, 95 %"],
        [[row.form, str(row.batch), f"{row.p50:.3f}", f"{row.p95:.3f}"] for row in done.latency],
    )
    if done.accuracy is not None:
        figures = done.accuracy
        print()
        print_wrapped(
            f"accuracy of the file {percent(figures.accuracy)} % (95 % interval {interval(figures.ci95)}, "
            f"n = {figures.n:,})"
        )
    if done.int8 is not None:
        found = done.int8
        low, high = (100 * end for end in found.ci95)
        print_wrapped(
            f"8 bits {'kept' if found.kept else 'dropped'}: {found.reason}. "
            f"Accuracy {100 * found.difference:+.2f} points ({low:+.2f} to {high:+.2f}), {found.bytes / 1000:,.1f} kB"
        )
        print_table(
            ["class", "images", "recall, points", "95 % interval"],
            [
                [
                    recall.name,
                    str(recall.images),
                    f"{100 * recall.difference:+.2f}",
                    f"{100 * recall.ci95[0]:+.2f} to {100 * recall.ci95[1]:+.2f}",
                ]
                for recall in found.recalls
            ],
        )
