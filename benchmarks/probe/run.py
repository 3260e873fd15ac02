"""What the constants of `training/groups.py` were chosen by: accuracy on held-out images of training parts.

    python benchmarks/probe/run.py FEATURES.npz [--budgets 1,2,5,10,20,50] [--seeds 10] [--classes 3,5]

FEATURES.npz holds `y` (labels, whole numbers), `g` (a number for each person; all different where there are none) and
an array of features for each group, named f_NAME. Test images are not among them. For each seed, six people in ten are
for training, with as many labels a class as the budget says, and up to 800 images of the others are told. Each
contestant becomes a row of rows.csv, by its mean over seeds; `ahead` is how far it is ahead of the best single group,
as leave-one-out chooses it, in points, with half a 95 % interval (Student's t over seeds). Rows that are there are not
made again. About two minutes on one core for a file and all budgets.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from scipy.special import log_softmax
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1]))

from records import append_row, machine, read_rows

from littoral.training import groups, scales, stacking
from littoral.training.groups import fit_groups
from littoral.training.ridge import coefficients, spectrum, tuned
from littoral.training.targets import Targets, losses

ROWS = Path(__file__).with_name("rows.csv")
KEY = ("data", "classes", "budget", "seeds")
MOST_TOLD = 800

Opinion = tuple[np.ndarray, np.ndarray]
"""Log-probabilities of the training images, left out, and of the images to be told."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", type=Path)
    parser.add_argument("--budgets", default="1,2,5,10,20")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--classes", help="only these")
    given = parser.parse_args()
    torch.set_num_threads(1)
    held = np.load(given.features)
    labels, people = held["y"], held["g"]
    chosen = np.unique(labels) if given.classes is None else np.array([int(one) for one in given.classes.split(",")])
    rows = np.flatnonzero(np.isin(labels, chosen))
    labels, people = np.searchsorted(chosen, labels[rows]), people[rows]
    features = {name[2:]: held[name][rows].astype(float) for name in held.files if name.startswith("f_")}
    for budget in [int(one) for one in given.budgets.split(",")]:
        about = (given.features.stem, "-".join(map(str, chosen)), budget, given.seeds)
        key = {name: str(value) for name, value in zip(KEY, about, strict=True)}
        if any(row | key == row for row in read_rows(ROWS)):
            continue
        accuracy, loss = defaultdict(list), defaultdict(list)
        for seed in range(given.seeds):
            known, told = parts(labels, people, budget, seed)
            with threadpool_limits(1):
                opinions = contestants(
                    {k: x[known] for k, x in features.items()}, labels[known], {k: x[told] for k, x in features.items()}
                )
            for name, logs in opinions.items():
                accuracy[name].append(100 * (logs.argmax(1) == labels[told]).mean())
                loss[name].append(-logs[np.arange(len(told)), labels[told]].mean())
        for name, values in accuracy.items():
            row = {"contestant": name, "accuracy": f"{np.mean(values):.2f}", "log_loss": f"{np.mean(loss[name]):.4f}"}
            if "best single group" in accuracy:
                ahead = np.array(values) - accuracy["best single group"]
                half = student.ppf(0.975, len(ahead) - 1) * ahead.std(ddof=1) / len(ahead) ** 0.5
                row |= {"ahead": f"{ahead.mean():.2f}", "half_ci95": f"{half:.2f}"}
            else:
                row |= {"ahead": "", "half_ci95": ""}
            append_row(ROWS, key | row | machine())


