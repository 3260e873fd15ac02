"""Where files lie, as text: paths on this machine, and URIs of what pyarrow reaches, such as s3://bucket/photos.

What the files are is left to `listing.py` and `reading.py`. pyarrow is the extra [parquet], imported when it is needed.
"""

from __future__ import annotations

import os
import posixpath
import re
from functools import cache
from typing import Any
from urllib.parse import quote, unquote

from littoral.errors import ImageError, InputError
from littoral.images.decode import MAX_BYTES, UNREADABLE, read_bytes

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+://[^/]*)/?(.*)", re.DOTALL)  # one letter alone is a drive of Windows


def is_uri(address: str) -> bool:
    """Whether an address begins as s3:// does; else it is a path."""
    return _URI.match(address) is not None


def beside(table: str, name: str) -> str:
    """The address that the table at `table` means by `name`: a URI or a full path is itself, else in its folder."""
    if is_uri(name):
        return name
    if is_uri(table):
        return below(posixpath.dirname(table), name)
    return os.path.join(os.path.dirname(table), name)


def below(folder: str, name: str) -> str:
    """The URI of what is called `name` in and below the folder at a URI."""
    return posixpath.join(folder, quote(name) if _is_file(folder) else name)


def path_of(address: str) -> str | None:
    """The path on this machine that an address stands for; None where it is somewhere else."""
    found = _URI.match(address)
    if found is None:
        return address
    return f"/{unquote(found[2])}" if found[1].lower() in ("file://", "file://localhost") else None


def filesystem(address: str) -> tuple[Any, Any]:
    """pyarrow's file system for an address, and the path in it, which need not exist.

    A URI's path is taken letter by letter, but for `file://`, where %20 is a blank.

    Raises InputError for a URI of a kind that pyarrow does not know, and for a store that does not answer.
    """
    from pyarrow import fs

    found = _URI.match(address)
    if found is None:
        return fs.LocalFileSystem(), os.fsencode(address)  # whatever bytes it has
    place, base = _root(found[1])
    path = unquote(found[2]) if _is_file(address) else found[2]
    return place, f"{base.rstrip('/')}/{path}"


def read_address(address: str) -> bytes:
    """The content of a file; raises ImageError, in one phrase."""
    if not is_uri(address):
        return read_bytes(address)
    try:
        place, path = filesystem(address)
        with place.open_input_file(path) as file:
            if file.size() > MAX_BYTES:
                raise ImageError(f"has {file.size():,} bytes, more than the limit of {MAX_BYTES:,}")
            content: bytes = file.read()
            return content
    except ImageError:
        raise
    except (InputError, OSError, ValueError) as error:
        raise ImageError(f"{UNREADABLE}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What pyarrow says, in one phrase."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return (str(error).splitlines() or [type(error).__name__])[0].split(". Detail:")[0].rstrip(".")[:200]


def _is_file(uri: str) -> bool:
    return uri.lower().startswith("file:")


@cache
def _root(uri: str) -> tuple[Any, str]:
    """Once for each bucket or host: a store may be asked over the network where its bucket is."""
    import pyarrow
    from pyarrow import fs

    try:
        found: tuple[Any, str] = fs.FileSystem.from_uri(f"{uri}/")
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"cannot reach {uri}: {reason(error)}; name a path, or a URI such as s3://bucket/x") from error
    return found
