"""Routes as values: what each takes and gives stands in one place, for requests and for their description."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from glissando.errors import GlissandoError, InputError

from .bodies import Body
from .parameters import Parameter, parsed
from .problems import problem_of
from .service import Service

__all__ = ["ROUTE", "Endpoint", "Given"]

ROUTE = "glissando.route"
"""Where a request's scope says which of our routes it took."""
GONE = 499
"""The status that the log has for a client that went away; nobody receives it."""

log = logging.getLogger("glissando.serve")


@dataclass(frozen=True)
class Given:
    """What a request brought.

    Attributes:
        values: of its parameters, by their names.
        parts: the files of its form, by their names; a body that is no form is the endpoint's first part.
    """

    values: Mapping[str, Any]
    parts: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Endpoint:
    """A route.

    Attributes:
        method: "GET" or "POST".
        path: with parameters in braces; these are matched before they are unquoted, so that a slash may be in one.
        handler: what answers.
        summary: what it does, a sentence.
        parameters: what it takes; of the query, or of a form.
        parts: the files that its body may hold as a form, and what they are; a body that is no form is taken for the
            first.
        needed: those parts that a request must have; the first one unless given.
        gives: media types of its answer.
        statuses: of answers besides 200 and errors, and what they mean.
    """

    method: str
    path: str
    handler: Callable[[Service, Request, Given], Awaitable[Response]]
    summary: str
    parameters: tuple[Parameter, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)
    gives: tuple[str, ...] = ("application/json",)
    statuses: Mapping[int, str] = field(default_factory=dict)
    needed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "needed", self.needed or tuple(self.parts)[:1])

    def route(self, service: Service) -> Route:
        """The route of a service."""
        return _RawRoute(self.path, _Handler(self, service), methods=[self.method])

    async def given(self, request: Request) -> Given:
        """What a request brought. Raises InputError, HTTPException, and what ``Body`` does."""
        texts = list(request.query_params.multi_items())
        parts: dict[str, bytes] = {}
        if self.parts:
            if request.headers.get("content-type", "").split(";")[0].strip().lower() == "multipart/form-data":
                async with request.form(max_files=len(self.parts), max_fields=len(self.parameters)) as form:
                    for name, value in form.multi_items():
                        if not isinstance(value, UploadFile):
                            texts.append((name, value))
                        elif name in parts or name not in self.parts:
                            wanted = " and ".join(self.parts)
                            raise InputError(f"a form has the files {wanted}, each once at most; not {name[:80]!r}")
                        else:
                            parts[name] = await value.read()
            else:
                parts = {next(iter(self.parts)): await request.body()}
            for needed in self.needed:
                if not parts.get(needed):
                    where = "the body is empty" if len(self.needed) == 1 else f"there is no file {needed!r} in the form"
                    raise InputError(f"{where}; it has to be {self.parts[needed]}")
        own = [parameter for parameter in self.parameters if parameter.place == "query"]
        values = parsed(own, texts)
        for parameter in self.parameters:
            if parameter.place == "path":
                values[parameter.name] = parameter.parse(request.path_params[parameter.name])
        return Given(values, parts)


class _RawRoute(Route):
    """A route that is matched by the path as it was sent: %2F is a part of a parameter and no border of two."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        raw = scope.get("raw_path") or quote(scope["path"]).encode()
        match, child = super().matches({**scope, "path": raw.decode("latin-1")})
        if match is not Match.NONE:
            child["path_params"] = {name: unquote(value) for name, value in child["path_params"].items()}
        return match, child


class _Handler:
    """The ASGI application of one endpoint: it reads what was given, answers, and makes problems of errors."""

    def __init__(self, endpoint: Endpoint, service: Service) -> None:
        self._endpoint, self._service = endpoint, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[ROUTE] = self._endpoint.path
        body = Body(scope, receive, self._service.settings, self._service.held)
        request = Request(scope, body)
        try:
            response = await self._response(request, body)
            size = len(response.body) if hasattr(response, "body") else 0
            self._service.held.keep(size)
            try:
                await response(scope, body, send)
            finally:
                self._service.held.release(size)
        finally:
            self._service.metrics.bytes_in.inc(body.bytes)
            body.release()

    async def _response(self, request: Request, body: Body) -> Response:
        try:
            if request.method == "POST" and request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
                raise HTTPException(403, "pages of other sites may not ask this service for work")
            if self._endpoint.parts:
                self._service.pool.check_room()  # before a body is read that nobody would look at
                body.check_declared()
            return await self._endpoint.handler(self._service, request, await self._endpoint.given(request))
        except ClientDisconnect:
            return Response(status_code=GONE)
        except Exception as error:
            if not isinstance(error, GlissandoError | HTTPException):
                log.exception("unexpected", extra={"path": request.url.path})
            elif error.__cause__ is not None:
                log.error("worker failed", exc_info=error, extra={"path": request.url.path})
            await body.drain()
            return problem_of(error, retry_after=self._service.pool.retry_after)
