"""Does fusing help where labels are few, and which fusion? All arms of preset few on four sets, at three budgets.

    python benchmarks/fusion/run.py            # all that is missing: some 15 hours on one thread
    python benchmarks/fusion/run.py fusions    # the other fusions, with fixed votes, on two sets: three hours more
    python benchmarks/fusion/run.py page       # writes README.md from the rows

A run draws its labels from the training part by its seed and is tested once on the whole test part, as in
benchmarks/labels. A row holds which test images it got wrong, so that arms are compared image by image. Finished rows
are skipped; runs go by seeds, so that a part of the grid is a fair part.
"""

from __future__ import annotations

import base64
import itertools
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import mean, stdev

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "labels")]

import numpy as np
import torch
from jaxtyping import Bool
from records import FIXED_VOTES, WHOLE, append_row, code_hash, current_rows, machine, read_rows, write_page
from run import parts_of  # benchmarks/labels

from littoral.evaluation.paired import Difference, judged_together, outcome, paired_difference
from littoral.images.splits import label_budget
from littoral.nn.cost import model_cost
from littoral.nn.fusion.attention import AttentionConfig
from littoral.nn.fusion.bilinear import BilinearConfig
from littoral.nn.inference import predict_probabilities
from littoral.nn.model import FusionNetConfig
from littoral.specs import ImageShape
from littoral.training.arms import Arm, with_fusion
from littoral.training.loop import Silent
from littoral.training.presets import Preset, get_arm, get_preset
from littoral.training.run import fit_arm

torch.set_num_threads(1)
PRESET = "few"
CODE = code_hash(PRESET)  # before the first run: what is edited meanwhile is not what ran
ROWS, FUSION_ROWS = HERE / "rows.csv", HERE / "fusions.csv"
SETS = ("mnist", "fashion-mnist", "cifar10", "signs")
BUDGETS = (10, 30, 100)
SEEDS, LAST_SEEN = range(10), 4
"""The second: the last seed whose test results were known, with fixed votes, when votes that are learned were taken."""
ARMS = ("fused", "shallow", "deep", "matched")
FUSIONS = ("fused-sum", "fused-gated", "fused-attention", "fused-bilinear", "fused-late")
"""Their votes are fixed, and those of `fused` beside them too: what differs is the fusion alone."""
FUSION_SETS = ("mnist", "fashion-mnist")
RATES = {"shallow": 1.6e-2, "deep": 1.6e-2, "matched": 1.6e-2}
"""Learning rates by `choose.py`, frozen before the first run here; the others have the preset's, 8e-3."""

Rows = Sequence[dict[str, str]]


def main(names: Sequence[str], arms: Sequence[str], fixed_votes: bool = False) -> None:
    """Train what is missing; one row a run."""
    preset = _with_pairs(get_preset(PRESET))
    if fixed_votes:
        preset = replace(preset, recipe=replace(preset.recipe, votes="fixed"))
    for seed, name in itertools.product(SEEDS, names):
        cells = [
            cell
            for budget, arm in itertools.product(BUDGETS, arms)
            if not _finished(cell := {"data": name, "arm": arm, "budget": str(budget), "seed": str(seed)}, fixed_votes)
        ]
        if not cells:
            continue
        with parts_of(name) as (training, test):
            for cell in cells:
                drawn = training.subset(label_budget(training.labels, int(cell["budget"]), seed))
                arm = cell["arm"]
                recipe = replace(preset.recipe, learning_rate=RATES.get(arm, preset.recipe.learning_rate))
                trained = fit_arm(preset, arm, recipe, drawn, seed, torch.device("cpu"), Silent())
                answers = predict_probabilities(trained.model, test.images, trained.image).argmax(1)
                right, cost = answers == test.labels, model_cost(trained.model)
                row = {"code": CODE, "date": date.today().isoformat()} | cell
                row |= {
                    "accuracy": f"{right.mean():.5f}",
                    "n": str(len(right)),
                    "train_seconds": f"{trained.record['train_seconds']:.1f}",
                    "params": str(cost.params),
                    "macs": str(cost.macs),
                }
                print(row, flush=True)
                append_row(FUSION_ROWS if fixed_votes else ROWS, row | machine() | {"right": _packed(right)})


