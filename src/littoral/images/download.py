"""One file from the first of its homes that gives it: resumed where it was cut off, and checked before it has its name.

What arrives is kept as `<name>.part` until it is whole. It takes its name only with the right checksum, so that a file
of that name is never a broken one.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from littoral.errors import InputError
from littoral.files import one_at_a_time
from littoral.version import __version__

TIMEOUT = 30.0
"""Seconds without a byte after which a server is given up."""

ATTEMPTS = 3
"""At one server: each goes on where the one before was cut off."""

_CHUNK = 1 << 20


class _ServerError(Exception):
    """This server does not give the file; the message says why, in a phrase."""


class _CutOffError(_ServerError):
    """It gave a part of it: asking again can help."""


def fetch(
    urls: Sequence[str],
    target: Path,
    checksums: Sequence[str],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    timeout: float = TIMEOUT,
) -> None:
    """Download `target` from the first of `urls` that gives a file with one of these checksums (`sha256:…`, `md5:…`).

    `on_progress(done, total)` is told bytes, those of an earlier attempt included; total is 0 where the server does not
    say. Several processes may ask for one file: one downloads it and the others wait.
    Raises InputError when no server gives it, naming each and the reason, and when the folder cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(target.with_name(f".{target.name}.lock")):
            if target.is_file() and mismatch(target, checksums) is None:
                return  # another process was faster
            failures = []
            for url in urls:
                try:
                    _complete(url, part, checksums, on_progress, timeout)
                except _ServerError as failure:
                    failures.append(f"{url} ({failure})")
                else:
                    os.replace(part, target)
                    return
    except OSError as error:  # of the disk; those of the network have become _ServerError
        raise InputError(f"cannot write {target}: {error.strerror}; make room or choose another folder") from error
    raise InputError(f"cannot download {target.name} from {' or '.join(failures)}")


def mismatch(file: Path, checksums: Sequence[str]) -> str | None:
    """None when one of the checksums is the file's, else the file's own, of the same kind as the first of them."""
    own: dict[str, str] = {}
    for checksum in checksums:
        kind = checksum.split(":")[0]
        if kind not in own:
            own[kind] = f"{kind}:{_digest(file, kind)}"
        if own[kind] == checksum:
            return None
    return own[checksums[0].split(":")[0]]


def _digest(file: Path, kind: str) -> str:
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def _complete(
    url: str, part: Path, checksums: Sequence[str], on_progress: Callable[[int, int], None], timeout: float
) -> None:
    """Make `part` a whole file with the right checksum, going on from what there is of it."""
    failure = ""
    for _ in range(ATTEMPTS):
        resumed = part.exists()
        if resumed and mismatch(part, checksums) is None:
            return  # whole, but the process ended before it was renamed
        try:
            _receive(url, part, on_progress, timeout)
        except _CutOffError as cut:
            failure = str(cut)
            continue
        found = mismatch(part, checksums)
        if found is None:
            return
        part.unlink()
        failure = f"what it gives has the checksum {found} instead of {' or '.join(checksums)}, and was deleted"
        if not resumed:
            break  # else the old part may have been of another file: once more from the start
    raise _ServerError(failure)


def _receive(url: str, part: Path, on_progress: Callable[[int, int], None], timeout: float) -> None:
    """Append to `part` what is missing of it, or write it anew where the server knows no ranges."""
    have = part.stat().st_size if part.exists() else 0
    with _open(url, have, timeout) as response:
        if have and response.status == 416:  # Range Not Satisfiable: the part is longer than the file
            part.unlink()
            raise _CutOffError("the part of an earlier download was too long, and was deleted")
        done, total = _extent(response)
        if done > have:
            raise _ServerError(f"asked for bytes from {have:,} on, it gives those from {done:,} on")
        with open(part, "r+b" if part.exists() else "wb") as handle:
            handle.seek(done)
            handle.truncate()
            while chunk := _read(response, done):
                handle.write(chunk)
                done += len(chunk)
                on_progress(done, total)
            handle.flush()
            os.fsync(handle.fileno())
    if done < total:
        raise _CutOffError(f"cut off after {done:,} of {total:,} bytes; the next attempt goes on from there")


def _open(url: str, have: int, timeout: float) -> HTTPResponse | HTTPError:
    """The answer to a request for the bytes from `have` on: 200, 206, or 416 where there are none."""
    if not url.startswith(("https://", "http://")):
        raise _ServerError("only https and http addresses are downloaded")
    headers = {"User-Agent": f"littoral/{__version__}", "Accept-Encoding": "identity"}
    request = Request(url, headers=headers | ({"Range": f"bytes={have}-"} if have else {}))  # noqa: S310 - see above
    try:
        response: HTTPResponse = urlopen(request, timeout=timeout)  # noqa: S310 - see above
    except HTTPError as error:
        if have and error.code == 416:
            return error
        error.close()
        raise _ServerError(f"HTTP {error.code} {error.reason}") from error
    except (URLError, OSError, HTTPException) as error:
        raise _ServerError(_reason(error)) from error
    return response


def _read(response: HTTPResponse | HTTPError, done: int) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, HTTPException) as error:
        raise _CutOffError(
            f"cut off after {done:,} bytes: {_reason(error)}; the next attempt goes on from there"
        ) from error


def _extent(response: HTTPResponse | HTTPError) -> tuple[int, int]:
    """(number of the first byte in the answer, size of the whole file or 0 when the server does not say)."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if match is None:
            raise _ServerError("it gives a part of the file without saying which")
        return int(match[1]), 0 if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else 0


def _reason(error: Exception) -> str:
    """What went wrong in the network, in a few words."""
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause) or type(cause).__name__
