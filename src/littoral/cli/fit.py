"""`littoral fit`: train on a data set, test on its held-out part, write a model file."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from littoral.cli import options
from littoral.cli.auto import length_left, read_and_choose
from littoral.cli.data import bar, data_json, one_of, parse_size, read_data, read_unlabelled
from littoral.cli.interrupt import Interrupted
from littoral.cli.output import print_json, say
from littoral.cli.settings import set_threads
from littoral.cli.workers import Asked
from littoral.words import count, interval, percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from littoral.images.store import ImageStore
    from littoral.nn.calibrated import Calibration


def fit(
    data: options.Data,
    out: Annotated[
        Path | None,
        typer.Option(help="The model file to write.", show_default="DATA[-PRESET]-ARM-seedN.safetensors"),
    ] = None,
    preset: options.Preset = None,
    arm: Annotated[str, typer.Option(help="Which network of the preset; `littoral presets` lists them.")] = "fused",
    seed: options.Seed = 0,
    labels_per_class: options.LabelsPerClass = None,
    epochs: options.Epochs = None,
    steps: options.Steps = None,
    time_budget: Annotated[
        float | None,
        typer.Option(help="Seconds that training may take, in place of --epochs or --steps.", show_default="no limit"),
    ] = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(
            help="Images without a label to train on too: a folder, or rest for the training images that "
            "--labels-per-class leaves over. Preset few takes them.",
            show_default="none",
        ),
    ] = None,
    balance: options.Balance = None,
    tune: Annotated[
        str | None,
        typer.Option(
            help="Stages of the pretrained network to train on, kept only where held-out labels say that it helps: "
            "last, taps (those that the head takes) or all; --epochs and --steps are its length (transfer).",
            show_default="nothing is trained",
        ),
    ] = None,
    calibrate: Annotated[
        str,
        typer.Option(
            help="Images to calibrate on: holdout (a sixth of the training part), folds (out of fold; three "
            "trainings of two thirds on top), auto (holdout from 10,000 images on, else folds) or none."
        ),
    ] = "auto",
    max_error: Annotated[
        float | None,
        typer.Option(help="Share of errors that the answers a calibrated model accepts may have.", show_default="0.01"),
    ] = None,
    slim: Annotated[
        bool,
        typer.Option(
            "--slim", help="Write the file without frozen pretrained weights: who reads it needs these too (transfer)."
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint that an interrupted run left beside the model.")
    ] = False,
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
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS|local",
            help="Train on a Ray cluster by --workers: HOST:PORT of its head, or local for this machine alone.",
            show_default="in this process",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes on the Ray cluster that train the network together, each a part of every batch."
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|URI",
            help="Where all machines of the cluster find the last checkpoint, such as /shared/runs or s3://bucket/runs.",
            show_default="beside the model file",
        ),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a preset, test it on the held-out part, write one model file.

    The test part has no say in training. Preset article shows its accuracy after each epoch, as the published code did.

    Example: littoral fit mnist --preset article --epochs 3 --out digits.safetensors
    """
    from littoral.calibrate import require_max_error
    from littoral.cli.log import drawn, log_folder
    from littoral.cli.progress import follow
    from littoral.errors import InputError
    from littoral.fit_file import MAX_ERROR, checkpoint_of, fit_file, preset_for
    from littoral.held_out import WAYS
    from littoral.model_file import require_model_place
    from littoral.nn.cost import model_cost
    from littoral.training.checkpoint import preset_behind
    from littoral.training.choose import AUTO, Choice
    from littoral.training.presets import get_arm, get_preset, require_length, require_weights
    from littoral.training.recipe import BALANCES
    from littoral.training.run import choose_device
    from littoral.training.tuning import STAGES, TUNING, Tuning, require_tunable

    if out is not None and out.suffix not in ("", ".safetensors"):
        raise InputError(f"--out is a model file, which ends in .safetensors, got {out}: give it that ending, or none")
    automatic = preset == AUTO
    named = None if preset is None or automatic else get_preset(preset)
    way = None if balance is None else one_of("--balance", balance, BALANCES)
    (named or get_preset("swift")).recipe.lasting(epochs, steps, way)  # what cannot be is refused first
    if time_budget is not None and (epochs is not None or steps is not None or not 0 < time_budget < float("inf")):
        raise InputError(
            "--time-budget is a positive number of seconds, without --epochs and --steps, "
            f"got {time_budget} with {epochs} epochs and {steps} steps"
        )
    tuning = None
    if tune is not None:
        tuning = Tuning(one_of("--tune", tune, STAGES), TUNING.lasting(epochs, steps, way))
        if named is None:
            raise InputError("--tune trains on a pretrained network: give --preset transfer, or another that has one")
        if slim or resume:
            raise InputError(
                "a tuned network's weights are in its model file alone, and no checkpoint is kept of it: leave "
                "--slim and --resume out, or --tune"
            )
    calibrating = one_of("--calibrate", calibrate, WAYS)
    if max_error is not None and calibrating == "none":
        raise InputError("--max-error is of a calibrated model's answers: leave it out, or --calibrate none")
    max_error = MAX_ERROR if max_error is None else max_error
    require_max_error(max_error)
    asked = Asked(ray, workers, storage)
    asked.require(time_budget, unlabelled, preset, arm)
    place = choose_device(device)
    set_threads(asked.threads(threads))
    curves = log_folder(log)
    target = out if out is not None else _usual_name(data, preset, arm, seed)
    require_model_place(target)  # before images are read
    if out is None and target.exists() and not (resume and checkpoint_of(target).exists()):
        raise InputError(f"{target} is there already: give --out with another name, or that one to replace it")
    if named is not None:
        get_arm(named, arm, (1, 64, 64), 2)  # is there such an arm? the true shape is known once images are read
        require_weights(named, [arm])
        if tuning is None:
            require_length(named, [arm], epochs, steps, time_budget)
        else:
            require_tunable(named, arm, get_arm(named, arm, (3, named.largest, named.largest), 2))
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
    choice = None
    checkpoint = checkpoint_of(target)
    if automatic:
        begun = preset_behind(checkpoint) if resume else None  # by the clock it could come out otherwise this time
        before = None if begun is None else Choice(begun, {}, {}, 0, 0.0, f"{begun}, as in the interrupted run")
        loaded, choice = read_and_choose(read, seed, labels_per_class, place, quiet, before)
        named = get_preset(choice.preset)
        epochs, steps, time_budget = length_left(choice, epochs, steps, time_budget)
    else:
        loaded = read(largest=None if named is None else named.largest)
    if unlabelled is not None and (resume or time_budget is not None):
        raise InputError(
            "a run with --unlabelled keeps no checkpoint and has no time budget: leave the other option out"
        )
    if resume and not checkpoint.exists() and not target.exists():
        say(f"no checkpoint {checkpoint} yet: starting from the beginning")
    chosen = preset_for(loaded.store, seed, labels_per_class) if named is None else named
    if tuning is None:
        require_length(chosen, [arm], epochs, steps, time_budget)
    others = None
    if unlabelled is not None:
        if chosen.unlabelled is None:
            raise InputError(f"preset {chosen.name} cannot train on images without a label; use --preset few")
        if arm in chosen.arms and chosen.arms[arm].linear:
            raise InputError(f"arm {arm} cannot train on images without a label; use another arm")
        others = _unlabelled(unlabelled, loaded.store, seed, labels_per_class, quiet)
    try:
        with (
            follow(f"{chosen.name} {arm}", quiet) as observer,
            drawn(curves) as drawing,
            bar("computing features", quiet) as on_features,
            asked.connected(target, quiet) as together,
        ):
            trained = fit_file(
                loaded.store,
                chosen,
                arm,
                chosen.recipe.lasting(epochs, steps, way),
                target,
                seed,
                labels_per_class,
                place,
                observer,
                resume=resume,
                time_budget=time_budget,
                unlabelled=others,
                calibrate=calibrating,
                max_error=max_error,
                tell=(lambda line: None) if quiet else say,
                slim=slim,
                on_features=on_features,
                choice=choice,
                tuning=tuning,
                workers=together,
                curves=drawing,
            )
    except Interrupted:
        kept = "no epoch was finished, so nothing is kept"
        if tuning is not None:
            kept = "nothing is kept, as no checkpoint is of a run with --tune"
        elif checkpoint.exists():
            kept = f"{checkpoint} is kept: the same command with --resume goes on from it"
        raise Interrupted(f"interrupted; {kept}") from None

    cost, record = model_cost(trained.model), trained.record
    if record["stopped_early"]:
        say(
            f"stopped at step {record['steps']:,} of {trained.recipe.steps:,}: the machine became slower than it was "
            "when the steps were set, and the time budget was used up"
        )
    test = record["test"]
    found = record["unlabelled"]
    if found is not None:
        say(_what_became_of(found))
    if trained.calibration is not None and trained.calibration.least_confidence is None:
        say(_why_no_threshold(trained.calibration))
    if json:
        print_json(
            {
                "preset": chosen.name,
                "auto": None if choice is None else asdict(choice),
                "arm": arm,
                "seed": seed,
                "params": cost.params,
                "macs": cost.macs,
                "images_seen": record["images_seen"],
                "train_seconds": record["train_seconds"],
                "features_seconds": record["features_seconds"],
                "steps": record["steps"],
                "workers": record["workers"],
                "stopped_early": record["stopped_early"],
                "epoch_seconds": [round(epoch["seconds"], 3) for epoch in record["history"]],
                "test": test,
                "unlabelled": found,
                "tuning": record["tuning"],
                "balance": trained.recipe.balance,
                "precision": record["precision"],
                "calibration": None if trained.calibration is None else asdict(trained.calibration),
                "out": str(target),
            }
            | data_json(loaded)
        )
    else:
        print(
            f"test accuracy {percent(test['accuracy'])} % "
            f"(95 % interval {interval(test['ci95'])}, n = {test['n']:,})\n"
            f"balanced accuracy {percent(test['balanced_accuracy'])} %, macro F1 {percent(test['macro_f1'])} %\n"
            f"{cost.params:,} parameters, {cost.macs:,} MACs an image, "
            f"{record['train_seconds']:.1f} s of training ({_steps(record['steps'])}), "
            f"preset {chosen.name}, seed {seed}\n"
            f"{_tuned(record['tuning'])}"
            f"{_accepts(trained.calibration)}"
            f"model file: {target}"
        )


