"""The addresses of the server: /predict, /health, /metrics and /openapi.json."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mocliplite.errors import MachineError, UserError
from mocliplite.files import temporary_folder
from mocliplite.predict.json_row import json_row
from mocliplite.serving.access import HEALTH, guarded
from mocliplite.serving.batches import STOPPING, Batches, Predict, RecognizerError, UnavailableError
from mocliplite.serving.clips import PARAMETERS, Settings, clip_of
from mocliplite.serving.metrics import Metrics
from mocliplite.serving.openapi import document

PREDICT, METRICS, OPENAPI = "/predict", "/metrics", "/openapi.json"
ADDRESSES = (PREDICT, HEALTH, METRICS, OPENAPI)
RETRY_AFTER = 1  # seconds
DISCONNECTED = 499  # in the metrics: the client has closed the connection


def application(predict: Predict, settings: Settings) -> Starlette:
    """Return the application that answers with predict, the method of a recogniser."""
    metrics, batches = Metrics(), Batches(predict, settings.queue)
    app = Starlette(
        routes=[
            Route(PREDICT, _predict, methods=["POST"]),
            Route(HEALTH, _health),
            Route(METRICS, _metrics),
            Route(OPENAPI, _openapi),
        ],
        middleware=[
            Middleware(_counted, metrics=metrics),
            Middleware(_closing, batches=batches),
            Middleware(guarded, token=settings.token),
        ],
        exception_handlers={
            HTTPException: _refused,
            UnavailableError: _unavailable,
            RecognizerError: _failed,
            ClientDisconnect: _disconnected,
        },
        lifespan=_lifespan,
    )
    app.state.settings, app.state.metrics, app.state.batches = settings, metrics, batches
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    with temporary_folder() as app.state.uploads:
        batches = asyncio.create_task(app.state.batches.run())
        yield
        batches.cancel()


async def _predict(request: Request) -> Response:
    state = request.app.state
    top = _top(request)
    try:
        with state.batches.place():
            async with clip_of(request, state.settings, state.uploads) as clip:
                answer = await state.batches.classify(clip.path)
    except asyncio.CancelledError:
        # The server stops and has waited as long as it does.
        if not state.batches.stopping:
            raise
        raise UnavailableError(STOPPING) from None
    if isinstance(answer, UserError):
        sentence = str(answer).replace(clip.path, clip.name)
        if isinstance(answer, MachineError):
            raise UnavailableError(sentence)
        state.metrics.clips["failed"] += 1
        raise HTTPException(422, sentence)
    state.metrics.clips["classified"] += 1
    return JSONResponse(json_row(replace(answer, path=clip.name), top))


def _top(request: Request) -> int:
    for name in request.query_params:
        if name not in PARAMETERS:
            raise HTTPException(400, f"{name} is not a parameter; there are {', '.join(PARAMETERS)}.")
    top = request.query_params.get("top", "5")
    if not (top.isascii() and top.isdecimal() and len(top) < 10 and int(top)):
        raise HTTPException(400, f"top is {top!r}; it must be a whole number of at least 1.")
    return int(top)


async def _health(request: Request) -> Response:
    if request.app.state.batches.stopping:
        return JSONResponse({"status": "stopping"}, 503)
    return JSONResponse({"status": "ok"})


async def _metrics(request: Request) -> Response:
    text = request.app.state.metrics.text(request.app.state.batches)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


async def _openapi(request: Request) -> Response:
    return JSONResponse(document(request.app.state.settings))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = error.detail
    if error.status_code == 404:
        sentence = f"{request.url.path} is no address of this server; there are {', '.join(ADDRESSES)}."
    if error.status_code == 405:
        allowed = " or ".join(sorted((error.headers or {})["Allow"].split(", ")))
        sentence = f"{request.url.path} does not take {request.method}; send {allowed}."
    return JSONResponse({"error": sentence}, error.status_code, error.headers)


async def _unavailable(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 503, {"Retry-After": str(RETRY_AFTER)})


async def _failed(_: Request, error: Exception) -> Response:
    logging.getLogger(__name__).error("the recogniser failed", exc_info=error.__cause__)
    return JSONResponse({"error": "the recogniser failed; the output of the server says why."}, 500)


async def _disconnected(_: Request, __: Exception) -> Response:
    return Response(status_code=DISCONNECTED)


def _counted(app: ASGIApp, metrics: Metrics) -> ASGIApp:
    """Return an application that counts the requests to /predict."""

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PREDICT:
            await app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def watch(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await app(scope, receive, watch)
        finally:
            metrics.count(status, time.perf_counter() - start)

    return count


def _closing(app: ASGIApp, batches: Batches) -> ASGIApp:
    """Return an application that tells clients to open a new connection while the server stops."""

    async def close(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start" and batches.stopping:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await app(scope, receive, tell)

    return close
