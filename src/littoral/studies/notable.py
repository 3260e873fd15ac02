"""Which test images are worth a look: confident mistakes, those behind a confusion, those one branch alone tells right.

All are rows of the data; keeping their pixels is `pictures.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import numpy as np
from jaxtyping import Int64

from littoral.studies.pooled import Pooled

MISTAKES, SAVED, BEHIND_A_CELL = 24, 12, 12
"""Most pictures of mistakes, of each way in which one branch saves the other, and behind one cell of a confusion."""

BRANCHES = ("shallow", "deep")
"""The arms, else the heads, that are asked where one is right and the other wrong."""

JUDGED = "fused"
"""The arm that is set against each other one; where it was not asked for, the first."""

JOINT = "fused"
"""The head over all branches, among the heads of an arm (`nn/model.py` calls it so)."""


def judged_among(names: Sequence[str]) -> str:
    """The arm, of these in the order in which they were asked for, that is set against the others."""
    return JUDGED if JUDGED in names else names[0]


def mistakes(arm: Pooled) -> Int64[np.ndarray, " n"]:
    """Images that the arm, averaged over seeds, calls another class than theirs, the surest of it first."""
    wrong = np.flatnonzero(~arm.right)
    return arm.rows[wrong[np.argsort(-arm.probabilities[wrong].max(1), kind="stable")]]


def behind(arm: Pooled, label: int, told: int) -> Int64[np.ndarray, " n"]:
    """Images of class `label` that a run or more called `told`: those of most runs first, then the surest."""
    found = np.flatnonzero((arm.labels == label) & (arm.told[:, told] > 0))
    return arm.rows[found[np.lexsort((-arm.probabilities[found, told], -arm.told[found, told]))]]


def saved(one: Pooled, other: Pooled) -> Int64[np.ndarray, " n"]:
    """Images that `one` tells right and `other` does not, averaged over seeds; those they differ on most first."""
    rows = np.intersect1d(one.rows, other.rows)
    ours, theirs = one.places(rows), other.places(rows)
    labels = one.labels[ours]
    found = np.flatnonzero(one.right[ours] & ~other.right[theirs])
    lead = one.probabilities[ours, labels] - other.probabilities[theirs, labels]
    return rows[found[np.argsort(-lead[found], kind="stable")]]


def branches(arms: Mapping[str, Pooled], judged: str) -> dict[str, Pooled]:
    """The shallow and the deep branch: the arms of these names, else the judged arm's heads; empty without both."""
    if all(name in arms for name in BRANCHES):
        return {name: arms[name] for name in BRANCHES}
    whole = arms[judged]
    if not all(name in whole.heads for name in BRANCHES):
        return {}
    return {name: Pooled(whole.rows, whole.labels, whole.told, whole.heads[name], {}) for name in BRANCHES}


def worth_keeping(arms: Mapping[str, Pooled], judged: str, first: Sequence[int], most: int) -> Int64[np.ndarray, " n"]:
    """At most `most` rows, ascending: `first`, then mistakes, what branches save, and what is behind each confusion.

    Of the confusions each gets its first image before any gets its second; what was told right comes last.
    """
    lists = [list(first), mistakes(arms[judged])[:MISTAKES].tolist()]
    if two := list(branches(arms, judged).values()):
        lists += [saved(two[0], two[1])[:SAVED].tolist(), saved(two[1], two[0])[:SAVED].tolist()]
    wrong: list[list[int]] = []
    right: list[list[int]] = []
    for arm in arms.values():
        cells = arm.confusion()
        order = np.argsort(-cells, axis=None, kind="stable")[: np.count_nonzero(cells)].tolist()
        for label, told in (divmod(cell, len(cells)) for cell in order):
            (right if label == told else wrong).append(behind(arm, label, told)[:BEHIND_A_CELL].tolist())
    lists += [[row for turn in zip_longest(*cells) for row in turn if row is not None] for cells in (wrong, right)]
    every = dict.fromkeys(row for part in lists for row in part)
    return np.array(sorted(list(every)[:most]), np.int64)
