"""`littoral report`: the page of a finished or interrupted comparison, made again from what lies in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    place: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The folder that `compare --out` wrote, or results.json in it.", show_default=False
        ),
    ],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write report.md too: the same words and tables, without pictures.")
    ] = False,
) -> None:
    """Write report.html into the folder of a comparison again, without data and without training.

    Example: littoral report results --markdown
    """
    for path in write_report(place.parent if place.name == "results.json" else place, markdown):
        print(f"report: {path}")


def write_report(folder: Path, markdown: bool = False) -> list[Path]:
    """Write report.html, and with `markdown` report.md, into the folder; return where they are."""
    from littoral.files import write_atomically
    from littoral.report.comparison_markdown import comparison_markdown
    from littoral.report.comparison_page import comparison_page
    from littoral.report.comparison_summary import comparison_summary

    summary = comparison_summary(folder)
    pages = {"report.html": comparison_page(summary)}
    if markdown:
        pages["report.md"] = comparison_markdown(summary)
    for name, page in pages.items():
        write_atomically(folder / name, page.encode())
    return [folder / name for name in pages]
