"""The notebook of `examples/`, made from a script: each `# %%` begins a cell, its first words are the first cell.

Usage: python tools/notebook.py   (writes examples/article_by_hand.ipynb)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[1] / "examples" / "article_by_hand.py"


def notebook(script: str) -> dict[str, Any]:
    """A script as a notebook in Jupyter's format 4.5; the words after `# %%` are the heading of a cell."""
    words, code = script.removeprefix('"""').split('"""\n', 1)
    title, _, rest = words.strip().partition("\n")
    cells = [_cell(0, "markdown", f"# {title.rstrip('.')}\n{rest}")]
    for part in code.split("# %% ")[1:]:
        heading, _, lines = part.partition("\n")
        cells.append(_cell(len(cells), "markdown", f"## {heading}"))
        cells.append(_cell(len(cells), "code", lines.strip("\n")))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}


def text(script: Path = SCRIPT) -> str:
    """The notebook of a script, as its file holds it."""
    return json.dumps(notebook(script.read_text()), indent=1, ensure_ascii=False) + "\n"


def _cell(number: int, kind: str, source: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": source.splitlines(keepends=True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


if __name__ == "__main__":
    SCRIPT.with_suffix(".ipynb").write_text(text())
