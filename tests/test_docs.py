"""What pages say of the code is so: options, commands, JSON, the order of rooms; and copies of one thing are equal.

What runs blocks and examples is `test_docs_run.py`; the site is built and its links followed by `make docs`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from doc_blocks import NOT_RUN, PAGES, ROOT, RUN, SHOWN, blocks, commands

sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(ROOT / "tools" / "docsite"))

import commands as reference
import faults
import notebook
import rooms

from littoral import __version__, errors

READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]

OF_OTHERS = {
    "--address",
    "--constraint",
    "--data-binary",
    "--directory",
    "--head",
    "--hook-type",
    "--images",
    "--logdir",
    "--prefix",
}
"""Options on these pages that are those of other programs."""


# --- blocks ---


def test_blocks_that_are_not_run_are_listed_with_the_reason() -> None:
    listed = [line for line in NOT_RUN.read_text().splitlines() if not line.startswith("#")]
    assert listed == [block.listed for page in PAGES for block in blocks(page) if block.reason is not None]


@pytest.mark.parametrize("page", [*PAGES, READMES[1]], ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_are_run_or_only_show_something(page: Path) -> None:
    for block in blocks(page):
        assert block.language in RUN + SHOWN, f"{page}:{block.line}: name it sh or python, which are run, or text"


# --- the command line ---


def test_every_option_that_a_page_names_exists() -> None:
    known = set.union(*reference.options().values()) | OF_OTHERS
    for page in [*PAGES, READMES[1], *(ROOT / "benchmarks").glob("*/README.md")]:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", page.read_text().replace("--json`", "--json `")))
        assert named <= known, (
            f"{page.relative_to(ROOT)} names {', '.join(sorted(named - known))}, which no command has"
        )


def test_a_command_in_a_block_has_the_options_it_is_given() -> None:
    options = reference.options()
    for page in [*PAGES, READMES[1]]:
        for block in blocks(page):
            for line in commands(block.code) if block.language == "sh" else ():
                words = line.partition("#")[0].split()
                if words[:1] == ["littoral"] and len(words) > 1 and not words[1].startswith("-"):
                    given = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
                    assert given <= options[words[1]] | options[""], f"{page.name}:{block.line}: {line}"


def test_every_option_and_command_is_documented() -> None:
    page = reference.page()  # refuses an option without help
    for command, options in reference.options().items():
        start = page.index(f"\n## littoral {command}".rstrip() + "\n")
        section = page[start : page.find("\n## ", start + 1)]
        assert all(f"`{option}" in section for option in options - {"--help"}), command
    guide = "".join(path.read_text() for path in PAGES)
    assert all(f"littoral {command}" in guide for command in reference.options())


def test_each_command_has_help_with_an_example(call: Callable) -> None:
    for command in reference.options():
        if command:
            code, out, _ = call(command, "--help")
            assert code == 0
            assert f"Example: littoral {command}" in out


def test_the_page_on_json_has_each_command_that_prints_it() -> None:
    page = (ROOT / "docs" / "json.md").read_text()
    for command, options in reference.options().items():
        assert "--json" not in options or f"\n| `{command}` |" in page, command


# --- the code ---


def test_the_page_on_architecture_has_the_rooms_in_the_order_of_the_contract() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    chain = page.split("```")[1]
    assert [set(re.split(r",|\|", "".join(layer.split()))) for layer in chain.split("→")] == [
        set(layer) for layer in rooms.layers()
    ]
    table = page[page.index("| room |") : page.index("A model is described")]
    described = set(re.findall(r"[\w/.]+", " ".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))))
    small = {"errors", "version", "words", "files", "specs", "rows", "cache"}
    assert {room for layer in rooms.layers() for room in layer} - small <= {
        name.removesuffix(".py").rstrip("/") for name in described
    }


def test_the_drawing_of_rooms_shows_each_and_no_import_upwards() -> None:
    level = {room: number for number, layer in enumerate(rooms.layers()) for room in layer}
    found = rooms.imports()
    assert all(level[room] > level[other] for room, other in found.edges)
    drawn = rooms.drawing().decode()
    assert all(f">{room}<" in drawn for room in level)


def test_no_file_of_the_package_reaches_400_lines() -> None:
    long = [path.name for path in (ROOT / "src").rglob("*.py") if len(path.read_text().splitlines()) >= 400]
    assert not long, f"look for the second idea in {', '.join(long)}"


def test_the_page_of_errors_has_every_kind_and_sentence() -> None:
    assert set(faults.kinds()) == {"LittoralError", "InputError", "ImageError", "ShapeError"} | {
        "ModelFileError",
        "TrainingError",
        "ExportError",
    }
    said = faults.sentences()
    assert len(said) > 200
    assert ("cli/log.py", "InputError") in {(file, kind) for file, kind, _ in said}
    assert errors.InputError.__doc__ in faults.page()
    bare = [f"{file}: {words}" for file, _, words in said if re.sub("‹[^›]*›", "", words).endswith(".")]
    assert not bare, "an error is one sentence without a full stop"


# --- copies ---


def test_the_notebook_is_its_script() -> None:
    found = notebook.SCRIPT.with_suffix(".ipynb").read_text()
    assert found == notebook.text(), "call `make notebook`"
    cells = json.loads(found)["cells"]
    assert [cell["cell_type"] for cell in cells[:3]] == ["markdown", "markdown", "code"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    compile(code, "notebook", "exec", dont_inherit=True)


def test_examples_are_short() -> None:
    scripts = sorted((ROOT / "examples").glob("*.py"))
    assert len(scripts) >= 6
    assert all(len(script.read_text().splitlines()) < 80 for script in scripts)


def outline(page: Path) -> dict[str, list[str]]:
    """What two languages have in common: levels of headings, blocks without their comments, figures, links."""
    text = page.read_text()
    code = [block.code for block in blocks(page)]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return {
        "headings": re.findall(r"^#+", prose, re.MULTILINE),
        "code": [
            line for block in code for line in (re.sub(r"\s*#.*", "", line) for line in block.splitlines()) if line
        ],
        "figures": sorted(re.findall(r"\d[\d.,]*\d|\d", re.sub(r"\]\([^)]*\)", "", prose))),
        "links": sorted(link for link in re.findall(r"\]\(([^)]+)\)", prose) if not link.startswith("README")),
        "words in code": sorted(re.findall(r"`[^`\n]+`", prose)),
    }


def test_the_chinese_readme_says_the_same() -> None:
    english, chinese = (outline(page) for page in READMES)
    for part, found in english.items():
        assert chinese[part] == found, f"{part} of README.md and README.zh-CN.md differ: change both"


def test_the_list_of_benchmarks_has_figures_of_their_pages() -> None:
    rows = re.findall(r"^\| (\[.+) \| (.+) \|$", (ROOT / "benchmarks" / "README.md").read_text(), re.MULTILINE)
    assert len(rows) > 10
    for names, answer in rows:
        pages = "".join((ROOT / "benchmarks" / page).read_text() for page in re.findall(r"\]\((.+?)\)", names))
        assert [figure for figure in re.findall(r"\d+\.\d+", answer) if figure not in pages] == [], names


def test_the_citation_has_the_version() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
