"""Parts of a comparison's page that have numbers alone: a figure, what it says, and the table behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from littoral.evaluation.paired import p_in_words
from littoral.report.figures import CLASSES, accuracy_against, forest, key, missed_bars, reliability_curve
from littoral.report.markup import folded, paragraph, section, sentence, table, text
from littoral.report.record import record_part
from littoral.studies.runs import intervals_in_words
from littoral.words import count, interval, listed, percent, points, points_interval

Summary = Mapping[str, Any]

METHODS = {
    "seeds and images": "intervals speak of new seeds and new test images",
    "images": "with one seed, intervals speak of new test images and of these very models",
    "splits": "each seed has a split of its own; intervals speak of new splits",
}
"""What an interval tells, by the method of its pair."""


def arms_part(summary: Summary) -> str:
    """The table of arms."""
    arms = summary["arms"]
    over = intervals_in_words(max(len(arm["runs"]) for arm in arms), summary["one_test_set"])
    told = f"Accuracy on test images, the mean over seeds; intervals are {over}."
    if len({arm["ci95_over"] for arm in arms}) > 1:
        told += " Those of arms with fewer than three seeds so far are over test images."
    heads, rows = arms_table(summary)
    return section("arms", "Arms", paragraph(told) + table("Arms", heads, rows))


def arms_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the table of arms."""
    calibrated = ["ECE %"] if summary["of_runs"] else []
    heads = ["arm", "accuracy %", "95 % interval", "each seed", "balanced %", "F1 %", *calibrated, "parameters", "MACs"]
    heads += ["ms, one", "ms, batch", "train s"]
    rows = [
        [
            arm["name"],
            percent(arm["mean"]),
            interval(arm["ci95"]),
            ", ".join(percent(run["accuracy"]) for run in arm["runs"]),
            percent(arm["mean_balanced_accuracy"]),
            percent(arm["mean_macro_f1"]),
            *([percent(arm["ece"])] if summary["of_runs"] else []),
            f"{arm['params']:,}",
            f"{arm['macs']:,}",
            f"{1000 * arm['latency']['single']:.3g}",
            f"{1000 * arm['latency']['batched']:.3g}",
            f"{sum(run['seconds'] for run in arm['runs']) / len(arm['runs']):.1f}",
        ]
        for arm in summary["arms"]
    ]
    return heads, rows


def differences_part(summary: Summary) -> str:
    """What may be said of each pair, its figure and its table."""
    if not summary["pairs"]:
        return section("differences", "Differences", paragraph("There are no two arms to compare."))
    verdicts = "".join(
        f"<li>{text(pair['a'])} and {text(pair['b'])}: {text(pair['verdict'])}</li>\n" for pair in summary["pairs"]
    )
    method = _methods(summary["pairs"])
    heads, rows = differences_table(summary)
    return section(
        "differences",
        "Differences",
        f"<ul>\n{verdicts}</ul>\n"
        + paragraph(f"{method} Better and worse are said only where p is below 0.05 after Holm's correction.", True)
        + "".join(paragraph(line, soft=True) for line in summary["power"])
        + forest([(f"{pair['a']} − {pair['b']}", pair) for pair in summary["pairs"]], summary["judged"])
        + folded("The figure as a table", table("Differences", heads, rows)),
    )


def differences_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the table of differences, in percentage points."""
    heads = ["difference", "points", "95 % interval", "p", "p (Holm)", "seeds", "test images", "they disagree on"]
    rows = [
        [
            f"{pair['a']} − {pair['b']}",
            points(pair["difference"]),
            points_interval(pair["ci95"]),
            p_in_words(pair["p"]),
            p_in_words(pair["p_holm"]),
            f"{pair['runs']}",
            f"{pair['images']:,}",
            "–" if pair["discordant"] is None else f"{percent(pair['discordant'])} %",
        ]
        for pair in summary["pairs"]
    ]
    return heads, rows


def cost_part(summary: Summary) -> str:
    """Accuracy against what an arm costs on paper and by the clock."""
    arms = summary["arms"]
    single = [1000 * arm["latency"]["single"] for arm in arms]
    heads, rows = cost_table(summary)
    return section(
        "cost",
        "Accuracy against cost",
        paragraph("Multiply-accumulates of one forward pass on one image, and the time that one image takes by itself.")
        + '<div class="side">\n'
        + accuracy_against(arms, [arm["macs"] for arm in arms], "multiply-accumulates", "an image")
        + accuracy_against(arms, single, "latency", "ms, one image at a time")
        + "</div>\n"
        + paragraph("The clock is this machine's, a median of a few calls: read it beside the other arms only.", True)
        + folded("The figures as a table", table("Accuracy and cost", heads, rows)),
    )


def cost_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of accuracy and cost, the cheapest arm first."""
    heads = ["arm", "accuracy %", "95 % interval", "MACs", "ms, one at a time", "ms, in a batch"]
    rows = [
        [
            arm["name"],
            percent(arm["mean"]),
            interval(arm["ci95"]),
            f"{arm['macs']:,}",
            f"{1000 * arm['latency']['single']:.3g}",
            f"{1000 * arm['latency']['batched']:.3g} ({arm['latency']['batch']})",
        ]
        for arm in sorted(summary["arms"], key=lambda arm: arm["macs"])
    ]
    return heads, rows


