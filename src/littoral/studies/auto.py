"""The preset of a study: named, by the number of labels, or chosen once, on images that its first seed trains on.

What was chosen is in `results.json`, and a study that goes on keeps to it: to choose anew could come out otherwise,
since trying takes as many steps as the time allows. With other seeds, some of the images that the choice looked at are
tested on, where data did not come split; it is one of three presets, the same for all arms.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from littoral.images.store import ImageStore
from littoral.training.choose import AUTO, Choice, choose_preset
from littoral.training.presets import Preset, default_preset, get_preset, require_length
from littoral.training.recipe import Balance, Recipe

Asked = str | os.PathLike[str] | Preset | Choice | None
"""A preset's name or file, or `auto`; a Preset of one's own; what chose one before; None: by the number of labels."""


def kept_choice(out: Path | None) -> Choice | None:
    """What chose the preset of the runs in this folder; None where nothing did, or there is no result yet."""
    try:
        told = None if out is None else json.loads((out / "results.json").read_text())["auto"]
        return None if told is None else Choice(**told)
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not of this version: its runs are refused then
        return None


def kept_preset(out: Path) -> str | None:
    """The name of the preset of the runs in this folder; None where there is no result yet."""
    try:
        return str(json.loads((out / "results.json").read_text())["preset"])
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not of this version: its runs are refused then
        return None


def known_preset(asked: Asked, out: Path | None) -> tuple[Preset | None, Choice | None]:
    """The preset and what chose it, as far as that is known before images are looked at.

    Raises InputError for an unknown name.
    """
    if isinstance(asked, str) and asked == AUTO:
        asked = kept_choice(out)
    if isinstance(asked, Choice):
        return get_preset(asked.preset), asked
    return (get_preset(asked) if isinstance(asked, str | os.PathLike) else asked), None


def preset_for(asked: Asked, train: ImageStore, seed: int, place: torch.device) -> tuple[Preset, Choice | None]:
    """The same where it is not known: by trying some on these images to train on, or by the number of their labels."""
    if asked != AUTO:
        return default_preset(train.labels), None
    choice = choose_preset(train, seed, place)
    return get_preset(choice.preset), choice


def recipe_of(
    chosen: Preset,
    choice: Choice | None,
    arms: Sequence[str] | None,
    epochs: int | None,
    steps: int | None,
    balance: Balance | None,
) -> Recipe:
    """How `arms` of a preset (None: its own choice) are trained. Where `auto` chose one that trains nothing, the length
    that was asked for is left out; of one that was named, InputError says that all of these arms have none.
    """
    if choice is not None and chosen.linear:
        return chosen.recipe.lasting(balance=balance)
    require_length(chosen, chosen.compared if arms is None else arms, epochs, steps)
    return chosen.recipe.lasting(epochs, steps, balance)
