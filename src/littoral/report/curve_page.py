"""What `curve_summary` tells -> one HTML file that needs nothing but itself, or the same as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from littoral.report.curve_parts import (
    advice_part,
    classes_part,
    classes_table,
    classes_words,
    curves_part,
    curves_words,
    differences_part,
    differences_table,
    fits_table,
    made_part,
    next_part,
    next_table,
    next_words,
    points_table,
)
from littoral.report.markdown import escaped, joined, markdown_table
from littoral.report.markup import sentence
from littoral.report.study_page import study_page

PARTS = (
    ("advice", "What it says", advice_part),
    ("curves", "Curves", curves_part),
    ("differences", "Differences", differences_part),
    ("classes", "Classes", classes_part),
    ("next", "Label next", next_part),
    ("record", "How it was made", made_part),
)
"""The parts of the page in their order: where a link leads, what it says, and what makes the part, maybe empty."""


def curve_page(summary: Mapping[str, Any]) -> str:
    """The page as text; the same summary gives the same page."""
    pictures = summary["pictures"]
    return study_page(
        f"{summary['data']}: would more labels help?",
        summary["headline"],
        summary["missing"],
        [(name, called, part(summary)) for name, called, part in PARTS],
        None if pictures is None else pictures["pixels"],
    )


def curve_markdown(summary: Mapping[str, Any]) -> str:
    """The same words and tables as Markdown, without figures and pictures."""
    blocks = [f"# {escaped(summary['data'])}: would more labels help?", f"**{escaped(summary['headline'])}**"]
    if summary["missing"] is not None:
        blocks.append(escaped(sentence(summary["missing"])))
    if summary["advice"]:
        blocks += ["## What it says", "\n".join(f"- {escaped(line)}" for line in summary["advice"])]
    blocks += ["## Error against labels", escaped(curves_words(summary)), markdown_table(*points_table(summary))]
    blocks.append(markdown_table(*fits_table(summary)))
    if summary["pairs"]:
        blocks += ["## Differences at each budget", markdown_table(*differences_table(summary))]
    if summary["class_errors"]:
        blocks += ["## Classes that need images most", escaped(classes_words(summary))]
        blocks.append(markdown_table(*classes_table(summary)))
    if summary["contested"]:
        blocks += ["## Images to label next", escaped(next_words(summary)), markdown_table(*next_table(summary))]
    blocks += ["## How it was made", markdown_table(["what", "value"], [list(row) for row in summary["record"]])]
    return joined(blocks)
