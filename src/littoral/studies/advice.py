"""What a learning curve tells a person to do, a sentence each, which says no more than the intervals do.

The figures are those of `curve_findings.py` and `label_next.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from littoral.evaluation.intervals import wilson
from littoral.evaluation.learning_curve import gain_in_words
from littoral.evaluation.paired import Difference, outcome
from littoral.studies.curve_findings import LEAST_BUDGETS, LEAST_SEEDS, ClassErrors, Fit
from littoral.studies.label_next import LabelNext
from littoral.words import count, interval, listed, percent

NAMED = 3
"""Classes that a sentence names."""

PHRASES = {"better": "better than", "worse": "worse than", "open": "not shown to differ from"}


def too_few(budgets: int, seeds: int) -> list[str]:
    """Before training: what so many budgets and seeds will leave unsaid."""
    if budgets < LEAST_BUDGETS:
        told = f"{count(budgets, 'budget')} will not say what more labels would bring"
        return [f"{told}: name {LEAST_BUDGETS} or more"]
    if seeds < LEAST_SEEDS:
        told = f"{count(seeds, 'seed')} will say what more labels would bring, and not how sure that is"
        return [f"{told}: take {LEAST_SEEDS} or more"]
    return []


def of_doubling(fit: Fit | None) -> str:
    """What twice the labels would bring, from the fit of one arm; None: there were too few budgets for one."""
    if fit is None:
        return f"what more labels would bring cannot be said from fewer than {LEAST_BUDGETS} budgets"
    now, twice = percent(fit.curve.error(fit.largest)), percent(fit.curve.error(2 * fit.largest))
    start = f"twice the labels: error of {fit.arm} {now} % → {twice} %"
    if fit.twice is None or fit.gain is None:
        return f"{start}; {LEAST_SEEDS} seeds or more would tell how sure that is"
    unsure = "" if fit.gain.ci95[0] > 0 else ", which may be nothing"
    return f"{start} ({interval(fit.twice.ci95)}); {gain_in_words(fit.largest, fit.gain)}{unsure}"


def of_classes(arm: str, budget: int, classes: Sequence[ClassErrors], error: float) -> str:
    """Which classes need images most; `error`: of the arm on all test images."""
    start = f"with {labels_a_class(budget)}"
    if not classes or not classes[0].error:
        return f"{start} {arm} got every test image right in every class"
    level = 1 - 0.05 / len(classes)  # that of all classes one stands out by chance comes in one curve of forty
    above = [it for it in classes if wilson(it.wrong, it.images, level)[0] > error]
    named = "; ".join(
        f"{found.name} ({percent(found.error)} % of {count(found.images, 'image')}, {interval(found.ci95)})"
        for found in (above or [found for found in classes if found.error])[:NAMED]
    )
    if above:
        more = f"; and {len(above) - NAMED} more" if len(above) > NAMED else ""
        return f"classes that need images most, {start}: {named}{more}; over all classes {percent(error)} %"
    return f"most errors, {start}: {named}; of no class is it sure that it errs more than all do, {percent(error)} %"


def of_pairs(pairs: Mapping[int, Sequence[Difference]]) -> list[str]:
    """At each budget, what the judged arm is beside the others; budgets of which the same is said share a sentence."""
    said: dict[str, list[int]] = {}
    for budget, found in pairs.items():
        kinds = {kind: [pair.b for pair in found if outcome(pair) == kind] for kind in PHRASES}
        words = ", ".join(f"{PHRASES[kind]} {listed(arms)}" for kind, arms in kinds.items() if arms)
        alone = " (one seed: of these models alone)" if any(pair.method == "images" for pair in found) else ""
        if found:
            said.setdefault(f"{found[0].a} is {words}{alone}", []).append(budget)
    return [f"with {labels_a_class(*budgets)} {words}" for words, budgets in said.items()]


def of_images(found: LabelNext | None) -> str:
    """How many images are worth a label next; None: nobody looked, since an arm is missing."""
    if found is None:
        return "which images to label next takes the arms shallow and deep"
    if not found.pool:
        return (
            "no image without a label is left to choose from, those aside that equal a labelled one: "
            "--unlabelled DIR names a folder of others"
        )
    if not found.images:
        return f"shallow and deep say the same of all {found.pool:,} images without a label"
    return (
        f"of {found.pool:,} images without a label, shallow and deep disagree on {len(found.images):,}: "
        "these are worth labelling next"
    )


def labels_a_class(*budgets: int) -> str:
    """1 label a class; 10 labels a class; 10, 20 and 40 labels a class."""
    return f"{listed([f'{budget:,}' for budget in budgets])} {'label' if budgets == (1,) else 'labels'} a class"
