"""`--preset auto`: DATA read as small as most presets take it, and larger where one that is tried takes it so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from littoral.cli.output import say

if TYPE_CHECKING:
    import torch

    from littoral.images.load import Loaded
    from littoral.training.choose import Choice, Larger


class Read(Protocol):
    """DATA with all options, at most `largest` on the longer side where no size is given."""

    def __call__(self, *, largest: int | None) -> Loaded:
        """The images."""


def read_and_choose(
    read: Read, seed: int, labels_per_class: int | None, device: torch.device, quiet: bool, kept: Choice | None = None
) -> tuple[Loaded, Choice]:
    """The images in the form that the chosen preset takes, and what chose it; it is told on standard error.

    `kept`: what was chosen before, by a study or a run that goes on; nothing is tried then.
    """
    from littoral.images.load import LARGEST
    from littoral.training.choose import MOST_IMAGES, choice_for, side_to_try
    from littoral.training.presets import get_preset

    if kept is not None:
        say(f"auto: {kept.preset}, as it was chosen for what is there")
        return read(largest=get_preset(kept.preset).largest), kept
    loaded = read(largest=LARGEST)
    if not quiet:
        say(f"auto: trying few, probe and transfer on up to {MOST_IMAGES} training images, a minute or two")
    side = side_to_try(loaded.store)
    large = None if side is None else read(largest=side)
    choice = choice_for(loaded.store, seed, labels_per_class, device, None if large is None else _larger(loaded, large))
    say("; ".join([f"auto: {choice.why}", *(f"{name} was not tried: {why}" for name, why in choice.refused.items())]))
    named = get_preset(choice.preset)
    if named.largest > LARGEST:
        if choice.accuracies and large is None and max(loaded.store.images.shape[1:3]) == LARGEST:
            say(f"auto: {named.name} was tried on images of {LARGEST} pixels at most, as there are many to read again")
        return large or read(largest=named.largest), choice
    return loaded, choice


def length_left(
    choice: Choice, epochs: int | None, steps: int | None, time_budget: float | None = None
) -> tuple[int | None, int | None, float | None]:
    """The same lengths, or none, which is told on standard error, where the chosen preset trains nothing."""
    from littoral.training.presets import get_preset

    given = {"--epochs": epochs, "--steps": steps, "--time-budget": time_budget}
    asked = [name for name, length in given.items() if length is not None]
    if not asked or not get_preset(choice.preset).linear:
        return epochs, steps, time_budget
    say(f"preset {choice.preset} is fitted at once: {asked[0]} has nothing to cut short")
    return None, None, None


def _larger(loaded: Loaded, large: Loaded) -> Larger:
    """The rows of the same images: their order goes by their pixels."""
    import numpy as np

    from littoral.training.choose import Larger

    place = {name: row for row, name in enumerate(large.names)}
    return Larger(large.store, np.array([place[name] for name in loaded.names], np.int64))
