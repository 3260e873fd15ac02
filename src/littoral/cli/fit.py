"""`littoral fit`: train on a data set, test on its held-out part, write a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from littoral.cli import options
from littoral.cli.data import data_json, one_of, parse_size, read_data
from littoral.cli.interrupt import Interrupted
from littoral.cli.output import interval, percent, print_json, say
from littoral.cli.settings import set_threads


def fit(
    data: options.Data,
    out: Annotated[
        Path | None,
        typer.Option(help="The model file to write.", show_default="DATA-PRESET-ARM-seedN.safetensors"),
    ] = None,
    preset: options.Preset = options.DEFAULT_PRESET,
    arm: Annotated[str, typer.Option(help="Which network of the preset: fused, or one branch alone.")] = "fused",
    seed: options.Seed = 0,
    labels_per_class: options.LabelsPerClass = None,
    epochs: options.Epochs = None,
    steps: options.Steps = None,
    balance: options.Balance = None,
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
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a preset, test it on the held-out part, write one model file.

    The test part has no say in training. Preset article shows its accuracy after each epoch, as the published code did.

    Example: littoral fit mnist --preset article --epochs 3 --out digits.safetensors
    """
    from littoral.cli.progress import follow
    from littoral.fit_file import checkpoint_of, fit_file
    from littoral.model_file import require_model_place
    from littoral.nn.cost import model_cost
    from littoral.training.presets import get_arm, get_preset
    from littoral.training.recipe import BALANCES
    from littoral.training.run import choose_device

    chosen = get_preset(preset)
    recipe = chosen.recipe.lasting(epochs, steps, None if balance is None else one_of("--balance", balance, BALANCES))
    place = choose_device(device)
    set_threads(threads)
    target = out if out is not None else Path(f"{Path(data).resolve().stem}-{preset}-{arm}-seed{seed}.safetensors")
    require_model_place(target)  # before images are read
    get_arm(chosen, arm, (1, 64, 64), 2)  # is there such an arm? the true shape is known once images are read
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
        largest=chosen.largest,
    )
    checkpoint = checkpoint_of(target)
    if resume and not checkpoint.exists() and not target.exists():
        say(f"no checkpoint {checkpoint} yet: starting from the beginning")
    try:
        with follow(f"{preset} {arm}", quiet) as observer:
            trained = fit_file(
                loaded.store, chosen, arm, recipe, target, seed, labels_per_class, place, observer, resume=resume
            )
    except Interrupted:
        kept = f"{checkpoint} is kept: the same command with --resume goes on from it" if checkpoint.exists() else ""
        raise Interrupted(f"interrupted; {kept or 'no epoch was finished, so nothing is kept'}") from None

    cost, record = model_cost(trained.model), trained.record
    test = record["test"]
    if json:
        print_json(
            {
                "preset": preset,
                "arm": arm,
                "seed": seed,
                "params": cost.params,
                "macs": cost.macs,
                "images_seen": record["images_seen"],
                "train_seconds": record["train_seconds"],
                "epoch_seconds": [round(epoch["seconds"], 3) for epoch in record["history"]],
                "test": test,
                "balance": trained.recipe.balance,
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
            f"{record['train_seconds']:.1f} s of training, seed {seed}\n"
            f"model file: {target}"
        )
