"""A comparison's results.json and its runs -> a plain dict with all that a page says of it; see `comparison_page.py`.

No data and no training: what lies in the folder is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from littoral.evaluation.calibration import expected_calibration_error
from littoral.evaluation.paired import Difference, outcome
from littoral.report.comparison_classes import calibration, class_figures, confusions
from littoral.report.comparison_images import branch_rescues, cells, confident_mistakes, looked_at
from littoral.report.record import comparison_record
from littoral.studies.judge import pair_from_json
from littoral.studies.notable import JUDGED, judged_among
from littoral.studies.pictures import Pictures, read_pictures
from littoral.studies.pooled import pooled
from littoral.studies.results import ResultsFolder
from littoral.studies.stored import StoredRun
from littoral.words import count, listed

AGAIN = "compare, called again with a folder for its results, leaves them"
"""What a person does about what is missing."""

RIVALS = ("shallow", "deep", "matched", "matched-ensemble")
"""Arms that tell whether fusing helps: its sides alone, and others of the same cost; "only-" arms do too."""


def comparison_summary(document: Mapping[str, Any], folder: Path | None, beside: bool = True) -> dict[str, Any]:
    """All that is told of the comparison of which `document` is the results.json; `folder` has its runs and pictures.

    `beside`: whether the page will lie in that folder. Where a run is not there, what is told of classes and single
    images is left out, and `missing` says so.
    """
    runs, reason = _runs(document, folder)
    judged = judged_among([arm["name"] for arm in document["arms"]])
    kept = None if folder is None or runs is None else read_pictures(folder)
    differences = [pair_from_json(pair) for pair in document["pairs"]]
    missing = None
    if runs is None:
        missing = f"{reason}, so that nothing is shown of classes, of single images and of calibration; {AGAIN}"
    elif kept is None:
        missing = f"pictures.npz is not there, so that no image is shown; {AGAIN}"
    return {
        "data": document["data"],
        "complete": document["complete"],
        "headline": headline(differences, document),
        "missing": missing,
        "judged": judged,
        "power": _power(document),
        "pairs": [
            {**pair, "outcome": outcome(difference)}
            for pair, difference in zip(document["pairs"], differences, strict=True)
        ],
        "arms": [{**arm, "ece": None if runs is None else _ece(runs[arm["name"]])} for arm in document["arms"]],
        "one_test_set": document["one_test_set"],
        "classes": document["classes"],
        "of_runs": runs is not None,
        **({} if runs is None else _of_runs(runs, judged, document["classes"], kept)),
        "record": comparison_record(document),
        "runs_here": runs is not None and beside,
        "pictures": None
        if kept is None
        else {"rows": kept.rows.tolist(), "pixels": kept.pixels, "names": list(kept.names)},
    }


def headline(differences: Sequence[Difference], document: Mapping[str, Any]) -> str:
    """What came out, in a sentence or two; "helps" only where every interval beside `RIVALS` says so.

    One side alone, other fusions, other presets and runs that are not all there say nothing of whether fusing helps.
    Where an interval is over the images of one seed, what is said is of these trained models, and so it is told.
    """
    arms = document["arms"]
    if not differences:
        told = ", ".join(f"{arm['name']} tells {100 * arm['mean']:.2f} % of the test images right" for arm in arms)
        text = f"{told}; nothing was compared"
    else:
        judged = differences[0].a
        alone = _alone(differences)
        rivals = [it for it in differences if it.b in RIVALS or it.b.startswith("only-")]
        if judged == JUDGED and _both_sides(rivals) and document["complete"]:
            found = {outcome(it) for it in rivals}
            helps = "does not help" if "worse" in found else "is not shown to help" if "open" in found else "helps"
            others = [it for it in differences if it not in rivals]
            text = f"Fusing {helps} here{alone}: {_beside(judged, rivals)}"
            text += f". Beside others, {_beside(judged, others)}" if others else ""
        else:
            text = _beside(judged, differences) + alone
    if not document["complete"]:
        text += f". Not finished: {count(sum(len(arm['runs']) for arm in arms), 'run')} so far"
    return f"{text}."


def _alone(differences: Sequence[Difference]) -> str:
    """Of which pairs one seed alone tells; before all runs are there it may be some of them."""
    others = [it.b for it in differences if it.method == "images"]
    if not others:
        return ""
    if len(others) == len(differences):
        return ", for these trained models (one seed)"
    return f"; beside {listed(others)} this is of these trained models (one seed)"


def _both_sides(rivals: Sequence[Difference]) -> bool:
    """Whether what is fused is there without the other: `shallow` and `deep`, or two or more groups of features."""
    names = {it.b for it in rivals}
    return names >= {"shallow", "deep"} or sum(name.startswith("only-") for name in names) > 1


def _beside(judged: str, differences: Sequence[Difference]) -> str:
    """What the judged arm is beside others: "fused is better than deep; no difference from shallow is shown"."""
    ways = {way: [it.b for it in differences if outcome(it) == way] for way in ("better", "worse", "open")}
    found = [f"{way} than {listed(ways[way])}" for way in ("worse", "better") if ways[way]]
    parts = [f"{judged} is {' and '.join(found)}"] if found else []
    if ways["open"]:
        others = listed(ways["open"])
        parts.append(f"no difference {f'from {others}' if found else f'between {judged} and {others}'} is shown")
    return "; ".join(parts)


def _runs(document: Mapping[str, Any], folder: Path | None) -> tuple[dict[str, list[StoredRun]] | None, str | None]:
    """The runs that the document names, by arm; else None, and which of them are not there."""
    named = [(arm["name"], run["seed"]) for arm in document["arms"] for run in arm["runs"]]
    if folder is None:
        return None, "the runs were kept in no folder"
    place = ResultsFolder(folder)
    missing = [place.file(*run) for run in named if not place.file(*run).exists()]
    if missing:
        more = f" and {count(len(missing) - 1, 'more run', 'more runs')} are" if len(missing) > 1 else " is"
        return None, f"{missing[0].relative_to(folder)}{more} not there"
    return {
        arm["name"]: [place.read(arm["name"], run["seed"]) for run in arm["runs"]] for arm in document["arms"]
    }, None


def _of_runs(
    runs: Mapping[str, Sequence[StoredRun]], judged: str, classes: Sequence[str], kept: Pictures | None
) -> dict[str, Any]:
    """What is told of classes and of single images."""
    arms = {name: pooled(those) for name, those in runs.items()}
    names = {} if kept is None else dict(zip(kept.rows.tolist(), kept.names, strict=True))
    return {
        "class_figures": class_figures(arms, {name: len(those) for name, those in runs.items()}, classes),
        "confusions": confusions(arms),
        "cells": {name: cells(arm, names) for name, arm in arms.items()},
        "mistakes": confident_mistakes(arms, judged, names),
        "branches": branch_rescues(arms, judged, names),
        "looks": _shown(looked_at(runs, arms), kept, names),
        "calibration": {name: calibration(those) for name, those in runs.items()},
    }


def _shown(looks: dict[str, Any] | None, kept: Pictures | None, names: Mapping[int, str]) -> dict[str, Any] | None:
    """Without images whose picture is not among those kept, which may be those of an earlier call."""
    if looks is None or kept is None:
        return looks
    return looks | {"images": [image for image in looks["images"] if image["row"] in names]}


def _power(document: Mapping[str, Any]) -> list[str]:
    """What was said of the differences that will show; a result of an older version has none of it."""
    said: Mapping[str, Any] = document.get("power", {})
    lines = []
    if before := said.get("before"):
        lines.append(f"Said before training: {before}.")
    if after := said.get("after_two_seeds"):
        lines.append(f"Said after two seeds: {after}.")
    return lines


def _ece(runs: Sequence[StoredRun]) -> float:
    return float(np.mean([expected_calibration_error(run.probabilities, run.labels) for run in runs]))
