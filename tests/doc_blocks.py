"""The code blocks of README, CONTRIBUTING and docs: found, and told from those that are marked as not run.

A block is not run where the line above it is `<!-- not run: REASON -->`. Each such block has a line in
`blocks_not_run.txt`; `test_docs.py` holds the two equal, `test_docs_run.py` runs all others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOT_RUN = Path(__file__).with_name("blocks_not_run.txt")

RUN = ("sh", "python")
"""Languages of blocks that are run."""

SHOWN = ("", "text", "json", "yaml", "toml")
"""Languages of blocks that only show something."""

FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?(?P<indent> *)```(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """`line`: that of the fence, from 1. `reason`: why it is not run; None where it is."""

    page: Path
    line: int
    language: str
    code: str
    reason: str | None

    @property
    def listed(self) -> str:
        """Its line in the list of blocks that are not run: page, first line of code, reason."""
        first = next((line for line in self.code.splitlines() if line.strip()), "")
        return f"{self.page.relative_to(ROOT)} | {first.strip()} | {self.reason}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, from the top."""
    text = page.read_text()
    found = []
    for match in FENCE.finditer(text):
        indent, code = len(match["indent"]), match["code"]
        lines = [line[indent:] for line in code.splitlines()]
        number = text.count("\n", 0, match.start("language")) + 1
        found.append(Block(page, number, match["language"], "\n".join(lines), match["reason"]))
    return found


def commands(code: str) -> list[str]:
    """The commands of a shell block, one a line, those that go on after a backslash in one."""
    lines = code.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
