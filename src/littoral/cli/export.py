"""`littoral export`: a model file as one ONNX file, proven to agree with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from littoral.cli import options
from littoral.cli.data import data_json, read_for_model
from littoral.cli.output import print_json, print_table, print_wrapped, say
from littoral.cli.settings import set_threads
from littoral.words import interval, percent

if TYPE_CHECKING:
    from littoral.deploy.export import Exported
    from littoral.deploy.split import Split
    from littoral.images.store import ImageStore
    from littoral.training.run import TrainedModel

INT8_MAX_DROP = 0.005
"""Accuracy that 8 bits may lose at most, where nothing else is said."""

EXIT_MAX_DROP = 0.0005
"""Share of images that a split may harm at most, where nothing else is said."""


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
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Accuracy that --int8 may lose at most, by its interval's far end.",
            show_default=f"{INT8_MAX_DROP}",
        ),
    ] = None,
    split: Annotated[
        bool,
        typer.Option(
            "--split",
            help="Write shallow.onnx and deep.onnx too: clear images need the first alone. Needs the DATA that the "
            "model was made of, with --calibrate holdout.",
        ),
    ] = False,
    exit_max_drop: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of images that --split may harm at most, by a bound of 95 %.",
            show_default=f"{EXIT_MAX_DROP}",
        ),
    ] = None,
    web: Annotated[
        bool,
        typer.Option(
            "--web", help="Lay a page beside that runs the model in the browser: the folder can be put on any host."
        ),
    ] = False,
    ort_dist: Annotated[
        Path, typer.Option(help="Folder with onnxruntime-web's build, for --web; `npm ci --prefix web` brings it.")
    ] = Path("web/node_modules/onnxruntime-web/dist"),
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
    from dataclasses import asdict, replace

    from littoral.serve.alone import require_ort, takes_model, write_page

    if web:
        require_ort(ort_dist)  # before torch is loaded, which takes two seconds

    from littoral.deploy.export import OWN, ExportedFile, export_model
    from littoral.deploy.exported import PAGE_FILE
    from littoral.deploy.onnx_file import require_onnx
    from littoral.deploy.parity import TestImage
    from littoral.errors import InputError
    from littoral.evaluate_model import training_part, unseen_part
    from littoral.files import require_folder
    from littoral.held_out import parted_again
    from littoral.images.named import NAMES
    from littoral.images.own_size import own_pixels
    from littoral.images.sources import read_table
    from littoral.model_file import load_model

    require_onnx()
    require_folder(out)
    set_threads(threads)
    trained = load_model(model)
    for option, value, needed, given in (
        ("--int8-max-drop", int8_max_drop, "--int8", int8),
        ("--exit-max-drop", exit_max_drop, "--split", split),
    ):
        if value is not None and not given:
            raise InputError(f"{option} is for {needed}: give {needed} too, or leave it out")
    if data is None and (group, group_from, memory, data_dir, allow_outside, strict) != (None,) * 4 + (False,) * 2:
        raise InputError(
            "--group, --group-from, --memory, --data-dir, --allow-outside and --strict say how DATA is read: name DATA "
            "too, or leave them out"
        )
    if split and data is None:
        raise InputError("a split needs the images that were held out of the training: give the DATA it was made of")
    parted = None
    held_out: ImageStore | None = None
    training: ImageStore | None = None
    own: list[TestImage] = []
    about: dict[str, object] = {}
    if data is not None:
        loaded = read_for_model(data, trained.image, group, group_from, allow_outside, memory, data_dir, strict, quiet)
        held_out = unseen_part(trained, loaded.store).images
        training = training_part(trained, loaded.store)
        parted = parted_again(trained, loaded.store) if split else None
        if data not in NAMES:
            table = read_table(Path(data), group, group_from, allow_outside)
            own = [TestImage(name, pixels) for name, pixels in own_pixels(table, OWN)]
        about = data_json(loaded)
    if not quiet:
        say("exporting, comparing and measuring: a minute or so, several for large models")
    done = export_model(
        trained,
        out,
        held_out,
        training,
        with_runner,
        (INT8_MAX_DROP if int8_max_drop is None else int8_max_drop) if int8 else None,
        threads,
        parted,
        (EXIT_MAX_DROP if exit_max_drop is None else exit_max_drop) if split else None,
        own,
    )
    if web:
        page = write_page(out, ort_dist)
        done = replace(done, files=(*done.files, *(ExportedFile(name, size, None) for name, size in page.items())))
    if json:
        print_json({"model": str(model), "data": data, "out": str(out)} | asdict(done) | about)
        return
    _show(done, out, trained)
    if web:
        print_wrapped(f"to look at the page: python -m http.server --directory {out}")
    elif (out / PAGE_FILE).exists() and not takes_model(out):
        print_wrapped(f"the page in {out} is of an earlier export and will not take this model: give --web to renew it")


def _show(done: Exported, out: Path, trained: TrainedModel) -> None:
    sizes: dict[str, int] = {}
    memory: dict[str, str] = {}
    for file in done.files:
        first, *within = file.name.split("/")
        name = f"{out / first}/" if within else str(out / first)
        sizes[name] = sizes.get(name, 0) + file.bytes
        memory[name] = "" if file.memory is None else f"{file.memory / 1e6:,.1f}"
    print_table(
        ["file", "kB", "MB of memory at most"],
        [[name, f"{size / 1000:,.1f}", memory[name]] for name, size in sizes.items()],
    )
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
    if done.split is not None:
        print()
        _show_split(done.split)
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


def _show_split(split: Split) -> None:
    print_table(
        ["cut after", "images held out", "exit", "harmed", "harmed at most", "ms an image"],
        [
            [
                ", ".join(cut.before),
                f"{cut.bound.images:,}",
                f"{100 * cut.bound.exits:.1f} %",
                str(cut.bound.harmful),
                f"{100 * cut.bound.bound:.3f} %",
                "no threshold" if cut.ms is None else f"{cut.ms:.3f}",
            ]
            for cut in split.cuts
        ],
    )
    cut = "" if split.chosen is None else f" after {', '.join(split.chosen)}"
    print_wrapped(f"split{cut} {'kept' if split.kept else 'dropped'}: {split.reason}")
    print_table(
        ["images at once", "whole, ms an image", "split", "ratio"],
        [
            [str(row.batch), f"{row.whole:.3f}", f"{row.split:.3f}", f"{row.split / row.whole:.2f}"]
            for row in split.times
        ],
    )
    if split.accuracy is not None:
        told = split.accuracy
        low, high = (100 * end for end in told.ci95)
        print_wrapped(
            f"of {told.n:,} test images {100 * told.exits:.1f} % exit; accuracy {percent(told.split)} % beside "
            f"{percent(told.whole)} % of the whole, {100 * told.difference:+.2f} points ({low:+.2f} to {high:+.2f})"
        )
