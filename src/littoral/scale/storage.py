"""A place that all machines of a cluster reach: a folder on a shared disk, or one in an object store, by pyarrow."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from littoral.errors import InputError


def place_of(text: str) -> str:
    """A folder as its whole path; a URI such as s3://bucket/path as it is."""
    return text if "://" in text else str(Path(text).resolve())


@contextlib.contextmanager
def folder_in(place: str) -> Iterator[str]:
    """The name of a fresh folder in `place` (see `place_of`), gone when the block ends.

    Raises InputError where none can be made.
    """
    name = f".littoral-{secrets.token_hex(8)}"
    try:
        files, path = _opened(place)
        files.create_dir(f"{path}/{name}")
    except (OSError, ValueError, ImportError) as error:  # pyarrow's own errors are of these kinds
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"--storage needs a folder, or a place such as s3://bucket/path, that can be written to, got {place} "
            f"({reason})"
        ) from error
    try:
        yield name
    finally:
        with contextlib.suppress(OSError):
            files.delete_dir(f"{path}/{name}")


def is_there(place: str, name: str) -> bool:
    """Whether this machine sees that folder."""
    from pyarrow.fs import FileType

    files, path = _opened(place)
    return bool(files.get_file_info(f"{path}/{name}").type == FileType.Directory)


def _opened(place: str) -> tuple[Any, str]:
    """A file system of pyarrow, and the path in it."""
    from pyarrow.fs import FileSystem

    files, path = FileSystem.from_uri(place)
    return files, path
