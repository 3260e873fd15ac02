"""What a person names -> what there is to predict: image files, and the rows of Parquet tables. No image is opened."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from littoral.errors import ImageError, InputError
from littoral.images.pack import is_pack
from littoral.images.sources import SUFFIXES, walk
from littoral.scale.addresses import below, beside, filesystem, is_uri, path_of, read_address, reason
from littoral.scale.parts import Files, Rows, Source
from littoral.scale.reading import READERS, columns_of, open_table

TABLE, LIST = ".parquet", ".csv"
"""Endings of a table of images, and of a list of files."""

INSIDE = (*SUFFIXES, TABLE)
"""Endings of what is taken from a folder."""


@dataclass(frozen=True)
class Listing:
    """What was found, in the order in which it was named, and how many files were passed over."""

    sources: tuple[Source, ...]
    passed: int


def names_many(named: Sequence[str]) -> bool:
    """Whether some of these is a table, a list, a pack or a URI, and so maybe more than there is memory for."""
    return any(is_uri(name) or name.lower().endswith((TABLE, LIST)) or is_pack(Path(name)) for name in named)


def list_inputs(named: Sequence[str]) -> Listing:
    """The images at the places that were named: paths or URIs of images, of tables, of lists and of folders of these.

    A folder gives the images and Parquet files in and below it, sorted by name. A Parquet file has a column `image`
    (encoded bytes, or a struct with a field `bytes`), `uri` or `path`; a CSV has `uri` or `path`. A path in a table
    begins at the table's folder.

    Raises InputError for a place where nothing is, and for a table without these columns.
    """
    files: list[str] = []
    passed = 0
    for name in named:
        found, others = _in_store(name) if is_uri(name) else _here(name)
        files += found
        passed += others
    tables = [file for file in files if file.lower().endswith(TABLE)]
    with ThreadPoolExecutor(READERS) as readers:
        rows = dict(zip(tables, readers.map(_rows, tables), strict=True))
    sources: list[Source] = []
    images: list[str] = []
    for file in files:
        if file.lower().endswith(LIST):
            images += _in_list(file)
        elif file not in rows:
            images.append(file)
        else:
            if images:
                sources.append(Files(tuple(images)))
                images = []
            if rows[file].stop:
                sources.append(rows[file])
    if images:
        sources.append(Files(tuple(images)))
    if not sources:
        raise InputError(f"no images in {' '.join(named)}: its tables have no rows")
    return Listing(tuple(sources), passed)


def _here(name: str) -> tuple[list[str], int]:
    """The file, or those of the folder, that a path names."""
    path = Path(name)
    if path.is_dir():
        inside, others = walk(path, INSIDE)
        _require_some(name, inside)
        return [os.fspath(file) for file in inside], others
    if not path.is_file():
        raise InputError(f"{'not a file' if path.exists() else 'no such file'} or folder: {name}")
    return [name], 0


def _in_store(uri: str) -> tuple[list[str], int]:
    """As `_here`, for a URI."""
    from pyarrow import fs

    here = path_of(uri)
    if here is not None and Path(here).is_dir():  # so that links are followed, or not, as in a path
        files, others = _here(here)
        return [below(uri, os.path.relpath(file, here)) for file in files], others
    place, path = filesystem(uri)
    try:
        about = place.get_file_info(path)
        if about.type == fs.FileType.NotFound:
            raise InputError(f"no such file or folder: {uri}")
        if about.type != fs.FileType.Directory:
            return [uri], 0
        found = place.get_file_info(fs.FileSelector(path, recursive=True))
    except OSError as error:
        raise InputError(f"cannot list {uri}: {reason(error)}; see that it can be read from here") from error
    top = path.rstrip("/") + "/"
    names = [one.path.removeprefix(top) for one in found if one.type == fs.FileType.File]
    inside = sorted(name for name in names if name.lower().endswith(INSIDE) and not _hidden(name))
    _require_some(uri, inside)
    return [below(uri, name) for name in inside], len(names) - len(inside)


def _require_some(name: str, inside: Sequence[Any]) -> None:
    if not inside:
        raise InputError(f"no images in the folder {name}: expected files ending in {', '.join(INSIDE)}")


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _rows(table: str) -> Rows:
    """All rows of a Parquet file."""
    with open_table(table, "") as file:
        columns_of(table, file.schema_arrow.names)
        place, path = filesystem(table)
        return Rows(table, 0, file.metadata.num_rows, place.get_file_info(path).size)


def _in_list(file: str) -> list[str]:
    """The files that a CSV lists."""
    try:
        lines = csv.DictReader(io.StringIO(read_address(file).decode("utf-8-sig"), newline=""))
        column = next((name for name in ("uri", "path") if name in (lines.fieldnames or [])), None)
        if column is None:
            raise InputError(f"{file} has no column uri or path: found {', '.join(lines.fieldnames or []) or 'none'}")
        names = [(lines.line_num, line[column]) for line in lines]
    except ImageError as error:
        raise InputError(f"{file} {error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} is not a CSV file in UTF-8: {error}") from error
    for number, name in names:
        if not name:
            raise InputError(f"{file}, line {number}: expected a path or URI, got nothing")
    return [beside(file, name) for _, name in names]
