"""What the service counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The counters of one service, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        self.requests = Counter(
            "glissando_requests", "Requests that were answered.", ("route", "method", "status"), registry=own
        )
        self.request_seconds = Histogram(
            "glissando_request_seconds",
            "From a request's first byte to its answer's last.",
            ("route",),
            registry=own,
            buckets=_SECONDS,
        )
        self.job_seconds = Histogram(
            "glissando_job_seconds", "What workers took for their jobs.", ("job",), registry=own, buckets=_SECONDS
        )
        self.bytes_in = Counter("glissando_received_bytes", "Bytes of requests' bodies.", registry=own)
        self.bytes_out = Counter("glissando_sent_bytes", "Bytes of answers' bodies.", registry=own)
        self.workers_lost = Counter(
            "glissando_workers_lost",
            "Workers that died, or were ended as they took too long.",
            ("reason",),
            registry=own,
        )

    def watch(self, name: str, about: str, now: Callable[[], float]) -> None:
        """Show a number that is asked for whenever somebody looks."""
        Gauge(f"glissando_{name}", about, registry=self._registry).set_function(now)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)