def page() -> None:
    """README.md here from page.md and the rows."""
    rows = [row for arm in ARMS for row in _rows(arm)]
    errors = ["| set | labels a class | seeds | " + " | ".join(ARMS) + " |", "|---" * (3 + len(ARMS)) + "|"]
    for name, budget in itertools.product(SETS, BUDGETS):
        runs = {arm: _runs(rows, name, budget, arm) for arm in ARMS}
        seeds = set.intersection(*(set(those) for those in runs.values()))
        if seeds:
            cells = [_error([those[seed] for seed in seeds]) for those in runs.values()]
            errors.append(f"| {name} | {budget} | {len(seeds)} | {' | '.join(cells)} |")

    judged = _judged(rows)
    cells_with = sorted({cell[:2] for cell in judged})
    worse, wins = _counted(judged)
    unseen = _judged([row for row in rows if int(row["seed"]) > LAST_SEEN])
    worse_unseen, wins_unseen = _counted(unseen)
    differences = [
        "| set | labels a class | " + " | ".join(f"fused − {arm}" for arm in ARMS[1:]) + " |",
        "|---" * 5 + "|",
    ]
    for own in cells_with:
        told = [_told(judged.get((*own, arm))) for arm in ARMS[1:]]
        differences.append(f"| {own[0]} | {own[1]} | {' | '.join(told)} |")

    others = [
        "| set | labels a class | seeds | " + " | ".join(f"{arm[6:]} − concat" for arm in FUSIONS) + " |",
        "|---" * 8 + "|",
    ]
    fixed = _rows("fused", fixed_votes=True)
    swapped = {
        (name, budget, arm): found
        for name, budget, arm in itertools.product(FUSION_SETS, BUDGETS, FUSIONS)
        if (found := _pair(fixed, name, budget, arm)) is not None
    }
    swapped = dict(zip(swapped, judged_together(list(swapped.values())), strict=True))
    for name, budget in sorted({cell[:2] for cell in swapped}):
        told = [_told(swapped.get((name, budget, arm)), turned=True) for arm in FUSIONS]
        seeds = {len(_runs(fixed, name, budget, arm)) for arm in FUSIONS}
        others.append(f"| {name} | {budget} | {'–'.join(map(str, sorted(seeds)))} | {' | '.join(told)} |")
    front = ["| labels a class | 10 | 30 | 100 |", "|---" * 4 + "|"]
    for name in SETS:
        front.append(f"| {name} | {' | '.join(_beside_best(judged, name, budget) for budget in BUDGETS)} |")
    values = {
        "code": CODE,
        "errors": "\n".join(errors),
        "differences": "\n".join(differences),
        "others": "\n".join(others) if len(others) > 2 else "Not run yet.",
        "summary": f"{len(cells_with)} cells: fused is significantly worse than an arm in {worse} pairs of "
        f"{len(judged)}, and significantly better than all three arms in {wins} cells",
        "unseen": f"worse in {worse_unseen} of {len(unseen)} pairs, and better than all three in {wins_unseen} cells",
        "rates": ", ".join(f"{rate:g} for {arm}" for arm, rate in RATES.items()) + ", 0.008 for all others",
        "choice": "\n".join(_choice()),
        "shares": "\n".join(_shares()),
        "votes": "\n".join(_votes()),
        "changed": "\n".join(_changed(rows, fixed)),
        "seeds": "–".join(map(str, sorted({len(_runs(rows, *own, "fused")) for own in cells_with}))),
        "hours": f"{sum(float(row['train_seconds']) for row in rows) / 3600:.1f}",
    }
    write_page(HERE, values, rows, front="fusion", block=front)


Judged = Mapping[tuple[str, int, str], Difference]


