"""The control: the server with one more route, which reads the body and gives an answer of the same size, and no more.

python control.py EXPORTED   # says its port on standard output
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from littoral.serve.answers import Predictions
from littoral.serve.api import Service, build_api
from littoral.serve.guard import Guard
from littoral.serve.server import listen, log_to_stderr, run_server
from littoral.serve.settings import Limits


def main(exported: Path) -> None:
    """Serve both routes: same middleware, log, parameters and form of answer."""
    limits = Limits()
    service = Service(exported, limits)
    api = build_api(service)
    answer = (Path(__file__).parent / "answer.json").read_bytes()

    @api.post("/nothing", response_model=Predictions)
    async def nothing(
        request: Request, top: Annotated[int, Query(ge=1, le=1000)] = 1, explain: Annotated[bool, Query()] = False
    ) -> Response:
        await request.body()
        return Response(answer, media_type="application/json")

    opened = listen("127.0.0.1", 0)
    print(opened.getsockname()[1], flush=True)
    log_to_stderr()
    run_server(Guard(api, None, lambda: service.batcher.full, service.metrics.request), opened, "", limits)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