def classes_part(summary: Summary) -> str:
    """What each class loses, in bars."""
    names, judged = [arm["name"] for arm in summary["arms"]], summary["judged"]
    tested = [it for it in summary["class_figures"] if it["recall"][judged] is not None]
    told = f"Bars and intervals (Wilson's, over the test images of one seed) are of {judged}; marks are of all arms."
    if len(tested) > CLASSES:
        told += f" The figure has the {CLASSES} classes that are missed most, the table all {len(tested)}."
    heads, rows = classes_table(summary)
    return section(
        "classes",
        "Each class",
        paragraph(told)
        + key(names)
        + missed_bars(tested, judged, names)
        + folded("The figure as a table of recalls", table("Recall of each class", heads, rows)),
    )


def classes_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the recall of each class by each arm, in per cent, with Wilson's interval."""
    names = [arm["name"] for arm in summary["arms"]]
    rows = [
        [it["name"], f"{it['support']:,}", *[_recall(it["recall"][name]) for name in names]]
        for it in summary["class_figures"]
    ]
    return ["class", "test images", *names], rows


def calibration_part(summary: Summary) -> str:
    """Whether arms are as sure as they should be."""
    eces = ", ".join(f"{arm['name']} {percent(arm['ece'])}" for arm in summary["arms"])
    bins = summary["calibration"]
    least = min([0.9, *[value for points in bins.values() for _, *both in points for value in both]])
    least = int(10 * least) / 10
    curves = "".join(reliability_curve(number, name, bins[name], least) for number, name in enumerate(bins))
    numbers = sorted({len(those) for those in bins.values()})
    cut = f"{' or '.join(map(str, numbers))} bin{'' if numbers == [1] else 's'}"
    heads, rows = calibration_table(summary)
    return section(
        "calibration",
        "Calibration",
        paragraph(
            f"How often an arm is right (up) where it is so sure (across), in per cent, over {cut} of equally many "
            "answers; above the line it is right more often than it is sure, below it is too sure."
        )
        + f'<div class="small-ones">\n{curves}</div>\n'
        + paragraph(sentence(f"expected calibration error in points, the mean over seeds: {eces}"))
        + folded("The figures as a table", table("Calibration", heads, rows)),
    )


def calibration_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: the bins of each arm."""
    rows = [
        [name, str(number), f"{images:,}", percent(confidence), percent(accuracy)]
        for name, bins in summary["calibration"].items()
        for number, (images, confidence, accuracy) in enumerate(bins, 1)
    ]
    return ["arm", "bin", "answers", "confidence %", "accuracy %"], rows


def made_part(summary: Summary) -> str:
    """How the comparison was made."""
    runs = count(sum(len(arm["runs"]) for arm in summary["arms"]), "run")
    return record_part(summary["record"], f"the answers of the {runs} to each test image", summary["runs_here"])


def _methods(pairs: Sequence[Mapping[str, Any]]) -> str:
    """What intervals tell; where that differs, as it may before all runs are there, of which pairs."""
    found = dict.fromkeys(pair["method"] for pair in pairs)
    if len(found) == 1:
        return sentence(METHODS[pairs[0]["method"]])
    of = {method: [f"{pair['a']} − {pair['b']}" for pair in pairs if pair["method"] == method] for method in found}
    return " ".join(sentence(f"of {listed(names)}: {METHODS[method]}") for method, names in of.items())


def _recall(figures: Sequence[float] | None) -> str:
    if figures is None:
        return "–"
    return f"{100 * figures[0]:.1f} ({100 * figures[1]:.1f} to {100 * figures[2]:.1f})"