def _steps(steps: int) -> str:
    return count(steps, "step") if steps else "fitted at once"


def _usual_name(data: str, preset: str | None, arm: str, seed: int) -> Path:
    """The model file where no --out names one: by the data, without the ending of a file, and by the options."""
    place = Path(data).resolve()
    parts = [place.name if place.is_dir() else place.stem, *([] if preset is None else [Path(preset).stem])]
    return Path(f"{'-'.join([*parts, arm, f'seed{seed}'])}.safetensors")


def _unlabelled(
    where: str, store: ImageStore, seed: int, labels_per_class: int | None, quiet: bool
) -> NDArray[np.uint8]:
    """The images that --unlabelled names, in the form of those of the data set."""
    from littoral.errors import InputError
    from littoral.fit_file import rest_of

    if where == "rest":
        if labels_per_class is None:
            raise InputError("--unlabelled rest means the images that --labels-per-class leaves over: give that too")
        return rest_of(store, seed, labels_per_class)
    return read_unlabelled(Path(where), store.spec(), quiet)[0]


def _what_became_of(found: dict[str, Any]) -> str:
    """What the record says of images without a label, in a sentence."""
    those = f"{found['images']:,} images without a label"
    if found["held_out"] is None:
        why = "a class has one label alone, or images that belong together"
        return f"{those} were trained on; whether they help cannot be checked: {why}"
    checked = (
        f"of {found['held_out']:,} labels held out, {found['alone']:,} were told right without them, "
        f"{found['spread']:,} with them"
    )
    return f"{those} {'were trained on' if found['used'] else 'are left out, since they do harm'}: {checked}"


def _why_no_threshold(calibration: Calibration) -> str:
    """Why the model accepts and rejects nothing, in a sentence."""
    wanted = f"{100 * calibration.max_error:g} % errors among accepted answers"
    if calibration.needed is not None:
        return (
            f"no threshold is set and accepted stays empty: a bound of {wanted} needs {calibration.needed:,} images to "
            f"calibrate on, here are {calibration.images:,}; allow more by --max-error"
        )
    return (
        f"no threshold is set and accepted stays empty: even the surest half has too many errors for {wanted}; "
        "allow more by --max-error"
    )


def _tuned(found: dict[str, Any] | None) -> str:
    """What became of tuning, in a line; empty where none was asked for."""
    return "" if found is None else f"tuning {found['stages']}: {found['why']}\n"


def _accepts(calibration: Calibration | None) -> str:
    """What is accepted, in a line; empty where there is no threshold."""
    if calibration is None or calibration.coverage is None:
        return ""
    return (
        f"accepts {percent(calibration.coverage)} % of {calibration.images:,} calibration images, "
        f"with {100 * calibration.max_error:g} % errors at most\n"
    )
