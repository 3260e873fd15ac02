"""Errors as problem documents (RFC 9457): one form for all that a client did wrong and all that went wrong here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """A request that cannot be answered: the status, one sentence for who sent it, and headers that go with it."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


RETRY = {"Retry-After": "1"}

FAULT = ProblemError(500, "a fault of the server's; its log says more")


def full() -> ProblemError:
    """There is no room for an image now. Made anew each time: an error that is raised again keeps all its traces."""
    return ProblemError(429, "as many images wait as may: try again in a second", RETRY)


def problem_response(problem: ProblemError) -> Response:
    """The problem as a response. Its type is "about:blank": the status says which kind it is."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    content = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return Response(content, problem.status, problem.headers, MEDIA_TYPE)
