"""From how clear an early answer on an image may leave a network early, so that hardly any answer becomes worse.

An exit does harm where the early answer is wrong and the whole network's is right. The share of images that it harms is
bounded by Clopper and Pearson's interval (The use of confidence or fiducial limits, Biometrika 1934). The lower the
threshold, the more are harmed, so that the lowest one whose bound holds is found by trying all from the highest on:
fixed sequence testing, which holds at the level of one (Angelopoulos et al., Learn then test, 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from littoral.evaluation.abstention import LEVEL, images_needed, most_errors


@dataclass(frozen=True)
class ExitBound:
    """What was found on `images` that the network was not trained on.

    `least_margin`: from which on an image may exit, None where no bound could be had; `exits`: the share of the images
    that do. `harmful`: how many of them are harmed, and `bound`: the share that is not exceeded with confidence
    `level`. `needed`: how many images it takes at least, where there were fewer.
    """

    least_margin: float | None
    exits: float
    harmful: int
    bound: float
    level: float
    images: int
    needed: int | None = None


def exit_bound(
    margin: NDArray[Any],
    usual: NDArray[np.bool_],
    early_right: NDArray[np.bool_],
    right: NDArray[np.bool_],
    max_drop: float,
    tries: int = 1,
) -> ExitBound:
    """The lowest threshold at which at most `max_drop` of all images are harmed, with 95 % confidence.

    Each of n images has the `margin` of its early answer, whether it is `usual` (others never exit), and whether the
    early answer and that of the whole network are right. `tries`: how many networks are asked so, of which one will be
    chosen; the confidence of each is raised until they hold together (Bonferroni).
    """
    images, level = len(margin), 1 - (1 - LEVEL) / tries
    needed = images_needed(max_drop, level)
    if images < needed:
        return ExitBound(None, 0.0, 0, 1.0, level, images, needed)
    harmed = usual & ~early_right & right
    allowed = 0
    while most_errors(allowed + 1, images, level) <= max_drop:
        allowed += 1
    descending = -np.sort(-margin[harmed])
    threshold = 0.0
    if len(descending) > allowed:
        barrier = descending[allowed]
        above = margin[usual & (margin > barrier)]
        if not len(above):
            return ExitBound(None, 0.0, 0, most_errors(0, images, level), level, images)
        threshold = float((barrier + above.min()) / 2)
    out = usual & (margin >= threshold)
    count = int((out & harmed).sum())
    return ExitBound(threshold, float(out.mean()), count, most_errors(count, images, level), level, images)
