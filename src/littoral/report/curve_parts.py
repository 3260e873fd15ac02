"""Parts of a learning curve's page: each a figure, what it says, and the table behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from littoral.evaluation.paired import p_in_words
from littoral.report.curve_figure import learning_curves
from littoral.report.figures import CLASSES, forest, key, missed_bars
from littoral.report.markup import folded, paragraph, section, table, text
from littoral.report.record import record_part
from littoral.report.sprite import place
from littoral.studies.runs import intervals_in_words
from littoral.words import count, interval, percent, points, points_interval

Summary = Mapping[str, Any]


def advice_part(summary: Summary) -> str:
    """What a person should know and do besides the headline."""
    if not summary["advice"]:
        return ""
    lines = "".join(f"<li>{text(line)}</li>\n" for line in summary["advice"])
    return section("advice", "What it says", f"<ul>\n{lines}</ul>\n")


def curves_part(summary: Summary) -> str:
    """Error against labels: the figure, the points, and the fitted curves."""
    content = paragraph(curves_words(summary)) + key([arm["name"] for arm in summary["arms"]])
    content += learning_curves(summary["arms"], summary["budgets"], summary["test_images"])
    content += folded("The points as a table", table("Test error by labels and arm", *points_table(summary)))
    if fits := fits_table(summary)[1]:
        content += folded("The fitted curves as a table", table("Fitted curves", fits_table(summary)[0], fits))
    return section("curves", "Error against labels", content)


def curves_words(summary: Summary) -> str:
    """What the figure shows, and what its intervals are of."""
    arms = summary["arms"]
    seeds = max(len(runs) for arm in arms for runs in arm["runs"])
    told = "Test error, the mean over seeds, against the labels of each class; both axes are logs. "
    told += f"Intervals of 95 % are {intervals_in_words(seeds, summary['one_test_set'])}."
    if len({over for arm in arms for over in arm["over"]}) > 1:
        told += " Those of points with fewer than three seeds so far are over test images."
    if any(arm["curve"] for arm in arms):
        told += " Lines are a + b·n^(-c) fitted to the points, dashed beyond the largest budget"
        told += ", with the 95 % interval of the mean." if any(arm["band"] for arm in arms) else "."
    return told


def points_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: labels a class, arm, error in per cent with its interval, and each seed's."""
    rows = [
        [f"{labels:,}", arm["name"], percent(error), interval((low, high)), ", ".join(percent(run) for run in runs)]
        for arm in summary["arms"]
        for (labels, error, low, high), runs in zip(arm["points"], arm["runs"], strict=True)
    ]
    rows.sort(key=lambda row: int(row[0].replace(",", "")))
    return ["labels a class", "arm", "error %", "95 % interval", "each seed"], rows


def fits_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: each arm's curve, and what it says of twice the largest budget, in per cent and points."""
    heads = [
        "arm",
        "a",
        "b",
        "c",
        "error %",
        "with twice the labels %",
        "95 % interval",
        "gain, points",
        "95 % interval",
    ]
    rows = [
        [
            arm["name"],
            *[f"{fit[name]:.3g}" for name in ("a", "b", "c")],
            percent(fit["error"]),
            percent(fit["error_at_twice"]),
            _or_none(fit["error_at_twice_ci95"]),
            percent(fit["gain"]),
            _or_none(fit["gain_ci95"]),
        ]
        for arm in summary["arms"]
        if (fit := arm["fit"]) is not None
    ]
    return heads, rows


def differences_part(summary: Summary) -> str:
    """The judged arm beside the others at each budget."""
    pairs = summary["pairs"]
    if not pairs:
        return ""
    told = (
        "Each line is named by the labels a class and the two arms. Better and worse are said only where p is below "
        "0.05 after Holm's correction for all of these pairs."
    )
    named = [(f"{pair['budget']:,}: {pair['a']} − {pair['b']}", pair) for pair in pairs]
    return section(
        "differences",
        "Differences at each budget",
        paragraph(told)
        + forest(named, summary["judged"])
        + folded("The figure as a table", table("Differences", *differences_table(summary))),
    )


