"""What `comparison_summary` tells -> the same as Markdown: words and tables, images by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from littoral.report.comparison_confusions import confused_table
from littoral.report.comparison_parts import (
    arms_table,
    calibration_table,
    classes_table,
    cost_table,
    differences_table,
)
from littoral.report.comparison_pictures import (
    branches_words,
    looks_table,
    mistakes_words,
    opinions_table,
    rescue_words,
)
from littoral.report.markdown import escaped, joined, markdown_table
from littoral.report.markup import sentence


def comparison_markdown(summary: Mapping[str, Any]) -> str:
    """The text; pictures, maps and matrices are in the page alone."""
    verdicts = [f"- {escaped(pair['a'])} and {escaped(pair['b'])}: {pair['verdict']}" for pair in summary["pairs"]]
    blocks = [f"# {escaped(summary['data'])}", f"**{escaped(summary['headline'])}**"]
    if summary["missing"] is not None:
        blocks.append(escaped(sentence(summary["missing"])))
    if verdicts:
        blocks += ["## Differences", "\n".join(verdicts), *map(escaped, summary["power"])]
        blocks.append(markdown_table(*differences_table(summary)))
    blocks += ["## Arms", markdown_table(*arms_table(summary))]
    blocks += ["## Accuracy against cost", markdown_table(*cost_table(summary))]
    if summary["of_runs"]:
        blocks += _of_runs(summary)
    blocks += ["## How it was made", markdown_table(["what", "value"], [list(row) for row in summary["record"]])]
    return joined(blocks)


def _of_runs(summary: Mapping[str, Any]) -> list[str]:
    """What is told of classes and of single images."""
    blocks = ["## Each class", "Recall in per cent, with Wilson's interval.", markdown_table(*classes_table(summary))]
    blocks += ["## Who is taken for whom", "The most frequent mistakes.", markdown_table(*confused_table(summary))]
    shown = summary["mistakes"]["shown"]
    blocks += ["## The surest mistakes", escaped(mistakes_words(summary))]
    blocks.append(markdown_table(*opinions_table(summary, shown)))
    if summary["branches"] is not None:
        blocks += ["## Where one branch saves the other", escaped(branches_words(summary))]
        for way in summary["branches"]["ways"]:
            blocks += [
                f"### {escaped(way['right'])} saves {escaped(way['wrong'])}",
                escaped(rescue_words(summary, way)),
            ]
            blocks.append(markdown_table(*opinions_table(summary, way["shown"])))
    if looks := looks_table(summary)[1]:
        blocks += ["## What each branch looks at", markdown_table(looks_table(summary)[0], looks)]
    return [*blocks, "## Calibration", markdown_table(*calibration_table(summary))]
