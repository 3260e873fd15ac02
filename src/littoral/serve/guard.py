"""What stands before every route: the key, a full queue, headers that keep a browser careful, a log line, the last
catch of errors.

It is plain ASGI around the API. Nothing of an image's content is logged, and no stack trace leaves the server.
"""

from __future__ import annotations

import hmac
import logging
import time
import traceback
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from littoral.serve.problems import FAULT, RETRY, ProblemError, full, problem_response

LOG = logging.getLogger("littoral.serve")

LOCKED = ("/v1/", "/metrics")
"""Paths, by how they begin, that need the key where there is one; the page itself asks for it."""

PREDICT = "/v1/predict"
"""The path that images are sent to."""

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page may use what this server gives it, and pictures that it made itself."""

HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

GONE = 499
"""In the log and the figures, where a client went away before it was answered."""


NO_KEY = ProblemError(401, "this needs the header Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})

CROWDED = ProblemError(
    429, "as many connections are open as may be: try again in a second", RETRY | {"Connection": "close"}
)


class Guard:
    """The API with the guard before it.

    `key` None: no key is asked for. `full`: whether there is no room for an image, so that a request with one is
    refused before its body is looked at. `seen`: told path, status and seconds.
    """

    def __init__(
        self, app: ASGIApp, key: str | None, full: Callable[[], bool], seen: Callable[[str, int, float], None]
    ) -> None:
        self._app = app
        self._wanted = None if key is None else f"Bearer {key}".encode()
        self._full = full
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            problem = self._problem(scope)
            await self._guarded(problem_response(problem) if problem else self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def crowded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request that came on a connection too many, and have the connection closed."""
        await self._guarded(problem_response(CROWDED), scope, receive, send)

    async def _guarded(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        start = time.perf_counter()
        status = 0

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await app(scope, receive, guarded)
        except ClientDisconnect:
            status = GONE
        except Exception as error:
            if not status:
                await problem_response(FAULT)(scope, receive, guarded)
            LOG.error("fault", extra={"told": {"error": type(error).__name__, "trace": _trace(error)}})
        seconds = time.perf_counter() - start
        self._seen(_path(scope), status or GONE, seconds)
        told = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status or GONE,
            "ms": round(1000 * seconds, 2),
        }
        LOG.info("request", extra={"told": told})

    def _problem(self, scope: Scope) -> ProblemError | None:
        """Why the request goes no further; None where it may."""
        path = _path(scope)
        if self._wanted is not None and path.startswith(LOCKED):
            given = Headers(scope=scope).get("authorization", "")
            if not hmac.compare_digest(given.encode("latin-1"), self._wanted):
                return NO_KEY
        return full() if path == PREDICT and self._full() else None


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _trace(error: Exception) -> list[str]:
    """Where it happened, by file and line; messages may quote what a client sent and are left out."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