def _judged(rows: Rows) -> Judged:
    """Fused less each other arm, by set, budget and that arm; Holm over all of them."""
    pairs = {
        (name, budget, other): found
        for name, budget, other in itertools.product(SETS, BUDGETS, ARMS[1:])
        if (found := _pair(rows, name, budget, other)) is not None
    }
    return dict(zip(pairs, judged_together(list(pairs.values())), strict=True))


def _counted(judged: Judged) -> tuple[int, int]:
    """Pairs in which fused is worse, and cells in which it is better than all others."""
    worse = sum(outcome(difference) == "worse" for difference in judged.values())
    cells = {cell[:2] for cell in judged}
    wins = [all(outcome(one) == "better" for cell, one in judged.items() if cell[:2] == own) for own in cells]
    return worse, sum(wins)


def _with_pairs(preset: Preset) -> Preset:
    """Fusions that join two branches and no more join the two towers here: the gradients are not fused with them."""

    def towers(image_shape: ImageShape, classes: int) -> FusionNetConfig:
        return replace(get_arm(preset, "fused", image_shape, classes), unfused=("gradients",))

    pairs = (AttentionConfig(), BilinearConfig())
    others = {f"fused-{fusion.type}": Arm(with_fusion(fusion, towers)) for fusion in pairs}
    return replace(preset, arms={**preset.arms, **others})


def _beside_best(judged: Judged, name: str, budget: int) -> str:
    """Fused less the best of the others, in points, and which that is; bold where it is better than all three."""
    own = {arm: judged[name, budget, arm] for arm in ARMS[1:] if (name, budget, arm) in judged}
    if not own:
        return ""
    best = min(own, key=lambda arm: own[arm].difference)
    text = f"{100 * own[best].difference:+.2f} ({best})"
    return f"**{text}**" if all(outcome(difference) == "better" for difference in own.values()) else text


def _choice() -> list[str]:
    """The table of `choose.py`: error by arm and rate."""
    found = read_rows(HERE / "choice.csv")
    table = ["| set | arm | 4e-3 | 8e-3 | 1.6e-2 |", "|---" * 5 + "|"]
    for name, arm in dict.fromkeys((row["data"], row["arm"]) for row in found):
        errors = {row["rate"]: row["error"] for row in found if (row["data"], row["arm"]) == (name, arm)}
        table.append(
            f"| {name} | {arm} | " + " | ".join(errors.get(rate, "") for rate in ("0.004", "0.008", "0.016")) + " |"
        )
    return table


def _shares() -> list[str]:
    """The table of `choose.py shares`: error by the joint head's share of the vote, mean over seeds."""
    found = read_rows(HERE / "shares.csv")
    shares = [name for name in found[0] if name.startswith("share ")]
    table = ["| set | labels a class | seeds | " + " | ".join(name[6:] for name in shares) + " |"]
    table.append("|---" * (3 + len(shares)) + "|")
    for name, budget in dict.fromkeys((row["data"], row["budget"]) for row in found):
        own = [row for row in found if (row["data"], row["budget"]) == (name, budget)]
        errors = [f"{mean(float(row[share]) for row in own):.2f}" for share in shares]
        table.append(f"| {name} | {budget} | {len(own)} | {' | '.join(errors)} |")
    return table


def _votes() -> list[str]:
    """The table of `choose.py votes`: error with votes fixed and learned, mean over seeds."""
    learned = read_rows(HERE / "votes.csv")
    fixed = {(row["data"], row["budget"], row["seed"]): row["share 0.5"] for row in read_rows(HERE / "shares.csv")}
    shares = sorted({row["share"] for row in learned})
    heads = [name for name in learned[0] if name.startswith("vote of ")]
    titles = [*(f"learned, {float(share):.0%} of steps" for share in shares), *heads]
    table = [f"| set | labels a class | seeds | fixed | {' | '.join(titles)} |", "|---" * (4 + len(titles)) + "|"]
    for name, budget in dict.fromkeys((row["data"], row["budget"]) for row in learned):
        own = [row for row in learned if (row["data"], row["budget"]) == (name, budget)]
        seeds = sorted({row["seed"] for row in own})
        errors = [mean(float(fixed[name, budget, seed]) for seed in seeds)]
        errors += [mean(float(row["error"]) for row in own if row["share"] == share) for share in shares]
        votes = [mean(float(row[head]) for row in own if row["share"] == shares[-1]) for head in heads]
        cells = [f"{value:.2f}" for value in (*errors, *votes)]
        table.append(f"| {name} | {budget} | {len(seeds)} | {' | '.join(cells)} |")
    return table


