"""The bodies of requests, read no further than the limits allow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope

from glissando.errors import LimitError, OverloadedError

from .settings import Settings

__all__ = ["Body", "Held", "unless_gone"]

DRAIN_SECONDS = 2.0
"""How long the rest of a refused body is read and thrown away, so that its sender gets to read the answer."""

Result = TypeVar("Result")


class Held:
    """Bytes of bodies and answers that the service has in memory, of all requests together, and their limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.now = 0

    def take(self, count: int) -> None:
        """Count some more bytes of a body. Raises OverloadedError where they are too many."""
        if self.now + count > self._most:
            raise OverloadedError("too many bytes of other requests are in memory already; try again later")
        self.now += count

    def keep(self, count: int) -> None:
        """Count some more bytes of an answer: it is there already, and keeps further bodies out if it is large."""
        self.now += count

    def release(self, count: int) -> None:
        """What was counted is gone."""
        self.now -= count


class Body:
    """What a request's ``receive`` gives, counted, in place of it.

    Raises, where it is called: LimitError for a body that is too long, OverloadedError where ``held`` has no room,
    HTTPException 408 where the body takes too long.
    """

    def __init__(self, scope: Scope, receive: Receive, settings: Settings, held: Held) -> None:
        self._receive, self._settings, self._held = receive, settings, held
        self._deadline = time.monotonic() + settings.transfer_seconds
        self._headers = dict(scope["headers"])
        self._kept = 0
        self.bytes = 0
        self.complete = False

    def check_declared(self) -> None:
        """Raises LimitError where the request's Content-Length says already that its body is too long."""
        declared = self._headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._settings.max_bytes:
            raise self._too_long()

    def _too_long(self) -> LimitError:
        return LimitError(f"the body has more than the limit of {self._settings.max_bytes:,} bytes")

    async def __call__(self) -> Message:
        if self.complete:
            return await self._receive()  # which waits until the client has gone
        try:
            async with asyncio.timeout(self._deadline - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(
                408, f"the body did not arrive in {self._settings.transfer_seconds:g} seconds"
            ) from None
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self.bytes += size
            self.complete = not message.get("more_body", False)
            if self.bytes > self._settings.max_bytes:
                raise self._too_long()
            self._held.take(size)
            self._kept += size
        return message

    async def drain(self) -> None:
        """Throw away the rest of a body that nobody wants, as far as it comes soon and is not too long.

        A connection that is closed while its client still sends loses the answer.
        """
        if b"expect" in self._headers:  # the client waits for a word before it sends anything
            return
        left = self._settings.max_bytes
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self.complete and left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    self.complete = message["type"] != "http.request" or not message.get("more_body", False)
        except TimeoutError:
            return

    def release(self) -> None:
        """The request is done; its bytes are gone."""
        self._held.release(self._kept)
        self._kept = 0


async def unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """What ``work`` gives; it is cancelled where the client goes away. Raises ClientDisconnect then.

    The request's body has been read, or there is none.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, watch = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return await task
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)
