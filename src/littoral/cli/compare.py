"""`littoral compare`: the arms of a preset on the same images and seeds, as a table and as results.json."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from littoral.cli import options
from littoral.cli.data import data_json, one_of, parse_size, read_data
from littoral.cli.interrupt import Interrupted
from littoral.cli.output import interval, percent, print_json, print_table
from littoral.cli.settings import set_threads

if TYPE_CHECKING:
    from littoral.studies.compare import Comparison


def compare(
    context: typer.Context,
    data: options.Data,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for results.json; made when its parent exists.", show_default="no file"),
    ] = None,
    preset: options.Preset = None,
    arms: Annotated[
        str | None,
        typer.Option(
            help="Arms by name, separated by commas; `littoral presets` lists them.",
            show_default="fused,shallow,deep,matched",
        ),
    ] = None,
    beside: Annotated[
        str | None,
        typer.Option(
            help="Arms of other presets to train too, separated by commas: PRESET:ARM, or PRESET:ARM@EPOCHS.",
            show_default="none",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds, from --seed up.")] = 5,
    seed: options.Seed = 0,
    labels_per_class: options.LabelsPerClass = None,
    epochs: options.Epochs = None,
    steps: options.Steps = None,
    balance: options.Balance = None,
    size: options.Size = None,
    channels: options.Channels = None,
    resize: options.ResizeBy = "pad",
    group: options.Group = None,
    group_from: options.GroupFrom = None,
    allow_outside: options.AllowOutside = False,
    memory: options.Memory = None,
    data_dir: options.DataDir = None,
    strict: options.Strict = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train every arm with every seed on the same images and show the test accuracies side by side.

    Example: littoral compare mnist --epochs 1 --seeds 1
    """
    import itertools
    import shlex

    from littoral.cli.progress import follow
    from littoral.errors import InputError
    from littoral.files import require_folder, write_atomically
    from littoral.studies import compare as study
    from littoral.training.loop import Observer
    from littoral.training.presets import get_preset
    from littoral.training.recipe import BALANCES

    way = None if balance is None else one_of("--balance", balance, BALANCES)
    named = None if preset is None else get_preset(preset)
    (named or get_preset("swift")).recipe.lasting(
        epochs, steps, way
    )  # what cannot be is refused before images are read
    set_threads(threads)
    if out is not None:
        require_folder(out)
        if (out / "results.json").exists():
            raise InputError(f"{out / 'results.json'} is there already: name another folder, or delete it")
    loaded = read_data(
        data,
        parse_size(size),
        channels,
        resize,
        group,
        group_from,
        allow_outside,
        memory,
        data_dir,
        strict,
        quiet,
        largest=None if named is None else named.largest,
    )
    command = shlex.join(["littoral", *context.obj])  # the arguments, as `run` was given them

    def document(result: Comparison) -> dict[str, Any]:
        return {"command": command} | result.to_json() | data_json(loaded)

    def keep(result: Comparison) -> None:
        import json as encoder

        if out is not None:
            out.mkdir(exist_ok=True)
            write_atomically(out / "results.json", encoder.dumps(document(result), indent=2).encode())

    runs = itertools.count(1)
    with contextlib.ExitStack() as stack:

        def observer(arm: str, number: int) -> Observer:
            stack.close()  # the bar of the run before
            return stack.enter_context(follow(f"run {next(runs)}: {arm} seed {number}", quiet))

        try:
            result = study.compare(
                loaded.store,
                preset=preset,
                arms=None if arms is None else [arm.strip() for arm in arms.split(",")],
                seeds=seeds,
                first_seed=seed,
                epochs=epochs,
                steps=steps,
                balance=way,
                labels_per_class=labels_per_class,
                beside=[] if beside is None else [name.strip() for name in beside.split(",")],
                device=device,
                observer=observer,
                on_run=keep,
            )
        except Interrupted:
            kept = "nothing is kept: give --out DIR to keep the runs that were finished"
            if out is not None and (out / "results.json").exists():
                kept = f"{out / 'results.json'} holds the runs that were finished"
            raise Interrupted(f"interrupted; {kept}") from None
    if json:
        print_json(document(result))
        return
    print_table(
        ["arm", "test acc %", "95 % interval", "bal. acc %", "F1 %", "params", "MACs", "train s"],
        [
            [
                arm.name,
                percent(arm.mean),
                interval(arm.ci95),
                percent(arm.mean_balanced_accuracy),
                percent(arm.mean_macro_f1),
                f"{arm.params:,}",
                f"{arm.macs:,}",
                f"{sum(run.seconds for run in arm.runs) / len(arm.runs):.1f}",
            ]
            for arm in result.arms
        ],
    )
    over = (
        "over test images, for this one seed: other seeds differ by more than it shows"
        if seeds == 1
        else f"of the mean over {seeds} seeds, on these test images"
    )
    print(
        f"{result.settings['train_images']:,} training and {result.settings['test_images']:,} test images of {data}, "
        f"preset {result.settings['preset']}; "
        f"intervals are {over}."
    )
    if out is not None:
        print(f"results: {out / 'results.json'}")
