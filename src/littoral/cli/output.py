"""How results look: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import textwrap
from typing import Any

from rich.console import Console
from rich.table import Table


def say(line: str) -> None:
    """One line for the person, on standard error, broken between words where it meets a terminal's edge.

    What would steer the terminal, such as an escape in a file's name, is shown as its code.
    """
    from littoral.words import printable

    line = printable(line)
    if sys.stderr.isatty():
        line = _broken(line, shutil.get_terminal_size().columns, long_words=False)  # a path may be copied
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more: no reason to stop the work
        print(line, file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    """Exactly one JSON document on standard output."""
    print(json.dumps(document, ensure_ascii=not shows_all(), allow_nan=False, indent=2))


def shows_all() -> bool:
    """Whether standard output can take every letter, so that none need be written as its code."""
    return (sys.stdout.encoding or "").lower().startswith("utf")


def print_table(headings: list[str], rows: list[list[str]]) -> None:
    """A table on standard output: the first column to the left, the others to the right.

    A terminal too narrow for it gets each row as lines of its own, so that no figure is broken in two; a file or pipe
    takes lines of any length. What would steer the terminal, such as an escape in the name of a class, is shown as its
    code.
    """
    from littoral.words import printable

    rows = [[printable(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, emoji=False)
    needed = console.measure(table, options=console.options.update(width=100_000)).maximum
    if not console.is_terminal:
        console.width = needed
    if console.is_terminal and needed > console.width:
        for row in rows:
            console.print(row[0], style="bold")
            for heading, value in zip(headings[1:], row[1:], strict=True):
                console.print(f"  {heading}: {value}")
        return
    console.print(table)


def print_wrapped(line: str, indent: int = 0) -> None:
    """One line on standard output, broken between words where it meets a terminal's edge; a file has no edge.

    What would steer the terminal, such as an escape in a file's name, is shown as its code.
    """
    from littoral.words import printable

    text = printable(line)
    if sys.stdout.isatty():
        text = _broken(text, shutil.get_terminal_size().columns - indent, " " * bool(indent))
    print(textwrap.indent(text, " " * indent))


def _broken(line: str, width: int, later: str = "", long_words: bool = True) -> str:
    """The line, broken between words, and within those that are too long where `long_words` is.

    `later` begins its second line and all after. A number stays with its sign.
    """
    kept = line.replace(" %", "\u00a0%")
    kept = textwrap.fill(
        kept, max(width, 20), break_on_hyphens=False, break_long_words=long_words, subsequent_indent=later
    )
    return kept.replace("\u00a0%", " %")


def size_in_words(count: int) -> str:
    """Bytes in the unit that a person would use."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
