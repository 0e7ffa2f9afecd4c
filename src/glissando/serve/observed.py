"""What surrounds every request: it is counted and logged, and its answer is sent in pieces that a client must take."""

from __future__ import annotations

import asyncio
import logging
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .endpoints import GONE, ROUTE
from .metrics import Metrics

__all__ = ["Observed"]

PIECE = 2**18
"""Bytes of an answer that are given to the server at once, so that it never holds more of one."""

log = logging.getLogger("glissando.serve")


class Observed:
    """An ASGI application around another. ``seconds``: how long a client may take for a piece of an answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics, seconds: float) -> None:
        self._app, self._metrics, self._seconds = app, metrics, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, sent = time.perf_counter(), GONE, 0

        async def passed(message: Message) -> None:
            try:
                async with asyncio.timeout(self._seconds):
                    await send(message)
            except (TimeoutError, OSError):
                raise ClientDisconnect from None

        async def observed(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-content-type-options", b"nosniff")]
                await passed(message)
                return
            body = message.get("body", b"")
            sent += len(body)
            for place in range(0, max(len(body), 1), PIECE):
                last = place + PIECE >= len(body)
                more = message.get("more_body", False) or not last
                await passed({**message, "body": body[place : place + PIECE], "more_body": more})

        try:
            await self._app(scope, receive, observed)
        except ClientDisconnect:
            status = GONE
        finally:
            seconds, route = time.perf_counter() - start, scope.get(ROUTE, "none")
            self._metrics.requests.labels(route, _method(scope["method"]), str(status)).inc()
            self._metrics.request_seconds.labels(route).observe(seconds)
            self._metrics.bytes_out.inc(sent)
            client = scope.get("client")
            log.info(
                "request",
                extra={
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "ms": round(1000 * seconds, 1),
                    "bytes": sent,
                    "client": client[0] if client else None,
                },
            )


def _method(method: str) -> str:
    """A request's method as a label; clients can make up any number of others."""
    return method if method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH") else "other"