def differences_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the differences, in percentage points."""
    rows = [
        [
            f"{pair['budget']:,}",
            f"{pair['a']} − {pair['b']}",
            points(pair["difference"]),
            points_interval(pair["ci95"]),
            p_in_words(pair["p_holm"]),
            pair["verdict"],
        ]
        for pair in summary["pairs"]
    ]
    return ["labels a class", "difference", "points", "95 % interval", "p (Holm)", "in words"], rows


def classes_part(summary: Summary) -> str:
    """Which classes need images most."""
    found, judged = summary["class_errors"], summary["judged"]
    if not found:
        return ""
    told = f"{classes_words(summary)} Intervals are Wilson's, over the test images of one seed."
    if len(found) > CLASSES:
        told += f" The figure has the {CLASSES} classes with the highest error, the table all {len(found)}."
    bars = [
        {"name": it["name"], "recall": {judged: (1 - it["error"], 1 - it["ci95"][1], 1 - it["ci95"][0])}}
        for it in found
    ]
    return section(
        "classes",
        "Classes that need images most",
        paragraph(told)
        + missed_bars(bars, judged, [judged])
        + folded("The figure as a table", table("Error of each class", *classes_table(summary))),
    )


def classes_words(summary: Summary) -> str:
    """What the errors of classes are of."""
    return f"The share of each class that {summary['judged']} misses at the largest budget, the mean over seeds."


def classes_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the error of each class, in per cent, the highest first."""
    rows = [
        [it["name"], f"{it['images']:,}", f"{it['wrong']:,}", percent(it["error"]), interval(it["ci95"])]
        for it in summary["class_errors"]
    ]
    return ["class", "test images", "wrong", "error %", "95 % interval"], rows


def next_part(summary: Summary) -> str:
    """The images to label next, with what the two networks say of them."""
    if not summary["contested"]:
        return ""
    numbers = {} if summary["pictures"] is None else {row: it for it, row in enumerate(summary["pictures"]["rows"])}
    figures = "".join(_figure(it, numbers[it["row"]]) for it in summary["contested"] if it["row"] in numbers)
    return section(
        "next",
        "Images to label next",
        paragraph(next_words(summary))
        + (f'<div class="pictures">\n{figures}</div>\n' if figures else "")
        + folded("The images as a table", table("Images to label next", *next_table(summary))),
    )


def next_words(summary: Summary) -> str:
    """How many images are in dispute, and where all of them are, if they are kept."""
    told = (
        f"Of {count(summary['pool'], 'image')} without a label, shallow and deep take {summary['disagreed']:,} for "
        "different classes; those on which they differ most come first."
    )
    listed = len(summary["contested"])
    if listed == summary["disagreed"]:
        return told
    return f"{told} {listed} are listed here{', all in label_next.csv' if summary['table_here'] else ''}."


def next_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: the images, and the class that each of the two takes them for."""
    rows = [
        [_name(it), _said(it, "shallow"), _said(it, "deep"), f"{it['disagreement']:.2f}"] for it in summary["contested"]
    ]
    return ["image", "shallow says", "deep says", "disagreement, bits"], rows


def made_part(summary: Summary) -> str:
    """How the learning curve was made."""
    return record_part(summary["record"], "each run", summary["runs_here"])


def _figure(it: Mapping[str, Any], number: int) -> str:
    name = text(_name(it))
    return (
        f'<figure><span class="pic" role="img" aria-label="{name}" style="{place(number)}"></span>'
        f"<figcaption><b>{name}</b>shallow: {text(_said(it, 'shallow'))}<br>deep: {text(_said(it, 'deep'))}"
        "</figcaption></figure>\n"
    )


def _name(it: Mapping[str, Any]) -> str:
    return f"image {it['row']}" if it["path"] is None else str(it["path"])


def _said(it: Mapping[str, Any], who: str) -> str:
    return f"{it[who]} ({100 * it[f'{who}_confidence']:.0f} %)"


def _or_none(ends: list[float] | None) -> str:
    return "–" if ends is None else interval(ends)
