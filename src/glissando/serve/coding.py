"""The routes that encode and decode what a request brings: /encode, /decode, /info and /models."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from glissando.errors import InputError

from .accept import chosen
from .endpoints import Endpoint, Given
from .folder import file_in
from .jobs import DecodeJob, EncodeJob, InfoJob, ModelsJob
from .parameters import Parameter, whole_numbers
from .service import Service, answer_response

__all__ = ["ENCODING", "ENDPOINTS", "FORMATS", "GLISS", "accepted", "encode_job"]

GLISS = "image/vnd.glissando"
FORMATS = {"image/png": "png", "image/webp": "webp", "image/jpeg": "jpg", "image/avif": "avif"}
"""The extensions of the pictures that are sent, by their media types; of those that a client likes best, the first."""

_PERCENT = {"type": "number", "minimum": 0, "maximum": 100}
_SIZE = {"type": "string", "pattern": r"\s*[0-9.]{1,20}\s*[A-Za-z]{0,3}\s*"}

ENCODING = (
    Parameter("quality", {**_PERCENT, "default": 60}, "Higher is better and larger; any real number."),
    Parameter("target_size", _SIZE, "The largest file of at most so many bytes, as a number or such as 40kB."),
    Parameter("target_bpp", {"type": "number", "minimum": 0, "maximum": 1000}, "The same in bits per pixel."),
    Parameter(
        "target_psnr", {"type": "number", "minimum": 0, "maximum": 1000}, "As near to the picture as that, in dB."
    ),
    Parameter("target_ssimulacra2", {"type": "number", "maximum": 100}, "As good as that to the eye, in points."),
    Parameter("max_size", _SIZE, "At most so many bytes, whatever the quality or the score."),
    Parameter("model", {"type": "string"}, "One of /models, by its name or hash."),
    Parameter("tune", {"type": "string", "enum": ["eye", "psnr"]}, "What looks best, or the least squared error."),
    Parameter("encoder", {"type": "string"}, "One of the model's encoders, instead of the effort's."),
    Parameter(
        "effort",
        {"type": "integer", "minimum": 0, "maximum": 10, "default": 4},
        "Time for size; from 5 on the picture is refined, as far as the service's limit of time allows.",
    ),
    Parameter(
        "importance",
        {"type": "string", "enum": ["auto"]},
        "Find in the picture where bits are worth most. A form may have a file of this name instead.",
    ),
    Parameter("strength", _PERCENT, "Quality steps that white in the importance adds and black takes away."),
    Parameter("keep_size", {"type": "boolean", "default": False}, "As large as without importance."),
    Parameter("lossless", {"type": "boolean", "default": False}, "Every pixel comes back as it was."),
    Parameter("alpha_quality", {**_PERCENT, "default": 100}, "Below 100, opacity comes in fewer steps."),
    Parameter("exact", {"type": "boolean", "default": False}, "Keep colours below fully transparent pixels."),
    Parameter("convert", {"type": "boolean", "default": False}, "Convert what cannot be carried, with a note."),
)

DECODING = (
    Parameter(
        "region",
        {"type": "string", "pattern": r"\d{1,8},\d{1,8},\d{1,8},\d{1,8}"},
        "X, y, width and height of the rectangle to decode, in pixels.",
        then=whole_numbers,
    ),
    Parameter(
        "max_size",
        {"type": "string", "pattern": r"\d{1,8}(x\d{1,8})?"},
        "Scaled down to so many pixels on the longer side, or to fit into WxH.",
        then=whole_numbers,
    ),
    Parameter(
        "quality",
        {"type": "integer", "minimum": 0, "maximum": 100},
        "Of the JPEG, WebP or AVIF that is sent: 95 and 90 for JPEG and AVIF, and WebP without loss, unless given.",
    ),
)

FILE = Parameter("file", {"type": "string"}, "The name of a file in the service's folder.")


def accepted(request: Request, offers: dict[str, str]) -> str:
    """The media type, of those offered, that a client likes best. Raises HTTPException 406 where it accepts none."""
    best = chosen(request.headers.get("accept", ""), list(offers))
    if best is None:
        raise HTTPException(406, f"Accept allows none of {', '.join(offers)}")
    return best


def encode_job(service: Service, given: Given, kind: type[EncodeJob]) -> EncodeJob:
    """The job of what a request brought. Raises InputError where it asks for more than this service allows."""
    options: dict[str, Any] = dict(given.values)
    if options.get("effort", 0) > service.settings.max_effort:
        raise InputError(f"this service allows an effort of {service.settings.max_effort} at most")
    importance = options.pop("importance", None)
    if "importance" in given.parts:
        if importance is not None:
            raise InputError("importance is a file of the form or a parameter, not both")
        importance = given.parts["importance"]
    chosen_by = {name: options.pop(name, None) for name in ("model", "tune", "encoder")}
    return kind(
        given.parts["picture"],
        importance,
        options={name: value for name, value in options.items() if name != "convert"},
        **chosen_by,
        convert=options.get("convert", False),
        max_pixels=service.settings.max_pixels,
        seconds=service.settings.max_seconds,
    )


async def encode(service: Service, request: Request, given: Given) -> Response:
    """POST /encode."""
    return answer_response(await service.answer(request, encode_job(service, given, EncodeJob)), GLISS)


async def decode(service: Service, request: Request, given: Given) -> Response:
    """POST /decode."""
    media_type = accepted(request, FORMATS)
    job = DecodeJob(
        given.parts["file"],
        FORMATS[media_type],
        given.values.get("quality"),
        given.values.get("region"),
        given.values.get("max_size"),
        service.settings.max_pixels,
    )
    return answer_response(await service.answer(request, job), media_type, Vary="Accept")


async def info_of_body(service: Service, request: Request, given: Given) -> Response:
    """POST /info."""
    answer = await service.answer(request, InfoJob(given.parts["file"]))
    return JSONResponse(answer.value)


async def info_of_file(service: Service, request: Request, given: Given) -> Response:
    """GET /info."""
    if "file" not in given.values:
        raise InputError("GET /info needs the parameter 'file'; POST /info takes a file as its body")
    file = await file_in(service.folder, given.values["file"])
    return JSONResponse(await service.info(request, file))


async def models(service: Service, request: Request, given: Given) -> Response:
    """GET /models."""
    answer = await service.answer(request, ModelsJob())
    return JSONResponse(answer.value)


_FILE_PART = {"file": "a .gliss file"}

ENDPOINTS = (
    Endpoint(
        "POST",
        "/encode",
        encode,
        "A picture (PNG, JPEG, WebP, AVIF, TIFF, ...) to a .gliss file.",
        ENCODING,
        {"picture": "a picture file", "importance": "a grey picture file: white is kept best"},
        (GLISS,),
    ),
    Endpoint(
        "POST",
        "/decode",
        decode,
        "A .gliss file to a picture, in the format that Accept says; PNG unless it says anything.",
        DECODING,
        _FILE_PART,
        tuple(FORMATS),
    ),
    Endpoint("POST", "/info", info_of_body, "What a .gliss file says of itself; nothing is decoded.", (), _FILE_PART),
    Endpoint("GET", "/info", info_of_file, "The same of a file in the service's folder.", (FILE,)),
    Endpoint("GET", "/models", models, "The installed models."),
)
