"""`littoral tune`: a better recipe, widths and fusion for a preset, within what a model may cost; as a preset file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from littoral.cli import options
from littoral.cli.data import data_json, parse_size, read_data, require_place
from littoral.cli.interrupt import Interrupted, kept_in
from littoral.cli.output import print_json, print_table, print_wrapped, say
from littoral.cli.settings import set_threads
from littoral.cli.study import require_ray
from littoral.words import count, interval, percent

if TYPE_CHECKING:
    from littoral.studies.tune_jobs import Hire
    from littoral.studies.tune_result import Candidate, Tuning


def tune(
    context: typer.Context,
    data: options.Data,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for preset.toml, results.json, front.png and the candidates, from which the same command goes "
            "on; made when its parent exists.",
            show_default="nothing is kept",
        ),
    ] = None,
    preset: options.Preset = None,
    time_budget: Annotated[
        float | None, typer.Option(help="Seconds for all of it.", show_default="600, without --candidates")
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(help="Candidates to train at most.", show_default="as many as fit into the time")
    ] = None,
    max_macs: Annotated[
        int | None, typer.Option(help="Multiply-accumulates of one image at most.", show_default="any")
    ] = None,
    max_latency: Annotated[
        float | None, typer.Option(help="Milliseconds for one image at most, measured here.", show_default="any")
    ] = None,
    max_file: Annotated[
        float | None, typer.Option(help="Kilobytes of the model file at most.", show_default="any")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the training part to judge candidates on.")] = 4,
    seed: options.Seed = 0,
    labels_per_class: options.LabelsPerClass = None,
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
    """Search a preset's recipe, widths and fusion on folds of the training part; test the one chosen, once.

    Example: littoral tune mnist --preset swift --max-macs 500000 --time-budget 1200 --out tuned
    """
    import shlex

    from littoral.errors import InputError
    from littoral.studies import tune as study
    from littoral.studies.tune_space import Limits
    from littoral.training.presets import get_preset

    for option, limit in (("--max-latency", max_latency), ("--max-file", max_file)):
        if limit is not None and not 0 < limit < float("inf"):
            raise InputError(f"{option} is a number above 0, got {limit}")
    if max_file is not None and max_file < 0.001:
        raise InputError(f"--max-file is a number of kilobytes, 0.001 (one byte) or more, got {max_file}")
    limits = Limits(
        max_macs,
        None if max_latency is None else max_latency / 1e3,
        None if max_file is None else int(max_file * 1e3),
    )
    set_threads(threads)
    require_ray(ray)
    if out is not None:
        require_place(out, data)
    study.require_tuning(preset, time_budget, candidates, out)
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
        largest=None if preset is None else get_preset(preset).largest,
    )
    with _kept(out):
        found = study.tune(
            loaded.store,
            preset=preset,
            limits=limits,
            time_budget=600.0 if time_budget is None and candidates is None else time_budget,
            candidates=candidates,
            folds=folds,
            seed=seed,
            labels_per_class=labels_per_class,
            device=device,
            out=out,
            workers=_workers(ray, quiet),
            on_candidate=None if quiet else lambda candidate: say(_line(candidate, folds)),
            notes={"command": shlex.join(["littoral", *context.obj])} | data_json(loaded),
        )
    if json:
        print_json(found.to_json())
        return
    _print(found, out)


def _workers(ray: str | None, quiet: bool) -> Hire:
    """Who trains the candidates: this process, or the cluster at the address `ray`."""
    from littoral.studies.tune_jobs import here

    if ray is None:
        return here
    from littoral.scale.tune import on_ray

    return on_ray(ray, None if quiet else lambda places: say(f"up to {places} at once on the Ray cluster {ray}"))


@contextlib.contextmanager
def _kept(out: Path | None) -> Iterator[None]:
    """Within it an interrupt says what is kept; raises Interrupted."""
    from littoral.studies.tune_folder import TuneFolder

    try:
        yield
    except Interrupted:
        if out is None:
            raise Interrupted("interrupted; nothing is kept: give --out DIR to keep the candidates") from None
        raise kept_in(out, len(TuneFolder(out).files()), "candidate") from None


def _line(candidate: Candidate, folds: int) -> str:
    """One candidate, as it is done."""
    start = f"candidate {candidate.number}: {candidate.fate}"
    if not candidate.folds:
        return f"{start}: {candidate.reason}"
    why = f": {candidate.reason}" if candidate.reason else ""
    on = f"{len(candidate.folds)} of {count(folds, 'fold')}"
    return f"{start}, {percent(candidate.accuracy)} % on {on}, {candidate.seconds:.0f} s{why}"


def _print(found: Tuning, out: Path | None) -> None:
    """The candidates that no other beats, the one chosen, and its test, on standard output."""
    print_table(
        ["candidate", "acc % on folds", "MACs", "ms an image", "file kB", "fusion", "rate", "steps", "augment"],
        [
            [
                f"{one.number}{' (chosen)' if one.number == found.chosen.number else ''}",
                percent(one.accuracy),
                f"{one.price.macs:,}",
                f"{1e3 * one.price.latency:.2f}",
                f"{one.price.file / 1e3:.0f}",
                "as it is" if one.variant.fusion is None else one.variant.fusion.type,
                f"{one.variant.recipe.learning_rate:.2g}",
                f"{one.variant.recipe.total_steps(found.settings['train_images']):,}",
                "no" if one.variant.recipe.augment is None else "yes",
            ]
            for one in found.front
            if one.price is not None and one.variant.recipe is not None
        ],
    )
    trained = sum(bool(one.folds) for one in found.candidates)
    refused = sum(one.fate == "refused" for one in found.candidates)
    print_wrapped(
        f"{count(trained, 'candidate')} trained, {refused:,} refused; shown are those that no "
        "other beats in accuracy, MACs and latency at once. Accuracies are of folds of the training part."
    )
    print_wrapped(
        f"the chosen one, trained on all of it and tested once: {percent(found.test.accuracy)} % "
        f"({interval(found.test.ci95)}, over {found.test.n:,} test images of this one seed)"
    )
    if out is not None:
        print(f"preset: {out / 'preset.toml'}, results: {out / 'results.json'}, plot: {out / 'front.png'}")
