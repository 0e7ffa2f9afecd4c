"""The service on a port, with uvicorn."""

from __future__ import annotations

import uvicorn
from starlette.types import ASGIApp

from .app import create_app
from .logs import configuration
from .punctual import punctual
from .settings import Settings

__all__ = ["run", "server_for"]


def server_for(app: ASGIApp, settings: Settings, host: str, port: int, log_level: str = "info") -> uvicorn.Server:
    """The server of an application, not yet started. ``port``: 0 for any that is free.

    At its end it stops to listen, and finishes the requests that it has taken, as far as their limits of time allow.
    """
    config = uvicorn.Config(
        app,
        host,
        port,
        http=punctual(settings.transfer_seconds),
        ws="none",
        log_config=configuration(log_level),
        access_log=False,  # what surrounds the application writes a line for each request
        lifespan="on",
        limit_concurrency=settings.max_connections,
        timeout_graceful_shutdown=round(settings.max_seconds + settings.transfer_seconds) + 1,
        server_header=False,
    )
    return uvicorn.Server(config)


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    server_for(create_app(settings), settings, host, port).run()
