"""`littoral curve`: accuracy against the number of labels, what more of them would bring, and which to get next."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from littoral.cli import options
from littoral.cli.auto import length_left, read_and_choose
from littoral.cli.data import data_json, parse_size, read_data, read_unlabelled, require_place
from littoral.cli.output import print_json, print_table, print_wrapped, say
from littoral.cli.settings import set_threads
from littoral.cli.study import balance_asked, followed, names_in, require_preset_weights, require_ray
from littoral.errors import InputError
from littoral.words import interval, percent, points, points_interval

if TYPE_CHECKING:
    from littoral.studies.curve_result import LearningCurve

SHOWN = 10
"""Images to label next that the text names; the table in the folder has all."""


def curve(
    context: typer.Context,
    data: options.Data,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for report.html, results.json, curve.png, label_next.csv and the finished runs, from which "
            "the same command goes on after it was interrupted; made when its parent exists.",
            show_default="nothing is kept",
        ),
    ] = None,
    preset: options.Preset = None,
    arms: options.Arms = None,
    budgets: Annotated[
        str | None,
        typer.Option(
            help="Numbers of labels a class, separated by commas, such as 10,30,100.",
            show_default="5 and up to all that the smallest class has",
        ),
    ] = None,
    seeds: options.Seeds = 3,
    seed: options.Seed = 0,
    epochs: options.Epochs = None,
    steps: options.Steps = None,
    balance: options.Balance = None,
    unlabelled: Annotated[
        Path | None,
        typer.Option(
            help="A folder of images without a label, among which to find those to label next.",
            show_default="the training images that the largest budget leaves over",
        ),
    ] = None,
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
    ray: options.Ray = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train every arm with few and with more labels; show what more labels would bring, and which to get next.

    Example: littoral curve mnist --preset tiny --budgets 10,20,40 --out curve
    """
    import shlex

    from littoral.studies import curve as study
    from littoral.studies.auto import Asked, kept_choice
    from littoral.studies.results import require_results_folder
    from littoral.training.choose import AUTO
    from littoral.training.presets import get_preset
    from littoral.training.run import choose_device

    way = balance_asked(preset, names_in(arms), epochs, steps, balance)
    amounts = None if budgets is None else _parse_budgets(budgets)
    require_preset_weights(preset, names_in(arms))
    set_threads(threads)
    require_ray(ray)
    if out is not None:
        require_place(out, data)
        require_results_folder(out, of_budgets=True)
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
        loaded, asked = read_and_choose(
            read, seed, None if amounts is None else max(amounts), place, quiet, kept_choice(out)
        )
        epochs, steps, _ = length_left(asked, epochs, steps)
    else:
        loaded = read(largest=None if preset is None else get_preset(preset).largest)
    others, names = None, list(loaded.names)
    if unlabelled is not None:
        others, paths = read_unlabelled(unlabelled, loaded.store.spec(), quiet)
        names = [str(path) for path in paths]
    with followed(out, quiet, ray) as following:
        result = study.curve(
            loaded.store,
            preset=asked,
            arms=names_in(arms),
            budgets=amounts,
            seeds=seeds,
            first_seed=seed,
            epochs=epochs,
            steps=steps,
            balance=way,
            unlabelled=others,
            names=names,
            device=device,
            out=out,
            runner=following.runner(),
            on_run=following.told,
            on_plan=None if quiet else say,
            on_features=following.on_features,
            notes={"command": shlex.join(["littoral", *context.obj])} | data_json(loaded),
        )
    if json:
        print_json(result.to_json())
        return
    _print(result, data, out)


def _parse_budgets(text: str) -> list[int]:
    """`--budgets`: 10,30,100."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise InputError(f"--budgets must be numbers of labels a class, such as 10,30,100, got {text!r}")
    found = [int(part) for part in parts]
    if 0 in found or len(set(found)) < len(found):
        raise InputError(f"--budgets must be different numbers from 1 up, such as 10,30,100, got {text!r}")
    return found


def _print(result: LearningCurve, data: str, out: Path | None) -> None:
    """Accuracies, differences, images to label next and advice, on standard output."""
    from littoral.evaluation.paired import p_in_words
    from littoral.studies.runs import intervals_in_words

    names = [arm.name for arm in next(iter(result.points.values()))]
    print("test accuracy %, mean and 95 % interval")
    print_table(
        ["labels a class", *names],
        [
            [f"{budget:,}", *[f"{percent(arm.mean)} ({interval(arm.ci95)})" for arm in arms]]
            for budget, arms in result.points.items()
        ],
    )
    pairs = [(budget, pair) for budget, found in result.pairs.items() for pair in found]
    if pairs:
        print_table(
            ["labels a class", "difference", "points", "95 % interval", "p (Holm)"],
            [
                [
                    f"{budget:,}",
                    f"{pair.a} - {pair.b}",
                    points(pair.difference),
                    points_interval(pair.ci95),
                    p_in_words(pair.p_holm),
                ]
                for budget, pair in pairs
            ],
        )
    for line in result.advice:
        print_wrapped(line)
    for image in [] if result.label_next is None else result.label_next.images[:SHOWN]:
        shallow = f"shallow says {image.shallow} ({percent(image.shallow_confidence)} %)"
        deep = f"deep {image.deep} ({percent(image.deep_confidence)} %)"
        print_wrapped(f"{image.path or f'image {image.row}'}: {shallow}, {deep}", indent=2)
    over = intervals_in_words(len(result.settings["seeds"]), result.one_test_set)
    print_wrapped(
        f"{result.settings['test_images']:,} test images of {data}, preset {result.settings['preset']}; "
        f"intervals of accuracies are {over}."
    )
    if out is not None:
        print(f"results: {out / 'results.json'}, report: {out / 'report.html'}, picture: {out / 'curve.png'}")
