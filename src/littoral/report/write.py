"""A study's results.json, and what lies beside it -> report.html and report.md. No data and no training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from littoral.errors import InputError
from littoral.files import require_folder, require_none_of, write_atomically
from littoral.report.comparison_markdown import comparison_markdown
from littoral.report.comparison_page import comparison_page
from littoral.report.comparison_summary import comparison_summary
from littoral.report.curve_page import curve_markdown, curve_page
from littoral.report.curve_summary import curve_summary

SCHEMA = 1
"""Version of results.json that is understood."""


def write_report(folder: Path, markdown: bool = False) -> tuple[list[Path], str | None]:
    """Write report.html, and with `markdown` report.md, into the folder of a comparison or a learning curve, again.

    Returns where they are, and what they leave out and why, a phrase, or None. Raises InputError where there is no
    results.json of this version, and for a damaged file.
    """
    path = folder / "results.json"
    document = _document(path)
    try:
        return _write(document, folder, folder, markdown)
    except InputError:  # of what lies beside it
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise _no_result(path) from error  # a field is missing, or is not what it was


def write_result(
    document: Mapping[str, Any], kept: Path | None, place: Path, markdown: bool = False
) -> tuple[list[Path], str | None]:
    """The same of a result at hand, into `place`, made when its parent exists, with its results.json.

    `document`: what results.json is to hold; `kept`: the folder with its runs. Raises InputError where `place` has the
    results of another study, or a page of somebody else.
    """
    require_folder(place)
    results, content = place / "results.json", json.dumps(document, indent=2)
    if not results.exists():
        require_none_of(("report.html", "report.md") if markdown else ("report.html",), place, "results.json")
    elif results.read_text() != content:
        raise InputError(f"{results} holds other results: name another folder, or delete it")
    place.mkdir(exist_ok=True)
    write_atomically(results, content.encode())
    return _write(json.loads(content), kept, place, markdown)


def _write(
    document: Mapping[str, Any], kept: Path | None, place: Path, markdown: bool
) -> tuple[list[Path], str | None]:
    beside = kept is not None and kept.resolve() == place.resolve()
    if "points" in document:
        summary = curve_summary(document, kept, beside)
        pages = {"report.html": curve_page(summary)}
        if markdown:
            pages["report.md"] = curve_markdown(summary)
    else:
        summary = comparison_summary(document, kept, beside)
        pages = {"report.html": comparison_page(summary)}
        if markdown:
            pages["report.md"] = comparison_markdown(summary)
    for name, page in pages.items():
        write_atomically(place / name, page.encode())
    return [place / name for name in pages], summary["missing"]


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
        whole = isinstance(document, dict) and document["schema"] == SCHEMA and len(document["arms"]) > 0
        whole = whole and (
            len(document["points"]) > 0 if "points" in document else all(map(_has_runs, document["arms"]))
        )
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not path.exists():
        raise InputError(f"there is no {path}: name the folder that `littoral compare` or `littoral curve` wrote")
    if not whole:
        raise _no_result(path)
    return dict(document)


def _no_result(path: Path) -> InputError:
    return InputError(
        f"{path} is not the result of a comparison or a learning curve: "
        "name the folder that `littoral compare` or `littoral curve` wrote"
    )


def _has_runs(arm: Mapping[str, Any]) -> bool:
    return len(arm["runs"]) > 0
