"""An arm's runs, image by image -> what the page says of single images, named by their rows of the data.

Only images whose picture was kept are named one by one; counts are of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from littoral.studies.notable import BRANCHES, JOINT, MISTAKES, SAVED, behind, branches, mistakes, saved
from littoral.studies.pooled import Pooled
from littoral.studies.stored import ANSWER, StoredRun

Opinion = tuple[str, int, float]
"""Who, the class, and the probability of it."""


def confident_mistakes(arms: Mapping[str, Pooled], judged: str, names: Mapping[int, str]) -> dict[str, Any]:
    """`total` of `images`, and those `shown`: row, name, label, the judged arm's answer and each branch's opinion,
    how many `runs` were tested on the image and in how many it was `wrong`."""
    arm = arms[judged]
    rows = mistakes(arm)
    who = {judged: arm} | _opinions(arms, judged)
    shown = []
    for row in [row for row in rows.tolist() if row in names][:MISTAKES]:
        place = int(arm.places(np.array([row]))[0])
        label = int(arm.labels[place])
        shown.append(
            {
                "row": row,
                "name": names[row],
                "label": label,
                "opinions": [opinion for name, those in who.items() if (opinion := _opinion(name, those, row))],
                "runs": int(arm.runs[place]),
                "wrong": int(arm.runs[place] - arm.told[place, label]),
            }
        )
    return {"total": len(rows), "images": len(arm.rows), "shown": shown}


def branch_rescues(arms: Mapping[str, Pooled], judged: str, names: Mapping[int, str]) -> dict[str, Any] | None:
    """Where one branch is right and the other wrong: `both` right, `neither`, and the two `ways`; None without two.

    Of each way: who is `right` and who `wrong`, on how many images (`total`), how many of them the judged arm tells
    right, and the images `shown`.
    """
    two = branches(arms, judged)
    if not two:
        return None
    one, other = two.values()
    rows = np.intersect1d(one.rows, other.rows)
    ours, theirs = one.right[one.places(rows)], other.right[other.places(rows)]
    return {
        "alone": all(name in arms for name in BRANCHES),
        "both": int((ours & theirs).sum()),
        "neither": int((~ours & ~theirs).sum()),
        "ways": [_way(arms, judged, two, right, names) for right in two],
    }


def cells(arm: Pooled, names: Mapping[int, str]) -> dict[str, dict[str, Any]]:
    """By "label,told": how many `images` are behind the cell, and of those kept (row, runs told so, runs, probability).

    The count of a cell is of runs and images: the same image may be in it with every seed.
    """
    found = {}
    for label, told in np.argwhere(arm.confusion()).tolist():
        rows = behind(arm, label, told)
        kept = np.array([row for row in rows.tolist() if row in names], np.int64)
        places = arm.places(kept)
        found[f"{label},{told}"] = {
            "images": len(rows),
            "kept": list(
                zip(
                    kept.tolist(),
                    arm.told[places, told].tolist(),
                    arm.runs[places].tolist(),
                    arm.probabilities[places, told].tolist(),
                    strict=True,
                )
            ),
        }
    return found


def looked_at(runs: Mapping[str, Sequence[StoredRun]], arms: Mapping[str, Pooled]) -> dict[str, Any] | None:
    """Where models look: `seed`, and of each of the `images` its row, label and `maps`; None where it was not asked.

    A map: `who`, the lost evidence as `grid` (rows × columns, bits), and the probability `p` that this run gives to the
    label.
    """
    asked = {name: next((run for run in those if run.looks is not None), None) for name, those in runs.items()}
    first = next((run for run in asked.values() if run is not None), None)
    if first is None or first.looks is None:
        return None
    images = []
    for number, row in enumerate(first.looks.index.tolist()):
        label = int(first.labels[np.searchsorted(first.index, row)])
        maps = []
        for name, run in asked.items():
            if run is None or run.looks is None or not np.array_equal(run.looks.index, first.looks.index):
                continue
            place = np.searchsorted(run.index, row)
            for answer, grids in run.looks.maps.items():
                if answer == JOINT:  # the answer is next to it
                    continue
                given = run.probabilities if answer == ANSWER else run.opinions[answer]
                maps.append({"who": _called(name, answer), "grid": grids[number], "p": float(given[place, label])})
        images.append({"row": row, "label": label, "maps": maps})
    return {"seed": first.seed, "images": images}


def _way(
    arms: Mapping[str, Pooled], judged: str, two: Mapping[str, Pooled], right: str, names: Mapping[int, str]
) -> dict[str, Any]:
    wrong = next(name for name in two if name != right)
    rows, arm = saved(two[right], two[wrong]), arms[judged]
    tested = np.intersect1d(rows, arm.rows)
    those = [row for row in rows.tolist() if row in names][:SAVED]
    who = {name: two[name] for name in (right, wrong)} | ({} if judged in two else {judged: arm})
    return {
        "right": right,
        "wrong": wrong,
        "total": len(rows),
        "judged_right": int(arm.right[arm.places(tested)].sum()),
        "shown": [
            {
                "row": row,
                "name": names[row],
                "label": int(two[right].labels[two[right].places(np.array([row]))[0]]),
                "opinions": [opinion for name, it in who.items() if (opinion := _opinion(name, it, row))],
            }
            for row in those
        ],
    }


def _opinions(arms: Mapping[str, Pooled], judged: str) -> dict[str, Pooled]:
    """The judged arm's own branches by their heads, else its branches trained alone."""
    arm = arms[judged]
    heads = {
        f"{name} head": Pooled(arm.rows, arm.labels, arm.told, it, {})
        for name, it in arm.heads.items()
        if name != JOINT
    }
    return heads or {f"{name} alone": it for name, it in branches(arms, judged).items() if name != judged}


def _opinion(who: str, arm: Pooled, row: int) -> Opinion | None:
    place = int(np.searchsorted(arm.rows, row))
    if place == len(arm.rows) or arm.rows[place] != row:
        return None
    told = int(arm.answer[place])
    return who, told, float(arm.probabilities[place, told])


def _called(arm: str, answer: str) -> str:
    return arm if answer == ANSWER else f"{arm}: {answer} head"
