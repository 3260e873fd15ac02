"""Pieces of Markdown that the pages of studies share: text that is shown as it is, and tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from littoral.words import printable


def escaped(words: str) -> str:
    """Any text as Markdown that shows it as it is: nothing in it is a mark, a tag or a cell's edge."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", printable(words))


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, its first column to the left; empty without rows."""
    if not rows:
        return ""
    lines = [heads, ["---", *["--:" for _ in heads[1:]]], *[[escaped(value) for value in row] for row in rows]]
    lines[0] = [escaped(name) for name in heads]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def joined(blocks: Sequence[str]) -> str:
    """Headings, paragraphs and tables as one text; empty ones are left out."""
    return "\n\n".join(block for block in blocks if block) + "\n"
