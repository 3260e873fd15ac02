"""The folder of a comparison -> a plain dict with all that a page says of it. How it looks is `comparison_page.py`.

No data and no training: what lies in the folder is enough.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from littoral.errors import InputError
from littoral.evaluation.calibration import expected_calibration_error
from littoral.evaluation.paired import Difference, outcome
from littoral.report.comparison_classes import calibration, class_figures, confusions
from littoral.report.comparison_images import branch_rescues, cells, confident_mistakes, looked_at
from littoral.studies.notable import JUDGED, judged_among
from littoral.studies.pictures import read_pictures
from littoral.studies.pooled import pooled
from littoral.studies.results import ResultsFolder
from littoral.studies.stored import StoredRun
from littoral.words import count, listed

SCHEMA = 1
"""Version of results.json that is understood."""


def comparison_summary(place: Path) -> dict[str, Any]:
    """All that is told of the comparison in the folder `place`.

    Raises InputError where there is no results.json of this version, or a run that it names is not there.
    """
    folder = ResultsFolder(place)
    document = _document(folder.path / "results.json")
    runs = {arm["name"]: _runs(folder, arm) for arm in document["arms"]}
    arms = {name: pooled(those) for name, those in runs.items()}
    judged = judged_among(list(arms))
    kept = read_pictures(folder.path)
    names = {} if kept is None else dict(zip(kept.rows.tolist(), kept.names, strict=True))
    differences = [_difference(pair) for pair in document["pairs"]]
    classes = document["classes"]
    return {
        "data": document["data"],
        "complete": document["complete"],
        "headline": headline(differences, document),
        "judged": judged,
        "pairs": [
            {**pair, "outcome": outcome(difference)}
            for pair, difference in zip(document["pairs"], differences, strict=True)
        ],
        "arms": [{**arm, "ece": _ece(runs[arm["name"]])} for arm in document["arms"]],
        "one_test_set": document["one_test_set"],
        "classes": classes,
        "class_figures": class_figures(arms, {name: len(those) for name, those in runs.items()}, classes),
        "confusions": confusions(arms),
        "cells": {name: cells(arm, names) for name, arm in arms.items()},
        "mistakes": confident_mistakes(arms, judged, names),
        "branches": branch_rescues(arms, judged, names),
        "looks": looked_at(runs, arms),
        "calibration": {name: calibration(those) for name, those in runs.items()},
        "record": _record(document),
        "pictures": None
        if kept is None
        else {"rows": kept.rows.tolist(), "pixels": kept.pixels, "names": list(kept.names)},
    }


def headline(differences: Sequence[Difference], document: Mapping[str, Any]) -> str:
    """What came out, in a sentence or two; "helps" only where every interval says so."""
    arms = document["arms"]
    if not differences:
        told = ", ".join(f"{arm['name']} tells {100 * arm['mean']:.2f} % of the test images right" for arm in arms)
        text = f"{told}; nothing was compared"
    else:
        judged = differences[0].a
        ways = {way: [it.b for it in differences if outcome(it) == way] for way in ("better", "worse", "open")}
        found = [f"{way} than {listed(ways[way])}" for way in ("worse", "better") if ways[way]]
        parts = [f"{judged} is {' and '.join(found)}"] if found else []
        if ways["open"]:
            others = listed(ways["open"])
            parts.append(f"no difference {f'from {others}' if found else f'between {judged} and {others}'} is shown")
        text = "; ".join(parts)
        if judged == JUDGED:
            helps = "does not help" if ways["worse"] else "is not shown to help" if ways["open"] else "helps"
            text = f"Fusing {helps} here: {text}"
    if not document["complete"]:
        text += f". Not finished: {count(sum(len(arm['runs']) for arm in arms), 'run')} so far"
    return f"{text}."


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
        whole = isinstance(document, dict) and document["schema"] == SCHEMA
        whole = whole and len(document["arms"]) > 0 and all(arm["runs"] for arm in document["arms"])  # of curve: none
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not path.exists():
        raise InputError(f"there is no {path}: name the folder that `littoral compare --out` wrote")
    if not whole:
        raise InputError(f"{path} is not the result of a comparison: name the folder that `littoral compare` wrote")
    return dict(document)


def _runs(folder: ResultsFolder, arm: Mapping[str, Any]) -> list[StoredRun]:
    there = folder.finished()
    for run in arm["runs"]:
        if (arm["name"], run["seed"]) not in there:
            path = folder.file(arm["name"], run["seed"])
            raise InputError(f"{path}, a run of results.json, is not there: call compare again with the same folder")
    return [folder.read(arm["name"], run["seed"]) for run in arm["runs"]]


def _difference(pair: Mapping[str, Any]) -> Difference:
    values = {name: value for name, value in pair.items() if name != "verdict"}
    return Difference(**(values | {"ci95": (pair["ci95"][0], pair["ci95"][1])}))


def _ece(runs: Sequence[StoredRun]) -> float:
    return float(np.mean([expected_calibration_error(run.probabilities, run.labels) for run in runs]))


def _record(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How it was made: what, and with which value."""
    labels = document["labels_per_class"]
    recipe = ", ".join(f"{name} {value}" for name, value in document["recipe"].items() if value is not None)
    return [
        ("command", document.get("command", "called from Python")),
        ("data", f"{document['data']}, SHA-256 {document['data_sha256']}"),
        ("images", f"{document['train_images']:,} to train, {document['test_images']:,} to test, of the first seed"),
        ("labels a class", "all" if labels is None else f"{labels:,}"),
        ("preset", document["preset"]),
        ("recipe", recipe),
        ("arms beside", listed(list(document["beside"])) or "none"),
        ("seeds", ", ".join(map(str, document["seeds"]))),
        ("device", document["device"]),
        ("threads", f"{document['threads']} of {document['cores']} cores"),
        ("machine", document["machine"]),
        ("versions", ", ".join(f"{it} {document[it]}" for it in ("littoral", "torch", "numpy", "python"))),
        ("code", f"SHA-256 {document['code']}"),
    ]
