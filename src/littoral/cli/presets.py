"""`littoral presets`: the presets, their arms, and the result and cost to expect."""

from __future__ import annotations

from littoral.cli import options
from littoral.cli.output import print_json, print_table, print_wrapped
from littoral.errors import InputError

SHOWN_SHAPE, SHOWN_CLASSES = (1, 28, 28), 10
"""Parameters and MACs are listed for MNIST: grey images of 28×28 in ten classes."""


def presets(json: options.Json = False) -> None:
    """List the presets with their arms, and the result and cost to expect.

    Example: littoral presets --json
    """
    from dataclasses import asdict

    from littoral.nn.cost import Cost, config_cost
    from littoral.training.presets import PRESETS, get_arm

    costs: dict[str, dict[str, Cost]] = {name: {} for name in PRESETS}
    refused: dict[str, dict[str, str]] = {name: {} for name in PRESETS}
    for preset in PRESETS.values():
        for arm in preset.arms:
            try:
                costs[preset.name][arm] = config_cost(get_arm(preset, arm, SHOWN_SHAPE, SHOWN_CLASSES))
            except InputError as error:
                refused[preset.name][arm] = str(error)
    listed = [
        {
            "name": preset.name,
            "summary": preset.summary,
            "arms": [{"name": arm} | asdict(cost) for arm, cost in costs[preset.name].items()],
            "refused": [{"name": arm, "reason": reason} for arm, reason in refused[preset.name].items()],
            "compared": preset.compared,
            "recipe": asdict(preset.recipe),
            "expected": preset.expected,
            "cost": preset.cost,
        }
        for preset in PRESETS.values()
    ]
    if json:
        print_json({"image_shape": SHOWN_SHAPE, "classes": SHOWN_CLASSES, "presets": listed})
        return
    for preset in PRESETS.values():
        print_wrapped(f"{preset.name}: {preset.summary}")
        epochs, steps = preset.recipe.epochs, preset.recipe.steps
        length = f"{epochs} epoch{'s' if epochs != 1 else ''}" if epochs else f"{steps} steps"
        if preset.recipe.min_steps:
            length += f", {preset.recipe.min_steps} steps at least,"
        if preset.linear:
            print_wrapped("trains: nothing, it is fitted at once", indent=2)
        else:
            print_wrapped(f"trains: {length} unless --epochs or --steps says otherwise", indent=2)
        print_wrapped(f"expect: {preset.expected}", indent=2)
        print_wrapped(f"cost:   {preset.cost}", indent=2)
        print_table(
            ["arm", "parameters", "MACs"],
            [[arm, f"{cost.params:,}", f"{cost.macs:,}"] for arm, cost in costs[preset.name].items()],
        )
        for reason in refused[preset.name].values():
            print_wrapped(reason, indent=2)
        print()
    print_wrapped("Parameters, and MACs of one image, are for grey images of 28×28 in 10 classes.")
