"""A part -> encoded images with their keys, a batch at a time, so that memory does not grow with the part.

Decoding and predicting are left to `predictor.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from littoral.errors import ImageError, InputError
from littoral.images.batch import Encoded
from littoral.scale.addresses import beside, filesystem, is_uri, read_address, reason
from littoral.scale.parts import Files, Part, Rows

IMAGE_COLUMNS = ("image", "uri", "path")
"""The column of a table that has its images is the first of these that is there."""

AT_ONCE = 64
"""Images of a batch at most; more make a model no faster."""

BATCH_BYTES = 32 * 2**20
"""Encoded bytes of a table's batch, about: fewer images where they are large."""

BUFFER = 4 * 2**20
"""Bytes that are read from a table at once, so that a row group need not fit in memory."""

READERS = 16
"""Files that are read at once from a store, which takes its time for each."""


@dataclass(frozen=True)
class Batch:
    """Encoded images with the keys of their rows.

    `table`, `rows`: the table, and which of its rows, from 0; None of files. `paths`: addresses of files, or what a
    table says of where the image is from; None where it says nothing. `errors`: why an image, by number, is none.
    """

    table: str | None
    rows: range | None
    paths: list[str | None]
    images: list[Encoded]
    errors: dict[int, str]


def read_part(part: Part, folder: str) -> Iterator[Batch]:
    """The images of a part, each once, in order. `folder`: where paths begin that are not full.

    Raises InputError for a table that cannot be read, or has fewer rows than it had.
    """
    with ThreadPoolExecutor(READERS) as readers:
        for source in part:
            if isinstance(source, Files):
                for start in range(0, len(source.names), AT_ONCE):
                    names = list(source.names[start : start + AT_ONCE])
                    images, errors = _fetched([_full(name, folder) for name in names], readers)
                    yield Batch(None, None, list(names), images, errors)
            else:
                yield from _read_rows(source, folder, readers)


def open_table(table: str, folder: str) -> Any:
    """The Parquet file at an address, as pyarrow's ParquetFile, to be read bit by bit; raises InputError."""
    import pyarrow
    import pyarrow.parquet

    try:
        place, path = filesystem(_full(table, folder))
        return pyarrow.parquet.ParquetFile(place.open_input_file(path), buffer_size=BUFFER, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{table} is not a readable Parquet file ({reason(error)}); write it anew") from error


def columns_of(table: str, names: Sequence[str]) -> list[str]:
    """Those of a table's columns that are read: the one with the images, and beside bytes where they are from.

    Raises InputError where there is none.
    """
    found = [name for name in IMAGE_COLUMNS if name in names]
    if not found:
        raise InputError(f"{table} has no column image, uri or path: found {', '.join(names) or 'none'}")
    if found[0] != "image":
        return found[:1]
    return ["image", *[name for name in ("path", "uri") if name in found][:1]]


def _read_rows(source: Rows, folder: str, readers: ThreadPoolExecutor) -> Iterator[Batch]:
    import pyarrow

    with open_table(source.table, folder) as file:
        columns = columns_of(source.table, file.schema_arrow.names)
        groups, at, size = _groups(file.metadata, source.start, source.stop)
        try:
            for found in file.iter_batches(_rows_at_once(size), groups, columns, use_threads=False):
                first, last = max(at, source.start), min(at + len(found), source.stop)
                if first < last:
                    cut = found.slice(first - at, last - first)
                    yield _batch(source.table, folder, range(first, last), cut.to_pydict(), readers)
                at += len(found)
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"{source.table} cannot be read from row {at:,} on ({reason(error)})") from error
        if at < source.stop:
            raise InputError(f"{source.table} has {at:,} rows, and had {source.stop:,} or more: begin anew elsewhere")


def _groups(metadata: Any, start: int, stop: int) -> tuple[list[int], int, int]:
    """The row groups with these rows, by number; the first row in them; the mean bytes of a row."""
    numbers: list[int] = []
    at = first = rows = size = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if at < stop and at + group.num_rows > start:
            first = first if numbers else at
            numbers.append(number)
            rows, size = rows + group.num_rows, size + group.total_byte_size
        at += group.num_rows
    return numbers, first, size // max(rows, 1)


def _rows_at_once(size: int) -> int:
    """Rows of a batch where one has so many bytes."""
    return max(1, min(AT_ONCE, BATCH_BYTES // max(size, 1)))


def _batch(table: str, folder: str, rows: range, columns: dict[str, list[Any]], readers: ThreadPoolExecutor) -> Batch:
    bytes_or_places = columns.pop("image", None)
    named = [_text(name) for column in columns.values() for name in column]
    if bytes_or_places is None:
        values: list[bytes | str | None] = list(named)
    else:
        values = [_place_or_bytes(value) for value in bytes_or_places]
    named = named or [None] * len(values)
    paths = [value if isinstance(value, str) else name for value, name in zip(values, named, strict=True)]
    full = [_full(beside(table, value), folder) if isinstance(value, str) else value for value in values]
    return Batch(table, rows, paths, *_fetched(full, readers))


def _place_or_bytes(value: Any) -> bytes | str | None:
    """What a table's cell holds: bytes, or a struct with them, or a path or URI; None for anything else."""
    if isinstance(value, dict):
        value = value.get("path") if value.get("bytes") is None else value["bytes"]
    return value if isinstance(value, bytes | str) and value != "" else None


def _text(name: Any) -> str | None:
    """What a table's cell says of a place, which may be a number, or text without its type; None for nothing."""
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    return None if name is None or name == "" else str(name)


def _full(address: str, folder: str) -> str:
    return address if is_uri(address) else os.path.join(folder, address)


def _fetched(values: Sequence[bytes | str | None], readers: ThreadPoolExecutor) -> tuple[list[Encoded], dict[int, str]]:
    """The images, those of a store as bytes; and why some, by number, are none."""
    images: list[Encoded] = [b"" if value is None else value for value in values]
    errors = {number: "has neither bytes nor a path" for number, value in enumerate(values) if value is None}
    far = [number for number, value in enumerate(values) if isinstance(value, str) and is_uri(value)]
    for number, (content, error) in zip(far, readers.map(_read, [str(values[number]) for number in far]), strict=True):
        images[number] = content
        if error is not None:
            errors[number] = error
    return images, errors


def _read(address: str) -> tuple[bytes, str | None]:
    try:
        return read_address(address), None
    except ImageError as error:
        return b"", str(error)
