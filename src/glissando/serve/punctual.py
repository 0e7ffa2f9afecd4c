"""Connections that are closed where no request comes: uvicorn waits for the first one, or the rest of one, for ever."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["punctual"]


class _Punctual(H11Protocol):
    """uvicorn's connection, with a limit of time for the head of each request."""

    seconds: ClassVar[float]
    _alarm: asyncio.TimerHandle | None = None

    @property
    def _answering(self) -> bool:
        """Whether the head of a request is there that has not been answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._alarm = self.loop.call_later(self.seconds, self._close_unless_answering)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._answering:
            self._forget_alarm()
        elif self._alarm is None:
            self._alarm = self.loop.call_later(self.seconds, self._close_unless_answering)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_alarm()
        super().connection_lost(exc)

    def _close_unless_answering(self) -> None:
        self._alarm = None
        if not self._answering:
            self.transport.close()

    def _forget_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


def punctual(limit: float) -> type[Any]:
    """The class of connections whose requests' heads may take ``limit`` seconds."""

    class Punctual(_Punctual):
        seconds = limit

    return Punctual
