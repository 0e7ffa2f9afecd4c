"""The routes that show the service's folder: /img, as files, and in regions and sizes after the IIIF Image API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import quote
from zlib import crc32

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from glissando.errors import InputError, LimitError
from glissando.picture.formats import written_as

from . import iiif
from .accept import chosen, names
from .coding import GLISS
from .endpoints import Endpoint, Given
from .folder import SUFFIX, ServedFile, file_in
from .jobs import ViewJob
from .parameters import Parameter
from .problems import problem_of
from .service import Service, answer_response
from .view import View

__all__ = ["ENDPOINTS"]

QUALITIES: Mapping[str, int | None] = {"jpg": 90, "png": None, "webp": 90, "avif": 80, "tif": None}
"""The formats that are sent, and how good each is; None for without loss."""
MEDIA_TYPES = {
    "webp": "image/webp",
    "avif": "image/avif",
    "jpg": "image/jpeg",
    "png": "image/png",
    "tif": "image/tiff",
}
SHOWN = ("webp", "avif", "jpg", "png")
"""What a file is shown as to a client that does not take it as it is; of those that it likes best, the first."""
LD_JSON = "application/ld+json"

_IDENTIFIER = Parameter(
    "identifier",
    {"type": "string"},
    "A file's path in the folder, with %2F for each slash, with or without .gliss at its end.",
    "path",
)


async def file(service: Service, request: Request, given: Given) -> Response:
    """GET /img/{identifier}: with .gliss at its end the file, or what the client takes; else the way to info.json."""
    identifier = given.values["identifier"]
    found = await file_in(service.folder, identifier)
    if not identifier.endswith(SUFFIX):
        return RedirectResponse(f"{_address(request, identifier)}/info.json", 303, {"Access-Control-Allow-Origin": "*"})
    accept = request.headers.get("accept", "").strip()
    if accept in ("", "*/*") or (names(accept, GLISS) and chosen(accept, [GLISS, *_fitting()]) == GLISS):
        headers = _headers(service, found, "")
        headers["Vary"] = "Accept"
        if _is_known(request, headers):
            return Response(status_code=304, headers=headers)
        return _File(found.path, headers=headers, media_type=GLISS, stat_result=found.status)
    info = await service.info(request, found)
    width, height = info["width"], info["height"]
    kind = chosen(accept, _fitting(max(width, height)))
    if kind is None:
        raise HTTPException(406, f"Accept allows none of {GLISS}, {', '.join(MEDIA_TYPES[each] for each in SHOWN)}")
    if width * height > service.settings.max_pixels:
        raise LimitError(f"{width}x{height} is more than the limit of {service.settings.max_pixels:,} pixels")
    view = View((0, 0, width, height), (width, height))
    format = next(each for each in SHOWN if MEDIA_TYPES[each] == kind)
    return await _shown(service, request, found, view, format, {"Vary": "Accept"})


def _fitting(side: int = 0) -> list[str]:
    """Media types of ``SHOWN`` whose files may be so long on a side."""
    formats = ((each, written_as(each)) for each in SHOWN)
    return [MEDIA_TYPES[each] for each, known in formats if known and side <= (known[1].longest or side)]


async def info_json(service: Service, request: Request, given: Given) -> Response:
    """GET /img/{identifier}/info.json."""
    found = await file_in(service.folder, given.values["identifier"])
    kind = chosen(request.headers.get("accept", ""), ["application/json", LD_JSON]) or "application/json"
    address = _address(request, given.values["identifier"])
    headers = {**_headers(service, found, f"{address} {kind}"), "Vary": "Accept", "Link": _PROFILE_LINK}
    if _is_known(request, headers):
        return Response(status_code=304, headers=headers)
    info = await service.info(request, found)
    more = [format for format in QUALITIES if format not in ("jpg", "png")]
    content = iiif.info(address, info, service.settings.max_pixels, more)
    media_type = f'{LD_JSON};profile="{iiif.CONTEXT}"' if kind == LD_JSON else kind
    return Response(json.dumps(content), headers=headers, media_type=media_type)


async def image(service: Service, request: Request, given: Given) -> Response:
    """GET /img/{identifier}/{region}/{size}/{rotation}/{quality}.{format}."""
    wanted = given.values
    found = await file_in(service.folder, wanted["identifier"])
    format = wanted["format"]
    if format not in QUALITIES:
        raise InputError(f"format is one of {', '.join(QUALITIES)}, not {format[:80]!r}")
    info = await service.info(request, found)
    size, most = (info["width"], info["height"]), service.settings.max_pixels
    view = iiif.view_of(wanted["region"], wanted["size"], wanted["rotation"], wanted["quality"], size, most)
    path = iiif.canonical(view, wanted["quality"], format, size, most)
    link = f'{_PROFILE_LINK}, <{_address(request, wanted["identifier"])}/{path}>;rel="canonical"'
    return await _shown(service, request, found, view, format, {"Link": link})


async def _shown(
    service: Service, request: Request, file: ServedFile, view: View, format: str, more: Mapping[str, str]
) -> Response:
    """A view of a file, or 304 where the client has it."""
    headers = {**_headers(service, file, f"{view} {format}"), **more}
    if _is_known(request, headers):
        return Response(status_code=304, headers=headers)
    answer = await service.answer(request, ViewJob(str(file.path), view, format, QUALITIES[format]))
    return answer_response(answer, MEDIA_TYPES[format], **headers)


class _File(FileResponse):
    """A file, or ranges of it; ranges that it does not have are a problem as all other errors are."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = False

        async def passed(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] >= 400:
                refused = True
                size = Headers(raw=message["headers"]).get("content-range")
                kept = {} if size is None else {"Content-Range": size}
                error = HTTPException(message["status"], "the header Range names no bytes of the file", kept)
                await problem_of(error)(scope, receive, send)
            elif not refused:
                await send(message)

        await super().__call__(scope, receive, passed)