def _changed(learned: Rows, fixed: Rows) -> list[str]:
    """Error with fixed and with learned votes, on the seeds that have both."""
    table = ["| set | " + " | ".join(f"{budget} labels a class" for budget in BUDGETS) + " |", "|---" * 4 + "|"]
    for name in SETS:
        cells = []
        for budget in BUDGETS:
            before, after = (_runs(rows, name, budget, "fused") for rows in (fixed, learned))
            seeds = sorted(before.keys() & after.keys())
            errors = [mean(100 - 100 * float(runs[seed].mean()) for seed in seeds) for runs in (before, after) if seeds]
            cells.append(" to ".join(f"{error:.2f}" for error in errors))
        table.append(f"| {name} | {' | '.join(cells)} |")
    return table


def _rows(arm: str, fixed_votes: bool = False) -> list[dict[str, str]]:
    """The rows of an arm, or those of all arms with fixed votes, by code that trains them as today's."""
    if fixed_votes:
        return current_rows(FUSION_ROWS, PRESET, part=FIXED_VOTES)
    rows = current_rows(ROWS, PRESET, part=WHOLE if arm == "fused" else arm)
    return [row for row in rows if row["arm"] == arm]


def _finished(cell: dict[str, str], fixed_votes: bool) -> bool:
    return any(row | cell == row for row in _rows(cell["arm"], fixed_votes))


def _runs(rows: Rows, name: str, budget: int, arm: str) -> dict[int, Bool[np.ndarray, " n"]]:
    """Which test images each seed's run got right."""
    cell = {"data": name, "arm": arm, "budget": str(budget)}
    return {int(row["seed"]): _unpacked(row["right"], int(row["n"])) for row in rows if row | cell == row}


def _pair(rows: Rows, name: str, budget: int, other: str) -> Difference | None:
    """Fused less the other arm, on the seeds that both have; None where there is none."""
    fused, theirs = _runs(rows, name, budget, "fused"), _runs(rows, name, budget, other)
    seeds = sorted(fused.keys() & theirs.keys())
    if not seeds:
        return None
    a, b = (np.stack([runs[seed] for seed in seeds]) for runs in (fused, theirs))
    return paired_difference("fused", other, a, b)


def _told(difference: Difference | None, turned: bool = False) -> str:
    """Points with their interval, bold where significant after Holm; `turned`: the other arm less fused."""
    if difference is None:
        return ""
    sign = -1 if turned else 1
    low, high = sorted(sign * 100 * end for end in difference.ci95)
    text = f"{sign * 100 * difference.difference:+.2f} ({low:+.2f} to {high:+.2f})"
    return text if outcome(difference) == "open" else f"**{text}**"


def _error(runs: Sequence[Bool[np.ndarray, " n"]]) -> str:
    errors = [100 - 100 * float(right.mean()) for right in runs]
    return f"{mean(errors):.2f}" + (f" (s {stdev(errors):.2f})" if len(errors) > 1 else "")


def _packed(right: Bool[np.ndarray, " n"]) -> str:
    return base64.b85encode(zlib.compress(np.packbits(right).tobytes(), 9)).decode()


def _unpacked(text: str, n: int) -> Bool[np.ndarray, " n"]:
    bits = np.frombuffer(zlib.decompress(base64.b85decode(text)), np.uint8)
    return np.unpackbits(bits, count=n).astype(bool)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["page"]:
            page()
        case ["fusions"]:
            main(FUSION_SETS, ("fused", *FUSIONS), fixed_votes=True)
        case []:
            main(SETS, ARMS)
        case _:
            sys.exit(__doc__)
