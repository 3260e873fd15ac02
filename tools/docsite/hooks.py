"""What the site is made of besides `docs/`: pages and drawings that come from the repository itself when it is built.

README, CHANGELOG, CONTRIBUTING, the pages of `benchmarks/` and the scripts of `examples/` are taken in where they are,
with their links turned to where things lie on the site. Commands, errors, the API and drawings are made from the code.
A page in `docs/` that no section of `mkdocs.yml` names is put under "How to".
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

import api
import commands
import drawings
import faults
import rooms

ROOT = Path(__file__).parents[2]

TAKEN_IN = {
    "README.md": "index.md",
    "README.zh-CN.md": "chinese.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks/index.md",
} | {
    str(page.relative_to(ROOT)): f"benchmarks/{page.parent.name}.md"
    for page in sorted((ROOT / "benchmarks").glob("*/README.md"))
}
"""Pages of the repository outside `docs/`, and where they are on the site."""

LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the sections whose pages are found rather than named."""
    sections: dict[str, list[Any]] = {title: pages for entry in config.nav for title, pages in entry.items()}
    named = set(re.findall(r"[\w/-]+\.md", str(config.nav)))
    own = sorted(path.relative_to(config.docs_dir).as_posix() for path in Path(config.docs_dir).rglob("*.md"))
    sections["How to"] += [page for page in own if page not in named]
    sections["Benchmarks"] += [page for page in TAKEN_IN.values() if page.startswith("benchmarks/")]
    sections["Reference"] += [{"Code by room": [f"reference/code/{room}.md" for room in api.rooms()]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is taken in and what is made."""
    made: dict[str, str | bytes] = {site: (ROOT / source).read_text() for source, site in TAKEN_IN.items()}
    made["reference/commands.md"] = commands.page()
    made["reference/errors.md"] = faults.page()
    made["reference/api.md"] = api.exported()
    made |= {f"reference/code/{room}.md": api.room(room) for room in api.rooms()}
    made["examples.md"] = examples()
    made |= {f"figures/{name}.svg": draw() for name, draw in drawings.DRAWINGS.items()}
    made["figures/rooms.svg"] = rooms.drawing()
    for place, content in made.items():
        files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages; what is no page loses its link."""
    site = page.file.src_uri
    source = next((source for source, place in TAKEN_IN.items() if place == site), f"docs/{site}")

    def turned(link: re.Match[str]) -> str:
        words, target, anchor = link[1], link[2], link[3] or ""
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        place = TAKEN_IN.get(meant, meant.removeprefix("docs/"))
        if files.get_file_from_path(place) is None and (ROOT / meant).exists():
            return f"{words} (`{meant}`)" if words.strip("`") != meant else f"`{meant}`"
        return f"[{words}]({posixpath.relpath(place, posixpath.dirname(site) or '.')}{anchor})"

    return LINK.sub(turned, markdown)


def examples() -> str:
    """The page of all examples: what each says of itself, and the script."""
    parts = ["# Examples\n\nScripts of `examples/`, each run in CI on few images. Each takes about a minute or less."]
    for script in sorted((ROOT / "examples").glob("*.py")):
        words, code = script.read_text().removeprefix('"""').split('"""\n', 1)
        parts.append(f"## {script.name}\n\n{words.strip()}\n\n```python\n{code.strip()}\n```")
    return "\n\n".join(parts) + "\n"
