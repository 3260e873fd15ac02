"""Tables of images in files -> an ImageTable: CSV, Parquet, and arrays in an .npz. Nothing in them is executed."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from littoral.errors import InputError
from littoral.images.store import as_images
from littoral.images.table import ImageTable


def read_csv(file: Path, group_column: str | None, allow_outside: bool) -> ImageTable:
    """A CSV with a heading and the columns `path` (relative to the file's folder), `label`, and maybe `split`.

    Raises InputError for missing columns and for rows that cannot be; it names the line.
    """
    try:
        with open(file, newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            rows = list(reader)
            columns = list(reader.fieldnames or [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} is not a CSV file in UTF-8: {error}") from error
    _require(file, columns, ["path", "label", *([group_column] if group_column else [])])
    wanted = {name: [row[name] for row in rows] for name in columns}
    return _from_columns(file, wanted, group_column, allow_outside, first_line=2)


def read_parquet(file: Path, group_column: str | None, allow_outside: bool) -> ImageTable:
    """A Parquet table with `path` or `image` (encoded bytes, or a struct with a field `bytes`), `label`, maybe `split`.

    Raises InputError where pyarrow is not installed, for missing columns and for rows that cannot be.
    """
    if find_spec("pyarrow") is None:
        raise InputError("Parquet needs pyarrow, which is not installed; pip install 'littoral[parquet]'")
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{file} is not a readable Parquet file; write it anew") from error
    place = "image" if "image" in table.column_names else "path"
    _require(file, table.column_names, [place, "label", *([group_column] if group_column else [])])
    wanted = {name: table.column(name).to_pylist() for name in table.column_names}
    return _from_columns(file, wanted, group_column, allow_outside, first_line=1)


def read_npz(file: Path) -> ImageTable:
    """Arrays `images` (uint8, n × height × width [× 1 or 3]), `labels` (n) and maybe `split` and `groups` (n).

    Raises InputError for a file that is none, holds pickled objects, or lacks an array.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            wanted = {name: arrays[name] for name in ("images", "labels", "split", "groups") if name in arrays}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{file} is not an .npz of plain arrays: {error}") from error
    _require(file, list(wanted), ["images", "labels"], what="array")
    images = as_images(wanted["images"])
    texts = {name: _texts(file, name, wanted[name].tolist()) for name in wanted if name != "images"}
    return ImageTable(
        images=tuple(images),
        names=tuple(f"image {index}" for index in range(len(images))),
        labels=texts["labels"],
        groups=texts.get("groups"),
        split=texts.get("split"),
        source=str(file),
    )


def _from_columns(
    file: Path, columns: dict[str, list[Any]], group_column: str | None, allow_outside: bool, first_line: int
) -> ImageTable:
    images: list[Path | bytes] = []
    names: list[str] = []
    seen: dict[Path, int] = {}
    for line, value in enumerate(columns["image"] if "image" in columns else columns["path"], start=first_line):
        if isinstance(value, dict):
            value = value.get("bytes")
        if isinstance(value, bytes):
            images.append(value)
            names.append(f"row {line}")
            continue
        if not isinstance(value, str) or not value:
            raise InputError(f"{file}, line {line}: expected a path or image bytes, got {value!r}")
        path = _inside(file, line, value, allow_outside)
        if path in seen:
            raise InputError(f"{file}, line {line}: {value} stands in line {seen[path]} already; keep one of them")
        seen[path] = line
        images.append(path)
        names.append(value)
    return ImageTable(
        images=tuple(images),
        names=tuple(names),
        labels=_texts(file, "label", columns["label"], first_line),
        groups=_texts(file, group_column, columns[group_column], first_line) if group_column else None,
        split=_texts(file, "split", columns["split"], first_line) if "split" in columns else None,
        source=str(file),
    )


def _inside(file: Path, line: int, value: str, allow_outside: bool) -> Path:
    folder = file.parent
    path = folder / value
    if not allow_outside and not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"{file}, line {line}: {value} lies outside the table's folder; move it there or give --allow-outside"
        )
    return path


def _texts(file: Path, name: str, values: Sequence[Any], first_line: int = 0) -> tuple[str, ...]:
    """Labels, groups and parts are compared as text: 3 and "3" are one class, wherever they come from."""
    for line, value in enumerate(values, start=first_line):
        if value is None or value == "" or (isinstance(value, float) and not value.is_integer()):
            raise InputError(f"{file}, line {line}: {name} must be a word or a whole number, got {value!r}")
    return tuple(str(int(value)) if isinstance(value, float) else str(value) for value in values)


def _require(file: Path, found: Sequence[str], wanted: Sequence[str], what: str = "column") -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InputError(f"{file} has no {what} {missing[0]!r}: found {', '.join(found) or 'none'}")
