"""The routes for whoever tries settings, as the page does: /preview, /scores, /bits, /original, /compare, /offers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .coding import ENCODING, GLISS, encode_job
from .comparisons import FORMATS, CompareJob, FormatsJob
from .endpoints import Endpoint, Given
from .jobs import Answer
from .page_files import DECODER
from .parameters import Parameter
from .previews import BitsJob, OriginalJob, PreviewJob, ScoresJob
from .service import Service, answer_response

__all__ = ["ENDPOINTS"]

ABOUT = "Glissando-About"
"""The header that says of a picture what it is, in JSON."""

COMPARING = (
    Parameter(
        "format",
        {"type": "string", "enum": [*FORMATS]},
        "One of the formats that GET /compare names.",
        required=True,
    ),
    Parameter("bytes", {"type": "integer", "minimum": 1, "maximum": 10**9}, "That its file may have.", required=True),
)


async def preview(service: Service, request: Request, given: Given) -> Response:
    """POST /preview."""
    return answer_response(await service.answer(request, encode_job(service, given, PreviewJob)), GLISS)


async def bits(service: Service, request: Request, given: Given) -> Response:
    """POST /bits."""
    return _png(await service.answer(request, encode_job(service, given, BitsJob)))


async def scores(service: Service, request: Request, given: Given) -> Response:
    """POST /scores."""
    job = ScoresJob(given.parts["picture"], given.parts["file"], service.settings.max_pixels)
    return JSONResponse((await service.answer(request, job)).value)


async def original(service: Service, request: Request, given: Given) -> Response:
    """POST /original."""
    job = OriginalJob(given.parts["picture"], service.settings.max_pixels)
    return answer_response(await service.answer(request, job), "image/png")


async def compare(service: Service, request: Request, given: Given) -> Response:
    """POST /compare."""
    settings = service.settings
    job = CompareJob(
        given.parts["picture"],
        given.values["format"],
        given.values["bytes"],
        settings.max_pixels,
        settings.max_seconds,
    )
    return _png(await service.answer(request, job))


async def formats(service: Service, request: Request, given: Given) -> Response:
    """GET /compare."""
    return JSONResponse((await service.answer(request, FormatsJob())).value)


async def offers(service: Service, request: Request, given: Given) -> Response:
    """GET /offers."""
    settings = service.settings
    found: dict[str, Any] = {
        "max_effort": settings.max_effort,
        "max_bytes": settings.max_bytes,
        "max_pixels": settings.max_pixels,
        "decoder": DECODER.is_file(),
    }
    return JSONResponse(found)


def _png(answer: Answer) -> Response:
    """A picture, and in a header what it is."""
    data, about = answer.value
    plain = Answer(data, answer.notes, answer.seconds)
    return answer_response(plain, "image/png", **{ABOUT: json.dumps(about, separators=(",", ":"))})


_PICTURE: Mapping[str, str] = {"picture": "a picture file"}
_PAINTED = {**_PICTURE, "importance": "a grey picture file: white is kept best"}

ENDPOINTS = (
    Endpoint(
        "POST",
        "/preview",
        preview,
        "As /encode, for one picture at many settings: what was found out of it is kept for the next.",
        ENCODING,
        _PAINTED,
        (GLISS,),
    ),
    Endpoint(
        "POST",
        "/bits",
        bits,
        f"Where the bits of such a file go, a pixel for each latent; {ABOUT} tells its side, the top rate and the sum.",
        ENCODING,
        _PAINTED,
        ("image/png",),
    ),
    Endpoint(
        "POST",
        "/scores",
        scores,
        "How near a .gliss file comes to its picture: PSNR in dB, null without error, and SSIMULACRA 2.",
        (),
        {**_PICTURE, "file": "a .gliss file of it"},
        needed=("picture", "file"),
    ),
    Endpoint(
        "POST", "/original", original, "A picture as it is read here, upright, as PNG.", (), _PICTURE, ("image/png",)
    ),
    Endpoint(
        "POST",
        "/compare",
        compare,
        "A picture as another format shows it, from its largest file of no more than so many bytes; "
        f"{ABOUT} tells its bytes, setting, encoder and scores.",
        COMPARING,
        _PICTURE,
        ("image/png",),
    ),
    Endpoint("GET", "/compare", formats, "The formats that there are to compare with, each with its encoder."),
    Endpoint("GET", "/offers", offers, "The service's limits, and whether the page has a decoder of its own."),
)
