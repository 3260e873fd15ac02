"""Tables of images in files -> an ImageTable: CSV, Parquet, and arrays in an .npz. Nothing in them is executed."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from littoral.errors import InputError
from littoral.images.store import as_images
from littoral.images.table import PART_NAMES, ImageTable


def read_csv(file: Path, group_column: str | None, allow_outside: bool) -> ImageTable:
    """A CSV with a heading and the columns `path` (relative to the file's folder), `label`, maybe `split` and `group`.

    Raises InputError for missing columns and for rows that cannot be; it names the line.
    """
    try:
        with open(file, newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            headings = list(reader.fieldnames or [])
            wanted = _wanted(file, headings, "path", group_column)
            rows = [(f"line {reader.line_num}", row) for row in reader]
            for line, row in rows:
                if any(row.get(None) or ()):  # what stands beyond the last heading, but for commas alone
                    raise InputError(
                        f"{file}, {line}: expected a value for each of {len(headings)} columns, got more: "
                        "give each image one label, and put text with commas in quotes"
                    )
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} is not a CSV file in UTF-8: {error}") from error
    columns = {use: [row[name] for _, row in rows] for use, name in wanted.items()}
    return _from_columns(file, columns, [line for line, _ in rows], allow_outside)


def read_parquet(file: Path, group_column: str | None, allow_outside: bool) -> ImageTable:
    """A Parquet table with `image` (encoded bytes, or a struct with `bytes`, or without them `path`) or `path`.

    The rest is as in a CSV.

    Raises InputError where pyarrow is not installed, and as `read_csv`.
    """
    if find_spec("pyarrow") is None:
        raise InputError("Parquet needs pyarrow, which is not installed; pip install 'littoral[parquet]'")
    import pyarrow
    import pyarrow.parquet

    try:
        names = pyarrow.parquet.read_schema(file).names
        wanted = _wanted(file, names, "image" if "image" in names else "path", group_column)
        table = pyarrow.parquet.read_table(file, columns=sorted(set(wanted.values())))
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{file} is not a readable Parquet file; write it anew") from error
    columns = {use: table.column(name).to_pylist() for use, name in wanted.items()}
    return _from_columns(file, columns, [f"row {number}" for number in range(1, len(table) + 1)], allow_outside)


def read_npz(file: Path) -> ImageTable:
    """Arrays `images` (uint8, n × height × width [× 1 or 3]), `labels` (n) and maybe `split` and `groups` (n).

    Raises InputError for a file that is none, holds pickled objects, or lacks an array.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            wanted = {name: arrays[name] for name in ("images", "labels", "split", "groups") if name in arrays}
    except MemoryError:  # says nothing of the file
        raise
    except Exception as error:  # of many kinds (ValueError, EOFError, BadZipFile, TypeError, …), on bad bytes
        raise InputError(f"{file} is not an .npz of plain arrays; write it with numpy.savez") from error
    _require(file, list(wanted), ["images", "labels"], what="array")
    for name, array in wanted.items():
        if not isinstance(array, np.ndarray) or (name != "images" and array.ndim != 1):
            raise InputError(f"{file}: {name} must be an array with one value an image; multi-label is not offered")
    images = as_images(wanted["images"])
    for name, array in wanted.items():
        if len(array) != len(images):
            raise InputError(
                f"{file}: each of the {len(images):,} images needs one value in {name}, got {len(array):,}"
            )
    rows = [f"image {number}" for number in range(len(images))]
    texts = {name: _texts(file, name, wanted[name].tolist(), rows) for name in wanted if name != "images"}
    return ImageTable(
        images=tuple(images),
        names=tuple(rows),
        labels=texts["labels"],
        groups=texts.get("groups"),
        split=_parts(texts.get("split")),
        source=str(file),
        paths=False,
    )


def _wanted(file: Path, found: Sequence[str], place: str, group_column: str | None) -> dict[str, str]:
    """Which column is used for what. A column `group` is used without being asked for."""
    _require(file, found, [place, "label", *([group_column] if group_column else [])])
    group = group_column or ("group" if "group" in found else None)
    wanted = {"image": place, "label": "label"} | (
        ({"group": group} if group else {}) | ({"split": "split"} if "split" in found else {})
    )
    for name in wanted.values():
        if found.count(name) > 1:
            raise InputError(f"{file} has {found.count(name)} columns {name!r}; keep one of them")
    return wanted


def _from_columns(file: Path, columns: dict[str, list[Any]], rows: list[str], allow_outside: bool) -> ImageTable:
    images: list[Path | bytes] = []
    names: list[str] = []
    seen: dict[Path, str] = {}
    paths = True
    for row, given in zip(rows, columns["image"], strict=True):
        value, called = (given.get("bytes"), given.get("path")) if isinstance(given, dict) else (given, None)
        if isinstance(value, bytes):
            images.append(value)
            names.append(called if isinstance(called, str) and called else row)
            paths = paths and names[-1] == called
            continue
        value = called if isinstance(given, dict) else value
        if not isinstance(value, str) or not value:
            raise InputError(f"{file}, {row}: expected a path or image bytes, got {value!r}")
        path = _inside(file, row, value, allow_outside)
        if path in seen:
            raise InputError(f"{file}, {row}: {value} stands in {seen[path]} already; keep one of them")
        seen[path] = row
        images.append(path)
        names.append(value)
    texts = {use: _texts(file, use, columns[use], rows) for use in ("label", "group", "split") if use in columns}
    return ImageTable(
        images=tuple(images),
        names=tuple(names),
        labels=texts["label"],
        groups=texts.get("group"),
        split=_parts(texts.get("split")),
        source=str(file),
        paths=paths,
    )


def _inside(file: Path, row: str, value: str, allow_outside: bool) -> Path:
    path = file.parent / value
    try:
        inside = path.resolve().is_relative_to(file.parent.resolve())
    except (ValueError, RuntimeError, OSError) as error:  # a NUL in the name, links in a circle
        raise InputError(f"{file}, {row}: {value!r} is no path that leads to a file") from error
    if not inside and not allow_outside:
        raise InputError(
            f"{file}, {row}: {value} lies outside the table's folder; move it there or give --allow-outside"
        )
    return path


def _texts(file: Path, name: str, values: Sequence[Any], rows: Sequence[str]) -> tuple[str, ...]:
    """Labels, groups and parts are compared as text: 3, 3.0 and "3" are one class, wherever they come from."""
    texts = []
    for row, value in zip(rows, values, strict=True):
        if isinstance(value, bytes):
            try:
                value = value.decode()
            except UnicodeDecodeError as error:
                raise InputError(f"{file}, {row}: {name} must be text in UTF-8, got {value!r}") from error
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, str | int) or value == "":
            raise InputError(f"{file}, {row}: {name} must be a word or a whole number, got {value!r}")
        text = str(value)
        texts.append(text.split(".")[0] if re.fullmatch(r"-?\d+\.0+", text) else text)
    known = set(texts)
    for row, text in zip(rows, texts, strict=True):
        if text != text.strip() and text.strip() in known:
            raise InputError(f"{file}, {row}: {name} {text!r} is {text.strip()!r} but for spaces; write both alike")
    return tuple(texts)


def _parts(split: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Parts by their usual names, as folders may call them; others are left for the table to refuse."""
    return None if split is None else tuple(PART_NAMES.get(part.lower(), part) for part in split)


def _require(file: Path, found: Sequence[str], wanted: Sequence[str], what: str = "column") -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        in_one = len(found) == 1 and any(mark in found[0] for mark in ";\t")  # as spreadsheets write some tables
        raise InputError(
            f"{file} has no {what} {missing[0]!r}: found {', '.join(found) or 'none'}"
            + (" (columns have to be separated by commas)" if in_one else "")
        )
