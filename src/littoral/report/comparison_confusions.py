"""The confusions on a comparison's page: a matrix for each arm, and what its script shows of a cell that is chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from littoral.report.comparison_classes import SHOWN
from littoral.report.markup import folded, paragraph, section, table, text
from littoral.report.sprite import COLUMNS
from littoral.words import count, printable, shortened

Summary = Mapping[str, Any]

STRENGTHS = 5
"""Shades of a matrix's cells."""


def confusion_part(summary: Summary) -> str:
    """A matrix for each arm, added over seeds; its cells show the images behind them."""
    classes, found = summary["classes"], summary["confusions"]
    told = "Rows are true classes, columns what the arm says, added over its seeds."
    asks = notes = ""
    if summary["pictures"] is not None:
        told += " Choose a cell to see its images."
        asks = "<noscript><p>The images behind a cell need JavaScript.</p></noscript>\n"
        kept = count(len(summary["pictures"]["rows"]), "test image")
        note = f"Pictures of {kept} were kept: those that are wrong come first. Counts are of all."
        notes = paragraph(note, soft=True)
    if len(found["shown"]) < len(classes):
        told += f" The {SHOWN} of {len(classes)} classes with most mistakes are shown."
    matrices = "".join(
        _matrix(summary, number, arm["name"], found["arms"][arm["name"]]) for number, arm in enumerate(summary["arms"])
    )
    heads, rows = confused_table(summary)
    return section(
        "confusion",
        "Who is taken for whom",
        paragraph(told)
        + asks
        + f'<div class="matrices">\n{matrices}</div>\n'
        + notes
        + folded("The most frequent mistakes as a table", table("Most frequent mistakes", heads, rows))
        + f'<script type="application/json" id="cells">{_cells_json(summary)}</script>\n',
    )


def confused_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: the most frequent mistakes of each arm."""
    classes = summary["classes"]
    rows = [
        [arm, classes[label], classes[told], f"{times:,}"]
        for arm, it in summary["confusions"]["arms"].items()
        for label, told, times in it["confused"]
    ]
    return ["arm", "is", "called", "times"], rows


def _matrix(summary: Summary, number: int, name: str, found: Mapping[str, Any]) -> str:
    shown, classes = summary["confusions"]["shown"], summary["classes"]
    tall = ' class="tall"' if max(len(classes[told]) for told in shown) > 3 else ""
    heads = "".join(
        f'<th scope="col" title="{text(classes[told])}"><span{tall}>{text(shortened(printable(classes[told]), 14))}'
        "</span></th>"
        for told in shown
    )
    rows, matrix = "", found["matrix"]
    most = max(times for down, counts in enumerate(matrix) for across, times in enumerate(counts) if down != across)
    for down, (label, counts) in enumerate(zip(shown, matrix, strict=True)):
        entries = "".join(
            _cell(times, sum(counts) if across == down else most, across == down) for across, times in enumerate(counts)
        )
        short = text(shortened(printable(classes[label]), 14))
        rows += f'<tr><th scope="row" title="{text(classes[label])}">{short}</th>{entries}</tr>\n'
    return (
        f'<div><h3>{text(name)}</h3>\n<div class="wide" role="region" tabindex="0" '
        f'aria-label="Confusions of {text(name)}"><table class="matrix" data-arm="{text(name)}">'
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>\n{rows}</tbody></table></div>\n"
        f'<div class="behind" id="behind-{number}" role="status"></div></div>\n'
    )


def _cell(times: int, most: int, right: bool) -> str:
    """A number to press, the stronger the nearer it is to `most`; what it is called the script adds."""
    if not times:
        return "<td>·</td>"
    strength = min(STRENGTHS - 1, int(STRENGTHS * times / most))
    return f'<td><button class="s{strength}{" right" if right else ""}">{times}</button></td>'


def _cells_json(summary: Summary) -> str:
    """What the script shows: of each arm, by row and column of its matrix, images and pictures with their figures."""
    rows = [] if summary["pictures"] is None else summary["pictures"]["rows"]
    places, shown = {row: number for number, row in enumerate(rows)}, summary["confusions"]["shown"]
    arms = []
    for arm in summary["arms"]:
        behind, cells = summary["cells"][arm["name"]], {}
        for down, label in enumerate(shown):
            for across, told in enumerate(shown):
                if it := behind.get(f"{label},{told}"):
                    kept = [[places[row], runs, of, round(100 * p)] for row, runs, of, p in it["kept"]]
                    cells[f"{down},{across}"] = [it["images"], kept]
        arms.append(cells)
    names = [] if summary["pictures"] is None else [printable(name) for name in summary["pictures"]["names"]]
    classes = [printable(summary["classes"][label]) for label in shown]
    content = {"columns": COLUMNS, "names": names, "classes": classes, "arms": arms}
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
