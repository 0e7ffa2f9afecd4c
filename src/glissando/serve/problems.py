"""What errors become: problem documents (RFC 9457) with the status that fits, and the name of our exception."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from glissando.errors import (
    FormatError,
    GlissandoError,
    InputError,
    LimitError,
    OverloadedError,
    PictureError,
    ServiceError,
    TargetError,
    UnknownModelError,
)

__all__ = ["MEDIA_TYPE", "problem_of", "status_of"]

MEDIA_TYPE = "application/problem+json"

# The first class that an error is of counts.
_STATUS: tuple[tuple[type[GlissandoError], int], ...] = (
    (OverloadedError, 429),
    (ServiceError, 503),
    (LimitError, 413),
    (FormatError, 422),
    (PictureError, 422),
    (TargetError, 422),
    (UnknownModelError, 422),
    (InputError, 400),
)


def status_of(error: Exception) -> int:
    """The HTTP status that an error becomes; 500 for one that is nobody's fault but ours."""
    if isinstance(error, HTTPException):
        return error.status_code
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem_of(error: Exception, *, retry_after: int | None = None) -> JSONResponse:
    """The answer to a request that raised an error.

    ``retry_after``: seconds that the client should wait, where the error is one that passes. What an error that is
    not ours says is kept to ourselves.
    """
    status = status_of(error)
    headers: Mapping[str, str] = {}
    content: dict[str, object] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    if isinstance(error, HTTPException):
        content["detail"] = error.detail
        headers = error.headers or {}
    elif isinstance(error, GlissandoError):
        content |= {"detail": " ".join(str(error).split()), "error": type(error).__name__}
        if retry_after is not None and isinstance(error, ServiceError):
            headers = {"Retry-After": str(retry_after)}
    else:
        content["detail"] = "an unexpected error; the service's log has it"
    return JSONResponse(content, status, headers, MEDIA_TYPE)
