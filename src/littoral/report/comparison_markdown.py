"""What `comparison_summary` tells -> the same as Markdown: words and tables, images by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
from littoral.words import printable


def comparison_markdown(summary: Mapping[str, Any]) -> str:
    """The text; pictures, maps and matrices are in the page alone."""
    verdicts = [f"- {escaped(pair['a'])} and {escaped(pair['b'])}: {pair['verdict']}" for pair in summary["pairs"]]
    blocks = [f"# {escaped(summary['data'])}", f"**{escaped(summary['headline'])}**"]
    if verdicts:
        blocks += ["## Differences", "\n".join(verdicts), _table(*differences_table(summary))]
    blocks += ["## Arms", _table(*arms_table(summary)), "## Accuracy against cost", _table(*cost_table(summary))]
    blocks += ["## Each class", "Recall in per cent, with Wilson's interval.", _table(*classes_table(summary))]
    blocks += ["## Who is taken for whom", "The most frequent mistakes.", _table(*confused_table(summary))]
    shown = summary["mistakes"]["shown"]
    blocks += ["## The surest mistakes", escaped(mistakes_words(summary)), _table(*opinions_table(summary, shown))]
    if summary["branches"] is not None:
        blocks += ["## Where one branch saves the other", escaped(branches_words(summary))]
        for way in summary["branches"]["ways"]:
            blocks += [
                f"### {escaped(way['right'])} saves {escaped(way['wrong'])}",
                escaped(rescue_words(summary, way)),
            ]
            blocks.append(_table(*opinions_table(summary, way["shown"])))
    if looks := looks_table(summary)[1]:
        blocks += ["## What each branch looks at", _table(looks_table(summary)[0], looks)]
    blocks += ["## Calibration", _table(*calibration_table(summary))]
    blocks += ["## How it was made", _table(["what", "value"], [list(row) for row in summary["record"]])]
    return "\n\n".join(block for block in blocks if block) + "\n"


def escaped(words: str) -> str:
    """Any text as Markdown that shows it as it is: nothing in it is a mark, a tag or a cell's edge."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", printable(words))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, its first column to the left; empty without rows."""
    if not rows:
        return ""
    lines = [heads, ["---", *["--:" for _ in heads[1:]]], *[[escaped(value) for value in row] for row in rows]]
    lines[0] = [escaped(name) for name in heads]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
