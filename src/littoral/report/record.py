"""How a study was made, from its results.json: the part of its page that says so, and the rows of its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from littoral.report.markup import paragraph, section, text
from littoral.words import listed

Rows = list[tuple[str, str]]

VERSIONS = ("littoral", "torch", "onnxruntime", "numpy", "python")
"""What a study says the version of; onnxruntime is there where it took part."""


def comparison_record(document: Mapping[str, Any]) -> Rows:
    """What, and with which value, of a comparison."""
    labels = document["labels_per_class"]
    return [
        *_given(document),
        ("images", f"{document['train_images']:,} to train, {document['test_images']:,} to test, of the first seed"),
        ("labels a class", "all" if labels is None else f"{labels:,}"),
        ("arms beside", listed(list(document["beside"])) or "none"),
        *_made(document),
    ]


def curve_record(document: Mapping[str, Any]) -> Rows:
    """What, and with which value, of a learning curve."""
    return [
        *_given(document),
        ("images", f"{document['test_images']:,} to test, of the first seed"),
        ("labels a class", ", ".join(f"{budget:,}" for budget in document["budgets"])),
        *_made(document),
    ]


def record_part(rows: Rows, runs: str, runs_here: bool) -> str:
    """The part of the page; `runs`: what `runs/` holds, in words; `runs_here`: whether it lies beside the page."""
    kept = f"All of it is in results.json, and {runs} in runs/." if runs_here else "All of it is in results.json."
    lines = "".join(f'<tr><th scope="row">{text(what)}</th><td>{text(value)}</td></tr>\n' for what, value in rows)
    return section(
        "record", "How it was made", paragraph(kept) + f'<table class="record"><tbody>\n{lines}</tbody></table>\n'
    )


def _given(document: Mapping[str, Any]) -> Rows:
    return [
        ("command", document.get("command", "called from Python")),
        ("data", f"{document['data']}, SHA-256 {document['data_sha256']}"),
    ]


def _made(document: Mapping[str, Any]) -> Rows:
    chosen = document.get("auto")
    recipe = ", ".join(f"{name} {value}" for name, value in document["recipe"].items() if value is not None)
    return [
        ("preset", document["preset"] if chosen is None else f"chosen by auto: {chosen['why']}"),
        ("recipe", recipe),
        ("seeds", ", ".join(map(str, document["seeds"]))),
        ("device", document["device"]),
        ("threads", f"{document['threads']} of {document['cores']} cores"),
        ("machine", document["machine"]),
        ("versions", ", ".join(f"{it} {document[it]}" for it in VERSIONS if document.get(it) is not None)),
        ("code", f"SHA-256 {document['code']}"),
    ]
