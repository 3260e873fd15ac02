"""Do stages of a pretrained network and fixed features, fused, lose to a single group of them anywhere, or to the top?

    python benchmarks/transfer/run.py                 # all that is missing: half an hour on one thread
    python benchmarks/transfer/run.py signs features  # computes the features of one set and nothing else
    python benchmarks/transfer/run.py page            # writes README.md from the rows

Sign-language digits, split by people, and CIFAR-10 as JPEG. Each seed draws its labels from the training part; all are
tested on the same test part. Features of the test part and of all training images that some seed draws are computed
once, and kept in the cache. A cell of data and budget is a row a seed, and a row for each of the other contestants;
cells that are there are skipped.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np
import torch
from records import SOURCE, append_row, machine, read_rows, shared_folder, write_page
from threadpoolctl import threadpool_limits

from littoral.evaluation.paired import paired_difference
from littoral.images.paths import read_training_paths
from littoral.images.splits import TEST_SHARE, grouped_split, label_budget
from littoral.images.store import ImageStore
from littoral.training.beforehand import features_beforehand
from littoral.training.groups import GroupsFit, fit_groups
from littoral.training.presets import get_arm, get_preset

torch.set_num_threads(1)
PRESET = "transfer"
FITS = ("groups", "ridge", "scales", "stacking", "targets")
"""The files of `training/` that fit; with all of `nn/` they decide what comes out."""
ROWS, PAIRS, EXTRACTION = HERE / "rows.csv", HERE / "pairs.csv", HERE / "features.csv"
BUDGETS = (1, 5, 10, 20, 50, 100)
SEEDS = range(10)
ARCHIVES = {"signs": "sign-language-digits.tar.xz", "cifar10": "cifar10-jpeg.tar.xz"}
TOP = "deep_top"
AT_ONCE = 2000
"""Images whose features are one entry of the cache, so that an interrupted run loses no more."""
ALLOWED_LOSS = 0.3
"""Points: no interval of fused less the best single group may lie below minus this."""


def parts_of(name: str) -> tuple[ImageStore, dict[tuple[int, int], np.ndarray], np.ndarray]:
    """The images that some run needs, the rows of them that each budget and seed draws, and those of the test part."""
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(shared_folder() / "data" / ARCHIVES[name]) as packed:
            packed.extractall(place, filter="data")
        files = sorted(path for path in Path(place).rglob("*") if path.suffix.lower() == ".jpg")
        names = sorted({file.parent.name for file in files})
        labels = np.array([names.index(file.parent.name) for file in files])
        if name == "signs":
            train, test = grouped_split(labels, people(files, labels), TEST_SHARE, 0)
        else:
            is_test = np.array([file.parent.parent.name == "test" for file in files])
            train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
        drawn = {
            (budget, seed): train[label_budget(labels[train], budget, seed)] for budget in BUDGETS for seed in SEEDS
        }
        rows = np.unique(np.concatenate([*drawn.values(), test]))
        images = read_training_paths([files[row] for row in rows], None, get_preset(PRESET).largest)
    store = ImageStore(images, labels[rows], tuple(names), source=name)
    return store, {key: np.searchsorted(rows, one) for key, one in drawn.items()}, np.searchsorted(rows, test)


def people(files: list[Path], labels: np.ndarray) -> np.ndarray:
    """Who is on a photograph: by the numbers of the files, a new person begins where the digit does not increase."""
    order = np.argsort([int(file.stem.split("_")[1]) for file in files])
    begins = np.diff(labels[order], prepend=labels.max() + 1) <= 0
    found = np.empty(len(files), np.int64)
    found[order] = np.cumsum(begins)
    return found


def features_of(store: ImageStore) -> dict[str, np.ndarray]:
    """Every group of features of all images; how long it took is a row, where they were not in the cache."""
    config = get_arm(get_preset(PRESET), "fused", store.spec().shape, len(store.class_names))
    parts = []
    for rows in np.split(np.arange(len(store)), range(AT_ONCE, len(store), AT_ONCE)):
        start, busy = time.perf_counter(), time.process_time()
        found = features_beforehand([config], store.images, rows, store.spec(), store.source, torch.device("cpu"))
        parts.append(found.of(config, rows))
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        if busy > len(rows) / 500:
            row = {"code": CODE, "date": date.today().isoformat(), "data": store.source, "images": str(len(rows))}
            row |= {"shape": "x".join(map(str, store.spec().shape))}
            row |= {"seconds": f"{seconds:.0f}", "cpu_seconds": f"{busy:.1f}"}
            append_row(EXTRACTION, row | machine())
            print(row, flush=True)
    sizes = [spec.size for spec in config.fused_specs().values()]
    columns = np.split(np.concatenate(parts), np.cumsum(sizes)[:-1], axis=1)
    return dict(zip(config.fused_specs(), columns, strict=True))


def main(names: list[str], only_features: bool = False) -> None:
    """Fit what is missing."""
    for name in names:
        store, drawn, test = parts_of(name)
        groups = features_of(store)
        for budget in [] if only_features else BUDGETS:
            cell = {"data": name, "budget": str(budget)}
            if any(row | cell == row for row in current(PAIRS)):
                continue
            right: dict[str, list[np.ndarray]] = {"fused": [], "best": [], "top": [], "taps": [], "shallow": []}
            for seed in SEEDS:
                row = one_seed(groups, store.labels, drawn[budget, seed], test, right)
                row = {"code": CODE, "date": date.today().isoformat()} | cell | {"seed": str(seed)} | row
                append_row(ROWS, row | machine())
                print(row, flush=True)
            for other in list(right)[1:]:
                pair = paired_difference("fused", other, np.array(right["fused"]), np.array(right[other]))
                low, high = (100 * end for end in pair.ci95)
                row = {"code": CODE, "date": date.today().isoformat()} | cell
                row |= {"other": other, "difference": f"{100 * pair.difference:.2f}", "low": f"{low:.2f}"}
                append_row(
                    PAIRS, row | {"high": f"{high:.2f}", "seeds": str(len(SEEDS)), "images": str(len(test))} | machine()
                )


def one_seed(
    groups: Mapping[str, np.ndarray],
    labels: np.ndarray,
    known: np.ndarray,
    test: np.ndarray,
    right: dict[str, list[np.ndarray]],
) -> dict[str, str]:
    """Fit all contestants; adds to `right` which test images each told right."""
    start = time.perf_counter()
    with threadpool_limits(1):
        fused = fit_groups({name: rows[known] for name, rows in groups.items()}, labels[known])
    seconds = time.perf_counter() - start
    losses = {name: part.loo_log_loss for name, part in fused.groups.items() if part.loo_log_loss is not None}
    best = min(losses, key=lambda name: losses[name]) if losses else TOP
    light = [name for name in groups if not name.startswith("deep_")]
    parts = {"fused": list(groups), "best": [best], "top": [TOP], "shallow": light}
    parts["taps"] = [name for name in groups if name not in light]
    row = {"best_group": best}
    for contestant, names in parts.items():
        fit = fused if contestant == "fused" else refit(groups, labels, known, names)
        scores = np.concatenate([groups[name][test] for name in names], axis=1) @ fit.weight.T + fit.bias
        told = fit.classes[scores.argmax(1)] == labels[test]
        right[contestant].append(told)
        row[contestant] = f"{100 * told.mean():.2f}"
    return row | {"fit_seconds": f"{seconds:.2f}"}


def refit(groups: Mapping[str, np.ndarray], labels: np.ndarray, known: np.ndarray, names: list[str]) -> GroupsFit:
    """The same fit of some of the groups."""
    with threadpool_limits(1):
        return fit_groups({name: groups[name][known] for name in names}, labels[known])


def code() -> str:
    """Twelve digits that change with the preset and with the code that decides what comes out."""
    config = get_arm(get_preset(PRESET), "fused", (3, 100, 100), 10)
    digest = hashlib.sha256(repr(config).encode())
    for file in [*sorted((SOURCE / "nn").rglob("*.py")), *(SOURCE / "training" / f"{name}.py" for name in FITS)]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def current(path: Path) -> list[dict[str, str]]:
    """The rows that this code has made."""
    return [row for row in read_rows(path) if row["code"] == CODE]


def page() -> None:
    """README.md here from page.md and the rows of the code that made the last of them."""
    rows, pairs = read_rows(ROWS), read_rows(PAIRS)
    rows, pairs = ([row for row in those if row["code"] == pairs[-1]["code"]] for those in (rows, pairs))
    names = ("fused", "best", "top", "taps", "shallow")
    accuracies = ["| images | labels a class | fused | best single group | top | taps | shallow | chosen as best |"]
    accuracies.append("|---" * 8 + "|")
    differences = ["| images | labels a class | best single group | top | taps | shallow |", "|---" * 6 + "|"]
    lost, ahead, cells = [], 0, 0
    front = [f"| images, labels a class | {' | '.join(map(str, BUDGETS))} |", "|---" * (len(BUDGETS) + 1) + "|"]
    for data, name in itertools.product(ARCHIVES, ("fused", "top")):
        means = [
            [float(row[name]) for row in rows if (row["data"], row["budget"]) == (data, str(budget))]
            for budget in BUDGETS
        ]
        if all(means):
            front.append(f"| {data}, {name} | {' | '.join(f'{np.mean(own):.1f}' for own in means)} |")
    for data, budget in itertools.product(ARCHIVES, map(str, BUDGETS)):
        own = [row for row in rows if (row["data"], row["budget"]) == (data, budget)]
        theirs = {row["other"]: row for row in pairs if (row["data"], row["budget"]) == (data, budget)}
        if not theirs:
            continue
        cells += 1
        means = [f"{np.mean([float(row[name]) for row in own]):.1f}" for name in names]
        chosen = [row["best_group"].removeprefix("deep_") for row in own]
        most = sorted(set(chosen), key=lambda group: (-chosen.count(group), group))
        words = ", ".join(f"{group} {chosen.count(group)}" for group in most) if budget != "1" else "none can be"
        accuracies.append(f"| {data} | {budget} | **{means[0]}** | {' | '.join(means[1:])} | {words} |")
        told = [
            f"{float(row['difference']):+.1f} ({row['low']} to {row['high']})"
            for row in map(theirs.get, names[1:])
            if row
        ]
        differences.append(f"| {data} | {budget} | {' | '.join(told)} |")
        if float(theirs["best"]["high"]) < -ALLOWED_LOSS:
            lost.append(f"{data} at {budget}")
        ahead += float(theirs["top"]["low"]) > 0
    of_extraction = []
    for data in ARCHIVES:
        own = [row for row in read_rows(EXTRACTION) if (row["data"], row["code"]) == (data, rows[-1]["code"])]
        images, seconds, busy = (sum(float(row[name]) for row in own) for name in ("images", "seconds", "cpu_seconds"))
        if images:
            words = f"{data}: {images:,.0f} images of {own[0]['shape']} in {seconds:,.0f} s"
            of_extraction.append(
                f"{words}, {busy:,.0f} s of them the processor's ({1000 * busy / images:.0f} ms an image)"
            )
    fits = {
        budget: np.median([float(row["fit_seconds"]) for row in rows if row["budget"] == str(budget)])
        for budget in BUDGETS
    }
    values = {
        "accuracies": "\n".join(accuracies),
        "differences": "\n".join(differences),
        "lost": ", ".join(lost) or "none",
        "ahead": f"{ahead} of {cells}",
        "features": "; ".join(of_extraction),
        "seconds": ", ".join(f"{value:.1f} s with {budget}" for budget, value in fits.items()),
        "code": rows[-1]["code"],
    }
    write_page(HERE, values, rows, front="transfer", block=front)


CODE = code()  # before the first run: what is edited meanwhile is not what ran

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["page"]:
            page()
        case []:
            main(list(ARCHIVES))
        case [name] if name in ARCHIVES:
            main([name])
        case [name, "features"] if name in ARCHIVES:
            main([name], only_features=True)
        case _:
            sys.exit(__doc__)
