"""`littoral compare`: the arms of a preset on the same images and seeds, as a table and as results.json."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from littoral.cli import options
from littoral.cli.auto import length_left, read_and_choose
from littoral.cli.data import data_json, parse_size, read_data, require_place
from littoral.cli.output import print_json, print_table, print_wrapped, say
from littoral.cli.settings import set_threads
from littoral.cli.study import balance_asked, followed, names_in, require_preset_weights, require_ray
from littoral.errors import InputError
from littoral.words import interval, percent, points, points_interval

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
    seeds: options.Seeds = 5,
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
    log: options.Log = None,
    expected_error: Annotated[
        float,
        typer.Option(help="Share of test images that the arms may get wrong; to say beforehand what will show."),
    ] = 0.05,
    ray: options.Ray = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train every arm with every seed on the same images and show the test accuracies side by side.

    Example: littoral compare mnist --epochs 1 --seeds 1
    """
    import shlex

    from littoral.cli.log import log_folder
    from littoral.studies import compare as study
    from littoral.studies.auto import Asked, kept_choice
    from littoral.studies.contestants import require_beside
    from littoral.studies.results import require_results_folder
    from littoral.training.choose import AUTO
    from littoral.training.presets import get_preset
    from littoral.training.run import choose_device

    way = balance_asked(preset, names_in(arms), epochs, steps, balance)
    if not 0 < expected_error <= 0.5:
        raise InputError(f"--expected-error is a share above 0 and up to 0.5, got {expected_error}")
    require_preset_weights(preset, names_in(arms))
    require_beside(names_in(beside) or [], way)
    set_threads(threads)
    curves = log_folder(log)
    require_ray(ray, log)
    if out is not None:
        require_place(out, data)
        require_results_folder(out)
    read = partial(
        read_data,
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
    )
    asked: Asked = preset
    if preset == AUTO:
        place = choose_device(device)
        loaded, asked = read_and_choose(read, seed, labels_per_class, place, quiet, kept_choice(out))
        epochs, steps, _ = length_left(asked, epochs, steps)
    else:
        loaded = read(largest=None if preset is None else get_preset(preset).largest)
    with followed(out, quiet, ray, curves) as following:
        result = study.compare(
            loaded.store,
            preset=asked,
            arms=names_in(arms),
            seeds=seeds,
            first_seed=seed,
            epochs=epochs,
            steps=steps,
            balance=way,
            labels_per_class=labels_per_class,
            beside=names_in(beside) or [],
            device=device,
            out=out,
            runner=following.runner(),
            on_run=following.told,
            on_power=None if quiet else say,
            expected_error=expected_error,
            notes={"command": shlex.join(["littoral", *context.obj])} | data_json(loaded),
            names=loaded.names,
        )
    if json:
        print_json(result.to_json())
        return
    _print(result, data, out)


def _print(result: Comparison, data: str, out: Path | None) -> None:
    """Arms, differences and verdicts, on standard output."""
    from littoral.evaluation.paired import LEVEL, outcome, p_in_words, verdict
    from littoral.studies.runs import intervals_in_words

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
                    points(pair.difference),
                    points_interval(pair.ci95),
                    p_in_words(pair.p_holm),
                ]
                for pair in result.pairs
            ],
        )
        for pair in result.pairs:
            print_wrapped(f"{pair.a} and {pair.b}: {verdict(pair)}")
        alone = [pair for pair in result.pairs if pair.p < LEVEL and (pair.ci95[0] > 0 or pair.ci95[1] < 0)]
        if any(outcome(pair) == "open" for pair in alone):
            print_wrapped("intervals are of one pair each; verdicts allow for all pairs (Holm)")
    over = intervals_in_words(len(result.settings["seeds"]), result.one_test_set)
    print_wrapped(
        f"{result.settings['train_images']:,} training and {result.settings['test_images']:,} test images of {data}, "
        f"preset {result.settings['preset']}; "
        f"intervals are {over}."
    )
    if out is not None:
        print(f"results: {out / 'results.json'}, report: {out / 'report.html'}")
