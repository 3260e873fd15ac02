"""A learning curve's results.json -> a plain dict with all that a page says of it; see `curve_page.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from littoral.evaluation.learning_curve import Curve
from littoral.evaluation.paired import outcome
from littoral.report.markup import sentence
from littoral.report.record import curve_record
from littoral.studies.judge import pair_from_json
from littoral.studies.notable import judged_among
from littoral.studies.pictures import read_pictures
from littoral.studies.results import ResultsFolder
from littoral.words import count

PLACES = 96
"""Points through which a fitted curve is drawn."""


def curve_summary(document: Mapping[str, Any], folder: Path | None, beside: bool = True) -> dict[str, Any]:
    """All that is told of the learning curve of which `document` is the results.json; `folder` has its pictures.

    `beside`: whether the page will lie in that folder. Where pictures are not there, no image is shown, and `missing`
    says so.
    """
    arms = [arm["name"] for arm in document["arms"]]
    following = document["label_next"]
    contested = [] if following is None else following["images"]
    kept = None if folder is None or not contested else read_pictures(folder)
    here = folder if beside else None
    missing = None
    if contested and kept is None:
        lost = "pictures were kept in no folder" if folder is None else "pictures.npz is not there"
        missing = f"{lost}, so that no image is shown; curve, called again with a folder for its results, leaves them"
    return {
        "data": document["data"],
        "headline": _headline(document),
        "missing": missing,
        "advice": [sentence(line) for line in document["advice"][1:]],  # the first is the headline
        "judged": judged_among(arms),
        "arms": [_arm(document, name) for name in arms],
        "budgets": document["budgets"],
        "one_test_set": document.get("one_test_set"),  # a result of an older version does not say
        "test_images": document["test_images"],
        "pairs": [{**pair, "outcome": outcome(pair_from_json(pair))} for pair in document["pairs"]],
        "class_errors": document["class_errors"],
        "pool": None if following is None else following["pool"],
        "disagreed": None if following is None else following["disagreed"],
        "contested": contested,
        "pictures": None
        if kept is None
        else {"rows": kept.rows.tolist(), "pixels": kept.pixels, "names": list(kept.names)},
        "record": curve_record(document),
        "runs_here": here is not None and _has_runs(document, ResultsFolder(here)),
        "table_here": here is not None and (here / "label_next.csv").exists(),
    }


def _headline(document: Mapping[str, Any]) -> str:
    if not document["complete"]:
        runs = sum(len(point["runs"]) for point in document["points"])
        return f"Not finished: {count(runs, 'run')} so far."
    return sentence(document["advice"][0])


def _has_runs(document: Mapping[str, Any], folder: ResultsFolder) -> bool:
    """Whether each run that the document names lies in the folder."""
    named = [(point["budget"], point["arm"], run["seed"]) for point in document["points"] for run in point["runs"]]
    return all(folder.at(budget).file(arm, seed).exists() for budget, arm, seed in named)


def _arm(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Errors (0 to 1) of an arm.

    `points`: (labels, error, low, high) with each run's in `runs`, and in `over` what its interval speaks of; `fit`:
    its fitted curve as results.json has it, or None; `curve`: (labels, error) along it, to twice the largest budget;
    `band`: (labels, low, high).
    """
    points = [point for point in document["points"] if point["arm"] == name]
    fit = next((fit for fit in document["curves"] if fit["arm"] == name), None)
    curve: list[tuple[float, float]] = []
    if fit is not None:
        start, end = min(document["budgets"]), 2 * max(document["budgets"])
        places = [start * (end / start) ** (number / (PLACES - 1)) for number in range(PLACES)]
        fitted = Curve(fit["a"], fit["b"], fit["c"])
        curve = [(labels, fitted.error(labels)) for labels in places]
    return {
        "name": name,
        "points": [(it["budget"], 1 - it["mean"], 1 - it["ci95"][1], 1 - it["ci95"][0]) for it in points],
        "over": [it["ci95_over"] for it in points],
        "runs": [[1 - run["accuracy"] for run in it["runs"]] for it in points],
        "fit": fit,
        "curve": curve,
        "band": [] if fit is None else [(it["labels"], *it["ci95"]) for it in fit["band"]],
    }
