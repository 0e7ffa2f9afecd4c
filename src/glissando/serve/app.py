"""The service as an ASGI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from . import coding, health, images, trying
from .bodies import Held
from .endpoints import Endpoint, Given
from .folder import REMEMBERED, Folder
from .jobs import WarmJob
from .metrics import Metrics
from .observed import Observed
from .openapi import description
from .page_files import PageFiles
from .pool import Pool
from .problems import problem_of
from .remembered import Remembered
from .service import Service
from .settings import Settings

__all__ = ["ENDPOINTS", "create_app"]

log = logging.getLogger("glissando.serve")


async def openapi(service: Service, request: Request, given: Given) -> Response:
    """GET /openapi.json."""
    return JSONResponse(description(ENDPOINTS))


ENDPOINTS = (
    *coding.ENDPOINTS,
    *images.ENDPOINTS,
    *trying.ENDPOINTS,
    *health.ENDPOINTS,
    Endpoint("GET", "/openapi.json", openapi, "This description."),
)


class _OpenToPages:
    """An application of which the pages of other sites may read /img, as the IIIF Image API asks, and nothing else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open = CORSMiddleware(app, allow_origins=["*"], allow_methods=["GET", "HEAD"], allow_headers=["*"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shown = scope["type"] == "http" and scope["path"].startswith("/img/")
        await (self._open if shown else self._app)(scope, receive, send)


def create_app(settings: Settings | None = None) -> Starlette:
    """The service with these settings, the usual ones unless given, for any ASGI server.

    Its workers are started and ended by the application's lifespan.
    """
    settings = settings or Settings()
    metrics = Metrics()

    def died(reason: str) -> None:
        metrics.workers_lost.labels(reason).inc()
        log.warning("worker lost", extra={"reason": reason})

    pool = Pool(settings, WarmJob(), died)
    folder = None if settings.folder is None else Folder(Path(settings.folder))
    service = Service(settings, pool, Held(settings.held_bytes), metrics, folder, Remembered(REMEMBERED))
    metrics.watch("jobs_running", "Jobs that workers are at.", lambda: pool.running)
    metrics.watch("jobs_waiting", "Jobs that wait for a worker.", lambda: pool.waiting)
    metrics.watch("held_bytes", "Bytes of bodies and answers in memory.", lambda: service.held.now)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with pool:
            yield

    async def problem(request: Request, error: Exception) -> Response:
        return problem_of(error)

    app = Starlette(
        routes=[
            *(endpoint.route(service) for endpoint in ENDPOINTS),
        ],
        middleware=[
            Middleware(Observed, metrics=metrics, seconds=settings.transfer_seconds),
            Middleware(_OpenToPages),
        ],
        exception_handlers={HTTPException: problem},
        lifespan=lifespan,
    )
    # Not mounted: as a route for all paths it would answer a wrong method of another route with 404.
    app.router.redirect_slashes = False
    app.router.default = PageFiles()
    app.state.service = service
    return app
