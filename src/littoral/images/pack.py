"""Many image files -> few Parquet files with an index, and back: what a network drive or an object store serves well.

Images are kept as they are encoded; nothing is decoded, and only one part is in memory at a time. When they are read
back it is a row group, some megabytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from littoral.errors import ImageError, InputError
from littoral.files import require_folder, write_atomically
from littoral.images.decode import read_bytes
from littoral.images.packed import PackedImage
from littoral.images.store import require_unicode
from littoral.images.table import ImageTable
from littoral.words import path_text

FORMATS = "littoral-pack-"
"""How the format of any version begins."""

FORMAT = f"{FORMATS}1"

INDEX = "index.json"
"""The file that makes a folder a pack. It is written last: without it, packing was cut off."""

FIRST_PART = "part-00000.parquet"

MOST_IMAGES, MOST_BYTES = 10_000, 100_000_000
"""A part ends with so many images, or so many bytes of them, whichever comes first."""

GROUP_IMAGES, GROUP_BYTES = 512, 8_000_000
"""A row group has so many images at most, and on average so many bytes of them at most: what is read at once."""


@dataclass(frozen=True)
class Part:
    """A file of the folder, with its number of images, its size in bytes and its SHA-256."""

    file: str
    images: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """What a pack holds: images in all and of each class, its parts in order, and files that could not be opened.

    `paths`: see ImageTable; packs of before it was noted are taken to have them.
    """

    format: str
    source: str
    images: int
    classes: dict[str, int]
    parts: tuple[Part, ...]
    unreadable: tuple[str, ...] = ()
    paths: bool = True

    __pydantic_config__ = {"extra": "forbid"}


def require_pack_folder(out: Path) -> None:
    """Raise InputError unless a pack can be written to `out`: a folder that is empty, or can be made."""
    if find_spec("pyarrow") is None:
        raise InputError("packing needs pyarrow, which is not installed; pip install 'littoral[parquet]'")
    require_folder(out)
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} is not empty: name another folder, or empty it")


def pack(table: ImageTable, out: Path, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Index:
    """Write the table's images to Parquet files `part-00000.parquet`, … in the folder `out`, and their index.

    Columns: `image` (encoded bytes), `path` (what a message calls it), `label`, and where the table has them `group`
    and `split`. Arrays become PNG files. Files that cannot be opened are left out and named in the index.

    Raises InputError without pyarrow, for a folder that is not empty or cannot be written, and for names of classes and
    groups that are no text.
    """
    require_pack_folder(out)
    require_unicode("class", sorted(set(table.labels)))
    require_unicode("group", sorted(set(table.groups or ())))
    out.mkdir(exist_ok=True)
    parts: list[Part] = []
    unreadable: list[str] = []
    classes: dict[str, int] = {}
    done = 0
    for rows in _parts(table, unreadable):
        content = _parquet(rows, table)
        part = Part(f"part-{len(parts):05}.parquet", len(rows), len(content), hashlib.sha256(content).hexdigest())
        write_atomically(out / part.file, content)
        parts.append(part)
        for number, _ in rows:
            classes[table.labels[number]] = classes.get(table.labels[number], 0) + 1
        done = rows[-1][0] + 1
        on_progress(done, len(table.images))
    if not parts:
        raise InputError(f"none of the files of {table.source} can be opened")
    total = sum(part.images for part in parts)
    source, left_out = path_text(table.source), tuple(map(path_text, unreadable))
    index = Index(FORMAT, source, total, dict(sorted(classes.items())), tuple(parts), left_out, table.paths)
    write_atomically(out / INDEX, json.dumps(asdict(index), indent=2).encode())
    return index


def is_pack(folder: Path) -> bool:
    """Whether the folder has the index of a pack, or its parts; another program's index.json is none."""
    if (folder / FIRST_PART).is_file():
        return True
    try:
        index = json.loads((folder / INDEX).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(index, dict) and str(index.get("format")).startswith(FORMATS)


def read_pack(folder: Path) -> ImageTable:
    """The images of a pack, which are read when they are asked for; names, labels, groups and parts are in memory.

    Raises InputError without pyarrow, and for a pack that was cut off or has a part that is missing or changed.
    """
    if find_spec("pyarrow") is None:
        raise InputError("Parquet needs pyarrow, which is not installed; pip install 'littoral[parquet]'")
    if not (folder / INDEX).is_file():
        raise InputError(f"{folder} has no {INDEX}: packing was cut off; empty the folder and pack again")
    try:
        index = TypeAdapter(Index).validate_json((folder / INDEX).read_bytes())
    except (ValidationError, OSError) as error:
        raise InputError(f"{folder / INDEX} is not the index of a pack: pack again") from error
    if not index.parts:
        raise InputError(f"{folder / INDEX} names no parts: pack again")
    if index.format != FORMAT:
        raise InputError(f"{folder / INDEX} has the format {index.format!r}, expected {FORMAT!r}: pack again")
    images: list[PackedImage] = []
    columns: dict[str, list[str]] = {}
    for part in index.parts:
        file = folder / Path(part.file).name
        if not file.is_file() or _sha256(file) != part.sha256:
            raise InputError(f"{file} is missing or was changed since it was packed: pack again")
        images += _rows(file, columns)
    return ImageTable(
        images=tuple(images),
        names=tuple(columns["path"]),
        labels=tuple(columns["label"]),
        groups=tuple(columns["group"]) if "group" in columns else None,
        split=tuple(columns["split"]) if "split" in columns else None,
        source=str(folder),
        paths=index.paths,
    )


def _parts(table: ImageTable, unreadable: list[str]) -> Iterator[list[tuple[int, bytes]]]:
    """The rows and encoded images of each part; the names of files that cannot be opened are added to `unreadable`."""
    rows: list[tuple[int, bytes]] = []
    size = 0
    for number, image in enumerate(table.images):
        try:
            content = _encoded(image)
        except ImageError:
            unreadable.append(table.names[number])
            continue
        if rows and (len(rows) == MOST_IMAGES or size + len(content) > MOST_BYTES):
            yield rows
            rows, size = [], 0
        rows.append((number, content))
        size += len(content)
    if rows:
        yield rows


def _sha256(file: Path) -> str:
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _rows(file: Path, columns: dict[str, list[str]]) -> list[PackedImage]:
    """The rows of a part; what is known of them besides is added to `columns`."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(file) as part:
        groups = [part.metadata.row_group(number).num_rows for number in range(part.num_row_groups)]
        names = [name for name in part.schema_arrow.names if name != "image"]
        for name, values in part.read(columns=names).to_pydict().items():
            columns.setdefault(name, []).extend(map(sys.intern, values))  # of equal labels one is held
    place = str(file)
    return [PackedImage(place, group, row) for group, images in enumerate(groups) for row in range(images)]


def _encoded(image: Path | PackedImage | bytes | NDArray[np.uint8]) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, PackedImage):
        return image.read()
    if isinstance(image, Path):
        return read_bytes(image)
    content = io.BytesIO()
    Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image).save(content, "PNG")
    return content.getvalue()


def _parquet(rows: list[tuple[int, bytes]], table: ImageTable) -> bytes:
    """A Parquet file's content, not compressed: images are already."""
    import pyarrow
    import pyarrow.parquet

    numbers = [number for number, _ in rows]
    columns: dict[str, list[Any]] = {
        "image": [content for _, content in rows],
        "path": [path_text(table.names[number]) for number in numbers],
        "label": [table.labels[number] for number in numbers],
    }
    for name, values in (("group", table.groups), ("split", table.split)):
        if values is not None:
            columns[name] = [values[number] for number in numbers]
    content = io.BytesIO()
    size = sum(len(image) for _, image in rows)
    group = min(GROUP_IMAGES, max(1, len(rows) * GROUP_BYTES // max(size, 1)))
    pyarrow.parquet.write_table(pyarrow.table(columns), content, row_group_size=group, compression="none")
    return content.getvalue()
