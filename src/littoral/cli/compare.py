"""`littoral compare`: the arms of a preset on the same images and seeds, as a table and as results.json."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from littoral.cli import options
from littoral.cli.data import bar, data_json, one_of, parse_size, read_data
from littoral.cli.interrupt import Interrupted
from littoral.cli.output import interval, percent, print_json, print_table, print_wrapped, say
from littoral.cli.report import write_report
from littoral.cli.settings import set_threads

if TYPE_CHECKING:
    from littoral.studies.comparison import Comparison


def compare(
    context: typer.Context,
    data: options.Data,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for report.html, results.json and the finished runs, from which the same command goes on "
            "after it was interrupted; made when its parent exists.",
            show_default="nothing is kept",
        ),
    ] = None,
    preset: options.Preset = None,
    arms: options.Arms = None,
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
    expected_error: Annotated[
        float,
        typer.Option(help="Share of test images that the arms may get wrong; to say beforehand what will show."),
    ] = 0.05,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train every arm with every seed on the same images and show the test accuracies side by side.

    Example: littoral compare mnist --epochs 1 --seeds 1
    """
    import shlex

    from littoral.cli.progress import follow
    from littoral.evaluation.paired import p_in_words, verdict
    from littoral.studies import compare as study
    from littoral.studies.results import ResultsFolder, require_results_folder
    from littoral.studies.runs import intervals_in_words
    from littoral.training.loop import Observer
    from littoral.training.presets import get_preset, require_weights
    from littoral.training.recipe import BALANCES

    way = None if balance is None else one_of("--balance", balance, BALANCES)
    named = None if preset is None else get_preset(preset)
    (named or get_preset("swift")).recipe.lasting(
        epochs, steps, way
    )  # what cannot be is refused before images are read
    chosen = None if arms is None else [arm.strip() for arm in arms.split(",")]
    if named is not None:
        require_weights(named, named.compared if chosen is None else chosen)
    set_threads(threads)
    if out is not None:
        require_results_folder(out)
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

    started = 0

    def told(result: Comparison) -> None:
        nonlocal started
        found = sum(len(arm.runs) for arm in result.arms)
        if not started and not quiet:  # nothing was trained yet
            say(f"{out}: {found} finished runs are there")
        started = found

    with contextlib.ExitStack() as stack_of_bars, contextlib.ExitStack() as stack:

        def observer(arm: str, number: int) -> Observer:
            nonlocal started
            stack.close()  # the bar of the run before
            started += 1
            return stack.enter_context(follow(f"run {started}: {arm} seed {number}", quiet))

        on_features = stack_of_bars.enter_context(bar("computing features", quiet))
        try:
            result = study.compare(
                loaded.store,
                preset=preset,
                arms=chosen,
                seeds=seeds,
                first_seed=seed,
                epochs=epochs,
                steps=steps,
                balance=way,
                labels_per_class=labels_per_class,
                beside=[] if beside is None else [name.strip() for name in beside.split(",")],
                device=device,
                out=out,
                observer=observer,
                on_run=told,
                on_power=None if quiet else say,
                expected_error=expected_error,
                notes={"command": command} | data_json(loaded),
                names=loaded.names,
                on_features=on_features,
            )
        except Interrupted:
            kept = "nothing is kept: give --out DIR to keep the runs that were finished"
            if out is not None:
                finished = len(ResultsFolder(out).finished())
                kept = f"{out} holds {finished} finished runs: the same command goes on from there"
                if finished:
                    write_report(out, markdown=False)
            raise Interrupted(f"interrupted; {kept}") from None
    if out is not None:
        write_report(out, markdown=False)
    if json:
        print_json(result.to_json())
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
    if result.pairs:
        print_table(
            ["difference", "points", "95 % interval", "p (Holm)"],
            [
                [
                    f"{pair.a} - {pair.b}",
                    f"{100 * pair.difference:+.2f}",
                    f"{100 * pair.ci95[0]:+.2f} to {100 * pair.ci95[1]:+.2f}",
                    p_in_words(pair.p_holm),
                ]
                for pair in result.pairs
            ],
        )
        for pair in result.pairs:
            print_wrapped(f"{pair.a} and {pair.b}: {verdict(pair)}")
    over = intervals_in_words(seeds, result.one_test_set)
    print_wrapped(
        f"{result.settings['train_images']:,} training and {result.settings['test_images']:,} test images of {data}, "
        f"preset {result.settings['preset']}; "
        f"intervals are {over}."
    )
    if out is not None:
        print(f"results: {out / 'results.json'}, report: {out / 'report.html'}")
