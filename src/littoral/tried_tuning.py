"""Fine-tuning tried on a part of the training labels, and kept only if the rest of them say that it helps.

The test part has no say in it. Leaves to others: the training (`training/tuning.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from littoral.calibrate import Fit
from littoral.errors import InputError
from littoral.held_out import held_parts
from littoral.images.store import ImageStore
from littoral.nn.inference import predict_probabilities
from littoral.training.beforehand import can_be_beforehand
from littoral.training.run import TrainedModel
from littoral.training.tuning import Tuning, stages_to_learn
from littoral.words import listed, percent

LEVEL = 0.05
"""Of a network that tells neither more nor fewer images right than the probe, one in twenty at most is kept."""

FEWEST = 30
"""Images to judge on. The least that is kept is five images more told right and none fewer: a sixth of so many."""

Tune = Callable[[TrainedModel, NDArray[np.int64], Tuning], TrainedModel]
"""A probe and the rows of the images that it was fitted to -> the probe tuned on these."""


@dataclass(frozen=True)
class TriedTuning:
    """What became of fine-tuning, as the record of a model has it.

    `stages`: what was asked for, and `learning`: which stages that is, by branch. `held_out`: images of the training
    part that judged, of which `probe` and `tuned` told shares of 0 to 1 right, `only_probe` and `only_tuned` alone so
    many; None where it was not `tried`. `p`: the chance that a fair coin takes the side of the tuned network as often
    as the images did that one of both alone told right. `seconds`: of the trial. `why`: all of it in words.
    """

    stages: str
    learning: dict[str, tuple[str, ...]]
    tried: bool = False
    kept: bool = False
    held_out: int = 0
    probe: float | None = None
    tuned: float | None = None
    only_probe: int | None = None
    only_tuned: int | None = None
    p: float | None = None
    seconds: float = 0.0
    why: str = ""


def with_tuning(fit: Fit, tune: Tune, tuning: Tuning, store: ImageStore, seed: int, tell: Callable[[str], None]) -> Fit:
    """A training that fits a probe, as `fit` does, and tunes it where that helps; `tell` is told what is done.

    A probe and a tuned network are made of two thirds of the images, and tell the third, the first fold of a split that
    is stratified and keeps together what belongs together. The network is kept where a one-sided exact sign test on the
    images that one of both alone told right has p < LEVEL. Then the probe of all images is tuned by the same recipe,
    and that is the model: labels are few, and what was judged is the way, as with a calibration by folds. Where the
    images cannot be parted so, or fewer than FEWEST would judge, nothing is tried. `tuning` in the record says it all.
    """

    def first(rows: NDArray[np.int64]) -> TrainedModel:
        probe = fit.first(rows)
        start = time.perf_counter()
        draft = TriedTuning(tuning.stages, stages_to_learn(probe.model.config, tuning.stages))
        part = store.subset(rows)
        try:
            held = held_parts(part, seed, "folds")[0]
            reason = f"{len(held)} images would judge, which says nothing below {FEWEST}" if len(held) < FEWEST else ""
        except InputError as error:
            reason = str(error)
        if reason:
            tell(f"not tuned: {reason}")
            return _recorded(probe, replace(draft, why=f"not tried: {reason}"))
        known = np.setdiff1d(np.arange(len(part)), held)
        tell(_plan(tuning, draft.learning, len(known), len(held)))
        trial = fit.first(rows[known])
        tuned = tune(trial, rows[known], tuning)
        judges = part.subset(held)
        one, other = (
            predict_probabilities(net.model, judges.images, net.image).argmax(1) == judges.labels
            for net in (trial, tuned)
        )
        told = replace(judged(draft, one, other), seconds=round(time.perf_counter() - start, 3))
        tell(told.why)
        return _recorded(tune(probe, rows, tuning) if told.kept else probe, told)

    def again(rows: NDArray[np.int64], like: TrainedModel) -> TrainedModel:
        probe = fit.again(rows, like)
        return probe if can_be_beforehand(like.model.config) else tune(probe, rows, replace(tuning, recipe=like.recipe))

    return Fit(first, again)


def judged(draft: TriedTuning, probe: NDArray[np.bool_], tuned: NDArray[np.bool_]) -> TriedTuning:
    """The draft with its verdict, from which of the images held out (n) the probe and the tuned network told right."""
    only_probe, only_tuned = int((probe & ~tuned).sum()), int((tuned & ~probe).sum())
    apart = only_probe + only_tuned
    p = float(binomtest(only_tuned, apart, alternative="greater").pvalue) if apart else 1.0
    kept = p < LEVEL
    why = (
        f"{'kept' if kept else 'not kept'}: of {len(probe):,} training images held out, the probe told "
        f"{percent(float(probe.mean()))} % right and the tuned network {percent(float(tuned.mean()))} %; "
        f"{only_tuned:,} only the tuned one, {only_probe:,} only the probe (p = {p:.2g})"
    )
    return replace(
        draft,
        tried=True,
        kept=kept,
        held_out=len(probe),
        probe=float(probe.mean()),
        tuned=float(tuned.mean()),
        only_probe=only_probe,
        only_tuned=only_tuned,
        p=p,
        why=why,
    )


def _plan(tuning: Tuning, learning: dict[str, tuple[str, ...]], known: int, held: int) -> str:
    """What it will take, in a sentence."""
    recipe, stages = tuning.recipe, listed([f"{name}.{stage}" for name, of in learning.items() for stage in of])
    trial, final = recipe.total_steps(known), recipe.total_steps(known + held)
    return (
        f"tuning {stages}: {trial:,} steps of {recipe.batch_size} images on {known:,} images, judged on {held:,}; if "
        f"that helps, {final:,} steps on all {known + held:,} ({recipe.batch_size * (trial + final):,} images in all)"
    )


def _recorded(model: TrainedModel, told: TriedTuning) -> TrainedModel:
    """The model with the verdict in its record, and the trial in its time."""
    seconds = round(model.record["train_seconds"] + told.seconds, 3)
    return replace(model, record=model.record | {"tuning": asdict(told), "train_seconds": seconds})