# Headers ---------------------------------------------------------------------------------------------------

_PROFILE_LINK = f'<http://iiif.io/api/image/3/{iiif.PROFILE}.json>;rel="profile"'


def _address(request: Request, identifier: str) -> str:
    return f"{request.base_url}img/{quote(identifier, safe='')}"


def _headers(service: Service, file: ServedFile, variant: str) -> dict[str, str]:
    """What caches go by. ``variant``: what is sent of the file; empty for the file itself.

    Coders and networks may change, so that what is made of a file is not the same to the last bit for ever: its tag is
    a weak one.
    """
    tag = f'"{file.digest}"' if not variant else f'W/"{file.digest}-{crc32(variant.encode()):08x}"'
    return {
        "ETag": tag,
        "Last-Modified": formatdate(file.status.st_mtime, usegmt=True),
        "Cache-Control": f"public, max-age={service.settings.max_age}",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "Content-Range, ETag, Link",
    }


def _is_known(request: Request, headers: Mapping[str, str]) -> bool:
    """Whether the client has this already, as its If-None-Match or, without one, its If-Modified-Since says."""
    if (tags := request.headers.get("if-none-match")) is not None:
        own = headers["ETag"].removeprefix("W/")
        return tags.strip() == "*" or own in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    try:
        since = parsedate_to_datetime(request.headers.get("if-modified-since", ""))
        return parsedate_to_datetime(headers["Last-Modified"]) <= since
    except (TypeError, ValueError, OverflowError):  # no date, or one without a zone, or with an impossible one
        return False


def _path_parameter(name: str, about: str) -> Parameter:
    return Parameter(name, {"type": "string"}, about, "path")


ENDPOINTS = (
    Endpoint(
        "GET",
        "/img/{identifier}",
        file,
        "With .gliss at the identifier's end the file, as it is or as the picture that Accept prefers; else info.json.",
        (_IDENTIFIER,),
        gives=(GLISS, *(MEDIA_TYPES[each] for each in SHOWN)),
        statuses={
            206: "Ranges of the file.",
            303: "The address of info.json.",
            304: "The client has it already.",
            416: "No such range.",
        },
    ),
    Endpoint(
        "GET",
        "/img/{identifier}/info.json",
        info_json,
        "What the IIIF Image API 3 says of a picture.",
        (_IDENTIFIER,),
        gives=("application/json", LD_JSON),
        statuses={304: "The client has it already."},
    ),
    Endpoint(
        "GET",
        "/img/{identifier}/{region}/{size}/{rotation}/{quality}.{format}",
        image,
        "A part of a picture at some size, after the IIIF Image API 3.",
        (
            _IDENTIFIER,
            _path_parameter("region", "full, square, x,y,w,h or pct:x,y,w,h."),
            _path_parameter("size", "max, w, ,h w,h !w,h or pct:n; never larger than the region."),
            _path_parameter("rotation", "0, 90, 180 or 270; after ! the picture is mirrored."),
            Parameter("quality", {"type": "string", "enum": list(iiif.COLOURS)}, "Which colours.", "path"),
            Parameter("format", {"type": "string", "enum": list(QUALITIES)}, "Of the file that is sent.", "path"),
        ),
        gives=tuple(MEDIA_TYPES.values()),
        statuses={304: "The client has it already.", 501: "A turn by another angle, or a size that enlarges."},
    ),
)
