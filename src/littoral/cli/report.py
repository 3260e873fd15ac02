"""`littoral report`: the page of a comparison or learning curve, made again from what lies in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from littoral.cli.output import say


def report(
    place: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="The folder that `compare --out` or `curve --out` wrote, or results.json in it.",
            show_default=False,
        ),
    ],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write report.md too: the same words and tables, without pictures.")
    ] = False,
) -> None:
    """Write report.html into the folder of a comparison or learning curve again, without data and without training.

    Example: littoral report results --markdown
    """
    from littoral.report.write import write_report

    written, missing = write_report(place.parent if place.name == "results.json" else place, markdown)
    if missing is not None:
        say(f"{place}: {missing}")
    for path in written:
        print(f"report: {path}")
