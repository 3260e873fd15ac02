"""`littoral predict`: labels for image files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from littoral.cli import options
from littoral.cli.data import bar
from littoral.cli.output import print_json, say, shows_all
from littoral.cli.settings import set_threads
from littoral.words import count, path_text


def predict(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A model file (.safetensors); for predictions in parts also what `littoral export` wrote.",
            show_default=False,
        ),
    ],
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Image files, and folders of them; in parts also .parquet and .csv tables, packs, URIs of all these.",
            show_default=False,
        ),
    ],
    top: Annotated[int, typer.Option(help="How many labels an image, the most probable first.")] = 1,
    format: Annotated[
        str | None, typer.Option(help="csv, jsonl or parquet.", show_default="by the ending of --out, else csv")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the rows there: to a file, or in parts to a folder.", show_default="standard output"),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 2 when an image cannot be read (the others are predicted).")
    ] = False,
    part_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Write Parquet files of so many images into the folder --out: then memory does not grow with the "
            "images, and the same command goes on after a break.",
            show_default="20,000 for tables, packs, URIs and --ray; else one file",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS|local",
            help="Predict in parts on a Ray cluster: HOST:PORT of its head, or local for this machine alone.",
            show_default="here, in one process",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes on the Ray cluster, each with --threads CPUs (1 unless given).",
            show_default="as many as have room",
        ),
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """One row an image: path, label, confidence, accepted. An image that cannot be read gets a row with its error.

    A calibrated model accepts the answers that are sure enough, about an image that is not unlike all that it was
    trained on; where it has no threshold, accepted is empty.

    Images are brought to the size that the model was trained with, as a whole. They have to look like its training
    images: MNIST's digits are white on black, so black ink on white paper has to be inverted first.

    Tables, packs, URIs, --part-size and --ray: predictions in parts, by the model's exported form, see docs/scale.md.

    Example: littoral predict digits.safetensors photo.png more/ --top 3
    """
    from littoral.cli.predict_parts import PartOptions, predict_in_parts
    from littoral.scale.listing import names_many

    if ray is not None or part_size is not None or names_many(paths):
        asked = PartOptions(top, format, out, strict, part_size, ray, workers, device, threads, json, quiet)
        return predict_in_parts(model, paths, asked)

    from littoral.cli.rows import as_text, choose_format, write_rows
    from littoral.errors import InputError
    from littoral.files import require_writable
    from littoral.images.sources import image_files
    from littoral.model_file import load_model
    from littoral.predict_files import Prediction, predict_files
    from littoral.training.run import choose_device

    if workers is not None:
        raise InputError("--workers are processes on a Ray cluster: give --ray too")
    form = choose_format(format, out, json)
    place = choose_device(device)
    set_threads(threads)
    trained = load_model(model)
    if not 1 <= top <= len(trained.class_names):
        raise InputError(f"--top must be 1 to {len(trained.class_names)}, the model's number of classes, got {top}")
    files, passed = image_files([Path(path) for path in paths])
    if out is not None:
        require_writable(out)
        if out.resolve() in {file.resolve() for file in [model, *files]}:
            raise InputError(f"--out {out} is one of the files to read; choose another name")
    if passed:
        say(f"{count(passed, 'file')} passed over: hidden or no images")
    trained.model.to(place)

    best = [f"{kind}{rank}" for rank in _ranks(top) for kind in ("label", "confidence")]
    keys = ["path", *best, "accepted", "novelty", "error"]
    columns = [key for key in keys if key != "novelty" or form != "csv"]

    def row(prediction: Prediction) -> dict[str, Any]:
        pairs = zip(prediction.labels, prediction.confidences, strict=True)
        values: list[str | float | None] = [value for pair in pairs for value in pair] or [None] * (2 * top)
        name = path_text(prediction.path)
        said = [name, *values, prediction.accepted, prediction.novelty, prediction.error]
        return dict(zip(keys, said, strict=True))

    rows = []
    on_screen = out is None and not json and sys.stdout.isatty()  # rows that come one by one say how far it is
    with bar("predicting", quiet or on_screen) as on_progress:
        for number, prediction in enumerate(predict_files(trained, files, top), start=1):
            rows.append(row(prediction))
            if out is None and not json:
                print(as_text([rows[-1]], form, columns, number == 1, not shows_all()), end="")
            on_progress(number, len(files))
    failed = sum(entry["error"] is not None for entry in rows)
    if json:
        print_json({"model": str(model), "count": len(rows), "failed": failed, "predictions": rows})
    if out is not None:
        write_rows(rows, form, columns, out)
    if failed:
        say(f"{failed} of {len(rows)} images could not be read; their rows say why")
    return 2 if failed and strict else 0


def _ranks(top: int) -> list[str]:
    """Endings of the column names of the first, second, … label: "", "_2", "_3"."""
    return ["", *[f"_{rank}" for rank in range(2, top + 1)]]
