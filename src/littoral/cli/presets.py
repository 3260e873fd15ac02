"""`littoral presets`: the presets, their arms, and the result and cost to expect."""

from __future__ import annotations

from littoral.cli import options
from littoral.cli.output import print_json

SHOWN_SHAPE, SHOWN_CLASSES = (1, 28, 28), 10
"""Parameters and MACs are listed for MNIST: grey images of 28×28 in ten classes."""


def presets(json: options.Json = False) -> None:
    """List the presets with their arms, and the result and cost to expect.

    Example: littoral presets --json
    """
    from dataclasses import asdict

    from littoral.nn.cost import config_cost
    from littoral.training.presets import PRESETS

    listed = [
        {
            "name": preset.name,
            "summary": preset.summary,
            "arms": [
                {"name": arm} | asdict(config_cost(config))
                for arm, config in preset.arms(SHOWN_SHAPE, SHOWN_CLASSES).items()
            ],
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
        arms = preset.arms(SHOWN_SHAPE, SHOWN_CLASSES)
        print(f"{preset.name}: {preset.summary}")
        epochs, steps = preset.recipe.epochs, preset.recipe.steps
        length = f"{epochs} epoch{'s' if epochs != 1 else ''}" if epochs else f"{steps} steps"
        if preset.recipe.min_steps:
            length += f", {preset.recipe.min_steps} steps at least,"
        print(f"  trains: {length} unless --epochs or --steps says otherwise")
        print(f"  expect: {preset.expected}")
        print(f"  cost:   {preset.cost}")
        for arm, config in arms.items():
            cost = config_cost(config)
            print(f"  arm {arm}: {cost.params:,} parameters, {cost.macs:,} MACs an image (28×28 grey, 10 classes)")
