"""What there is to predict, cut into parts that are always the same; and what a folder of predictions says it holds.

Pure: listing what lies where is left to `listing.py`, reading it to `reading.py`, writing to `predict.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from littoral.words import count

FORMAT = "littoral-predictions-1"

PART_SIZE = 20_000
"""Images of a part: some seconds of work, so that a loss costs little and a machine is asked for news seldom."""


@dataclass(frozen=True)
class Files:
    """Image files, by their addresses."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """The rows from `start` up to `stop` of the Parquet file at `table`, which has so many bytes."""

    table: str
    start: int
    stop: int
    bytes: int


Source = Files | Rows

Part = tuple[Source, ...]
"""Whose predictions make one file, in this order."""


@dataclass(frozen=True)
class Manifest:
    """What a folder of predictions holds, or will: of which model, of which inputs, cut how.

    `inputs`: as they were named; `inputs_sha256`: see `fingerprint`. `top`: labels an image.
    """

    format: str
    model: str
    model_sha256: str
    inputs: tuple[str, ...]
    inputs_sha256: str
    images: int
    part_size: int
    parts: int
    top: int

    __pydantic_config__ = {"extra": "forbid"}


def images_in(source: Source) -> int:
    """How many rows a source comes to: one an image."""
    return len(source.names) if isinstance(source, Files) else source.stop - source.start


def cut(sources: Sequence[Source], size: int) -> Iterator[Part]:
    """Parts of `size` images, the last maybe smaller, across all sources in their order."""
    part: list[Source] = []
    room = size
    for source in sources:
        start, images = 0, images_in(source)
        while start < images:
            taken = min(room, images - start)
            part.append(_slice(source, start, start + taken))
            start, room = start + taken, room - taken
            if not room:
                yield tuple(part)
                part, room = [], size
    if part:
        yield tuple(part)


def fingerprint(sources: Sequence[Source]) -> str:
    """SHA-256, in hex, over addresses, numbers of rows and sizes of tables: what decides which row comes where.

    The content is not looked at: that would be reading it all once more.
    """
    digest = hashlib.sha256()
    for source in sources:
        lines = source.names if isinstance(source, Files) else (repr(source),)
        digest.update(f"{type(source).__name__} {len(lines)}\n".encode())
        for line in lines:
            digest.update(line.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def part_file(number: int) -> str:
    """The name of the file with the predictions of a part."""
    return f"part-{number:05}.parquet"


def differences(found: Manifest, asked: Manifest) -> list[str]:
    """In what a folder's predictions differ from those asked for, such as `--part-size was 20,000, is 10,000`."""
    said = []
    if found.format != asked.format:
        return [f"the format was {found.format}, is {asked.format}"]
    if found.model_sha256 != asked.model_sha256:
        said.append(f"the model was {_model(found)}, is {_model(asked)}")
    if found.inputs_sha256 != asked.inputs_sha256:
        said.append(f"the input was {_inputs(found)}, is {_inputs(asked)}, listed or sized otherwise")
    if found.part_size != asked.part_size:
        said.append(f"--part-size was {found.part_size:,}, is {asked.part_size:,}")
    if found.top != asked.top:
        said.append(f"--top was {found.top}, is {asked.top}")
    return said


def _slice(source: Source, start: int, stop: int) -> Source:
    if isinstance(source, Files):
        return Files(source.names[start:stop])
    return Rows(source.table, source.start + start, source.start + stop, source.bytes)


def _model(manifest: Manifest) -> str:
    return f"{manifest.model} (SHA-256 {manifest.model_sha256[:12]}…)"


def _inputs(manifest: Manifest) -> str:
    return f"{' '.join(manifest.inputs)} with {count(manifest.images, 'image')}"
