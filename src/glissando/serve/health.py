"""The routes that tell of the service itself: /healthz, /metrics and /openapi.json."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .endpoints import Endpoint, Given
from .metrics import CONTENT_TYPE
from .service import Service

__all__ = ["ENDPOINTS"]


async def healthz(service: Service, request: Request, given: Given) -> Response:
    """GET /healthz: 200 while at least one worker lives."""
    alive = sum(worker.alive for worker in service.pool.workers)
    found = {
        "status": "ok" if alive else "no worker",
        "workers": alive,
        "running": service.pool.running,
        "waiting": service.pool.waiting,
    }
    return JSONResponse(found, 200 if alive else 503)


async def metrics(service: Service, request: Request, given: Given) -> Response:
    """GET /metrics."""
    return Response(service.metrics.text(), media_type=CONTENT_TYPE)


ENDPOINTS = (
    Endpoint("GET", "/healthz", healthz, "Whether requests can be answered."),
    Endpoint("GET", "/metrics", metrics, "Counters in Prometheus' text format.", gives=("text/plain",)),
)
