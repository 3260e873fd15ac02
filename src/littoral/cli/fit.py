"""`littoral fit`: train on a data set, test on its held-out part, write a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from littoral.cli import options
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
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint that an interrupted run left beside the model.")
    ] = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a preset, test it once on the held-out part, write one model file.

    Example: littoral fit mnist --preset article --epochs 3 --out digits.safetensors
    """
    from littoral.errors import InputError
    from littoral.evaluation.metrics import evaluate
    from littoral.files import require_writable
    from littoral.images.builtin import load_named
    from littoral.images.splits import label_budget, train_test
    from littoral.model_file import save_model
    from littoral.nn.cost import model_cost
    from littoral.nn.inference import predict_probabilities
    from littoral.training.presets import get_arm, get_preset
    from littoral.training.run import choose_device, fit_arm

    chosen = get_preset(preset)
    recipe = chosen.recipe.lasting(epochs, steps)
    place = choose_device(device)
    set_threads(threads)
    target = out if out is not None else Path(f"{Path(data).name}-{preset}-{arm}-seed{seed}.safetensors")
    store = load_named(data)
    get_arm(chosen, arm, (store.images.shape[3], *store.images.shape[1:3]), len(store.class_names))
    require_writable(target)
    checkpoint = target.with_name(target.name + ".checkpoint")
    if checkpoint.exists() and not resume:
        raise InputError(
            f"{checkpoint} is left from a run that was interrupted: go on from it with --resume, "
            "or delete it to start again"
        )
    if resume and not checkpoint.exists():
        if target.exists():
            raise InputError(f"nothing to resume: {target} is finished; leave --resume out to train it anew")
        say(f"no checkpoint {checkpoint} yet: starting from the beginning")

    train_part, test_part = train_test(store, seed)
    if labels_per_class is not None:
        train_part = train_part.subset(label_budget(train_part.labels, labels_per_class, seed))

    from littoral.cli.progress import follow

    try:
        with follow(f"{preset} {arm}", quiet) as observer:
            trained = fit_arm(
                chosen,
                arm,
                recipe,
                train_part,
                seed,
                place,
                observer,
                checkpoint=checkpoint,
                resume=resume,
                shown=test_part if chosen.shows_test_accuracy else None,
            )
    except Interrupted:
        kept = f"{checkpoint} is kept: the same command with --resume goes on from it" if checkpoint.exists() else ""
        raise Interrupted(f"interrupted; {kept or 'no epoch was finished, so nothing is kept'}") from None

    probabilities = predict_probabilities(trained.model, test_part.images, trained.image)
    figures = evaluate(probabilities, test_part.labels, store.class_names)
    test = {"accuracy": figures.accuracy, "n": figures.n, "ci95": list(figures.ci95)}
    trained.record["test"] = test
    save_model(trained, target)
    checkpoint.unlink(missing_ok=True)

    cost = model_cost(trained.model)
    if json:
        print_json(
            {
                "preset": preset,
                "arm": arm,
                "seed": seed,
                "params": cost.params,
                "macs": cost.macs,
                "images_seen": trained.record["images_seen"],
                "train_seconds": trained.record["train_seconds"],
                "epoch_seconds": [round(epoch["seconds"], 3) for epoch in trained.record["history"]],
                "test": test,
                "out": str(target),
            }
        )
    else:
        print(
            f"test accuracy {percent(figures.accuracy)} % (95 % interval {interval(figures.ci95)}, n = {figures.n:,})\n"
            f"{cost.params:,} parameters, {cost.macs:,} MACs an image, "
            f"{trained.record['train_seconds']:.1f} s of training, seed {seed}\n"
            f"model file: {target}"
        )
