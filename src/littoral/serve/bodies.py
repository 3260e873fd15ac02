"""The body of a request -> the images in it: one as it is, several as multipart, several as base64 in JSON.

All is held in memory within limits; nothing is written to disk. Leaves to others: what is in an image (decoding.py).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sys
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from pydantic import Field, ValidationError
from pydantic_core import from_json
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from littoral.serve.answers import Form
from littoral.serve.problems import RETRY, ProblemError
from littoral.serve.settings import Limits


@dataclass(frozen=True)
class Upload:
    """An image as it came, None where it was not base64; and its file name where it had one.

    `listed`: it is one of a list, if only of one.
    """

    name: str | None
    content: bytes | None
    listed: bool = True


class EncodedImages(Form):
    """Images in JSON: each an image file in base64."""

    images: list[str] = Field(
        min_length=1,
        examples=[["iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="]],
    )


class Bodies:
    """Reads bodies, and counts the bytes of all that are held."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    @contextlib.contextmanager
    def room(self, request: Request) -> Iterator[None]:
        """Room for the body of a request; raises ProblemError 413 where it is too long, 429 where there is none."""
        told = request.headers.get("content-length", "")
        size = int(told) if told.isascii() and told.isdigit() else self._limits.request_bytes
        if size > self._limits.request_bytes:
            raise self._too_long()
        if self._held + size > self._limits.held_bytes:
            raise ProblemError(429, "the server holds as many bytes as it may: try again in a second", RETRY)
        self._held += size
        try:
            yield
        finally:
            self._held -= size

    async def read(self, request: Request) -> bytes:
        """The whole body; raises ProblemError 413 where it is too long, 408 where it comes too slowly."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._limits.slow):
                async for part in request.stream():
                    size += len(part)
                    if size > self._limits.request_bytes:
                        raise self._too_long()
                    parts.append(part)
        except TimeoutError as error:
            raise ProblemError(408, f"the body did not arrive within {self._limits.slow:g} seconds") from error
        return b"".join(parts)

    def _too_long(self) -> ProblemError:
        most = self._limits.request_bytes
        detail = f"a request may have {most:,} bytes: send fewer or smaller images"
        return ProblemError(413, detail, {"Connection": "close"})


async def uploads(content_type: str, body: bytes, most: int) -> list[Upload]:
    """The images in a body, 1 to `most`; raises ProblemError 400, 413, 415 or 422 where there are none or too many."""
    kind = content_type.split(";", 1)[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        found = [Upload(None, body, listed=False)]
    elif kind == "application/json":
        found = _in_json(body, most)
    elif kind == "multipart/form-data":
        found = await _in_multipart(content_type, body, most)
    else:
        raise ProblemError(
            415,
            "images come as image/*, application/octet-stream, multipart/form-data or application/json, "
            f"got {kind[:100] or 'no content type'}",
        )
    if not found:
        raise ProblemError(422, "the request has no image")
    return found


def _in_json(body: bytes, most: int) -> list[Upload]:
    # looked at before millions of small things are made of it: plain base64 has none of these signs, a data URL has two
    commas = body.count(b",")
    if body.count(b"[") > 1 or body.count(b"{") > 1 or (commas >= most and body.count(b":") > 1):
        raise ProblemError(
            422,
            'expected {"images": [base64, …]}, plain base64 without `data:…,`, and no other lists, objects or fields',
        )
    if commas >= most:
        raise ProblemError(413, f"a request may have {most} images, got {commas + 1:,}: send several requests")
    try:
        told = from_json(body)
    except ValueError as error:
        raise ProblemError(422, f'expected {{"images": [base64, …]}}; body: {error}') from error
    try:
        encoded = EncodedImages.model_validate(told).images
        return [Upload(None, _plain(text)) for text in encoded]
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise ProblemError(422, f'expected {{"images": [base64, …]}}; {place}: {first["msg"]}') from error


def _plain(encoded: str) -> bytes | None:
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        return None


class _InMemory(MultiPartParser):
    """Starlette's parser, which otherwise lays files of over a megabyte on the disk."""

    spool_max_size = sys.maxsize


async def _in_multipart(content_type: str, body: bytes, most: int) -> list[Upload]:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    from starlette.datastructures import Headers

    parser = _InMemory(Headers({"content-type": content_type}), whole(), max_files=most, max_fields=1)
    try:
        form = await parser.parse()
    except UnicodeError as error:  # of a charset that is none
        raise ProblemError(400, "the multipart body cannot be read: its charset is unknown") from error
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise ProblemError(413, f"a request may have {most} images: send several requests") from error
        raise ProblemError(400, f"the multipart body cannot be read: {error.message}") from error
    try:
        found = []
        for name, value in form.multi_items():
            if not isinstance(value, UploadFile):
                raise ProblemError(422, f"each part has to be a file, with a file name; {name[:100]!r} is not")
            found.append(Upload(value.filename or None, await value.read()))
        return found
    finally:
        await form.close()
