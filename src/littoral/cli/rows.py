"""Rows of predictions as CSV, JSON lines or Parquet, to a file or to standard output."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

from littoral.errors import InputError
from littoral.files import write_atomically

FORMATS = ("csv", "jsonl", "parquet")


def write_rows(rows: list[dict[str, Any]], form: str, columns: list[str], out: Path | None) -> None:
    """Write rows, each with every one of `columns` (None where it has no value), in that form.

    Raises InputError when Parquet is asked for and pyarrow is not installed.
    """
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
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise InputError("parquet needs pyarrow, which is not installed; pip install 'littoral[parquet]'") from error
    kinds = {name: pyarrow.float64() if name.startswith("confidence") else pyarrow.string() for name in columns}
    table = pyarrow.table({name: pyarrow.array([row[name] for row in rows], type=kind) for name, kind in kinds.items()})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()
