"""Rows of predictions as CSV, JSON lines or Parquet, to a file or to standard output."""

from __future__ import annotations

import csv
import io
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from littoral.errors import InputError
from littoral.files import write_atomically

FORMATS = ("csv", "jsonl", "parquet")


def choose_format(asked: str | None, out: Path | None, json: bool) -> str:
    """What was asked for, else what the ending of the file says, else csv.

    Raises InputError for an unknown format, for one beside --json alone, for Parquet without a file, and for Parquet
    where pyarrow is not installed.
    """
    ending = "" if out is None else out.suffix.lower().removeprefix(".")
    form = asked or (ending if ending in FORMATS else "csv")
    if form not in FORMATS:
        raise InputError(f"unknown format {form!r}: expected one of {', '.join(FORMATS)}")
    if json and asked and out is None:
        raise InputError("--json prints one JSON document: leave --format out, or give a file with --out")
    if form == "parquet" and out is None:
        raise InputError("rows as parquet need --out FILE: parquet is no text to print")
    if form == "parquet" and find_spec("pyarrow") is None:
        raise InputError("parquet needs pyarrow, which is not installed; pip install 'littoral[parquet]'")
    return form


def write_rows(rows: list[dict[str, Any]], form: str, columns: list[str], out: Path) -> None:
    """Write `columns` of rows (None where one has no value) to a file, whole or not at all."""
    write_atomically(out, _parquet(rows, columns) if form == "parquet" else as_text(rows, form, columns).encode())


def as_text(
    rows: list[dict[str, Any]], form: str, columns: list[str], heading: bool = True, ascii: bool = False
) -> str:
    """Rows as csv, with a line of headings where asked for, or as jsonl. True and false are written so in both.

    `ascii`: in jsonl, letters that ASCII does not have are written as their codes, which JSON reads back.
    """
    if form == "jsonl":
        chosen = [{name: row[name] for name in columns} for row in rows]
        return "".join(json.dumps(row, ensure_ascii=ascii) + "\n" for row in chosen)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if heading:
        writer.writeheader()
    writer.writerows({name: _text(row[name]) for name in columns} for row in rows)
    return text.getvalue()


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _parquet(rows: list[dict[str, Any]], columns: list[str]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    kinds = {
        name: pyarrow.float64() if name.startswith(("confidence", "novelty")) else pyarrow.string() for name in columns
    }
    if "accepted" in kinds:
        kinds["accepted"] = pyarrow.bool_()
    table = pyarrow.table({name: pyarrow.array([row[name] for row in rows], type=kind) for name, kind in kinds.items()})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()
