"""The description of the service in OpenAPI 3.1, made of its endpoints."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import glissando

from .endpoints import Endpoint
from .problems import MEDIA_TYPE

__all__ = ["description"]

_BINARY: dict[str, Any] = {"type": "string", "format": "binary"}
_ERRORS = {
    400: "A parameter that cannot be used.",
    404: "Nothing of that name.",
    406: "Nothing that Accept allows.",
    408: "The body took too long.",
    413: "More bytes or pixels than this service allows.",
    422: "A file or picture that cannot be used, or a size or score that no file of it has.",
    429: "Too much is waiting already; Retry-After says when to come back.",
    500: "An error of the service.",
    503: "The time was up, or the process that worked on it died.",
}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and where."},
        "error": {"type": "string", "description": "The name of the exception in glissando.errors."},
    },
}


def description(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The OpenAPI document of these endpoints."""
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    problems = {
        str(status): {
            "description": about,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, about in _ERRORS.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Glissando",
            "version": glissando.__version__,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {"schemas": {"Problem": _PROBLEM}, "responses": problems},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    words = re.findall(r"[a-z.]+", endpoint.path) or ["page"]
    content = {kind: {"schema": {} if "json" in kind else _BINARY} for kind in endpoint.gives}
    answers: dict[str, Any] = {"200": {"description": "Done.", "content": content}}
    answers |= {str(status): {"description": about} for status, about in endpoint.statuses.items()}
    answers |= {str(status): {"$ref": f"#/components/responses/{status}"} for status in _ERRORS}
    operation: dict[str, Any] = {
        "operationId": "_".join([endpoint.method.lower(), *(word.replace(".", "_") for word in words)]),
        "summary": endpoint.summary,
        "responses": answers,
    }
    if endpoint.parameters:
        operation["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.place,
                "required": parameter.required or parameter.place == "path",
                "description": parameter.about,
                "schema": dict(parameter.schema),
            }
            for parameter in endpoint.parameters
        ]
    if endpoint.parts:
        fields = {p.name: dict(p.schema) for p in endpoint.parameters if p.name not in endpoint.parts}
        files = {name: {**_BINARY, "description": about} for name, about in endpoint.parts.items()}
        form = {"type": "object", "required": list(endpoint.needed), "properties": {**fields, **files}}
        plain = {"application/octet-stream": {"schema": _BINARY}} if len(endpoint.needed) == 1 else {}
        operation["requestBody"] = {
            "required": True,
            "content": {**plain, "multipart/form-data": {"schema": form}},
        }
    return operation
