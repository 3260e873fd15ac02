"""Rows of predictions as CSV, JSON lines or Parquet, to a file or to standard output."""

from __future__ import annotations

import csv
import io
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from littoral.errors import InputError
from littoral.files import write_atomically

FORMATS = ("csv", "jsonl", "parquet")


def require_format(form: str) -> None:
    """Raise InputError for an unknown form, and for Parquet where pyarrow is not installed."""
    if form not in FORMATS:
        raise InputError(f"unknown format {form!r}: expected one of {', '.join(FORMATS)}")
    if form == "parquet" and find_spec("pyarrow") is None:
        raise InputError("parquet needs pyarrow, which is not installed; pip install 'littoral[parquet]'")


def write_rows(rows: list[dict[str, Any]], form: str, columns: list[str], out: Path | None) -> None:
    """Write rows, each with every one of `columns` (None where it has no value), in a form that was asked for."""
    if form == "parquet":
        assert out is not None  # the command saw to it
        write_atomically(out, _parquet(rows, columns))
        return
    text = _csv(rows, columns) if form == "csv" else "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if out is None:
        sys.stdout.write(text)
    else:
        write_atomically(out, text.encode())


def _csv(rows: list[dict[str, Any]], columns: list[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _parquet(rows: list[dict[str, Any]], columns: list[str]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    kinds = {name: pyarrow.float64() if name.startswith("confidence") else pyarrow.string() for name in columns}
    table = pyarrow.table({name: pyarrow.array([row[name] for row in rows], type=kind) for name, kind in kinds.items()})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()