def parts(labels: np.ndarray, people: np.ndarray, budget: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the images with a label, `budget` of each class, and of images of other people."""
    rng = np.random.default_rng(200 + seed)
    order = rng.permutation(np.unique(people))
    ours = np.isin(people, order[: int(len(order) * 0.6)])
    drawn = [rng.permutation(np.flatnonzero(ours & (labels == one)))[:budget] for one in range(labels.max() + 1)]
    return np.concatenate(drawn), rng.permutation(np.flatnonzero(~ours))[:MOST_TOLD]


def contestants(
    known: dict[str, np.ndarray], labels: np.ndarray, unknown: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Log-probabilities for the unknown images by everyone that was thought of."""
    found: dict[str, np.ndarray] = {}
    classes = int(labels.max()) + 1
    targets = Targets(labels, classes, np.ones(len(labels)))
    fit = fit_groups(known, labels)
    found["as it is"] = log_softmax(np.hstack(list(unknown.values())) @ fit.weight.T + fit.bias, axis=1)
    plain = {name: 1 / np.maximum(x.std(0), 1e-9) for name, x in known.items()}
    rows, others = (np.hstack([(x[k] - known[k].mean(0)) * plain[k] for k in known]) for x in (known, unknown))
    found["logistic on plain concatenation"] = logistic(1.0, rows, labels, others)

    whole = {name: groups._standardised(x, targets) for name, x in known.items()}
    ours = {name: part.rows for name, part in whole.items() if part.varies}
    theirs = {name: (unknown[name] - whole[name].mean) / whole[name].spread for name in ours}
    alone = {name: ridge(ours[name], theirs[name], targets) for name in ours}
    size = np.array([float(x.shape[1]) for x in ours.values()])
    for spread in (0.01, 0.5, 0.7, 1.0, 2.0):
        found[f"joint: scale spread {spread}"] = (at := joint(ours, theirs, targets, np.ones(len(size)), spread))[1]
        if spread == scales.SCALE_SPREAD:
            both = at
    for power in (0.0, 0.5):
        believed = np.sqrt(size ** (power - 1))
        found[f"joint: believed size ** {power}"] = joint(ours, theirs, targets, believed, scales.SCALE_SPREAD)[1]
    if not targets.judged.any():
        return found
    names = sorted(alone, key=lambda name: losses(alone[name][0], targets).mean())
    found["best single group"] = alone[names[0]][1]
    left, right = (np.stack([alone[name][side] for name in ours]) for side in (0, 1))
    for belief in (0.01, 3.0, 10.0, 30.0):
        stacking.BELIEF, before = belief, stacking.BELIEF
        votes = stacking.believed_votes(left, targets, size / size.sum())
        stacking.BELIEF = before
        stack = (np.tensordot(votes, left, 1), np.tensordot(votes, right, 1))
        found[f"stacked: belief {belief}"] = log_softmax(stack[1], axis=1)
        found[f"average: belief {belief}"] = log_softmax((both[1] + stack[1]) / 2, axis=1)
        if belief == 3.0:
            gain = losses(both[0], targets) - losses(stack[0], targets)
            for errors in (0, 1):
                pick = stack if gain.mean() > errors * gain.std() / len(gain) ** 0.5 else both
                found[f"joint or stacked by leave-one-out: {errors} standard errors"] = log_softmax(pick[1], axis=1)
    for penalty in (1.0, 10.0):
        mine, their = (np.hstack([fit.groups[k].scale * x[k] for k in ours]) for x in (ours, theirs))
        scale = np.sqrt((mine**2).sum() / len(mine) / 10)
        found[f"logistic on scaled features: C {penalty}"] = logistic(penalty, mine / scale, labels, their / scale)
    return found


def logistic(penalty: float, known: np.ndarray, labels: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    regression = LogisticRegression(C=penalty, max_iter=100).fit(known, labels)
    return np.log(np.maximum(regression.predict_proba(unknown), 1e-12))


def ridge(ours: np.ndarray, theirs: np.ndarray, targets: Targets) -> Opinion:
    decomposed = spectrum(ours)
    at = tuned(decomposed, targets)
    scores = theirs @ coefficients(ours, decomposed, targets, at.penalty) + targets.base_rates
    return log_softmax(at.left_out, axis=1), log_softmax(at.sharpness * scores, axis=1)


def joint(
    ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], targets: Targets, believed: np.ndarray, spread: float
) -> Opinion:
    """The joint regression, with scales that hold to `believed` as closely as is said."""
    rows, others = ([one * x for one, x in zip(believed, side.values(), strict=True)] for side in (ours, theirs))
    scales.SCALE_SPREAD, before = spread, scales.SCALE_SPREAD
    found = np.sqrt(scales.search_scales(rows, targets).squares)
    scales.SCALE_SPREAD = before
    mine, their = (np.hstack([one * x for one, x in zip(found, side, strict=True)]) for side in (rows, others))
    return ridge(mine, their, targets)


if __name__ == "__main__":
    main()
