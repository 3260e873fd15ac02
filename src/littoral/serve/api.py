"""The routes: what is asked for, in what order the parts of the server are called, and how each error is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from littoral.errors import ImageError
from littoral.images.decode import quiet_pillow
from littoral.serve.about import model_about
from littoral.serve.answers import Predictions, failure, prediction
from littoral.serve.batching import Batcher, FullError
from littoral.serve.bodies import Bodies, Upload, uploads
from littoral.serve.decoding import Decoder
from littoral.serve.documents import BODIES, ModelAbout, problems
from littoral.serve.explain import explanation
from littoral.serve.guard import PREDICT, Guard
from littoral.serve.metrics import Metrics
from littoral.serve.problems import FAULT, ProblemError, full, problem_response
from littoral.serve.served import Images, Outputs, Served
from littoral.serve.settings import Limits
from littoral.serve.watching import EVERY, Current
from littoral.version import __version__


class Service:
    """A model, and all that answers with it: made before the server listens, running while the API does."""

    def __init__(
        self, place: Path, limits: Limits, threads: int = 1, split: bool = False, every: float = EVERY
    ) -> None:
        self.limits = limits
        self.metrics = Metrics(lambda: self.batcher.held)
        self.batcher = Batcher(limits.waiting, limits.at_once, self.metrics.batch)
        self.bodies = Bodies(limits)
        self.decoder = Decoder(limits.pixels)
        self.current = Current(place, threads, split, self._changed, every)
        self.metrics.model(self.current.served.version)
        self.ready = False

    @asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        """Answering, from the first request to the last."""
        with quiet_pillow():
            tasks = [asyncio.create_task(self.batcher.run()), asyncio.create_task(self.current.watch())]
            self.ready = True
            try:
                yield
            finally:
                self.ready = False
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self.decoder.close()

    async def predict(self, request: Request, top: int, explain: bool) -> dict[str, Any]:
        """The answer to a request for predictions, in the form of `Predictions`; raises ProblemError."""
        with self.bodies.room(request):
            body = await self.bodies.read(request)
            served = self.current.served
            try:
                async with asyncio.timeout(self.limits.deadline):
                    found = await uploads(request.headers.get("content-type", ""), body, self.limits.images)
                    with self.batcher.place(len(found)):
                        answers = await self._answers(served, found, top, explain)
            except TimeoutError as error:
                late = f"no answer within {self.limits.deadline:g} seconds: send fewer images at a time"
                raise ProblemError(504, late) from error
            except FullError as error:
                raise full() from error
        return {"model": served.version, "predictions": answers}

    async def _answers(self, served: Served, found: list[Upload], top: int, explain: bool) -> list[dict[str, Any]]:
        classes = served.model.class_names
        decoded = [await self._decoded(upload, served) for upload in found]
        if not found[0].listed and isinstance(decoded[0], str):
            raise ProblemError(422, f"the image {decoded[0]}")

        async def ask_whole(images: Images) -> Outputs:
            return await self.batcher.answer(served.whole(), images)

        readable = [image for image in decoded if isinstance(image, np.ndarray)]
        outputs = await self.batcher.answer(served, np.stack(readable)) if readable else {}
        answers: list[dict[str, Any]] = []
        row = 0
        for upload, image in zip(found, decoded, strict=True):
            if isinstance(image, str):
                answers.append(failure(upload.name, image))
                self.metrics.image("unreadable")
                continue
            looks = (
                await explanation(ask_whole, image, int(outputs["label"][row]), self.limits.at_once)
                if explain and not row
                else None
            )
            answers.append(prediction(outputs, row, classes, top, upload.name, looks))
            self._count(answers[-1])
            row += 1
        return answers

    async def _decoded(self, upload: Upload, served: Served) -> np.ndarray[Any, np.dtype[np.uint8]] | str:
        """The image, or why there is none."""
        if upload.content is None:
            return "is not base64"
        try:
            return await self.decoder.decode(upload.content, served.spec)
        except ImageError as error:
            return str(error)

    def _count(self, answer: dict[str, Any]) -> None:
        accepted, shallow, deep = answer["accepted"], answer["shallow"], answer["deep"]
        self.metrics.image("no threshold" if accepted is None else "accepted" if accepted else "not sure")
        if shallow is not None and deep is not None:
            self.metrics.opinions(shallow["label"] == deep["label"])
        if answer["exited"] is not None:
            self.metrics.exit(answer["exited"])

    def _changed(self, taken: bool) -> None:
        self.metrics.change(taken)
        self.metrics.model(self.current.served.version)


def build_api(service: Service, locked: bool = False, root_path: str = "") -> FastAPI:
    """The routes over a service. The document says that they are at `root_path`, and, where `locked`, need a key."""
    api = FastAPI(
        title="littoral",
        version=__version__,
        summary="Labels for images, from one model",
        lifespan=service.running,
        servers=[{"url": root_path or "/"}],
        root_path_in_servers=False,
        docs_url=None,  # their pages would load scripts from elsewhere
        redoc_url=None,
    )
    security: dict[str, Any] = {"security": [{"key": []}]} if locked else {}

    @api.post(
        PREDICT,
        response_model=Predictions,
        responses=problems(400, 408, 413, 415, 422, 429, 504, locked=locked),
        openapi_extra={"requestBody": BODIES, **security},
        operation_id="predict",
        tags=["v1"],
    )
    async def predict(
        request: Request,
        top: Annotated[
            int,
            Query(ge=1, le=1000, description="Classes to name, the most probable first; all where there are fewer."),
        ] = 1,
        explain: Annotated[
            bool, Query(description="Say which places the answer for the first image rests on.")
        ] = False,
    ) -> Response:
        """Labels for one image (the body is the file) or for several (multipart files, or base64 in JSON)."""
        return _json(await service.predict(request, top, explain))

    @api.get(
        "/v1/model",
        response_model=ModelAbout,
        responses=problems(locked=locked),
        openapi_extra=security,
        operation_id="model",
        tags=["v1"],
    )
    async def model() -> Response:
        """The model that answers: its classes, its images, how it was made and how well it did."""
        return _json(model_about(service.current.served, service.limits))

    @api.get("/healthz", operation_id="healthz", tags=["state"])
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @api.get("/readyz", responses=problems(503), operation_id="readyz", tags=["state"])
    async def readyz() -> dict[str, str]:
        """The model answers."""
        if not service.ready:
            raise ProblemError(503, "the server starts or stops")
        return {"status": "ok", "model": service.current.served.version}

    @api.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(locked=locked)},
        openapi_extra=security,
        operation_id="metrics",
        tags=["state"],
    )
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    page = Path(str(files("littoral.serve") / "page"))

    @api.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        return FileResponse(page / "index.html", headers={"Cache-Control": "no-cache"})

    api.mount("/page", StaticFiles(directory=page))
    _tell_errors_as_problems(api)
    if locked:
        _declare_key(api)
    return api


def create_app(service: Service, key: str | None = None, root_path: str = "") -> Guard:
    """The whole server as one ASGI application.

    `key`: what clients of the API have to send, None where nothing. `root_path`: where a proxy has put the server.
    """
    api = build_api(service, key is not None, root_path)
    return Guard(api, key, lambda: service.batcher.full, service.metrics.request)


def _json(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"), media_type="application/json")


def _tell_errors_as_problems(api: FastAPI) -> None:
    @api.exception_handler(ProblemError)
    async def ours(_: Request, problem: ProblemError) -> Response:
        return problem_response(problem)

    @api.exception_handler(HTTPException)
    async def of_the_framework(_: Request, error: HTTPException) -> Response:
        return problem_response(ProblemError(error.status_code, str(error.detail), error.headers))

    @api.exception_handler(Exception)
    async def of_the_server(_: Request, error: Exception) -> Response:  # the guard, to which it is raised next, logs it
        return problem_response(FAULT)

    @api.exception_handler(RequestValidationError)
    async def of_a_parameter(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return problem_response(ProblemError(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"))


def _declare_key(api: FastAPI) -> None:
    """Say in the OpenAPI document what the key is; the guard asks for it."""
    document = api.openapi()
    document.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
